//! Guarantees of a policy that predicts chunks, for every input, tested with random memories, weights and states.

use mcnn::{
    act::Act as _,
    backbone::{Architecture, Network, PredictionType, Sampler, Unet, UnetSettings},
    calibration::{CalibrationEpisode, OodCalibration},
    data::{ActionRange, Demonstrations, Parts},
    envelope::{Activation, Envelope},
    memory::{Amount, Codebook, LearnSettings, Retrieval, SelectionMethod, learn},
    policy::{Guard, LivePolicy, Policy, Response},
    seed::{Rng, Seed},
};

const OBS: usize = 4;
const ACT: usize = 2;
const ENDS: [usize; 3] = [30, 36, 80];

fn data(seed: Seed) -> Demonstrations {
    let mut rng = seed.rng();
    let n = ENDS[2];
    let states = (0..n * OBS).map(|i| ([0.1, 1.0, 30.0, 5.0][i % OBS] * rng.normal()) as f32).collect();
    let actions = (0..n * ACT).map(|_| rng.between(-1.0, 1.0) as f32).collect();
    let parts = Parts { n_obs: OBS, n_act: ACT, states, actions, rewards: None, ends: ENDS.to_vec() };
    Demonstrations::new(parts, ActionRange::Refuse).unwrap()
}

fn book(data: &Demonstrations, horizon: usize) -> Codebook {
    let settings =
        LearnSettings { amount: Amount::Count(25), selection: SelectionMethod::Random, ..Default::default() };
    learn(data, &settings).unwrap().codebook.with_future_actions(data, horizon).unwrap()
}

/// A U-Net whose predictions are much too large.
fn large_unet(settings: UnetSettings, seed: Seed) -> Network {
    let unet = Network::from(Unet::random(OBS, &[8, 16], ACT, settings, seed));
    let mut arrays = unet.save_tensors();
    arrays.get_mut("end.1.weight").unwrap().1.iter_mut().for_each(|w| *w *= 40.0);
    Architecture::from(settings).load_tensors(&arrays).unwrap()
}

fn all_settings() -> Vec<UnetSettings> {
    let mut all = Vec::new();
    for predict in [PredictionType::Sample, PredictionType::Epsilon] {
        for (sampler, sample_steps) in [(Sampler::Ddim, 4), (Sampler::Ddpm, 20)] {
            for (horizon, executed) in [(16, 8), (4, 4), (6, 1)] {
                let steps = 20;
                let settings = UnetSettings {
                    prediction: predict,
                    sampler,
                    sample_steps,
                    steps,
                    horizon,
                    executed,
                    ..Default::default()
                };
                all.push(settings);
            }
        }
    }
    all
}

fn states(rng: &mut Rng, n: usize) -> Vec<Vec<f32>> {
    let near = |k: usize| [0.1, 1.0, 30.0, 5.0][k];
    (0..n)
        .map(|i| (0..OBS).map(|k| ([0.3, 1.0, 2.0][i % 3] * near(k) * rng.normal()) as f32).collect())
        .collect()
}

