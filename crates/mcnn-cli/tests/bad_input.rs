//! What bad input gets: a message that says what, where, expected, found and next; exit code 2; nothing half-written.

use crate::common::{self, Bench};

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
