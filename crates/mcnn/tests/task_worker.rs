//! Python environments: the worker's pipes and deaths on environments that misbehave, and D4RL's rules on the real ones.
//! They run where the Python packages are already there, or MCNN_TEST_WORKER=1 lets them be installed.
#![cfg(unix)]

use mcnn::{
    error::Kind,
    task::{
        Task as _,
        adroit::{Adroit, Rewards},
        gym::Gym,
        python,
    },
};
use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

/// An interpreter with the packages, or why there is none.
fn interpreter() -> Option<PathBuf> {
    let wanted = std::env::var("MCNN_TEST_WORKER").is_ok_and(|v| v == "1");
    if !wanted && !python::ready() {
        // Past the test runner, which keeps what a passing test prints to itself.
        let line = "SKIPPED (task_worker): no Python packages; MCNN_TEST_WORKER=1 installs them\n";
        let _ = std::io::stderr().write_all(line.as_bytes());
        return None;
    }
    Some(python::interpreter(&|line| println!("{line}")).unwrap())
}

/// A script that runs the interpreter with the misbehaving environments on its path. Its folder must be kept.
fn with_fakes() -> Option<(tempfile::TempDir, PathBuf)> {
    let python = interpreter()?;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("python");
    let fakes = concat!(env!("CARGO_MANIFEST_DIR"), "/../../python/tests");
    let text = format!("#!/bin/sh\nPYTHONPATH='{fakes}' exec '{}' \"$@\"\n", python.display());
    // Written by another process: while a test at this one's side forks, a file written here would count as busy.
    let made = std::process::Command::new("sh")
        .args(["-c", "printf %s \"$1\" > \"$2\" && chmod +x \"$2\"", "sh", &text])
        .arg(&script)
        .status();
    assert!(made.unwrap().success());
    Some((folder, script))
}

/// Steps a fake environment until it fails (at most five times), and gives the steps made and the error.
fn fails(python: &Path, kind: &str) -> (usize, mcnn::Error) {
    let task = Gym::new(&format!("fake_environments:Fake-{kind}-v0"), python).unwrap();
    let mut env = task.start().unwrap();
    let mut o = [0.0; 4];
    env.reset(41, &mut o).unwrap();
    for t in 0..5 {
        if let Err(error) = env.step(&[0.0, 0.0], &mut o) {
            return (t, error);
        }
    }
    panic!("{kind} did not fail");
}

#[test]
fn observations_are_flattened_by_sorted_key_and_actions_mapped_onto_the_box_whatever_is_printed() {
    let Some((_folder, python)) = with_fakes() else {
        return;
    };
    for kind in ["plain", "prints"] {
        let task = Gym::new(&format!("fake_environments:Fake-{kind}-v0"), &python).unwrap();
        let spec = task.spec();
        assert_eq!((spec.n_obs, spec.n_act, spec.horizon), (4, 2, 1000));
        let mut env = task.start().unwrap();
        let mut o = [0.0; 4];
        for _ in 0..2 {
            env.reset(41, &mut o).unwrap();
            assert_eq!(o, [0.0, 0.0, 7.0, 41.0]); // a.x, a.y, z
            // 0.5 is three quarters of the way from low to high; 9 is cut to 1.
            let first = env.step(&[0.5, 0.5], &mut o).unwrap();
            assert_eq!(first.success, Some(false)); // whatever the episode before was
            assert_eq!(o, [0.5, 1.0, 7.0, 48.5]);
            let second = env.step(&[-0.25, 9.0], &mut o).unwrap();
            assert_eq!(o, [-0.25, 2.0, 7.0, 58.5]);
            assert_eq!((second.reward, second.success, second.goal), (1.0, Some(true), true));
            let third = env.step(&[0.0, -1.0], &mut o).unwrap();
            assert_eq!(o[3], 58.5);
            // The goal is gone, the success stays.
            assert_eq!((third.success, third.goal, third.done), (Some(true), false, false));
            env.step(&[0.0; 2], &mut o).unwrap();
            assert!(env.step(&[0.0; 2], &mut o).unwrap().done);
        }
        assert!(env.step(&[f32::NAN, 0.0], &mut o).is_err());
    }
}

