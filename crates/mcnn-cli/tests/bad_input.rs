//! What bad input gets: a message that says what, where, expected, found and next; exit code 2; nothing half-written.

use crate::common::{self, Bench};
use mcnn::data::{Parts, Recording, write_hdf5};

/// A file of 100 steps in two episodes, with states and actions by step and dimension. Anything is written.
fn made(
    bench: &Bench,
    name: &str,
    state: impl Fn(usize, usize) -> f32,
    action: impl Fn(usize, usize) -> f32,
) {
    let table = |of: &dyn Fn(usize, usize) -> f32| (0..100).flat_map(|i| [of(i, 0), of(i, 1)]).collect();
    let (states, actions) = (table(&state), table(&action));
    let parts = Parts { n_obs: 2, n_act: 2, states, actions, rewards: None, ends: vec![50, 100] };
    let recording = Recording { terminals: vec![false, false], ..Recording::default() };
    write_hdf5(&bench.path(name), &parts, &recording).unwrap();
}

#[test]
fn files_that_are_not_there_or_not_what_they_should_be() {
    let bench = Bench::with_policy();
    std::fs::write(bench.path("empty.hdf5"), b"").unwrap();
    std::fs::write(bench.path("text.npz"), b"not an archive").unwrap();
    std::fs::create_dir(bench.path("folder")).unwrap();
    for (line, expected) in [
        ("inspect nowhere.hdf5", vec!["nowhere.hdf5", "check the path"]),
        ("inspect empty.hdf5", vec!["empty.hdf5", "empty"]),
        ("inspect text.npz", vec!["text.npz", "expected"]),
        ("inspect folder", vec!["folder"]),
        ("inspect p.safetensors", vec!["p.safetensors", "expected"]),
        ("learn nowhere.npz -o x.safetensors", vec!["nowhere.npz"]),
        ("train drive.npz p.safetensors -o x.safetensors", vec!["another kind", "memories", "a policy"]),
        ("eval m.safetensors --task drive", vec!["another kind", "a policy", "memories"]),
        ("eval drive.npz --task drive", vec!["drive.npz", "safetensors"]),
        ("eval p.safetensors --task dor", vec!["dor", "drive", "door", "relocate"]),
        ("explain p.safetensors --data drive.npz --at 9:0", vec!["--at 9:0", "0 to 3"]),
        ("explain p.safetensors --data drive.npz --at 0:100000", vec!["--at 0:100000", "in episode 0"]),
    ] {
        let message = bench.refused(line);
        for part in expected {
            assert!(message.contains(part), "mcnn {line}: {part:?} is not in\n{message}");
        }
    }
    assert!(!bench.path("x.safetensors").exists());
}

#[test]
fn cut_short_at_any_length_a_file_is_refused() {
    let bench = Bench::with_policy();
    for (name, line) in [
        ("drive.npz", "inspect cut"),
        ("m.safetensors", "train drive.npz cut -o x.safetensors"),
        ("p.safetensors", "eval cut --task drive --episodes 1"),
    ] {
        let whole = std::fs::read(bench.path(name)).unwrap();
        for share in [0.02, 0.3, 0.6, 0.9, 0.999] {
            std::fs::write(bench.path("cut"), &whole[..(whole.len() as f64 * share) as usize]).unwrap();
            bench.refused(line);
        }
    }
}

