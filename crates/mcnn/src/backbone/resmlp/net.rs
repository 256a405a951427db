//! The residual MLP in training.

use std::{ops::Range, sync::Arc};

use kernels::Product;

use super::{Layout, OBSERVED, ResMlp, ResMlpSettings, TIME, norm::Normalized};
use crate::{
    backbone::{
        Batch, Level, LossFn, Network, NoiseSample, TrainableNet, Workspace,
        denoise::sinusoids,
        mish::mish_with_derivative,
        product::{add, multiply},
    },
    seed::Seed,
};

/// The network in training.
#[derive(Debug, Clone)]
pub struct ResMlpNet {
    settings: ResMlpSettings,
    layout: Arc<Layout>,
    levels: Vec<Level>,
    embeddings: Vec<f32>, // of all diffusion steps: [steps, TIME]
}

/// Buffers of a training step.
#[derive(Debug, Default)]
pub struct ResMlpWorkspace {
    product: Product,
    noisy: Vec<f32>,
    input: Vec<f32>,
    values: Vec<f32>, // between the blocks, then after the last Mish
    derivative: Vec<f32>,
    blocks: Vec<BlockActivations>,
    output: Vec<f32>,
    delta: Vec<f32>, // of the output, and of the values inside a block
    before: Vec<f32>,
    grad: Vec<f32>, // of the values between the blocks
}

/// Activations of a block: after both Mish, with the derivatives.
#[derive(Debug, Default)]
struct BlockActivations {
    norm: Normalized,
    first: [Vec<f32>; 2],
    second: [Vec<f32>; 2],
}

impl ResMlpNet {
    /// The network of a backbone, and its parameters.
    pub fn new(network: &ResMlp) -> (Self, Vec<f32>) {
        let settings = network.settings;
        let levels = settings.schedule.levels(settings.steps, settings.sampler);
        let mut embeddings = vec![0.0; settings.steps * TIME];
        embeddings.chunks_exact_mut(TIME).enumerate().for_each(|(t, row)| sinusoids(t, row));
        let net = Self { settings, layout: network.layout.clone(), levels, embeddings };
        (net, network.parameters.clone())
    }

    /// The backbone of given parameters.
    pub fn with_parameters(&self, parameters: &[f32]) -> ResMlp {
        ResMlp::from_parts(self.settings, self.layout.clone(), parameters.to_vec())
    }

    /// The random part of a training step on a batch.
    pub fn sample_noise(&self, batch: &Batch, seed: Seed) -> NoiseSample {
        let width = self.layout.output.outputs;
        NoiseSample::new(batch.actions.len() / width, width, self.settings.steps, &mut seed.rng())
    }

    /// See [`TrainableNet::loss_and_grad`], for a given noise sample: the outputs are predictions of clean chunks from noisy
    /// ones. Steps beyond the end of an episode are its last action, with noise added as to any other.
    pub fn loss_and_grad_of(
        &self,
        parameters: &[f32],
        batch: &Batch,
        sample: &NoiseSample,
        loss_fn: LossFn,
        grad: &mut [f32],
        workspace: &mut ResMlpWorkspace,
    ) -> f64 {
        sample.add_noise(batch.actions, &self.levels, &mut workspace.noisy);
        self.forward(parameters, &sample.steps, batch.observations, workspace);
        let ResMlpWorkspace { noisy, output, delta, .. } = workspace;
        let weights = sample.to_clean(output, noisy, self.settings.prediction, &self.levels);
        delta.resize(output.len(), 0.0);
        let loss = loss_fn(output, weights.as_deref(), delta);
        sample.to_clean_backward(delta, self.settings.prediction, &self.levels);
        self.backward(parameters, grad, workspace);
        loss
    }

    /// The forward pass on the noisy chunks of the workspace, the diffusion step of each (counted from 0) and windows of
    /// observations. The workspace's output is `[rows * horizon, n_act]`.
    fn forward(
        &self,
        parameters: &[f32],
        steps: &[usize],
        observations: &[f32],
        workspace: &mut ResMlpWorkspace,
    ) {
        let layout = &*self.layout;
        let ResMlpWorkspace { product, noisy, input, values, derivative, blocks, output, before, .. } =
            workspace;
        let chunks = noisy.chunks_exact(layout.output.outputs);
        input.clear();
        for ((chunk, &t), window) in
            chunks.zip(steps).zip(observations.chunks_exact(observations.len() / steps.len()))
        {
            input.extend_from_slice(chunk);
            input.extend_from_slice(&self.embeddings[t * TIME..][..TIME]);
            input.extend(window.iter().map(|x| x * OBSERVED));
        }
        layout.input.forward(parameters, input, values, product);
        blocks.resize_with(layout.blocks.len(), Default::default);
        for (block, BlockActivations { norm, first, second }) in layout.blocks.iter().zip(blocks) {
            let [scale, shift] = [&block.scale, &block.shift].map(|range| &parameters[range.clone()]);
            norm.forward(values, scale, shift, &mut first[0]);
            activate(first);
            block.first.forward(parameters, &first[0], &mut second[0], product);
            activate(second);
            block.second.forward(parameters, &second[0], before, product);
            add(values, before);
        }
        derivative.resize(values.len(), 0.0);
        mish_with_derivative(values, derivative);
        layout.output.forward(parameters, values, output, product);
    }

    /// The output of the forward pass on given noisy chunks.
    #[cfg(test)]
    pub(super) fn forward_of(
        &self,
        parameters: &[f32],
        noisy: &[f32],
        steps: &[usize],
        observations: &[f32],
        workspace: &mut ResMlpWorkspace,
    ) -> Vec<f32> {
        workspace.noisy = noisy.to_vec();
        self.forward(parameters, steps, observations, workspace);
        workspace.output.clone()
    }

    /// The backward pass from the workspace's `delta`. Overwrites `grad`.
    fn backward(&self, parameters: &[f32], grad: &mut [f32], workspace: &mut ResMlpWorkspace) {
        let layout = &*self.layout;
        let ResMlpWorkspace {
            product,
            input,
            values,
            derivative,
            blocks,
            delta,
            before,
            grad: of_values,
            ..
        } = workspace;
        layout.output.gradient(values, delta, grad, product);
        layout.output.backward(parameters, delta, of_values, product);
        multiply(of_values, derivative);
        for (block, BlockActivations { norm, first, second }) in layout.blocks.iter().zip(blocks).rev() {
            block.second.gradient(&second[0], of_values, grad, product);
            block.second.backward(parameters, of_values, delta, product);
            multiply(delta, &second[1]);
            block.first.gradient(&first[0], delta, grad, product);
            block.first.backward(parameters, delta, before, product);
            multiply(before, &first[1]);
            // Scale and shift lie side by side.
            let of_norm = grad[block.scale.start..block.shift.end].split_at_mut(layout.width);
            norm.backward(before, &parameters[block.scale.clone()], of_values, of_norm.into());
        }
        layout.input.gradient(input, of_values, grad, product);
    }
}

/// Applies Mish to the first and writes its derivatives to the second.
fn activate([values, derivatives]: &mut [Vec<f32>; 2]) {
    derivatives.resize(values.len(), 0.0);
    mish_with_derivative(values, derivatives);
}

impl TrainableNet for ResMlpNet {
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
        self.layout.linears().map(|linear| linear.weight()).collect()
    }

    fn to_network(&self, parameters: &[f32]) -> Network {
        self.with_parameters(parameters).into()
    }
}
