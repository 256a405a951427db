//! Collecting demonstrations, replaying them, and recording videos.

use crate::common::{self, Bench};

/// The frames of a GIF, and its width and height, by the blocks of its format.
fn gif(bytes: &[u8]) -> (usize, [u16; 2]) {
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = options.read_info(bytes).unwrap();
    let size = [decoder.width(), decoder.height()];
    let mut frames = 0;
    while decoder.read_next_frame().unwrap().is_some() {
        frames += 1;
    }
    (frames, size)
}

#[test]
fn collected_episodes_are_read_back_and_do_not_depend_on_threads() {
    let bench = Bench::new();
    let line = "collect --task drive --episodes 5 --seed 40 --noise correlated:0.1:0.5";
    let one = bench.json(&format!("{line} --threads 1 -o one.hdf5"));
    let two = bench.json(&format!("{line} --threads 2 --lanes 3 -o two.hdf5"));
    assert_eq!(one["fingerprint"], two["fingerprint"]);
    assert_eq!(
        std::fs::read(bench.path("one.hdf5")).unwrap(),
        std::fs::read(bench.path("two.hdf5")).unwrap()
    );
    assert_eq!((one["episodes"].as_u64(), one["successes"].as_u64()), (Some(5), Some(5)));
    assert_eq!(one["seeds"], serde_json::json!([40, 44]));
    let inspected = bench.json("inspect one.hdf5");
    assert_eq!(inspected["format"], "D4RL HDF5");
    assert_eq!((&inspected["fingerprint"], &inspected["steps"]), (&one["fingerprint"], &one["steps"]));
    let returns = inspected["returns"]["mean"].as_f64().unwrap();
    assert!((returns - one["mean_return"].as_f64().unwrap()).abs() < 1e-2);
    let npz = bench.json(&format!("{line} -o one.npz"));
    assert_eq!(npz["fingerprint"], one["fingerprint"]);
    assert_eq!(bench.json("inspect one.npz")["format"], "npz");
}

#[test]
fn a_policy_can_be_collected_from_and_trained_on_again() {
    let bench = Bench::with_policy();
    let collected = bench.json("collect --task drive --policy p.safetensors --episodes 3 -o other.hdf5");
    let evaluated = bench.json("eval p.safetensors --task drive --episodes 3");
    let first = |report: &serde_json::Value| report["seeds"][0].as_u64().unwrap();
    assert!(
        first(&collected) > first(&evaluated) + 10_000,
        "what is learned from is not what is evaluated on"
    );
    let line = "collect --task drive --policy p.safetensors --episodes 3 --seed 1000 -o again.hdf5";
    let collected = bench.json(line);
    let evaluated = bench.json("eval p.safetensors --task drive --episodes 3");
    assert_eq!(collected["policy"], evaluated["policy"]);
    let mean = collected["mean_return"].as_f64().unwrap();
    assert!(
        (mean - evaluated["return"]["mean"].as_f64().unwrap()).abs() < 1e-9,
        "the same episodes as eval's"
    );
    bench.ok("learn again.hdf5 --count 20 -o n.safetensors");
    bench.ok("train again.hdf5 n.safetensors -o q.safetensors --hidden 8 --steps 5");
}

#[test]
fn a_video_shows_the_episodes_that_were_evaluated() {
    let bench = Bench::with_policy();
    let line =
        "eval p.safetensors --task drive --episodes 3 --video out.gif --video-episodes 2 --video-every 40";
    let value = bench.json(line);
    let video = &value["video"];
    for k in 0..2 {
        assert_eq!(video["episodes"][k]["returns"], serde_json::json!([value["returns"][k]]));
    }
    let (frames, [width, height]) = gif(&std::fs::read(bench.path("out.gif")).unwrap());
    assert_eq!(frames as u64, video["frames"].as_u64().unwrap());
    assert!(frames >= 2 && width >= 200 && height > width, "the panel is below: {width} x {height}");
    let plain = bench.json("eval p.safetensors --task drive --episodes 3");
    assert_eq!((&plain["returns"], plain["video"].is_null()), (&value["returns"], true));
}

#[test]
fn a_comparison_is_recorded_side_by_side_on_the_same_episodes() {
    let bench = Bench::with_policy();
    bench.ok("train drive.npz m.safetensors -o copy.safetensors --lambda 0");
    let line = "--task drive --episodes 2 --video-every 40";
    let compared = bench.json(&format!("compare p.safetensors copy.safetensors {line} --video both.gif"));
    let video = &compared["video"];
    let first = |k: usize| compared["policies"][k]["returns"][0].clone();
    assert_eq!(video["episodes"][0]["returns"], serde_json::json!([first(0), first(1)]));
    assert_ne!(first(0), first(1));
    let (frames, [width, height]) = gif(&std::fs::read(bench.path("both.gif")).unwrap());
    assert_eq!(frames as u64, video["frames"].as_u64().unwrap());
    bench.ok(&format!("eval p.safetensors {line} --video one.gif"));
    let (_, one) = gif(&std::fs::read(bench.path("one.gif")).unwrap());
    assert!(
        width > 2 * one[0] && height > one[1],
        "two columns with labels: {width} x {height}, not {one:?}"
    );
    assert!(bench.json(&format!("compare p.safetensors copy.safetensors {line}"))["video"].is_null());
}

