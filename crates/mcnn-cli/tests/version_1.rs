//! Files written by version 1 still work: policies, memories, encoders, checkpoints, versions, plans and results. They are in
//! `fixtures/v1`, with what version 1 printed for them (`explain-*.json`, `eval-*.json`). The demonstrations are those of
//! `mcnn make drive --episodes 3 --noise 0.1`, whose contents did not change.

use std::path::PathBuf;

use crate::common::Bench;
use serde_json::{Map, Value, json};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1")).join(name)
}

fn fixture_json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

/// A folder with the demonstrations and some of the files.
fn bench(files: &[&str]) -> Bench {
    let bench = Bench::new();
    let made = bench.json("make drive --episodes 3 --noise 0.1 -o drive.npz");
    assert_eq!(made["fingerprint"], "137895e041f9457f3f92745a6a5d04c09d77b35f9e65f35b7ba8a690062cf3a2");
    for file in files {
        let to = bench.path(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(fixture(file), to).unwrap();
    }
    bench
}

/// A report of version 1 with the keys that `explain` prints now.
fn renamed(value: &Value) -> Value {
    const KEYS: [(&str, &str); 9] = [
        ("demonstrated", "demonstrated_action"),
        ("pull", "weight"),
        ("remembered", "memory_action"),
        ("anchor", "center"),
        ("proposal", "network_output"),
        ("spread", "std"),
        ("smooth", "smooth_neighbors"),
        ("neighbours", "neighbors"),
        ("centre", "center"),
    ];
    let key = |key: &str| KEYS.iter().find(|(old, _)| *old == key).map_or(key, |(_, new)| *new).to_owned();
    match value {
        Value::Object(map) => map.iter().map(|(k, v)| (key(k), renamed(v))).collect::<Map<_, _>>().into(),
        Value::Array(items) => items.iter().map(renamed).collect(),
        other => other.clone(),
    }
}

#[test]
fn every_backbone_explains_its_actions_with_the_same_numbers() {
    for name in ["mlp", "vinn", "diffusion", "bet", "unet"] {
        let policy = format!("{name}.safetensors");
        let bench = bench(&[&policy]);
        let explained = bench.json(&format!("explain {policy} --in drive.npz --at 1:100"));
        let expected = renamed(&fixture_json(&format!("explain-{name}.json")));
        for (key, value) in expected.as_object().unwrap() {
            let mut found = explained[key].clone();
            if key == "dimensions" {
                // Version 1 had no ensembles, and showed the network's output alone.
                for dimension in found.as_array_mut().unwrap() {
                    let dimension = dimension.as_object_mut().unwrap();
                    assert!(dimension.remove("member_std").unwrap().is_null());
                    assert_eq!(dimension.remove("network_action").unwrap().is_null(), name == "vinn");
                }
            }
            assert_eq!(&found, value, "{name}: {key}");
        }
    }
}

#[test]
fn a_policy_has_the_same_returns_and_fingerprint() {
    let bench = bench(&["mlp.safetensors"]);
    let evaluated = bench.json("eval mlp.safetensors --task drive --episodes 3");
    let expected = fixture_json("eval-mlp.json");
    for key in ["policy", "returns", "return", "score", "success", "weight", "name"] {
        assert_eq!(evaluated[key], expected[key], "{key}");
    }
}

#[test]
fn a_policy_of_frames_acts_through_its_encoder() {
    let bench = bench(&["pixels.safetensors"]);
    let evaluated = bench.json("eval pixels.safetensors --task drive-pixels --episodes 2");
    let expected = fixture_json("eval-pixels.json");
    assert_eq!(evaluated["policy"], expected["policy"]);
    // Processors differ in the last digits of an embedding, and the task is in a closed loop.
    for k in 0..2 {
        let [found, expected] = [&evaluated, &expected].map(|e| e["returns"][k].as_f64().unwrap());
        assert!((found - expected).abs() < 1e-2, "{found} is not {expected}");
    }
}

/// Writes the file of the encoder that is in the policy of frames: its header, and the tensors of the policy.
fn write_encoder(bench: &Bench) {
    let split = |bytes: Vec<u8>| {
        let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&bytes[8..end]).unwrap();
        (header, bytes[end..].to_vec())
    };
    let text = std::fs::read(fixture("encoder.header.json")).unwrap();
    let header: Value = serde_json::from_slice(&text).unwrap();
    let (policy, tensors) = split(std::fs::read(fixture("pixels.safetensors")).unwrap());
    let range = |tensor: &Value| [0, 1].map(|k| tensor["data_offsets"][k].as_u64().unwrap() as usize);
    let mut names: Vec<&String> =
        header.as_object().unwrap().keys().filter(|k| *k != "__metadata__").collect();
    names.sort_by_key(|name| range(&header[name.as_str()]));
    let mut file = (text.len() as u64).to_le_bytes().to_vec();
    file.extend(&text);
    for name in names {
        let [start, end] = range(&policy[format!("encoder.{name}")]);
        file.extend(&tensors[start..end]);
    }
    std::fs::write(bench.path("encoder.safetensors"), file).unwrap();
}

