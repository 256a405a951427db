//! `mcnn suggest`: what is suggested is what certify measures, what following it does, bad input.

use crate::common::{self, Bench};
use mcnn::data::{ActionRange, Demonstrations, Parts, write_npz};
use serde_json::Value;

fn n(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number: {value}"))
}

#[test]
fn the_first_suggestion_is_the_most_isolated_state_of_certify_and_d_i_falls() {
    let bench = Bench::with_policy();
    bench.ok("make drive --episodes 6 --seed 50 -o pool.npz");
    let report = bench.json("suggest pool.npz m.safetensors --count 100");
    let set = &bench.json("certify p.safetensors --data pool.npz --horizon 9")["sets"][0];
    let all = report["suggestions"].as_array().unwrap();
    assert_eq!((all.len(), report["unit"].as_str()), (6, Some("episode")), "every episode once");
    assert_eq!((&all[0]["at"], &all[0]["d_i_before"]), (&set["at"], &set["d_i"]));
    assert_eq!(report["coverage"]["median"], set["median"]);
    for pair in all.windows(2) {
        assert_eq!(pair[0]["d_i_after"], pair[1]["d_i_before"]);
        assert!(n(&pair[0]["d_i_before"]) >= n(&pair[1]["d_i_before"]), "corollary 4.8");
    }
    assert_eq!(n(&all[5]["d_i_after"]), 0.0, "all is known");
    for s in all {
        let explained =
            bench.json(&format!("explain p.safetensors --data pool.npz --at {}", s["at"].as_str().unwrap()));
        assert_eq!(explained["memory"]["memory"], s["memory"]["memory"]);
        let source = &explained["memory"]["source"];
        assert_eq!(
            format!("{}:{}", source["episode"], source["step"]),
            s["memory"]["source"].as_str().unwrap()
        );
        assert_eq!(explained["memory"]["distance"], s["memory"]["distance"]);
        let d = &s["largest_differences"][0];
        let k = n(&d["dimension"]) as usize;
        let value = |key: &str| (n(&explained[key][k]) as f32).to_bits();
        assert_eq!((n(&d["state"]) as f32).to_bits(), value("state"));
        assert_eq!((n(&d["memory"]) as f32).to_bits(), value("memory_state"));
    }
    // Following the first: the d_I it says is the one there is.
    let episode = all[0]["at"].as_str().unwrap().split(':').next().unwrap();
    bench.ok(&format!("memory add p.safetensors pool.npz --episodes {episode}"));
    let set = &bench.json("certify p.safetensors --data pool.npz --horizon 9")["sets"][0];
    assert_eq!(set["d_i"], all[0]["d_i_after"]);
    let text = bench.ok("suggest pool.npz m.safetensors --count 2");
    assert!(text.contains(&format!("1. episode {episode}: d_I")) && !text.contains(" 3. "), "{text}");
    assert!(bench.ok("suggest drive.npz m.safetensors").contains("these states"));
}

#[test]
fn visited_states_are_those_of_a_recording_and_say_their_seeds() {
    let bench = Bench::with_policy();
    bench.ok("collect --policy p.safetensors --task drive --episodes 5 --seed 70 -o own.hdf5");
    let recorded = bench.json("suggest own.hdf5 p.safetensors --start-states --count 3");
    let line = "suggest p.safetensors --visited --task drive --episodes 5 --seed 70 --count 3";
    let visited = bench.json(line);
    assert_eq!((visited["unit"].as_str(), &visited["data"]), (Some("state"), &Value::Null));
    let pairs = || {
        let all = |v: &Value| v["suggestions"].as_array().unwrap().clone();
        all(&visited).into_iter().zip(all(&recorded))
    };
    assert_eq!(pairs().count(), 3);
    for (v, r) in pairs() {
        for key in ["at", "start", "d_i_before", "d_i_after", "memory", "largest_differences"] {
            assert_eq!(v[key], r[key], "{key}");
        }
        let episode: f64 = v["at"].as_str().unwrap().split(':').next().unwrap().parse().unwrap();
        assert_eq!((n(&v["seed"]), &r["seed"]), (70.0 + episode, &Value::Null));
    }
    let with_memories = bench
        .json(&line.replace("suggest p", "suggest m").replace("--task", "--policy p.safetensors --task"));
    assert_eq!(with_memories["suggestions"], visited["suggestions"]);
    let text = bench.ok(line);
    let first = &visited["suggestions"][0];
    let step = first["start"].as_str().unwrap().split(':').nth(1).unwrap().to_owned();
    assert!(text.contains(&format!("start at seed {}, step {step}", first["seed"])), "{text}");
}

#[test]
fn where_all_is_known_there_is_no_suggestion() {
    let bench = Bench::with_policy();
    bench.ok("learn drive.npz --selection all -o all.safetensors");
    let text = bench.ok("suggest drive.npz all.safetensors");
    assert!(text.contains("No suggestion"), "{text}");
    assert_eq!(bench.json("suggest drive.npz all.safetensors")["suggestions"], Value::Array(Vec::new()));
}

#[test]
fn what_cannot_be_suggested_from() {
    let bench = Bench::with_policy();
    std::fs::write(bench.path("empty.npz"), b"").unwrap();
    for (line, expected) in [
        ("suggest", "<MEMORIES>"),
        ("suggest m.safetensors", "--visited"),
        ("suggest drive.npz m.safetensors --count 0", "0 is not in 1.."),
        ("suggest empty.npz m.safetensors", "empty"),
        ("suggest drive.npz drive.npz", "drive.npz"),
        ("suggest drive.npz none.safetensors", "none.safetensors"),
        ("suggest drive.npz p.run/checkpoint.safetensors", "checkpoint"),
        ("suggest p.safetensors --visited", "--task"),
        ("suggest p.safetensors --task drive", "--visited"),
        ("suggest drive.npz p.safetensors --visited --task drive", "cannot be used with"),
        ("suggest m.safetensors --visited --task drive", "memories alone do not act"),
        ("suggest p.safetensors --visited --task none", "none"),
        ("suggest drive.npz p.safetensors --policy p.safetensors", "--visited"),
    ] {
        let message = bench.refused(line);
        assert!(message.contains(expected), "mcnn {line}: {expected:?} is not in\n{message}");
    }
    if let Some(shared) = common::shared("what_cannot_be_suggested_from") {
        let door = shared.join("door-human-v1.hdf5");
        let message = bench.refused(&format!("suggest {} m.safetensors", door.display()));
        assert!(
            message.contains("dimensions of the data and the memories differ") && message.contains("39"),
            "{message}"
        );
    }
}

#[test]
fn states_of_another_embedding_are_refused() {
    let bench = Bench::new();
    let parts = Parts {
        n_obs: 12, // 2 x 2 pixels
        n_act: 1,
        states: (0..48).map(|i| i as f32 / 48.0).collect(),
        actions: vec![0.0; 4],
        rewards: None,
        ends: vec![2, 4],
    };
    let frames = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    write_npz(&bench.path("frames.npz"), &frames).unwrap();
    for seed in [0, 1] {
        bench.ok(&format!("embed frames.npz --weights random:{seed} --network resnet18 -o {seed}.npz"));
    }
    bench.ok("learn 0.npz --count 1 -o m.safetensors");
    assert_eq!(bench.json("suggest 0.npz m.safetensors")["suggestions"].as_array().unwrap().len(), 2);
    let message = bench.refused("suggest 1.npz m.safetensors");
    assert!(message.contains("embedded differently") && message.contains("1.npz"), "{message}");
}
