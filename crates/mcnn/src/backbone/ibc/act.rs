//! Acting: the search for the action of the lowest energy.

use super::{
    EnergySampler, IbcSettings,
    energy::{Energy, EnergyBuffers},
    langevin,
};
use crate::{
    backbone::{ActingState, exponential},
    seed::Rng,
};

/// What the standard deviation of the noise is multiplied by from round to round of uniform sampling.
const SHRINK: f64 = 0.5;

/// Buffers of acting. They grow once.
#[derive(Debug, Default)]
struct Buffers {
    energy: EnergyBuffers,
    candidates: Vec<f32>, // [n, n_act]
    next: Vec<f32>,       // the candidates of the next round, or the gradients
    sums: Vec<f64>,       // [n], of the probabilities so far
}

/// Writes the action of the lowest energy found for an observation to the state's output.
pub fn act(settings: &IbcSettings, energy: &Energy, observation: &[f32], state: &mut ActingState) {
    let ActingState { rng, workspace, output, .. } = state;
    let buffers: &mut Buffers = workspace.buffers();
    energy.observe(observation, &mut buffers.energy);
    langevin::uniform(&mut buffers.candidates, settings.candidates * energy.n_act(), rng);
    match settings.sampler {
        EnergySampler::Uniform => derivative_free(settings, energy, buffers, rng),
        EnergySampler::Langevin => by_langevin(settings, energy, buffers, rng),
    }
    energy.rate(&buffers.candidates, &mut buffers.energy);
    let energies = buffers.energy.energies();
    let best = (0..energies.len()).min_by(|&a, &b| energies[a].total_cmp(&energies[b])).expect("candidates");
    output.clear();
    output.extend_from_slice(&buffers.candidates[best * energy.n_act()..][..energy.n_act()]);
}

/// Derivative-free optimization, up to its last rating: candidates are drawn again by exp(-E), with noise.
fn derivative_free(settings: &IbcSettings, energy: &Energy, buffers: &mut Buffers, rng: &mut Rng) {
    let (n_act, mut noise) = (energy.n_act(), settings.noise);
    for _ in 1..settings.iterations {
        let Buffers { energy: rated, candidates, next, sums } = buffers;
        energy.rate(candidates, rated);
        sum_of_probabilities(rated.energies(), sums);
        let total = *sums.last().expect("candidates");
        next.clear();
        for _ in 0..settings.candidates {
            let at = rng.uniform() * total;
            let drawn = sums.partition_point(|sum| *sum <= at).min(sums.len() - 1);
            for k in 0..n_act {
                let moved = candidates[drawn * n_act + k] + (noise * rng.normal()) as f32;
                next.push(moved.clamp(-1.0, 1.0));
            }
        }
        std::mem::swap(candidates, next);
        noise *= SHRINK;
    }
}

/// The sums of exp(-E) so far, divided by the largest of them.
fn sum_of_probabilities(energies: &[f32], sums: &mut Vec<f64>) {
    let lowest = energies.iter().copied().fold(f32::INFINITY, f32::min);
    let mut sum = 0.0;
    sums.clear();
    sums.extend(energies.iter().map(|energy| {
        sum += f64::from(exponential((lowest - energy).max(-87.0)));
        sum
    }));
}

/// Langevin dynamics with falling steps, then as many rounds with the last one.
fn by_langevin(settings: &IbcSettings, energy: &Energy, buffers: &mut Buffers, rng: &mut Rng) {
    let Buffers { energy: rated, candidates, next, .. } = buffers;
    let settled = std::iter::repeat_n(langevin::FINAL_STEP, settings.iterations);
    for step in langevin::step_sizes(settings.iterations).chain(settled) {
        energy.rate(candidates, rated);
        energy.gradients(next, rated);
        langevin::step(candidates, next, step, settings.noise, rng);
    }
}
