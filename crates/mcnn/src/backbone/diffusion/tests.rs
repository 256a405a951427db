use super::*;
use crate::backbone::oracle::{self, Linears};

fn all_settings() -> Vec<DiffusionSettings> {
    let mut all = Vec::new();
    for schedule in [Schedule::Vp, Schedule::Linear, Schedule::Cosine] {
        for prediction in [PredictionType::Sample, PredictionType::Epsilon] {
            for sampler in [Sampler::Ddpm, Sampler::Ddim] {
                for steps in [1, 5] {
                    all.push(DiffusionSettings { steps, schedule, prediction, sampler, ema: 0.0 });
                }
            }
        }
    }
    all
}

/// A proposal by the network as it is trained, step by step, with the sampler written out in f64.
fn slow(
    diffusion: &Diffusion,
    observation: &[f32],
    seed: Seed,
    hold: &dyn Fn(usize, f32) -> f32,
) -> Vec<f32> {
    let DiffusionSettings { steps, schedule, prediction, sampler, .. } = *diffusion.settings();
    let [time, body] = diffusion.layers().map(Linears::new);
    let row = |values: &[f32]| oracle::rows(values, values.len());
    let mut rng = seed.rng();
    let betas = schedule.betas(steps);
    let abar = |t: usize| betas[..t].iter().map(|b| 1.0 - b).product::<f64>(); // of steps counted from 1
    let mut x: Vec<f64> = (0..diffusion.n_act()).map(|_| rng.normal()).collect();
    for t in (1..=steps).rev() {
        let noisy: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let output = oracle::diffusion([&time, &body], row(&noisy), &[t - 1], row(observation));
        let output = oracle::values(output);
        let clean: Vec<f64> = output
            .iter()
            .zip(&x)
            .map(|(&o, x)| match prediction {
                PredictionType::Sample => f64::from(o),
                PredictionType::Epsilon => (x - (1.0 - abar(t)).sqrt() * f64::from(o)) / abar(t).sqrt(),
            })
            .collect();
        if t == 1 {
            return clean.into_iter().map(|c| c as f32).collect();
        }
        let (now, before, beta) = (abar(t), abar(t - 1), betas[t - 1]);
        for (k, x) in x.iter_mut().enumerate() {
            let held = f64::from(hold(k, clean[k] as f32));
            *x = match sampler {
                Sampler::Ddpm => {
                    let mean = (before.sqrt() * beta * held + (1.0 - beta).sqrt() * (1.0 - before) * *x)
                        / (1.0 - now);
                    mean + (beta * (1.0 - before) / (1.0 - now)).sqrt() * rng.normal()
                }
                Sampler::Ddim => {
                    let noise = (*x - now.sqrt() * held) / (1.0 - now).sqrt();
                    before.sqrt() * held + (1.0 - before).sqrt() * noise
                }
            };
        }
    }
    unreachable!("the last step returns")
}

#[test]
fn acting_is_the_definition_through_every_sampler() {
    let mut rng = Seed(7).rng();
    for settings in all_settings() {
        let diffusion = Diffusion::random(6, &[33, 20], 3, settings, Seed(3));
        let (net, numbers) = DiffusionNet::new(&diffusion);
        assert_eq!(net.numbers(&numbers), diffusion);
        let hold = |k: usize, g: f32| 0.1 * k as f32 + 0.6 * g.clamp(-1.0, 1.0);
        for seed in 0..3 {
            let observation: Vec<f32> = (0..6).map(|_| rng.normal() as f32).collect();
            let mut episode = Episode::new(Seed(seed));
            diffusion.propose(&observation, &mut episode, &hold);
            for (a, b) in episode.proposal().iter().zip(slow(&diffusion, &observation, Seed(seed), &hold)) {
                // Predicted noise is divided by what is left of the action, at the worst a twelfth.
                assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{settings:?}: {a} {b}");
            }
        }
    }
}

#[test]
fn an_episode_draws_by_its_seed_alone_and_its_buffers_grow_once() {
    let settings = DiffusionSettings::default();
    let diffusion = Diffusion::random(4, &[16, 16], 2, settings, Seed(1));
    let draw = |episode: &mut Episode| {
        diffusion.propose(&[0.1, 0.2, 0.3, 0.4], episode, &|_, g| g.clamp(-1.0, 1.0));
        episode.proposal().to_vec()
    };
    let (mut a, mut b, mut c) = (Episode::new(Seed(1)), Episode::new(Seed(1)), Episode::new(Seed(2)));
    let first = draw(&mut a);
    assert_eq!(first, draw(&mut b));
    assert_ne!(first, draw(&mut c));
    let places = |e: &Episode| {
        let mut all = [&e.buffers.0, &e.buffers.1, &e.noisy, &e.fixed].map(|v| (v.as_ptr(), v.capacity()));
        all.sort(); // the two buffers change places
        all
    };
    let before = places(&a);
    assert_ne!(first, draw(&mut a), "every action is drawn anew");
    for _ in 0..20 {
        draw(&mut a);
    }
    assert_eq!(places(&a), before);
}

#[test]
fn settings_out_of_range_and_layers_of_another_network_are_refused() {
    let (time, body) = (Layers::random(&TIME, Seed(0)), Layers::random(&[22, 8, 2], Seed(0)));
    let refused = |settings, time: &Layers, body: &Layers| {
        Diffusion::new(settings, time.clone(), body.clone()).unwrap_err().to_string()
    };
    let good = DiffusionSettings::default();
    assert!(Diffusion::new(good, time.clone(), body.clone()).is_ok());
    for steps in [0, 1001] {
        assert!(refused(DiffusionSettings { steps, ..good }, &time, &body).contains("--diffusion-steps"));
    }
    for ema in [-0.1, 1.0, f64::NAN] {
        assert!(refused(DiffusionSettings { ema, ..good }, &time, &body).contains("--ema"));
    }
    assert!(refused(good, &body, &body).contains("not those"));
    assert!(refused(good, &time, &Layers::random(&[18, 8, 2], Seed(0))).contains("not those"));
}
