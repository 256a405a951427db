//! Interrupting and resuming a training run.

#![cfg(unix)]

use crate::common::{Bench, wait_until};
use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const TRAIN: &str = "train drive.npz m.safetensors --hidden 16 --batch 16 --steps 6000";

/// Starts a run, sends it Ctrl-C once it has logged something, and gives its exit code and messages.
fn interrupt(bench: &Bench, line: &str, log: &str) -> (Option<i32>, String) {
    let child = bench.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let log = bench.path(log);
    let start = Instant::now();
    while std::fs::metadata(&log).map_or(0, |m| m.len()) < 200 {
        assert!(start.elapsed() < Duration::from_secs(60), "the run never logged");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said)
}

#[test]
fn an_interrupted_run_resumes_to_the_very_same_bytes() {
    let bench = Bench::with_policy();
    bench.ok(&format!("{TRAIN} -o whole.safetensors"));
    let (code, said) = interrupt(&bench, &format!("{TRAIN} -o cut.safetensors"), "cut.run/log.jsonl");
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("interrupted") && said.contains("--resume"), "{said}");
    assert!(!bench.path("cut.safetensors").exists(), "no half-trained policy is left behind");
    let anew = bench.refused(&format!("{TRAIN} -o cut.safetensors"));
    assert!(anew.contains("would overwrite it") && anew.contains("--resume"), "{anew}");
    let resumed = bench.json(&format!("{TRAIN} -o cut.safetensors --resume"));
    let from = resumed["resumed_from"].as_u64().unwrap();
    assert!(from > 0 && from < 6000, "resumed from {from}");
    let read = |name: &str| std::fs::read(bench.path(name)).unwrap();
    assert_eq!(read("whole.safetensors"), read("cut.safetensors"));
    let steps: Vec<u64> = std::fs::read_to_string(bench.path("cut.run/log.jsonl"))
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["step"].as_u64().unwrap())
        .collect();
    assert!(steps.is_sorted() && steps.last() == Some(&6000), "the log goes on where it was cut");
}

#[test]
fn resuming_what_does_not_fit_is_refused_with_the_reason() {
    let bench = Bench::with_policy();
    let resume = |options: &str| {
        bench.refused(&format!("train drive.npz m.safetensors -o p.safetensors --resume {options}"))
    };
    assert!(resume("--hidden 16 --steps 60 --batch 33").contains("another batch"));
    assert!(resume("--hidden 17 --steps 60 --batch 32").contains("another hidden"));
    assert!(resume("--hidden 16 --steps 50 --batch 32").contains("already further"));
    bench.ok("make drive --episodes 3 --seed 50 -o other.npz");
    bench.ok("learn other.npz --count 50 -o om.safetensors");
    let other = bench.refused(
        "train other.npz om.safetensors -o p.safetensors --resume --hidden 16 --steps 60 --batch 32",
    );
    assert!(other.contains("other data"), "{other}");
    let none = bench.refused("train drive.npz m.safetensors -o never.safetensors --resume");
    assert!(none.contains("no interrupted run"), "{none}");
    // More steps than before is going on, not starting anew.
    let on = bench
        .json("train drive.npz m.safetensors -o p.safetensors --resume --hidden 16 --steps 80 --batch 32");
    assert_eq!((on["resumed_from"].as_u64(), on["steps"].as_u64()), (Some(60), Some(80)));
}

