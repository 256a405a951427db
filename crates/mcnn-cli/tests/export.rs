//! `mcnn export`: the files it writes, what it compares, and what it refuses. The graphs themselves are tested in crate mcnn-onnx.

use std::process::Command;

use crate::common::{Bench, skipped};

/// Whether the tests' Python has onnxruntime; if not, a printed reason why a test is skipped.
fn has_onnxruntime(test: &str) -> bool {
    let python = std::env::var_os("MCNN_PYTHON");
    let found =
        python.map(|python| Command::new(python).args(["-c", "import onnxruntime"]).output().unwrap());
    if found.is_some_and(|found| found.status.success()) {
        return true;
    }
    skipped(test, "MCNN_PYTHON names no Python with onnxruntime");
    false
}

#[test]
fn a_policy_becomes_one_graph_and_one_that_denoises_two() {
    let bench = Bench::with_policy();
    let report = bench.json("export p.safetensors -o p.onnx");
    assert_eq!((&report["opset"], &report["memories"]), (&17.into(), &50.into()));
    let graph = &report["graphs"][0];
    assert_eq!(graph["inputs"], serde_json::json!(["observation [batch, 10]"]));
    let outputs = ["action [batch, 2]", "distance [batch]", "weight [batch]", "memory [batch]"];
    assert_eq!(graph["outputs"], serde_json::json!(outputs));
    assert_eq!(graph["bytes"], std::fs::metadata(bench.path("p.onnx")).unwrap().len());
    assert!(report["check"].is_null() && report["denoising_steps"].is_null());
    let text = bench.ok("export p.safetensors -o p.onnx --force --lambda inf");
    assert!(text.starts_with("BC") && text.contains("p.onnx: "), "{text}");

    let train = "train drive.npz m.safetensors --batch 8 --steps 2 --validation-fraction 0";
    bench.ok(&format!("{train} --backbone unet --hidden 8 --horizon 4 --sample-steps 2 -o u.safetensors"));
    let report = bench.json("export u.safetensors -o u.onnx");
    assert_eq!((&report["denoising_steps"], &report["whole_chunks"]), (&2.into(), &false.into()));
    assert_eq!(report["graphs"][1]["file"], "u.constrain.onnx");
    assert!(bench.path("u.onnx").exists() && bench.path("u.constrain.onnx").exists());
    // Neither file is written if one of them exists.
    std::fs::remove_file(bench.path("u.onnx")).unwrap();
    assert!(bench.refused("export u.safetensors -o u.onnx").contains("u.constrain.onnx"));
    assert!(!bench.path("u.onnx").exists());
}

#[test]
fn what_cannot_be_exported_is_refused_with_the_part_and_the_reason() {
    let bench = Bench::with_policy();
    bench.ok("train drive.npz m.safetensors --batch 8 --steps 2 --validation-fraction 0 --backbone bet --layers 1 --heads 1 \
              --width 8 --buckets 4 -o bet.safetensors");
    std::fs::write(bench.path("there.onnx"), "").unwrap();
    for (line, words) in [
        ("export p.safetensors -o p.pb", [".onnx", "p.pb"]),
        ("export p.safetensors -o there.onnx", ["exists already", "--force"]),
        ("export m.safetensors -o m.onnx", ["another kind", "memories"]),
        ("export absent.safetensors -o a.onnx", ["absent.safetensors", "No such file"]),
        ("export bet.safetensors -o bet.onnx", ["behavior transformer", "--bucket-selection argmax"]),
        ("export bet.safetensors -o bet.onnx --bucket-selection sample", ["--bucket-selection", "argmax"]),
        ("export p.safetensors -o p.onnx --lambda -1", ["--lambda", "-1"]),
    ] {
        let output = bench.run(line);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {message}");
        assert!(words.iter().all(|word| message.contains(word)), "{line}: {message}");
    }
    bench.ok("export bet.safetensors -o bet.onnx --bucket-selection argmax");
}

#[test]
fn a_check_without_onnxruntime_says_what_to_install() {
    let bench = Bench::with_policy();
    let python = bench.path("python");
    std::os::unix::fs::symlink("/bin/false", &python).unwrap();
    let mut command = bench.command("export p.safetensors -o p.onnx --check drive.npz");
    let output = command.env("MCNN_PYTHON", &python).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("onnxruntime") && message.contains("pip install"), "{message}");
    assert!(!bench.path("p.onnx").exists());
}

#[test]
fn a_check_compares_every_step_of_the_data() {
    if !has_onnxruntime("a_check_compares_every_step_of_the_data") {
        return;
    }
    let bench = Bench::with_policy();
    bench.ok("make drive --episodes 2 --seed 9 -o other.npz");
    let steps = &bench.json("inspect other.npz")["steps"];
    let report = bench.json("export p.safetensors -o p.onnx --check other.npz");
    let check = &report["check"];
    assert_eq!((&check["steps"], &check["steps_of_data"]), (steps, steps));
    assert_eq!(check["other_memories"], 0);
    for (what, most) in [("action", 1e-6), ("scaled_action", 1e-6), ("distance", 1e-5), ("weight", 1e-6)] {
        let difference = check[what]["difference"].as_f64().unwrap();
        assert!((0.0..most).contains(&difference), "{what}: {difference}");
        assert!(check[what]["at"].as_str().unwrap().contains(':'));
    }
    let text = bench.ok("export p.safetensors -o p.onnx --force --check other.npz");
    assert!(text.contains("largest differences") && text.contains("0 steps with another one"), "{text}");
    bench.ok("convert other.npz --action actions:0 -o narrow.npz");
    let message = bench.refused("export p.safetensors -o q.onnx --check narrow.npz");
    assert!(message.contains("narrow.npz") && message.contains("dimensions"), "{message}");
}
