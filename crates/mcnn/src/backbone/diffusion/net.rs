//! The diffusion network in training: one random diffusion step per row.

use std::ops::Range;

use kernels::{Matrix, Product};

use super::{Diffusion, DiffusionSettings, TIME, sinusoids};
use crate::{
    backbone::{
        Batch, Level, LossFn, Network, NoiseSample, TrainableNet, Workspace,
        layer_stack::{HiddenActivation, LayerStack, StackWorkspace},
    },
    seed::Seed,
};

/// The network in training.
#[derive(Debug, Clone)]
pub struct DiffusionNet {
    settings: DiffusionSettings,
    levels: Vec<Level>,
    embeddings: Vec<f32>, // of all diffusion steps: [steps, TIME[0]]
    body: LayerStack,
    time: LayerStack,
    widths: [usize; 2], // n_act, and the outputs of the first layer
}

/// Buffers of a training step.
#[derive(Debug, Default)]
pub struct DiffusionWorkspace {
    body: StackWorkspace,
    time: StackWorkspace,
    noisy: Vec<f32>,
    grad_time: Vec<f32>, // with respect to the time embedding of each row: [rows, TIME[2]]
    product: Product,
}

impl DiffusionNet {
    /// The network of a backbone, and its parameters.
    pub fn new(diffusion: &Diffusion) -> (Self, Vec<f32>) {
        let [time, body] = diffusion.layers();
        let mut parameters = Vec::new();
        let settings = diffusion.settings;
        let mut embeddings = vec![0.0; settings.steps * TIME[0]];
        embeddings.chunks_exact_mut(TIME[0]).enumerate().for_each(|(t, row)| sinusoids(t, row));
        let net = Self {
            settings,
            levels: diffusion.levels.clone(),
            embeddings,
            body: LayerStack::new(body, HiddenActivation::Mish, &mut parameters),
            time: LayerStack::new(time, HiddenActivation::Mish, &mut parameters),
            widths: [diffusion.n_act(), body.widths()[1]],
        };
        (net, parameters)
    }

    /// The backbone of given parameters.
    pub fn with_parameters(&self, parameters: &[f32]) -> Diffusion {
        Diffusion::new(self.settings, self.time.layers(parameters), self.body.layers(parameters))
            .expect("a network's own layers fit")
    }

    /// The random part of a training step on a batch.
    pub fn sample_noise(&self, batch: &Batch, seed: Seed) -> NoiseSample {
        let rows = batch.mask.len();
        NoiseSample::new(rows, batch.actions.len() / rows, self.settings.steps, &mut seed.rng())
    }

    /// See [`TrainableNet::loss_and_grad`], for a given noise sample: the outputs are predictions of clean actions from noisy
    /// ones.
    pub fn loss_and_grad_of(
        &self,
        parameters: &[f32],
        batch: &Batch,
        sample: &NoiseSample,
        loss_fn: LossFn,
        grad: &mut [f32],
        workspace: &mut DiffusionWorkspace,
    ) -> f64 {
        let DiffusionWorkspace { body, time, noisy, grad_time, product } = workspace;
        let (rows, [n_act, first]) = (sample.steps.len(), self.widths);
        // The layers of the time embedding run once for all diffusion steps.
        time.values.resize_with(1, Vec::new);
        time.values[0].clear();
        time.values[0].extend_from_slice(&self.embeddings);
        self.time.forward(parameters, time);
        let times = time.values.last().expect("an output");
        sample.add_noise(batch.actions, &self.levels, noisy);
        body.values.resize_with(1, Vec::new);
        let input = &mut body.values[0];
        input.clear();
        let observations = batch.observations.chunks_exact(batch.observations.len() / rows);
        for ((noisy, &t), observation) in noisy.chunks_exact(n_act).zip(&sample.steps).zip(observations) {
            input.extend_from_slice(noisy);
            input.extend_from_slice(&times[t * TIME[2]..][..TIME[2]]);
            input.extend_from_slice(observation);
        }
        self.body.forward(parameters, body);
        let output = body.values.last_mut().expect("an output");
        let weights = sample.to_clean(output, noisy, self.settings.prediction, &self.levels);
        body.delta.resize(output.len(), 0.0);
        let loss = loss_fn(output, weights.as_deref(), &mut body.delta);
        sample.to_clean_backward(&mut body.delta, self.settings.prediction, &self.levels);
        self.body.backward(parameters, body, grad);

        grad_time.resize(rows * TIME[2], 0.0);
        let weight = &parameters[self.body.weight(0)][n_act * first..][..TIME[2] * first];
        let delta = Matrix::new(&body.delta, [rows, first]);
        product.set(delta, Matrix::new(weight, [TIME[2], first]).transposed(), grad_time);
        time.delta.clear();
        time.delta.resize(self.settings.steps * TIME[2], 0.0);
        for (of_row, &t) in grad_time.chunks_exact(TIME[2]).zip(&sample.steps) {
            time.delta[t * TIME[2]..].iter_mut().zip(of_row).for_each(|(sum, d)| *sum += d);
        }
        self.time.backward(parameters, time, grad);
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
        let noise = self.sample_noise(batch, seed);
        self.loss_and_grad_of(parameters, batch, &noise, loss_fn, grad, workspace.buffers())
    }

    fn decaying(&self) -> Vec<Range<usize>> {
        [self.body.weights(), self.time.weights()].concat()
    }

    fn to_network(&self, parameters: &[f32]) -> Network {
        self.with_parameters(parameters).into()
    }
}
