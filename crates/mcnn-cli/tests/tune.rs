//! `mcnn tune` on the built-in task and with typed outcomes.

use std::{collections::BTreeSet, fs};

use crate::common::Bench;
use serde_json::Value;

/// With a policy `free.safetensors` whose network was trained freely, so that its constraint may change.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.ok("make drive --episodes 4 -o drive.npz");
    bench.ok("learn drive.npz --count 50 -o m.safetensors");
    bench.ok(
        "train drive.npz m.safetensors -o free.safetensors --hidden 16 --steps 200 --batch 32 --members 1",
    );
    bench
}

const TUNE: &str =
    "tune free.safetensors --task drive --lambda weight:0.2,weight:0.9,0 --first-tuning-seed 50000";

fn lines(bench: &Bench, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(bench.path(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Candidate and episode of every line, by the settings.
fn episodes(lines: &[Value]) -> BTreeSet<(String, u64)> {
    let of = |line: &Value| (line["settings"].to_string(), line["episode"].as_u64().unwrap());
    let all: BTreeSet<_> = lines.iter().map(of).collect();
    assert_eq!(all.len(), lines.len(), "no episode twice");
    all
}

#[test]
fn a_race_has_paired_episodes_as_eval_runs_them_and_writes_what_it_chose() {
    let bench = bench();
    let report = bench.json(&format!("{TUNE} --budget 60 -o tuned.safetensors"));
    let lines = lines(&bench, "tuned.tune.jsonl");
    episodes(&lines);
    assert_eq!(report["used"].as_u64(), Some(lines.len() as u64));
    assert!(lines.len() <= 60);
    let candidates = report["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 4);
    assert!((candidates[1]["weight"].as_f64().unwrap() - 0.2).abs() < 1e-5);
    // Candidate 0 and 3, 2, 1 challengers: 4 e + 3 e episodes of half of 60, and the rest for two.
    let rounds = report["rounds"].as_array().unwrap();
    assert_eq!(rounds.iter().map(|r| r["episodes"].as_u64().unwrap()).collect::<Vec<_>>(), [4, 8]);
    // What a candidate did is what `mcnn eval` does with its settings and seeds.
    let lambda = candidates[2]["lambda"].as_f64().unwrap();
    let eval = bench
        .json(&format!("eval free.safetensors --task drive --lambda {lambda} --seed 50000 --episodes 4"));
    let ours = lines.iter().filter(|l| l["settings"]["lambda"] == candidates[2]["lambda"]);
    let mut ours: Vec<_> = ours.map(|l| (l["episode"].as_u64().unwrap(), l["return"].clone())).collect();
    ours.sort_by_key(|(episode, _)| *episode);
    assert_eq!(
        ours[..4].iter().map(|(_, r)| r.clone()).collect::<Vec<_>>(),
        *eval["returns"].as_array().unwrap()
    );
    // The file has the chosen settings and the networks of the policy.
    let chosen = &candidates[report["chosen"].as_u64().unwrap() as usize];
    let same = bench.json("tune tuned.safetensors --lambda 1 --list");
    assert_eq!(same["candidates"][0]["lambda"], chosen["lambda"]);
    assert_eq!(same["policy"], report["fingerprint"]);
    if report["chosen"] == 0 {
        let read = |name: &str| fs::read(bench.path(name)).unwrap();
        assert_eq!(read("tuned.safetensors"), read("free.safetensors"));
    }
    // Run again, it repeats nothing and comes to the same end; a larger budget goes on.
    let again = bench.json(&format!("{TUNE} --budget 60 -o tuned.safetensors --force --threads 1"));
    assert_eq!(again["already_done"], report["used"]);
    for key in ["used", "rounds", "winner", "check", "decision", "chosen", "fingerprint"] {
        assert_eq!(again[key], report[key], "{key}");
    }
    let more = bench.json(&format!("{TUNE} --budget 80 -o tuned.safetensors --force"));
    assert!(more["used"].as_u64() > report["used"].as_u64());
    episodes(&self::lines(&bench, "tuned.tune.jsonl"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_loses_nothing_that_is_finished() {
    let bench = bench();
    let line = "tune free.safetensors --task drive --budget 5000 --threads 1 -o tuned.safetensors";
    let piped = std::process::Stdio::piped;
    let child = bench.command(line).stdout(piped()).stderr(piped()).spawn().unwrap();
    let start = std::time::Instant::now();
    while fs::metadata(bench.path("tuned.tune.jsonl")).map_or(0, |m| m.len()) == 0 {
        assert!(start.elapsed().as_secs() < 60, "no episode ended");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    assert!(!bench.path("tuned.safetensors").exists());
    let kept = lines(&bench, "tuned.tune.jsonl");
    assert!(!kept.is_empty() && kept.iter().all(|l| l["error"].is_null()));
    // A half-written line is run again.
    let file = bench.path("tuned.tune.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}{{\"policy\":")).unwrap();
    let on = bench.json(&line.replace("5000", "24"));
    assert_eq!(on["interrupted"], false);
    assert!(on["already_done"].as_u64() == Some(kept.len() as u64));
    episodes(&lines(&bench, "tuned.tune.jsonl"));
}

#[test]
fn the_default_grid_fits_the_policy() {
    let bench = bench();
    let list = |policy: &str| bench.json(&format!("tune {policy} --list"))["candidates"].clone();
    // The file's, inf once, and five weights in two forms; the weight of the file's projection is one of them or near one.
    let grid = list("free.safetensors");
    let grid = grid.as_array().unwrap();
    assert!([11, 12].contains(&grid.len()), "{}", grid.len());
    assert_eq!(grid.iter().filter(|c| c["lambda"] == "inf").count(), 1);
    for form in ["mix", "project"] {
        let of = grid[1..].iter().filter(|c| c["envelope"] == form && c["lambda"] != "inf");
        let weights: Vec<f64> = of.map(|c| (c["weight"].as_f64().unwrap() * 100.0).round()).collect();
        assert!(
            weights.is_sorted()
                && weights.len() >= 4
                && weights.iter().all(|w| [10., 25., 50., 80., 95.].contains(w))
        );
    }
    bench.ok("train drive.npz m.safetensors -o vinn.safetensors --lambda 0 --k 5");
    let k: Vec<Value> = list("vinn.safetensors").as_array().unwrap().iter().map(|c| c["k"].clone()).collect();
    assert_eq!(k, [5, 10, 30]);
    bench.ok("train drive.npz -o retrieval.safetensors --backbone retrieval --hidden 8 --steps 5");
    let retrieval = list("retrieval.safetensors");
    let k: BTreeSet<u64> = retrieval.as_array().unwrap().iter().map(|c| c["k"].as_u64().unwrap()).collect();
    assert!(k.is_superset(&[5, 10, 30].into()), "{k:?}");
    bench.ok("train drive.npz m.safetensors -o five.safetensors --hidden 8 --steps 5 --members 3");
    let five = bench.json("tune five.safetensors --members 1,3 --combine mean,member --list");
    let five = five["candidates"].as_array().unwrap();
    assert_eq!(five.len(), 3, "of one network there is one way to combine: {five:?}");
}

#[test]
fn outcomes_typed_in_are_raced_and_the_next_episodes_are_named() {
    let bench = bench();
    let line = "tune free.safetensors --lambda weight:0.2,weight:0.9,inf --budget 40";
    let listed = bench.json(&format!("{line} --list --write-candidates candidates"));
    assert_eq!(listed["written"].as_array().unwrap().len(), 4);
    let written = bench.json("tune candidates/candidate-2.safetensors --lambda 1 --list");
    assert_eq!(written["candidates"][0]["lambda"], listed["candidates"][2]["lambda"]);
    assert!(bench.refused(&format!("{line} --list --write-candidates candidates")).contains("--force"));
    // A robot on which candidate 2 mostly succeeds and the others mostly fail.
    let succeeds = |candidate: u64, episode: u64| (candidate == 2) != (episode % 7 == 3);
    let mut csv = String::from("candidate,episode,outcome\n");
    let mut asked = BTreeSet::new();
    let report = loop {
        fs::write(bench.path("robot.csv"), &csv).unwrap();
        let report = bench.json(&format!("{line} --results robot.csv -o tuned.safetensors"));
        let next = report["next"].as_array().unwrap();
        if next.is_empty() {
            break report;
        }
        assert!(!bench.path("tuned.safetensors").exists());
        for request in next {
            let [candidate, episode] = ["candidate", "episode"].map(|key| request[key].as_u64().unwrap());
            assert!(asked.insert((candidate, episode)), "asked for nothing twice");
            let word = if succeeds(candidate, episode) { "success" } else { "failure" };
            csv += &format!("{candidate},{episode},{word}\n");
        }
    };
    assert!(asked.len() <= 40);
    assert_eq!(
        (&report["winner"], &report["decision"], &report["chosen"]),
        (&2.into(), &"better".into(), &2.into())
    );
    assert!(report["check"]["difference"]["success"]["low"].as_f64().unwrap() > 0.0);
    let tuned = bench.json("tune tuned.safetensors --lambda 1 --list");
    assert_eq!(tuned["candidates"][0]["lambda"], listed["candidates"][2]["lambda"]);
    // The rows to add are printed as they would be typed in.
    fs::write(bench.path("robot.csv"), "candidate,episode,outcome\n").unwrap();
    let text = bench.ok(&format!("{line} --results robot.csv"));
    assert!(text.contains("\n0,0,\n1,0,\n2,0,\n3,0,\n0,1,\n"), "{text}");
}

#[test]
fn a_difference_that_chance_explains_changes_nothing_unless_asked() {
    let bench = bench();
    let line = "tune free.safetensors --lambda inf --budget 40 --results robot.csv";
    // The challenger is better in 11 of 20 episodes and worse in 9.
    let mut csv = String::from("candidate,episode,outcome\n");
    for episode in 0..20 {
        csv += &format!("0,{episode},0.5\n1,{episode},{}\n", u8::from(episode < 11));
    }
    fs::write(bench.path("robot.csv"), csv).unwrap();
    let kept = bench.json(&format!("{line} -o kept.safetensors"));
    assert_eq!((&kept["decision"], &kept["chosen"]), (&"uncertain".into(), &0.into()));
    // The interval excludes 0 when its half width, which falls with the root of the number, is below the mean.
    let ret = &kept["check"]["difference"]["return"];
    let [mean, low] = ["mean", "low"].map(|key| ret[key].as_f64().unwrap());
    assert!((mean - 0.05).abs() < 1e-9 && low < 0.0);
    let needed = kept["episodes_needed"].as_f64().unwrap();
    let half = |n: f64| (mean - low) * (20.0 / n).sqrt();
    assert!(half(needed) < mean && half(needed - 1.0) >= mean * 0.999);
    let taken = bench.json(&format!("{line} -o taken.safetensors --accept-uncertain"));
    assert_eq!(taken["chosen"], 1);
    // Of a winner that is worse on fresh episodes nothing is taken.
    let worse = fs::read_to_string(bench.path("robot.csv")).unwrap().replace("0.5", "0.9");
    fs::write(bench.path("robot.csv"), worse).unwrap();
    assert_eq!(bench.json(&format!("{line} -o worse.safetensors --accept-uncertain"))["chosen"], 0);
}

#[test]
fn misuse_is_refused() {
    let bench = bench();
    let refused = |line: &str, told: &[&str]| {
        let message = bench.refused(&format!("tune {line}"));
        assert!(told.iter().all(|told| message.contains(told)), "{line}: {message}");
    };
    let on_drive = "free.safetensors --task drive -o t.safetensors";
    refused(
        &format!("{on_drive} --lambda inf,1 --budget 5"),
        &["the budget is too small", "6 or more", "found: 5"],
    );
    refused(&format!("{on_drive} --k 5"), &["the policy does not have this setting", "--k"]);
    refused(&format!("{on_drive} --members 2"), &["--members"]);
    refused(&format!("{on_drive} --amplitude 0"), &["amplitude"]);
    for seed in ["500", "900", "1000", "19999"] {
        refused(
            &format!("{on_drive} --first-tuning-seed {seed} --budget 600"),
            &["--first-tuning-seed", "1000 to 19999"],
        );
    }
    refused("free.safetensors --task drive-pixels -o t.safetensors", &["error: "]);
    refused("free.safetensors --task nowhere -o t.safetensors", &["nowhere"]);
    refused("free.safetensors", &["--task"]);
    refused("free.safetensors --task drive", &["--output"]);
    assert!(!bench.path("t.safetensors").exists());
    // Outcomes of another policy, or of other seeds, are not mixed with these.
    let short = "--lambda inf --budget 4";
    bench.ok(&format!("tune {on_drive} {short}"));
    refused(&format!("{on_drive} {short}"), &["exists already"]);
    refused(
        &format!("{on_drive} {short} --force --first-tuning-seed 30000"),
        &["another policy, task or seed", "line 1"],
    );
    bench.ok("train drive.npz m.safetensors -o p.safetensors --hidden 16 --steps 10 --members 1");
    refused(
        &format!("p.safetensors --task drive -o t.safetensors --force {short}"),
        &["another policy, task or seed"],
    );
    fs::write(bench.path("t.tune.jsonl"), "{}\n").unwrap();
    refused(&format!("{on_drive} {short} --force"), &["not an outcome of mcnn tune", "line 1"]);
    // Typed outcomes.
    let typed = "free.safetensors --lambda inf --budget 20 --results robot.csv";
    refused(typed, &["robot.csv"]);
    for (rows, told) in [("2,0,1", "0 to 1"), ("0,0,good", "line 2"), ("0,0,1\n0,0,1", "two outcomes")] {
        fs::write(bench.path("robot.csv"), format!("candidate,episode,outcome\n{rows}\n")).unwrap();
        refused(typed, &[told, "robot.csv"]);
    }
}
