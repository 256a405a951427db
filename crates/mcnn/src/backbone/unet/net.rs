//! The U-Net as it is trained, forward and back written out.
//!
//! Burn's autodiff sees the proposals as a leaf, and the weights as one array. From the gradient of the proposals the
//! [`Tape`] finds that of the weights, with the products of matrices done by Burn and all else in single passes over the
//! numbers: half the time of a graph of tensor operations. PyTorch's gradients hold it to account in a test.

use std::sync::Arc;

use burn::{
    module::{Module, Param, ParamId},
    tensor::{Device, Tensor, TensorData},
};

use super::{
    Part, Plan, Unet, UnetSettings,
    act::join,
    conv::{Conv, values},
    norm::{Norm, Room, film},
    plan::Block,
};
use crate::{
    backbone::{Batch, Draws, Level, Proposed, denoise::sinusoids, mish::mish_with_slope},
    seed::Seed,
};

/// The network as it is trained.
#[derive(Module, Debug)]
pub struct UnetNet {
    numbers: Param<Tensor<1>>,
    #[module(skip)]
    settings: UnetSettings,
    #[module(skip)]
    plan: Arc<Plan>,
    #[module(skip)]
    levels: Vec<Level>,
}

/// What a forward pass leaves for the way back.
#[derive(Debug)]
pub struct Tape {
    pub(super) id: ParamId,
    pub(super) plan: Arc<Plan>,
    pub(super) numbers: Vec<f32>,
    pub(super) leaf: Tensor<2>, // the network's output, as the loss goes on from it
    pub(super) parts: Vec<Kept>,
    pub(super) time: [Tensor<2>; 2],  // what went into the time's layers
    pub(super) slopes: [Vec<f32>; 2], // of Mish after the time's first layer, and of the condition
    pub(super) condition: Tensor<2>,  // after Mish
    pub(super) film: Vec<f32>,        // [batch, film]
}

/// What a block leaves for the way back.
#[derive(Debug)]
pub(super) struct KeptBlock {
    pub(super) windows: Tensor<2>,
    pub(super) x: Vec<f32>, // normalised
    pub(super) slope: Vec<f32>,
    pub(super) inverse: Vec<f32>, // [batch, channels]
}

#[derive(Debug)]
pub(super) enum Kept {
    Conv(Tensor<2>),
    Block(KeptBlock),
    Residual(Box<KeptResidual>),
}

#[derive(Debug)]
pub(super) struct KeptResidual {
    pub(super) first: KeptBlock,
    /// What the first block made, before it is scaled and shifted.
    pub(super) between: Vec<f32>,
    pub(super) second: KeptBlock,
    pub(super) around: Option<Tensor<2>>,
}

impl UnetNet {
    /// The network with the numbers of `unet`, on a device.
    pub fn new(unet: &Unet, device: &Device) -> Self {
        let data = TensorData::new(unet.numbers.clone(), [unet.numbers.len()]);
        let numbers = Tensor::from_data(data, device).require_grad();
        let settings = unet.settings;
        Self {
            numbers: Param::initialized(ParamId::from(1), numbers),
            settings,
            plan: unet.plan.clone(),
            levels: settings.schedule.levels(settings.steps, settings.sampler),
        }
    }

    /// The numbers as they are now.
    pub fn numbers(&self) -> Unet {
        Unet::of(self.settings, self.plan.clone(), self.plain())
    }

    /// Which parameter its numbers are.
    pub fn id(&self) -> ParamId {
        self.numbers.id
    }

    fn plain(&self) -> Vec<f32> {
        self.numbers.val().into_data().try_into_vec::<f32>().expect("f32 parameters")
    }

    /// What is random in training on a batch of that many numbers of actions.
    pub fn draw(&self, actions: usize, seed: Seed) -> Draws {
        let width = self.settings.horizon * self.plan.n_act;
        Draws::new(actions / width, width, self.settings.steps, &mut seed.rng())
    }

    /// Predictions of clean chunks from chunks with noise on them, before they are held. A place beyond the end of an
    /// episode has the last action, with noise on it, as any other has its own.
    pub fn propose(&self, batch: Batch, draws: &Draws) -> Proposed {
        let Batch { observations, actions, .. } = batch;
        let device = observations.device();
        let noisy = draws.noisy(actions, &self.levels);
        let (output, tape) = self.forward(noisy.clone(), &draws.steps, values(observations), &device);
        let (proposal, weights) = draws.clean(output, noisy, self.settings.predict, &self.levels);
        Proposed { proposal, weights, own: None, tape: Some(tape) }
    }

