//! Episodes that are none: copies, single steps, one long recording. What is said about them, and that they make nothing look better
//! than it is.

use crate::common::Bench;

use mcnn::data::{ActionRange, Demonstrations, Parts, ReadOptions, read, write_npz};
use serde_json::Value;

fn n(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number: {value}"))
}

/// A folder with `drive.npz`: six noisy laps of 400 steps.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.ok("make drive --episodes 6 --noise 0.1 -o drive.npz");
    bench
}

/// Writes `name`: the data of `drive.npz`, changed.
fn write(bench: &Bench, name: &str, change: impl FnOnce(&mut Parts)) {
    let mut parts = Parts::from(read(&bench.path("drive.npz"), &ReadOptions::default()).unwrap());
    change(&mut parts);
    let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    write_npz(&bench.path(name), &data).unwrap();
}

fn repeat(parts: &mut Parts) {
    let n = parts.n_steps();
    parts.states.extend_from_within(..);
    parts.actions.extend_from_within(..);
    if let Some(rewards) = &mut parts.rewards {
        rewards.extend_from_within(..);
    }
    let ends: Vec<usize> = parts.ends.iter().map(|end| n + end).collect();
    parts.ends.extend(ends);
}

fn first_episodes(parts: &mut Parts, count: usize) {
    parts.ends.truncate(count);
    let steps = parts.ends[count - 1];
    parts.states.truncate(steps * parts.n_obs);
    parts.actions.truncate(steps * parts.n_act);
    parts.rewards.as_mut().unwrap().truncate(steps);
}

/// The warnings of `--json`, which are also on stderr.
fn warnings(bench: &Bench, line: &str) -> Vec<String> {
    let output = bench.run(&format!("{line} --json"));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let list: Vec<String> = serde_json::from_value(report["warnings"].clone()).unwrap();
    for warning in &list {
        assert!(line.starts_with("inspect") || stderr.contains(&format!("warning: {warning}")), "{stderr}");
    }
    list
}

const SMALL: &str = "--hidden 16 --steps 30 --batch 32 --members 1";

#[test]
fn a_file_with_every_episode_twice_looks_no_better_than_with_each_once() {
    let bench = bench();
    write(&bench, "twice.npz", repeat);
    let [once, twice] = ["drive", "twice"].map(|name| {
        let trained = bench.json(&format!("train {name}.npz -o {name}.safetensors {SMALL}"));
        let guarded = bench.json(&format!(
            "eval {name}.safetensors --task drive --episodes 1 --guard warn --ood-quantile-of episodes --ood-quantile 1"
        ));
        (trained, guarded)
    });
    assert!((n(&twice.0["lambda"]) / n(&once.0["lambda"]) - 1.0).abs() < 1e-3);
    let losses = [&once.0, &twice.0].map(|t| n(&t["validation_loss"]));
    assert!(losses[0] > 0.005 && losses[1] > 0.5 * losses[0], "{losses:?}");
    let [a, b] = [&once.0, &twice.0].map(|t| &t["validation"]["by_distance"][3]["distance"]);
    assert!((n(&a[1]) / n(&b[1]) - 1.0).abs() < 1e-3, "{a} {b}");
    assert_eq!((n(&once.0["calibration"]["episodes"]), n(&twice.0["calibration"]["episodes"])), (6.0, 6.0));
    assert_eq!(once.1["guard"]["probability"], twice.1["guard"]["probability"]);
    assert!((n(&once.1["guard"]["distance"]) / n(&twice.1["guard"]["distance"]) - 1.0).abs() < 1e-3);
    for line in [
        "inspect twice.npz",
        "learn twice.npz -o m.safetensors",
        &format!("train twice.npz -o p.safetensors {SMALL}"),
    ] {
        let found = warnings(&bench, line);
        assert!(
            found.len() == 1 && found[0].contains("6 of 12 episodes repeat another"),
            "{line}: {found:?}"
        );
        assert_eq!(
            warnings(&bench, &line.replace("twice", "drive").replace(" -o ", " --force -o ")),
            [""; 0]
        );
    }
}