/// The scalars of the TensorBoard files in a folder, in the order in which TensorBoard reads them: tag, step and value. The format is
/// that of TensorFlow's record_writer.h and event.proto.
fn scalars(folder: &std::path::Path) -> Vec<(String, u64, f32)> {
    /// The fields of a protocol buffer: number, and bytes or the number itself.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
        fn varint(bytes: &mut &[u8]) -> u64 {
            let (mut value, mut shift) = (0, 0);
            loop {
                let byte = bytes[0];
                *bytes = &bytes[1..];
                value |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return value;
                }
            }
        }
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let (number, length) = match key & 7 {
                0 => (varint(&mut bytes), 0),
                1 => (0, 8),
                5 => (0, 4),
                _ => (0, varint(&mut bytes) as usize),
            };
            all.push((key >> 3, number, &bytes[..length]));
            bytes = &bytes[length..];
        }
        all
    }
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("events.out.tfevents."));
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let bytes = std::fs::read(file).unwrap();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let event = fields(&rest[12..12 + length]);
            rest = &rest[16 + length..];
            let step = event.iter().find(|f| f.0 == 2).map_or(0, |f| f.1);
            for (_, _, summary) in event.iter().filter(|f| f.0 == 5) {
                for (_, _, value) in fields(summary) {
                    let value = fields(value);
                    let tag = String::from_utf8(value.iter().find(|f| f.0 == 1).unwrap().2.to_vec()).unwrap();
                    let number = value.iter().find(|f| f.0 == 2).unwrap().2;
                    all.push((tag, step, f32::from_le_bytes(number.try_into().unwrap())));
                }
            }
        }
    }
    all
}

#[test]
fn after_a_kill_the_tensorboard_curve_is_that_of_the_log() {
    let bench = Bench::with_policy();
    let line = format!("{TRAIN} -o cut.safetensors").replace("--steps 6000", "--steps 60000");
    let mut running = bench.command(&line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let [log, checkpoint] =
        ["cut.run/log.jsonl", "cut.run/checkpoint.safetensors"].map(|name| bench.path(name));
    // Some lines past a checkpoint.
    let lines = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
    wait_until(|| checkpoint.exists());
    let at = lines();
    wait_until(|| lines() > at + 5);
    running.kill().unwrap();
    running.wait().unwrap();
    let resumed = bench.json(&format!("{line} --resume"));
    assert!(resumed["resumed_from"].as_u64().unwrap() > 0);
    let text = std::fs::read_to_string(&log).unwrap();
    let logged: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let curve = scalars(&bench.path("cut.run"));
    for (tag, key) in [("loss/train", "loss"), ("loss/validation", "validation_loss")] {
        let expected = logged.iter().filter(|l| l[key].is_f64());
        let expected: Vec<(u64, f32)> =
            expected.map(|l| (l["step"].as_u64().unwrap(), l[key].as_f64().unwrap() as f32)).collect();
        let found: Vec<(u64, f32)> = curve.iter().filter(|s| s.0 == tag).map(|s| (s.1, s.2)).collect();
        assert_eq!(found, expected, "{tag}");
        assert!(found.is_sorted_by(|a, b| a.0 < b.0) && !found.is_empty(), "{tag}");
    }
    assert!(logged.is_sorted_by_key(|l| (l["seconds"].as_f64().unwrap() * 1e3) as u64), "time goes on, too");
}

#[test]
fn a_checkpoint_knows_its_memories() {
    let bench = Bench::with_policy();
    bench.ok("learn drive.npz --fraction 0.3 --selection random --smooth-neighbors 10 --ignore-dims 1 --seed 5 -o b.safetensors");
    let (code, said) = interrupt(&bench, &format!("{TRAIN} -o cut.safetensors"), "cut.run/log.jsonl");
    assert_eq!(code, Some(130), "{said}");
    let other = TRAIN.replace("m.safetensors", "b.safetensors");
    let refused = bench.refused(&format!("{other} -o cut.safetensors --resume"));
    assert!(refused.contains("the interrupted run had other memories"), "{refused}");
    // A file of another name with the same memories serves.
    std::fs::copy(bench.path("m.safetensors"), bench.path("copy.safetensors")).unwrap();
    let same = TRAIN.replace("m.safetensors", "copy.safetensors");
    bench.ok(&format!("{same} -o cut.safetensors --resume"));
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let bench = Bench::with_policy();
    let path = bench.path("p.run/checkpoint.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 40; // in the optimizer's state
    bytes[at] ^= 0xff;
    std::fs::write(&path, &bytes).unwrap();
    let line = "train drive.npz m.safetensors -o p.safetensors --resume --hidden 16 --steps 80 --batch 32";
    let message = bench.refused(line);
    assert!(message.contains("not those that were written") || message.contains("damaged"), "{message}");
}
