//! An encoder of one's own, from recorded frames to a policy, as a user would.

use crate::common::Bench;

use mcnn::data::{ActionRange, Demonstrations, Parts, write_npz};

/// A recording of dark frames of 16 x 16 pixels with a bright column, whose place is the action, in five episodes.
fn columns(bench: &Bench, name: &str, steps: usize) {
    let place = |i: usize| (i * 37) % 14 + 1;
    let pixel = |i: usize, k: usize| match (k / 3 % 16).abs_diff(place(i)) {
        0 | 1 => 0.9,
        _ => 0.1 + i as f32 / 4000.0, // no two frames are the same
    };
    let parts = Parts {
        n_obs: 768,
        n_act: 1,
        states: (0..steps).flat_map(|i| (0..768).map(move |k| pixel(i, k))).collect(),
        actions: (0..steps).map(|i| place(i) as f32 / 8.0 - 1.0).collect(),
        rewards: None,
        ends: (1..=5).map(|k| k * steps / 5).collect(),
    };
    write_npz(&bench.path(name), &Demonstrations::new(parts, ActionRange::Refuse).unwrap()).unwrap();
}

#[test]
fn an_encoder_is_trained_and_embeds_without_being_told_how() {
    let bench = Bench::new();
    columns(&bench, "frames.npz", 400);
    let line = "encoder frames.npz -o e.safetensors --steps 60 --batch 32 --embedding-dim 16 --preset raw";
    let trained = bench.json(line);
    assert_eq!(trained["network"], "conv:16x16:16");
    let validation = &trained["validation"];
    let share = validation["loss"].as_f64().unwrap() / validation["guess"].as_f64().unwrap();
    assert!(share < 0.1, "{trained}");
    let text = bench.ok(&format!("{line} --force --threads 1"));
    assert!(
        text.contains(trained["fingerprint"].as_str().unwrap()),
        "another encoder on one thread:\n{text}"
    );
    let embedded = bench.json("embed frames.npz --weights e.safetensors -o a.npz");
    assert_eq!(embedded["n_obs"], 16);
    assert_eq!(embedded["encoding"]["network"], "conv:16x16:16");
    assert_eq!(embedded["encoding"]["preset"], "raw");
    assert_eq!(embedded["encoding"]["weights"], trained["fingerprint"]);
    bench.ok("embed frames.npz --weights e.safetensors --preset raw --network conv:16x16:16 -o b.npz");
    bench.ok("learn a.npz --count 30 -o m.safetensors");
    bench.ok("train b.npz m.safetensors -o p.safetensors --hidden 16 --steps 30 --batch 32");
    let text = bench.ok(&format!("{line} --force --objective reconstruction --random-shift 2"));
    assert!(text.contains("predict the frame"), "{text}");
    bench.ok("embed frames.npz --weights e.safetensors -o c.npz");
    assert!(bench.refused("train c.npz m.safetensors -o q.safetensors").contains("embedded differently"));
}

