//! Denoising diffusion over one action (Ho et al., 2020; for acting, Wang et al., 2023): starting from noise, `T` times, a network
//! predicts the clean action from the noisy one, the diffusion step and the observation, and some of the noise is removed.
//!
//! ```text
//! input    (noisy action, time embedding, standardized state), concatenated
//! time     16 sinusoids of t -> 32, Mish -> 16
//! network  input -> hidden layers, Mish -> n_act
//! ```
//!
//! Every prediction of the clean action is constrained before the next denoising step. The last one is the output.

mod net;
mod settings;

pub use net::DiffusionNet;
pub use settings::DiffusionSettings;

use super::{
    ActingState, Arrays, Backbone, BackboneSettings, Constrain, InvalidSetting, Layers, Level, TrainableNet,
    denoise::sinusoids, layers::clear_and_reserve, mish::mish, product::add_product,
};
use crate::{
    error::{Error, Kind, Result},
    seed::Seed,
};

/// Widths of the layers of the time embedding.
pub(super) const TIME: [usize; 3] = [16, 32, 16];

/// A diffusion backbone that acts.
#[derive(Debug, Clone, PartialEq)]
pub struct Diffusion {
    settings: DiffusionSettings,
    time: Layers,          // TIME
    body: Layers,          // n_act + 16 + n_obs, hidden layers, n_act
    levels: Vec<Level>,    // [steps]
    starts: Vec<Vec<f32>>, // [steps, body.widths()[1]]: the bias of the first layer plus the contribution of the time
}

impl Diffusion {
    /// A network of random weights. `hidden`: widths of the hidden layers.
    ///
    /// # Panics
    /// If a width is 0 or the settings are out of range.
    pub fn random(
        n_obs: usize,
        hidden: &[usize],
        n_act: usize,
        settings: DiffusionSettings,
        seed: Seed,
    ) -> Self {
        let widths = [&[n_act + TIME[2] + n_obs], hidden, &[n_act]].concat();
        let (time, body) =
            (Layers::random(&TIME, seed.fork("time")), Layers::random(&widths, seed.fork("body")));
        Self::new(settings, time, body).expect("the widths fit")
    }

    /// A network of given layers: those of the time embedding, and the others.
    ///
    /// # Errors
    /// If a setting is out of range, or the widths are not those of such a network.
    pub fn new(settings: DiffusionSettings, time: Layers, body: Layers) -> Result<Self> {
        settings.validate(&[]).map_err(InvalidSetting::into_error)?;
        let [first, last] = body.ends();
        if time.widths() != TIME || first <= last + TIME[2] {
            return Err(Error::new(Kind::File, "layers that are not those of a diffusion network")
                .expected(format!("{TIME:?} for the time; action, {} and state, to action", TIME[2]))
                .found(format!("{:?} and {:?}", time.widths(), body.widths())));
        }
        let levels = settings.schedule.levels(settings.steps, settings.sampler);
        // The contributions to the first layer that do not depend on the observation or the action.
        let (weight, bias) = body.iter().next().expect("at least one layer");
        let rows = &weight[last * bias.len()..][..TIME[2] * bias.len()];
        let start = |t: usize| {
            let mut values = vec![0.0; TIME[0]];
            sinusoids(t, &mut values);
            for (k, (weight, bias)) in time.iter().enumerate() {
                let mut next = bias.to_vec();
                add_product(&values, values.len(), weight, &mut next);
                if k == 0 {
                    mish(&mut next);
                }
                values = next;
            }
            let mut start = bias.to_vec();
            add_product(&values, values.len(), rows, &mut start);
            start
        };
        let starts = (0..settings.steps).map(start).collect();
        Ok(Self { settings, time, body, levels, starts })
    }

    /// The settings.
    pub fn settings(&self) -> &DiffusionSettings {
        &self.settings
    }

    /// The layers of the time embedding, and the others.
    pub fn layers(&self) -> [&Layers; 2] {
        [&self.time, &self.body]
    }

    /// Width of an observation.
    pub fn n_obs(&self) -> usize {
        self.body.ends()[0] - TIME[2] - self.n_act()
    }

    /// Width of an action.
    pub fn n_act(&self) -> usize {
        self.body.ends()[1]
    }
}

/// Buffers of acting.
#[derive(Debug, Default)]
struct Buffers {
    input: Vec<f32>,       // of a layer
    noisy: Vec<f32>,       // [n_act]
    observation: Vec<f32>, // the contribution of the observation to the first layer
}

impl Backbone for Diffusion {
    fn settings(&self) -> &dyn BackboneSettings {
        &self.settings
    }

    fn widths(&self) -> [usize; 2] {
        [self.n_obs(), self.n_act()]
    }

    fn is_stochastic(&self) -> bool {
        true
    }

    fn predict(&self, observation: &[f32], constrain: Constrain, state: &mut ActingState) {
        let ActingState { rng, workspace, output, .. } = state;
        let (n_obs, n_act) = (self.n_obs(), self.n_act());
        assert_eq!(observation.len(), n_obs, "an observation of another width than the network");
        let Buffers { input, noisy, observation: of_observation } = workspace.buffers();
        let (first, bias) = self.body.iter().next().expect("at least one layer");
        let (actions, rest) = first.split_at(n_act * bias.len());
        clear_and_reserve(self.body.max_width(), [&mut *input, &mut *output]); // the layers swap them
        // The contribution of the observation is the same in every denoising step.
        of_observation.clear();
        of_observation.resize(bias.len(), 0.0);
        add_product(observation, n_obs, &rest[TIME[2] * bias.len()..], of_observation);
        noisy.clear();
        noisy.extend((0..n_act).map(|_| rng.normal() as f32));
        for (t, level) in self.levels.iter().enumerate().rev() {
            output.clear();
            output.extend(self.starts[t].iter().zip(of_observation.iter()).map(|(a, b)| a + b));
            add_product(noisy, n_act, actions, output);
            for (weight, bias) in self.body.iter().skip(1) {
                mish(output);
                std::mem::swap(input, output);
                output.clear();
                output.extend_from_slice(bias);
                add_product(input, input.len(), weight, output);
            }
            level.to_clean(output, noisy, self.settings.prediction);
            if t > 0 {
                level.denoise(noisy, output, constrain, rng);
            }
        }
    }

    fn save_tensors(&self) -> Arrays {
        let mut tensors = Arrays::new();
        self.time.save_tensors("time.", &mut tensors);
        self.body.save_tensors("", &mut tensors);
        tensors
    }

    fn to_trainable(&self) -> (Box<dyn TrainableNet>, Vec<f32>) {
        let (net, parameters) = DiffusionNet::new(self);
        (Box::new(net), parameters)
    }
}

#[cfg(test)]
mod tests;
