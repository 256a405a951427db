//! Signals: SIGTERM and SIGHUP, as schedulers, service managers and closed terminals send them, do what Ctrl-C does.
#![cfg(unix)]

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
};

use crate::common::{Bench, wait_until};
use serde_json::Value;

const SIGNALS: [&str; 3] = ["-INT", "-TERM", "-HUP"];

/// A command for which SIGHUP is not ignored, also where the tests run under nohup.
fn command(bench: &Bench, line: &str) -> Command {
    let own = bench.command(line);
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP").arg(own.get_program()).args(own.get_args());
    command.current_dir(bench.path(""));
    command
}

fn start(bench: &Bench, line: &str) -> Child {
    command(bench, line).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn send(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// Waits for the end of a process; its exit code, and its report.
fn end(child: Child) -> (Option<i32>, Value) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

fn hidden(bench: &Bench) -> Vec<String> {
    let entries = fs::read_dir(bench.folder.path()).unwrap().flatten();
    entries.map(|e| e.file_name().into_string().unwrap()).filter(|name| name.starts_with('.')).collect()
}

#[test]
fn every_signal_saves_a_training_run() {
    let bench = Bench::with_policy();
    for signal in SIGNALS {
        let line = "train drive.npz m.safetensors --hidden 8 --batch 16 --steps 10000000 --json";
        let running = start(&bench, &format!("{line} -o q{signal}"));
        let log = bench.path(&format!("q{signal}.run/log.jsonl"));
        wait_until(|| log.exists());
        send(&running, signal);
        let (code, report) = end(running);
        assert_eq!((code, &report["interrupted"]), (Some(130), &Value::Bool(true)), "{signal}");
        let resumed = start(&bench, &format!("{line} -o q{signal} --resume"));
        wait_until(|| bench.path(&format!("q{signal}.run/.checkpoint.safetensors.lock")).exists());
        wait_until(|| fs::read_to_string(&log).is_ok_and(|log| !log.is_empty()) || report["steps"] != 0);
        send(&resumed, signal);
        assert_eq!(end(resumed).0, Some(130), "{signal}");
    }
}

#[test]
fn every_signal_ends_a_verb_that_has_nothing_to_save_and_leaves_nothing() {
    let bench = Bench::new();
    bench.ok("make drive --episodes 60 -o drive.npz");
    for signal in SIGNALS {
        let running = start(&bench, "learn drive.npz --fraction 0.5 --epochs 100 -o m.safetensors");
        wait_until(|| bench.path(".m.safetensors.lock").exists());
        send(&running, signal);
        assert_eq!(end(running).0, Some(130), "{signal}");
        assert_eq!(hidden(&bench), [""; 0], "{signal}");
    }
}

#[test]
fn every_signal_saves_what_the_other_verbs_have_done() {
    let bench = Bench::with_policy();
    bench.ok("make drive-pixels --episodes 2 -o frames.hdf5");
    bench.ok("collect --task drive --episodes 1 -o drive.hdf5");
    let plan =
        "task = \"drive\"\ndata = [\"drive.npz\"]\ncount = [9]\nlambda = [0]\nseed = [SEEDS]\nepisodes = 5\n";
    let seeds: Vec<String> = (0..2000).map(|seed| seed.to_string()).collect();
    fs::write(bench.path("plan.toml"), plan.replace("SEEDS", &seeds.join(","))).unwrap();
    for signal in &SIGNALS[1..] {
        for (line, begun) in [
            (
                "encoder frames.hdf5 --steps 5000 --batch 16 --embedding-dim 4 -o e.safetensors",
                "training 500/",
            ),
            ("sweep plan.toml -o results.jsonl", "runs 200/"),
            ("collect --task drive --episodes 10000 -o r.hdf5", "collecting 1000/"),
        ] {
            let messages = File::create(bench.path("messages")).unwrap();
            let mut command = command(&bench, &format!("{line} --json"));
            let running = command.stdout(Stdio::piped()).stderr(messages).spawn().unwrap();
            wait_until(|| fs::read_to_string(bench.path("messages")).unwrap().contains(begun));
            send(&running, signal);
            let (code, report) = end(running);
            assert_eq!((code, &report["interrupted"]), (Some(130), &Value::Bool(true)), "{line}, {signal}");
            assert_eq!(hidden(&bench), [""; 0], "{line}, {signal}");
        }
        for name in ["e.safetensors.part", "results.jsonl", "r.hdf5"] {
            assert!(fs::metadata(bench.path(name)).unwrap().len() > 0, "{name}, {signal}");
            fs::remove_file(bench.path(name)).unwrap();
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let bench = Bench::with_policy();
    let line = "train drive.npz m.safetensors --hidden 8 --batch 16 --steps 100000000 -o q --json";
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" $1", env!("CARGO_BIN_EXE_mcnn"), line]);
    let mut running = command
        .current_dir(bench.folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let log = bench.path("q.run/log.jsonl");
    wait_until(|| log.exists());
    send(&running, "-HUP");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(running.try_wait().unwrap().is_none(), "it goes on");
    send(&running, "-TERM");
    assert_eq!(end(running).0, Some(130));
}

#[test]
fn a_killed_recording_goes_on_to_the_same_bytes() {
    let bench = Bench::new();
    let line = "collect --task drive --episodes 300 --seed 40 --noise correlated:0.1 --threads 2";
    for name in ["cut.hdf5", "cut.npz"] {
        let whole = name.replace("cut", "whole");
        bench.ok(&format!("{line} -o {whole}"));
        let part = bench.path(&format!("{name}.part"));
        let running = start(&bench, &format!("{line} -o {name}"));
        wait_until(|| fs::metadata(&part).is_ok_and(|m| m.len() > 100_000));
        send(&running, "-KILL");
        assert_eq!(end(running).0, None);
        assert!(part.exists() && !bench.path(name).exists(), "what is finished is on the disk");
        let other = bench.refused(&format!("{} -o {name}", line.replace("--seed 40", "--seed 41")));
        assert!(other.contains("something else") && other.contains("--force"), "{other}");
        let report = bench.json(&format!("{line} -o {name}"));
        let resumed = report["resumed_from"].as_u64().unwrap();
        assert!(resumed > 0 && resumed < 300, "{resumed} of 300");
        assert!(fs::read(bench.path(name)).unwrap() == fs::read(bench.path(&whole)).unwrap(), "{name}");
        assert!(!part.exists() && hidden(&bench).is_empty());
        assert_eq!(bench.json(&format!("inspect {name}"))["fingerprint"], report["fingerprint"]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_episodes_recorded() {
    let bench = Bench::new();
    // 60 episodes are 230 MB of frames.
    for name in ["r.hdf5", "r.npz"] {
        let line = format!("collect --task drive-pixels --episodes 60 --threads 1 -o {name} --json");
        let output = Command::new("sh")
            .args(["-c", "ulimit -v 250000 && exec \"$0\" $1", env!("CARGO_BIN_EXE_mcnn"), &line])
            .current_dir(bench.folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["episodes"], 60);
    }
}
