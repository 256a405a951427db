//! Sweeps on the built-in task: whole, cut, failing, on any number of threads; and what is wrong with a plan.

use crate::common::{self, Bench};
use serde_json::Value;

const PLAN: &str = r#"
task = "drive"
data = ["drive.npz"]
count = [30]
by = ["gas", "random"]
lambda = ["auto", "inf", 0]
seed = [0, 1]
hidden = [8]
steps = 40
batch = 16
episodes = 3
"#;

fn with_plan(plan: &str) -> Bench {
    let bench = Bench::new();
    bench.ok("make drive --episodes 3 -o drive.npz");
    std::fs::write(bench.path("plan.toml"), plan).unwrap();
    bench
}

/// The results, in an order of their own, without what time decides.
fn results(bench: &Bench, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(bench.path(name)).unwrap();
    assert!(text.ends_with('\n'));
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &mut lines {
        (line["seconds"], line["training_seconds"]) = (Value::Null, Value::Null);
        line["eval"]["latency_us"] = Value::Null;
        line["eval"]["queued_latency_us"] = Value::Null;
    }
    lines.sort_by_key(|line| line["settings"].to_string());
    lines
}

#[test]
fn a_sweep_makes_every_run_once_and_the_same_on_any_number_of_threads() {
    let bench = with_plan(PLAN);
    let planned = bench.json("sweep plan.toml -o r.jsonl --dry-run");
    // Without memories it does not matter which they are: of 2 x 3 methods 5 are left.
    assert_eq!((planned["runs"].as_u64(), planned["planned"].as_array().unwrap().len()), (Some(10), 10));
    assert!(!bench.path("r.jsonl").exists(), "a dry run writes nothing");
    let made = bench.json("sweep plan.toml -o r.jsonl --threads 1");
    assert_eq!((made["completed"].as_u64(), made["remaining"].as_u64()), (Some(10), Some(0)));
    bench.ok("sweep plan.toml -o s.jsonl --threads 3");
    assert_eq!(results(&bench, "r.jsonl"), results(&bench, "s.jsonl"));
    let again = bench.json("sweep plan.toml -o r.jsonl");
    assert_eq!((again["already_done"].as_u64(), again["completed"].as_u64()), (Some(10), Some(0)));
}

#[test]
fn the_runs_listed_can_be_told_apart() {
    let bench = with_plan(&format!("{PLAN}backbone = [\"mlp\", \"diffusion\"]\n"));
    let listed = bench.ok("sweep plan.toml --dry-run");
    let runs: std::collections::BTreeSet<&str> = listed.lines().skip(1).collect();
    assert!(listed.contains("diffusion") && runs.len() == listed.lines().count() - 1, "{listed}");
}

#[test]
fn copying_all_states_is_run_once_for_all_seeds_and_misses_none() {
    let plan =
        PLAN.replace("[\"gas\", \"random\"]", "[\"all\"]").replace("[\"auto\", \"inf\", 0]", "[\"inf\", 0]");
    let bench = with_plan(&format!("{plan}validation_fraction = 0.0\n"));
    let made = bench.json("sweep plan.toml");
    assert_eq!(made["completed"].as_u64(), Some(3), "two of cloning, one of copying");
    let table = bench.ok("table results.jsonl");
    assert!(!table.contains("INCOMPLETE"), "{table}");
    let table = bench.json("table results.jsonl");
    let rough: Vec<&Value> =
        table["methods"].as_array().unwrap().iter().map(|m| &m["cells"][0]["mean"]["rough"]).collect();
    assert!(
        rough.len() == 2 && rough.iter().filter(|why| **why == "few").count() == 1,
        "two seeds are few: {rough:?}"
    );
    // Constrained-out episodes are drawn by the seed.
    std::fs::write(bench.path("plan.toml"), plan).unwrap();
    assert_eq!(bench.json("sweep plan.toml -o s.jsonl --dry-run")["runs"].as_u64(), Some(4));
}

