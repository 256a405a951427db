use super::*;
use crate::data::{ReadOptions, read};

/// Two episodes, of 7 and 4 steps, with actions far outside [-1, 1].
fn recorded() -> Recorded {
    let parts = Parts {
        n_obs: 2,
        n_act: 1,
        states: (0..22).map(|v| v as f32 / 3.0).collect(),
        actions: (0..11).map(|v| 512.1 - 100.0 * v as f32).collect(),
        rewards: Some((1..12).map(|v| v as f32).collect()),
        ends: vec![7, 11],
    };
    let names = DimensionNames {
        state_names: Some(["x", "Höhe"].map(String::from).to_vec()),
        action_names: Some(vec!["turn".into()]),
    };
    Recorded { parts, names, tasks: vec!["a".into(), "b".into()], fps: Some(30.0), ..Recorded::default() }
}

#[test]
fn both_formats_keep_every_value_and_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.npz", "a.hdf5", "a.h5"] {
        let path = folder.path().join(name);
        let left_out = recorded().write(&path, Target::of(&path).unwrap()).unwrap();
        assert_eq!(left_out.len(), 2, "{left_out:?}");
        let Recorded { parts, names, .. } =
            read_recorded(std::slice::from_ref(&path), &Selection::default()).unwrap();
        let expected = recorded();
        assert_eq!((parts.states, parts.actions), (expected.parts.states, expected.parts.actions), "{name}");
        assert_eq!((parts.rewards, parts.ends, names), (expected.parts.rewards, vec![7, 11], expected.names));
        // What a policy learns from is in [-1, 1].
        let data = read(&path, &ReadOptions::default()).unwrap();
        assert!(data.actions().iter().all(|a| a.abs() <= 1.0) && !data.units().is_identity());
    }
    let other = Target::of(&folder.path().join("a.csv")).unwrap_err().to_string();
    assert!(other.contains("a.csv") && other.contains(".npz"), "{other}");
    let embedded = Recorded { encoding: Some("{}".into()), ..recorded() };
    let path = folder.path().join("e.hdf5");
    assert!(embedded.write(&path, Target::D4rl).unwrap_err().to_string().contains("no place"));
    let path = folder.path().join("e.npz");
    embedded.write(&path, Target::Npz).unwrap();
    assert_eq!(read_recorded(&[path], &Selection::default()).unwrap().encoding, Some("{}".into()));
}

#[test]
fn every_third_step_is_kept_and_rewards_are_summed() {
    let found = recorded().downsample(3);
    assert_eq!(found.parts.ends, [3, 5]); // steps 0, 3, 6 and 7, 10
    let steps = [0, 3, 6, 7, 10];
    let states: Vec<f32> = steps.iter().flat_map(|i| [2 * i, 2 * i + 1]).map(|v| v as f32 / 3.0).collect();
    assert_eq!(found.parts.states, states);
    assert_eq!(found.parts.actions, steps.map(|i| 512.1 - 100.0 * i as f32));
    assert_eq!(found.parts.rewards, Some(vec![6.0, 15.0, 7.0, 27.0, 11.0]));
    assert_eq!((found.fps, found.tasks.len()), (Some(10.0), 2));
    assert_eq!(recorded().downsample(1).parts.ends, [7, 11]);
    assert_eq!(recorded().downsample(100).parts.ends, [1, 2]);
}

#[test]
fn long_pauses_at_both_ends_are_dropped_but_one_step() {
    // Pauses of 3 and 2 steps with noise below the tolerance, one in the middle, and an episode that is one pause.
    let walk = [0.0, 0.004, 0.0, 2.0, 2.0, 2.0, 2.0, 5.0, 10.0, 10.0];
    let states: Vec<f32> = walk.into_iter().chain([10.0; 4]).collect();
    let parts = Parts {
        n_obs: 1,
        n_act: 1,
        actions: vec![0.25; 14],
        rewards: Some((0..14).map(|v| v as f32).collect()),
        states,
        ends: vec![10, 14],
    };
    let dropped = |longest| Recorded { parts: parts.clone(), ..Recorded::default() }.drop_idle(longest);
    let (found, idle) = dropped(2);
    assert_eq!(found.parts.states, [0.0, 2.0, 2.0, 2.0, 2.0, 5.0, 10.0, 10.0, 10.0]);
    assert_eq!((found.parts.ends, idle), (vec![8, 9], Idle { episodes: 2, steps: 5 }));
    assert_eq!(found.parts.rewards.unwrap()[..2], [2.0, 3.0]);
    let (found, idle) = dropped(1);
    assert_eq!((found.parts.ends, idle), (vec![7, 8], Idle { episodes: 2, steps: 6 }));
    let (found, idle) = dropped(4);
    assert_eq!((found.parts.ends, idle), (vec![10, 14], Idle::default()));
    // An action that changes is no pause.
    let mut moving = parts.clone();
    moving.actions[1] = 0.5;
    let (_, idle) = Recorded { parts: moving, ..Recorded::default() }.drop_idle(2);
    assert_eq!(idle, Idle { episodes: 1, steps: 3 });
}