/// The nearest memory and its distance by the definition, in f64.
fn nearest(data: &Demonstrations, book: &Codebook, state: &[f32]) -> (usize, f64) {
    let n = data.n_steps() as f64;
    let of = |k: usize| (0..data.n_steps()).map(move |i| f64::from(data.state(i)[k]));
    let std: Vec<f64> = (0..OBS)
        .map(|k| {
            let mean = of(k).sum::<f64>() / n;
            (of(k).map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
        })
        .collect();
    let floor = 1e-3 * std.iter().fold(0.0_f64, |largest, std| largest.max(*std)).min(1.0);
    (0..book.len())
        .map(|m| {
            let difference = |k: usize| f64::from(state[k]) - f64::from(book.state(m)[k]);
            let squares = (0..OBS).map(|k| (difference(k) / (std[k] + floor)).powi(2));
            (m, squares.sum::<f64>().sqrt())
        })
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap()
}

#[test]
fn every_executed_action_is_constrained_by_the_demonstrated_action_as_many_steps_after_the_memory() {
    let mut n_inside_and_edge = [0; 2];
    for (seed, settings) in all_settings().into_iter().enumerate() {
        let seed = Seed(seed as u64);
        for (lambda, amplitude, activation) in [(0.4, 1.0, Activation::Clamp), (1.0, 0.3, Activation::Tanh)] {
            let data = data(seed);
            let book = book(&data, settings.horizon);
            let envelope = Envelope { lambda, amplitude, activation, ..Envelope::default() };
            let policy = Policy::new(book.clone(), envelope, large_unet(settings, seed), 1).unwrap();
            let mut session = policy.session();
            let (mut memory, mut distance) = (0, 0.0);
            for (step, state) in states(&mut seed.fork("states").rng(), 40).iter().enumerate() {
                let mut action = [9.0; ACT];
                let decision = session.act(state, &mut action).unwrap();
                let ahead = step % settings.executed;
                if ahead == 0 {
                    (memory, distance) = nearest(&data, &book, state);
                }
                assert_eq!((decision.chunk_step, decision.retrieval.memory), (ahead, memory));
                // The demonstrated action as many steps after the memory, or the last of its episode, found in the data.
                let row = data.find(book.source(memory)).unwrap();
                let end = ENDS.into_iter().find(|&end| row < end).unwrap();
                let memory_action = data.action((row + ahead).min(end - 1));
                assert_eq!(memory_action[..], *book.action_after(memory, ahead));
                let weight = (-f64::from(lambda) * distance).exp();
                for (f, a) in action.iter().zip(memory_action.iter()) {
                    let (center, radius) = (weight * f64::from(*a), f64::from(amplitude) * (1.0 - weight));
                    assert!((f64::from(*f) - center).abs() <= radius + 1e-5, "{f}: {center} {radius}");
                    let [low, high] = decision.region.bounds(*a);
                    assert!(low <= *f && *f <= high, "{settings:?}: {f} {low} {high}");
                    n_inside_and_edge[usize::from(*f == low || *f == high)] += 1;
                }
            }
        }
    }
    assert!(
        n_inside_and_edge.iter().all(|&n| n > 200),
        "actions inside their boxes and on their edges: {n_inside_and_edge:?}"
    );
}

#[test]
fn in_a_memorys_state_the_chunk_is_the_demonstrated_one() {
    let settings = UnetSettings { steps: 20, sample_steps: 3, ..Default::default() };
    let data = data(Seed(1));
    let envelope = Envelope { lambda: 0.5, ..Envelope::default() };
    let policy = Policy::new(book(&data, 16), envelope, large_unet(settings, Seed(1)), 1).unwrap();
    for m in 0..policy.codebook().len() {
        let row = data.find(policy.codebook().source(m)).unwrap();
        let end = ENDS.into_iter().find(|&end| row < end).unwrap();
        let mut session = policy.session();
        for ahead in 0..8 {
            let mut action = [9.0; ACT];
            let state = if ahead == 0 { policy.codebook().state(m) } else { &[1e6; OBS] };
            session.act(state, &mut action).unwrap();
            assert_eq!(action, &data.action((row + ahead).min(end - 1))[..]);
        }
    }
}

#[test]
fn explain_reports_the_chunk_that_a_session_executes() {
    let settings = UnetSettings { steps: 20, sample_steps: 3, ..Default::default() };
    let data = data(Seed(6));
    let envelope =
        Envelope { lambda: 0.3, amplitude: 0.5, activation: Activation::Clamp, ..Envelope::default() };
    let policy = Policy::new(book(&data, 16), envelope, large_unet(settings, Seed(6)), 1).unwrap();
    for pair in states(&mut Seed(7).rng(), 20).chunks(2) {
        let explained = policy.explain(&pair.concat()).unwrap();
        let chunk = explained.chunk.as_ref().unwrap();
        assert_eq!((chunk.horizon, chunk.steps.len()), (16, 8));
        let mut session = policy.session();
        session.observe(&pair[0]).unwrap();
        for (ahead, step) in chunk.steps.iter().enumerate() {
            let mut action = [9.0; ACT];
            let decision = session.act(&pair[1], &mut action).unwrap();
            let memory_action = policy.codebook().action_after(decision.retrieval.memory, ahead);
            for (k, d) in step.iter().enumerate() {
                assert_eq!((d.action, d.memory_action), (action[k], Some(memory_action[k])));
                assert_eq!([d.low, d.high], decision.region.bounds(memory_action[k]).map(Some));
                if ahead == 0 {
                    let first = &explained.dimensions[k];
                    assert_eq!((d.action, d.low, d.high), (first.action, Some(first.low), Some(first.high)));
                }
            }
        }
    }
}

#[test]
fn a_chunk_is_executed_before_the_next_is_predicted_and_each_episode_starts_with_a_new_one() {
    let settings = UnetSettings { steps: 20, sample_steps: 3, ..Default::default() };
    let data = data(Seed(2));
    let envelope =
        Envelope { lambda: 0.1, amplitude: 1.0, activation: Activation::Tanh, ..Envelope::default() };
    let policy = Policy::new(book(&data, 16), envelope, large_unet(settings, Seed(2)), 1).unwrap();
    let all = states(&mut Seed(3).rng(), 24);
    // The actions if the states of some steps are changed.
    let acted = |changed: &dyn Fn(usize) -> bool| -> Vec<[f32; ACT]> {
        let mut session = policy.session_with_seed(Seed(4));
        let mut action = [0.0; ACT];
        (0..24)
            .map(|i| {
                let state = if changed(i) { &[0.5; OBS][..] } else { &all[i] };
                session.act(state, &mut action).unwrap();
                action
            })
            .collect()
    };
    let as_is = acted(&|_| false);
    // Chunks are predicted from the observations at 0, at 7 and 8, and at 15 and 16; no other observation has an effect.
    assert_eq!(acted(&|i| ![0, 7, 8, 15, 16].contains(&i)), as_is);
    for (other, from) in [(0, 0), (7, 8), (8, 8), (15, 16), (16, 16)] {
        let acted = acted(&|i| i == other);
        assert_eq!(acted[..from], as_is[..from]);
        assert_ne!(
            acted[from..from + 8],
            as_is[from..from + 8],
            "the chunk at {from} depends on step {other}"
        );
    }
    assert_eq!(acted(&|_| false), as_is, "another episode with the seed is equal");
    let mut session = policy.session_with_seed(Seed(4));
    let mut action = [0.0; ACT];
    for state in all.iter().take(3) {
        session.act(state, &mut action).unwrap();
    }
    let decision = policy.session_with_seed(Seed(4)).act(&all[5], &mut action).unwrap();
    assert_eq!(decision.chunk_step, 0, "an episode does not continue the chunk of another");
}

#[test]
fn too_few_future_actions_and_several_neighbors_are_refused() {
    let settings = UnetSettings::default();
    let data = data(Seed(5));
    let envelope = Envelope { lambda: 0.1, ..Envelope::default() };
    let refused = |horizon, neighbors| {
        let made = Policy::new(book(&data, horizon), envelope, large_unet(settings, Seed(5)), neighbors);
        made.err().unwrap().to_string()
    };
    assert!(refused(15, 1).contains("memories with 16 actions each"));
    assert!(refused(16, 2).contains("uses one neighbor"));
}

/// A policy with a prediction horizon of 6 and an execution horizon of 4.
fn four_at_a_time(seed: u64) -> Policy {
    let settings = UnetSettings { horizon: 6, executed: 4, steps: 20, sample_steps: 4, ..Default::default() };
    let envelope = Envelope { lambda: 0.5, ..Envelope::default() };
    let book = book(&data(Seed(seed)), 6);
    Policy::new(book, envelope, large_unet(settings, Seed(1)), 1).unwrap()
}

/// The memory nearest to an observation, and its distance.
fn retrieval(book: &Codebook, observation: &[f32]) -> Retrieval {
    let mut state = book.scaled_buffer();
    book.scale(observation, &mut state);
    book.retrieve(&state)
}

#[test]
fn within_a_chunk_ood_detection_uses_the_newest_observation() {
    let policy = four_at_a_time(2);
    let calibration = OodCalibration::new(vec![CalibrationEpisode {
        number: 0,
        distances: (1..40).map(|i| i as f32 / 8.0).collect(),
    }]);
    let policy = policy.with_calibration(Some(calibration.unwrap()));
    let observations: Vec<Vec<f32>> = {
        let mut rng = Seed(3).rng();
        (0..40).map(|_| [0.1, 1.0, 30.0, 5.0].map(|s| (1.5 * s * rng.normal()) as f32).to_vec()).collect()
    };
    let (mut free, mut action, mut given) = (policy.session(), [0.0; ACT], [0.0; ACT]);
    let mut guarded = policy.session().guarded(Guard { response: Response::Memory, threshold: 1.5 });
    let mut seen = [0; 2];
    for (t, observation) in observations.iter().enumerate() {
        let newest = retrieval(policy.codebook(), observation);
        let decision = free.act(observation, &mut action).unwrap();
        assert_eq!((decision.chunk_step, decision.ood), (t % 4, false));
        assert_eq!(decision.quantile, Some(policy.calibration().unwrap().quantile(newest.distance) as f32));
        let decision = guarded.act(observation, &mut given).unwrap();
        let far = newest.distance > 1.5;
        assert_eq!((decision.chunk_step, decision.ood), (t % 4, far));
        let expected = if far { policy.codebook().action(newest.memory) } else { &action };
        assert_eq!(given, expected, "step {t}");
        seen[usize::from(far)] += usize::from(t % 4 > 0);
    }
    assert!(seen.iter().all(|&n| n > 3), "near and far states within chunks: {seen:?}");
}

#[test]
fn the_rest_of_a_chunk_is_discarded_when_the_memories_are_replaced() {
    let (old, other) = (four_at_a_time(2), four_at_a_time(4));
    let new = old.clone().with_codebook(other.codebook().clone()).unwrap();
    let live = LivePolicy::new(old.clone());
    let mut session = live.start(Seed(0));
    let (observation, mut action) = ([0.1, 0.5, 9.0, -3.0], [0.0; ACT]);
    for t in 0..9 {
        if t == 2 {
            live.replace(new.clone()).unwrap();
        }
        let policy = if t < 2 { &old } else { &new };
        let newest = retrieval(policy.codebook(), &observation);
        let decision = session.act(&observation, &mut action).unwrap();
        assert_eq!((decision.memory, decision.distance), (Some(newest.memory), Some(newest.distance)));
        // A new chunk starts with the new memories; every action lies in the box around its memory's future action.
        let ahead = if t < 2 { t } else { (t - 2) % 4 };
        let region = policy.envelope().region(newest.distance);
        for (a, &memory_action) in action.iter().zip(policy.codebook().action_after(newest.memory, ahead)) {
            let [low, high] = region.bounds(memory_action);
            assert!(low <= *a && *a <= high, "step {t}: {a} outside [{low}, {high}]");
        }
    }
}