#[test]
fn settings_out_of_range() {
    let bench = Bench::with_policy();
    for (line, expected) in [
        ("learn drive.npz --count 100000 -o x.safetensors", "more memories than states"),
        ("learn drive.npz --fraction 1.5 -o x.safetensors", "--fraction"),
        ("learn drive.npz --count 5 --epochs 0 -o x.safetensors", "--epochs"),
        ("learn drive.npz --selection magic -o x.safetensors", "gas, gas-fixed"),
        ("train drive.npz m.safetensors --lambda minus -o x.safetensors", "auto"),
        ("train drive.npz m.safetensors --lambda=-1 -o x.safetensors", "0 or more"),
        ("train drive.npz m.safetensors --amplitude 0 -o x.safetensors", "above 0"),
        ("train drive.npz m.safetensors --validation-fraction 1 -o x.safetensors", "--validation-fraction"),
        ("train drive.npz m.safetensors --batch 0 -o x.safetensors", "--batch"),
        ("train drive.npz m.safetensors --hidden 0 -o x.safetensors", "--hidden"),
        ("train drive.npz m.safetensors --lr nan -o x.safetensors", "--lr"),
        ("train drive.npz m.safetensors --k 5 -o x.safetensors", "--k"),
        ("make drive --noise 7 -o x.npz", "--noise"),
        ("eval p.safetensors --task drive --threads 0", "--threads"),
        ("eval p.safetensors --task drive --envs-per-worker 0", "--envs-per-worker"),
        ("eval p.safetensors --task drive --episodes 0", "episodes"),
        ("explain p.safetensors --data drive.npz --at here", "EPISODE:STEP"),
    ] {
        let message = bench.refused(line);
        assert!(message.contains(expected), "mcnn {line}: {expected:?} is not in\n{message}");
    }
}

#[test]
fn things_that_do_not_belong_together() {
    let bench = Bench::with_policy();
    bench.ok("make drive --episodes 2 --seed 9 -o other.npz");
    let message = bench.refused("train other.npz m.safetensors -o x.safetensors");
    assert!(message.contains("learned from other data") && message.contains("fingerprint"), "{message}");
    if let Some(shared) = common::shared("things_that_do_not_belong_together") {
        let door = shared.join("door-human-v1.hdf5");
        let message = bench.refused(&format!("explain p.safetensors --data {} --at 0:0", door.display()));
        assert!(
            message.contains("dimensions of the data and the memories differ") && message.contains("39"),
            "{message}"
        );
        bench.ok(&format!("learn {} --count 20 -o dm.safetensors", door.display()));
        bench.ok(&format!("train {} dm.safetensors --lambda 0 -o door.safetensors", door.display()));
        let message = bench.refused("eval door.safetensors --task drive");
        assert!(message.contains("39") && message.contains("drive"), "{message}");
    }
}