#[test]
fn a_run_is_what_learn_train_and_eval_make_one_by_one() {
    let bench = with_plan(PLAN);
    bench.ok("sweep plan.toml -o r.jsonl");
    bench.ok("learn drive.npz --count 30 --by random --seed 1 -o m.safetensors");
    let trained = bench
        .json("train drive.npz m.safetensors --hidden 8 --steps 40 --batch 16 --seed 1 -o p.safetensors");
    let evaluated = bench.json("eval p.safetensors --task drive --episodes 3");
    let lines = results(&bench, "r.jsonl");
    let found = lines
        .iter()
        .find(|l| {
            let s = &l["settings"];
            s["by"] == "random" && s["lambda"] == "auto" && s["seed"] == 1
        })
        .unwrap();
    assert_eq!(found["policy"], trained["fingerprint"]);
    assert_eq!(found["lambda"], trained["lambda"]);
    assert_eq!(found["loss"], trained["loss"]);
    assert_eq!(found["validation_loss"], trained["validation_loss"]);
    assert_eq!(found["returns"], evaluated["returns"]);
    assert_eq!(found["eval"]["return"], evaluated["return"]);
    assert_eq!(found["eval"]["weight"], evaluated["weight"]);
}

#[test]
fn a_sweep_cut_in_the_middle_of_a_line_goes_on() {
    let bench = with_plan(PLAN);
    bench.ok("sweep plan.toml -o whole.jsonl");
    let text = std::fs::read(bench.path("whole.jsonl")).unwrap();
    let ends: Vec<usize> = text.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i).collect();
    std::fs::write(bench.path("cut.jsonl"), &text[..ends[3] + 200]).unwrap();
    let output = bench.run("sweep plan.toml -o cut.jsonl --json");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("half-written"), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report["already_done"].as_u64(), report["completed"].as_u64()), (Some(4), Some(6)));
    assert_eq!(results(&bench, "cut.jsonl"), results(&bench, "whole.jsonl"));
    // Other data under the same name are other runs.
    bench.ok("make drive --episodes 3 --seed 70 -o drive.npz --force");
    assert_eq!(bench.json("sweep plan.toml -o cut.jsonl --dry-run")["already_done"], 0);
    // A broken line elsewhere is an error.
    let broken = [&text[..20], b"\n", &text[..]].concat();
    std::fs::write(bench.path("broken.jsonl"), broken).unwrap();
    let message = bench.refused("sweep plan.toml -o broken.jsonl");
    assert!(message.contains("broken.jsonl: line 1"), "{message}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_runs_made_and_says_how_to_go_on() {
    use std::process::{Command, Stdio};
    let bench = with_plan(
        &PLAN.replace("seed = [0, 1]", "seed = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]").replace("= 40", "= 1500"),
    );
    let child = bench
        .command("sweep plan.toml -o r.jsonl")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = std::time::Instant::now();
    while std::fs::metadata(bench.path("r.jsonl")).map_or(0, |m| m.len()) == 0 {
        assert!(start.elapsed().as_secs() < 60, "no run was ever made");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted") && said.contains("same command does the rest"), "{said}");
    let kept = results(&bench, "r.jsonl");
    assert!(
        !kept.is_empty() && kept.iter().all(|l| l["error"].is_null()),
        "nothing half-made is in the file"
    );
    let on = bench.json("sweep plan.toml -o r.jsonl");
    assert_eq!(on["already_done"].as_u64(), Some(kept.len() as u64));
    assert_eq!(results(&bench, "r.jsonl").len(), 50);
}

#[test]
fn runs_that_fail_are_kept_listed_and_tried_again_only_when_asked() {
    let bench = with_plan(&PLAN.replace("count = [30]", "count = [30, 100000]").replace("\"gas\", ", ""));
    let output = bench.run("sweep plan.toml -o r.jsonl");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("FAILED") && said.contains("more memories than states"), "{said}");
    assert!(said.contains("--retry"), "{said}");
    let lines = results(&bench, "r.jsonl");
    let failed: Vec<_> = lines.iter().filter(|l| !l["error"].is_null()).collect();
    assert_eq!((lines.len(), failed.len()), (10, 4));
    assert!(failed[0]["error"].as_str().unwrap().contains("\n  expected: "), "the whole message is kept");
    for (options, made) in [("", 0), (" --retry", 4)] {
        let output = bench.run(&format!("sweep plan.toml -o r.jsonl --json{options}"));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(2), "it failed before, and that is not forgotten");
        assert_eq!(
            (report["completed"].as_u64(), report["failed"].as_array().unwrap().len()),
            (Some(made), 4)
        );
    }
    let table = bench.ok("table r.jsonl");
    assert!(table.contains("no runs") && table.contains("more memories than states"), "{table}");
    assert_eq!(bench.json("table r.jsonl")["runs"], 10, "a run tried twice counts once");
}

