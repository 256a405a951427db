//! The U-Net as it is trained, forward and back written out: products of matrices, and all else in single passes over the
//! numbers. PyTorch's gradients hold it to account in a test.

use std::{ops::Range, sync::Arc};

use kernels::Product;

use super::{
    Part, Plan, Unet, UnetSettings,
    act::join,
    conv::Conv,
    norm::{self, Norm, film},
    plan::Block,
};
use crate::{
    backbone::{
        Batch, Level, LossFn, Network, NoiseSample, TrainableNet, Workspace, denoise::sinusoids,
        mish::mish_with_slope, product::vectors,
    },
    seed::Seed,
};

/// The network as it is trained.
#[derive(Debug, Clone)]
pub struct UnetNet {
    settings: UnetSettings,
    plan: Arc<Plan>,
    levels: Vec<Level>,
}

/// Room for a step.
#[derive(Debug, Default)]
pub struct UnetRoom {
    pub(super) product: Product,
    pub(super) channels: norm::Room,
    noisy: Vec<f32>,
}

/// What a forward pass leaves for the way back.
#[derive(Debug)]
pub(super) struct Tape {
    pub parts: Vec<Kept>,
    pub time: [Vec<f32>; 2],   // what went into the time's layers
    pub slopes: [Vec<f32>; 2], // of Mish after the time's first layer, and of the condition
    pub condition: Vec<f32>,   // after Mish
    pub film: Vec<f32>,        // [batch, film]
}

/// What a block leaves for the way back.
#[derive(Debug)]
pub(super) struct KeptBlock {
    pub(super) windows: Vec<f32>,
    pub(super) x: Vec<f32>, // normalized
    pub(super) slope: Vec<f32>,
    pub(super) inverse: Vec<f32>, // [batch, channels]
}

#[derive(Debug)]
pub(super) enum Kept {
    Conv(Vec<f32>),
    Block(KeptBlock),
    Residual(Box<KeptResidual>),
}

#[derive(Debug)]
pub(super) struct KeptResidual {
    pub(super) first: KeptBlock,
    /// What the first block made, before it is scaled and shifted.
    pub(super) between: Vec<f32>,
    pub(super) second: KeptBlock,
    pub(super) around: Option<Vec<f32>>,
}

impl UnetNet {
    /// The network of a backbone, and its numbers.
    pub fn new(unet: &Unet) -> (Self, Vec<f32>) {
        let settings = unet.settings;
        let levels = settings.schedule.levels(settings.steps, settings.sampler);
        (Self { settings, plan: unet.plan.clone(), levels }, unet.numbers.clone())
    }

    /// The backbone of given parameters.
    pub fn with_parameters(&self, parameters: &[f32]) -> Unet {
        Unet::of(self.settings, self.plan.clone(), parameters.to_vec())
    }

    /// What is random in training on a batch.
    pub fn draw(&self, batch: &Batch, seed: Seed) -> NoiseSample {
        let width = self.settings.horizon * self.plan.n_act;
        NoiseSample::new(batch.actions.len() / width, width, self.settings.steps, &mut seed.rng())
    }

    /// See [`TrainableNet::loss_and_grad`], for a given noise sample: the outputs are predictions of clean chunks from noisy
    /// ones. Steps beyond the end of an episode are its last action, with noise added as to any other.
    pub fn loss_and_grad_of(
        &self,
        parameters: &[f32],
        batch: &Batch,
        draws: &NoiseSample,
        loss_fn: LossFn,
        grad: &mut [f32],
        workspace: &mut UnetRoom,
    ) -> f64 {
        let mut noisy = std::mem::take(&mut workspace.noisy);
        draws.noisy(batch.actions, &self.levels, &mut noisy);
        let (mut output, tape) =
            self.forward(parameters, &noisy, &draws.steps, batch.observations, workspace);
        let weights = draws.clean(&mut output, &noisy, self.settings.prediction, &self.levels);
        let mut slopes = vec![0.0; output.len()];
        let loss = loss_fn(&output, weights.as_deref(), &mut slopes);
        draws.clean_back(&mut slopes, self.settings.prediction, &self.levels);
        grad.fill(0.0);
        tape.back(&self.plan, parameters, slopes, grad, workspace);
        workspace.noisy = noisy;
        loss
    }

