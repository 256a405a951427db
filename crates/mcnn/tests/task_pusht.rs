//! Push-T through the worker compared with gym-pusht itself. Needs the Python packages, as tests/task_worker.rs does.
#![cfg(unix)]

use crate::workers::interpreter_with_pusht;
use mcnn::task::{Environment, Outcome, Recorded, Task as _, gym::Gym, pusht::Observation, scale_action};
use std::{path::Path, process::Command};

/// The output of python/tests/pusht_values.py for a seed.
#[derive(serde::Deserialize)]
struct Values {
    seed: u64,
    states: Vec<[f64; 5]>,
    coverages: Vec<f64>,
}

/// Its last line.
#[derive(serde::Deserialize)]
struct Poses {
    poses: Vec<[f64; 3]>,
    coverages: Vec<f64>,
}

fn in_gym_pusht(python: &Path, seeds: &[u64]) -> (Vec<Values>, Poses) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../python/tests/pusht_values.py");
    let run = Command::new(python).arg(script).args(seeds.iter().map(u64::to_string)).output().unwrap();
    let stdout = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let lines: Vec<&str> = stdout.lines().filter(|line| line.starts_with('{')).collect();
    let values = lines[..seeds.len()].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    (values, serde_json::from_str(lines[seeds.len()]).unwrap())
}

/// Two rows of the demonstrations of diffusion_policy: `state` (agent, block, angle), and `keypoint` (nine points of the block).
const RECORDED: [([f32; 5], [f32; 18]); 2] = [
    (
        [222.0, 97.0, 222.99382, 381.59903, 3.0079994],
        [
            201.8135, 293.59506, 283.59198, 374.6524, 162.8094, 391.09332, 219.8596, 356.24698, 220.57481,
            258.00412, 179.96213, 354.2294, 258.24466, 343.83762, 231.29512, 317.05505, 199.8886, 386.4198,
        ],
    ),
    (
        [263.8435, 320.99466, 319.40665, 291.54688, 0.31055206],
        [
            300.7179, 380.11343, 261.70297, 271.7813, 377.83142, 308.83414, 311.34335, 315.78595, 268.48392,
            404.18982, 346.503, 334.75116, 271.35034, 310.4978, 284.1771, 346.26175, 342.34158, 297.12183,
        ],
    ),
];

fn near(a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance), "{a:?}\n{b:?}");
}

/// The agent in an observation of keypoints.
fn agent(keypoints: &[f32]) -> [f32; 2] {
    [keypoints[18], keypoints[19]]
}

/// A step with an action in pixels, as a policy of the recorded actions takes it.
fn step(env: &mut dyn Environment, pixels: [f32; 2], o: &mut [f32]) -> Outcome {
    let mut action = [0.0; 2];
    scale_action(env.action_bounds(), &pixels, &mut action);
    env.step(&action, o).unwrap()
}

#[test]
fn episodes_are_those_of_gym_pusht_and_the_return_is_the_largest_overlap() {
    let Some(python) = interpreter_with_pusht() else {
        return;
    };
    let (expected, _) = in_gym_pusht(&python, &[1000, 3, 17]);
    for observation in [Observation::State, Observation::Keypoint] {
        let task = Gym::pusht(observation, &python);
        let mut env = task.start().unwrap();
        let mut o = vec![f32::NAN; task.spec().n_obs];
        let mut moved = 0;
        for values in &expected {
            env.reset(values.seed, &mut o).unwrap();
            let mut ret = 0.0;
            for (t, state) in values.states.iter().enumerate() {
                if t > 0 {
                    let side = if (t - 1) / 10 % 2 == 0 { 1.0 } else { -1.0 };
                    let target = [256.0 + 200.0 * side, 156.0 + 2.0 * (t - 1) as f32];
                    let outcome = step(env.as_mut(), target, &mut o);
                    ret += outcome.reward;
                    assert_eq!((outcome.done, outcome.success), (false, Some(false)));
                    let best = values.coverages[..t].iter().fold(0.0_f64, |a, &b| a.max(b));
                    assert!(
                        (ret - (best / 0.95).min(1.0)).abs() < 1e-4,
                        "seed {}, step {t}: {ret}",
                        values.seed
                    );
                    moved += usize::from(values.states[t][2] != values.states[t - 1][2]);
                }
                let state = state.map(|x| x as f32);
                match observation {
                    Observation::State => near(&o, &state, 1e-3),
                    Observation::Keypoint => near(&agent(&o), &state[..2], 1e-3),
                }
            }
        }
        assert!(moved > 30, "the block is pushed: {moved}");
    }
}

#[test]
fn recorded_observations_are_restored_in_both_forms() {
    let Some(python) = interpreter_with_pusht() else {
        return;
    };
    for (state, points) in RECORDED {
        let keypoints: Vec<f32> = points.iter().chain(&state[..2]).copied().collect();
        for (observation, recorded) in
            [(Observation::State, state.to_vec()), (Observation::Keypoint, keypoints)]
        {
            let mut env = Gym::pusht(observation, &python).start().unwrap();
            let mut o = vec![f32::NAN; recorded.len()];
            env.reset(1, &mut o).unwrap();
            assert!(o.iter().zip(&recorded).any(|(a, b)| (a - b).abs() > 1.0));
            env.restore_state(&Recorded { observation: &recorded, qpos: None, qvel: None }, &mut o).unwrap();
            near(&o, &recorded, 1e-3);
        }
    }
    // The points belong to the pose: those of a recorded state are seen from it.
    let (state, points) = RECORDED[1];
    let (c, s) = (state[4].cos(), state[4].sin());
    let own: Vec<[f32; 2]> = points
        .chunks(2)
        .map(|p| [p[0] - state[2], p[1] - state[3]])
        .map(|[x, y]| [c * x + s * y, c * y - s * x])
        .collect();
    near(&own[4], &[-14.0649, 122.8158], 1e-3); // the lower left corner of the stem
}

#[test]
fn an_overlap_of_95_percent_is_a_score_of_1_and_the_end() {
    let Some(python) = interpreter_with_pusht() else {
        return;
    };
    let (_, Poses { poses, coverages }) = in_gym_pusht(&python, &[]);
    let overlaps: Vec<bool> = coverages.iter().map(|c| *c >= 0.95).collect();
    assert_eq!(overlaps, [true, true, false, false], "{coverages:?}");
    let task = Gym::pusht(Observation::State, &python);
    let mut env: Box<dyn Environment> = task.start().unwrap();
    let mut o = [0.0; 5];
    for ([x, y, angle], coverage) in poses.into_iter().zip(coverages) {
        env.reset(0, &mut o).unwrap();
        let recorded = [20.0, 20.0, x as f32, y as f32, angle as f32];
        env.restore_state(&Recorded { observation: &recorded, qpos: None, qvel: None }, &mut o).unwrap();
        let outcome = step(env.as_mut(), [20.0, 20.0], &mut o);
        assert!((outcome.reward - (coverage / 0.95).min(1.0)).abs() < 1e-4, "{coverage}: {outcome:?}");
        assert_eq!((outcome.success, outcome.done), (Some(coverage >= 0.95), coverage >= 0.95));
    }
    // Clipped to the area.
    env.reset(0, &mut o).unwrap();
    for _ in 0..60 {
        step(env.as_mut(), [-100.0, 600.0], &mut o);
    }
    assert!(o[0].abs() < 1.0 && (o[1] - 512.0).abs() < 1.0, "{o:?}");
}
