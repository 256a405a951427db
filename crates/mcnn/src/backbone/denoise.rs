//! What networks that take noise off actions share in training: what is drawn, the actions with noise on them, and what
//! the network's output says of the clean ones.

use serde::{Deserialize, Serialize};

use super::{kind::OptionInfo, schedule::Level};
use crate::seed::Rng;

/// The options that all backbones share which denoise; each kind has its own defaults.
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

/// The words that options take.
pub const SCHEDULES: &str = "vp, linear or cosine";
pub const PREDICTIONS: &str = "sample or epsilon";
pub const SAMPLERS: &str = "ddpm or ddim";

/// What the network's output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PredictionType {
    /// The clean action.
    #[serde(alias = "action")]
    Sample,
    /// The noise e, from which the clean action is (x_t - sqrt(1 - abar_t) e) / sqrt(abar_t).
    #[serde(alias = "noise")]
    Epsilon,
}

/// What is random in a training step.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseSample {
    /// The diffusion step of each row, counted from 0: `[batch]`.
    pub steps: Vec<usize>,
    /// Standard normal noise, as many numbers a row as are proposed: `[batch, width]`.
    pub noise: Vec<f32>,
}

impl NoiseSample {
    /// NoiseSample for a batch: steps evenly from 0 to `steps - 1`.
    pub fn new(batch: usize, width: usize, steps: usize, rng: &mut Rng) -> Self {
        Self {
            steps: (0..batch).map(|_| rng.below(steps)).collect(),
            noise: (0..batch * width).map(|_| rng.normal() as f32).collect(),
        }
    }

    /// Some numbers in rows as long as those of noise are, each with the level of its row.
    fn rows<'a>(
        &'a self,
        numbers: &'a mut [f32],
        levels: &'a [Level],
    ) -> impl Iterator<Item = (&'a mut [f32], &'a Level)> {
        let width = self.noise.len() / self.steps.len();
        numbers.chunks_exact_mut(width).zip(self.steps.iter().map(|&t| &levels[t]))
    }

    /// Actions (`[batch, width]`) with their noise on them, left in `noisy`. `levels`: all of them, the first one first.
    pub fn noisy(&self, actions: &[f32], levels: &[Level], noisy: &mut Vec<f32>) {
        noisy.clear();
        noisy.extend_from_slice(actions);
        let width = self.noise.len() / self.steps.len();
        for ((row, level), noise) in self.rows(noisy, levels).zip(self.noise.chunks_exact(width)) {
            row.iter_mut().zip(noise).for_each(|(a, e)| *a = level.action * *a + level.noise * e);
        }
    }

    /// Replaces a network's output by what it says of the clean actions, and answers with what their squared errors count.
    ///
    /// Where noise is predicted, a row's error is weighted by abar_t / (1 - abar_t): that makes the squared error of the
    /// clean action the squared error of the noise it implies, which is the loss of Ho et al. wherever nothing is held.
    pub fn clean(
        &self,
        output: &mut [f32],
        noisy: &[f32],
        prediction: PredictionType,
        levels: &[Level],
    ) -> Option<Vec<f32>> {
        if prediction == PredictionType::Sample {
            return None;
        }
        let width = self.noise.len() / self.steps.len();
        let mut weights = vec![0.0; output.len()];
        for ((row, level), noisy) in self.rows(output, levels).zip(noisy.chunks_exact(width)) {
            row.iter_mut().zip(noisy).for_each(|(g, x)| *g = (x - level.noise * *g) / level.action);
        }
        self.rows(&mut weights, levels)
            .for_each(|(row, level)| row.fill((level.action / level.noise).powi(2)));
        Some(weights)
    }

    /// The way back of [`clean`](Self::clean): slopes by the clean actions become those by the output.
    pub fn clean_back(&self, slopes: &mut [f32], prediction: PredictionType, levels: &[Level]) {
        if prediction == PredictionType::Epsilon {
            for (row, level) in self.rows(slopes, levels) {
                row.iter_mut().for_each(|d| *d *= -level.noise / level.action);
            }
        }
    }
}

/// The sinusoids of a diffusion step, counted from 0, written to `waves`: sines, then cosines, of frequencies from 1 down to
/// 1/10000.
///
/// # Panics
/// If there is not an even number of them, 4 or more.
pub fn sinusoids(t: usize, waves: &mut [f32]) {
    let half = waves.len() / 2;
    assert!(half >= 2 && waves.len() == 2 * half, "{} sinusoids", waves.len());
    for k in 0..half {
        let angle = t as f64 * 10_000_f64.powf(-(k as f64) / (half - 1) as f64);
        (waves[k], waves[half + k]) = (angle.sin() as f32, angle.cos() as f32);
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
