//! Python environments: the worker's pipes and deaths on environments that misbehave, and D4RL's rules on the real ones.
//! They run where the Python packages are already there, or MCNN_TEST_WORKER=1 lets them be installed.
#![cfg(unix)]

use crate::workers::{interpreter, with_fakes};
use mcnn::{
    error::Kind,
    task::{
        Ask, Recorded, Reply, Task as _,
        adroit::{Adroit, Rewards},
        gym::Gym,
        worker::Limits,
    },
};
use std::{path::Path, time::Duration};

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
            assert_eq!(first.success, Some(false)); // independent of the previous episode
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
        ("complex", "Cannot cast"),
        ("text", "could not convert string to float: 'much'"),
        ("wide", "the observation changed its width\n  where: fake_environments:Fake-wide-v0"),
        ("wide", "expected: 4 values\n  found: 5"),
        ("leaves", "SystemExit: 3"),
        ("exits", "exit status: 7"),
        ("exits", "last words"),
        ("kills", "signal: 9"),
        ("crashes", "signal: 11"),
        ("crashes", "fake_environments.py"), // where in Python
        ("closes", "process died"),
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
fn what_takes_too_long_is_killed_and_said_to_be_where_it_was() {
    let Some((_folder, python)) = with_fakes() else {
        return;
    };
    let limits = Limits { start: Duration::from_secs(100), step: Duration::from_millis(1500) };
    let task = Gym::new("fake_environments:Fake-hangs-v0", &python).unwrap().within(limits);
    let mut env = task.start().unwrap();
    let mut o = [0.0; 4];
    env.reset(41, &mut o).unwrap();
    env.step(&[0.0; 2], &mut o).unwrap();
    std::thread::sleep(Duration::from_secs(2)); // between steps nothing is due
    env.step(&[0.0; 2], &mut o).unwrap();
    let text = env.step(&[0.0; 2], &mut o).unwrap_err().to_string();
    for part in ["did not answer within 1.5 s", "episode seed 41, step 3", "time.sleep", "MCNN_STEP_TIMEOUT"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    // The copies of a process: the second one never gets made.
    let limits = Limits { start: Duration::from_secs(3), step: Duration::from_secs(100) };
    let task = Gym::new("fake_environments:Fake-slow-v0", &python).unwrap().within(limits);
    let mut batch = task.start_many(2).unwrap();
    let replies = batch.ask(&[(0, Ask::Reset(1)), (1, Ask::Reset(2))], &mut [0.0; 8]);
    assert_eq!(replies[0], Reply::Lost);
    let Reply::Failed(error) = &replies[1] else { panic!("{replies:?}") };
    let text = error.to_string();
    assert!(text.contains("within 3 s") && text.contains("MCNN_START_TIMEOUT"), "{text}");
}

#[test]
fn a_batch_answers_each_copy_and_loses_the_others_only_when_the_process_dies() {
    let Some((_folder, python)) = with_fakes() else {
        return;
    };
    let step = Ask::Step(&[0.0, 0.0]);
    for (kind, dies) in [("raises-on-3", false), ("exits-on-3", true)] {
        let task = Gym::new(&format!("fake_environments:Fake-{kind}-v0"), &python).unwrap();
        let mut batch = task.start_many(3).unwrap();
        let mut o = [0.0; 12];
        let resets = [(2, Ask::Reset(32)), (0, Ask::Reset(33)), (1, Ask::Reset(34))];
        assert_eq!(batch.ask(&resets, &mut o), vec![Reply::Good(None); 3]);
        assert_eq!([o[3], o[7], o[11]], [32.0, 33.0, 34.0]); // in the order of the asks
        let steps = [(2, step), (0, step), (1, step)];
        for _ in 0..2 {
            assert!(batch.ask(&steps, &mut o).iter().all(|r| matches!(r, Reply::Good(Some(_)))));
        }
        let replies = batch.ask(&steps, &mut o);
        let Reply::Failed(error) = &replies[1] else { panic!("{kind}: {replies:?}") };
        assert!(error.to_string().contains("episode seed 33, step 3"), "{error}");
        for k in [0, 2] {
            assert_eq!(matches!(replies[k], Reply::Lost), dies, "{replies:?}");
            assert_eq!(matches!(replies[k], Reply::Good(Some(_))), !dies, "{replies:?}");
        }
        let replies = batch.ask(&steps, &mut o);
        assert_eq!(replies.iter().map(|r| *r == Reply::Lost).collect::<Vec<_>>(), [dies, true, dies]);
        let again = [(0, Ask::Reset(44)), (1, Ask::Reset(45))];
        assert_eq!(batch.ask(&again, &mut o[..8]), vec![Reply::Good(None); 2]);
        assert_eq!([o[3], o[7]], [44.0, 45.0]);
    }
}

#[test]
fn pictures_are_those_that_the_environment_draws_and_only_known_scenes_can_be_put() {
    let Some((_folder, python)) = with_fakes() else {
        return;
    };
    let task = Gym::new("fake_environments:Fake-plain-v0", &python).unwrap();
    let mut env = task.start_with_pictures().unwrap();
    let mut o = [0.0; 4];
    env.reset(41, &mut o).unwrap();
    env.step(&[0.0, -1.0], &mut o).unwrap();
    let picture = env.picture().unwrap();
    let mut rgb = vec![0; 18];
    rgb[3..6].copy_from_slice(&[41, 1, 255]);
    assert_eq!((picture.width, picture.height, picture.rgb), (3, 2, rgb));
    let recorded = Recorded { observation: &[0.0; 4], qpos: None, qvel: None };
    let text = env.restore_state(&recorded, &mut o).unwrap_err().to_string();
    assert!(text.contains("Fake cannot restore a recorded state"), "{text}");
    assert!(!text.contains("Traceback"), "{text}");
    env.step(&[0.0, -1.0], &mut o).unwrap(); // and goes on
    let floats = Gym::new("fake_environments:Fake-floats-v0", &python).unwrap();
    let text = floats.start_with_pictures().err().unwrap().to_string();
    assert!(text.contains("(2, 3, 3) and float64"), "{text}");
}

#[test]
fn bytes_arrive_as_the_numbers_they_are_and_other_numbers_in_their_place_are_refused() {
    let Some((_folder, python)) = with_fakes() else {
        return;
    };
    let task = Gym::new("fake_environments:Fake-bytes-v0", &python).unwrap();
    assert_eq!((task.spec().n_obs, task.spec().frame), (2, None), "two bytes are no picture");
    let mut batch = task.start_many(2).unwrap();
    let mut o = [0.0; 4];
    batch.ask(&[(1, Ask::Reset(255)), (0, Ask::Reset(7))], &mut o);
    assert_eq!(o, [255.0, 0.0, 7.0, 0.0]);
    batch.ask(&[(0, Ask::Step(&[0.0])), (1, Ask::Step(&[0.0]))], &mut o);
    assert_eq!(o, [7.0, 1.0, 255.0, 1.0]);
    let task = Gym::new("fake_environments:Fake-no-bytes-v0", &python).unwrap();
    let error = task.start().unwrap().reset(1, &mut o[..2]).unwrap_err().to_string();
    assert!(error.contains("an observation of float32, where the environment's space has uint8"), "{error}");
}

#[test]
fn a_frame_and_a_state_arrive_as_the_frame_and_then_the_state() {
    let Some((_folder, python)) = with_fakes() else {
        return;
    };
    let task = Gym::new("fake_environments:Fake-camera-v0", &python).unwrap();
    assert_eq!((task.spec().n_obs, task.spec().frame), (18 + 3, Some([2, 3])));
    let mut env = task.start().unwrap();
    let mut o = [0.0; 21];
    env.reset(41, &mut o).unwrap();
    env.step(&[0.0], &mut o).unwrap();
    assert_eq!((&o[..18], &o[18..]), (&[41.0; 18][..], &[1.0, -1.0, 0.5][..]));
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
        assert!(!error.to_string().contains("Traceback"), "{kind}: {error}");
    }
}

