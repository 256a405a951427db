//! Denoising of a chunk by the definition of the samplers, in f64: what the tests of backbones compare acting with.

use super::{Constrain, PredictionType, Sampler, denoise::ChunkDenoising};
use crate::seed::Seed;

/// The chunk of a network, `[horizon, n_act]`. `network`: its output for a noisy chunk and a diffusion step, counted from 0.
pub fn denoised(
    settings: &ChunkDenoising,
    prediction: PredictionType,
    n_act: usize,
    seed: Seed,
    constrain: Constrain,
    mut network: impl FnMut(&[f32], usize) -> Vec<f32>,
) -> Vec<f32> {
    let ChunkDenoising { horizons, steps, sample_steps, schedule, sampler, .. } = *settings;
    let mut rng = seed.rng();
    let betas = schedule.betas(steps);
    let abar = |t: usize| betas[..t].iter().map(|b| 1.0 - b).product::<f64>(); // of steps counted from 1
    let times: Vec<usize> = (0..=sample_steps)
        .map(|k| (k as f64 * steps as f64 / sample_steps as f64).round() as usize)
        .collect();
    let mut x: Vec<f64> = (0..horizons.prediction * n_act).map(|_| rng.normal()).collect();
    for pair in times.windows(2).rev() {
        let (before, now) = (abar(pair[0]), abar(pair[1]));
        let noisy: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let output = network(&noisy, pair[1] - 1);
        let clean: Vec<f64> = output
            .iter()
            .zip(&x)
            .map(|(&o, x)| match prediction {
                PredictionType::Sample => f64::from(o),
                PredictionType::Epsilon => (x - (1.0 - now).sqrt() * f64::from(o)) / now.sqrt(),
            })
            .collect();
        if pair[0] == 0 {
            return clean.into_iter().map(|c| c as f32).collect();
        }
        for (k, x) in x.iter_mut().enumerate() {
            let constrained = f64::from(constrain(k, clean[k] as f32));
            let noise = (*x - now.sqrt() * constrained) / (1.0 - now).sqrt();
            // Of the variance at the next noise level, the posterior's is new noise and the rest the predicted noise (Song et al., eta = 1).
            let fresh = match sampler {
                Sampler::Ddim => 0.0,
                Sampler::Ddpm => (1.0 - before) / (1.0 - now) * (1.0 - now / before),
            };
            *x = before.sqrt() * constrained + (1.0 - before - fresh).sqrt() * noise;
            if sampler == Sampler::Ddpm {
                *x += fresh.sqrt() * rng.normal();
            }
        }
    }
    unreachable!("the last step returns")
}
