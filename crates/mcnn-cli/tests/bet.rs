//! The behavior transformer through every verb, as the MLP goes through them.

use crate::common::Bench;
use serde_json::Value;

const TRAIN: &str = "train drive.npz m.safetensors --backbone bet --layers 2 --heads 2 --width 16 --window 4 --buckets 8 \
                     --batch 16 --validation-fraction 0.25";

#[test]
fn it_is_trained_evaluated_compared_and_explained_as_the_perceptron_is() {
    let bench = Bench::with_policy();
    let trained = bench.json(&format!("{TRAIN} --steps 60 -o b.safetensors"));
    assert!(trained["name"].as_str().unwrap().starts_with("MCNN-BeT, projected, lambda "), "{trained}");
    assert!(trained["validation"]["by_distance"][0]["network"].as_f64().unwrap() > 0.0);
    // The training loss is another quantity than the validation loss, and is said to be.
    assert_eq!(
        trained["objective"],
        "focal loss of the bucket + 1000 x mean squared error of the network's action"
    );
    let settings = std::fs::read_to_string(bench.path("b.run/settings.json")).unwrap();
    let settings: Value = serde_json::from_str(&settings).unwrap();
    let expected = serde_json::json!({"bet": {
        "layers": 2, "heads": 2, "width": 16, "window": 4, "buckets": 8, "dropout": 0.1, "gamma": 2.0,
        "offset_weight": 1000.0, "bucket_selection": "sample"}});
    assert_eq!(settings["backbone"], expected);
    let (lr, optimizer) = (&settings["lr"], &settings["optimizer"]);
    assert_eq!((lr.as_f64(), &optimizer["betas"]), (Some(5.5e-5), &serde_json::json!([0.9, 0.95])));
    assert_eq!((optimizer["weight_decay"].as_f64(), optimizer["clip"].as_f64()), (Some(2e-4), Some(1.0)));

    let twin =
        bench.json(&format!("{TRAIN} --steps 60 --lambda inf --bucket-selection argmax -o twin.safetensors"));
    assert_eq!(twin["name"], "BeT-BC, clamp");
    let compared =
        bench.json("compare b.safetensors twin.safetensors p.safetensors --task drive --episodes 4");
    for (k, file) in ["b", "twin", "p"].into_iter().enumerate() {
        // The same seeds draw the same actions, on any number of threads.
        let alone = bench.json(&format!("eval {file}.safetensors --task drive --episodes 4 --threads 3"));
        assert_eq!(alone["returns"], compared["policies"][k]["returns"]);
    }

    let explained = bench.json("explain b.safetensors --data drive.npz --at 2:30");
    assert_eq!((explained["samples"].as_u64(), explained["buckets"]["of"].as_u64()), (Some(16), Some(8)));
    assert_eq!(explained["buckets"]["likeliest"].as_array().unwrap().len(), 5);
    for d in explained["dimensions"].as_array().unwrap() {
        let n = |key: &str| d[key].as_f64().unwrap();
        assert!(n("low") <= n("action") && n("action") <= n("high") && n("std") >= 0.0);
    }
    let text = bench.ok("explain b.safetensors --data drive.npz --at 2:30");
    for part in ["bucket       ", "of 8, with probability 0.", "most likely  ", "spread"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // What came before is part of the state: the first step of an episode has none of it.
    assert_ne!(
        explained["buckets"],
        bench.json("explain b.safetensors --data drive.npz --at 2:0")["buckets"]
    );
    let likeliest = bench.json("explain twin.safetensors --data drive.npz --at 2:30");
    assert!(likeliest["samples"].is_null());
    assert_eq!(likeliest["buckets"]["chosen"], likeliest["buckets"]["likeliest"][0]);
    assert!(bench.json("explain p.safetensors --data drive.npz --at 2:30")["buckets"].is_null());
}

#[test]
fn a_run_cut_short_resumes_to_the_very_same_bytes() {
    let bench = Bench::with_policy();
    for options in ["", "--dropout 0.3 --gamma 0"] {
        bench.ok(&format!("{TRAIN} {options} --steps 30 -o whole.safetensors --force"));
        bench.ok(&format!("{TRAIN} {options} --steps 11 -o cut.safetensors --force"));
        let on = bench.json(&format!("{TRAIN} {options} --steps 30 -o cut.safetensors --resume"));
        assert_eq!(on["resumed_from"], 11);
        let read = |name: &str| std::fs::read(bench.path(name)).unwrap();
        assert!(read("whole.safetensors") == read("cut.safetensors"), "{options}");
    }
    let other = bench.refused(&format!("{TRAIN} --steps 40 -o cut.safetensors --resume"));
    assert!(other.contains("another backbone") && other.contains("0.3"), "{other}");
}

#[test]
fn its_options_are_refused_out_of_range_and_with_another_backbone() {
    let bench = Bench::with_policy();
    let mlp = "train drive.npz m.safetensors -o x.safetensors";
    for option in [
        "--layers 6",
        "--heads 6",
        "--width 120",
        "--window 10",
        "--buckets 64",
        "--dropout 0.1",
        "--gamma 2",
        "--offset-weight 1000",
        "--bucket-selection sample",
    ] {
        let message = bench.refused(&format!("{mlp} {option}"));
        for part in [option.split(' ').next().unwrap(), "--backbone bet", "--backbone mlp"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
    let bet = "train drive.npz m.safetensors --backbone bet -o x.safetensors";
    for (option, expected) in [
        ("--hidden 16", "--backbone mlp or diffusion"),
        ("--ema 0.9", "--backbone diffusion"),
        ("--layers 0", "1 to 64"),
        ("--heads 7", "divides --width"),
        ("--window 0", "1 to 1000"),
        ("--window 1000", "a shorter window"),
        ("--buckets 4000", "the number of distinct actions"),
        ("--buckets 5000", "1 to 4096"),
        ("--dropout 1", "0 up to but not 1"),
        ("--gamma nan", "0 or more"),
        ("--offset-weight 0", "above 0"),
        ("--bucket-selection best", "sample or argmax"),
    ] {
        let message = bench.refused(&format!("{bet} {option}"));
        assert!(message.contains(expected), "{option}: {message}");
    }
    assert!(!bench.path("x.safetensors").exists());
}

#[test]
fn a_plan_sweeps_over_it() {
    let bench = Bench::new();
    bench.ok("make drive --episodes 3 -o drive.npz");
    let plan = "task = \"drive\"\ndata = [\"drive.npz\"]\ncount = [30]\nlambda = [\"auto\", 0]\nhidden = [16]\n\
                backbone = [\"mlp\", \"bet\"]\nseed = [1]\nsteps = 10\nepisodes = 2\n";
    let of = |rest: &str| std::fs::write(bench.path("plan.toml"), format!("{plan}{rest}")).unwrap();
    of("bet = { layers = 1, heads = 2, width = 8, window = 3, buckets = 4 }\n");
    let planned = bench.json("sweep plan.toml -o r.jsonl --dry-run");
    let of_run = |k: usize, key: &str| planned["planned"][k][key].clone();
    // Copying has no network, so it is made once.
    assert_eq!(planned["runs"], 3);
    assert_eq!((of_run(0, "batch").as_u64(), of_run(1, "batch").as_u64()), (Some(256), Some(64)));
    assert_eq!(
        (of_run(0, "hidden").to_string(), of_run(1, "hidden").to_string()),
        ("[16]".into(), "[]".into())
    );
    bench.ok("sweep plan.toml -o r.jsonl");

    bench.ok("learn drive.npz --count 30 --seed 1 -o m.safetensors");
    let trained = bench.json(
        "train drive.npz m.safetensors --backbone bet --layers 1 --heads 2 --width 8 --window 3 --buckets 4 --steps 10 \
         --seed 1 -o p.safetensors",
    );
    let evaluated = bench.json("eval p.safetensors --task drive --episodes 2");
    let lines = std::fs::read_to_string(bench.path("r.jsonl")).unwrap();
    let line: Value = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|line: &Value| line["settings"]["backbone"] == "bet")
        .expect("a run of it");
    assert_eq!(line["policy"], trained["fingerprint"]);
    assert_eq!(line["returns"], evaluated["returns"]);

    of("bet = { heads = 7 }\n");
    let message = bench.refused("sweep plan.toml -o s.jsonl");
    assert!(message.contains("bet (--heads)") && message.contains("7 for 120"), "{message}");
    of("bet = { head = 6 }\n");
    assert!(bench.refused("sweep plan.toml -o s.jsonl").contains("head"));
}

#[test]
fn with_paper_it_is_trained_as_the_authors_did_unless_options_say_otherwise() {
    let bench = Bench::with_policy();
    let settings = |name: &str, options: &str| -> Value {
        let line = "train drive.npz m.safetensors --backbone bet --layers 2 --heads 2 --width 16 --buckets 8 --steps 2";
        bench.ok(&format!("{line} {options} -o {name}.safetensors"));
        let text = std::fs::read_to_string(bench.path(&format!("{name}.run/settings.json"))).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let paper = settings("paper", "--paper");
    let optimizer = &paper["optimizer"];
    assert_eq!((paper["batch"].as_u64(), paper["lr"].as_f64()), (Some(256), Some(5.5e-5)));
    assert_eq!(
        (&optimizer["betas"], optimizer["clip"].as_f64()),
        (&serde_json::json!([0.9, 0.999]), Some(0.0))
    );
    assert_eq!(optimizer["weight_decay"].as_f64(), Some(2e-4));
    assert_eq!(paper["backbone"]["bet"]["residual_init"], "scaled");
    let own = settings("own", "--paper --residual-init normal --batch 16 --betas 0.8,0.9 --grad-clip 2");
    assert_eq!((own["batch"].as_u64(), &own["backbone"]["bet"]["residual_init"]), (Some(16), &Value::Null));
    assert_eq!(own["optimizer"]["betas"], serde_json::json!([0.8, 0.9]));
    assert_eq!(own["optimizer"]["clip"].as_f64(), Some(2.0));
}
