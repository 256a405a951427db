//! Policies, states and the interpreter of the tests.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use mcnn::{
    backbone::Network,
    data::{
        ActionRange, ActionScale, ActionSettings, Angle, AngleUnit, Demonstrations, DimensionNames, Parts,
        RelativeTo, Scale, Step, Units,
    },
    envelope::Envelope,
    memory::{Amount, Codebook, CodebookParts, LearnSettings, learn},
    policy::{ActingSettings, ConstrainAt, Policy},
    seed::Seed,
};

pub const OBS: usize = 5;
pub const ACT: usize = 3;
const EPISODES: usize = 4;
const STEPS: usize = 15;

/// A policy and what it is called.
pub struct Case {
    pub name: String,
    pub policy: Policy,
}

/// An interpreter with onnx and onnxruntime, or a printed reason why a test is skipped.
pub fn python(test: &str) -> Option<PathBuf> {
    let skipped = |why: &str| {
        use std::io::Write as _;
        let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes());
        None
    };
    let Some(python) = std::env::var_os("MCNN_TEST_PYTHON") else {
        return skipped("MCNN_TEST_PYTHON names no Python");
    };
    let found = Command::new(&python).args(["-c", "import onnx, onnxruntime"]).output().unwrap();
    if !found.status.success() {
        return skipped("the Python has no onnx and onnxruntime");
    }
    Some(python.into())
}

/// Runs a program with a folder as its argument, and gives its output.
pub fn run(python: &Path, program: &str, folder: &Path) -> String {
    let output = Command::new(python).arg("-c").arg(program).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Episodes with a constant dimension of the state.
fn parts() -> Parts {
    let n = EPISODES * STEPS;
    let mut rng = Seed(11).rng();
    let mut draw = |k: usize, scale: f64| (0..k).map(|_| (scale * rng.normal()) as f32).collect::<Vec<_>>();
    let mut states = draw(n * OBS, 2.0);
    states.iter_mut().skip(3).step_by(OBS).for_each(|x| *x = 7.0);
    states.iter_mut().skip(1).step_by(OBS).for_each(|x| *x = 100.0 + 0.02 * *x);
    let actions = draw(n * ACT, 0.5).into_iter().map(|a| a.clamp(-1.0, 1.0)).collect();
    let ends = (1..=EPISODES).map(|k| k * STEPS).collect();
    Parts { n_obs: OBS, n_act: ACT, states, actions, rewards: None, ends }
}

pub fn data() -> Demonstrations {
    Demonstrations::new(parts(), ActionRange::Refuse).unwrap()
}

/// The same states with actions in tens; relative ones are by their first and last dimension.
pub fn actions_in_other_units(relative: bool) -> Demonstrations {
    let mut parts = parts();
    parts.actions.iter_mut().for_each(|a| *a = 10.0 * *a - 3.0);
    let dimensions = vec![Some(2), None, Some(0)];
    let relative_to = if relative { RelativeTo::Dimensions(dimensions) } else { RelativeTo::Absolute };
    scaled(parts, relative_to, &[])
}

fn scaled(parts: Parts, relative_to: RelativeTo, angles: &[Angle]) -> Demonstrations {
    let angles = angles.iter().map(|angle| (*angle).into()).collect();
    let units = Units::Fitted(ActionSettings { scale: ActionScale::Range, relative_to, angles });
    Demonstrations::scaled(parts, &DimensionNames::default(), &units, ActionRange::Refuse).unwrap().0
}

/// States whose first and third dimension are angles in degrees, of more than a turn; actions are relative to both of them.
pub fn angles() -> Demonstrations {
    let mut parts = parts();
    turn(&mut parts.states);
    let actions = parts.actions.chunks_exact_mut(ACT).zip(parts.states.chunks_exact(OBS));
    actions.for_each(|(action, state)| {
        action[0] = (state[2] + 20.0 * action[0]).rem_euclid(360.0);
        action[2] = (state[0] + 20.0 * action[2]).rem_euclid(360.0);
    });
    let angles = [0, 2].map(|dimension| Angle { dimension, unit: AngleUnit::Degrees });
    scaled(parts, RelativeTo::Dimensions(vec![Some(2), None, Some(0)]), &angles)
}

fn turn(states: &mut [f32]) {
    states.iter_mut().enumerate().filter(|(i, _)| [0, 2].contains(&(i % OBS))).for_each(|(_, x)| *x *= 100.0);
}

pub fn policy(networks: Vec<Network>, acting: ActingSettings) -> Policy {
    policy_of(&data(), networks, acting)
}

/// A policy of memories with smoothed actions, and with as many actions as the networks need.
pub fn policy_of(data: &Demonstrations, networks: Vec<Network>, acting: ActingSettings) -> Policy {
    let settings =
        LearnSettings { amount: Amount::Count(25), smooth_neighbors: 3, ..LearnSettings::default() };
    let mut codebook = learn(data, &settings).unwrap().codebook;
    let horizon = networks.first().map_or(1, |network| network.settings().horizons().prediction);
    if horizon > 1 && acting.constrain_at != ConstrainAt::Executed {
        codebook = codebook.with_future_actions(data, horizon).unwrap();
    }
    Policy::ensemble(codebook, networks, acting).unwrap()
}

/// 1-NN with many random memories.
pub fn large_policy(n: usize) -> Policy {
    let mut rng = Seed(7).rng();
    let mut draw = |n: usize| (0..n).map(|_| rng.between(-1.0, 1.0) as f32).collect::<Vec<_>>();
    let codebook = Codebook::new(CodebookParts {
        selection: "random".into(),
        ..CodebookParts::new(
            Scale { mean: vec![0.1; OBS], std: vec![0.5; OBS], angles: Vec::new() },
            draw(n * OBS),
            draw(n * ACT),
            (0..n as u32).map(|step| Step { episode: 0, step }).collect(),
        )
    });
    let envelope = Envelope { lambda: 0.0, ..Envelope::default() };
    Policy::new(codebook.unwrap(), envelope, None, 1).unwrap()
}

/// States that a policy did not see: of the episodes, every second step is moved; the others may be memories.
pub fn visited(policy: &Policy) -> Demonstrations {
    let mut parts = parts();
    if !policy.codebook().units().angles().is_empty() {
        turn(&mut parts.states);
    }
    let mut rng = Seed(12).rng();
    for (i, row) in parts.states.chunks_exact_mut(OBS).enumerate().filter(|(i, _)| i % 2 == 1) {
        let size = if i % 3 == 0 { 0.02 } else { 0.5 };
        row.iter_mut().for_each(|x| *x += (size * rng.normal()) as f32);
    }
    Demonstrations::new(parts, ActionRange::Refuse).unwrap().with_units(policy.codebook().units().clone())
}
