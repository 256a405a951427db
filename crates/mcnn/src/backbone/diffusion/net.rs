//! The diffusion network as it is trained: one random step of noise a row.

use burn::{
    module::Module,
    nn::Linear,
    tensor::{Device, Tensor, TensorData},
};

use super::{Diffusion, DiffusionSettings, TIME, sinusoids};
use crate::{
    backbone::{Draws, Layers, Level, Proposed, mish::mish_trained},
    seed::Seed,
};

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
        let mut waves = vec![0.0; n * TIME[0]];
        waves.chunks_exact_mut(TIME[0]).enumerate().for_each(|(t, waves)| sinusoids(t, waves));
        let times = self.time[1].forward(mish_trained(self.time[0].forward(data(waves, [n, TIME[0]]))));
        let mut which = vec![0.0; steps.len() * n];
        steps.iter().enumerate().for_each(|(row, t)| which[row * n + t] = 1.0);
        let times = data(which, [steps.len(), n]).matmul(times);
        let (last, hidden) = self.body.split_last().expect("at least one layer");
        let input = Tensor::cat(vec![noisy, times, observations], 1);
        last.forward(hidden.iter().fold(input, |x, layer| mish_trained(layer.forward(x))))
    }

    /// Predictions of clean actions from actions with noise on them (`actions`: `[batch, n_act]`, row by row), before
    /// they are held.
    pub fn propose(&self, observations: Tensor<2>, actions: &[f32], draws: &Draws) -> Proposed {
        let device = observations.device();
        let (batch, n_act) = (draws.steps.len(), actions.len() / draws.steps.len());
        let noisy = draws.noisy(actions, &self.levels);
        let input = Tensor::from_data(TensorData::new(noisy.clone(), [batch, n_act]), &device);
        let output = self.forward(input, &draws.steps, observations);
        let (proposal, weights) = draws.clean(output, noisy, self.settings.predict, &self.levels);
        Proposed { proposal, weights, own: None, tape: None }
    }
}