#[test]
fn what_does_not_fit_is_refused() {
    let bench = Bench::new();
    columns(&bench, "frames.npz", 50);
    bench.ok("encoder frames.npz -o e.safetensors --steps 2 --batch 4 --embedding-dim 4");
    bench.ok("encoder frames.npz -o small.safetensors --steps 2 --batch 4 --preset raw:8x8");
    bench.ok("embed frames.npz --weights small.safetensors -o small.npz");
    bench.ok("embed frames.npz --weights random:0 --network conv:16x16:8 -o random.npz");
    bench.ok("learn small.npz --count 9 -o m.safetensors");
    for (line, part) in [
        ("embed frames.npz --weights e.safetensors --preset raw -o x.npz", "leave --preset out"),
        ("embed frames.npz --weights e.safetensors --network resnet34 -o x.npz", "leave --network out"),
        ("embed frames.npz --weights imagenet --network conv:16x16:8 -o x.npz", "mcnn encoder trains them"),
        ("embed frames.npz --weights random:0 --network conv:8x8:8 -o x.npz", "8 x 8 pixels"),
        ("embed frames.npz --weights m.safetensors -o x.npz", "no encoder"),
        ("embed frames.npz --weights frames.npz -o x.npz", "without tensors"),
        ("encoder frames.npz -o e.safetensors", "--force"),
        ("encoder frames.npz -o x.safetensors --embedding-dim 0", "1 to 1024"),
        ("encoder frames.npz -o x.safetensors --preset raw:4x4", "sides of 8 to 256"),
        ("encoder frames.npz -o x.safetensors --objective guess", "action or reconstruction"),
        ("encoder frames.npz -o x.safetensors --random-shift 9", "half a side"),
        ("encoder frames.npz -o x.safetensors --lr 0", "above 0"),
        ("encoder nowhere -o x.safetensors", "nowhere"),
        ("encoder small.npz -o x.safetensors", "three channels"),
    ] {
        let output = bench.run(line);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "mcnn {line}: {message}");
        assert!(message.contains(part) && !message.contains("panicked"), "mcnn {line}: {message}");
    }
    assert!(!bench.path("x.npz").exists() && !bench.path("x.safetensors").exists());
    // Frames of another size than it was trained on.
    columns(&bench, "one.npz", 5);
    let message = bench.refused("embed one.npz --frame-size 8x32 --weights e.safetensors -o x.npz");
    assert!(message.contains("16 x 16 pixels") && message.contains("normalized:16x16"), "{message}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_is_done_and_the_same_command_goes_on() {
    use std::{
        io::{BufRead as _, BufReader},
        process::{Command, Stdio},
    };
    let bench = Bench::new();
    columns(&bench, "frames.npz", 100);
    let line = "encoder frames.npz -o e.safetensors --steps 1500 --batch 16 --embedding-dim 4 --json";
    let mut running = bench.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(running.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(told.any(|line| line.starts_with("training")), "it ended before it was interrupted");
    assert!(Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap().success());
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["interrupted"], &report["fingerprint"]), (&true.into(), &serde_json::Value::Null));
    let part = bench.path("e.safetensors.part");
    assert!(part.exists() && !bench.path("e.safetensors").exists());
    let other = line.replace("--embedding-dim 4", "--embedding-dim 5").replace(" --json", "");
    assert!(bench.refused(&other).contains("something else"));
    let resumed = bench.json(line.trim_end_matches(" --json"));
    assert!(resumed["resumed_from"].as_u64().unwrap() >= 150, "{resumed}");
    assert!(!part.exists());
    let whole = bench.json(&line.replace("-o e.", "-o whole.").replace(" --json", ""));
    assert_eq!(whole["fingerprint"], resumed["fingerprint"]);
}

#[test]
fn a_single_recording_is_validated_in_blocks_and_copies_count_once() {
    let bench = Bench::new();
    columns(&bench, "frames.npz", 200);
    let read = |name: &str| {
        Parts::from(mcnn::data::read(&bench.path(name), &mcnn::data::ReadOptions::default()).unwrap())
    };
    let write = |name: &str, parts: Parts| {
        write_npz(&bench.path(name), &Demonstrations::new(parts, ActionRange::Refuse).unwrap()).unwrap();
    };
    let five = read("frames.npz");
    write("one.npz", Parts { ends: vec![200], ..five.clone() });
    let line = "--steps 4 --batch 8 --embedding-dim 4 --preset raw";
    let one = bench.json(&format!("encoder one.npz -o one.safetensors {line}"));
    // Ten blocks of 20 frames: nine are trained on, one is validated without two frames at each end.
    assert_eq!((one["frames"].as_u64(), one["validation"]["frames"].as_u64()), (Some(180), Some(16)));
    let warning = one["warnings"][0].as_str().unwrap();
    assert!(warning.contains("10 blocks of 20 frames") && warning.contains("without 2 frames"), "{warning}");
    let cut = bench.json(&format!("encoder one.npz --episode-steps 40 -o cut.safetensors {line}"));
    assert_eq!((cut["frames"].as_u64(), cut["validation"]["frames"].as_u64()), (Some(160), Some(32)));
    // The embeddings are one recording, too, and are cut alike: a policy is validated on frames unknown to the encoder.
    bench.ok("embed one.npz --weights one.safetensors -o embedded.npz");
    let trained =
        bench.json("train embedded.npz -o p.safetensors --hidden 8 --steps 4 --batch 8 --members 1");
    assert_eq!(trained["validation"]["states"].as_u64(), Some(16));
    // Every episode twice.
    let mut twice = five.clone();
    twice.states.extend(&five.states);
    twice.actions.extend(&five.actions);
    twice.ends.extend(five.ends.iter().map(|end| 200 + end));
    write("twice.npz", twice);
    let twice = bench.json(&format!("encoder twice.npz -o twice.safetensors {line}"));
    assert_eq!((twice["frames"].as_u64(), twice["validation"]["frames"].as_u64()), (Some(320), Some(80)));
    assert!(twice["warnings"][0].as_str().unwrap().contains("5 of 10 episodes repeat another"), "{twice}");
}