#[test]
fn the_module_of_a_namespace_is_imported_and_options_reach_the_environment() {
    let Some((_folder, python)) = with_fakes() else {
        return;
    };
    let spaced = "fake_environments/Fake-spaced-v0";
    let none = serde_json::Map::new();
    let task = Gym::with_options(spaced, &none, &python).unwrap();
    assert_eq!(task.spec().name, format!("gym:{spaced}"));
    Gym::new(&format!("fake_environments:{spaced}"), &python).unwrap();
    for (id, reason) in [
        ("no_such_module/Fake-v0", "there is no module no_such_module"),
        ("no_such_module:Fake-v0", "no_such_module"),
        ("fake_environments/Absent-v0", "Absent"),
    ] {
        let text = Gym::new(id, &python).unwrap_err().to_string();
        assert!(text.contains(reason) && !text.contains("Traceback"), "{id}: {text}");
    }
    let options = serde_json::from_str(r#"{"kind": "raises"}"#).unwrap();
    let task = Gym::with_options(spaced, &options, &python).unwrap();
    assert_eq!(task.spec().name, format!("gym:{spaced} (kind=raises)"));
    let mut env = task.start().unwrap();
    env.reset(41, &mut [0.0; 4]).unwrap();
    let steps = (0..5).take_while(|_| env.step(&[0.0, 0.0], &mut [0.0; 4]).is_ok()).count();
    assert_eq!(steps, 2, "the option's kind fails at the third step");
    let options = serde_json::from_str(r#"{"color": "red"}"#).unwrap();
    let text = Gym::with_options(spaced, &options, &python).unwrap_err().to_string();
    assert!(text.contains("unexpected keyword argument 'color'") && !text.contains("Traceback"), "{text}");
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