#[test]
fn calibration_on_episodes_of_the_memories_is_refused_or_leaves_them_out() {
    let bench = bench();
    bench.ok(&format!("train drive.npz -o p.safetensors {SMALL}"));
    bench.ok("make drive --episodes 4 --noise 0.1 --seed 100 -o new.npz");
    write(&bench, "subset.npz", |parts| first_episodes(parts, 3));
    write(&bench, "superset.npz", |parts| {
        let new = Parts::from(read(&bench.path("new.npz"), &ReadOptions::default()).unwrap());
        let n = parts.n_steps();
        parts.states.extend(new.states);
        parts.actions.extend(new.actions);
        parts.rewards = None;
        parts.ends.extend(new.ends.iter().map(|end| n + end));
    });
    // The memories' data were read with an option, and the file is given without it.
    bench.ok(&format!("train drive.npz --d4rl-drop-last -o dropped.safetensors {SMALL}"));
    let line = "--task drive --episodes 2 --guard warn --ood-quantile 1 --calibration-data";
    for (policy, file) in
        [("p", "subset.npz"), ("p", "drive.npz"), ("dropped", "drive.npz"), ("dropped", "subset.npz")]
    {
        let message = bench.refused(&format!("eval {policy}.safetensors {line} {file}"));
        assert!(message.contains("the memories were chosen from these data"), "{policy} {file}: {message}");
    }
    let alone = bench.json(&format!("eval p.safetensors {line} new.npz"));
    assert!(n(&alone["guard"]["distance"]) > 0.3);
    let superset = bench.run(&format!("eval p.safetensors {line} superset.npz --json"));
    let stderr = String::from_utf8_lossy(&superset.stderr);
    assert!(
        stderr.contains("6 episodes coincide with episodes that the memories were chosen from"),
        "{stderr}"
    );
    assert!(stderr.contains("(0, 1, 2, 3, 4, 5); 4 are left"), "{stderr}");
    let guard = serde_json::from_slice::<Value>(&superset.stdout).unwrap()["guard"].clone();
    assert_eq!((n(&guard["calibration_episodes"]), n(&guard["calibration_left_out"])), (4.0, 6.0));
    assert_eq!(
        (&guard["distance"], &guard["probability"]),
        (&alone["guard"]["distance"], &alone["guard"]["probability"])
    );
    let text = bench.ok(&format!("eval p.safetensors {line} superset.npz"));
    assert!(text.contains("of 4 calibration episodes (6 left out, which are not new)"), "{text}");
    // Certificates and pages say it, too.
    let certified = bench.json("certify p.safetensors --data superset.npz --data drive.npz --horizon 100");
    assert_eq!(n(&certified["sets"][0]["known_episodes"]), 6.0);
    assert!(certified["sets"][1]["known_episodes"].is_null());
    let page = bench.json("report p.safetensors --data subset.npz -o page.html");
    assert!(page["notes"].to_string().contains("3 of the 3 episodes coincide"), "{page}");
    // An episode added to the memories is theirs from then on.
    bench.ok("memory add p.safetensors new.npz");
    bench.refused(&format!("eval p.safetensors {line} new.npz"));
}

#[test]
fn end_marks_that_are_held_or_doubled_are_reported() {
    let bench = bench();
    write(&bench, "held.npz", |p| p.ends = (0..6).flat_map(|k| 400 * k + 321..=400 * k + 400).collect());
    write(&bench, "doubled.npz", |p| p.ends = (1..=6).flat_map(|k| [400 * k - 1, 400 * k]).collect());
    for (file, expected) in
        [("held", "474 of 480 episodes have one step"), ("doubled", "6 of 12 episodes have one step")]
    {
        for line in [
            format!("inspect {file}.npz"),
            format!("learn {file}.npz -o {file}-m.safetensors"),
            format!("train {file}.npz -o {file}.safetensors {SMALL}"),
        ] {
            let found = warnings(&bench, &line).join("\n");
            assert!(found.contains(expected), "{line}: {found}");
        }
    }
    let text = bench.ok("inspect held.npz");
    assert!(text.contains("  warning       474 of 480 episodes have one step"), "{text}");
    // The seed decides whether the one validation episode is a single step.
    let few = (0..10).any(|seed| {
        let line = format!("train doubled.npz -o few{seed}.safetensors {SMALL} --seed {seed}");
        warnings(&bench, &line).join("\n").contains("measured on 1 state(s) only")
    });
    assert!(few);
}