#[test]
fn an_output_is_overwritten_only_when_asked_and_never_half_written() {
    let bench = Bench::with_policy();
    let before = std::fs::read(bench.path("m.safetensors")).unwrap();
    let message = bench.refused("learn drive.npz --count 20 -o m.safetensors");
    assert!(message.contains("--force"), "{message}");
    assert_eq!(std::fs::read(bench.path("m.safetensors")).unwrap(), before);
    bench.ok("learn drive.npz --count 20 -o m.safetensors --force");
    assert_ne!(std::fs::read(bench.path("m.safetensors")).unwrap(), before);
    let message = bench.refused("learn drive.npz --count 20 -o no/such/folder/m.safetensors");
    assert!(message.contains("mkdir -p"), "{message}");
    // A device without space stands for a full disk.
    if std::path::Path::new("/dev/full").exists() {
        let message = bench.refused("learn drive.npz --count 20 -o /dev/full --force");
        assert!(message.contains("writing failed") && message.contains("free some space"), "{message}");
    }
    let left: Vec<_> =
        std::fs::read_dir(bench.folder.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(left.iter().all(|n| !n.to_string_lossy().contains("tmp")), "no temporary is left: {left:?}");
}

#[test]
fn what_is_no_file_of_demonstrations_is_named_with_the_command_that_takes_it() {
    let bench = Bench::new();
    for (name, files) in [
        ("tub", &["manifest.json", "catalog_0.catalog"][..]),
        ("udacity", &["driving_log.csv"]),
        ("pictures", &["0.png", "actions.csv"]),
        ("store.zarr", &[".zgroup"]),
        ("lerobot", &["meta/info.json"]),
        ("many", &["a.npz", "b.npz"]),
    ] {
        for file in files {
            let file = bench.path(name).join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, b"").unwrap();
        }
    }
    std::fs::write(bench.path("data.parquet"), b"PAR1\x15\x04\x15PAR1").unwrap();
    std::fs::write(bench.path("drive.mp4"), b"\0\0\0\x20ftypisomiso2").unwrap();
    for (name, expected) in [
        ("tub", ["a donkeycar tub", "mcnn embed"]),
        ("udacity", ["Udacity's simulator", "mcnn embed"]),
        ("pictures", ["pictures with a list", "mcnn embed"]),
        ("store.zarr", ["not a replay buffer", "meta/episode_ends"]),
        ("lerobot", ["meta/info.json", "the JSON cannot be read"]),
        ("many", ["a.npz and 1 more", "name a file, not a folder, such as many/a.npz"]),
        ("data.parquet", ["Parquet", "numpy.savez"]),
        ("drive.mp4", ["MP4", "mcnn embed"]),
    ] {
        for line in [format!("inspect {name}"), format!("learn {name} -o x.safetensors")] {
            let message = bench.refused(&line);
            for part in expected.iter().chain([&name]) {
                assert!(message.contains(part), "mcnn {line}: {part:?} is not in\n{message}");
            }
        }
    }
    // Frames have their own door, which says the same of what it does not read.
    for (name, expected) in
        [("store.zarr", "not a replay buffer"), ("data.parquet", "Parquet"), ("drive.mp4", "MP4")]
    {
        let message = bench.refused(&format!("embed {name} --weights random:0 -o x.npz"));
        assert!(message.contains(expected), "{name}: {message}");
    }
}

#[test]
fn clipping_is_counted_and_neither_done_nor_suggested_where_it_would_destroy() {
    let bench = Bench::new();
    let state = |i: usize, k: usize| (i * (k + 1)) as f32 / 10.0;
    made(&bench, "pixels.hdf5", state, |i, k| 12.0 + (i * (k + 1)) as f32);
    for line in [
        "learn pixels.hdf5 --clip-actions -o x.safetensors",
        "learn pixels.hdf5 --action-scale none -o x.safetensors",
    ] {
        let message = bench.refused(line);
        assert!(!message.contains("next: --clip-actions"), "{message}");
        for part in [
            "dimension 0: from 12 to 111, 100.0 % outside, and would become constant",
            "--action-scale range",
        ] {
            assert!(message.contains(part), "mcnn {line}: {part:?} is not in\n{message}");
        }
    }
    made(&bench, "few.hdf5", state, |i, k| if i < 3 && k == 1 { 1.5 } else { 0.01 * i as f32 - 0.5 });
    let message = bench.refused("learn few.hdf5 --action-scale none --count 5 -o x.safetensors");
    assert!(
        message.contains("3 of 200 action values (1.500 %), in dimension 1")
            && message.contains("--clip-actions")
    );
    let output = bench.run("learn few.hdf5 --count 5 --clip-actions -o x.safetensors");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("few.hdf5: 3 of 200 action values"), "{said}");
    let output = bench.run("learn drive.npz --count 5 -o y.safetensors");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("clipped"));
}

#[test]
fn values_that_are_no_measurements_are_refused_by_what_they_are() {
    let bench = Bench::new();
    made(
        &bench,
        "repaired.hdf5",
        |i, k| if (i, k) == (7, 1) { f32::MAX } else { i as f32 },
        |i, _| 0.01 * i as f32,
    );
    let message = bench.refused("learn repaired.hdf5 --count 5 -o x.safetensors");
    for part in ["states, step 7, dimension 1", "3.4028235e38", "nan_to_num"] {
        assert!(message.contains(part), "{part:?} is not in\n{message}");
    }
    let found = bench.json("inspect repaired.hdf5");
    assert!(found["refused"].as_str().unwrap().contains("dimension 1"), "{found}");
}

