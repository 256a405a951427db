//! The U-Net as it is trained, forward and back written out.
//!
//! Burn's autodiff sees the proposals as a leaf, and the weights as one array. From the gradient of the proposals the
//! [`Tape`] finds that of the weights, with the products of matrices done by Burn and all else in single passes over the
//! numbers: half the time of a graph of tensor operations. PyTorch's gradients hold it to account in a test.

use std::sync::Arc;

use burn::{
    module::{Module, Param, ParamId},
    optim::GradientsParams,
    tensor::{Device, Gradients, Tensor, TensorData},
};

use super::{
    Part, Plan, Unet, UnetSettings,
    act::join,
    conv::{Conv, values},
    norm::{Norm, Room, film, film_back},
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
    id: ParamId,
    plan: Arc<Plan>,
    numbers: Vec<f32>,
    leaf: Tensor<2>, // the network's output, as the loss goes on from it
    parts: Vec<Kept>,
    time: [Tensor<2>; 2],  // what went into the time's layers
    slopes: [Vec<f32>; 2], // of Mish after the time's first layer, and of the condition
    condition: Tensor<2>,  // after Mish
    film: Vec<f32>,        // [batch, film]
}

/// What a block leaves for the way back.
#[derive(Debug)]
struct KeptBlock {
    windows: Tensor<2>,
    x: Vec<f32>, // normalised
    slope: Vec<f32>,
    inverse: Vec<f32>, // [batch, channels]
}

#[derive(Debug)]
enum Kept {
    Conv(Tensor<2>),
    Block(KeptBlock),
    /// `between`: what the first block made, before it is scaled and shifted.
    Residual {
        first: KeptBlock,
        between: Vec<f32>,
        second: KeptBlock,
        around: Option<Tensor<2>>,
    },
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
                    (y, Kept::Residual { first, between, second, around: around.map(|(_, windows)| windows) })
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

impl Tape {
    /// The gradient of the weights, from that of the proposals' loss.
    ///
    /// # Panics
    /// If the loss does not depend on the proposals.
    pub fn back(self, loss: &Gradients) -> GradientsParams {
        let gradient = self.leaf.grad(loss).expect("a loss of the proposals");
        let numbers = self.numbers_back(values(gradient));
        let mut all = GradientsParams::new();
        let shape = [numbers.len()];
        all.register(self.id, Tensor::<1>::from_data(TensorData::new(numbers, shape), &Device::flex()));
        all
    }

