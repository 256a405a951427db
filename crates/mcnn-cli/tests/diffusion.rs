//! The diffusion backbone through every verb, as the MLP goes through them.

use crate::common::Bench;
use serde_json::Value;

const TRAIN: &str =
    "train drive.npz m.safetensors --backbone diffusion --hidden 16,16 --batch 16 --validation-fraction 0.25";

#[test]
fn diffusion_is_trained_evaluated_compared_and_explained_as_the_perceptron_is() {
    let bench = Bench::with_policy();
    let trained = bench.json(&format!("{TRAIN} --steps 200 -o d.safetensors"));
    assert!(trained["name"].as_str().unwrap().starts_with("MCNN-Diffusion, projected, lambda "), "{trained}");
    assert_eq!(trained["validation"]["by_distance"].as_array().unwrap().len(), 4);
    assert!(trained["validation"]["by_distance"][0]["network"].as_f64().unwrap() > 0.0);
    let settings = std::fs::read_to_string(bench.path("d.run/settings.json")).unwrap();
    let settings: Value = serde_json::from_str(&settings).unwrap();
    let expected = serde_json::json!({"diffusion": {
        "steps": 5, "schedule": "vp", "prediction": "sample", "sampler": "ddpm", "ema": 0.995}});
    assert_eq!(settings["backbone"], expected);

    let twin = bench.json(&format!("{TRAIN} --steps 200 --lambda inf -o twin.safetensors"));
    assert_eq!(twin["name"], "Diffusion-BC, clamp");
    let compared =
        bench.json("compare d.safetensors twin.safetensors p.safetensors --task drive --episodes 4");
    for (k, file) in ["d", "twin", "p"].into_iter().enumerate() {
        // The same seeds draw the same actions, on any number of threads.
        let alone = bench.json(&format!("eval {file}.safetensors --task drive --episodes 4 --threads 3"));
        assert_eq!(alone["returns"], compared["policies"][k]["returns"]);
    }

    let explained = bench.json("explain d.safetensors --data drive.npz --at 2:30");
    assert_eq!(explained["samples"], 16);
    for d in explained["dimensions"].as_array().unwrap() {
        let n = |key: &str| d[key].as_f64().unwrap();
        assert!(n("low") <= n("action") && n("action") <= n("high") && n("std") >= 0.0);
    }
    assert!(bench.json("explain p.safetensors --data drive.npz --at 2:30")["samples"].is_null());
    let text = bench.ok("explain d.safetensors --data drive.npz --at 2:30");
    assert!(text.contains("spread") && text.contains("standard deviation of 16"), "{text}");
    assert!(!bench.ok("explain p.safetensors --data drive.npz --at 2:30").contains("spread"));
}

#[test]
fn a_run_cut_short_resumes_to_the_very_same_bytes() {
    let bench = Bench::with_policy();
    for options in ["", "--ema 0 --prediction epsilon --schedule cosine --sampler ddim --diffusion-steps 3"] {
        bench.ok(&format!("{TRAIN} {options} --steps 80 -o whole.safetensors --force"));
        bench.ok(&format!("{TRAIN} {options} --steps 30 -o cut.safetensors --force"));
        let on = bench.json(&format!("{TRAIN} {options} --steps 80 -o cut.safetensors --resume"));
        assert_eq!(on["resumed_from"], 30);
        let read = |name: &str| std::fs::read(bench.path(name)).unwrap();
        assert!(read("whole.safetensors") == read("cut.safetensors"), "{options}");
    }
    let other = bench.refused(&format!("{TRAIN} --steps 90 -o cut.safetensors --resume"));
    assert!(other.contains("another backbone") && other.contains("cosine"), "{other}");
}

#[test]
fn options_of_diffusion_are_refused_out_of_range_and_with_a_perceptron() {
    let bench = Bench::with_policy();
    let mlp = "train drive.npz m.safetensors -o x.safetensors";
    for option in
        ["--diffusion-steps 5", "--schedule vp", "--prediction epsilon", "--sampler ddim", "--ema 0.9"]
    {
        let message = bench.refused(&format!("{mlp} {option}"));
        let name = option.split(' ').next().unwrap();
        for part in [name, "--backbone diffusion", "--backbone mlp"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
    for (option, expected) in [
        ("--diffusion-steps 0", "1 to 1000"),
        ("--diffusion-steps 1001", "1 to 1000"),
        ("--ema 1", "--ema"),
        ("--ema nan", "--ema"),
        ("--schedule square", "vp, linear or cosine"),
        ("--prediction both", "sample or epsilon"),
        ("--sampler none", "ddpm or ddim"),
    ] {
        let message = bench.refused(&format!("{TRAIN} -o x.safetensors {option}"));
        assert!(message.contains(expected), "{option}: {message}");
    }
    assert!(bench.refused(&format!("{mlp} --backbone gpt")).contains("diffusion"));
    assert!(!bench.path("x.safetensors").exists());
}

#[test]
fn a_plan_sweeps_over_backbones() {
    let bench = Bench::new();
    bench.ok("make drive --episodes 3 -o drive.npz");
    let plan = "task = \"drive\"\ndata = [\"drive.npz\"]\ncount = [30]\nlambda = [\"auto\", 0]\n\
                backbone = [\"mlp\", \"diffusion\"]\nseed = [1]\nsteps = 20\nbatch = 16\nepisodes = 2\n";
    let of = |rest: &str| std::fs::write(bench.path("plan.toml"), format!("{plan}{rest}")).unwrap();
    of("diffusion = { steps = 3, sampler = \"ddim\" }\n");
    let planned = bench.json("sweep plan.toml -o r.jsonl --dry-run");
    let hidden = |k: usize| planned["planned"][k]["hidden"].as_array().unwrap().len();
    // Copying has no network, so it is made once.
    assert_eq!((planned["runs"].as_u64(), hidden(0), hidden(1)), (Some(3), 2, 3));
    bench.ok("sweep plan.toml -o r.jsonl");
    let table = bench.ok("table r.jsonl");
    assert!(table.contains("backbone diffusion") && table.contains("backbone mlp"), "{table}");

    bench.ok("learn drive.npz --count 30 --seed 1 -o m.safetensors");
    let trained = bench.json(
        "train drive.npz m.safetensors --backbone diffusion --diffusion-steps 3 --sampler ddim --steps 20 \
         --batch 16 --seed 1 -o p.safetensors",
    );
    let evaluated = bench.json("eval p.safetensors --task drive --episodes 2");
    let lines = std::fs::read_to_string(bench.path("r.jsonl")).unwrap();
    let line: Value = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|line: &Value| line["settings"]["backbone"] == "diffusion")
        .expect("a run of diffusion");
    assert_eq!(line["policy"], trained["fingerprint"]);
    assert_eq!(line["returns"], evaluated["returns"]);

    of("diffusion = { steps = 0 }\n");
    let message = bench.refused("sweep plan.toml -o s.jsonl");
    assert!(message.contains("diffusion") && message.contains("1 to 1000"), "{message}");
    of("diffusion = { stepps = 5 }\n");
    assert!(bench.refused("sweep plan.toml -o s.jsonl").contains("stepps"));
}
