use std::path::Path;

use super::*;
use crate::data::{ActionRange, Recording, Selection, inspect_all, read, write_hdf5, write_npz};

/// Demonstrations of two episodes, of 2 and 3 steps.
fn parts(offset: f32) -> Parts {
    Parts {
        n_obs: 2,
        n_act: 1,
        states: (0..10).map(|v| v as f32 + offset).collect(),
        actions: (0..5).map(|v| v as f32 / 10.0).collect(),
        rewards: Some(vec![1.0; 5]),
        ends: vec![2, 5],
    }
}

fn data(offset: f32) -> Demonstrations {
    Demonstrations::new(parts(offset), ActionRange::Refuse).unwrap()
}

fn state_names(names: [&str; 2]) -> DimensionNames {
    DimensionNames { state_names: Some(names.map(String::from).to_vec()), action_names: None }
}

/// An `.npz` and a D4RL file in a folder.
fn two(folder: &Path, second: &Parts) -> [PathBuf; 2] {
    let paths = [folder.join("a.npz"), folder.join("b.hdf5")];
    write_npz(&paths[0], &data(0.0)).unwrap();
    let recording = Recording { terminals: vec![false; second.ends.len()], ..Recording::default() };
    write_hdf5(&paths[1], second, &recording).unwrap();
    paths
}

#[test]
fn sources_of_several_formats_are_read_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let paths = two(folder.path(), &parts(100.0));
    let ReadResult { data: all, notes, .. } = read_all(&paths, &ReadOptions::default()).unwrap();
    let expected: Vec<f32> = (0..10).chain(100..110).map(|v| v as f32).collect();
    assert_eq!((&all.states()[..], all.ends()), (&expected[..], &[2, 5, 7, 10][..]));
    assert_eq!(all.rewards(), Some(&[1.0; 10][..]));
    assert_eq!((0..4).map(|k| all.number(k)).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(notes.is_empty(), "{notes:?}");
    assert_eq!(Demonstrations::concat(&[data(0.0), data(100.0)]).unwrap().fingerprint(), all.fingerprint());
    let found = inspect_all(&paths, &Selection::default()).unwrap();
    assert_eq!((found.format, found.fingerprint), (None, Some(all.fingerprint())));
    // One source is as read alone; episodes are selected in each.
    let alone = read_all(&paths[1..], &ReadOptions::default()).unwrap().data;
    assert_eq!(alone, read(&paths[1], &ReadOptions::default()).unwrap());
    let selection = Selection { episodes: vec![1..=1], ..Selection::default() };
    let some = read_all(&paths, &ReadOptions { selection, ..ReadOptions::default() }).unwrap().data;
    assert_eq!((some.ends(), some.number(0), some.number(1)), (&[3, 6][..], 1, 3));
}

#[test]
fn what_cannot_be_joined_is_named_with_both_sources() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |second: &Parts| {
        let paths = two(folder.path(), second);
        read_all(&paths, &ReadOptions::default()).unwrap_err().to_string()
    };
    let wide = Parts { n_obs: 1, states: vec![0.0; 5], ..parts(0.0) };
    let error = refused(&wide);
    for part in
        ["b.hdf5", "2 dimensions, as in ", "a.npz", "found: 1 dimensions", "the state has another width"]
    {
        assert!(error.contains(part), "{error}");
    }
    let mut nan = parts(0.0);
    nan.states[3] = f32::NAN;
    let error = refused(&nan);
    assert!(error.contains("b.hdf5: states, step 1, dimension 1") && !error.contains("a.npz"), "{error}");
}

#[test]
fn names_embeddings_and_units_must_be_equal() {
    let refused = |other: Demonstrations| {
        let first = data(0.0).with_names(state_names(["x", "y"])).unwrap();
        Demonstrations::concat(&[first, other]).unwrap_err().to_string()
    };
    let error = refused(data(0.0).with_names(state_names(["x", "z"])).unwrap());
    assert!(
        error.contains("state dimension 1 has another name") && error.contains(r#"found: "z""#),
        "{error}"
    );
    let error = refused(data(0.0).with_encoding(Some("{}".into())));
    assert!(error.contains("other embeddings"), "{error}");
    let units = crate::data::ActionUnits::new(vec![1.0], vec![2.0], vec![], [2, 1]).unwrap();
    assert!(refused(data(0.0).with_units(units)).contains("other units"));
    let named = data(0.0).with_names(state_names(["x", "y"])).unwrap();
    assert_eq!(Demonstrations::concat(&[data(0.0), named]).unwrap().names(), &state_names(["x", "y"]));
    assert!(Demonstrations::concat(&[]).is_err());
    let tasks = data(0.0).with_episodes(vec![4, 7], vec!["lift".into(), "push".into()]);
    let joined = Demonstrations::concat(&[data(0.0), tasks.clone(), tasks]).unwrap();
    assert_eq!(joined.tasks(), ["", "", "lift", "push", "lift", "push"]);
    assert_eq!((0..6).map(|k| joined.number(k)).collect::<Vec<_>>(), [0, 1, 6, 9, 14, 17]);
}

#[test]
fn other_ranges_and_missing_rewards_are_noted() {
    let folder = tempfile::tempdir().unwrap();
    let mut second = parts(0.0);
    second.states.iter_mut().step_by(2).for_each(|v| *v *= 1000.0);
    second.rewards = None;
    let paths = two(folder.path(), &second);
    let ReadResult { data, notes, .. } = read_all(&paths, &ReadOptions::default()).unwrap();
    assert_eq!((data.rewards(), notes.len()), (None, 2));
    assert!(notes[0].contains("rewards are left out"), "{notes:?}");
    assert!(
        notes[1].starts_with("state dimension 0 ranges over 8.000e0 in ") && notes[1].contains("8.000e3"),
        "{notes:?}"
    );
}
