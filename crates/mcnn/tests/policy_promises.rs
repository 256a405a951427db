//! Guarantees of a policy for every input, tested with random memories, weights and states.

use mcnn::{
    act::Act as _,
    backbone::{
        Architecture, Bet, BetSettings, BucketSelection, Diffusion, DiffusionSettings, Episode, Layers, Mlp,
        Network, PredictionType, Sampler, Schedule,
    },
    data::{Scale, Step},
    envelope::{Activation, Envelope},
    memory::{Codebook, CodebookParts},
    policy::Policy,
    seed::{Rng, Seed},
};

const N: usize = 40;
const OBS: usize = 5;
const ACT: usize = 3;

fn codebook(rng: &mut Rng) -> Codebook {
    let mut draw = |n: usize, scale: f64| (0..n).map(|_| (scale * rng.normal()) as f32).collect::<Vec<_>>();
    Codebook::new(CodebookParts::new(
        Scale { mean: draw(OBS, 3.0), std: vec![0.01, 1.0, 50.0, 0.0, 2.0], angles: vec![] },
        draw(N * OBS, 3.0),
        draw(N * ACT, 1.0).into_iter().map(|a| a.clamp(-1.0, 1.0)).collect(),
        (0..N as u32).map(|i| Step { episode: i / 10, step: i % 10 }).collect(),
    ))
    .unwrap()
}

/// A network whose outputs are up to a thousand times too large.
fn large_mlp(seed: u64) -> Mlp {
    let mlp = Mlp::random(&[OBS, 16, ACT], Seed(seed));
    let layers = mlp.layers().map(|(w, b)| (w.iter().map(|w| w * 40.0).collect(), b.to_vec())).collect();
    Mlp::from_layers(vec![OBS, 16, ACT], layers).unwrap()
}

/// Diffusion policies of every kind whose outputs are too large.
fn large_diffusions(seed: u64) -> Vec<Diffusion> {
    let mut all = Vec::new();
    for schedule in [Schedule::Vp, Schedule::Linear, Schedule::Cosine] {
        for prediction in [PredictionType::Sample, PredictionType::Epsilon] {
            for sampler in [Sampler::Ddpm, Sampler::Ddim] {
                for steps in [1, 5] {
                    let settings = DiffusionSettings { steps, schedule, prediction, sampler, ema: 0.0 };
                    let start = Diffusion::random(OBS, &[16, 16], ACT, settings, Seed(seed));
                    let [time, body] = start.layers();
                    let larger = body.iter().map(|(w, b)| (w.iter().map(|w| w * 40.0).collect(), b.to_vec()));
                    let body = Layers::new(body.widths().to_vec(), larger.collect()).unwrap();
                    all.push(Diffusion::new(settings, time.clone(), body).unwrap());
                }
            }
        }
    }
    all
}

/// Behavior transformers whose outputs are too large.
fn large_bets(seed: u64) -> Vec<Network> {
    let mut all = Vec::new();
    for bucket_selection in [BucketSelection::Sample, BucketSelection::Argmax] {
        for window in [1, 5] {
            let bet = BetSettings {
                layers: 2,
                heads: 2,
                width: 8,
                window,
                buckets: 4,
                bucket_selection,
                ..Default::default()
            };
            let mut rng = Seed(seed).rng();
            let centers: Vec<f32> = (0..4 * ACT).map(|_| rng.between(-1.0, 1.0) as f32).collect();
            let architecture = Architecture::from(bet);
            let mut arrays = architecture.random(OBS, &[], ACT, &centers, Seed(seed)).save_tensors();
            for (name, (_, values)) in arrays.iter_mut().filter(|(name, _)| name.ends_with("weight")) {
                let factor = if name.starts_with("offsets") { 40.0 } else { 5.0 };
                values.iter_mut().for_each(|v| *v *= factor);
            }
            all.push(architecture.load_tensors(&arrays).unwrap());
        }
    }
    all
}

fn policy(lambda: f32, amplitude: f32, activation: Activation, seed: u64) -> Policy {
    let book = codebook(&mut Seed(seed).rng());
    Policy::new(
        book,
        Envelope { lambda, amplitude, activation, ..Envelope::default() },
        Network::from(large_mlp(seed)),
        1,
    )
    .unwrap()
}

