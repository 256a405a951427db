//! Driving from frames, from the recording to closed loop, as a user would.

use crate::common::Bench;

use serde_json::Value;

/// A bench with laps in frames, an encoder trained on them, their embeddings, memories, and two policies: one that carries
/// the encoder, and one that does not.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.ok("make drive-pixels --episodes 2 --noise 0.1 -o laps.hdf5");
    bench.ok("encoder laps.hdf5 -o e.safetensors --steps 20 --batch 16 --embedding-dim 8");
    bench.ok("embed laps.hdf5 --weights e.safetensors -o laps.npz");
    bench.ok("learn laps.npz --count 40 -o m.safetensors");
    let train = "train laps.npz m.safetensors --hidden 16 --steps 20 --batch 32 --validation-fraction 0";
    bench.ok(&format!("{train} -o p.safetensors"));
    bench.ok(&format!("{train} -o carries.safetensors --encoder e.safetensors"));
    bench
}

/// An evaluation without what differs from run to run or names the file.
fn evaluated(bench: &Bench, line: &str) -> Value {
    let mut value = bench.json(&format!("{line} --task drive-pixels --episodes 2"));
    assert!(value["latency_without_encoder_us"]["p50"].as_f64() < value["latency_us"]["p50"].as_f64());
    for key in ["latency_us", "latency_without_encoder_us", "policy"] {
        value[key] = Value::Null;
    }
    value
}

#[test]
fn frames_are_driven_by_with_the_encoder_in_the_file_or_beside_it() {
    let bench = bench();
    let beside = evaluated(&bench, "eval p.safetensors --encoder e.safetensors");
    assert_eq!(evaluated(&bench, "eval carries.safetensors"), beside);
    assert_eq!(evaluated(&bench, "eval carries.safetensors --threads 1 --envs-per-worker 3"), beside);
    let text = bench.ok("eval carries.safetensors --task drive-pixels --episodes 1 --guard warn");
    assert!(text.contains("without the encoder"), "{text}");
    let compared = bench.json(
        "compare p.safetensors carries.safetensors --encoder e.safetensors --task drive-pixels --episodes 2",
    );
    assert_eq!(compared["differences"][0]["return"]["mean"], 0.0);

    // A policy with changed memories has the same encoder, and visited states are embeddings.
    bench.ok("memory drop carries.safetensors --memories 0");
    evaluated(&bench, "eval carries.safetensors");
    let listed = bench.json("memory list carries.safetensors --task drive-pixels --episodes 1");
    assert!(listed["states"].as_u64() > Some(0));
    let rest = "--task drive-pixels --episodes 1";
    let reported = bench.json(&format!("report carries.safetensors --data laps.npz {rest} -o r.html"));
    assert!(reported["visited_states"].as_u64() > Some(0));
    bench.ok(&format!("certify carries.safetensors --data laps.npz --horizon 9 --visited {rest}"));
    // A policy's own drive is recorded as frames, and can be learned from.
    bench.ok("collect --task drive-pixels --policy carries.safetensors --episodes 1 -o own.hdf5");
    bench.ok("embed own.hdf5 --weights e.safetensors -o own.npz");
    bench.ok("memory add carries.safetensors own.npz --steps 0..5");
}

#[test]
fn frames_states_and_encoders_that_do_not_go_together_are_refused() {
    let bench = bench();
    bench.ok("make drive --episodes 2 -o drive.npz");
    bench.ok("learn drive.npz --count 20 -o n.safetensors");
    bench.ok(
        "train drive.npz n.safetensors -o states.safetensors --hidden 8 --steps 5 --validation-fraction 0",
    );
    bench.ok("encoder laps.hdf5 -o other.safetensors --steps 2 --batch 16 --embedding-dim 8");
    let wanted = bench.json("embed laps.hdf5 --weights e.safetensors -o again.npz");
    let hash = wanted["encoding"]["weights"].as_str().unwrap();
    for (line, parts) in [
        ("eval p.safetensors --task drive-pixels", vec!["--encoder", hash, "no encoder in the policy"]),
        (
            "eval p.safetensors --task drive-pixels --encoder other.safetensors",
            vec![hash, "other.safetensors"],
        ),
        ("eval p.safetensors --task drive-pixels --encoder random:0", vec![hash, "random:0"]),
        ("eval p.safetensors --task drive", vec!["policy on camera frames", "10-dimensional states", hash]),
        (
            "eval states.safetensors --task drive-pixels",
            vec!["policy on plain states", "48 x 48", "10-dimensional states"],
        ),
        ("eval states.safetensors --task drive --encoder e.safetensors", vec!["leave --encoder out"]),
        (
            "train laps.npz m.safetensors -o x.safetensors --encoder other.safetensors --steps 5",
            vec![hash, "other.safetensors"],
        ),
        (
            "train drive.npz n.safetensors -o x.safetensors --encoder e.safetensors --steps 5",
            vec!["not embeddings"],
        ),
        ("inspect laps.hdf5", vec!["mcnn embed"]),
        ("learn laps.hdf5 -o x.safetensors", vec!["mcnn embed"]),
        ("make drive-pixels --noise 2 -o x.hdf5", vec!["0 to 1"]),
    ] {
        let message = bench.refused(line);
        assert!(parts.iter().all(|part| message.contains(part)), "mcnn {line}: {message}");
    }
    assert!(!bench.path("x.safetensors").exists() && !bench.path("x.hdf5").exists());
}

