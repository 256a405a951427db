//! Actions in any unit: a policy of scaled or relative actions is the policy of actions in [-1, 1], in other units.

use crate::workers::with_fakes;
use mcnn::{
    act::{Act, Acting, Decision},
    data::{
        ActionRange, ActionSettings, ActionUnits, Demonstrations, DimensionNames, Parts, ReadOptions,
        RelativeTo, Units, read, write_npz,
    },
    envelope::Envelope,
    eval::{Run as EvaluationRun, collect},
    expert::{Noise, Noisy},
    file,
    memory::{Codebook, LearnSettings, learn},
    policy::{ActingSettings, ConstrainAt, Guard, Policy, Response},
    seed::Seed,
    task::gym::Gym,
    train::{Lambda, Run, TrainSettings},
};

/// Four episodes of 25 steps: three states, two actions that span [-1, 1] exactly and vary with the state.
fn unit_parts() -> Parts {
    let n = 100;
    let state = |i: usize| [0.1 * (i % 25) as f32, (0.37 * i as f32).sin(), (0.21 * i as f32).cos()];
    let states: Vec<f32> = (0..n).flat_map(state).collect();
    let mut actions: Vec<f32> =
        (0..n).flat_map(|i| [(0.37 * i as f32).sin(), (0.5 * i as f32).cos()]).collect();
    actions[..4].copy_from_slice(&[-1.0, 1.0, 1.0, -1.0]);
    Parts { n_obs: 3, n_act: 2, states, actions, rewards: None, ends: vec![25, 50, 75, 100] }
}

/// The same actions in other units: 256 a + 512 and 8 a - 2.
fn pixels(a: f32, dimension: usize) -> f32 {
    if dimension == 0 { 256.0 * a + 512.0 } else { 8.0 * a - 2.0 }
}

fn pixel_parts() -> Parts {
    let mut parts = unit_parts();
    parts.actions.iter_mut().enumerate().for_each(|(i, a)| *a = pixels(*a, i % 2));
    parts
}

fn scaled(parts: Parts, settings: ActionSettings) -> Demonstrations {
    let units = Units::Fitted(settings);
    Demonstrations::scaled(parts, &DimensionNames::default(), &units, ActionRange::Refuse).unwrap().0
}

fn trained(data: &Demonstrations) -> Policy {
    let settings = LearnSettings::for_policy(data, Seed(1));
    let codebook = learn(data, &settings).unwrap().codebook;
    let settings = TrainSettings {
        hidden: vec![8],
        steps: 60,
        members: 2,
        lambda: Lambda::Value(0.7),
        ..TrainSettings::default()
    };
    let mut run = Run::new(data, codebook, settings).unwrap();
    while run.step().is_some() {}
    run.policy()
}

const OBSERVATION: [f32; 3] = [0.55, 0.3, -0.4];

#[test]
fn a_policy_of_scaled_actions_acts_as_the_one_of_actions_in_range() {
    let unit = trained(&scaled(unit_parts(), ActionSettings::default()));
    let data = scaled(pixel_parts(), ActionSettings::default());
    let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
    assert!(data.actions().iter().zip(&unit_parts().actions).all(near));
    assert_eq!(data.action_in_data_units(1), [768.0, -10.0]);
    let policy = trained(&data);
    assert!(policy.acts_in_data_units() && !unit.acts_in_data_units());
    let (mut of_unit, mut of_pixels) = ([0.0; 2], [0.0; 2]);
    let (mut unit_session, mut session) = (unit.session(), policy.session());
    let known = unit_session.act(&OBSERVATION, &mut of_unit).unwrap();
    let found = session.act(&OBSERVATION, &mut of_pixels).unwrap();
    assert_eq!(known.retrieval, found.retrieval);
    assert!((known.region.radius - found.region.radius).abs() < 1e-6);
    for k in 0..2 {
        assert!((of_pixels[k] - pixels(of_unit[k], k)).abs() < 1e-3, "{of_pixels:?} {of_unit:?}");
        let (known, found) = (unit_session.permissible_region()[k], session.permissible_region()[k]);
        assert!((0..2).all(|b| (found[b] - pixels(known[b], k)).abs() < 1e-3), "{known:?} {found:?}");
        assert!((found[0]..=found[1]).contains(&of_pixels[k]));
    }
    let (known, found) = (unit.explain(&OBSERVATION).unwrap(), policy.explain(&OBSERVATION).unwrap());
    for (k, (known, found)) in known.dimensions.iter().zip(&found.dimensions).enumerate() {
        for (known, found) in [
            (known.memory_action, found.memory_action),
            (known.center, found.center),
            (known.network_output.unwrap(), found.network_output.unwrap()),
            (known.action, found.action),
            (known.low, found.low),
            (known.high, found.high),
        ] {
            assert!((found - pixels(known, k)).abs() < 1e-3, "{known} {found}");
        }
        let ratio = found.member_std.unwrap() / known.member_std.unwrap();
        assert!((ratio - [256.0, 8.0][k]).abs() < 1e-2, "{ratio}");
    }
}