/// States near and far, and some that overflow in the network.
fn states(rng: &mut Rng, n: usize) -> Vec<Vec<f32>> {
    let sizes = [1e-3, 1.0, 3.0, 1e3, 1e10, 1e30, 3e38];
    (0..n)
        .map(|i| {
            (0..OBS).map(|_| (sizes[i % sizes.len()] * rng.normal()).clamp(-3e38, 3e38) as f32).collect()
        })
        .collect()
}

#[test]
fn every_action_lies_in_its_permissible_region() {
    let mut n_inside_and_edge = [0; 2];
    for seed in 0..6 {
        for lambda in [0.0, 0.01, 0.7, 30.0, f32::INFINITY] {
            for (amplitude, activation) in
                [(1.0, Activation::Clamp), (0.3, Activation::Tanh), (2.0, Activation::Clamp)]
            {
                let policy = policy(lambda, amplitude, activation, seed);
                let mut session = policy.session();
                for state in states(&mut Seed(seed).fork("states").rng(), 140) {
                    let mut action = [0.0; ACT];
                    let decision = session.act(&state, &mut action).unwrap();
                    let explained = policy.explain(&state).unwrap();
                    assert_eq!(explained.memory.memory, decision.retrieval.memory);
                    let memory_action = policy.codebook().action(decision.retrieval.memory);
                    for (k, d) in explained.dimensions.iter().enumerate() {
                        assert_eq!(d.action, action[k], "explain and act agree");
                        assert_eq!(d.memory_action, memory_action[k]);
                        assert!(d.low <= action[k] && action[k] <= d.high, "{action:?} {d:?}");
                        assert!(d.high - d.low <= 2.0 * amplitude + 1e-6);
                        n_inside_and_edge[usize::from(action[k] == d.low || action[k] == d.high)] += 1;
                    }
                }
            }
        }
    }
    assert!(
        n_inside_and_edge.iter().all(|&n| n > 1000),
        "actions inside their boxes and on their edges: {n_inside_and_edge:?}"
    );
}

#[test]
fn in_a_memorys_state_the_action_is_the_memorys() {
    for seed in 0..6 {
        for lambda in [0.0, 0.5, 80.0] {
            let policy = policy(lambda, 1.0, Activation::Clamp, seed);
            let mut session = policy.session();
            for m in 0..N {
                let mut action = [9.0; ACT];
                let decision = session.act(policy.codebook().state(m), &mut action).unwrap();
                assert_eq!((decision.retrieval.memory, decision.retrieval.distance), (m, 0.0));
                assert_eq!(
                    (action.as_slice(), decision.source),
                    (policy.codebook().action(m), policy.codebook().source(m))
                );
            }
        }
    }
}

#[test]
fn every_sampled_action_lies_in_its_region_and_in_a_memorys_state_is_the_memorys() {
    let mut n_inside_and_edge = [0; 2];
    for (seed, (lambda, amplitude, activation)) in [
        (0.01, 1.0, Activation::Clamp),
        (0.7, 0.3, Activation::Tanh),
        (30.0, 2.0, Activation::Clamp),
        (f32::INFINITY, 1.0, Activation::Clamp),
        (0.0, 1.0, Activation::Clamp),
    ]
    .into_iter()
    .enumerate()
    {
        let seed = seed as u64;
        let diffusions = large_diffusions(seed).into_iter().map(Network::from);
        for backbone in diffusions.chain(large_bets(seed)) {
            let book = codebook(&mut Seed(seed).rng());
            let envelope = Envelope { lambda, amplitude, activation, ..Envelope::default() };
            let policy = Policy::new(book, envelope, backbone, 1).unwrap();
            let mut session = policy.session();
            for state in states(&mut Seed(seed).fork("states").rng(), 70) {
                let mut action = [9.0; ACT];
                let decision = session.act(&state, &mut action).unwrap();
                let memory_action = policy.codebook().action(decision.retrieval.memory);
                for (f, a) in action.iter().zip(memory_action) {
                    let [low, high] = decision.region.bounds(*a);
                    assert!(
                        low <= *f && *f <= high,
                        "{:?}: {f} {low} {high}",
                        policy.backbone().map(Network::architecture)
                    );
                    n_inside_and_edge[usize::from(*f == low || *f == high)] += 1;
                }
            }
            let explained = policy.explain(policy.codebook().state(1)).unwrap();
            assert_eq!(explained.samples, policy.is_stochastic().then_some(16));
            for m in 0..if lambda.is_finite() { N } else { 0 } {
                let mut action = [9.0; ACT];
                session.act(policy.codebook().state(m), &mut action).unwrap();
                assert_eq!(action.as_slice(), policy.codebook().action(m));
            }
        }
    }
    assert!(
        n_inside_and_edge.iter().all(|&n| n > 1000),
        "actions inside their boxes and on their edges: {n_inside_and_edge:?}"
    );
}

