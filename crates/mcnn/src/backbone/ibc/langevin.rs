//! Langevin dynamics on actions, with the schedule and limits of the authors' code: steps against the gradient of the energy, with noise.

use crate::seed::Rng;

/// Step size at the beginning and at the end, between which it falls with the square of the rounds left.
const STEP: [f64; 2] = [0.1, 1e-5];

/// The largest change of an action's dimension in a step. A tenth of half the range, which is 1.
const LARGEST_CHANGE: f32 = 0.1;

/// The step size of each of `iterations` rounds.
pub fn step_sizes(iterations: usize) -> impl Iterator<Item = f32> {
    (0..iterations).map(move |k| {
        let left = 1.0 - k as f64 / iterations as f64;
        ((STEP[0] - STEP[1]) * left * left + STEP[1]) as f32
    })
}

/// The step size of the rounds that follow when acting: the last one.
pub const FINAL_STEP: f32 = STEP[1] as f32;

/// Takes a step of every action: `a - step (grad E / 2 + noise N(0, 1))`, with the change and the action clipped.
pub fn step(actions: &mut [f32], gradients: &[f32], step: f32, noise: f64, rng: &mut Rng) {
    for (action, gradient) in actions.iter_mut().zip(gradients) {
        let change = step * (0.5 * gradient + (noise * rng.normal()) as f32);
        *action = (*action - change.clamp(-LARGEST_CHANGE, LARGEST_CHANGE)).clamp(-1.0, 1.0);
    }
}

/// Replaces the values by `n` uniform ones in [-1, 1].
pub fn uniform(values: &mut Vec<f32>, n: usize, rng: &mut Rng) {
    values.clear();
    values.extend((0..n).map(|_| rng.between(-1.0, 1.0) as f32));
}
