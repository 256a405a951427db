//! `mcnn eval --guard`: what is reported, against episodes without one.

use crate::common::{self, Bench};
use serde_json::Value;

fn n(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number: {value}"))
}

#[test]
fn a_warning_changes_nothing_and_stopping_ends_what_was_warned_of() {
    let bench = Bench::with_policy();
    let line = "eval p.safetensors --task drive --episodes 12";
    let free = bench.json(line);
    assert!(free["guard"].is_null());
    let warned = bench.json(&format!("{line} --guard warn --ood-quantile 0.9"));
    assert_eq!(free["returns"], warned["returns"]);
    let w = &warned["guard"];
    assert_eq!((w["response"].as_str(), w["ood_quantile_of"].as_str()), (Some("warn"), Some("states")));
    let [taken, ood] = [&w["steps"], &w["ood_steps"]].map(n);
    assert!(ood > 0.0 && ood < taken);
    let ever = (n(&w["ood_episodes"]["share"]) * 12.0).round();
    assert!(ever > 0.0 && n(&w["stopped_episodes"]) == 0.0);
    let stopped = bench.json(&format!("{line} --guard stop --ood-quantile 0.9"));
    let s = &stopped["guard"];
    assert_eq!(
        (n(&s["stopped_episodes"]), &s["first_ood_step"], &s["distance"]),
        (ever, &w["first_ood_step"], &w["distance"])
    );
    // Episodes that were never beyond are as they were; the others are shorter.
    let pairs = || free["returns"].as_array().unwrap().iter().zip(stopped["returns"].as_array().unwrap());
    assert_eq!(pairs().filter(|(a, b)| a == b).count() as f64, 12.0 - ever);
    for response in ["hold", "memory"] {
        let other = bench.json(&format!("{line} --guard {response} --ood-quantile 0.9"));
        assert_ne!(other["returns"], free["returns"], "{response}");
        assert_eq!(n(&other["guard"]["stopped_episodes"]), 0.0);
    }
}

#[test]
fn the_threshold_is_that_of_the_calibration() {
    let bench = Bench::with_policy();
    let trained = bench.json("train drive.npz m.safetensors -o q.safetensors --hidden 8 --steps 5");
    let line = "eval q.safetensors --task drive --episodes 2 --guard warn";
    let at = |options: &str| bench.json(&format!("{line} {options}"))["guard"].clone();
    assert_eq!(at("--ood-quantile 0.5")["distance"], trained["calibration"]["median"]);
    assert_eq!(at("--ood-quantile 0.95")["distance"], trained["calibration"]["p95"]);
    // Four laps: beyond all of them goes one of five.
    for of in ["states", "episodes"] {
        let all = at(&format!("--ood-quantile 1 --ood-quantile-of {of}"));
        assert_eq!(
            (&all["distance"], n(&all["calibration_episodes"])),
            (&trained["calibration"]["max"], 4.0)
        );
        assert!((n(&all["probability"]) - 0.2).abs() < 1e-9);
    }
    bench.ok("make drive --episodes 9 --seed 70 -o other.npz");
    let other = at("--ood-quantile 1 --calibration-data other.npz");
    assert_eq!(n(&other["calibration_episodes"]), 9.0);
    let set = &bench.json("certify q.safetensors --data other.npz --horizon 9")["sets"][0];
    assert_eq!(other["distance"], set["d_i"]);
    let text = bench.ok(&format!("{line} --ood-quantile 0.9 --ood-quantile-of episodes"));
    for part in [
        "warns above distance",
        "quantile 0.9 of the largest distances of 4 calibration episodes",
        "at most 0.2",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let text = bench.ok("explain q.safetensors --data drive.npz --at 1:30");
    assert!(text.contains("% of the calibration states are nearer"), "{text}");
}

#[test]
fn calibrated_on_the_very_episode_half_of_its_steps_are_beyond_the_half() {
    let bench = Bench::with_policy();
    // One that copies, and so never stands still: then no two states are equally far.
    bench.ok("train drive.npz m.safetensors -o nn.safetensors --lambda 0");
    bench.ok("collect --policy nn.safetensors --task drive --episodes 1 --seed 1000 -o own.hdf5");
    let line = "eval nn.safetensors --task drive --episodes 1 --guard warn --calibration-data own.hdf5";
    for share in [0.5, 0.8, 0.97, 1.0] {
        let report = bench.json(&format!("{line} --ood-quantile {share}"));
        let [taken, ood] = ["steps", "ood_steps"].map(|key| n(&report["guard"][key]));
        assert_eq!(ood, taken - (share * taken - 1e-9).ceil(), "{share} of {taken}");
    }
}

#[test]
fn a_video_under_a_guard_ends_where_the_guard_says() {
    let bench = Bench::with_policy();
    let line = "eval p.safetensors --task drive --episodes 3 --guard stop --ood-quantile 0.9 --video f.gif --video-every 1";
    let report = bench.json(&format!("{line} --video-episodes 3"));
    let returns: Vec<&Value> =
        report["video"]["episodes"].as_array().unwrap().iter().map(|e| &e["returns"][0]).collect();
    assert_eq!(returns, report["returns"].as_array().unwrap().iter().collect::<Vec<_>>());
    assert!(n(&report["guard"]["stopped_episodes"]) > 0.0);
}

#[test]
fn guards_that_cannot_be_set() {
    let bench = Bench::with_policy();
    bench.ok("make drive --episodes 1 -o one.npz");
    // Left whole: by default a single recording is cut into blocks.
    bench.ok("learn one.npz --episode-steps 9999 --count 20 -o onem.safetensors");
    bench.ok(
        "train one.npz onem.safetensors --episode-steps 9999 -o onep.safetensors --hidden 8 --steps 5 --validation-fraction 0",
    );
    let line = "--task drive --episodes 1";
    for (what, expected) in [
        (format!("eval p.safetensors {line} --guard fly"), "warn, hold, memory or stop"),
        (format!("eval p.safetensors {line} --ood-quantile 0.9"), "--guard"),
        (format!("eval p.safetensors {line} --guard warn --ood-quantile 0"), "above 0 and at most 1"),
        (format!("eval p.safetensors {line} --guard warn --ood-quantile nan"), "above 0 and at most 1"),
        (format!("eval p.safetensors {line} --guard warn --ood-quantile-of steps"), "states, episodes"),
        (
            format!("eval p.safetensors {line} --guard warn --calibration-data drive.npz"),
            "chosen from these data",
        ),
        (format!("eval onep.safetensors {line} --guard warn"), "no OOD calibration"),
    ] {
        let message = bench.refused(&what);
        assert!(message.contains(expected), "mcnn {what}: {expected:?} is not in\n{message}");
    }
    // But other episodes calibrate it.
    bench.ok(&format!("eval onep.safetensors {line} --guard warn --calibration-data drive.npz"));
    if let Some(shared) = common::shared("guards_that_cannot_be_set") {
        let (door, expert) = (shared.join("door-human-v1.hdf5"), shared.join("experts/pen.npz"));
        let message = bench.refused(&format!(
            "eval p.safetensors {line} --guard warn --calibration-data {}",
            door.display()
        ));
        assert!(message.contains("dimensions of the data and the memories differ"), "{message}");
        let message = bench.refused(&format!("eval {} {line} --guard warn", expert.display()));
        assert!(message.contains("no memories"), "{message}");
    }
}
