//! The U-Net as it acts: one chunk at a time, in plain numbers.

use super::{
    Part, Unet,
    norm::{Room, film},
    plan::Block,
};
use crate::{
    backbone::{PredictionType, denoise::sinusoids, mish::mish, product::add_product},
    seed::Rng,
};

/// Room to work in; it grows once.
#[derive(Debug, Default)]
pub struct Scratch {
    values: Vec<Vec<f32>>, // value 0, the noisy chunk, and what each part made
    joined: Vec<f32>,      // a part's input, where an earlier value is put beside it
    between: Vec<f32>,     // what the first block of a residual made
    around: Vec<f32>,
    time: [Vec<f32>; 3], // the sinusoids and what became of them
    seen: Vec<f32>,      // [film], what the observations give scales and shifts, biases included
    film: Vec<f32>,      // [film], scales and shifts
    room: Room,
}

#[cfg(test)]
impl Scratch {
    /// Where its buffers lie, and how large they are.
    pub(super) fn places(&self) -> Vec<(*const f32, usize)> {
        let others = [&self.joined, &self.between, &self.around, &self.seen, &self.film];
        self.values.iter().chain(&self.time).chain(others).map(|v| (v.as_ptr(), v.capacity())).collect()
    }
}

impl Unet {
    /// See [`Backbone::predict`](crate::backbone::Backbone::predict): the chunk, `[horizon, n_act]`. If there are fewer
    /// observations than the window has, the oldest is repeated.
    pub(super) fn denoise(
        &self,
        seen: &[f32],
        (scratch, rng, output): (&mut Scratch, &mut Rng, &mut Vec<f32>),
        constrain: &dyn Fn(usize, f32) -> f32,
    ) {
        self.see(seen, scratch);
        scratch.values.resize_with(self.plan.parts.len() + 1, Vec::new);
        let size = self.settings.horizon * self.n_act();
        let noisy = &mut scratch.values[0];
        noisy.clear();
        noisy.extend((0..size).map(|_| rng.normal() as f32));
        for (left, level) in self.levels.iter().enumerate().rev() {
            self.forward(level.t, scratch);
            let (noisy, rest) = scratch.values.split_first_mut().expect("value 0");
            let clean = rest.last_mut().expect("an end");
            if self.settings.prediction == PredictionType::Epsilon {
                clean
                    .iter_mut()
                    .zip(noisy.iter())
                    .for_each(|(g, x)| *g = (x - level.noise * *g) / level.action);
            }
            if left == 0 {
                output.clear();
                output.extend_from_slice(clean);
                break;
            }
            let [kept_clean, kept, fresh] = level.back;
            for (k, (x, g)) in noisy.iter_mut().zip(clean.iter()).enumerate() {
                *x = kept_clean * constrain(k, *g) + kept * *x;
                if fresh > 0.0 {
                    *x += fresh * rng.normal() as f32;
                }
            }
        }
    }

    /// What the observations give the scales and shifts: the same in every diffusion step.
    fn see(&self, seen: &[f32], scratch: &mut Scratch) {
        let (n_obs, window) = (self.n_obs(), self.settings.window);
        assert!(
            !seen.is_empty() && seen.len().is_multiple_of(n_obs) && seen.len() <= window * n_obs,
            "observations of another width or number than the network's"
        );
        let (film, time) = (&self.plan.film, self.plan.widths[0]);
        let weight = &self.numbers[film.weight..][..film.weights()];
        let condition = &mut scratch.joined;
        condition.clear();
        for _ in seen.len() / n_obs..window {
            condition.extend_from_slice(&seen[..n_obs]);
        }
        condition.extend_from_slice(seen);
        mish(condition);
        scratch.seen.clear();
        scratch.seen.extend_from_slice(&self.numbers[film.bias..][..film.outputs]);
        add_product(condition, condition.len(), &weight[time * film.outputs..], &mut scratch.seen);
    }

    /// The network's output at a diffusion step (counted from 0), for the chunk in value 0, left in the last value.
    pub(super) fn forward(&self, t: usize, scratch: &mut Scratch) {
        let (plan, numbers) = (&*self.plan, &self.numbers[..]);
        let Scratch { values, joined, between, around, time, seen, film: scales, room } = scratch;
        let [waves, hidden, time] = time;
        waves.resize(plan.widths[0], 0.0);
        sinusoids(t, waves);
        plan.time[0].one(numbers, waves, hidden);
        mish(hidden);
        plan.time[1].one(numbers, hidden, time);
        mish(time);
        scales.clear();
        scales.extend_from_slice(seen);
        let film_weight = &numbers[plan.film.weight..][..time.len() * plan.film.outputs];
        add_product(time, time.len(), film_weight, scales);

        let mut block = |block: &Block, x: &[f32], y: &mut Vec<f32>| {
            block.conv.one(numbers, x, y);
            block.norm.one(numbers, y, room);
            mish(y);
        };
        for (k, part) in plan.parts.iter().enumerate() {
            let (before, after) = values.split_at_mut(k + 1);
            let (x, y) = (&before[k][..], &mut after[0]);
            match part {
                Part::Conv(conv) => conv.one(numbers, x, y),
                Part::Block(of) => block(of, x, y),
                Part::Residual(of) => {
                    let x = match of.skip {
                        None => x,
                        Some(skip) => {
                            let skip = &before[skip];
                            join(x, skip, of.first.conv.time, joined);
                            &joined[..]
                        }
                    };
                    block(&of.first, x, between);
                    film(&scales[of.film..][..2 * of.second.conv.inputs], between);
                    block(&of.second, between, y);
                    let around = match &of.around {
                        None => x,
                        Some(conv) => {
                            conv.one(numbers, x, around);
                            &around[..]
                        }
                    };
                    y.iter_mut().zip(around).for_each(|(y, a)| *y += a);
                }
            }
        }
    }
}

/// The channels of two values side by side, in every one of `steps` steps.
pub(super) fn join(a: &[f32], b: &[f32], steps: usize, to: &mut Vec<f32>) {
    to.clear();
    for (a, b) in a.chunks_exact(a.len() / steps).zip(b.chunks_exact(b.len() / steps)) {
        to.extend_from_slice(a);
        to.extend_from_slice(b);
    }
}