    /// The network's output, `[batch * horizon, n_act]`, for noisy chunks, a diffusion step each (counted from 0) and windows
    /// of observations.
    pub(super) fn forward(
        &self,
        numbers: &[f32],
        noisy: &[f32],
        steps: &[usize],
        observations: &[f32],
        room: &mut UnetRoom,
    ) -> (Vec<f32>, Tape) {
        let plan = &*self.plan;
        let (batch, waves) = (steps.len(), plan.widths[0]);

        let mut wave = vec![0.0; batch * waves];
        wave.chunks_exact_mut(waves).zip(steps).for_each(|(wave, &t)| sinusoids(t, wave));
        let (mut hidden, first) = convolved(&plan.time[0], numbers, &wave, &mut room.product);
        let mut hidden_slope = vec![0.0; hidden.len()];
        mish_with_slope(&mut hidden, &mut hidden_slope);
        let (time, second) = convolved(&plan.time[1], numbers, &hidden, &mut room.product);
        let mut condition = Vec::new();
        join(&time, observations, batch, &mut condition);
        let mut slope = vec![0.0; condition.len()];
        mish_with_slope(&mut condition, &mut slope);
        let (film_all, condition) = convolved(&plan.film, numbers, &condition, &mut room.product);

        let mut made = vec![noisy.to_vec()];
        let mut parts = Vec::with_capacity(plan.parts.len());
        for part in &plan.parts {
            let x = made.last().expect("value 0");
            let (y, kept) = match part {
                Part::Conv(conv) => {
                    let (y, windows) = convolved(conv, numbers, x, &mut room.product);
                    (y, Kept::Conv(windows))
                }
                Part::Block(block) => {
                    let (y, kept) = block_forward(block, numbers, x, room);
                    (y, Kept::Block(kept))
                }
                Part::Residual(of) => {
                    let mut joined = Vec::new();
                    let x = match of.skip {
                        None => x,
                        Some(skip) => {
                            join(x, &made[skip], batch * of.first.conv.time, &mut joined);
                            &joined
                        }
                    };
                    let (between, first) = block_forward(&of.first, numbers, x, room);
                    let mut scaled = between.clone();
                    let (rows, row) = (film_all.chunks_exact(plan.film.outputs), scaled.len() / batch);
                    let width = 2 * of.second.conv.inputs;
                    rows.zip(scaled.chunks_exact_mut(row)).for_each(|(f, y)| film(&f[of.film..][..width], y));
                    let (mut y, second) = block_forward(&of.second, numbers, &scaled, room);
                    let around =
                        of.around.as_ref().map(|conv| convolved(conv, numbers, x, &mut room.product));
                    add(&mut y, around.as_ref().map_or(x, |(around, _)| around));
                    let around = around.map(|(_, windows)| windows);
                    (y, Kept::Residual(Box::new(KeptResidual { first, between, second, around })))
                }
            };
            made.push(y);
            parts.push(kept);
        }
        let output = made.pop().expect("an end");
        let slopes = [hidden_slope, slope];
        (output, Tape { parts, time: [first, second], slopes, condition, film: film_all })
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
        let noise = self.draw(batch, seed);
        self.loss_and_grad_of(parameters, batch, &noise, loss_fn, grad, workspace.buffers())
    }

    /// All parameters, as Chi et al. have it.
    fn decaying(&self) -> Vec<Range<usize>> {
        std::iter::once(0..self.plan.numbers()).collect()
    }

    fn to_network(&self, parameters: &[f32]) -> Network {
        self.with_parameters(parameters).into()
    }
}

/// A convolution of a batch with its biases.
fn convolved(conv: &Conv, numbers: &[f32], x: &[f32], product: &mut Product) -> (Vec<f32>, Vec<f32>) {
    let (mut y, windows) = conv.batch(numbers, x, product);
    let bias = &numbers[conv.bias..][..conv.outputs];
    y.chunks_exact_mut(conv.outputs).for_each(|y| add(y, bias));
    (y, windows)
}

fn block_forward(
    Block { conv, norm }: &Block,
    numbers: &[f32],
    x: &[f32],
    room: &mut UnetRoom,
) -> (Vec<f32>, KeptBlock) {
    let (mut h, windows) = conv.batch(numbers, x, &mut room.product);
    let Norm { channels, .. } = *norm;
    let row = conv.time * channels;
    let (mut y, mut slope) = (vec![0.0; h.len()], vec![0.0; h.len()]);
    let mut inverse = vec![0.0; h.len() / conv.time];
    for (((h, y), slope), inverse) in h
        .chunks_exact_mut(row)
        .zip(y.chunks_exact_mut(row))
        .zip(slope.chunks_exact_mut(row))
        .zip(inverse.chunks_exact_mut(channels))
    {
        norm.forward(numbers, h, (y, slope, inverse), &mut room.channels);
    }
    (y, KeptBlock { windows, x: h, slope, inverse })
}

/// Adds numbers to as many others, one to one.
pub(super) fn add(to: &mut [f32], from: &[f32]) {
    vectors(|| to.iter_mut().zip(from).for_each(|(a, b)| *a += b));
}
