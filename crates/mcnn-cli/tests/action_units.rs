//! Actions in the data's own units: scaled to learn, given back by `explain`, `report`, `certify` and `memory add`.

use mcnn::data::{Demonstrations, Parts, ReadOptions, read, write_npz};
use serde_json::Value;

use crate::common::Bench;

/// `drive.npz` with the actions 90 a + 45 (degrees) and 0.02 a (metres) as `units.npz`. The demonstrations reach -1 and 1 in neither
/// dimension, so scaling by the range is another scale than that of `drive.npz`.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.ok("make drive --episodes 4 --noise 0.2 -o drive.npz");
    let data = read(&bench.path("drive.npz"), &ReadOptions::default()).unwrap();
    let mut parts = Parts::from(data);
    for action in parts.actions.chunks_exact_mut(2) {
        action[0] = 90.0 * action[0] + 45.0;
        action[1] *= 0.02;
    }
    write(&bench, "units.npz", parts);
    bench
}

fn write(bench: &Bench, name: &str, parts: Parts) {
    let (data, _) =
        Demonstrations::scaled(parts, &Default::default(), &Default::default(), Default::default()).unwrap();
    write_npz(&bench.path(name), &data).unwrap();
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn everything_that_shows_actions_speaks_the_units_of_the_data() {
    let bench = bench();
    let raw = mcnn::data::read_parts(&bench.path("units.npz"), &Default::default()).unwrap().1;
    let found = bench.json("inspect units.npz");
    assert_eq!(found["refused"], Value::Null);
    assert_eq!(found["action_units"].as_array().unwrap().len(), 2);
    let trained = bench.run("train units.npz -o p.safetensors --hidden 16 --steps 50 --members 2");
    let said = String::from_utf8_lossy(&trained.stderr).into_owned();
    assert!(trained.status.success() && said.contains("action 0: "), "{said}");

    let at = bench.json("explain p.safetensors --data units.npz --at 1:20");
    let row = raw.ends[0] + 20;
    let demonstrated = floats(&at["demonstrated_action"]);
    for (k, dimension) in at["dimensions"].as_array().unwrap().iter().enumerate() {
        let recorded = f64::from(raw.actions[2 * row + k]);
        let size = [90.0, 0.02][k];
        assert!((demonstrated[k] - recorded).abs() < 1e-5 * size, "{demonstrated:?}");
        // The state is a memory: its action is the demonstrated one.
        assert!((dimension["action"].as_f64().unwrap() - recorded).abs() < 1e-5 * size, "{dimension}");
        let [low, high] = ["low", "high"].map(|key| dimension[key].as_f64().unwrap());
        assert!((high - low).abs() < 1e-5 * size, "the box of a memory is a point: {dimension}");
    }
    bench.ok("report p.safetensors --data units.npz -o report.html");
    let certified = bench.json("certify p.safetensors --data units.npz --horizon 10");
    assert_eq!(certified["action_units"].as_array().unwrap().len(), 2);
    assert!(bench.ok("certify p.safetensors --data units.npz --horizon 10").contains("action 0: "));

    // A correction is read in the policy's units, not in its own range.
    let first = raw.ends[0];
    let mut part = Parts { ends: vec![10], rewards: None, ..raw.clone() };
    part.states.truncate(10 * raw.n_obs);
    part.actions.truncate(20);
    part.states.iter_mut().for_each(|s| *s += 5.0);
    assert!(first > 10);
    write(&bench, "correction.npz", part.clone());
    bench.ok("memory add p.safetensors correction.npz");
    let at = bench.json("explain p.safetensors --data correction.npz --at 0:3");
    assert_eq!(at["is_memory"], true);
    for k in 0..2 {
        let action = at["dimensions"][k]["memory_action"].as_f64().unwrap();
        let recorded = f64::from(part.actions[6 + k]);
        assert!((action - recorded).abs() < 1e-4 * [90.0, 0.02][k], "{action} {recorded}");
    }
    // Beyond the range that the policy learned.
    part.actions[0] = 1e4;
    write(&bench, "far.npz", part);
    let message = bench.refused("memory add p.safetensors far.npz");
    assert!(message.contains("actions") && message.contains("1 of 20"), "{message}");
}

#[test]
fn options_that_contradict_are_refused() {
    let bench = bench();
    bench.ok("learn units.npz --count 40 -o m.safetensors");
    for (line, says) in [
        ("learn units.npz --action-scale none -o n.safetensors", "--action-scale range"),
        ("learn units.npz --actions relative -o n.safetensors", "--relative-to 0-6"),
        ("learn units.npz --relative-to 0-2 -o n.safetensors", "2 dimensions"),
        ("learn units.npz --relative-to 0,99 -o n.safetensors", "0 to 9"),
        ("train units.npz m.safetensors --action-scale range -o n.safetensors", "their own units"),
    ] {
        let message = bench.refused(line);
        assert!(message.contains(says), "{line}: {message}");
    }
    bench.ok("train units.npz m.safetensors --hidden 8 --steps 5 -o p.safetensors");
    let relative = "learn units.npz --relative-to 0,none --action-scale quantile --count 40 -o r.safetensors";
    let learned = bench.run(relative);
    let said = String::from_utf8_lossy(&learned.stderr);
    assert!(said.contains("relative to state 0") && said.contains("clipped to [-1, 1]"), "{said}");
}
