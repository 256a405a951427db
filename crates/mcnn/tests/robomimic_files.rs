//! Files in robomimic's layout against what h5py wrote (python/tests/make_robomimic_files.py), value by value. `MCNN_TEST_PYTHON` names
//! a Python with h5py; without it these tests say so and pass.

use std::{collections::BTreeMap, io::Write as _, process::Command};

use mcnn::data::{
    Format, ReadOptions, Selection, Target, Usage, inspect, read, read_recorded, read_recorded_in_file,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Manifest {
    good: BTreeMap<String, Vec<Good>>,
    broken: BTreeMap<String, Broken>,
}

#[derive(Deserialize)]
struct Good {
    #[serde(flatten)]
    selection: Selected,
    numbers: Vec<u32>,
    n_obs: usize,
    n_act: usize,
    states: Vec<f32>,
    actions: Vec<f32>,
    rewards: Option<Vec<f32>>,
    ends: Vec<usize>,
}

#[derive(Deserialize)]
struct Broken {
    #[serde(flatten)]
    selection: Selected,
    says: Vec<String>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Selected {
    state: Vec<String>,
    action: Vec<String>,
    filter: Option<String>,
    episodes: Option<[u32; 2]>,
}

impl Selected {
    fn options(&self) -> ReadOptions {
        let keys = |keys: &[String]| keys.iter().map(|key| key.parse().unwrap()).collect();
        let selection = Selection {
            state: keys(&self.state),
            action: keys(&self.action),
            filter: self.filter.clone(),
            episodes: self.episodes.map(|[first, last]| first..=last).into_iter().collect(),
            ..Selection::default()
        };
        ReadOptions { selection, ..ReadOptions::default() }
    }
}

fn files() -> Option<(tempfile::TempDir, Manifest)> {
    let Some(python) = std::env::var_os("MCNN_TEST_PYTHON") else {
        let line = "SKIPPED (robomimic_files): set MCNN_TEST_PYTHON to a Python with h5py (python/requirements.txt, # tests)\n";
        let _ = std::io::stderr().write_all(line.as_bytes());
        return None;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../python/tests/make_robomimic_files.py");
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest = std::fs::read(folder.path().join("manifest.json")).unwrap();
    Some((folder, serde_json::from_slice(&manifest).unwrap()))
}

#[test]
fn files_that_h5py_wrote_are_read() {
    let Some((folder, Manifest { good, .. })) = files() else { return };
    assert!(good.values().map(Vec::len).sum::<usize>() > 10);
    for (name, expected) in good {
        let path = folder.path().join(&name);
        for (k, expected) in expected.iter().enumerate() {
            let options = expected.selection.options();
            let data = read(&path, &options).unwrap_or_else(|e| panic!("{name} {k}: {e}"));
            assert_eq!((data.n_obs(), data.n_act()), (expected.n_obs, expected.n_act), "{name} {k}");
            assert_eq!(data.states(), expected.states, "{name} {k}");
            assert_eq!(data.actions(), expected.actions, "{name} {k}");
            assert_eq!(data.rewards(), expected.rewards.as_deref(), "{name} {k}");
            assert_eq!(data.ends(), expected.ends, "{name} {k}");
            let numbers: Vec<u32> = (0..data.n_episodes()).map(|k| data.number(k)).collect();
            assert_eq!(numbers, expected.numbers, "{name} {k}");
            assert_eq!(
                inspect(&path, &options.selection).unwrap().format,
                Some(Format::Robomimic),
                "{name} {k}"
            );
            // Converted episode by episode, the same bytes as converted from memory.
            let written = ["memory", "file"].map(|of| {
                let out = tempfile::tempdir().unwrap();
                let (from, to) = ([path.clone(), path.clone()], out.path().join("x.mcnn"));
                let written = match of {
                    "memory" => read_recorded(&from, &options.selection)
                        .and_then(|recorded| recorded.write(&to, Target::Columns)),
                    _ => read_recorded_in_file(&from, &options.selection, &to)
                        .and_then(|recorded| recorded.write(&to, Target::Columns)),
                };
                written.unwrap_or_else(|e| panic!("{name} {k}: {e}"));
                std::fs::read(to).unwrap()
            });
            assert!(written[0] == written[1], "{name} {k}");
        }
    }
    let selection = |filter: &str| Selection { filter: Some(filter.into()), ..Selection::default() };
    let lift = folder.path().join("lift.hdf5");
    assert_eq!(
        inspect(&lift, &selection("gone")).unwrap().notes,
        ["episodes of the filter key that are not in the file: 1"]
    );
    let found = inspect(&lift, &Selection::default()).unwrap();
    let usage = |name: &str| found.keys.iter().find(|key| key.name == name).unwrap().used_as;
    assert_eq!(
        ["object", "agentview_image", "robot0_joint_pos", "actions", "rewards", "states"].map(usage),
        [Usage::State, Usage::Frames, Usage::Unused, Usage::Action, Usage::Label, Usage::Unused]
    );
    assert!(!found.keys.iter().any(|key| key.name.starts_with("next_obs")));
    let data = read(&lift, &ReadOptions::default()).unwrap();
    let order = ["object", "robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos"];
    assert_eq!(data.origin().state_keys, order);
    let notes = inspect(&folder.path().join("cubes.hdf5"), &Selection::default()).unwrap().notes;
    assert_eq!(notes, ["objects in /data that are not named demo_NUMBER and are left out: 1"]);
}

#[test]
fn broken_files_are_refused_with_the_file_the_episode_and_the_reason() {
    let Some((folder, Manifest { broken, .. })) = files() else { return };
    assert!(broken.len() > 10, "{}", broken.len());
    for (name, Broken { selection, says }) in broken {
        let path = folder.path().join(&name);
        let error = read(&path, &selection.options()).map(|_| ()).expect_err(&name).to_string();
        assert!(error.contains(&path.display().to_string()), "{name}: {error}");
        for part in says {
            assert!(error.contains(&part), "{name}: no {part:?} in: {error}");
        }
    }
}
