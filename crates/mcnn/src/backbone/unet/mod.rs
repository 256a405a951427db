//! A conditional U-Net over a chunk of actions (Chi et al., 2023; the U-Net along time is Janner et al.'s, 2022). Starting from
//! noise, the network predicts the clean chunk from the noisy one, the diffusion step and the newest observations, and some of the
//! noise is removed.
//!
//! ```text
//! chunk      [horizon, n_act], noisy
//! condition  time embedding: sinusoids of t, as wide as the first level -> 4 times, Mish -> 1 time;  then the observations
//! block      convolution along time, group norm, Mish
//! residual   block, FiLM by a linear map of Mish(condition), block;  + shortcut: the input, or a convolution with one tap
//! encoder    for each level two residuals and, except for the last, downsampling (stride 2)
//! middle     two residuals
//! decoder    for each level but the last, coarsest first: concatenation with the output of the encoder's next coarser
//!            level, two residuals, upsampling (transposed convolution)
//! end        block, convolution with one tap -> [horizon, n_act]
//! ```
//!
//! The output of the first level of the encoder is not used in the decoder, as in the implementations of Chi et al.
//!
//! The chunk begins with the action for the newest observation: of actions t to t + horizon - 1 the first ones are executed.
//! (Chi et al. begin at the oldest observation, a step earlier with two of them, and skip that action.) Every prediction of the
//! clean chunk is constrained before the next denoising step. The last one is the output.

mod act;
mod backward;
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
    layers::concatenate_arrays,
};
use crate::{
    error::{Error, Kind, Result},
    seed::Seed,
};
use plan::{Init, Plan, Stage};

/// A U-Net that acts.
#[derive(Debug, Clone, PartialEq)]
pub struct Unet {
    settings: UnetSettings,
    plan: Arc<Plan>,
    levels: Vec<Level>, // [sample_steps]
    parameters: Vec<f32>,
}

impl Unet {
    /// A network of random weights, initialized as PyTorch's layers. `widths`: channels of the levels, finest first.
    ///
    /// # Panics
    /// If the settings or the widths are out of range.
    pub fn random(n_obs: usize, widths: &[usize], n_act: usize, settings: UnetSettings, seed: Seed) -> Self {
        settings.validate(widths).expect("settings and widths in their ranges");
        let plan = Plan::new(n_obs, widths, n_act, &settings);
        let mut parameters = Vec::with_capacity(plan.n_parameters());
        for array in &plan.arrays {
            let (mut rng, n) = (seed.fork(&array.name).rng(), array.shape.iter().product::<usize>());
            parameters.extend((0..n).map(|_| match array.init {
                Init::Uniform(inputs) => {
                    let bound = 1.0 / (inputs as f64).sqrt();
                    rng.between(-bound, bound) as f32
                }
                Init::Ones => 1.0,
                Init::Zeros => 0.0,
            }));
        }
        Self::from_parts(settings, Arc::new(plan), parameters)
    }

    fn from_parts(settings: UnetSettings, plan: Arc<Plan>, parameters: Vec<f32>) -> Self {
        debug_assert_eq!(parameters.len(), plan.n_parameters());
        Self { settings, levels: settings.denoising().inference_levels(), plan, parameters }
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

    /// Values in the layout of the parameters, as arrays by name.
    pub(crate) fn to_arrays(&self, values: &[f32]) -> Arrays {
        let arrays = self.plan.arrays.iter();
        arrays
            .map(|array| {
                let n = array.shape.iter().product::<usize>();
                (array.name.clone(), (array.shape.clone(), values[array.start..][..n].to_vec()))
            })
            .collect()
    }

    /// The network of arrays.
    ///
    /// # Errors
    /// If they are not those of such a network.
    fn load(settings: UnetSettings, arrays: &Arrays) -> Result<Self> {
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
        let arrays_of = plan.arrays.iter().map(|array| (array.name.as_str(), array.shape.as_slice()));
        let parameters = concatenate_arrays(arrays, arrays_of, unfit)?;
        Ok(Self::from_parts(settings, Arc::new(plan), parameters))
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
        let ActingState { rng, workspace, output, .. } = state;
        self.denoise(observations, (workspace.buffers(), rng, output), constrain);
    }

    fn save_tensors(&self) -> Arrays {
        self.to_arrays(&self.parameters)
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
