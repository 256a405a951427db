//! The readers against files that h5py and numpy wrote (python/tests/make_data_files.py), and against the same files
//! damaged. `MCNN_TEST_PYTHON` names a Python with h5py and numpy; without it these tests say so and pass.

use std::{
    collections::BTreeMap,
    io::Write as _,
    panic::catch_unwind,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use mcnn::{
    data::{
        ActionRange, ActionScale, ActionSettings, Demonstrations, DimensionNames, Format, ReadOptions, Scale,
        Selection, Units, inspect, read, read_names, read_parts, write_npz,
    },
    seed::Seed,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

#[derive(Deserialize)]
struct Manifest {
    good: BTreeMap<String, Expected>,
    broken: BTreeMap<String, Vec<String>>,
}

/// Names of dimensions as the script writes them.
#[derive(Debug, PartialEq, Deserialize)]
struct Names {
    state_names: Option<Vec<String>>,
    action_names: Option<Vec<String>>,
}

impl From<&DimensionNames> for Names {
    fn from(names: &DimensionNames) -> Self {
        let DimensionNames { state_names, action_names } = names.clone();
        Self { state_names, action_names }
    }
}

#[derive(Deserialize)]
struct Expected {
    n_obs: usize,
    n_act: usize,
    states: Vec<f32>,
    actions: Vec<f32>,
    rewards: Option<Vec<f32>>,
    ends: Vec<usize>,
    #[serde(flatten)]
    names: Names,
}

#[derive(Deserialize)]
struct Summary {
    #[serde(flatten)]
    names: Names,
    n_obs: usize,
    n_act: usize,
    ends: Vec<usize>,
    mean: Vec<f64>,
    std: Vec<f64>,
    states: String,
    actions: String,
    rewards: Option<String>,
}

/// Straight to stderr: the test harness swallows what passing tests print.
fn skipped(why: &str) {
    let line = format!("SKIPPED (data_files): {why}\n"); // in one piece: tests run side by side
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs the Python script; its standard output, or `None` where there is no Python to run.
fn python(arguments: &[&Path]) -> Option<String> {
    let Some(python) = std::env::var_os("MCNN_TEST_PYTHON") else {
        skipped("set MCNN_TEST_PYTHON to a Python with h5py and numpy (python/requirements.txt, # tests)");
        return None;
    };
    let script = root().join("python/tests/make_data_files.py");
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn summary(path: &Path) -> Option<Summary> {
    Some(serde_json::from_str(&python(&[Path::new("--summary"), path])?).unwrap())
}

fn files() -> Option<(tempfile::TempDir, Manifest)> {
    let folder = tempfile::tempdir().unwrap();
    python(&[folder.path()])?;
    let manifest = std::fs::read(folder.path().join("manifest.json")).unwrap();
    Some((folder, serde_json::from_slice(&manifest).unwrap()))
}

fn digest(values: &[f32]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn files_that_others_wrote_are_read() {
    let Some((folder, Manifest { good, .. })) = files() else {
        return;
    };
    assert!(good.len() > 30, "{}", good.len());
    for (name, expected) in good {
        let path = folder.path().join(&name);
        let data = read(&path, &ReadOptions::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((data.n_obs(), data.n_act()), (expected.n_obs, expected.n_act), "{name}");
        assert_eq!(data.states(), expected.states, "{name}");
        assert_eq!(data.actions(), expected.actions, "{name}");
        assert_eq!(data.rewards(), expected.rewards.as_deref(), "{name}");
        assert_eq!(data.ends(), expected.ends, "{name}");
        assert_eq!(Names::from(data.names()), expected.names, "{name}");
        let found = inspect(&path, &Selection::default()).unwrap();
        assert_eq!(found.fingerprint, Some(data.fingerprint()), "{name}");
        assert_eq!(&found.names, data.names(), "{name}");
        let npz = std::fs::read(&path).unwrap().starts_with(b"PK");
        let format = if npz { Format::Npz } else { Format::D4rl };
        assert_eq!(found.format, Some(format), "{name}");
    }
}

#[test]
fn broken_files_are_refused_with_the_file_the_key_and_the_reason() {
    let Some((folder, Manifest { broken, .. })) = files() else {
        return;
    };
    assert!(broken.len() > 60, "{}", broken.len());
    let settings = ActionSettings { scale: ActionScale::None, ..ActionSettings::default() };
    let unscaled = ReadOptions { units: Units::Fitted(settings), ..ReadOptions::default() };
    for (name, says) in broken {
        let path = folder.path().join(&name);
        let refused = read(&path, &unscaled);
        let error = refused.map(|data| data.n_steps()).expect_err(&name).to_string();
        assert!(error.contains(&path.display().to_string()), "{name}: {error}");
        for part in says {
            assert!(error.contains(&part), "{name}: no {part:?} in: {error}");
        }
    }
    // Data with invalid values can still be inspected, and actions can be clipped.
    for name in ["broken_nan.hdf5", "broken_nan.npz"] {
        let found = inspect(&folder.path().join(name), &Selection::default()).unwrap();
        assert_eq!((found.not_finite, found.steps, found.fingerprint), (1, 12, None));
        assert!(found.refused.unwrap().contains("NaN"));
    }
    let found = inspect(&folder.path().join("broken_overflow.hdf5"), &Selection::default()).unwrap();
    assert_eq!((found.not_finite, found.actions[0].not_finite, found.fingerprint), (1, 1, None));
    assert!(found.refused.unwrap().contains("beyond the range"));
    let path = folder.path().join("broken_outside.hdf5");
    assert_eq!(inspect(&path, &Selection::default()).unwrap().actions_outside, 1.0 / 24.0);
    let clip = ReadOptions { range: ActionRange::Clip, ..Default::default() };
    assert_eq!(read(&path, &clip).unwrap().action(1)[0], 1.0);
    let scaled = read(&path, &ReadOptions::default()).unwrap();
    assert_eq!((scaled.action(1)[0], scaled.action_in_data_units(1)[0]), (1.0, 1.5));
    let missing = read(&folder.path().join("none.npz"), &clip).unwrap_err().to_string();
    assert!(missing.contains("check the path") && missing.contains("none.npz"), "{missing}");
    let folder = read(folder.path(), &clip).unwrap_err().to_string();
    assert!(folder.contains("name a file, not a folder"), "{folder}");
}

#[test]
fn the_last_steps_are_dropped_on_request() {
    let Some((folder, _)) = files() else { return };
    let drop_last = ReadOptions { drop_last: true, ..Default::default() };
    let data = read(&folder.path().join("good_plain.npz"), &drop_last).unwrap();
    assert_eq!(data.ends(), [3, 9]); // of 4, 1 and 7 steps
    assert_eq!((data.number(0), data.number(1)), (0, 2));
    let error = read(&folder.path().join("good_every_step.hdf5"), &drop_last).unwrap_err();
    assert!(error.to_string().contains("12 episodes of one step"), "{error}");
}

#[test]
fn numpy_reads_what_is_written() {
    let Some((folder, _)) = files() else { return };
    let path = folder.path().join("written.npz");
    for name in ["good_packed.hdf5", "good_no_rewards.hdf5", "good_names.npz", "good_names_of_actions.hdf5"] {
        let data = read(&folder.path().join(name), &ReadOptions::default()).unwrap();
        write_npz(&path, &data).unwrap();
        let summary = summary(&path).unwrap();
        assert_eq!(summary.ends, data.ends());
        assert_eq!(summary.names, Names::from(data.names()), "{name}");
        assert_eq!((summary.n_obs, summary.n_act), (data.n_obs(), data.n_act()));
        assert_eq!(summary.states, digest(&data.states()));
        assert_eq!(summary.actions, digest(&data.actions()));
        assert_eq!(summary.rewards, data.rewards().map(digest));
        let again = read(&path, &ReadOptions::default()).unwrap();
        assert!(again.with_origin(data.origin().clone()) == data, "{name}");
        let first = std::fs::read(&path).unwrap();
        for header in first.windows(10).filter(|w| w.starts_with(b"\x93NUMPY")) {
            let length = u16::from_le_bytes([header[8], header[9]]);
            assert_eq!((10 + length) % 64, 0, "NumPy aligns the values after the header");
        }
        write_npz(&path, &data).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first);
    }
}

/// Reads a damaged file. It may still be valid; reading may not panic, take long, or fail without naming the file.
fn survive(path: &Path, damage: &str) -> bool {
    let start = Instant::now();
    let result = catch_unwind(|| {
        read_parts(path, &Selection::default())
            .and_then(|(_, parts)| read_names(path).map(|_| parts.n_steps()))
    });
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "{damage}: {took:?}");
    match result {
        Ok(Ok(_)) => true,
        Ok(Err(e)) => {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(e.to_string().contains(name), "{damage}: {e}");
            false
        }
        Err(_) => panic!("{damage}: the reader panicked"),
    }
}

#[test]
fn damaged_files_never_panic_hang_or_fill_the_memory() {
    let Some((folder, _)) = files() else { return };
    let path = folder.path().join("damaged");
    let mut rng = Seed(5).rng();
    for name in [
        "good_packed.hdf5",
        "good_edges.hdf5",
        "good_growing.hdf5",
        "good_latest.hdf5",
        "good_single_chunk.hdf5",
        "good_contiguous.hdf5",
        "good_compressed.npz",
        "good_fortran.npz",
        "good_names.hdf5",
        "good_names.npz",
        "good_strange_neighbors_of_many.hdf5",
        "good_lzf.hdf5",
        "good_zstd.hdf5",
        "good_blosc_blosclz.hdf5",
        "good_blosc_bits.hdf5",
    ] {
        let whole = std::fs::read(folder.path().join(name)).unwrap();
        for cut in (0..whole.len()).step_by(1 + whole.len() / 250) {
            std::fs::write(&path, &whole[..cut]).unwrap();
            survive(&path, &format!("{name} cut to {cut} bytes"));
        }
        let mut read = 0;
        for i in 0..600 {
            let mut bytes = whole.clone();
            let mut damage = format!("{name}, damage {i}:");
            for _ in 0..1 + rng.below(3) {
                let at = rng.below(bytes.len());
                bytes[at] = match rng.below(4) {
                    0 => 0,
                    1 => 255,
                    2 => bytes[at] ^ (1 << rng.below(8)),
                    _ => rng.below(256) as u8,
                };
                damage += &format!(" {at} = {}", bytes[at]);
            }
            std::fs::write(&path, &bytes).unwrap();
            read += usize::from(survive(&path, &damage));
        }
        assert!(read > 0 && read < 600, "{name}: {read} of 600 damaged files were read");
    }
    // The peak memory of the process, from Linux.
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = most.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib < 512 << 10, "reading files of a few KiB took {kib} KiB");
    }
}

/// The demonstrations that are not part of the project: `MCNN_SHARED`, or a folder `shared` beside the checkout.
fn shared(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("MCNN_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let path = folder.join("data").join(name);
    if path.exists() {
        return Some(path);
    }
    skipped(&format!("no {} (set MCNN_SHARED to the folder of data/)", path.display()));
    None
}

#[test]
fn demonstrations_of_the_field_are_read_as_h5py_reads_them() {
    for (name, episodes, steps, n_obs, n_act, mean_return) in [
        ("door-human-v1.hdf5", 25, 6_729, 39, 28, None),
        ("pen-expert25-v1.hdf5", 25, 2_500, 45, 24, Some(3_148.0)),
        ("hammer-expert25-v1.hdf5", 25, 5_000, 46, 26, Some(15_654.0)),
        ("door-expert25-v1.hdf5", 25, 5_000, 39, 28, Some(2_928.0)),
        ("relocate-expert25-v1.hdf5", 25, 5_000, 39, 30, Some(4_138.0)),
        ("kitchen-complete-v2.hdf5", 19, 4_209, 59, 9, None),
    ] {
        let Some(path) = shared(name) else { continue };
        let data: Demonstrations = read(&path, &ReadOptions::default()).unwrap();
        let shape = (data.n_episodes(), data.n_steps(), data.n_obs(), data.n_act());
        assert_eq!(shape, (episodes, steps, n_obs, n_act), "{name}");
        let found = inspect(&path, &Selection::default()).unwrap();
        if let Some(mean) = mean_return {
            assert_eq!(found.returns.unwrap().mean.round(), mean, "{name}");
        }
        let drop_last = ReadOptions { drop_last: true, ..Default::default() };
        assert_eq!(read(&path, &drop_last).unwrap().n_steps(), steps - episodes, "{name}");

        let Some(summary) = summary(&path) else { continue };
        assert_eq!(data.ends(), summary.ends, "{name}");
        assert_eq!(digest(&data.states()), summary.states, "{name}");
        assert_eq!(digest(&data.actions()), summary.actions, "{name}");
        assert_eq!(data.rewards().map(digest), summary.rewards, "{name}");
        let scale = Scale::fit(&data);
        let varying = (0..n_obs).filter(|i| !found.constant_states.contains(i));
        let floor = 1e-3 * varying.map(|i| summary.std[i]).fold(0.0, f64::max).min(1.0);
        for i in 0..n_obs {
            let d = found.states[i];
            assert!((d.mean - summary.mean[i]).abs() <= 1e-9 * (1.0 + d.mean.abs()), "{name} {i}");
            assert!((d.std - summary.std[i]).abs() <= 1e-9 * (1.0 + d.std), "{name} {i}");
            assert!((scale.mean[i] - d.mean as f32).abs() <= 2e-7 * scale.mean[i].abs(), "{name} {i}");
            let std = if found.constant_states.contains(&i) { 0.0 } else { (d.std + floor) as f32 };
            assert!((scale.std[i] - std).abs() <= 2e-7 * std, "{name} {i}");
        }
    }
}
