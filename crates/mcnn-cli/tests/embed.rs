//! From recorded frames to a policy, as a user would.

use crate::common::Bench;

use mcnn::data::{ActionRange, Demonstrations, Parts, write_npz};

/// A recording of flat frames of 8 x 8 pixels, brighter where the action is larger, in two episodes.
pub fn frames(bench: &Bench, name: &str, steps: usize) {
    let action = |i: usize| ((i * 37) % 200) as f32 / 100.0 - 1.0;
    let pixel = |i: usize, k: usize| (0.5 + 0.3 * action(i) + 0.002 * (k / 3) as f32).clamp(0.0, 1.0);
    let parts = Parts {
        n_obs: 192,
        n_act: 1,
        states: (0..steps).flat_map(|i| (0..192).map(move |k| pixel(i, k))).collect(),
        actions: (0..steps).map(action).collect(),
        rewards: None,
        ends: vec![steps / 2, steps],
    };
    write_npz(&bench.path(name), &Demonstrations::new(parts, ActionRange::Refuse).unwrap()).unwrap();
}

#[test]
fn embedded_frames_are_demonstrations_that_know_what_embedded_them() {
    let bench = Bench::new();
    frames(&bench, "frames.npz", 300);
    let embedded = bench.json("embed frames.npz --weights random:0 --network resnet18 --preset raw -o a.npz");
    assert_eq!(
        (&embedded["frames"], &embedded["n_obs"], &embedded["frozen_steps"]),
        (&300.into(), &512.into(), &0.into())
    );
    assert_eq!(embedded["encoding"]["weights"], "random:0");
    let inspected = bench.json("inspect a.npz");
    assert_eq!(inspected["fingerprint"], embedded["fingerprint"]);
    let encoding: serde_json::Value = serde_json::from_str(inspected["encoding"].as_str().unwrap()).unwrap();
    assert_eq!(encoding, embedded["encoding"]);
    bench.ok("learn a.npz --count 30 -o m.safetensors");
    bench.ok("train a.npz m.safetensors -o p.safetensors --hidden 16 --steps 30 --batch 32");
    bench.ok("explain p.safetensors --data a.npz --at 1:7");

    bench.ok("embed frames.npz --weights random:1 --network resnet18 --preset raw -o b.npz");
    bench.ok("embed frames.npz --weights random:0 --network resnet18 --preset normalized -o c.npz");
    for other in ["b.npz", "c.npz"] {
        for line in [
            format!("train {other} m.safetensors -o q.safetensors --steps 5"),
            format!("explain p.safetensors --data {other} --at 1:7"),
        ] {
            let message = bench.refused(&line);
            assert!(message.contains("embedded differently") && message.contains("random:0"), "{message}");
        }
    }
    // The same on any number of threads.
    let one = bench
        .json("embed frames.npz --weights random:0 --network resnet18 --preset raw -o d.npz --threads 1");
    assert_eq!(one["fingerprint"], embedded["fingerprint"]);
    let text = bench.ok("embed frames.npz --weights random:0 --network resnet18 -o d.npz --force");
    for part in
        ["300 steps of 2 episodes", "floats from 0 to 1, 8 x 8 pixels", "untrained: random:0", "normalized"]
    {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn what_cannot_be_embedded_is_refused() {
    let bench = Bench::new();
    frames(&bench, "frames.npz", 20);
    std::fs::write(bench.path("weights.pth"), b"\x80\x02}q\x00.").unwrap();
    for (line, part) in [
        ("embed frames.npz -o x.npz", "--weights"),
        ("embed frames.npz --weights random -o x.npz", "random:0"),
        ("embed frames.npz --weights nowhere.pth -o x.npz", "nowhere.pth"),
        ("embed frames.npz --weights weights.pth -o x.npz", "before version 1.6"),
        ("embed frames.npz --weights random:0 --network resnet99 -o x.npz", "resnet34"),
        ("embed frames.npz --weights random:0 --preset raw:0x3 -o x.npz", "HEIGHTxWIDTH"),
        ("embed frames.npz --weights random:0 --frame-size 4x4 -o x.npz", "48 values per frame"),
        ("embed frames.npz --weights random:0 --threads 0 -o x.npz", "1 to 1024"),
        ("embed frames.npz --weights random:0 --state speed -o x.npz", "give --with-state to `mcnn embed`"),
        ("encoder frames.npz --state speed -o x.npz", "leave --state out"),
        ("embed nowhere --weights random:0 -o x.npz", "nowhere"),
        ("embed frames.npz --weights random:0 -o frames.npz", "--force"),
    ] {
        let output = bench.run(line);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "mcnn {line}: {message}");
        assert!(message.contains(part) && !message.contains("panicked"), "mcnn {line}: {message}");
    }
    assert!(!bench.path("x.npz").exists());
}

#[test]
fn skipped_records_are_told_and_states_beside_frames_are_not_dropped_in_silence() {
    let Some(python) = std::env::var_os("MCNN_TEST_PYTHON") else {
        return crate::common::skipped("skipped_records_are_told", "MCNN_TEST_PYTHON names no Python");
    };
    let bench = Bench::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../python/tests/make_frame_files.py");
    let output = std::process::Command::new(python).arg(script).arg(bench.folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let embed = "--weights random:0 --network resnet18 --preset raw";
    let output = bench.run(&format!("embed half_a_record {embed} -o tub.npz"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("catalog_1.catalog: the last record is incomplete"),
        "{said}"
    );
    let message = bench.refused(&format!("embed beside.npz {embed} -o x.npz"));
    assert!(message.contains("found: frames, states") && message.contains("--camera frames"), "{message}");
    let report = bench.json(&format!("embed beside.npz {embed} --frames-key frames -o frames.npz"));
    assert_eq!((&report["n_obs"], &report["source"][1]), (&512.into(), &"not used: states, depth".into()));
    // Clipped actions are counted here too.
    let output = bench.run(&format!("embed outside_actions.npz {embed} --clip-actions -o clipped.npz"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("outside_actions.npz: 1 of 60 action values"), "{said}");
}

#[test]
fn published_weights_are_fetched_into_the_home_folder_and_checked() {
    use std::io::{Read as _, Write as _};
    let bench = Bench::new();
    frames(&bench, "frames.npz", 20);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/models", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let n = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake").unwrap();
        String::from_utf8_lossy(&request[..n]).into_owned()
    });
    let run = || {
        let mut command = bench.command("embed frames.npz --weights imagenet -o x.npz");
        command.env("MCNN_HOME", bench.path("home")).env("MCNN_WEIGHTS_URL", &url);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let message = run();
    assert!(message.contains("begins with b627a593"), "{message}");
    assert!(server.join().unwrap().starts_with("GET /models/resnet34-b627a593.pth HTTP/1.1"));
    let kept = bench.path("home/weights");
    assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 0, "nothing wrong is kept");
    std::fs::write(kept.join("resnet34-b627a593.pth"), "fake").unwrap();
    assert!(run().contains("remove it"), "what lies there is checked too");
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_is_done_and_the_same_command_goes_on() {
    use std::process::{Command, Stdio};
    let bench = Bench::new();
    frames(&bench, "frames.npz", 2_000);
    let line = "embed frames.npz --weights random:0 --network resnet18 --preset raw:32x32 -o a.npz --threads 1 --json";
    let mut running = bench.command(line).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let part = bench.path("a.npz.part");
    while std::fs::metadata(&part).map_or(0, |m| m.len()) < 100_000 {
        assert!(running.try_wait().unwrap().is_none(), "it ended before it was interrupted");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap().success());
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["interrupted"], &report["fingerprint"]), (&true.into(), &serde_json::Value::Null));
    assert!(!bench.path("a.npz").exists());
    // With other weights it is something else.
    let message = bench.refused(&line.replace("random:0", "random:1").replace(" --json", ""));
    assert!(message.contains("something else"), "{message}");
    let report = bench.json(line.trim_end_matches(" --json"));
    assert!(report["resumed_from"].as_u64().unwrap() >= 256, "{report}");
    assert!(bench.path("a.npz").exists() && !part.exists());
}
