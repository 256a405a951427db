//! OOD guards and calibrations on hand-made memories and a random network, and in rollouts.

use mcnn::{
    act::{Act, Decision},
    backbone::{Mlp, Network},
    calibration::{CalibrationEpisode, OodCalibration, OodQuantile},
    data::{Scale, Step},
    envelope::{Activation, Envelope},
    eval::{Run, collect, rollout},
    memory::{Codebook, CodebookParts},
    policy::{Guard, Policy, Response},
    seed::Seed,
    task::{Environment, Outcome, Spec, Task},
};

/// Memories at 0, 10 and 20 on a line, in a scale that changes nothing.
fn policy() -> Policy {
    let book = Codebook::new(CodebookParts::new(
        Scale { mean: vec![0.0], std: vec![1.0], angles: vec![] },
        vec![0.0, 10.0, 20.0],
        vec![-0.5, 0.25, 0.75],
        (0..3).map(|i| Step { episode: i, step: 0 }).collect(),
    ))
    .unwrap();
    let envelope =
        Envelope { lambda: 1.0, amplitude: 1.0, activation: Activation::Tanh, ..Envelope::default() };
    Policy::new(book, envelope, Network::from(Mlp::random(&[1, 8, 1], Seed(3))), 1).unwrap()
}

/// Near, far twice, near, far.
const STATES: [f32; 5] = [0.5, 3.0, 14.0, 9.0, 24.5];
const FAR: [bool; 5] = [false, true, true, false, true];
const MEMORY: [f32; 5] = [-0.5, -0.5, 0.25, 0.25, 0.75];

fn decisions(act: &dyn Act, states: &[f32]) -> Vec<(f32, Decision)> {
    let mut session = act.start(Seed(0));
    let mut action = [f32::NAN];
    states
        .iter()
        .map(|&s| (session.act(&[s], &mut action).unwrap(), action[0]))
        .map(|(d, a)| (a, d))
        .collect()
}

#[test]
fn each_response_takes_its_action_in_ood_states() {
    let policy = policy();
    let free: Vec<f32> = decisions(&policy, &STATES).into_iter().map(|(a, _)| a).collect();
    // The actions of the network, the memory and the previous step differ in every state.
    assert!(free.iter().zip(MEMORY).all(|(a, m)| (a - m).abs() > 0.01), "{free:?}");
    for (response, expected) in [
        (Response::Warn, free.clone()),
        (Response::Hold, vec![free[0], free[0], free[0], free[3], free[3]]),
        (Response::Memory, vec![free[0], MEMORY[1], MEMORY[2], free[3], MEMORY[4]]),
        (Response::Stop, vec![free[0], MEMORY[1], MEMORY[2], free[3], MEMORY[4]]),
    ] {
        let guarded = policy.guarded(Guard { response, threshold: 2.0 });
        assert_eq!((guarded.n_obs(), guarded.n_act()), (1, 1));
        let found = decisions(&guarded, &STATES);
        assert_eq!(found.iter().map(|(a, _)| *a).collect::<Vec<_>>(), expected, "{response:?}");
        assert_eq!(found.iter().map(|(_, d)| d.ood).collect::<Vec<_>>(), FAR);
        assert!(found.iter().zip(FAR).all(|((_, d), far)| d.stop == (far && response == Response::Stop)));
        // All states are OOD, so that there is no in-distribution action to repeat.
        let found = decisions(&policy.guarded(Guard { response, threshold: -1.0 }), &STATES);
        let expected = if response == Response::Warn { free.clone() } else { MEMORY.to_vec() };
        assert_eq!(found.iter().map(|(a, _)| *a).collect::<Vec<_>>(), expected, "{response:?}");
        // A distance equal to the threshold is in distribution.
        assert!(!decisions(&policy.guarded(Guard { response, threshold: 0.5 }), &STATES)[0].1.ood);
    }
}

#[test]
fn a_nan_distance_is_ood() {
    let policy = policy();
    let guarded = policy.guarded(Guard { response: Response::Memory, threshold: f32::MAX });
    for far in [3e38, -3e38] {
        let (_, decision) = decisions(&guarded, &[far])[0];
        let distance = decision.distance.unwrap();
        assert!(decision.ood && (distance.is_nan() || distance > f32::MAX), "{decision:?}");
    }
    let calibration =
        OodCalibration::new(vec![CalibrationEpisode { number: 0, distances: vec![1.0] }]).unwrap();
    assert_eq!((calibration.quantile(f32::NAN), calibration.quantile(f32::INFINITY)), (1.0, 1.0));
}

