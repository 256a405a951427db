use super::*;
use crate::backbone::{
    Episode, PredictionType, Sampler, Schedule,
    oracle::{DiffusionCase, Oracle, compare, largest},
};

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

/// The output of a chain of layers for one input, in f64.
fn chain(layers: &Layers, input: Vec<f64>) -> Vec<f64> {
    let mish = |x: f64| x * x.exp().ln_1p().tanh();
    let last = layers.widths().len() - 2;
    layers.iter().enumerate().fold(input, |input, (index, (weight, bias))| {
        let outputs = bias.len();
        let output = bias.iter().enumerate().map(|(to, bias)| {
            let weights = weight[to..].iter().step_by(outputs);
            weights.zip(&input).fold(f64::from(*bias), |sum, (weight, x)| sum + f64::from(*weight) * x)
        });
        output.map(|x| if index == last { x } else { mish(x) }).collect()
    })
}

/// The output of the network for one row, in f64. `t`: the diffusion step, counted from 0.
fn output(diffusion: &Diffusion, noisy: &[f64], t: usize, observation: &[f32]) -> Vec<f64> {
    let [time, body] = diffusion.layers();
    let half = TIME[0] / 2;
    let angle = |k: usize| t as f64 * 10_000_f64.powf(-(k as f64) / (half - 1) as f64);
    let embedding = (0..half).map(|k| angle(k).sin()).chain((0..half).map(|k| angle(k).cos())).collect();
    let mut input = noisy.to_vec();
    input.extend(chain(time, embedding));
    input.extend(observation.iter().map(|x| f64::from(*x)));
    chain(body, input)
}

/// An action by the definition of the network and the sampler, in f64.
fn reference(
    diffusion: &Diffusion,
    observation: &[f32],
    seed: Seed,
    constrain: &dyn Fn(usize, f32) -> f32,
) -> Vec<f32> {
    let DiffusionSettings { steps, schedule, prediction, sampler, .. } = *diffusion.settings();
    let mut rng = seed.rng();
    let betas = schedule.betas(steps);
    let abar = |t: usize| betas[..t].iter().map(|b| 1.0 - b).product::<f64>(); // of steps counted from 1
    let mut x: Vec<f64> = (0..diffusion.n_act()).map(|_| rng.normal()).collect();
    for t in (1..=steps).rev() {
        let clean: Vec<f64> = output(diffusion, &x, t - 1, observation)
            .into_iter()
            .zip(&x)
            .map(|(o, x)| match prediction {
                PredictionType::Sample => o,
                PredictionType::Epsilon => (x - (1.0 - abar(t)).sqrt() * o) / abar(t).sqrt(),
            })
            .collect();
        if t == 1 {
            return clean.into_iter().map(|c| c as f32).collect();
        }
        let (now, before, beta) = (abar(t), abar(t - 1), betas[t - 1]);
        for (k, x) in x.iter_mut().enumerate() {
            let constrained = f64::from(constrain(k, clean[k] as f32));
            *x = match sampler {
                Sampler::Ddpm => {
                    let mean = (before.sqrt() * beta * constrained
                        + (1.0 - beta).sqrt() * (1.0 - before) * *x)
                        / (1.0 - now);
                    mean + (beta * (1.0 - before) / (1.0 - now)).sqrt() * rng.normal()
                }
                Sampler::Ddim => {
                    let noise = (*x - now.sqrt() * constrained) / (1.0 - now).sqrt();
                    before.sqrt() * constrained + (1.0 - before).sqrt() * noise
                }
            };
        }
    }
    unreachable!("the last step returns")
}

#[test]
fn the_reference_network_in_f64_equals_that_of_a_tensor_library() {
    let oracle = Oracle::diffusion();
    for case in oracle.cases::<DiffusionCase>() {
        let diffusion = case.network();
        let [observations, actions, noise] =
            [("observations", case.n_obs), ("actions", case.n_act), ("noise", case.n_act)]
                .map(|(array, width)| case.input(array, width));
        let levels = case.settings().schedule.levels(case.steps, Sampler::Ddpm);
        let mut found: Vec<f32> = Vec::new();
        for (row, t) in case.diffusion_steps().into_iter().enumerate() {
            let own = row * case.n_act..(row + 1) * case.n_act;
            let noisy: Vec<f64> = own
                .map(|i| {
                    f64::from(
                        levels[t].sqrt_alpha_bar * actions[i] + levels[t].sqrt_one_minus_alpha_bar * noise[i],
                    )
                })
                .collect();
            let observation = &observations[row * case.n_obs..][..case.n_obs];
            found.extend(output(&diffusion, &noisy, t, observation).into_iter().map(|x| x as f32));
        }
        let expected = oracle.array(&case.name, "outputs");
        compare(&found, expected, 1e-6 * largest(expected), &case.name);
    }
}

#[test]
fn acting_equals_the_reference_with_every_sampler() {
    let mut rng = Seed(7).rng();
    for settings in all_settings() {
        let diffusion = Diffusion::random(6, &[33, 20], 3, settings, Seed(3));
        let (net, parameters) = DiffusionNet::new(&diffusion);
        assert_eq!(net.with_parameters(&parameters), diffusion);
        let constrain = |k: usize, g: f32| 0.1 * k as f32 + 0.6 * g.clamp(-1.0, 1.0);
        for seed in 0..3 {
            let observation: Vec<f32> = (0..6).map(|_| rng.normal() as f32).collect();
            let mut episode = Episode::new(Seed(seed));
            episode.observe(&diffusion, &observation);
            episode.predict(&diffusion, &constrain);
            for (a, b) in episode.network_output().iter().zip(reference(
                &diffusion,
                &observation,
                Seed(seed),
                &constrain,
            )) {
                // Epsilon prediction divides by sqrt(alpha_bar), which is 1/12 at the least.
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
        episode.observe(&diffusion, &[0.1, 0.2, 0.3, 0.4]);
        episode.predict(&diffusion, &|_, g| g.clamp(-1.0, 1.0));
        episode.network_output().to_vec()
    };
    let (mut a, mut b, mut c) = (Episode::new(Seed(1)), Episode::new(Seed(1)), Episode::new(Seed(2)));
    let first = draw(&mut a);
    assert_eq!(first, draw(&mut b));
    assert_ne!(first, draw(&mut c));
    let places = |e: &Episode| {
        let Buffers { input, noisy, observation } = e.state.workspace.existing().unwrap();
        let mut all = [input, noisy, observation, &e.state.output].map(|v| (v.as_ptr(), v.capacity()));
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
