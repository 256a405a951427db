//! CarRacing through the worker compared with plain Gymnasium, and its expert. Needs the Python packages, as tests/task_worker.rs
//! does.
#![cfg(unix)]

use crate::workers::interpreter_with_box2d;
use mcnn::task::{Ask, Batch, Outcome, Reply, Task as _, gym::Gym};
use sha2::{Digest as _, Sha256};
use std::{path::Path, process::Command};

const FRAME: usize = 96 * 96 * 3;

/// The output of python/tests/racing_values.py for a seed.
#[derive(serde::Deserialize)]
struct Values {
    seed: u64,
    frames: Vec<String>,
    rewards: Vec<f64>,
}

fn in_plain_gymnasium(python: &Path, seeds: &[u64]) -> Vec<Values> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../python/tests/racing_values.py");
    let run = Command::new(python).arg(script).args(seeds.iter().map(u64::to_string)).output().unwrap();
    let stdout = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    stdout
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The SHA-256 of a frame's bytes.
fn hash(observation: &[f32]) -> String {
    let bytes: Vec<u8> = observation.iter().map(|&x| x as u8).collect();
    assert!(bytes.iter().zip(observation).all(|(&byte, &x)| f32::from(byte) == x), "pixels are integers");
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The outcome of each request, with the frame of its reply.
fn ask(batch: &mut dyn Batch, asks: &[(usize, Ask)]) -> Vec<(Option<Outcome>, Vec<f32>)> {
    let mut observations = vec![-1.0; asks.len() * FRAME];
    let replies = batch.ask(asks, &mut observations);
    let good = |reply| match reply {
        Reply::Good(outcome) => outcome,
        other => panic!("{other:?}"),
    };
    replies.into_iter().map(good).zip(observations.chunks(FRAME).map(<[f32]>::to_vec)).collect()
}

#[test]
fn lanes_give_the_frames_and_rewards_of_plain_gymnasium() {
    let Some(python) = interpreter_with_box2d() else {
        return;
    };
    let expected = in_plain_gymnasium(&python, &[1000, 3]);
    assert_eq!(expected.len(), 2);
    let task = Gym::racing(&python);
    assert_eq!((task.spec().n_obs, task.spec().frame), (FRAME, Some([96, 96])));
    let mut batch = task.start_many(2).unwrap();
    let resets = [(1, Ask::Reset(expected[0].seed)), (0, Ask::Reset(expected[1].seed))];
    for (reset, values) in ask(batch.as_mut(), &resets).iter().zip(&expected) {
        assert_eq!((reset.0, hash(&reset.1)), (None, values.frames[0].clone()), "seed {}", values.seed);
    }
    for t in 0..expected[0].rewards.len() {
        let action = [0, 1].map(|i| ((7 * i + 3 * t) % 17) as f32 / 16.0 - 0.375);
        let steps = [(1, Ask::Step(&action)), (0, Ask::Step(&action))];
        for ((outcome, frame), values) in ask(batch.as_mut(), &steps).iter().zip(&expected) {
            let outcome = outcome.unwrap();
            assert_eq!(hash(frame), values.frames[t + 1], "seed {}, step {t}", values.seed);
            assert!((outcome.reward - values.rewards[t]).abs() < 1e-12, "seed {}, step {t}", values.seed);
            assert_eq!((outcome.done, outcome.success), (false, Some(false)));
        }
    }
}

#[test]
fn the_expert_drives_and_is_independent_of_other_lanes() {
    let Some(python) = interpreter_with_box2d() else {
        return;
    };
    let task = Gym::racing(&python);
    // 60 steps of the expert with seed 5: the return, and the hash of the last frame.
    let drive = |lanes: usize| {
        let mut batch = task.start_with_expert(lanes).unwrap();
        let mut expert_action = [f32::NAN; 2];
        assert!(!batch.expert_action(0, &mut expert_action), "there is no expert action before an episode");
        let resets: Vec<_> = (0..lanes).map(|k| (k, Ask::Reset(5 + k as u64))).collect();
        ask(batch.as_mut(), &resets);
        let (mut ret, mut last) = (0.0, String::new());
        for _ in 0..60 {
            let actions: Vec<[f32; 2]> = (0..lanes)
                .map(|k| {
                    assert!(batch.expert_action(k, &mut expert_action));
                    assert!(expert_action.iter().all(|a| (-1.0..=1.0).contains(a)), "{expert_action:?}");
                    expert_action
                })
                .collect();
            let steps: Vec<_> = actions.iter().enumerate().map(|(k, a)| (k, Ask::Step(a))).collect();
            let (outcome, frame) = ask(batch.as_mut(), &steps).remove(0);
            ret += outcome.unwrap().reward;
            last = hash(&frame);
        }
        (ret, last)
    };
    let alone = drive(1);
    assert_eq!(alone, drive(2));
    assert!(alone.0 > 20.0, "{}", alone.0); // a car that does not move has a return of -4.9
}

#[test]
fn the_unchanged_gymnasium_environment_is_a_task_without_an_expert() {
    let Some(python) = interpreter_with_box2d() else {
        return;
    };
    let task = Gym::new("CarRacing-v3", &python).unwrap();
    let spec = task.spec();
    assert_eq!((spec.n_obs, spec.frame, spec.n_act, spec.horizon), (FRAME, Some([96, 96]), 3, 1000));
    let error = task.start_with_expert(1).err().unwrap().to_string();
    assert!(error.contains("no expert of its own"), "{error}");
}
