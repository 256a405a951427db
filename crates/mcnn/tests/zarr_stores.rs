//! Replay buffers in zarr against what zarr-python wrote (python/tests/make_zarr_files.py), value by value. `MCNN_TEST_PYTHON` names a
//! Python with zarr; without it these tests say so and pass.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use mcnn::data::{Format, ReadOptions, Selection, Usage, inspect, read, read_parts};
use serde::Deserialize;

#[derive(Deserialize)]
struct Manifest {
    good: BTreeMap<String, Good>,
    broken: BTreeMap<String, Broken>,
}

#[derive(Deserialize)]
struct Good {
    state: Vec<String>,
    n_obs: usize,
    n_act: usize,
    states: Vec<f32>,
    actions: Vec<f32>,
    rewards: Option<Vec<f32>>,
    ends: Vec<usize>,
}

#[derive(Deserialize)]
struct Broken {
    state: Vec<String>,
    says: Vec<String>,
}

fn skipped(why: &str) {
    let _ = std::io::stderr().write_all(format!("SKIPPED (zarr_stores): {why}\n").as_bytes());
}

/// Runs the Python script; its standard output, or `None` where there is no Python to run.
fn python(arguments: &[&str]) -> Option<Vec<u8>> {
    let Some(python) = std::env::var_os("MCNN_TEST_PYTHON") else {
        skipped("set MCNN_TEST_PYTHON to a Python with zarr (python/requirements.txt, # tests)");
        return None;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../python/tests/make_zarr_files.py");
    let output = Command::new(python).args(["-W", "ignore", script]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

fn stores() -> Option<(tempfile::TempDir, Manifest)> {
    let folder = tempfile::tempdir().unwrap();
    python(&[folder.path().to_str().unwrap()])?;
    let manifest = std::fs::read(folder.path().join("manifest.json")).unwrap();
    Some((folder, serde_json::from_slice(&manifest).unwrap()))
}

fn of(state: &[String]) -> Selection {
    Selection { state: state.iter().map(|key| key.parse().unwrap()).collect(), ..Selection::default() }
}

#[test]
fn stores_that_zarr_python_wrote_are_read() {
    let Some((folder, Manifest { good, .. })) = stores() else { return };
    assert!(good.len() > 60, "{}", good.len());
    for (name, expected) in good {
        let path = folder.path().join(&name);
        let options = ReadOptions { selection: of(&expected.state), ..ReadOptions::default() };
        let data = read(&path, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((data.n_obs(), data.n_act()), (expected.n_obs, expected.n_act), "{name}");
        assert_eq!(data.states(), expected.states, "{name}");
        assert_eq!(data.actions(), expected.actions, "{name}");
        assert_eq!(data.rewards(), expected.rewards.as_deref(), "{name}");
        assert_eq!(data.ends(), expected.ends, "{name}");
        let found = inspect(&path, &options.selection).unwrap();
        assert_eq!(
            (found.format, found.fingerprint),
            (Some(Format::Zarr), Some(data.fingerprint())),
            "{name}"
        );
        let missing = name.starts_with("fill_") || name.starts_with("sparse_");
        assert_eq!(found.notes.len(), usize::from(missing), "{name}: {:?}", found.notes);
    }
    let found =
        inspect(&folder.path().join("keys_2"), &of(&["keypoint".into(), "state:0-1".into()])).unwrap();
    let usage = |name: &str| found.keys.iter().find(|key| key.name == name).unwrap().used_as;
    assert_eq!(["img", "reward", "n_contacts"].map(usage), [Usage::Frames, Usage::Label, Usage::Unused]);
    assert_eq!(found.names.state_names.unwrap()[17..], ["keypoint:17", "state:0", "state:1"]);
    let found = inspect(&folder.path().join("others"), &Selection::default()).unwrap();
    let dtype = |name: &str| found.keys.iter().find(|key| key.name == name).unwrap().dtype.clone();
    assert!(dtype("odd").contains("not read") && dtype("words").contains("not read"));
}

#[test]
fn broken_stores_are_refused_with_the_store_the_array_and_the_reason() {
    let Some((folder, Manifest { broken, .. })) = stores() else { return };
    assert!(broken.len() > 10, "{}", broken.len());
    for (name, Broken { state, says }) in broken {
        let path = folder.path().join(&name);
        let error = read_parts(&path, &of(&state)).map(|_| ()).expect_err(&name).to_string();
        assert!(error.contains(&path.display().to_string()), "{name}: {error}");
        for part in says {
            assert!(error.contains(&part), "{name}: no {part:?} in: {error}");
        }
    }
    let inside = folder.path().join("parent");
    std::fs::create_dir(&inside).unwrap();
    std::fs::rename(folder.path().join("v2_plain"), inside.join("buffer.zarr")).unwrap();
    let error = read(&inside, &ReadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("a folder with buffer.zarr: a zarr store"), "{error}");
}

/// The Push-T demonstrations of Diffusion Policy, zarr version 2 with Blosc.
#[test]
fn demonstrations_of_push_t_are_read_as_zarr_python_reads_them() {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let shared = std::env::var_os("MCNN_SHARED").map_or(beside, PathBuf::from);
    let path: &Path = &shared.join("data/pusht/pusht_replay.zarr");
    if !path.exists() {
        skipped(&format!("no {} (set MCNN_SHARED to the folder of data/)", path.display()));
        return;
    }
    let selection = of(&["keypoint".into(), "state:0-1".into()]);
    let (format, parts) = read_parts(path, &selection).unwrap();
    assert_eq!((format, parts.ends.len(), parts.n_steps()), (Format::Zarr, 206, 25_650));
    assert_eq!((parts.n_obs, parts.n_act), (20, 2));
    let (_, whole) = read_parts(path, &Selection::default()).unwrap();
    assert_eq!(whole.n_obs, 5);
    let some = Selection { episodes: vec![3..=4], ..Selection::default() };
    let (_, some) = read_parts(path, &some).unwrap();
    assert_eq!(some.states, whole.states[5 * whole.ends[2]..5 * whole.ends[4]]);
    let values = |keys: &[&str]| {
        let arguments = [&["--values", path.to_str().unwrap()], keys].concat();
        let bytes = python(&arguments)?;
        let (width, rows) = bytes.split_first_chunk().unwrap();
        let rows = rows.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        Some((i64::from_le_bytes(*width) as usize, rows))
    };
    let Some((width, rows)) = values(&["keypoint", "state"]) else { return };
    let rows: Vec<f32> = rows;
    let wanted: Vec<f32> = rows.chunks(width).flat_map(|row| &row[..20]).copied().collect();
    assert!(parts.states == wanted, "keypoint and state");
    assert_eq!(values(&["state"]), Some((5, whole.states)));
    assert_eq!(values(&["action"]), Some((2, whole.actions)));
}
