//! Recordings of robots with cameras, as a user would embed them.

use crate::common::{Bench, skipped};

/// A LeRobot dataset of one camera, `name`, whose episodes have these lengths; version 2.1, H.264.
fn dataset(test: &str, sets: &str) -> Option<Bench> {
    let script = r#"
import json, pathlib, av, numpy as np, pyarrow as pa, pyarrow.parquet as pq
def write(name, lengths, height=32, width=48, rate=30):
    root = pathlib.Path(name)
    shape = lambda dtype, *n: {"dtype": dtype, "shape": list(n), "names": None}
    features = {"observation.state": shape("float32", 2), "action": shape("float32", 1), "timestamp": shape("float32", 1)}
    features |= {"observation.images.top": shape("video", height, width, 3)}
    (root / "meta").mkdir(parents=True)
    (root / "meta/info.json").write_text(json.dumps({"codebase_version": "v2.1", "fps": 30, "features": features, "total_episodes": len(lengths)}))
    rows = []
    for k, n in enumerate(lengths):
        t = np.arange(n, dtype="f4") / 30
        state = np.stack([np.sin(t), np.cos(t)], 1).astype("f4")
        columns = {"observation.state": state.tolist(), "action": np.sin(t + k)[:, None].tolist(), "timestamp": t}
        columns |= {"frame_index": np.arange(n), "episode_index": np.full(n, k)}
        path = root / f"data/chunk-000/episode_{k:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
        path = root / f"videos/chunk-000/observation.images.top/episode_{k:06d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as file:
            stream = file.add_stream("libx264", rate)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            y, x = np.mgrid[:height, :width]
            for i in range(n):
                frame = np.stack([(x + 3 * i) % 256, (y + i) % 256, (x + y) % 256], -1).astype("u1")
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            file.mux(stream.encode())
        rows.append({"episode_index": k, "tasks": ["move"], "length": n})
    (root / "meta/episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
"#;
    if std::env::var_os("MCNN_TEST_FFMPEG").is_none()
        && std::process::Command::new("ffmpeg").arg("-version").output().is_err()
    {
        skipped(test, "no ffmpeg on the PATH; MCNN_TEST_FFMPEG=1 has it installed");
        return None;
    }
    Bench::with_python(test, &format!("{script}\n{sets}"))
}

const EMBED: &str = "--weights random:0 --network conv:16x16:8 --preset raw:16x16";

#[test]
fn a_policy_is_trained_on_a_video_and_the_state() {
    let Some(bench) = dataset("a_policy_is_trained_on_a_video_and_the_state", "write('arm', [20, 30, 25])")
    else {
        return;
    };
    let report = bench.json(&format!("embed arm {EMBED} --with-state -o a.npz"));
    assert_eq!(
        (&report["frames"], &report["n_obs"], &report["n_state"]),
        (&75.into(), &10.into(), &2.into())
    );
    assert_eq!(report["cameras"], serde_json::json!(["observation.images.top"]));
    assert_eq!(report["state_keys"], serde_json::json!(["observation.state"]));
    assert!(report["source"][1].as_str().unwrap().contains("video (H.264), 32 x 48 pixels"), "{report}");
    bench.ok("train a.npz -o p.safetensors --hidden 16 --steps 30 --batch 32");
    bench.ok("explain p.safetensors --data a.npz --at 1:7");
    // Without the state the embeddings are others.
    let part = bench.json(&format!("embed arm {EMBED} --episodes 1 -o b.npz"));
    assert_eq!((&part["frames"], &part["n_obs"]), (&30.into(), &8.into()));
    let message = bench.refused("explain p.safetensors --data b.npz --at 0:7");
    assert!(message.contains("states of 10") && message.contains("states of 8"), "{message}");
    bench.ok("encoder arm --preset raw:16x16 --steps 3 --batch 8 -o e.safetensors");
    bench.ok("embed arm --weights e.safetensors -o c.npz");
    let message = bench.refused(&format!("embed arm {EMBED} --camera observation.images.tip -o x.npz"));
    assert!(message.contains("observation.images.top"), "{message}");
    // Observations of the policy are a frame and a state, which this task does not give.
    let message = bench.refused("eval p.safetensors --task drive-pixels");
    assert!(message.contains("32") && message.contains("48"), "{message}");
}

#[test]
fn memory_does_not_grow_with_the_length_of_a_video() {
    let test = "memory_does_not_grow_with_the_length_of_a_video";
    if !cfg!(target_os = "linux") {
        return skipped(test, "the peak is read from /proc");
    }
    let sets = "write('one', [60], 240, 320)\nwrite('eight', [480], 240, 320)";
    let Some(bench) = dataset(test, sets) else { return };
    let peak = |name: &str| {
        let line = format!("embed {name} {EMBED} --with-state --threads 1 -o {name}.npz");
        let mut child = bench
            .command(&line)
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0_u64;
        while child.try_wait().unwrap().is_none() {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            peak = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(peak);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        assert!(child.wait().unwrap().success(), "mcnn {line}");
        peak
    };
    let (one, eight) = (peak("one"), peak("eight"));
    // The 420 frames more are 97 MB as bytes.
    assert!(eight < one + 8 * 1024, "{one} KiB for 60 frames, {eight} KiB for 480");
}

#[test]
fn unfinished_recordings_are_read_as_far_as_they_are_whole() {
    let test = "unfinished_recordings_are_read_as_far_as_they_are_whole";
    let Some(bench) = dataset(test, "write('arm', [20, 30, 25])") else { return };
    // The recording was killed in its third episode.
    let last = bench.path("arm/data/chunk-000/episode_000002.parquet");
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() / 2]).unwrap();
    let lines = bench.path("arm/meta/episodes.jsonl");
    let text = std::fs::read_to_string(&lines).unwrap();
    let message = bench.refused("learn arm -o m.safetensors");
    for part in ["episode_000002.parquet", "2 whole episodes", "--whole", "--episodes 0-1"] {
        assert!(message.contains(part), "{part:?} is not in\n{message}");
    }
    let report = bench.json("inspect arm --whole");
    assert_eq!((&report["episodes"], &report["steps"]), (&2.into(), &50.into()));
    assert!(report["notes"].to_string().contains("episode_000002.parquet is unfinished"), "{report}");
    let embedded = bench.json(&format!("embed arm {EMBED} --whole -o a.npz"));
    assert_eq!(embedded["frames"], 50);
    // And while the list of episodes was written.
    std::fs::write(&lines, &text[..text.len() - 20]).unwrap();
    assert!(bench.refused("inspect arm").contains("episodes.jsonl, line 3"));
    assert_eq!(bench.json("inspect arm --whole")["episodes"], 2);
}

