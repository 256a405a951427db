//! Recordings in D4RL's layout, read back by our reader and by h5py (`MCNN_TEST_PYTHON` names a Python with h5py;
//! without it those tests are skipped with a message), and expert networks against NumPy.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use mcnn::{
    act::Act as _,
    data::{
        ActionRange, Demonstrations, DimensionNames, FrameDemonstrations, FrameFile, Parts, ReadOptions,
        Recording, Rows, Selection, Simulator, read, read_simulator, write_hdf5, write_npz,
    },
    expert::GaussianPolicy,
    seed::Seed,
};

fn skipped(name: &str, why: &str) {
    let _ = std::io::stderr().write_all(format!("SKIPPED {name}: {why}\n").as_bytes());
}

fn python(script: &str, arguments: &[&Path]) -> Option<String> {
    let python = std::env::var_os("MCNN_TEST_PYTHON")?;
    let output = Command::new(python).arg("-c").arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Three episodes with 9,000 steps in total, so that HDF5 datasets have several chunks.
fn parts() -> Parts {
    let mut rng = Seed(4).rng();
    let n = 9000;
    let mut random_values =
        |k: usize| (0..n * k).map(|_| rng.between(-1.0, 1.0) as f32).collect::<Vec<f32>>();
    Parts {
        n_obs: 5,
        n_act: 2,
        states: random_values(5),
        actions: random_values(2),
        rewards: Some(random_values(1)),
        ends: vec![1, 5000, 9000],
    }
}

fn names() -> DimensionNames {
    let list = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect());
    DimensionNames {
        state_names: list(&["x", "y", "Höhe", "speed (m/s)", "angle"]),
        action_names: list(&["lift", "turn"]),
    }
}

fn recording() -> Recording {
    Recording {
        terminals: vec![false, true, false],
        infos: vec![("qpos", 3, (0..27_000).map(|i| i as f32).collect())],
        episodes: vec![(7, Some(true)), (u64::MAX, Some(false)), (9, None)],
        names: names(),
        notes: vec![("task", "pen".into()), ("policy", "an expert, noisy".into())],
    }
}

#[test]
fn a_recording_is_read_back_unchanged_and_equal_recordings_give_equal_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one.hdf5", "two.hdf5"].map(|name| folder.path().join(name));
    write_hdf5(&one, &parts(), &recording()).unwrap();
    write_hdf5(&two, &parts(), &recording()).unwrap();
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    let found = read(&one, &ReadOptions::default()).unwrap();
    let expected = Demonstrations::new(parts(), ActionRange::Refuse).unwrap().with_names(names()).unwrap();
    assert!(found == expected.with_origin(found.origin().clone()), "the recording as it was written");
    assert_eq!(found.origin().state_keys, ["observations"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
    let simulator = read_simulator(&one).unwrap();
    assert_eq!(simulator.qpos, Some((3, (0..27_000).map(|i| i as f32).collect())));
    assert_eq!((simulator.qvel, simulator.seeds), (None, Some(vec![7, i64::MAX as u64, 9])));
    write_npz(&two, &found).unwrap();
    assert_eq!(read_simulator(&two).unwrap(), Simulator::default());
}

#[test]
fn h5py_reads_a_recording() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.hdf5");
    write_hdf5(&path, &parts(), &recording()).unwrap();
    let script = r#"
import sys, h5py, numpy as np
with h5py.File(sys.argv[1]) as f:
    assert f["observations"].dtype == np.float32 and f["observations"].shape == (9000, 5)
    assert f["observations"].compression == "gzip" and f["observations"].shuffle
    assert f["terminals"].dtype == bool and f["timeouts"].dtype == bool
    print(np.flatnonzero(f["terminals"][()]).tolist(), np.flatnonzero(f["timeouts"][()]).tolist())
    assert (f["infos/qpos"][()] == np.arange(27000, dtype="f4").reshape(-1, 3)).all()
    print(f["metadata/episode_seeds"][()].tolist(), f["metadata/episode_success"][()].tolist())
    print(f["state_names"].asstr()[()].tolist() + f["action_names"].asstr()[()].tolist())
    print(f["metadata"].attrs["task"], "|", f["metadata"].attrs["policy"])
    print(repr(float(f["observations"][()].astype("f8").sum())), repr(float(f["rewards"][()].astype("f8").sum())))
"#;
    let Some(output) = python(script, &[&path]) else {
        return skipped("h5py_reads_a_recording", "MCNN_TEST_PYTHON names no Python with h5py");
    };
    let sum = |values: &[f32]| values.iter().map(|v| f64::from(*v)).sum::<f64>();
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "[4999] [0, 8999]");
    assert_eq!(lines[1], format!("[7, {}, 9] [1, 0, -1]", u64::MAX));
    assert_eq!(lines[2], "['x', 'y', 'Höhe', 'speed (m/s)', 'angle', 'lift', 'turn']");
    assert_eq!(lines[3], "pen | an expert, noisy");
    let sums: Vec<f64> = lines[4].split(' ').map(|v| v.parse().unwrap()).collect();
    assert!((sums[0] - sum(&parts().states)).abs() < 1e-8, "{sums:?}");
    assert!((sums[1] - sum(&parts().rewards.unwrap())).abs() < 1e-8, "{sums:?}");
}

