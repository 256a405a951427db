//! The U-Net in training: the forward pass and the loss. The backward pass is in `backward.rs`.

use std::{ops::Range, sync::Arc};

use kernels::Product;

use super::{
    Plan, Stage, Unet, UnetSettings,
    act::concatenate,
    conv::Conv,
    norm::{ChannelBuffers, Norm, film},
    plan::Block,
};
use crate::{
    backbone::{
        Batch, Level, LossFn, Network, NoiseSample, TrainableNet, Workspace, denoise::sinusoids,
        mish::mish_with_derivative, product::add,
    },
    seed::Seed,
};

/// The network in training.
#[derive(Debug, Clone)]
pub struct UnetNet {
    settings: UnetSettings,
    plan: Arc<Plan>,
    levels: Vec<Level>,
}

/// Buffers of a training step.
#[derive(Debug, Default)]
pub struct UnetWorkspace {
    pub(super) product: Product,
    pub(super) channels: ChannelBuffers,
    noisy: Vec<f32>,
}

/// Activations of a forward pass that the backward pass needs.
#[derive(Debug)]
pub(super) struct Tape {
    pub stages: Vec<StageActivations>,
    pub time: [Vec<f32>; 2],        // inputs of the layers of the time embedding
    pub derivatives: [Vec<f32>; 2], // of Mish: after the first layer of the time embedding, and of the condition
    pub condition: Vec<f32>,        // after Mish
    pub film: Vec<f32>,             // [batch, film]
}

/// Activations of a block.
#[derive(Debug)]
pub(super) struct BlockActivations {
    pub(super) windows: Vec<f32>,
    pub(super) x: Vec<f32>,          // normalized
    pub(super) derivative: Vec<f32>, // of Mish
    pub(super) inverse: Vec<f32>,    // [batch, channels]
}

/// Activations of a stage. A convolution has its windows.
#[derive(Debug)]
pub(super) enum StageActivations {
    Conv(Vec<f32>),
    Block(BlockActivations),
    Residual(Box<ResidualActivations>),
}

/// Activations of a residual.
#[derive(Debug)]
pub(super) struct ResidualActivations {
    pub(super) first: BlockActivations,
    /// The output of the first block, before FiLM.
    pub(super) between: Vec<f32>,
    pub(super) second: BlockActivations,
    /// Windows of the shortcut's convolution.
    pub(super) shortcut: Option<Vec<f32>>,
}

impl UnetNet {
    /// The network of a backbone, and its parameters.
    pub fn new(unet: &Unet) -> (Self, Vec<f32>) {
        let settings = unet.settings;
        let levels = settings.schedule.levels(settings.steps, settings.sampler);
        (Self { settings, plan: unet.plan.clone(), levels }, unet.parameters.clone())
    }

    /// The backbone of given parameters.
    pub fn with_parameters(&self, parameters: &[f32]) -> Unet {
        Unet::from_parts(self.settings, self.plan.clone(), parameters.to_vec())
    }

    /// The random part of a training step on a batch.
    pub fn sample_noise(&self, batch: &Batch, seed: Seed) -> NoiseSample {
        let width = self.settings.horizon * self.plan.n_act;
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
        workspace: &mut UnetWorkspace,
    ) -> f64 {
        let mut noisy = std::mem::take(&mut workspace.noisy);
        sample.add_noise(batch.actions, &self.levels, &mut noisy);
        let (mut output, tape) =
            self.forward(parameters, &noisy, &sample.steps, batch.observations, workspace);
        let weights = sample.to_clean(&mut output, &noisy, self.settings.prediction, &self.levels);
        let mut output_grad = vec![0.0; output.len()];
        let loss = loss_fn(&output, weights.as_deref(), &mut output_grad);
        sample.to_clean_backward(&mut output_grad, self.settings.prediction, &self.levels);
        grad.fill(0.0);
        tape.backward(&self.plan, parameters, output_grad, grad, workspace);
        workspace.noisy = noisy;
        loss
    }

