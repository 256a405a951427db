//! The diffusion network as it is trained: one random step of noise a row.

use burn::{
    module::Module,
    nn::Linear,
    tensor::{Device, Tensor, TensorData},
};

use super::{Diffusion, DiffusionSettings, Predict, TIME, mish::mish_trained, schedule::Level, sinusoids};
use crate::{
    backbone::{Layers, Proposed},
    seed::{Rng, Seed},
};

/// What is random in a training step.
#[derive(Debug, Clone, PartialEq)]
pub struct Draws {
    /// The diffusion step of each row, counted from 0: `[batch]`.
    pub steps: Vec<usize>,
    /// Standard normal noise: `[batch, n_act]`.
    pub noise: Vec<f32>,
}

impl Draws {
    /// Draws for a batch: steps evenly from 0 to `steps - 1`.
    pub fn new(batch: usize, n_act: usize, steps: usize, rng: &mut Rng) -> Self {
        Self {
            steps: (0..batch).map(|_| rng.below(steps)).collect(),
            noise: (0..batch * n_act).map(|_| rng.normal() as f32).collect(),
        }
    }
}

/// The network as it is trained.
#[derive(Module, Debug)]
pub struct DiffusionNet {
    body: Vec<Linear>,
    time: Vec<Linear>,
    #[module(skip)]
    settings: DiffusionSettings,
    #[module(skip)]
    levels: Vec<Level>,
}

impl DiffusionNet {
    /// The network with the numbers of `diffusion`, on a device.
    pub fn new(diffusion: &Diffusion, device: &Device) -> Self {
        let [time, body] = diffusion.layers();
        let after = 1 + 2 * (body.widths().len() - 1) as u64;
        Self {
            body: body.to_burn(1, device),
            time: time.to_burn(after, device),
            settings: diffusion.settings,
            levels: diffusion.levels.clone(),
        }
    }

    /// The numbers as they are now.
    pub fn numbers(&self) -> Diffusion {
        Diffusion::new(self.settings, Layers::of_burn(&self.time), Layers::of_burn(&self.body))
            .expect("a network's own layers fit")
    }

    /// What is random in training on a batch of that many rows and numbers of actions.
    pub fn draw(&self, batch: usize, actions: usize, seed: Seed) -> Draws {
        Draws::new(batch, actions / batch, self.settings.steps, &mut seed.rng())
    }

    /// The network's output for noisy actions (`[batch, n_act]`), a diffusion step each (counted from 0), and
    /// observations (`[batch, n_obs]`).
    pub fn forward(&self, noisy: Tensor<2>, steps: &[usize], observations: Tensor<2>) -> Tensor<2> {
        let device = noisy.device();
        let data = |values, shape| Tensor::<2>::from_data(TensorData::new(values, shape), &device);
        // The time's layers are computed once a diffusion step, then handed to the rows by a product with ones and zeros.
        let n = self.settings.steps;
        let waves = data((0..n).flat_map(sinusoids).collect::<Vec<f32>>(), [n, TIME[0]]);
        let times = self.time[1].forward(mish_trained(self.time[0].forward(waves)));
        let mut which = vec![0.0; steps.len() * n];
        steps.iter().enumerate().for_each(|(row, t)| which[row * n + t] = 1.0);
        let times = data(which, [steps.len(), n]).matmul(times);
        let (last, hidden) = self.body.split_last().expect("at least one layer");
        let input = Tensor::cat(vec![noisy, times, observations], 1);
        last.forward(hidden.iter().fold(input, |x, layer| mish_trained(layer.forward(x))))
    }

    /// Predictions of clean actions from actions with noise on them (`actions`: `[batch, n_act]`, row by row), before
    /// they are held.
    ///
    /// Where noise is predicted, a row's error is weighted by abar_t / (1 - abar_t): that makes the squared error of the
    /// clean action the squared error of the noise it implies, which is the loss of Ho et al. wherever nothing is held.
    pub fn propose(&self, observations: Tensor<2>, actions: &[f32], draws: &Draws) -> Proposed {
        let device = observations.device();
        let (batch, n_act) = (draws.steps.len(), actions.len() / draws.steps.len());
        let data = |values| Tensor::<2>::from_data(TensorData::new(values, [batch, n_act]), &device);
        let by_row = |of: &dyn Fn(&Level) -> f32| {
            draws
                .steps
                .iter()
                .flat_map(|&t| std::iter::repeat_n(of(&self.levels[t]), n_act))
                .collect::<Vec<_>>()
        };
        let (keep, add) = (by_row(&|l| l.action), by_row(&|l| l.noise));
        let noisy: Vec<f32> = actions
            .iter()
            .zip(&draws.noise)
            .zip(keep.iter().zip(&add))
            .map(|((a, e), (keep, add))| keep * a + add * e)
            .collect();
        let output = self.forward(data(noisy.clone()), &draws.steps, observations);
        match self.settings.predict {
            Predict::Action => Proposed { proposal: output, weights: None, own: None },
            Predict::Noise => Proposed {
                proposal: (data(noisy) - output * data(add)) / data(keep),
                weights: Some(data(by_row(&|l| (l.action / l.noise).powi(2)))),
                own: None,
            },
        }
    }
}
