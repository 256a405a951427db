//! Settings of a U-Net, and how it is trained.

use serde::{Deserialize, Serialize};

use crate::backbone::{Horizons, Level, Optimizer, OptimizerDefaults, PredictionType, Sampler, Schedule};

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
    #[serde(alias = "predict")]
    pub prediction: PredictionType,
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
            prediction: PredictionType::Sample,
            sampler: Sampler::Ddim,
            sample_steps: 10,
            ema: 0.9999,
        }
    }
}

impl UnetSettings {
    /// How Chi et al. train it.
    pub const OPTIMIZER_DEFAULTS: OptimizerDefaults = OptimizerDefaults {
        lr: 1e-4,
        batch: 256,
        optimizer: Optimizer {
            betas: [0.95, 0.999],
            weight_decay: 1e-6,
            warm_up: 500,
            cosine: true,
            clip: 0.0,
        },
    };

    /// What it looks back on, and how far it proposes ahead.
    pub fn horizons(&self) -> Horizons {
        Horizons {
            observation: self.window,
            prediction: self.horizon,
            execution: self.executed,
            predict_all_steps: false,
        }
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
        self.ema.min(1.0 - ((step.max(2) - 1) as f64).powf(-0.75))
    }

    /// The levels of acting.
    pub(super) fn taken(&self) -> Vec<Level> {
        self.schedule.spaced(self.steps, self.sample_steps, self.sampler)
    }
}
