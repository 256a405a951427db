//! Whole runs of the verbs on the built-in task.

use crate::common::Bench;
use serde_json::Value;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn has(value: &Value, expected: &[&str]) {
    for key in expected {
        assert!(keys(value).contains(key), "{key} is missing of {:?}", keys(value));
    }
}

#[test]
fn nothing_prints_the_tour_and_every_verb_has_help() {
    let bench = Bench::new();
    let tour = bench.ok("");
    let verbs =
        "demo make inspect learn train eval compare explain report certify memory collect replay sweep table";
    for verb in verbs.split(' ') {
        assert!(tour.contains(&format!("mcnn {verb}")), "{verb}");
        assert!(bench.ok(&format!("{verb} --help")).contains("Usage"));
    }
    assert!(bench.run("fly").status.code() == Some(2));
}

#[test]
fn from_made_laps_to_an_explained_policy() {
    let bench = Bench::new();
    let made = bench.json("make drive --episodes 4 -o drive.npz");
    assert_eq!((made["episodes"].as_u64(), made["successes"].as_u64()), (Some(4), Some(4)));

    let inspected = bench.json("inspect drive.npz");
    assert_eq!(inspected["episodes"], 4);
    assert_eq!(inspected["steps"], made["steps"]);
    assert_eq!(inspected["fingerprint"], made["fingerprint"]);

    let learned = bench.json("learn drive.npz --count 50 --selection gas -o m.safetensors");
    has(&learned, &["memories", "states", "selection", "seconds", "coverage"]);
    has(&learned["coverage"], &["median", "p95", "max"]);
    assert_eq!((learned["memories"].as_u64(), learned["selection"].as_str()), (Some(50), Some("gas")));

    let trained = bench.json(
        "train drive.npz m.safetensors -o p.safetensors --hidden 16 --steps 200 --batch 32 --validation-fraction 0.25",
    );
    has(
        &trained,
        &["steps", "seconds", "steps_per_second", "loss", "validation_loss", "lambda", "half_distance"],
    );
    assert_eq!(trained["steps"], 200);
    let half = trained["lambda"].as_f64().unwrap() * trained["half_distance"].as_f64().unwrap();
    assert!((half - std::f64::consts::LN_2).abs() < 1e-5, "lambda is printed with its half-distance");
    assert!(trained["validation_loss"].as_f64().unwrap() > 0.0);
    for file in ["log.jsonl", "settings.json", "checkpoint.safetensors"] {
        assert!(bench.path("p.run").join(file).is_file(), "{file}");
    }

    let evaluated = bench.json("eval p.safetensors --task drive --episodes 6 --seed 77");
    has(
        &evaluated,
        &["task", "episodes", "seeds", "return", "score", "success", "weight", "latency_us", "policy"],
    );
    has(&evaluated["return"], &["mean", "iqm", "low", "high"]);
    has(&evaluated["score"], &["mean", "iqm", "low", "high"]);
    has(&evaluated["success"], &["share", "low", "high"]);
    has(&evaluated["latency_us"], &["p50", "p99"]);
    assert_eq!(evaluated["seeds"], serde_json::json!([77, 82]));
    assert_eq!(evaluated["policy"], trained["fingerprint"]);
    let returns: Vec<f64> =
        evaluated["returns"].as_array().unwrap().iter().map(|r| r.as_f64().unwrap()).collect();
    let mean = returns.iter().sum::<f64>() / 6.0;
    assert!(returns.len() == 6 && (mean - evaluated["return"]["mean"].as_f64().unwrap()).abs() < 1e-9);
    let weight = evaluated["weight"].as_f64().unwrap();
    assert!(weight > 0.0 && weight < 1.0);

    let explained = bench.json("explain p.safetensors --data drive.npz --at 2:30");
    assert_eq!(explained["at"], serde_json::json!({"episode": 2, "step": 30}));
    for d in explained["dimensions"].as_array().unwrap() {
        let n = |key: &str| d[key].as_f64().unwrap();
        assert!(n("low") <= n("action") && n("action") <= n("high"));
    }
    let text = bench.ok("explain p.safetensors --data drive.npz --at 2:30");
    for part in ["memory", "runner-up", "weight", "radius", "network", "box", "by state dimension"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_baselines_come_out_of_the_same_verbs() {
    let bench = Bench::new();
    bench.ok("make drive --episodes 3 -o drive.npz");
    bench.ok("learn drive.npz --selection all -o all.safetensors");
    for (name, options) in [
        ("1-NN", "--lambda 0"),
        ("VINN (k = 10)", "--lambda 0 --k 10"),
        ("BC, clamp, 5 members", "--lambda inf"),
        ("MCNN, projected, lambda 2.000, 5 members", "--lambda 2"),
        ("MCNN, clamp, lambda 2.000", "--lambda 2 --envelope mix --members 1"),
        ("BC, tanh", "--lambda inf --activation tanh --members 1"),
    ] {
        let line = format!(
            "train drive.npz all.safetensors {options} --hidden 8 --steps 20 -o p.safetensors --force"
        );
        assert_eq!(bench.json(&line)["name"], name);
    }
    // 1-NN on its own data: at a demonstrated state the action is the demonstrated one.
    bench.ok("train drive.npz all.safetensors --lambda 0 -o nn.safetensors");
    let explained = bench.json("explain nn.safetensors --data drive.npz --at 1:40");
    for (d, shown) in explained["dimensions"]
        .as_array()
        .unwrap()
        .iter()
        .zip(explained["demonstrated_action"].as_array().unwrap())
    {
        assert_eq!(&d["action"], shown);
    }
}

#[test]
fn compare_pairs_the_same_episodes() {
    let bench = Bench::with_policy();
    bench.ok("train drive.npz m.safetensors -o q.safetensors --lambda 0");
    let compared = bench.json("compare p.safetensors q.safetensors --task drive --episodes 5");
    let ret = |k: usize| compared["policies"][k]["return"]["mean"].as_f64().unwrap();
    let difference = compared["differences"][0]["return"]["mean"].as_f64().unwrap();
    assert!((ret(0) - ret(1) - difference).abs() < 1e-6);
    for (k, file) in ["p", "q"].into_iter().enumerate() {
        let alone = bench.json(&format!("eval {file}.safetensors --task drive --episodes 5"));
        assert_eq!(alone["return"], compared["policies"][k]["return"], "eval and compare agree");
    }
}

#[test]
fn what_has_no_interval_is_not_given_one() {
    let bench = Bench::with_policy();
    bench.ok("train drive.npz m.safetensors -o q.safetensors --lambda 0");
    let one = bench.ok("eval p.safetensors --task drive --episodes 1");
    let two = bench.ok("compare p.safetensors q.safetensors --task drive --episodes 1");
    assert!(!one.contains("NaN") && one.contains("too few for intervals"), "{one}");
    assert!(!two.contains("NaN") && two.contains("no interval"), "{two}");
}

#[test]
fn results_do_not_depend_on_the_numbers_of_threads_and_lanes() {
    let bench = Bench::with_policy();
    let with = |threads: usize, lanes: usize| {
        let mut value = bench.json(&format!(
            "eval p.safetensors --task drive --episodes 7 --threads {threads} --envs-per-worker {lanes}"
        ));
        value["latency_us"] = Value::Null;
        value["queued_latency_us"] = Value::Null;
        value
    };
    assert_eq!(with(1, 1), with(3, 3));
}

#[test]
fn the_demo_writes_its_page_and_policies() {
    let bench = Bench::new();
    let demo = bench.json("demo --demonstrations 2 --steps 50 --episodes 4 -o page.html");
    assert_eq!(demo["methods"].as_array().unwrap().len(), 5);
    let page = std::fs::read_to_string(bench.path("page.html")).unwrap();
    assert!(page.contains("<svg") && page.trim_end().ends_with("</html>"));
    assert!(!page.contains("/*DATA*/"), "the data are in the page");
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "the page needs no network");
    let data = page.split("const page = ").nth(1).unwrap().split(";\n").next().unwrap();
    let data: Value = serde_json::from_str(data.trim_end_matches(';')).unwrap();
    assert_eq!(data["episodes"].as_array().unwrap().len(), 4);
    assert_eq!(data["episodes"][0]["drives"].as_array().unwrap().len(), 5);
    for method in demo["methods"].as_array().unwrap() {
        assert!(bench.path(method["file"].as_str().unwrap()).is_file());
    }
}