#[test]
fn inconsistent_parts_are_refused_and_no_file_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.hdf5");
    let wrong = [
        ("terminals", Recording { terminals: vec![true], ..recording() }),
        ("qpos", Recording { infos: vec![("qpos", 3, vec![0.0; 5])], ..recording() }),
        ("episodes", Recording { episodes: vec![(1, None)], ..recording() }),
        (
            "action_names",
            Recording { names: DimensionNames { action_names: Some(vec![]), ..names() }, ..recording() },
        ),
    ];
    for (part, recording) in wrong {
        let error = write_hdf5(&path, &parts(), &recording).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("found"), "{error}");
    }
    let error = write_hdf5(&folder.path().join("none/r.hdf5"), &parts(), &recording()).unwrap_err();
    assert!(error.to_string().contains("check the path"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Writes a small expert with NumPy, after the Python statement `change`; `None` without a Python.
fn made_expert(folder: &Path, change: &str) -> Option<PathBuf> {
    let path = folder.join("expert.npz");
    let script = format!(
        r#"
import sys, numpy as np
r = np.random.default_rng(5)
p = dict(w0=r.normal(size=(4, 3)), b0=r.normal(size=4), w1=r.normal(size=(4, 4)), b1=r.normal(size=4),
         w2=r.normal(size=(2, 4)), b2=r.normal(size=2), log_std=np.array([-1.0, 0.5]), in_shift=r.normal(size=3),
         in_scale=np.abs(r.normal(size=3)), out_shift=r.normal(size=2), out_scale=r.normal(size=2))
{change}
np.savez(sys.argv[1], **{{k: v.astype("f4") for k, v in p.items()}})
p = {{k: v.astype("f4").astype("f8") for k, v in p.items()}}
for k in range(3):
    o = np.array([k, 0.5 - k, 0.25]) 
    x = (o - p["in_shift"]) / (p["in_scale"] + 1e-8)
    x = np.tanh(p["w1"] @ np.tanh(p["w0"] @ x + p["b0"]) + p["b1"])
    print(*((p["w2"] @ x + p["b2"]) * p["out_scale"] + p["out_shift"]))
"#
    );
    let means = python(&script, &[&path])?;
    std::fs::write(folder.join("means"), means).unwrap();
    Some(path)
}

#[test]
fn an_expert_acts_as_the_numpy_reference() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = made_expert(folder.path(), "") else {
        return skipped("an_expert_acts_as_the_numpy_reference", "MCNN_TEST_PYTHON names no Python");
    };
    let expert = GaussianPolicy::read(&path).unwrap();
    assert_eq!((expert.n_obs(), expert.n_act()), (3, 2));
    assert!(
        (expert.std()[0] - (-1.0_f64).exp()).abs() < 1e-12 && (expert.std()[1] - 0.5_f64.exp()).abs() < 1e-7
    );
    let text = std::fs::read_to_string(folder.path().join("means")).unwrap();
    let mut acting = expert.start(Seed(0));
    for (k, line) in text.lines().enumerate() {
        let observation = [k as f32, 0.5 - k as f32, 0.25];
        let mean = expert.mean(&observation);
        let mut action = [0.0; 2];
        acting.act(&observation, &mut action).unwrap();
        for ((mean, action), expected) in mean.iter().zip(action).zip(line.split(' ')) {
            let expected: f64 = expected.parse().unwrap();
            assert!((mean - expected).abs() < 1e-12, "{mean} {expected}");
            assert_eq!(action, expected.clamp(-1.0, 1.0) as f32);
        }
    }
    assert_eq!(text.lines().count(), 3);
    assert!(acting.act(&[0.0, f32::NAN, 0.0], &mut [0.0; 2]).is_err());
    assert!(acting.act(&[0.0; 2], &mut [0.0; 2]).is_err());
}

#[test]
fn broken_experts_are_refused_with_the_name_of_the_array() {
    let folder = tempfile::tempdir().unwrap();
    for (change, named) in [
        ("del p['w1']", "w1"),
        ("p['w1'] = r.normal(size=(4, 5))", "w1"),
        ("p['b2'] = r.normal(size=3)", "b2"),
        ("p['in_scale'] = r.normal(size=2)", "in_scale"),
        ("p['log_std'][0] = np.nan", "log_std"),
        ("p['w0'] = r.normal(size=4)", "w0"),
    ] {
        // The script then evaluates the broken network, which may fail; only the file matters.
        let guarded = format!("{change}\nrange = lambda n: []");
        let Some(path) = made_expert(folder.path(), &guarded) else {
            return skipped(
                "broken_experts_are_refused_with_the_name_of_the_array",
                "MCNN_TEST_PYTHON names no Python",
            );
        };
        let error = GaussianPolicy::read(&path).unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("expert.npz"), "{change}: {error}");
    }
    std::fs::write(folder.path().join("x"), b"no archive").unwrap();
    assert!(GaussianPolicy::read(&folder.path().join("x")).is_err());
    assert!(
        GaussianPolicy::read(&folder.path().join("none")).unwrap_err().to_string().contains("check the path")
    );
}