#[test]
fn what_fails_in_python_is_reported_with_episode_step_and_reason() {
    let Some((_folder, python)) = with_fakes() else {
        return;
    };
    let reasons = [
        ("raises", "ValueError: the moon is in the wrong house"),
        ("nan", "NaN as number 3 of 4"),
        ("nan-reward", "a reward that is not finite"),
        ("exits", "exit status: 7"),
        ("exits", "last words"),
        ("kills", "signal: 9"),
    ];
    for (kind, reason) in reasons {
        let (step, error) = fails(&python, kind);
        let text = error.to_string();
        assert_eq!((step, error.kind()), (2, Kind::Task), "{text}");
        assert!(text.contains(reason), "{kind}: {text}");
        assert!(text.contains("episode seed 41, step 3"), "{text}");
    }
}

#[test]
fn spaces_that_are_not_boxes_are_refused_by_name() {
    let Some((_folder, python)) = with_fakes() else {
        return;
    };
    for (kind, reason) in [
        ("discrete", "actions of the kind Discrete(3) cannot be used"),
        ("unbounded", "no finite low and high"),
        ("image", "observations of the kind Discrete(4) cannot be used"),
        ("absent", "Fake-absent"),
    ] {
        let error = Gym::new(&format!("fake_environments:Fake-{kind}-v0"), &python).unwrap_err();
        assert!(error.to_string().contains(reason), "{kind}: {error}");
    }
}

/// The values that python/tests/adroit_values.py prints: steps, return by D4RL's reward, sum of the last observation.
const VALUES: [(Adroit, usize, f64, f64); 4] = [
    (Adroit::Door, 60, -16.268574907831162, 10.280607499764303),
    (Adroit::Hammer, 60, -76.39476051958059, 11.028256552771213),
    (Adroit::Pen, 59, 16.883178891940513, 9.16533630565391),
    (Adroit::Relocate, 60, -1.3284153644971168, 10.373890421586111),
];

#[test]
fn adroit_tasks_step_as_plain_gymnasium_does_with_d4rls_reward_and_drop() {
    let Some(python) = interpreter() else {
        return;
    };
    for (adroit, steps, ret, sum) in VALUES {
        let task = Gym::adroit(adroit, Rewards::D4rl, &python);
        let spec = task.spec().clone();
        let mut env = task.start().unwrap();
        let mut o = vec![0.0; spec.n_obs];
        for episode in 0..2 {
            env.reset(11, &mut o).unwrap();
            let (mut length, mut total) = (0, 0.0);
            for t in 0..60 {
                let act = |i: usize| ((7 * i + 3 * t) % 17) as f32 / 16.0 - 0.5;
                let action: Vec<f32> = (0..spec.n_act).map(act).collect();
                let outcome = env.step(&action, &mut o).unwrap();
                total += outcome.reward;
                length += 1;
                if outcome.done {
                    break;
                }
            }
            let seen: f64 = o.iter().map(|&x| f64::from(x)).sum();
            assert_eq!(length, steps, "{adroit:?}");
            // Not ==: other processors round the simulation's last bits otherwise, and contact makes them grow.
            let gaps = [(total - ret).abs(), (seen - sum).abs()];
            assert!(gaps.iter().all(|g| *g < 1e-6), "{adroit:?}, episode {episode}: {total}, {seen}");
        }
    }
}

#[test]
fn kitchen_and_fetch_run_on_this_mujoco() {
    let Some(python) = interpreter() else {
        return;
    };
    for (id, n_act, horizon) in [("FrankaKitchen-v1", 9, 280), ("FetchPush-v4", 4, 50)] {
        let task = Gym::new(id, &python).unwrap();
        let spec = task.spec();
        assert_eq!((spec.n_act, spec.horizon), (n_act, horizon), "{id}");
        let mut env = task.start().unwrap();
        let mut o = vec![0.0; spec.n_obs];
        env.reset(1, &mut o).unwrap();
        env.step(&vec![0.5; n_act], &mut o).unwrap();
        assert!(spec.n_obs > 25 && o.iter().any(|x| *x != 0.0), "{id}: {spec:?}");
    }
}
