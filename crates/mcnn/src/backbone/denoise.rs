//! What denoising backbones share: options, noise samples of training, the clean action of an output, and one denoising step.

use serde::{Deserialize, Serialize};

use super::{
    Constrain, Horizons, Sampler, Schedule,
    kind::{InvalidSetting, OptionInfo},
    schedule::Level,
};
use crate::seed::Rng;

/// Options that all denoising backbones have, without their defaults, which differ.
pub const DIFFUSION_STEPS: OptionInfo = OptionInfo {
    name: "diffusion-steps",
    aliases: &[],
    value_name: "T",
    help: "Diffusion steps from noise to an action",
    default: "",
};
pub const SCHEDULE: OptionInfo = OptionInfo {
    name: "schedule",
    aliases: &[],
    value_name: "SCHEDULE",
    help: "Noise schedule: vp, linear or cosine",
    default: "",
};
pub const PREDICTION: OptionInfo = OptionInfo {
    name: "prediction",
    aliases: &["predict"],
    value_name: "TYPE",
    help: "What the network predicts: sample (the clean action) or epsilon (the noise)",
    default: "",
};
pub const SAMPLER: OptionInfo = OptionInfo {
    name: "sampler",
    aliases: &[],
    value_name: "SAMPLER",
    help: "How the policy denoises: ddpm (random) or ddim (only its start is random)",
    default: "",
};
pub const EMA: OptionInfo = OptionInfo {
    name: "ema",
    aliases: &[],
    value_name: "DECAY",
    help: "Largest decay of the exponential moving average of the weights, which acts; 0 for none",
    default: "",
};

/// Options of the backbones that denoise a chunk of actions.
pub const HORIZON: OptionInfo = OptionInfo {
    name: "horizon",
    aliases: &[],
    value_name: "ACTIONS",
    help: "Prediction horizon: actions predicted at once, from the newest observation's on",
    default: "16",
};
pub const EXECUTE: OptionInfo = OptionInfo {
    name: "execute",
    aliases: &[],
    value_name: "ACTIONS",
    help: "Execution horizon: how many of them are executed before the next prediction",
    default: "8",
};
pub const SAMPLE_STEPS: OptionInfo = OptionInfo {
    name: "sample-steps",
    aliases: &[],
    value_name: "STEPS",
    help: "Diffusion steps taken in acting, evenly spaced among those of training",
    default: "10; with --sampler ddpm: all",
};

/// The words that the options take.
pub const SCHEDULES: &str = "vp, linear or cosine";
pub const PREDICTIONS: &str = "sample or epsilon";
pub const SAMPLERS: &str = "ddpm or ddim";

/// What the network predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PredictionType {
    /// The clean action.
    #[serde(alias = "action")]
    Sample,
    /// The noise e. The clean action is (x_t - sqrt(1 - abar_t) e) / sqrt(abar_t).
    #[serde(alias = "noise")]
    Epsilon,
}

impl PredictionType {
    /// What the training loss is, in words.
    pub(super) fn objective(self, action: &str) -> String {
        match self {
            Self::Sample => format!("mean squared error of {action}, denoised from a random noise level"),
            Self::Epsilon => format!("mean squared error of the noise that {action} implies"),
        }
    }
}

/// Settings of denoising a chunk of actions that do not depend on the network.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkDenoising {
    /// Observation, prediction and execution horizon.
    pub horizons: Horizons,
    pub steps: usize,
    pub sample_steps: usize,
    pub schedule: Schedule,
    pub sampler: Sampler,
    pub ema: f64,
}

impl ChunkDenoising {
    /// Checks each setting's range.
    pub fn validate(&self) -> std::result::Result<(), InvalidSetting> {
        let Horizons { observation, prediction, execution, .. } = self.horizons;
        let Self { steps, sample_steps, ema, .. } = *self;
        let invalid = |option, expected: String, found: &dyn ToString| {
            Err(InvalidSetting::new(option, expected, found.to_string()))
        };
        if !(1..=256).contains(&prediction) {
            invalid("--horizon", "1 to 256 actions".into(), &prediction)
        } else if !(1..=prediction).contains(&execution) {
            invalid("--execute", format!("1 to {prediction}, the horizon"), &execution)
        } else if !(1..=16).contains(&observation) {
            invalid("window", "1 to 16 observations".into(), &observation)
        } else if !(1..=1000).contains(&steps) {
            invalid("--diffusion-steps", "1 to 1000".into(), &steps)
        } else if !(1..=steps).contains(&sample_steps) {
            invalid("--sample-steps", format!("1 to {steps}, the diffusion steps"), &sample_steps)
        } else if !(0.0..1.0).contains(&ema) {
            invalid("--ema", "a decay, 0 up to but not 1".into(), &ema)
        } else {
            Ok(())
        }
    }

    /// The levels of acting.
    pub fn inference_levels(&self) -> Vec<Level> {
        self.schedule.spaced(self.steps, self.sample_steps, self.sampler)
    }

    /// Execution horizon and inference steps where they were not given: no more than the prediction horizon, and all steps for DDPM.
    pub fn resolved(&self, is_given: &dyn Fn(&str) -> bool) -> [usize; 2] {
        let Horizons { prediction, execution, .. } = self.horizons;
        let executed = if is_given("execute") { execution } else { execution.min(prediction) };
        let sample_steps = match (is_given("sample-steps"), self.sampler) {
            (true, _) => self.sample_steps,
            (false, Sampler::Ddpm) => self.steps,
            (false, Sampler::Ddim) => self.sample_steps.min(self.steps),
        };
        [executed, sample_steps]
    }
}

