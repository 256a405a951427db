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
mod conv;
mod net;
mod norm;
mod plan;

pub use act::Scratch;
pub use net::{Tape, UnetNet};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Arrays, Level, Optimiser, Predict, Recipe, Sampler, Schedule, Span};
use crate::{
    error::{Error, Kind, Result},
    seed::Seed,
};
use plan::{Part, Plan, Start};

/// Settings of a U-Net, besides the widths of its levels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnetSettings {
    /// Actions in a chunk: 1 to 256, and as often divisible by two as the way down halves it.
    pub horizon: usize,
    /// How many of them are executed before the next chunk: 1 to `horizon`.
    pub executed: usize,
    /// Newest observations that the network looks at: 1 to 16.
    pub window: usize,
    /// Taps of the blocks' convolutions: odd, 1 to 15.
    pub kernel: usize,
    /// Groups of group norm, which divide every width.
    pub groups: usize,
    /// Diffusion steps in training, T: 1 to 1000.
    pub steps: usize,
    /// How much noise each step adds.
    pub schedule: Schedule,
    /// What the network's output is.
    pub predict: Predict,
    /// How noise is taken off in acting. Training does not depend on it.
    pub sampler: Sampler,
    /// Steps in acting, evenly spaced among those of training: 1 to `steps`.
    pub sample_steps: usize,
    /// The most that the running mean of the weights, which is what acts, keeps of itself in a step (see
    /// [`kept`](Self::kept)): 0 (the weights themselves act) up to but not 1.
    pub ema: f64,
}

impl Default for UnetSettings {
    /// Those of Chi et al., 2023, for states, with the clean action predicted; in acting, ten steps of DDIM, as they have it
    /// on robots, where the paper's hundred of DDPM take ten times as long.
    fn default() -> Self {
        Self {
            horizon: 16,
            executed: 8,
            window: 2,
            kernel: 5,
            groups: 8,
            steps: 100,
            schedule: Schedule::Cosine,
            predict: Predict::Action,
            sampler: Sampler::Ddim,
            sample_steps: 10,
            ema: 0.9999,
        }
    }
}

impl UnetSettings {
    /// How Chi et al. train it.
    pub const RECIPE: Recipe = Recipe {
        lr: 1e-4,
        batch: 256,
        optimiser: Optimiser {
            betas: [0.95, 0.999],
            weight_decay: 1e-6,
            warm_up: 500,
            cosine: true,
            clip: 0.0,
        },
    };

    /// What it looks back on, and how far it proposes ahead.
    pub fn span(&self) -> Span {
        Span { window: self.window, horizon: self.horizon, executed: self.executed, every: false }
    }

    /// What is wrong with the settings, or with the widths under them, if anything is: the option, what it takes, and what
    /// was found.
    pub fn fault(&self, widths: &[usize]) -> Option<(&'static str, String, String)> {
        let halves = 1_usize << widths.len().saturating_sub(1).min(16);
        let fault = |option, expected: String, found: String| Some((option, expected, found));
        if !(1..=256).contains(&self.horizon) {
            fault("--horizon", "1 to 256 actions".into(), self.horizon.to_string())
        } else if !(1..=self.horizon).contains(&self.executed) {
            fault("--execute", format!("1 to {}, the horizon", self.horizon), self.executed.to_string())
        } else if !(1..=16).contains(&self.window) {
            fault("window", "1 to 16 observations".into(), self.window.to_string())
        } else if !(1..=15).contains(&self.kernel) || self.kernel.is_multiple_of(2) {
            fault("kernel", "an odd number, 1 to 15".into(), self.kernel.to_string())
        } else if !(1..=1000).contains(&self.steps) {
            fault("--diffusion-steps", "1 to 1000".into(), self.steps.to_string())
        } else if !(1..=self.steps).contains(&self.sample_steps) {
            fault(
                "--sample-steps",
                format!("1 to {}, the diffusion steps", self.steps),
                self.sample_steps.to_string(),
            )
        } else if !(0.0..1.0).contains(&self.ema) {
            fault("--ema", "a decay, 0 up to but not 1".into(), self.ema.to_string())
        } else if !(1..=5).contains(&widths.len()) || widths.iter().any(|w| !(4..=4096).contains(w)) {
            fault("--hidden", "1 to 5 widths of 4 to 4096".into(), format!("{widths:?}"))
        } else if self.groups == 0 || widths.iter().any(|w| !w.is_multiple_of(self.groups)) {
            fault(
                "--hidden",
                format!("widths divisible by {}, the groups of group norm", self.groups),
                format!("{widths:?}"),
            )
        } else if !widths[0].is_multiple_of(2) {
            fault(
                "--hidden",
                "an even width first: half the time's sinusoids are cosines".into(),
                format!("{widths:?}"),
            )
        } else if !self.horizon.is_multiple_of(halves) {
            let expected = format!(
                "a number divisible by {halves}: {} widths halve it {} times",
                widths.len(),
                widths.len() - 1
            );
            fault("--horizon", expected, self.horizon.to_string())
        } else {
            None
        }
    }

    /// The share of the running mean of the weights that a step, counted from 1, keeps: nothing in the first two, then
    /// 1 - (step - 1)^-0.75 up to the most there is (Chi et al., 2023).
    pub fn kept(&self, step: u64) -> f64 {
        if step <= 2 { 0.0 } else { self.ema.min(1.0 - ((step - 1) as f64).powf(-0.75)) }
    }

    /// The levels of acting.
    fn taken(&self) -> Vec<Level> {
        self.schedule.spaced(self.steps, self.sample_steps, self.sampler)
    }
}

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
        if let Some((option, expected, found)) = settings.fault(widths) {
            panic!("{option}: {expected}, not {found}");
        }
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
    pub fn widths(&self) -> &[usize] {
        &self.plan.widths
    }

    /// Moves the weights towards those of another network, of which a share `1 - kept` is taken.
    ///
    /// # Panics
    /// If the other network has other widths.
    pub fn blend(&mut self, other: &Self, kept: f32) {
        assert_eq!(self.plan, other.plan, "networks of other widths");
        self.numbers.iter_mut().zip(&other.numbers).for_each(|(a, b)| *a = kept * *a + (1.0 - kept) * b);
    }

    pub(super) fn put(&self, arrays: &mut Arrays) {
        arrays.extend(self.named(&self.numbers));
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
    pub(super) fn take(settings: UnetSettings, arrays: &Arrays) -> Result<Self> {
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
        if let Some((option, expected, found)) = settings.fault(&widths) {
            return Err(Error::new(Kind::Settings, "a setting out of range")
                .at(option)
                .expected(expected)
                .found(found));
        }
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

#[cfg(test)]
mod tests;