#[test]
fn equal_seeds_give_equal_actions_and_explain_reports_their_standard_deviation() {
    let settings = DiffusionSettings::default();
    let diffusion = Diffusion::random(OBS, &[16, 16], ACT, settings, Seed(5));
    let envelope = Envelope { lambda: 0.2, ..Envelope::default() };
    let book = codebook(&mut Seed(5).rng());
    let policy = Policy::new(book, envelope, Network::from(diffusion), 1).unwrap();
    let all = states(&mut Seed(9).rng(), 30);
    let episode = |seed: u64| -> Vec<[f32; ACT]> {
        let mut session = policy.start(Seed(seed));
        let mut act = |state: &Vec<f32>| {
            let mut action = [0.0; ACT];
            session.act(state, &mut action).unwrap();
            action
        };
        all.iter().map(&mut act).collect()
    };
    assert_eq!(episode(3), episode(3));
    assert_ne!(episode(3), episode(4));

    let middle = policy.codebook().parts().scale.mean.clone(); // far from the network's own limits
    let explained = policy.explain(&middle).unwrap();
    let mut session = policy.session();
    let mut draw = || {
        let mut action = [0.0; ACT];
        session.act(&middle, &mut action).unwrap();
        action
    };
    let draws: Vec<[f32; ACT]> = (0..16).map(|_| draw()).collect();
    for (k, d) in explained.dimensions.iter().enumerate() {
        assert_eq!(d.action, draws[0][k], "explain and act agree");
        let constrained = d.center + explained.radius * d.network_output.unwrap().clamp(-1.0, 1.0);
        assert!((constrained - d.action).abs() < 1e-6, "the network output is that of the action");
        let mean = draws.iter().map(|a| f64::from(a[k])).sum::<f64>() / 16.0;
        let variance = draws.iter().map(|a| (f64::from(a[k]) - mean).powi(2)).sum::<f64>() / 16.0;
        assert!((f64::from(d.std.unwrap()) - variance.sqrt()).abs() < 1e-5);
        assert!(d.std.unwrap() > 0.0);
    }
    let mlp = Policy::new(codebook(&mut Seed(5).rng()), envelope, Network::from(large_mlp(5)), 1).unwrap();
    let explained = mlp.explain(&middle).unwrap();
    assert!(explained.samples.is_none() && explained.dimensions.iter().all(|d| d.std.is_none()));
}

#[test]
fn explain_reports_the_selected_and_the_most_probable_buckets() {
    let envelope = Envelope { lambda: 0.2, ..Envelope::default() };
    for backbone in large_bets(6) {
        let policy = Policy::new(codebook(&mut Seed(6).rng()), envelope, backbone, 1).unwrap();
        let bet = policy.backbone().unwrap().downcast::<Bet>().expect("a behavior transformer");
        let explained = policy.explain(&policy.codebook().parts().scale.mean.repeat(3)).unwrap();
        let buckets = explained.buckets.unwrap();
        assert_eq!((buckets.of, buckets.likeliest.len()), (4, 4));
        assert!(buckets.likeliest.is_sorted_by(|a, b| a.probability >= b.probability));
        let total: f32 = buckets.likeliest.iter().map(|b| b.probability).sum();
        assert!((total - 1.0).abs() < 1e-5, "{total}");
        assert!(buckets.likeliest.contains(&buckets.chosen));
        for bucket in &buckets.likeliest {
            assert_eq!(bucket.center, bet.centers()[bucket.bucket * ACT..][..ACT]);
        }
        if bet.settings().bucket_selection == BucketSelection::Argmax {
            assert_eq!(buckets.chosen, buckets.likeliest[0]);
        }
    }
    let mlp = Policy::new(codebook(&mut Seed(6).rng()), envelope, Network::from(large_mlp(6)), 1).unwrap();
    assert!(mlp.explain(&[0.0; OBS]).unwrap().buckets.is_none());
}

