//! What networks that take noise off actions share in training: what is drawn, the actions with noise on them, and what
//! the network's output says of the clean ones.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::schedule::Level;
use crate::seed::Rng;

/// What the network's output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Predict {
    /// The clean action.
    Action,
    /// The noise e, from which the clean action is (x_t - sqrt(1 - abar_t) e) / sqrt(abar_t).
    Noise,
}

/// What is random in a training step.
#[derive(Debug, Clone, PartialEq)]
pub struct Draws {
    /// The diffusion step of each row, counted from 0: `[batch]`.
    pub steps: Vec<usize>,
    /// Standard normal noise, as many numbers a row as are proposed: `[batch, width]`.
    pub noise: Vec<f32>,
}

impl Draws {
    /// Draws for a batch: steps evenly from 0 to `steps - 1`.
    pub fn new(batch: usize, width: usize, steps: usize, rng: &mut Rng) -> Self {
        Self {
            steps: (0..batch).map(|_| rng.below(steps)).collect(),
            noise: (0..batch * width).map(|_| rng.normal() as f32).collect(),
        }
    }

    /// A number for each number of noise: that of its row's diffusion step.
    fn by_row(&self, levels: &[Level], of: impl Fn(&Level) -> f32) -> Vec<f32> {
        let width = self.noise.len() / self.steps.len();
        self.steps.iter().flat_map(|&t| std::iter::repeat_n(of(&levels[t]), width)).collect()
    }

    /// Actions (`[batch, width]`) with their noise on them. `levels`: all of them, the first one first.
    pub fn noisy(&self, actions: &[f32], levels: &[Level]) -> Vec<f32> {
        let (keep, add) = (self.by_row(levels, |l| l.action), self.by_row(levels, |l| l.noise));
        actions
            .iter()
            .zip(&self.noise)
            .zip(keep.iter().zip(&add))
            .map(|((a, e), (keep, add))| keep * a + add * e)
            .collect()
    }

    /// What a network's output, of any number of columns, says of the clean actions, and what their squared errors count.
    ///
    /// Where noise is predicted, a row's error is weighted by abar_t / (1 - abar_t): that makes the squared error of the
    /// clean action the squared error of the noise it implies, which is the loss of Ho et al. wherever nothing is held.
    pub fn clean(
        &self,
        output: Tensor<2>,
        noisy: Vec<f32>,
        predict: Predict,
        levels: &[Level],
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        if predict == Predict::Action {
            return (output, None);
        }
        let (device, shape): (Device, [usize; 2]) = (output.device(), output.dims());
        let data = |values| Tensor::<2>::from_data(TensorData::new(values, shape), &device);
        let by_row = |of: fn(&Level) -> f32| data(self.by_row(levels, of));
        let proposal = (data(noisy) - output * by_row(|l| l.noise)) / by_row(|l| l.action);
        (proposal, Some(by_row(|l| (l.action / l.noise).powi(2))))
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