#[test]
fn an_encoder_embeds_frames_for_its_policy() {
    let bench = bench(&["pixels.safetensors"]);
    write_encoder(&bench);
    bench.ok("make drive-pixels --episodes 1 -o laps.hdf5");
    let embedded = bench.json("embed laps.hdf5 --weights encoder.safetensors -o laps.npz");
    // The hash of the weights in the policy's encoding: it is the same encoder.
    let hash = "adde7a2042b55f265f0f05215afbb97760ebe9f0640df2c371af1a2f837a685f";
    assert_eq!(embedded["encoding"]["weights"], hash);
    assert_eq!(embedded["encoding"]["preset"], "normalized:16x16");
    // The data fit the policy: their encodings are equal, though version 1 spelled the preset otherwise.
    let explained = bench.json("explain pixels.safetensors --in laps.npz --at 0:10");
    assert!(explained["weight"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_plan_runs_with_its_old_keys() {
    let bench = bench(&["plan.toml"]);
    let swept = bench.json("sweep plan.toml -o new.jsonl");
    assert_eq!((swept["completed"].as_u64(), swept["failed"].as_array().unwrap().len()), (Some(2), 0));
    // The same with the new keys; and 1-NN acts as it does by itself.
    let renamed = with_new_keys(&std::fs::read_to_string(bench.path("plan.toml")).unwrap());
    std::fs::write(bench.path("renamed.toml"), renamed).unwrap();
    bench.json("sweep renamed.toml -o renamed.jsonl");
    let returns = |text: &str| {
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let copies = lines.filter(|line| line["settings"]["lambda"] == 0.0);
        copies.map(|line| line["returns"].clone()).collect::<Vec<_>>()
    };
    let [old, new] = ["new", "renamed"]
        .map(|name| returns(&std::fs::read_to_string(bench.path(&format!("{name}.jsonl"))).unwrap()));
    assert_eq!((old.len(), &old), (1, &new));
}

/// A plan with the keys of today.
fn with_new_keys(plan: &str) -> String {
    plan.replace("\nl =", "\namplitude =")
        .replace("neighbours", "neighbors")
        .replace("optimiser", "optimizer")
        .replace("check_on", "validation_fraction")
}

#[test]
fn a_sweep_continues_old_results_without_repeating_their_runs() {
    let bench = bench(&["plan.toml", "results.jsonl"]);
    let before = std::fs::read(bench.path("results.jsonl")).unwrap();
    // What version 1 did without saying so.
    let text = std::fs::read_to_string(bench.path("plan.toml")).unwrap();
    let unsaid =
        "form = [\"mix\"]\ntrain_through = [\"envelope\"]\nconstrain_at = [\"denoising\"]\nmembers = [1]\n";
    std::fs::write(bench.path("plan.toml"), format!("{unsaid}{text}")).unwrap();
    for plan in ["old names", "new names"] {
        let swept = bench.json("sweep plan.toml -o results.jsonl");
        assert_eq!((&swept["already_done"], &swept["completed"]), (&json!(2), &json!(0)), "{plan}");
        assert_eq!(std::fs::read(bench.path("results.jsonl")).unwrap(), before, "{plan}");
        let text = std::fs::read_to_string(bench.path("plan.toml")).unwrap();
        std::fs::write(bench.path("plan.toml"), with_new_keys(&text)).unwrap();
    }
    let table = bench.json("table results.jsonl");
    assert_eq!((&table["runs"], table["methods"].as_array().unwrap().len()), (&json!(2), 2));
    // Another seed: new lines stand beside the old ones, in the same two rows of the table.
    let text = std::fs::read_to_string(bench.path("plan.toml")).unwrap();
    std::fs::write(bench.path("plan.toml"), text.replace("seed = [0]", "seed = [0, 1]")).unwrap();
    let swept = bench.json("sweep plan.toml -o results.jsonl");
    assert_eq!((&swept["already_done"], &swept["completed"]), (&json!(2), &json!(2)));
    let table = bench.json("table results.jsonl");
    let seeds: Vec<&Value> =
        table["methods"].as_array().unwrap().iter().map(|m| &m["cells"][0]["seeds"]).collect();
    assert_eq!(seeds, [&json!([0, 1]); 2]);
}

#[test]
fn a_run_is_resumed_with_old_and_with_new_options() {
    let mut fingerprints = Vec::new();
    for options in ["--l 1 --check-on 0.1", "--amplitude 1 --validation-fraction 0.1"] {
        let bench = bench(&["memories.safetensors", "half.run/checkpoint.safetensors", "half.run/log.jsonl"]);
        let line = "train drive.npz memories.safetensors -o half.safetensors --resume --hidden 8 --batch 32";
        let trained = bench.json(&format!("{line} --steps 60000 --threads 1 {options}"));
        assert_eq!((&trained["resumed_from"], &trained["steps"]), (&json!(35657), &json!(60000)));
        // Version 1 came to 0.0263: its smoothed memories contained the validated episodes. Processors differ in the last digits.
        let loss = trained["validation_loss"].as_f64().unwrap();
        assert!((loss - 0.027562).abs() < 2e-4, "{loss}");
        fingerprints.push(trained["fingerprint"].clone());
        let log = std::fs::read_to_string(bench.path("half.run/log.jsonl")).unwrap();
        assert!(log.contains("\"held_out_loss\"") && log.contains("\"validation_loss\""), "the log goes on");
    }
    assert_eq!(fingerprints[0], fingerprints[1]);
}

#[test]
fn versions_of_changed_memories_are_listed_and_moved_between() {
    let files = ["changed.safetensors", "changed.versions/1.safetensors", "changed.versions/2.safetensors"];
    let bench = bench(&[&files[..], &["changed.versions/log.json"]].concat());
    // Version 0 is the policy before its changes.
    std::fs::copy(fixture("mlp.safetensors"), bench.path("changed.versions/0.safetensors")).unwrap();
    let listed = bench.json("memory list changed.safetensors");
    assert_eq!((listed["versions"].as_array().unwrap().len(), &listed["current_version"]), (3, &json!(1)));
    bench.ok("memory move changed.safetensors --to 2");
    assert_eq!(bench.json("memory list changed.safetensors")["memories"], 21);
    bench.ok("memory move changed.safetensors --to 0");
    let bytes = |path: PathBuf| std::fs::read(path).unwrap();
    assert!(
        bytes(bench.path("changed.safetensors")) == bytes(fixture("mlp.safetensors")),
        "not a byte changed"
    );
    let dropped = bench.json("memory drop changed.safetensors --memories 5");
    assert_eq!(
        (&dropped["version"], &dropped["from"], &dropped["memories"]),
        (&json!(3), &json!(0), &json!(23))
    );
    bench.ok("eval changed.safetensors --task drive --episodes 1");
}

#[test]
fn the_report_has_the_validation_loss_of_an_old_log() {
    let bench = bench(&["mlp.safetensors", "mlp.run/log.jsonl"]);
    bench.ok("report mlp.safetensors --in drive.npz -o r.html");
    let text = std::fs::read_to_string(bench.path("r.html")).unwrap();
    let data = text.split(r#"<script type="application/json" id="data">"#).nth(1).unwrap();
    let page: Value = serde_json::from_str(data.split("</script>").next().unwrap()).unwrap();
    let losses = page["losses"].as_array().unwrap();
    let expected = std::fs::read_to_string(fixture("mlp.run/log.jsonl")).unwrap();
    let expected = expected.lines().filter(|line| line.contains("held_out_loss")).count();
    assert_eq!(losses.iter().filter(|l| l["validation_loss"].is_f64()).count(), expected);
    assert!(expected > 0);
}
