//! The driver of `bench/peers` with peers of a few lines, and `mcnn table` on what it writes.

use serde_json::{Value, json};

use crate::common::{Bench, skipped};

#[test]
fn the_driver_judges_a_peer_and_notes_why_one_fails() {
    let Some(python) = std::env::var_os("MCNN_TEST_PYTHON") else {
        return skipped(
            "the_driver_judges_a_peer_and_notes_why_one_fails",
            "MCNN_TEST_PYTHON names no Python",
        );
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bench/peers/test_run.py");
    let program = env!("CARGO_BIN_EXE_mcnn");
    let output =
        std::process::Command::new(python).args([script, "-v"]).env("MCNN", program).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    for line in said.lines().filter(|line| line.contains("skipped")) {
        eprintln!("{line}");
    }
    assert!(output.status.success(), "{said}");
}

/// A line of a peer, as run.py writes it.
fn peer(name: &str, seed: u64, returns: &[f64], error: Option<&str>) -> Value {
    json!({
        "peer": name,
        "settings": {"task": "pen", "data": "human.hdf5", "budget": "30 s", "seed": seed, "episodes": 6, "first_seed": 1000},
        "data": "ff", "demonstrations": 25, "returns": returns, "reference": [96.25, 3076.75], "eval": null,
        "trained_with": null, "versions": null, "training_seconds": 30.5, "seconds": 41.0, "user_lines": 30, "error": error,
    })
}

#[test]
fn results_of_peers_are_rows_beside_ours() {
    let bench = Bench::new();
    let ours = include_str!("table.jsonl").lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ours = ours.filter(|line| line["settings"]["task"] == "pen").map(|mut line| {
        line["data"] = "ff".into();
        line
    });
    let theirs = [
        peer("imitation_bc", 0, &[100.0, 200.0, 300.0, 400.0, 500.0, 600.0], None),
        peer("imitation_bc", 1, &[700.0, 800.0, 900.0, 1000.0, 1100.0, 1200.0], None),
        peer("d3rlpy_bc", 0, &[], Some("exceeded 3600 s when training")),
    ];
    let lines: Vec<String> = ours.chain(theirs).map(|line| line.to_string() + "\n").collect();
    std::fs::write(bench.path("r.jsonl"), lines.concat()).unwrap();
    let table = bench.json("table r.jsonl --plot r.svg");
    let methods = table["methods"].as_array().unwrap();
    let found = methods.iter().find(|m| m["name"] == "imitation_bc, 30 s").unwrap();
    let wanted = 100.0 * (650.0 - 96.25) / (3076.75 - 96.25);
    assert!((found["cells"][0]["mean"]["mean"].as_f64().unwrap() - wanted).abs() < 1e-9);
    assert_eq!(found["cells"][0]["seeds"], json!([0, 1]));
    assert_eq!(found["cells"][0]["training_seconds"], 30.5);
    assert_eq!(table["failed"].as_array().unwrap().len(), 2, "one of ours, and one of theirs");
    let text = bench.ok("table r.jsonl");
    assert!(text.contains("exceeded 3600 s when training") && text.contains("peer imitation_bc"), "{text}");
    // A result of a peer needs its seed, too.
    let mut line = peer("imitation_bc", 0, &[1.0; 6], None);
    line["settings"].as_object_mut().unwrap().remove("seed");
    std::fs::write(bench.path("r.jsonl"), line.to_string() + "\n").unwrap();
    let message = bench.refused("table r.jsonl");
    assert!(message.contains("line 1") && message.contains("seed"), "{message}");
}
