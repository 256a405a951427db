//! Denoising diffusion over one action (Ho et al., 2020; for acting, Wang et al., 2023): from noise, `T` times, a network
//! predicts the clean action from the noisy one, the step and the observation, and the noise is taken off a little.
//!
//! ```text
//! input    (noisy action, time, standardized state), side by side
//! time     16 sinusoids of t -> 32, Mish -> 16
//! network  input -> hidden layers, Mish -> n_act
//! ```
//!
//! Every prediction of the clean action is held by whoever asks before it counts, and the last one *is* the proposal. So
//! the action drawn is held as that of any other backbone is, and nothing here knows by what.

mod net;
mod settings;

pub use net::DiffusionNet;
pub use settings::DiffusionSettings;

use super::{
    ActingState, Arrays, Backbone, BackboneSettings, Constrain, InvalidSetting, Layers, Level,
    PredictionType, TrainableNet, denoise::sinusoids, mish::mish, product::add_product,
};
use crate::{
    error::{Error, Kind, Result},
    seed::Seed,
};

/// Widths of the part that the time goes through.
pub(super) const TIME: [usize; 3] = [16, 32, 16];

/// The numbers of a diffusion backbone, for acting.
#[derive(Debug, Clone, PartialEq)]
pub struct Diffusion {
    settings: DiffusionSettings,
    time: Layers,          // TIME
    body: Layers,          // n_act + 16 + n_obs, hidden layers, n_act
    levels: Vec<Level>,    // [steps]
    starts: Vec<Vec<f32>>, // [steps][body.widths()[1]]: the first layer's bias and what the time adds to it
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

    /// A network of given numbers: the layers that the time goes through, and the others.
    ///
    /// # Errors
    /// If the settings are out of range or the widths are not those of such a network.
    pub fn new(settings: DiffusionSettings, time: Layers, body: Layers) -> Result<Self> {
        settings.validate(&[]).map_err(InvalidSetting::into_error)?;
        let [first, last] = body.ends();
        if time.widths() != TIME || first <= last + TIME[2] {
            return Err(Error::new(Kind::File, "layers that are not those of a diffusion network")
                .expected(format!("{TIME:?} for the time; action, {} and state, to action", TIME[2]))
                .found(format!("{:?} and {:?}", time.widths(), body.widths())));
        }
        let levels = settings.schedule.levels(settings.steps, settings.sampler);
        // What the first layer adds up that depends on the weights and the step alone.
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

    /// The layers that the time goes through, and the others.
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
    observation: Vec<f32>, // what the observation adds to the first layer
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
        let ActingState { rng, workspace, output } = state;
        let (n_obs, n_act) = (self.n_obs(), self.n_act());
        assert_eq!(observation.len(), n_obs, "an observation of another width than the network");
        let Buffers { input, noisy, observation: fixed } = workspace.buffers();
        let (first, bias) = self.body.iter().next().expect("at least one layer");
        let (actions, rest) = first.split_at(n_act * bias.len());
        // What the observation adds to the first layer is the same in every denoising step.
        fixed.clear();
        fixed.resize(bias.len(), 0.0);
        add_product(observation, n_obs, &rest[TIME[2] * bias.len()..], fixed);
        noisy.clear();
        noisy.extend((0..n_act).map(|_| rng.normal() as f32));
        for (t, level) in self.levels.iter().enumerate().rev() {
            output.clear();
            output.extend(self.starts[t].iter().zip(fixed.iter()).map(|(a, b)| a + b));
            add_product(noisy, n_act, actions, output);
            for (weight, bias) in self.body.iter().skip(1) {
                mish(output);
                std::mem::swap(input, output);
                output.clear();
                output.extend_from_slice(bias);
                add_product(input, input.len(), weight, output);
            }
            if self.settings.prediction == PredictionType::Epsilon {
                output
                    .iter_mut()
                    .zip(noisy.iter())
                    .for_each(|(g, x)| *g = (x - level.noise * *g) / level.action);
            }
            if t == 0 {
                break;
            }
            let [clean, kept, fresh] = level.back;
            for (k, (x, g)) in noisy.iter_mut().zip(output.iter()).enumerate() {
                *x = clean * constrain(k, *g) + kept * *x;
                if fresh > 0.0 {
                    *x += fresh * rng.normal() as f32;
                }
            }
        }
    }

    fn save_tensors(&self) -> Arrays {
        let mut tensors = Arrays::new();
        self.time.put("time.", &mut tensors);
        self.body.put("", &mut tensors);
        tensors
    }

    fn to_trainable(&self) -> (Box<dyn TrainableNet>, Vec<f32>) {
        let (net, parameters) = DiffusionNet::new(self);
        (Box::new(net), parameters)
    }
}

#[cfg(test)]
mod tests;