/// Two episodes of distinct frames of 4 x 6 pixels.
fn frame_demonstrations() -> FrameDemonstrations {
    let frames = (0..30 * 72).map(|i| (i * 7 % 251) as u8).collect();
    let parts = parts();
    let labels = Parts {
        actions: parts.actions[..60].to_vec(),
        rewards: parts.rewards.map(|r| r[..30].to_vec()),
        ends: vec![11, 30],
        ..parts
    };
    FrameDemonstrations::new(labels, [4, 6], frames).unwrap()
}

#[test]
fn recorded_frames_are_read_back_from_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    let [hdf5, npz, again] = ["f.hdf5", "f.npz", "again.npz"].map(|name| folder.path().join(name));
    let demonstrations = frame_demonstrations();
    let recording = Recording { terminals: vec![true, false], ..Recording::default() };
    demonstrations.write_hdf5(&hdf5, &recording).unwrap();
    demonstrations.write_npz(&npz).unwrap();
    demonstrations.write_npz(&again).unwrap();
    assert_eq!(std::fs::read(&npz).unwrap(), std::fs::read(&again).unwrap());
    let no_state = Selection { no_state: true, ..Selection::default() };
    for (path, shape) in [(&hdf5, vec![30, 72]), (&npz, vec![30, 4, 6, 3])] {
        let mut file = FrameFile::open(path, None, &no_state).unwrap();
        assert_eq!(file.shape, shape);
        assert_eq!(
            (&file.labels.actions, &file.labels.ends),
            (&demonstrations.labels().actions, &vec![11, 30])
        );
        assert_eq!(file.labels.rewards, demonstrations.labels().rewards);
        let mut frames = Vec::new();
        file.read_frames(0, &mut |_, rows| {
            let Rows::Bytes(rows) = rows else { panic!("bytes were written") };
            frames.extend(rows);
            Ok(true)
        })
        .unwrap();
        assert_eq!(frames, demonstrations.frames());
        // Reading frames as states is an error that names `mcnn embed`.
        let message = read(path, &ReadOptions::default()).unwrap_err().to_string();
        assert!(message.contains("mcnn embed"), "{message}");
    }
    let short = FrameDemonstrations::new(demonstrations.labels().clone(), [4, 6], vec![0; 71])
        .unwrap_err()
        .to_string();
    assert!(short.contains("2160") && short.contains("71"), "{short}");
}

#[test]
fn h5py_reads_frames_as_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.hdf5");
    let recording = Recording { terminals: vec![true, false], ..Recording::default() };
    frame_demonstrations().write_hdf5(&path, &recording).unwrap();
    let script = r#"
import sys, h5py, numpy as np
with h5py.File(sys.argv[1]) as f:
    o = f["observations"]
    assert o.dtype == np.uint8 and o.shape == (30, 72) and o.compression == "gzip"
    assert (o[()].ravel() == np.arange(30 * 72) * 7 % 251).all()
    print(np.flatnonzero(f["terminals"][()]).tolist(), np.flatnonzero(f["timeouts"][()]).tolist())
"#;
    let Some(output) = python(script, &[&path]) else {
        return skipped("h5py_reads_frames_as_bytes", "MCNN_TEST_PYTHON names no Python with h5py");
    };
    assert_eq!(output.trim(), "[10] [29]");
}
