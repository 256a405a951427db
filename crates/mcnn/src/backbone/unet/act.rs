//! The U-Net in acting: one chunk at a time.

use super::{
    Stage, Unet,
    norm::{ChannelBuffers, film},
    plan::Block,
};
use crate::{
    backbone::{Constrain, denoise::sinusoids, episode::fill_window, mish::mish, product::add_product},
    seed::Rng,
};

/// Buffers of acting.
#[derive(Debug, Default)]
pub(super) struct ActBuffers {
    values: Vec<Vec<f32>>, // value 0 is the noisy chunk, the others are the outputs of the stages
    joined: Vec<f32>,      // the input of a stage concatenated with an earlier value
    between: Vec<f32>,     // the output of the first block of a residual
    shortcut: Vec<f32>,
    time: [Vec<f32>; 3], // the sinusoids, and the outputs of the two layers after Mish
    of_observations: Vec<f32>, // their contribution to scales and shifts, with the biases: [film]
    film: Vec<f32>,      // scales and shifts: [film]
    channels: ChannelBuffers,
}

#[cfg(test)]
impl ActBuffers {
    /// Address and capacity of every buffer.
    pub(super) fn places(&self) -> Vec<(*const f32, usize)> {
        let others = [&self.joined, &self.between, &self.shortcut, &self.of_observations, &self.film];
        self.values.iter().chain(&self.time).chain(others).map(|v| (v.as_ptr(), v.capacity())).collect()
    }
}

impl Unet {
    /// See [`Backbone::predict`](crate::backbone::Backbone::predict): the chunk, `[horizon, n_act]`. If there are fewer
    /// observations than the window has, the oldest is repeated.
    pub(super) fn denoise(
        &self,
        observations: &[f32],
        (buffers, rng, output): (&mut ActBuffers, &mut Rng, &mut Vec<f32>),
        constrain: Constrain,
    ) {
        self.condition(observations, buffers);
        buffers.values.resize_with(self.plan.stages.len() + 1, Vec::new);
        let size = self.settings.horizon * self.n_act();
        let noisy = &mut buffers.values[0];
        noisy.clear();
        noisy.extend((0..size).map(|_| rng.normal() as f32));
        for (step, level) in self.levels.iter().enumerate().rev() {
            self.forward(level.t, buffers);
            let (noisy, rest) = buffers.values.split_first_mut().expect("value 0");
            let clean = rest.last_mut().expect("the output of the last stage");
            level.to_clean(clean, noisy, self.settings.prediction);
            if step > 0 {
                level.denoise(noisy, clean, constrain, rng);
            } else {
                output.clear();
                output.extend_from_slice(clean);
            }
        }
    }

    /// The contribution of the observations to scales and shifts, which is the same in every denoising step.
    fn condition(&self, observations: &[f32], buffers: &mut ActBuffers) {
        let (film, time) = (&self.plan.film, self.plan.widths[0]);
        let weight = &self.parameters[film.weight..][..film.weights()];
        let condition = &mut buffers.joined;
        fill_window(observations, [self.settings.window, self.n_obs()], condition);
        mish(condition);
        let out = &mut buffers.of_observations;
        out.clear();
        out.extend_from_slice(&self.parameters[film.bias..][..film.outputs]);
        add_product(condition, condition.len(), &weight[time * film.outputs..], out);
    }

    /// Runs the network at a diffusion step (counted from 0) on the chunk in value 0. The output is the last value.
    pub(super) fn forward(&self, t: usize, buffers: &mut ActBuffers) {
        let (plan, parameters) = (&*self.plan, &self.parameters[..]);
        let ActBuffers { values, joined, between, shortcut, time, of_observations, film: scales, channels } =
            buffers;
        let [embedding, hidden, time] = time;
        embedding.resize(plan.widths[0], 0.0);
        sinusoids(t, embedding);
        plan.time[0].forward_one(parameters, embedding, hidden);
        mish(hidden);
        plan.time[1].forward_one(parameters, hidden, time);
        mish(time);
        scales.clear();
        scales.extend_from_slice(of_observations);
        let film_weight = &parameters[plan.film.weight..][..time.len() * plan.film.outputs];
        add_product(time, time.len(), film_weight, scales);

        let mut block = |block: &Block, x: &[f32], y: &mut Vec<f32>| {
            block.conv.forward_one(parameters, x, y);
            block.norm.forward_one(parameters, y, channels);
            mish(y);
        };
        for (k, stage) in plan.stages.iter().enumerate() {
            let (before, after) = values.split_at_mut(k + 1);
            let (x, y) = (&before[k][..], &mut after[0]);
            match stage {
                Stage::Conv(conv) => conv.forward_one(parameters, x, y),
                Stage::Block(of) => block(of, x, y),
                Stage::Residual(of) => {
                    let x = match of.skip {
                        None => x,
                        Some(skip) => {
                            let skip = &before[skip];
                            concatenate(x, skip, of.first.conv.time, joined);
                            &joined[..]
                        }
                    };
                    block(&of.first, x, between);
                    film(&scales[of.film..][..2 * of.second.conv.inputs], between);
                    block(&of.second, between, y);
                    let shortcut = match &of.shortcut {
                        None => x,
                        Some(conv) => {
                            conv.forward_one(parameters, x, shortcut);
                            &shortcut[..]
                        }
                    };
                    y.iter_mut().zip(shortcut).for_each(|(y, x)| *y += x);
                }
            }
        }
    }
}

/// Concatenates the channels of two values in each of `steps` steps.
pub(super) fn concatenate(a: &[f32], b: &[f32], steps: usize, to: &mut Vec<f32>) {
    to.clear();
    for (a, b) in a.chunks_exact(a.len() / steps).zip(b.chunks_exact(b.len() / steps)) {
        to.extend_from_slice(a);
        to.extend_from_slice(b);
    }
}
