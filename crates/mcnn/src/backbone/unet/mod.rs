//! A conditional U-Net over a chunk of actions (Chi et al., 2023; the U-Net along time is Janner et al.'s, 2022): from noise,
//! some times, a network predicts the clean chunk from the noisy one, the diffusion step and the newest observations, and the
//! noise is taken off a little.
//!
//! ```text
//! chunk      [horizon, n_act], noisy
//! condition  sinusoids of t, as many as the first width -> 4 times as many, Mish -> as many;  then the observations
//! block      convolution along time, group norm, Mish
//! residual   block, scale and shift of each channel by a linear map of Mish(condition), block;  + the input, through a
//!            convolution of one tap where the channels change
//! down       for each width two residuals, and but for the last half as many steps (stride 2)
//! middle     two residuals
//! up         for each width but the last, the last first: what left the level below on the way down is put beside it, two
//!            residuals, and twice as many steps (transposed convolution)
//! end        block, convolution of one tap -> [horizon, n_act]
//! ```
//!
//! So what leaves the first level on the way down is not used on the way up, as in the field's implementations.
//!
//! The chunk begins with the action of the newest observation: of actions t to t + horizon - 1 the first ones are executed. (Chi
//! et al. begin at the oldest observation, a step earlier with two of them, and skip that action.) Every prediction of the
//! clean chunk is held by whoever asks before it counts, every number of it, at every step; and the last one *is* the
//! proposal.

mod act;
mod back;
mod conv;
mod net;
mod norm;
mod plan;
mod settings;

pub use net::UnetNet;
pub use settings::UnetSettings;

use std::sync::Arc;

use super::{
    ActingState, Arrays, Backbone, BackboneSettings, Constrain, InvalidSetting, Level, TrainableNet,
};
use crate::{
    error::{Error, Kind, Result},
    seed::Seed,
};
use plan::{Part, Plan, Start};

/// The numbers of a U-Net, for acting.
#[derive(Debug, Clone, PartialEq)]
pub struct Unet {
    settings: UnetSettings,
    plan: Arc<Plan>,
    levels: Vec<Level>, // [sample_steps]
    numbers: Vec<f32>,
}

impl Unet {
    /// A network of random weights, each array as PyTorch's layers start. `widths`: channels of the levels, finest first.
    ///
    /// # Panics
    /// If the settings or the widths are out of range.
    pub fn random(n_obs: usize, widths: &[usize], n_act: usize, settings: UnetSettings, seed: Seed) -> Self {
        settings.validate(widths).expect("settings and widths in their ranges");
        let plan = Plan::new(n_obs, widths, n_act, &settings);
        let mut numbers = Vec::with_capacity(plan.numbers());
        for array in &plan.arrays {
            let (mut rng, n) = (seed.fork(&array.name).rng(), array.shape.iter().product::<usize>());
            numbers.extend((0..n).map(|_| match array.start {
                Start::Within(inputs) => {
                    let bound = 1.0 / (inputs as f64).sqrt();
                    rng.between(-bound, bound) as f32
                }
                Start::Ones => 1.0,
                Start::Zeros => 0.0,
            }));
        }
        Self::of(settings, Arc::new(plan), numbers)
    }

    fn of(settings: UnetSettings, plan: Arc<Plan>, numbers: Vec<f32>) -> Self {
        debug_assert_eq!(numbers.len(), plan.numbers());
        Self { settings, levels: settings.taken(), plan, numbers }
    }

    /// The settings.
    pub fn settings(&self) -> &UnetSettings {
        &self.settings
    }

    /// Width of an observation.
    pub fn n_obs(&self) -> usize {
        self.plan.n_obs
    }

    /// Width of an action.
    pub fn n_act(&self) -> usize {
        self.plan.n_act
    }

    /// Channels of the levels, finest first.
    pub fn channels(&self) -> &[usize] {
        &self.plan.widths
    }

    /// Numbers laid out as the network's own are, as arrays by name.
    pub(crate) fn named(&self, numbers: &[f32]) -> Arrays {
        let arrays = self.plan.arrays.iter();
        arrays
            .map(|array| {
                let n = array.shape.iter().product::<usize>();
                (array.name.clone(), (array.shape.clone(), numbers[array.at..][..n].to_vec()))
            })
            .collect()
    }

    /// A network from its arrays.
    ///
    /// # Errors
    /// If they are not those of such a network.
    fn take(settings: UnetSettings, arrays: &Arrays) -> Result<Self> {
        let unfit =
            |name: &str| Error::new(Kind::File, "arrays that are not those of a U-Net").at(name.to_string());
        let shape = |name: &str| arrays.get(name).map(|(shape, _)| shape.as_slice());
        let mut widths = Vec::new();
        while let Some(&[width]) = shape(&format!("down.{}.0.first.bias", widths.len())) {
            widths.push(width);
        }
        let (Some(&[n_act]), Some(&[1, condition, _])) = (shape("end.1.bias"), shape("film.weight")) else {
            return Err(unfit("end.1.bias, film.weight"));
        };
        settings.validate(&widths).map_err(InvalidSetting::into_error)?;
        let observed = condition.saturating_sub(widths[0]);
        let n_obs = observed / settings.window;
        if n_obs == 0
            || n_obs * settings.window != observed
            || n_act == 0
            || n_act > 1 << 16
            || n_obs > 1 << 20
        {
            return Err(unfit("film.weight"));
        }
        let plan = Plan::new(n_obs, &widths, n_act, &settings);
        let mut numbers = Vec::new();
        for array in &plan.arrays {
            match arrays.get(&array.name) {
                Some((shape, values)) if *shape == array.shape => numbers.extend_from_slice(values),
                found => {
                    return Err(unfit(&array.name)
                        .expected(format!("{:?}", array.shape))
                        .found(found.map_or("nothing".into(), |(shape, _)| format!("{shape:?}"))));
                }
            }
        }
        if let Some(name) = arrays.keys().find(|name| plan.arrays.iter().all(|array| array.name != **name)) {
            return Err(unfit(name).expected("no such array"));
        }
        Ok(Self::of(settings, Arc::new(plan), numbers))
    }
}

impl Backbone for Unet {
    fn settings(&self) -> &dyn BackboneSettings {
        &self.settings
    }

    fn widths(&self) -> [usize; 2] {
        [self.n_obs(), self.n_act()]
    }

    fn is_stochastic(&self) -> bool {
        true
    }

    fn predict(&self, observations: &[f32], constrain: Constrain, state: &mut ActingState) {
        let ActingState { rng, workspace, output } = state;
        self.denoise(observations, (workspace.buffers(), rng, output), constrain);
    }

    fn save_tensors(&self) -> Arrays {
        self.named(&self.numbers)
    }

    fn to_trainable(&self) -> (Box<dyn TrainableNet>, Vec<f32>) {
        let (net, parameters) = UnetNet::new(self);
        (Box::new(net), parameters)
    }
}

#[cfg(test)]
mod conv_tests;
#[cfg(test)]
mod tests;
