//! Interrupting and resuming a training run.

#![cfg(unix)]

use crate::common::Bench;
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