#[test]
fn a_dataset_of_a_hub_by_name_and_an_old_version_are_refused_with_what_to_do() {
    let bench = Bench::new();
    let message = bench.refused(&format!("embed lerobot/pusht {EMBED} -o x.npz"));
    assert!(message.contains("hf download --repo-type dataset lerobot/pusht --local-dir pusht"), "{message}");
    std::fs::create_dir_all(bench.path("old/meta")).unwrap();
    std::fs::write(bench.path("old/meta/info.json"), r#"{"codebase_version": "v1.6"}"#).unwrap();
    let message = bench.refused(&format!("embed old {EMBED} -o x.npz"));
    assert!(message.contains("v1.6") && message.contains("convert"), "{message}");
}

#[test]
fn a_file_larger_than_the_memory_it_may_take_is_refused_with_the_numbers() {
    let bench = Bench::new();
    bench.ok("make drive --episodes 20 -o drive.hdf5");
    let refused = |mib: &str| {
        let output = bench.command("inspect drive.hdf5").env("MCNN_MEMORY_MIB", mib).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(refused("64").0, Some(0));
    let (code, message) = refused("0");
    assert_eq!(code, Some(2), "{message}");
    for part in [
        "drive.hdf5",
        "expands to more memory than it is given",
        "at most 0 bytes",
        "320000 bytes",
        "MCNN_MEMORY_MIB",
    ] {
        assert!(message.contains(part), "{part:?} is not in\n{message}");
    }
}