#[test]
fn every_decision_has_distance_weight_radius_and_quantile() {
    let distances = vec![0.1, 0.4, 2.0, 3.5];
    let calibration =
        OodCalibration::new(vec![CalibrationEpisode { number: 7, distances: distances.clone() }]).unwrap();
    let plain = policy();
    assert!(decisions(&plain, &STATES).iter().all(|(_, d)| d.quantile.is_none() && !d.ood));
    assert_eq!(plain.explain(&[3.0]).unwrap().quantile, None);
    let policy = plain.with_calibration(Some(calibration));
    let nearest = [0.5, 3.0, 4.0, 1.0, 4.5_f32];
    for ((_, d), distance) in decisions(&policy, &STATES).iter().zip(nearest) {
        let share = distances.iter().filter(|&&x| x < distance).count() as f32 / 4.0;
        let weight = (-distance).exp();
        assert_eq!((d.distance, d.quantile), (Some(distance), Some(share)));
        assert!((d.weight.unwrap() - weight).abs() < 1e-6 && (d.radius.unwrap() - 1.0 + weight).abs() < 1e-6);
    }
    assert_eq!(policy.explain(&[3.0]).unwrap().quantile, Some(0.75));
    // With the threshold of a quantile, exactly the states of that quantile or above are OOD.
    for share in [0.25, 0.5, 0.75, 1.0] {
        let beyond = policy.calibration().unwrap().threshold(OodQuantile::States(share)).unwrap().distance;
        for (_, d) in
            decisions(&policy.guarded(Guard { response: Response::Warn, threshold: beyond }), &STATES)
        {
            assert_eq!(d.ood, f64::from(d.quantile.unwrap()) >= share, "{share} {d:?}");
        }
    }
}

/// A task that visits `STATES` in order; the episode of seed 7 starts in an OOD state.
struct Line(Spec);

struct LineEnvironment {
    seed: u64,
    t: usize,
}

impl Task for Line {
    fn spec(&self) -> &Spec {
        &self.0
    }
    fn start(&self) -> mcnn::Result<Box<dyn Environment>> {
        Ok(Box::new(LineEnvironment { seed: 0, t: 0 }))
    }
}

impl Environment for LineEnvironment {
    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> mcnn::Result<()> {
        (self.seed, self.t) = (seed, 0);
        observation[0] = if seed == 7 { 90.0 } else { STATES[0] };
        Ok(())
    }
    fn step(&mut self, _: &[f32], observation: &mut [f32]) -> mcnn::Result<Outcome> {
        self.t += 1;
        observation[0] = STATES[self.t % 5];
        let success = Some(self.t >= 3);
        Ok(Outcome { reward: 1.0, done: false, success, goal: true, parts: 0 })
    }
}

#[test]
fn rollouts_count_ood_states_and_end_when_a_guard_stops() {
    let spec = Spec {
        name: "line".into(),
        n_obs: 1,
        frame: None,
        n_act: 1,
        horizon: 5,
        reference: None,
        parts: Vec::new(),
    };
    let (task, policy) = (Line(spec), policy());
    for (threads, lanes) in [(1, 1), (2, 3)] {
        let run = Run { episodes: 4, first_seed: 5, threads, environments_per_worker: lanes, trace: true };
        let go = |response| {
            let guarded = policy.guarded(Guard { response, threshold: 2.0 });
            rollout(&guarded, &task, &run, &|_| ()).unwrap()
        };
        let warned = go(Response::Warn);
        for e in &warned {
            let seven = e.seed == 7;
            assert_eq!((e.length, e.stopped, e.success), (5, false, Some(true)));
            assert_eq!((e.ood, e.first_ood), if seven { (4, Some(0)) } else { (3, Some(1)) });
            let in_trace = e.trace.as_ref().unwrap().decisions.iter().filter(|d| d.ood).count();
            assert_eq!(in_trace, e.ood);
        }
        for e in go(Response::Stop) {
            let steps = usize::from(e.seed != 7);
            // The action in the OOD state is not taken.
            assert_eq!((e.length, e.ret, e.latencies.len()), (steps, steps as f64, steps));
            assert_eq!((e.stopped, e.error.is_none(), e.ood), (true, true, 0));
            assert_eq!(e.first_ood, Some(steps));
            assert_eq!(e.success, (steps == 1).then_some(false));
        }
        let summary = mcnn::eval::Summary::new("x", task.spec(), &go(Response::Stop), Seed(0));
        let success = summary.success.unwrap();
        let of_four = mcnn::eval::stats::wilson(0, 4)[1];
        assert_eq!((success.share, success.high), (0.0, of_four), "all four count, none has succeeded");
        let guarded = policy.guarded(Guard { response: Response::Stop, threshold: 2.0 });
        let collected = collect(&guarded, &task, &run, &|_| true).unwrap();
        assert_eq!((collected.ends, collected.failed.len()), (vec![1, 2, 3], 1));
    }
    let unguarded = rollout(
        &policy,
        &task,
        &Run { episodes: 1, first_seed: 7, threads: 1, environments_per_worker: 1, trace: false },
        &|_| (),
    );
    assert_eq!(unguarded.unwrap()[0].first_ood, None);
}