#[test]
fn the_limits_of_lambda_are_the_nearest_memory_and_the_network_alone() {
    for seed in 0..6 {
        let (nearest, network) =
            (policy(0.0, 1.0, Activation::Tanh, seed), policy(f32::INFINITY, 1.0, Activation::Tanh, seed));
        let mlp = large_mlp(seed);
        for state in states(&mut Seed(seed).rng(), 50) {
            let mut action = [0.0; ACT];
            let decision = nearest.session().act(&state, &mut action).unwrap();
            assert_eq!(action.as_slice(), nearest.codebook().action(decision.retrieval.memory));
            network.session().act(&state, &mut action).unwrap();
            let mut scaled = vec![0.0; OBS];
            network.codebook().parts().scale.apply(&state, &mut scaled);
            let mut episode = Episode::new(Seed(0));
            episode.observe(&mlp, &scaled);
            episode.predict(&mlp, &|_, g| g);
            for (f, g) in action.iter().zip(episode.network_output()) {
                assert_eq!(*f, if g.is_nan() { 0.0 } else { g.tanh() });
            }
        }
    }
}

#[test]
fn actions_of_an_mlp_do_not_depend_on_earlier_observations() {
    let policy = policy(0.4, 1.0, Activation::Clamp, 1);
    let all = states(&mut Seed(8).rng(), 100);
    let mut session = policy.session();
    for state in &all {
        let (mut a, mut b) = ([0.0; ACT], [0.0; ACT]);
        let continued = session.act(state, &mut a).unwrap();
        let fresh = policy.session().act(state, &mut b).unwrap();
        assert_eq!((continued, a), (fresh, b));
    }
}

#[test]
fn observations_that_are_not_finite_are_refused() {
    let policy = policy(0.4, 1.0, Activation::Clamp, 1);
    for bad in [f32::NAN, f32::INFINITY] {
        let mut state = vec![0.0; OBS];
        state[3] = bad;
        let message = policy.session().act(&state, &mut [0.0; ACT]).unwrap_err().to_string();
        assert!(message.contains("dimension 3"), "{message}");
    }
}

#[test]
fn vinn_is_the_mean_of_its_neighbors_actions_weighted_by_the_exponential_of_their_distance() {
    for seed in 0..4 {
        let book = codebook(&mut Seed(seed).rng());
        let envelope = Envelope { lambda: 0.0, ..Envelope::default() };
        let policy = Policy::new(book.clone(), envelope, None, 7).unwrap();
        let scale = &book.parts().scale;
        let mut compared = 0;
        for state in
            states(&mut Seed(seed).fork("vinn").rng(), 60).iter().filter(|s| s.iter().all(|v| v.abs() < 20.0))
        {
            let mut near: Vec<(f64, usize)> = (0..N)
                .map(|m| {
                    let squares = (0..OBS).map(|k| {
                        let std = if scale.std[k] == 0.0 { 1.0 } else { f64::from(scale.std[k]) };
                        ((f64::from(state[k]) - f64::from(book.state(m)[k])) / std).powi(2)
                    });
                    (squares.sum::<f64>().sqrt(), m)
                })
                .collect();
            near.sort_by(|a, b| a.0.total_cmp(&b.0));
            // The common factor of the weights is taken out, so that far states do not lose them all.
            let weights: Vec<f64> = near[..7].iter().map(|(d, _)| (near[0].0 - d).exp()).collect();
            let mut action = [0.0; ACT];
            policy.session().act(state, &mut action).unwrap();
            for (k, f) in action.iter().enumerate() {
                let sum: f64 =
                    near.iter().zip(&weights).map(|((_, m), w)| w * f64::from(book.action(*m)[k])).sum();
                assert!((f64::from(*f) - sum / weights.iter().sum::<f64>()).abs() < 2e-3, "{f} {sum}");
                compared += 1;
            }
        }
        assert!(compared > 30);
    }
}