#[test]
fn what_is_wrong_with_a_plan_is_said_with_its_place_before_any_run() {
    let bench = with_plan(PLAN);
    bench.ok("make drive --episodes 2 -o other.npz");
    for (from, to, expected) in [
        ("count = [30]", "cuont = [30]", vec!["plan.toml: line 4", "cuont", "count"]),
        ("seed = [0, 1]", "", vec!["seed", "missing"]),
        ("seed = [0, 1]", "seed = []", vec!["plan.toml: seed", "empty"]),
        ("seed = [0, 1]", "seed = [0, \"one\"]", vec!["line 7", "string", "one"]),
        ("seed = [0, 1]", "seed = 0", vec!["line 7", "sequence"]),
        ("\"auto\"", "\"atuo\"", vec!["line 6", "auto", "atuo"]),
        ("\"auto\"", "-2", vec!["lambda[0]", "0 or more", "-2"]),
        ("\"gas\"", "\"magic\"", vec!["line 5", "magic", "kmeans"]),
        ("count = [30]", "count = [30, 0]", vec!["count[1]"]),
        ("count = [30]", "fraction = [0.1, 1.5]", vec!["fraction[1]", "1.5"]),
        ("count = [30]", "count = [30]\nfraction = [0.1]", vec!["exclude"]),
        ("episodes = 3", "episodes = 0", vec!["episodes", "0"]),
        ("drive.npz", "nowhere.npz", vec!["data", "nowhere.npz", "check the path"]),
        ("task = \"drive\"", "task = \"dirve\"", vec!["dirve", "door"]),
        ("task", "task ==", vec!["line 2"]),
    ] {
        std::fs::write(bench.path("plan.toml"), PLAN.replace(from, to)).unwrap();
        let message = bench.refused("sweep plan.toml -o r.jsonl");
        for part in expected {
            assert!(message.contains(part), "{to}: {part:?} is not in\n{message}");
        }
        assert!(!bench.path("r.jsonl").exists(), "{to}");
    }
    assert!(bench.refused("sweep nowhere.toml -o r.jsonl").contains("nowhere.toml"));
    if let Some(shared) = common::shared("what_is_wrong_with_a_plan") {
        let door = shared.join("door-human-v1.hdf5").display().to_string();
        std::fs::write(bench.path("plan.toml"), PLAN.replace("drive.npz", &door)).unwrap();
        let message = bench.refused("sweep plan.toml -o r.jsonl");
        assert!(message.contains("do not fit the task") && message.contains("39"), "{message}");
    }
}

#[test]
fn the_example_is_a_plan() {
    let bench = Bench::new();
    bench.ok("make drive --episodes 3 -o drive.npz");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/plan.toml"), bench.path("plan.toml"))
        .unwrap();
    let planned = bench.json("sweep plan.toml -o r.jsonl --dry-run");
    // gas and all, each smoothed or not, for auto and 0; behavior cloning once. Five seeds.
    assert_eq!(planned["runs"], (2 * 2 * 2 + 1) * 5);
}