#[cfg(target_os = "linux")]
#[test]
fn a_video_that_cannot_be_written_does_not_lose_the_evaluation() {
    let bench = Bench::with_policy();
    std::os::unix::fs::symlink("/dev/full", bench.path("full.gif")).unwrap();
    let line = "eval p.safetensors --task drive --episodes 2 --video full.gif --video-every 100 --json";
    let output = bench.run(line);
    assert_eq!(output.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["returns"].as_array().unwrap().len() == 2 && report["video"].is_null());
    assert!(String::from_utf8_lossy(&output.stderr).contains("free some space"));
}

#[test]
fn a_recording_of_drive_is_replayed_by_its_actions() {
    let bench = Bench::with_policy();
    bench.ok("collect --task drive --episodes 3 --seed 7 --noise gaussian:0.05 -o r.hdf5");
    let line = "replay r.hdf5 --task drive --episode 2 --video r.gif --video-every 50 --policy p.safetensors";
    let replayed = bench.json(line);
    assert_eq!(
        (replayed["replayed_by"].as_str(), replayed["max_difference"].as_f64()),
        (Some("actions"), Some(0.0))
    );
    assert_eq!(
        gif(&std::fs::read(bench.path("r.gif")).unwrap()).0 as u64,
        replayed["frames"].as_u64().unwrap()
    );
    // Its widths say what task it is of.
    let line = "replay r.hdf5 --episode 0 --video u.gif --video-every 200";
    assert_eq!(bench.json(line)["task"], "drive");
    // From another seed it is another road.
    let line = "replay r.hdf5 --task drive --episode 2 --video s.gif --video-every 50 --from-seed 8";
    assert!(bench.json(line)["max_difference"].as_f64().unwrap() > 0.01);
    assert!(bench.ok(&format!("{line} --force")).contains("more than rounding"));
    // An .npz does not say its seeds.
    bench.ok("make drive --episodes 2 -o d.npz");
    let message = bench.refused("replay d.npz --task drive --episode 0 --video t.gif");
    assert!(message.contains("--from-seed") && message.contains("d.npz"), "{message}");
    let replayed =
        bench.json("replay d.npz --task drive --episode 1 --video t.gif --from-seed 1 --video-every 99");
    assert_eq!(replayed["max_difference"].as_f64(), Some(0.0));
}

#[test]
fn mp4_is_made_where_ffmpeg_is() {
    let name = "mp4_is_made_where_ffmpeg_is";
    let bench = Bench::with_policy();
    let here = std::process::Command::new("ffmpeg").arg("-version").output().is_ok();
    if !here && std::env::var_os("MCNN_TEST_FFMPEG").is_none() {
        return common::skipped(name, "no ffmpeg on the PATH; MCNN_TEST_FFMPEG=1 has it installed");
    }
    bench.ok("eval p.safetensors --task drive --episodes 1 --video out.mp4 --video-every 40");
    let bytes = std::fs::read(bench.path("out.mp4")).unwrap();
    assert!(&bytes[4..8] == b"ftyp" && bytes.windows(4).any(|w| w == b"avc1"), "an MP4 of H.264");
    assert!(
        !std::fs::read_dir(bench.folder.path())
            .unwrap()
            .any(|e| { e.unwrap().file_name().to_string_lossy().starts_with(".out") })
    );
}

#[test]
fn what_cannot_be_collected_recorded_or_replayed_is_refused_before_any_work() {
    let bench = Bench::with_policy();
    bench.ok("collect --task drive --episodes 2 -o r.hdf5");
    std::fs::write(bench.path("broken.npz"), b"PK\x03\x04 and no more").unwrap();
    for (line, expected) in [
        ("collect --task pen -o x.hdf5", vec!["no expert of its own", "pen", "--policy"]),
        ("collect --task drive --noise policy -o x.hdf5", vec!["--noise", "noise of its own"]),
        ("collect --task drive --noise loud -o x.hdf5", vec!["gaussian:STD"]),
        ("collect --task drive -o r.hdf5", vec!["r.hdf5", "--force"]),
        ("collect --task drive --expert broken.npz -o x.hdf5", vec!["broken.npz"]),
        ("collect --task drive --expert nowhere.npz -o x.hdf5", vec!["nowhere.npz", "check the path"]),
        ("collect --task drive --episodes 1 --threads 0 -o x.hdf5", vec!["--threads"]),
        ("eval p.safetensors --task drive --video x.avi", vec!["x.avi", ".gif or .mp4"]),
        ("eval p.safetensors --task drive --video none/x.gif", vec!["mkdir -p none"]),
        ("compare p.safetensors p.safetensors --task drive --video x.avi", vec!["x.avi", ".gif or .mp4"]),
        ("replay r.hdf5 --task drive --episode 2 --video x.gif", vec!["--episode 2", "0 to 1", "r.hdf5"]),
        ("replay p.safetensors --task drive --episode 0 --video x.gif", vec!["p.safetensors"]),
        ("eval broken.npz --task drive", vec!["broken.npz"]),
    ] {
        let output = bench.run(line);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {message}");
        for part in expected {
            assert!(message.contains(part), "{line}: {message}");
        }
    }
    assert!(!bench.path("x.hdf5").exists() && !bench.path("x.gif").exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_episodes_that_are_whole() {
    let bench = Bench::new();
    let child = bench
        .command("collect --task drive --episodes 1000000 -o r.hdf5 --json")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["interrupted"].as_bool().unwrap() && report["episodes"].as_u64().unwrap() > 0);
    assert_eq!(bench.json("inspect r.hdf5")["episodes"], report["episodes"]);
}
