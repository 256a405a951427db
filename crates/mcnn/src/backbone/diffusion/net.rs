//! The diffusion network as it is trained: one random step of noise a row.

use std::ops::Range;

use kernels::{Matrix, Product};

use super::{Diffusion, DiffusionSettings, TIME, sinusoids};
use crate::{
    backbone::{
        Batch, Level, LossFn, Network, NoiseSample, TrainableNet, Workspace,
        chain::{Bend, Chain, ChainRoom},
    },
    seed::Seed,
};

/// The network as it is trained.
#[derive(Debug, Clone)]
pub struct DiffusionNet {
    settings: DiffusionSettings,
    levels: Vec<Level>,
    waves: Vec<f32>, // [steps, TIME[0]]
    body: Chain,
    time: Chain,
    widths: [usize; 2], // of the first layer that is shown the time: n_act before it, outputs
}

/// Room for a step.
#[derive(Debug, Default)]
pub struct DiffusionRoom {
    body: ChainRoom,
    time: ChainRoom,
    noisy: Vec<f32>,
    of_time: Vec<f32>, // slopes by what each row was shown of the time, [rows, TIME[2]]
    product: Product,
}

impl DiffusionNet {
    /// The network of a backbone, and its numbers.
    pub fn new(diffusion: &Diffusion) -> (Self, Vec<f32>) {
        let [time, body] = diffusion.layers();
        let mut numbers = Vec::new();
        let settings = diffusion.settings;
        let mut waves = vec![0.0; settings.steps * TIME[0]];
        waves.chunks_exact_mut(TIME[0]).enumerate().for_each(|(t, waves)| sinusoids(t, waves));
        let net = Self {
            settings,
            levels: diffusion.levels.clone(),
            waves,
            body: Chain::new(body, Bend::Mish, &mut numbers),
            time: Chain::new(time, Bend::Mish, &mut numbers),
            widths: [diffusion.n_act(), body.widths()[1]],
        };
        (net, numbers)
    }

    /// The backbone of given parameters.
    pub fn with_parameters(&self, parameters: &[f32]) -> Diffusion {
        Diffusion::new(self.settings, self.time.layers(parameters), self.body.layers(parameters))
            .expect("a network's own layers fit")
    }

    /// What is random in training on a batch.
    pub fn draw(&self, batch: &Batch, seed: Seed) -> NoiseSample {
        let rows = batch.real.len();
        NoiseSample::new(rows, batch.actions.len() / rows, self.settings.steps, &mut seed.rng())
    }

    /// See [`TrainableNet::loss_and_grad`], for a given noise sample: the outputs are predictions of clean actions from noisy
    /// ones.
    pub fn loss_and_grad_of(
        &self,
        parameters: &[f32],
        batch: &Batch,
        draws: &NoiseSample,
        loss_fn: LossFn,
        grad: &mut [f32],
        workspace: &mut DiffusionRoom,
    ) -> f64 {
        let DiffusionRoom { body, time, noisy, of_time, product } = workspace;
        let (rows, [n_act, first]) = (draws.steps.len(), self.widths);
        // The time's layers are computed once a diffusion step, then handed to the rows.
        time.values.resize_with(1, Vec::new);
        time.values[0].clear();
        time.values[0].extend_from_slice(&self.waves);
        self.time.forward(parameters, time);
        let times = time.values.last().expect("an output");
        draws.noisy(batch.actions, &self.levels, noisy);
        body.values.resize_with(1, Vec::new);
        let input = &mut body.values[0];
        input.clear();
        let observations = batch.observations.chunks_exact(batch.observations.len() / rows);
        for ((noisy, &t), observation) in noisy.chunks_exact(n_act).zip(&draws.steps).zip(observations) {
            input.extend_from_slice(noisy);
            input.extend_from_slice(&times[t * TIME[2]..][..TIME[2]]);
            input.extend_from_slice(observation);
        }
        self.body.forward(parameters, body);
        let output = body.values.last_mut().expect("an output");
        let weights = draws.clean(output, noisy, self.settings.prediction, &self.levels);
        body.delta.resize(output.len(), 0.0);
        let loss = loss_fn(output, weights.as_deref(), &mut body.delta);
        draws.clean_back(&mut body.delta, self.settings.prediction, &self.levels);
        self.body.back(parameters, body, grad);

        of_time.resize(rows * TIME[2], 0.0);
        let weight = &parameters[self.body.weight(0)][n_act * first..][..TIME[2] * first];
        let delta = Matrix::new(&body.delta, [rows, first]);
        product.set(delta, Matrix::new(weight, [TIME[2], first]).turned(), of_time);
        time.delta.clear();
        time.delta.resize(self.settings.steps * TIME[2], 0.0);
        for (of_row, &t) in of_time.chunks_exact(TIME[2]).zip(&draws.steps) {
            time.delta[t * TIME[2]..].iter_mut().zip(of_row).for_each(|(sum, d)| *sum += d);
        }
        self.time.back(parameters, time, grad);
        loss
    }
}

impl TrainableNet for DiffusionNet {
    fn loss_and_grad(
        &self,
        parameters: &[f32],
        batch: &Batch,
        seed: Seed,
        loss_fn: LossFn,
        grad: &mut [f32],
        workspace: &mut Workspace,
    ) -> f64 {
        let noise = self.draw(batch, seed);
        self.loss_and_grad_of(parameters, batch, &noise, loss_fn, grad, workspace.buffers())
    }

    fn decaying(&self) -> Vec<Range<usize>> {
        [self.body.weights(), self.time.weights()].concat()
    }

    fn to_network(&self, parameters: &[f32]) -> Network {
        self.with_parameters(parameters).into()
    }
}