#[test]
fn files_keep_the_units_and_other_data_are_brought_into_them() {
    let data = scaled(pixel_parts(), ActionSettings::default());
    let policy = trained(&data);
    let bytes = file::policy_to_bytes(&policy);
    let read_back = file::policy_from_bytes(&bytes).unwrap();
    assert_eq!(read_back.codebook().units(), data.units());
    assert_eq!(file::policy_to_bytes(&read_back), bytes);
    let constraint = file::constraint_set_from_bytes(&bytes).unwrap();
    assert_eq!(constraint.codebook.units(), data.units());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.npz");
    write_npz(&path, &data.select(&[1, 2])).unwrap();
    let fitted = read(&path, &ReadOptions::default()).unwrap();
    let error = policy.codebook().check_space(&fitted).unwrap_err().to_string();
    assert!(error.contains("other units") && error.contains("action 0: 256 to 768"), "{error}");
    let units = Units::Given(policy.codebook().units().clone());
    let given = read(&path, &ReadOptions { units, ..ReadOptions::default() }).unwrap();
    policy.codebook().check_space(&given).unwrap();
    assert_eq!(given.actions(), data.select(&[1, 2]).actions());
    let (edited, _) = policy.codebook().with_steps(&given, &[0, 1, 2]).unwrap();
    assert_eq!(edited.units(), data.units());

    // An action beyond the range that the policy learned.
    let mut parts = pixel_parts();
    parts.actions[6] = 800.0;
    let units = Units::Given(policy.codebook().units().clone());
    let scale = |range| Demonstrations::scaled(parts.clone(), &DimensionNames::default(), &units, range);
    assert!(scale(ActionRange::Refuse).unwrap_err().to_string().contains("1 of 200 action values"));
    let (clipped, outside) = scale(ActionRange::Clip).unwrap();
    assert_eq!((outside.all(), clipped.action_in_data_units(3)[0]), (1, 768.0));
}

/// Targets a little ahead of the state, as arms record them: a = state[k] + 0.25 u, of unit actions u.
fn arm() -> (Parts, ActionSettings) {
    let mut parts = unit_parts();
    for i in 0..100 {
        for (k, from) in [2, 0].into_iter().enumerate() {
            parts.actions[2 * i + k] = parts.states[3 * i + from] + 0.25 * parts.actions[2 * i + k];
        }
    }
    let relative_to = RelativeTo::Dimensions(vec![Some(2), Some(0)]);
    (parts, ActionSettings { relative_to, ..ActionSettings::default() })
}

#[test]
fn relative_actions_move_with_the_state() {
    let (parts, settings) = arm();
    let data = scaled(parts.clone(), settings);
    for (found, unit) in data.actions().iter().zip(&unit_parts().actions) {
        assert!((found - unit).abs() < 1e-5, "{found} {unit}");
    }
    for i in 0..100 {
        let back = data.action_in_data_units(i);
        assert!(back.iter().zip(&parts.actions[2 * i..]).all(|(a, b)| (a - b).abs() < 1e-5));
    }
    let unit = trained(&scaled(unit_parts(), ActionSettings::default()));
    let policy = trained(&data);
    let (mut of_unit, mut action) = ([0.0; 2], [0.0; 2]);
    unit.session().act(&OBSERVATION, &mut of_unit).unwrap();
    let mut session = policy.session();
    session.act(&OBSERVATION, &mut action).unwrap();
    for (k, from) in [2, 0].into_iter().enumerate() {
        assert!((action[k] - (OBSERVATION[from] + 0.25 * of_unit[k])).abs() < 1e-2, "{action:?} {of_unit:?}");
        let [low, high] = session.permissible_region()[k];
        assert!((low..=high).contains(&action[k]));
    }
    // An ignored dimension of the state does not count for distances, but moves the action.
    let settings = LearnSettings { ignore: vec![0], ..LearnSettings::for_policy(&data, Seed(1)) };
    let codebook = learn(&data, &settings).unwrap().codebook;
    let copying = ActingSettings {
        envelope: Envelope { lambda: 0.0, ..Envelope::default() },
        constrain_at: ConstrainAt::Executed,
        ..ActingSettings::default()
    };
    let copying = Policy::ensemble(codebook, Vec::new(), copying).unwrap();
    let acts = |x: f32| {
        let mut action = [0.0; 2];
        copying.session().act(&[x, 0.3, -0.4], &mut action).unwrap();
        action
    };
    let moved = acts(5.0)[1] - acts(1.0)[1];
    assert!((moved - 4.0).abs() < 1e-5 && acts(5.0)[0] == acts(1.0)[0], "{moved}");
}