#[test]
fn where_most_steps_rest_lambda_stays_in_the_range_of_the_motion() {
    let bench = bench();
    // Each lap is followed by a rest twice as long, in one place.
    write(&bench, "rest.npz", |p| {
        let (states, actions) = (p.states.clone(), p.actions.clone());
        (p.states, p.actions, p.rewards, p.ends) = (Vec::new(), Vec::new(), None, Vec::new());
        for k in 0..6 {
            p.states.extend_from_slice(&states[400 * k * p.n_obs..400 * (k + 1) * p.n_obs]);
            p.actions.extend_from_slice(&actions[400 * k * p.n_act..400 * (k + 1) * p.n_act]);
            for step in 0..800 {
                // All rest in the state that the first lap begins with, up to rounding.
                p.states.extend(states[..p.n_obs].iter().map(|x| x + 1e-6 * ((step + 7 * k) % 5) as f32));
                p.actions.extend(std::iter::repeat_n(0.0, p.n_act));
            }
            p.ends.push(1200 * (k + 1));
        }
    });
    let trained = bench.json(&format!("train rest.npz -o p.safetensors {SMALL}"));
    let usual = bench.json(&format!("train drive.npz -o q.safetensors {SMALL}"));
    let ratio = n(&trained["lambda"]) / n(&usual["lambda"]);
    assert!(
        (0.3..3.0).contains(&ratio),
        "lambda is {} (without rest {})",
        trained["lambda"],
        usual["lambda"]
    );
    assert!(
        trained["warnings"].to_string().contains("67 % of the steps are at rest"),
        "{}",
        trained["warnings"]
    );
    assert!(n(&trained["memory_weight"]) > 0.5);
    // Settings of acting count in the same unit.
    let x = bench.json("explain p.safetensors --data rest.npz --at 0:10 --lambda weight:0.25");
    let half = n(&trained["half_distance"]);
    assert!((n(&x["half_distance"]) / half - 1.0).abs() < 0.5, "{} {half}", x["half_distance"]);
    let found = warnings(&bench, &format!("train drive.npz -o w.safetensors {SMALL} --lambda 1000"));
    assert!(found.len() == 1 && found[0].contains("memories hardly act"), "{found:?}");
    let found = warnings(&bench, &format!("train drive.npz -o v.safetensors {SMALL} --lambda 0.001"));
    assert!(found.len() == 1 && found[0].contains("the network hardly acts"), "{found:?}");
}

#[test]
fn one_long_recording_is_validated_and_calibrated_in_blocks() {
    let bench = bench();
    write(&bench, "one.npz", |p| p.ends = vec![2400]);
    let found = warnings(&bench, "learn one.npz -o m.safetensors");
    assert!(
        found[0].contains("cut into 10 blocks of 240 steps") && found[0].contains("24 steps at either end"),
        "{found:?}"
    );
    assert_eq!(found.len(), 1);
    let trained = bench.json(&format!("train one.npz m.safetensors -o p.safetensors {SMALL}"));
    assert_eq!(n(&trained["calibration"]["episodes"]), 10.0);
    assert_eq!(n(&trained["validation"]["states"]), 192.0, "a block of 240 without its margins");
    assert!(trained["warnings"][0].as_str().unwrap().contains("one recording of 2400 steps"));
    let text = bench.ok("eval p.safetensors --task drive --episodes 1 --guard warn");
    assert!(text.contains("10 calibration episodes"), "{text}");
    // What reads the recording for this policy sees the same blocks.
    let set = bench.json("certify p.safetensors --data one.npz --horizon 100")["sets"][0].clone();
    assert_eq!(set["other_episodes"]["d_i"], trained["calibration"]["max"]);
    bench.ok("explain p.safetensors --data one.npz --at 9:200");
    assert!(bench.json("inspect one.npz")["warnings"].to_string().contains("one recording"));
    // Cut otherwise, or not at all.
    let cut = bench.json(&format!("train one.npz --episode-steps 400 -o laps.safetensors {SMALL}"));
    assert_eq!((n(&cut["calibration"]["episodes"]), n(&cut["validation"]["states"])), (6.0, 320.0));
    let found = warnings(&bench, &format!("train one.npz --episode-steps 5000 -o whole.safetensors {SMALL}"));
    let found = found.join("\n");
    assert!(found.contains("all memories are of one episode") && found.contains("no validation"), "{found}");
    assert!(
        found.contains("lambda (auto) is set from distances to other steps of the same episode"),
        "{found}"
    );
    // The same episode twice is one recording.
    write(&bench, "copied.npz", |parts| {
        first_episodes(parts, 1);
        repeat(parts);
    });
    let copied = bench.json(&format!("train copied.npz -o copied.safetensors {SMALL}"));
    assert!(
        copied["warnings"].to_string().contains("2 episodes that coincide, of which the longest is taken")
    );
    assert_eq!(n(&copied["calibration"]["episodes"]), 10.0);
    assert!(bench.refused("inspect one.npz --episode-steps 10").contains("inspected as it is"));
    assert!(bench.refused("learn one.npz --episode-steps 0 -o x.safetensors").contains("--episode-steps"));
}