    /// The network's output, `[batch * horizon, n_act]`, for noisy chunks, a diffusion step each (counted from 0) and windows
    /// of observations. It is a leaf of the graph: the tape knows the way from there to the weights.
    pub fn forward(
        &self,
        noisy: Vec<f32>,
        steps: &[usize],
        observations: Vec<f32>,
        device: &Device,
    ) -> (Tensor<2>, Tape) {
        let (plan, numbers, cpu) = (&*self.plan, self.plain(), Device::flex());
        let (batch, waves) = (steps.len(), plan.widths[0]);

        let mut wave = vec![0.0; batch * waves];
        wave.chunks_exact_mut(waves).zip(steps).for_each(|(wave, &t)| sinusoids(t, wave));
        let (mut hidden, first) = convolved(&plan.time[0], &numbers, &wave, &cpu);
        let mut hidden_slope = vec![0.0; hidden.len()];
        mish_with_slope(&mut hidden, &mut hidden_slope);
        let (time, second) = convolved(&plan.time[1], &numbers, &hidden, &cpu);
        let mut condition = Vec::new();
        join(&time, &observations, batch, &mut condition);
        let mut slope = vec![0.0; condition.len()];
        mish_with_slope(&mut condition, &mut slope);
        let (film_all, condition) = convolved(&plan.film, &numbers, &condition, &cpu);

        let mut room = Room::default();
        let mut made = vec![noisy];
        let mut parts = Vec::with_capacity(plan.parts.len());
        for part in &plan.parts {
            let x = made.last().expect("value 0");
            let (y, kept) = match part {
                Part::Conv(conv) => {
                    let (y, windows) = convolved(conv, &numbers, x, &cpu);
                    (y, Kept::Conv(windows))
                }
                Part::Block(block) => {
                    let (y, kept) = block_forward(block, &numbers, x, &mut room, &cpu);
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
                    let (between, first) = block_forward(&of.first, &numbers, x, &mut room, &cpu);
                    let mut scaled = between.clone();
                    let (rows, row) = (film_all.chunks_exact(plan.film.outputs), scaled.len() / batch);
                    let width = 2 * of.second.conv.inputs;
                    rows.zip(scaled.chunks_exact_mut(row)).for_each(|(f, y)| film(&f[of.film..][..width], y));
                    let (mut y, second) = block_forward(&of.second, &numbers, &scaled, &mut room, &cpu);
                    let around = of.around.as_ref().map(|conv| convolved(conv, &numbers, x, &cpu));
                    add(&mut y, around.as_ref().map_or(x, |(around, _)| around));
                    let around = around.map(|(_, windows)| windows);
                    (y, Kept::Residual(Box::new(KeptResidual { first, between, second, around })))
                }
            };
            made.push(y);
            parts.push(kept);
        }
        let output = made.pop().expect("an end");
        let shape = [batch * self.settings.horizon, plan.n_act];
        let leaf = Tensor::<2>::from_data(TensorData::new(output, shape), device).require_grad();
        let tape = Tape {
            id: self.numbers.id,
            plan: self.plan.clone(),
            numbers,
            leaf: leaf.clone(),
            parts,
            time: [first, second],
            slopes: [hidden_slope, slope],
            condition,
            film: film_all,
        };
        (leaf, tape)
    }
}

/// A convolution of a batch with its biases.
fn convolved(conv: &Conv, numbers: &[f32], x: &[f32], device: &Device) -> (Vec<f32>, Tensor<2>) {
    let (mut y, windows) = conv.batch(numbers, x, device);
    let bias = &numbers[conv.bias..][..conv.outputs];
    y.chunks_exact_mut(conv.outputs).for_each(|y| add(y, bias));
    (y, windows)
}

fn block_forward(
    Block { conv, norm }: &Block,
    numbers: &[f32],
    x: &[f32],
    room: &mut Room,
    device: &Device,
) -> (Vec<f32>, KeptBlock) {
    let (mut h, windows) = conv.batch(numbers, x, device);
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
        norm.forward(numbers, h, (y, slope, inverse), room);
    }
    (y, KeptBlock { windows, x: h, slope, inverse })
}

/// Adds numbers to as many others, one to one.
pub(super) fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
}