#[test]
fn a_guard_holds_the_action_itself_and_not_its_difference() {
    let (parts, settings) = arm();
    let data = scaled(parts, settings);
    let policy = trained(&data);
    let mut action = [0.0; 2];
    let near = data.state(40).to_vec();
    let acts = |response: Response, action: &mut [f32; 2]| {
        let mut session = policy.session().guarded(Guard { response, threshold: 3.0 });
        session.act(&near, action).unwrap();
        let held = *action;
        let far = [90.0, 90.0, 90.0];
        assert!(session.act(&far, action).unwrap().ood);
        held
    };
    assert_eq!(acts(Response::Hold, &mut action), action);
    acts(Response::Memory, &mut action);
    let book: &Codebook = policy.codebook();
    let far = [90.0_f32; 3];
    let mut scaled = book.scaled_buffer();
    book.scale(&far, &mut scaled);
    let memory = book.retrieve(&scaled).memory;
    assert_eq!(action.to_vec(), book.units().action_to_data(book.action(memory), &far));
}

#[test]
fn units_of_other_dimensions_are_refused_in_files() {
    let refused = |center: Vec<f32>, relative_to: Vec<Option<usize>>| {
        ActionUnits::new(center.clone(), center, relative_to, [3, 2]).is_err()
    };
    assert!(!refused(vec![1.0, 2.0], vec![Some(2), None]));
    assert!(refused(vec![1.0], vec![]));
    assert!(refused(vec![1.0, f32::NAN], vec![]));
    assert!(refused(vec![1.0, -2.0], vec![]));
    assert!(refused(vec![1.0, 2.0], vec![Some(3), None]));
    assert!(refused(vec![], vec![Some(1), None]));
}

/// Acts with (0.5, 7.5) in the data's units.
struct Fixed;

impl Act for Fixed {
    fn n_obs(&self) -> usize {
        4
    }

    fn n_act(&self) -> usize {
        2
    }

    fn acts_in_data_units(&self) -> bool {
        true
    }

    fn start(&self, _seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(Fixed)
    }
}

impl Acting for Fixed {
    fn act(&mut self, _observation: &[f32], action: &mut [f32]) -> mcnn::Result<Decision> {
        action.copy_from_slice(&[0.5, 7.5]);
        Ok(Decision::default())
    }
}

/// The actions of the environment are limited to [-1, 1] and [0, 10]; its last observation is the sum of the second actions.
#[cfg(unix)]
#[test]
fn actions_in_the_datas_units_are_those_of_the_environment() {
    let Some((_folder, python)) = with_fakes() else { return };
    let task = Gym::new("fake_environments:Fake-plain-v0", &python).unwrap();
    let run =
        EvaluationRun { episodes: 1, first_seed: 40, threads: 1, environments_per_worker: 1, trace: false };
    let found = collect(&Fixed, &task, &run, &|_| true).unwrap();
    assert_eq!(found.actions[..2], [0.5, 7.5], "recorded as acted");
    let sums: Vec<f32> = found.states.chunks(4).take(3).map(|o| o[3]).collect();
    assert_eq!(sums, [40.0, 47.5, 55.0]);
    assert!(Noisy::new(&Fixed, Noise::Gaussian(0.1), None).is_err());
    let quiet = Noisy::new(&Fixed, Noise::None, None).unwrap();
    let mut action = [0.0; 2];
    quiet.start(Seed(0)).act(&[0.0; 4], &mut action).unwrap();
    assert_eq!(action, [0.5, 7.5], "not clipped");
}