#[test]
fn laps_in_frames_are_the_laps_in_states() {
    let bench = Bench::new();
    for (task, file) in [("drive", "a.npz"), ("drive-pixels", "b.npz"), ("drive-pixels", "c.hdf5")] {
        let made = bench.json(&format!("make {task} --episodes 2 --noise 0.1 --seed 4 -o {file}"));
        assert_eq!((&made["task"], &made["episodes"]), (&task.into(), &2.into()));
    }
    let collect = "collect --episodes 2 --seed 4 --noise correlated:0.1:0.5";
    let states = bench.json(&format!("{collect} --task drive -o d.hdf5"));
    let frames = bench.json(&format!("{collect} --task drive-pixels -o e.hdf5 --envs-per-worker 2"));
    assert_eq!(states["mean_return"], frames["mean_return"]);
    assert_eq!(frames["actor"], "scripted expert");
    // Made and collected, HDF5 or NumPy's: the same frames.
    let embed = |file: &str| {
        let line = format!("embed {file} --weights random:0 --network conv:48x48:4 -o x.npz --force");
        bench.json(&line)["fingerprint"].clone()
    };
    let first = embed("b.npz");
    assert_eq!((embed("c.hdf5"), embed("e.hdf5")), (first.clone(), first));
}

#[test]
fn the_demo_goes_from_frames_to_a_page_and_policies_that_drive_by_themselves() {
    let bench = Bench::new();
    let line = "demo --pixels --demonstrations 2 --encoder-steps 10 --steps 20 --episodes 3 -o page.html";
    let demo = bench.json(line);
    assert_eq!(
        (&demo["task"], &demo["encoder"]),
        (&"drive-pixels".into(), &"page.encoder.safetensors".into())
    );
    let page = std::fs::read_to_string(bench.path("page.html")).unwrap();
    assert_eq!(page.matches("data:image/gif;base64,").count(), 15, "a view an episode and method");
    for method in demo["methods"].as_array().unwrap() {
        let (file, seed) = (method["file"].as_str().unwrap(), &demo["seeds"][0]);
        let alone = bench.json(&format!("eval {file} --task drive-pixels --episodes 3 --seed {seed}"));
        assert_eq!(alone["return"]["mean"], method["return"]["mean"], "{file}");
    }
    // What an earlier demo left is written over.
    assert_eq!(bench.json(line)["methods"][0]["return"], demo["methods"][0]["return"]);
    assert!(bench.refused("demo --encoder-steps 3").contains("--pixels"));
}

#[test]
fn a_sweep_finds_each_files_encoder_among_those_named() {
    let bench = bench();
    bench.ok("embed laps.hdf5 --weights random:3 --network conv:48x48:4 -o random.npz");
    let plan = |encoder: &str| {
        format!(
            "task = \"drive-pixels\"\ndata = [\"laps.npz\", \"random.npz\"]\nencoder = [{encoder}]\nseed = [0]\n\
             lambda = [0]\nepisodes = 2\n"
        )
    };
    std::fs::write(bench.path("plan.toml"), plan("\"e.safetensors\", \"random:3\"")).unwrap();
    let swept = bench.json("sweep plan.toml -o r.jsonl");
    assert_eq!((&swept["completed"], swept["failed"].as_array().unwrap().len()), (&2.into(), 0));
    let lines = std::fs::read_to_string(bench.path("r.jsonl")).unwrap();
    assert!(lines.lines().all(|line| line.contains("latency_without_encoder_us\":{")), "{lines}");
    std::fs::write(bench.path("plan.toml"), plan("\"random:3\"")).unwrap();
    let message = bench.refused("sweep plan.toml -o s.jsonl");
    assert!(message.contains("laps.npz") && message.contains("--encoder"), "{message}");
}