    /// The output `[batch * horizon, n_act]` for noisy chunks, the diffusion step of each (counted from 0), and windows of
    /// observations.
    pub(super) fn forward(
        &self,
        parameters: &[f32],
        noisy: &[f32],
        steps: &[usize],
        observations: &[f32],
        workspace: &mut UnetWorkspace,
    ) -> (Vec<f32>, Tape) {
        let plan = &*self.plan;
        let (batch, width) = (steps.len(), plan.widths[0]);

        let mut embedding = vec![0.0; batch * width];
        embedding.chunks_exact_mut(width).zip(steps).for_each(|(row, &t)| sinusoids(t, row));
        let (mut hidden, first) = convolve(&plan.time[0], parameters, &embedding, &mut workspace.product);
        let mut hidden_derivative = vec![0.0; hidden.len()];
        mish_with_derivative(&mut hidden, &mut hidden_derivative);
        let (time, second) = convolve(&plan.time[1], parameters, &hidden, &mut workspace.product);
        let mut condition = Vec::new();
        concatenate(&time, observations, batch, &mut condition);
        let mut derivative = vec![0.0; condition.len()];
        mish_with_derivative(&mut condition, &mut derivative);
        let (film_all, condition) = convolve(&plan.film, parameters, &condition, &mut workspace.product);

        let mut values = vec![noisy.to_vec()];
        let mut stages = Vec::with_capacity(plan.stages.len());
        for stage in &plan.stages {
            let x = values.last().expect("value 0");
            let (y, saved) = match stage {
                Stage::Conv(conv) => {
                    let (y, windows) = convolve(conv, parameters, x, &mut workspace.product);
                    (y, StageActivations::Conv(windows))
                }
                Stage::Block(block) => {
                    let (y, saved) = block_forward(block, parameters, x, workspace);
                    (y, StageActivations::Block(saved))
                }
                Stage::Residual(of) => {
                    let mut joined = Vec::new();
                    let x = match of.skip {
                        None => x,
                        Some(skip) => {
                            concatenate(x, &values[skip], batch * of.first.conv.time, &mut joined);
                            &joined
                        }
                    };
                    let (between, first) = block_forward(&of.first, parameters, x, workspace);
                    let mut scaled = between.clone();
                    let (rows, row) = (film_all.chunks_exact(plan.film.outputs), scaled.len() / batch);
                    let width = 2 * of.second.conv.inputs;
                    rows.zip(scaled.chunks_exact_mut(row)).for_each(|(f, y)| film(&f[of.film..][..width], y));
                    let (mut y, second) = block_forward(&of.second, parameters, &scaled, workspace);
                    let shortcut = of
                        .shortcut
                        .as_ref()
                        .map(|conv| convolve(conv, parameters, x, &mut workspace.product));
                    add(&mut y, shortcut.as_ref().map_or(x, |(shortcut, _)| shortcut));
                    let shortcut = shortcut.map(|(_, windows)| windows);
                    (
                        y,
                        StageActivations::Residual(Box::new(ResidualActivations {
                            first,
                            between,
                            second,
                            shortcut,
                        })),
                    )
                }
            };
            values.push(y);
            stages.push(saved);
        }
        let output = values.pop().expect("the output of the last stage");
        let derivatives = [hidden_derivative, derivative];
        (output, Tape { stages, time: [first, second], derivatives, condition, film: film_all })
    }
}

impl TrainableNet for UnetNet {
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

    /// All parameters, as Chi et al. have it.
    fn decaying(&self) -> Vec<Range<usize>> {
        std::iter::once(0..self.plan.n_parameters()).collect()
    }

    fn to_network(&self, parameters: &[f32]) -> Network {
        self.with_parameters(parameters).into()
    }
}

/// A convolution of a batch with its biases. Returns the output and the windows.
fn convolve(conv: &Conv, parameters: &[f32], x: &[f32], product: &mut Product) -> (Vec<f32>, Vec<f32>) {
    let (mut y, windows) = conv.forward(parameters, x, product);
    let bias = &parameters[conv.bias..][..conv.outputs];
    y.chunks_exact_mut(conv.outputs).for_each(|y| add(y, bias));
    (y, windows)
}

fn block_forward(
    Block { conv, norm }: &Block,
    parameters: &[f32],
    x: &[f32],
    workspace: &mut UnetWorkspace,
) -> (Vec<f32>, BlockActivations) {
    let (mut h, windows) = conv.forward(parameters, x, &mut workspace.product);
    let Norm { channels, .. } = *norm;
    let row = conv.time * channels;
    let (mut y, mut derivative) = (vec![0.0; h.len()], vec![0.0; h.len()]);
    let mut inverse = vec![0.0; h.len() / conv.time];
    for (((h, y), derivative), inverse) in h
        .chunks_exact_mut(row)
        .zip(y.chunks_exact_mut(row))
        .zip(derivative.chunks_exact_mut(row))
        .zip(inverse.chunks_exact_mut(channels))
    {
        norm.forward(parameters, h, (y, derivative, inverse), &mut workspace.channels);
    }
    (y, BlockActivations { windows, x: h, derivative, inverse })
}