#[test]
fn inspect_names_dimensions_that_hardly_vary_and_what_it_does_not_read() {
    let bench = Bench::new();
    let noise = |i: usize| 4e-7 * if i.is_multiple_of(2) { 1.0 } else { -1.0 };
    made(&bench, "noise.hdf5", |i, k| if k == 1 { noise(i) } else { i as f32 }, |i, _| 0.01 * i as f32);
    let text = bench.ok("inspect noise.hdf5");
    assert!(text.contains("near-constant state dimensions 1 (std 4.0e-7)"), "{text}");
    assert!(text.contains("learn --ignore-dims 1\n"), "{text}");
    let found = bench.json("inspect noise.hdf5");
    assert_eq!(found["near_constant_states"], serde_json::json!([1]));
    let learned = bench.json("learn noise.hdf5 --count 5 -o memories.safetensors");
    assert_eq!(learned["near_constant_dimensions"], found["near_constant_states"]);
    assert_eq!(
        (
            &found["constant_states"],
            found["keys"].as_array().unwrap().iter().find(|key| key["name"] == "actions").unwrap()
        ),
        (
            &serde_json::json!([]),
            &serde_json::json!({"name": "actions", "shape": [2], "dtype": "32-bit floats", "used_as": "action"})
        )
    );
}

#[test]
fn negative_numbers_are_numbers_out_of_range_and_no_options() {
    let bench = Bench::with_policy();
    for (line, parts) in [
        ("train drive.npz -o x.safetensors --lambda -1", vec!["--lambda", "a number of 0 or more", "-1"]),
        ("train drive.npz -o x.safetensors --lambda -inf", vec!["--lambda", "a number of 0 or more", "-inf"]),
        ("eval p.safetensors --task drive --lambda -0.5", vec!["--lambda", "a number of 0 or more"]),
        ("tune p.safetensors --task drive --lambda -2,inf -o t.safetensors", vec!["--lambda", "-2"]),
        ("train drive.npz -o x.safetensors --amplitude -1", vec!["--amplitude", "-1"]),
        ("train drive.npz -o x.safetensors --lr -0.001", vec!["--lr", "above 0", "-0.001"]),
        ("train drive.npz -o x.safetensors --seed -1", vec!["--seed", "-1"]),
        ("train drive.npz -o x.safetensors --steps -5", vec!["--steps", "-5"]),
        (
            "train drive.npz -o x.safetensors --validation-fraction -0.1",
            vec!["--validation-fraction", "-0.1"],
        ),
        ("learn drive.npz -o x.safetensors --fraction -0.1", vec!["fraction", "-0.1"]),
        ("learn drive.npz -o x.safetensors --count -3", vec!["--count", "-3"]),
        ("make drive -o x.npz --noise -1", vec!["noise", "-1"]),
        ("eval p.safetensors --task drive --episodes -2", vec!["--episodes", "-2"]),
        ("certify p.safetensors --data drive.npz --horizon -1", vec!["--horizon", "-1"]),
    ] {
        let message = bench.refused(line);
        assert!(!message.contains("unexpected argument"), "mcnn {line}: {message}");
        for part in parts {
            assert!(message.contains(part), "mcnn {line}: {part:?} is not in\n{message}");
        }
    }
    // What begins with a dash and is no number still is an option.
    assert!(bench.refused("train drive.npz -o --force").contains("--output"));
}

#[test]
fn values_that_are_no_numbers_are_named_by_episode_and_step() {
    let bench = Bench::new();
    made(&bench, "nan.hdf5", |i, k| if (i, k) == (63, 1) { f32::NAN } else { i as f32 }, |_, _| 0.1);
    let message = bench.refused("learn nan.hdf5 -o x.safetensors");
    assert!(message.contains("step 63, dimension 1 (EPISODE:STEP 1:13)"), "{message}");
}