/// The files of results of the plan in some shards, and of the whole plan in `whole.jsonl`.
fn sharded(bench: &Bench, count: usize) -> String {
    bench.ok("sweep plan.toml -o whole.jsonl");
    let names: Vec<String> = (1..=count).map(|i| format!("shard-{i}.jsonl")).collect();
    for (i, name) in names.iter().enumerate() {
        let made = bench.json(&format!("sweep plan.toml --shard {}/{count} -o {name}", i + 1));
        assert_eq!(made["shard"], format!("{}/{count}", i + 1));
        assert_eq!(made["completed"], made["runs"]);
    }
    names.join(" ")
}

#[test]
fn merged_shards_are_the_sweep() {
    let bench = with_plan(PLAN);
    let names = sharded(&bench, 3);
    let merged = bench.json(&format!("results merge plan.toml {names} -o all.jsonl"));
    assert_eq!((merged["completed"].as_u64(), merged["repeated"].as_u64()), (Some(10), Some(0)));
    assert_eq!(merged["missing"].as_array().unwrap().len(), 0);
    assert_eq!(results(&bench, "all.jsonl"), results(&bench, "whole.jsonl"));
    // A run in several files is there once, and the order of the files does not matter.
    let again = bench.json("results merge plan.toml shard-2.jsonl whole.jsonl all.jsonl -o again.jsonl");
    assert_eq!((again["completed"].as_u64(), again["repeated"].as_u64()), (Some(10), Some(13)));
    let whole = bench.json("results merge plan.toml whole.jsonl -o ordered.jsonl");
    assert_eq!(whole["completed"], 10);
    assert_eq!(results(&bench, "again.jsonl"), results(&bench, "ordered.jsonl"));
    let settings = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(bench.path(name)).unwrap();
        text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["settings"].to_string()).collect()
    };
    assert_eq!(settings("again.jsonl"), settings("ordered.jsonl"), "in the order of the plan");
    // What is missing is named, and made by a sweep that continues the merged file.
    let said = bench.ok("results merge plan.toml shard-1.jsonl shard-3.jsonl -o part.jsonl");
    assert!(said.contains("7 of the 10 runs") && said.contains("missing") && said.contains("seed"), "{said}");
    assert_eq!(bench.json("sweep plan.toml -o part.jsonl")["completed"], 3);
    assert_eq!(results(&bench, "part.jsonl"), results(&bench, "whole.jsonl"));
}

#[test]
fn a_result_is_preferred_to_a_failure() {
    let bench = with_plan(PLAN);
    bench.ok("sweep plan.toml -o good.jsonl");
    let text = std::fs::read_to_string(bench.path("good.jsonl")).unwrap();
    std::fs::write(bench.path("bad.jsonl"), text.replace("\"error\":null", "\"error\":\"it failed\""))
        .unwrap();
    for files in ["good.jsonl bad.jsonl", "bad.jsonl good.jsonl"] {
        let merged = bench.json(&format!("results merge plan.toml {files} -o all.jsonl --force"));
        assert_eq!((merged["failed"].as_u64(), merged["repeated"].as_u64()), (Some(0), Some(10)));
    }
    assert_eq!(bench.json("results merge plan.toml bad.jsonl -o all.jsonl --force")["failed"], 10);
}