/// The random part of a training step.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseSample {
    /// The diffusion step of each row, counted from 0: `[rows]`.
    pub steps: Vec<usize>,
    /// Standard normal noise: `[rows, width]`.
    pub noise: Vec<f32>,
}

impl NoiseSample {
    /// Samples steps uniformly from 0 to `steps - 1`, and noise. `width`: predicted values in a row.
    pub fn new(rows: usize, width: usize, steps: usize, rng: &mut Rng) -> Self {
        Self {
            steps: (0..rows).map(|_| rng.below(steps)).collect(),
            noise: (0..rows * width).map(|_| rng.normal() as f32).collect(),
        }
    }

    fn width(&self) -> usize {
        self.noise.len() / self.steps.len()
    }

    /// The rows of `values` (`[rows, width]`), each with its level.
    fn rows<'a>(
        &'a self,
        values: &'a mut [f32],
        levels: &'a [Level],
    ) -> impl Iterator<Item = (&'a mut [f32], &'a Level)> {
        values.chunks_exact_mut(self.width()).zip(self.steps.iter().map(|&t| &levels[t]))
    }

    /// Writes the noisy actions x_t for actions `[rows, width]`. `levels`: all, the first step first.
    pub fn add_noise(&self, actions: &[f32], levels: &[Level], noisy: &mut Vec<f32>) {
        noisy.clear();
        noisy.extend_from_slice(actions);
        for ((row, level), noise) in self.rows(noisy, levels).zip(self.noise.chunks_exact(self.width())) {
            let Level { sqrt_alpha_bar, sqrt_one_minus_alpha_bar, .. } = *level;
            row.iter_mut()
                .zip(noise)
                .for_each(|(a, e)| *a = sqrt_alpha_bar * *a + sqrt_one_minus_alpha_bar * e);
        }
    }

    /// Replaces outputs by the clean actions that they predict. Returns the weights of the squared errors, `None` for 1 each.
    ///
    /// If the network predicts the noise, the weight is abar_t / (1 - abar_t). The squared error of the clean action, so
    /// weighted, is the squared error of the noise: without a constraint this is the loss of Ho et al.
    pub fn to_clean(
        &self,
        output: &mut [f32],
        noisy: &[f32],
        prediction: PredictionType,
        levels: &[Level],
    ) -> Option<Vec<f32>> {
        if prediction == PredictionType::Sample {
            return None;
        }
        let mut weights = vec![0.0; output.len()];
        for ((row, level), noisy) in self.rows(output, levels).zip(noisy.chunks_exact(self.width())) {
            level.to_clean(row, noisy, prediction);
        }
        self.rows(&mut weights, levels).for_each(|(row, level)| {
            row.fill((level.sqrt_alpha_bar / level.sqrt_one_minus_alpha_bar).powi(2))
        });
        Some(weights)
    }

    /// The backward pass of [`to_clean`](Self::to_clean): from the gradient with respect to the clean actions to that with
    /// respect to the outputs.
    pub fn to_clean_backward(&self, grad: &mut [f32], prediction: PredictionType, levels: &[Level]) {
        if prediction == PredictionType::Epsilon {
            for (row, level) in self.rows(grad, levels) {
                row.iter_mut().for_each(|d| *d *= -level.sqrt_one_minus_alpha_bar / level.sqrt_alpha_bar);
            }
        }
    }
}

impl Level {
    /// Replaces an output by the clean action that it predicts from x_t (`noisy`).
    pub fn to_clean(&self, output: &mut [f32], noisy: &[f32], prediction: PredictionType) {
        if prediction == PredictionType::Epsilon {
            output
                .iter_mut()
                .zip(noisy)
                .for_each(|(g, x)| *g = (x - self.sqrt_one_minus_alpha_bar * *g) / self.sqrt_alpha_bar);
        }
    }

    /// One denoising step: replaces x_t (`noisy`) by x_{t-1}, from the constrained prediction of the clean action.
    pub fn denoise(&self, noisy: &mut [f32], clean: &[f32], constrain: Constrain, rng: &mut Rng) {
        let [of_clean, of_noisy, of_noise] = self.posterior;
        for (k, (x, g)) in noisy.iter_mut().zip(clean).enumerate() {
            *x = of_clean * constrain(k, *g) + of_noisy * *x;
            if of_noise > 0.0 {
                *x += of_noise * rng.normal() as f32;
            }
        }
    }
}

/// Writes the sinusoidal embedding of a diffusion step, counted from 0: sines, then cosines, of frequencies from 1 to 1/10000.
///
/// # Panics
/// If its width is odd or below 4.
pub fn sinusoids(t: usize, embedding: &mut [f32]) {
    let half = embedding.len() / 2;
    assert!(half >= 2 && embedding.len() == 2 * half, "{} sinusoids", embedding.len());
    for k in 0..half {
        let angle = t as f64 * 10_000_f64.powf(-(k as f64) / (half - 1) as f64);
        (embedding[k], embedding[half + k]) = (angle.sin() as f32, angle.cos() as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinusoids_are_those_of_their_formula() {
        let mut waves = [0.0; 16];
        sinusoids(3, &mut waves);
        for (k, frequency) in [(0, 1.0_f64), (1, 0.268_269_58), (7, 1e-4)] {
            assert!((f64::from(waves[k]) - (3.0 * frequency).sin()).abs() < 1e-6);
            assert!((f64::from(waves[k + 8]) - (3.0 * frequency).cos()).abs() < 1e-6);
        }
    }
}