    fn numbers_back(&self, output: Vec<f32>) -> Vec<f32> {
        let (plan, numbers) = (&*self.plan, &self.numbers[..]);
        let batch = self.film.len() / plan.film.outputs;
        let mut gradient = vec![0.0; numbers.len()];
        let mut film_gradient = vec![0.0; self.film.len()];
        let mut room = Room::default();
        // Of each value, what is known of its gradient so far.
        let mut of_value: Vec<Option<Vec<f32>>> = vec![None; plan.parts.len() + 1];
        of_value[plan.parts.len()] = Some(output);
        for (k, (part, kept)) in plan.parts.iter().zip(&self.parts).enumerate().rev() {
            let dy = of_value[k + 1].take().expect("every value is used");
            let wanted = k > 0; // nobody asks for that of the noisy chunk
            let dx = match (part, kept) {
                (Part::Conv(conv), Kept::Conv(windows)) => {
                    convolved_back(conv, numbers, windows, dy, &mut gradient, wanted)
                }
                (Part::Block(block), Kept::Block(kept)) => {
                    block_back(block, numbers, kept, dy, &mut gradient, &mut room, wanted)
                }
                (Part::Residual(of), Kept::Residual { first, between, second, around }) => {
                    let dz =
                        block_back(&of.second, numbers, second, dy.clone(), &mut gradient, &mut room, true);
                    let mut dz = dz.expect("asked for");
                    let (width, row) = (2 * of.second.conv.inputs, dz.len() / batch);
                    for (((dz, y), f), df) in dz
                        .chunks_exact_mut(row)
                        .zip(between.chunks_exact(row))
                        .zip(self.film.chunks_exact(plan.film.outputs))
                        .zip(film_gradient.chunks_exact_mut(plan.film.outputs))
                    {
                        film_back(&f[of.film..][..width], y, dz, &mut df[of.film..][..width]);
                    }
                    let dx = block_back(&of.first, numbers, first, dz, &mut gradient, &mut room, wanted);
                    let around = match (&of.around, around) {
                        (Some(conv), Some(windows)) => {
                            convolved_back(conv, numbers, windows, dy, &mut gradient, wanted)
                        }
                        _ => Some(dy),
                    };
                    let dx = dx.zip(around).map(|(mut dx, around)| {
                        add(&mut dx, &around);
                        dx
                    });
                    match (dx, of.skip) {
                        (Some(dx), Some(skip)) => {
                            let beside = plan_width(plan, skip);
                            let (dx, of_skip) =
                                parted(&dx, of.first.conv.inputs, of.first.conv.inputs - beside);
                            grow(&mut of_value[skip], of_skip);
                            Some(dx)
                        }
                        (dx, _) => dx,
                    }
                }
                _ => unreachable!("a part leaves what it is"),
            };
            if let Some(dx) = dx {
                grow(&mut of_value[k], dx);
            }
        }
        let condition = &self.condition;
        let back = convolved_back(&plan.film, numbers, condition, film_gradient, &mut gradient, true);
        let mut condition = back.expect("asked for");
        multiply(&mut condition, &self.slopes[1]);
        let (time, _) = parted(&condition, plan.film.inputs, plan.widths[0]);
        let [first, second] = &self.time;
        let hidden = convolved_back(&plan.time[1], numbers, second, time, &mut gradient, true);
        let mut hidden = hidden.expect("asked for");
        multiply(&mut hidden, &self.slopes[0]);
        convolved_back(&plan.time[0], numbers, first, hidden, &mut gradient, false);
        gradient
    }
}

/// A convolution of a batch with its biases.
fn convolved(conv: &Conv, numbers: &[f32], x: &[f32], device: &Device) -> (Vec<f32>, Tensor<2>) {
    let (mut y, windows) = conv.batch(numbers, x, device);
    let bias = &numbers[conv.bias..][..conv.outputs];
    y.chunks_exact_mut(conv.outputs).for_each(|y| add(y, bias));
    (y, windows)
}

fn convolved_back(
    conv: &Conv,
    numbers: &[f32],
    windows: &Tensor<2>,
    dy: Vec<f32>,
    gradient: &mut [f32],
    wanted: bool,
) -> Option<Vec<f32>> {
    let bias = &mut gradient[conv.bias..][..conv.outputs];
    dy.chunks_exact(conv.outputs).for_each(|dy| add(bias, dy));
    conv.back(numbers, windows.clone(), dy, gradient, wanted)
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

fn block_back(
    Block { conv, norm }: &Block,
    numbers: &[f32],
    kept: &KeptBlock,
    mut dy: Vec<f32>,
    gradient: &mut [f32],
    room: &mut Room,
    wanted: bool,
) -> Option<Vec<f32>> {
    let row = conv.time * norm.channels;
    for (((dy, x), slope), inverse) in dy
        .chunks_exact_mut(row)
        .zip(kept.x.chunks_exact(row))
        .zip(kept.slope.chunks_exact(row))
        .zip(kept.inverse.chunks_exact(norm.channels))
    {
        norm.back(numbers, (x, slope, inverse), dy, gradient, room);
    }
    conv.back(numbers, kept.windows.clone(), dy, gradient, wanted)
}

fn plan_width(plan: &Plan, value: usize) -> usize {
    match &plan.parts[value - 1] {
        Part::Residual(of) => of.second.conv.outputs,
        Part::Block(Block { conv, .. }) | Part::Conv(conv) => conv.outputs,
    }
}

fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
}

fn multiply(to: &mut [f32], by: &[f32]) {
    to.iter_mut().zip(by).for_each(|(a, b)| *a *= b);
}

/// Adds a gradient to what is known of it.
fn grow(known: &mut Option<Vec<f32>>, more: Vec<f32>) {
    match known {
        Some(known) => add(known, &more),
        None => *known = Some(more),
    }
}

/// The first columns of rows of `width`, and the others.
fn parted(rows: &[f32], width: usize, first: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for row in rows.chunks_exact(width) {
        left.extend_from_slice(&row[..first]);
        right.extend_from_slice(&row[first..]);
    }
    (left, right)
}