#[test]
fn what_cannot_be_merged_is_refused_with_the_first_difference() {
    let bench = with_plan(PLAN);
    bench.ok("sweep plan.toml -o r.jsonl");
    let good = std::fs::read_to_string(bench.path("r.jsonl")).unwrap();
    for (from, to, expected) in [
        ("steps = 40", "steps = 41", vec!["another plan", "r.jsonl: steps", "41", "40"]),
        ("seed = [0, 1]", "seed = [0, 2]", vec!["another plan", "seed", "0 or 2", "1"]),
        ("count = [30]", "count = [20, 31]", vec!["another plan", "count", "20 or 31", "30"]),
        ("hidden = [8]", "hidden = [8, 8]", vec!["another plan", "hidden", "[8,8]", "[8]"]),
        ("\"auto\", ", "", vec!["another plan", "lambda", "auto"]),
    ] {
        std::fs::write(bench.path("other.toml"), PLAN.replace(from, to)).unwrap();
        let message = bench.refused("results merge other.toml r.jsonl -o all.jsonl");
        for part in expected {
            assert!(message.contains(part), "{to}: {part:?} is not in\n{message}");
        }
    }
    let line = good.lines().next().unwrap();
    let value: Value = serde_json::from_str(line).unwrap();
    let data = value["data"].as_str().unwrap();
    std::fs::write(bench.path("data.jsonl"), line.replace(data, &"0".repeat(64)) + "\n").unwrap();
    let policy = value["policy"].as_str().unwrap();
    std::fs::write(bench.path("policy.jsonl"), line.replace(policy, &"0".repeat(64)) + "\n").unwrap();
    for (line, expected) in [
        ("results merge plan.toml r.jsonl data.jsonl -o all.jsonl", "different data of the same name"),
        ("results merge plan.toml r.jsonl policy.jsonl -o all.jsonl", "two results of the same run differ"),
        ("results merge plan.toml nothing.jsonl -o all.jsonl", "nothing.jsonl"),
        ("results merge plan.toml drive.npz -o all.jsonl", "drive.npz"),
        ("results merge plan.toml -o all.jsonl", "<RESULTS>"),
        ("results merge plan.toml r.jsonl -o r.jsonl", "--force"),
        ("sweep plan.toml --shard 4/3 -o s.jsonl", "I/N with I from 1 to N"),
        ("sweep plan.toml --shard 0/3 -o s.jsonl", "I/N with I from 1 to N"),
        ("sweep plan.toml --shard 1 -o s.jsonl", "I/N with I from 1 to N"),
        ("sweep plan.toml --shard 11/12 -o s.jsonl", "this shard has no run"),
        ("sweep plan.toml --shard 1/2", "--output"),
    ] {
        let message = bench.refused(line);
        assert!(message.contains(expected), "mcnn {line}: {expected:?} is not in\n{message}");
    }
    let held = std::fs::File::open(bench.path("r.jsonl")).unwrap();
    held.lock().unwrap();
    let message = bench.refused("results merge plan.toml r.jsonl -o all.jsonl");
    assert!(message.contains("a sweep is writing its results there"), "{message}");
    assert!(!bench.path("all.jsonl").exists() && !bench.path("s.jsonl").exists());
}

#[cfg(unix)]
#[test]
fn the_examples_for_clusters_make_every_run() {
    use std::process::Command;
    let bench = with_plan(PLAN);
    bench.ok("sweep plan.toml -o whole.jsonl");
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cluster");
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_mcnn")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let run = |command: &mut Command| {
        let output = command.current_dir(bench.path("")).env("PATH", &path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    for i in ["1", "2"] {
        let mut slurm = Command::new(examples.join("slurm.sh"));
        slurm.args(["plan.toml", "slurm"]).env("SLURM_ARRAY_TASK_ID", i).env("SHARDS", "2");
        run(&mut slurm);
    }
    bench.ok("results merge plan.toml slurm/shard-1.jsonl slurm/shard-2.jsonl -o slurm.jsonl");
    assert_eq!(results(&bench, "slurm.jsonl"), results(&bench, "whole.jsonl"));

    let job = std::fs::read_to_string(examples.join("kubernetes.yaml")).unwrap();
    let command = job.lines().find_map(|line| line.trim().strip_prefix("- exec ")).unwrap();
    assert!(job.contains("completions: 16 ") && command.contains("/16\""), "as many shards as completions");
    let command = command.replace("/16\"", "/2\"");
    for i in ["0", "1"] {
        run(Command::new("sh").args(["-c", &command]).env("JOB_COMPLETION_INDEX", i));
    }
    bench.ok("results merge plan.toml shard-0.jsonl shard-1.jsonl -o job.jsonl");
    assert_eq!(results(&bench, "job.jsonl"), results(&bench, "whole.jsonl"));
}
