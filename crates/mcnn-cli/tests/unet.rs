//! The U-Net through every verb, as the other backbones go through them.

use crate::common::Bench;
use serde_json::Value;

const TRAIN: &str = "train drive.npz m.safetensors --backbone unet --hidden 8,16 --horizon 8 --execute 4 \
                     --sample-steps 3 --batch 8 --validation-fraction 0.25";

#[test]
fn a_unet_is_trained_evaluated_compared_and_explained_as_the_others_are() {
    let bench = Bench::with_policy();
    let trained = bench.json(&format!("{TRAIN} --steps 60 -o u.safetensors"));
    assert!(
        trained["name"].as_str().unwrap().starts_with("MCNN-Diffusion (U-Net), projected, lambda "),
        "{trained}"
    );
    assert!(trained["validation"]["by_distance"][0]["network"].as_f64().unwrap() > 0.0);
    assert_eq!(trained["short_episodes"][0], 0);
    let settings = std::fs::read_to_string(bench.path("u.run/settings.json")).unwrap();
    let settings: Value = serde_json::from_str(&settings).unwrap();
    let expected = serde_json::json!({"unet": {
        "horizon": 8, "executed": 4, "window": 2, "kernel": 5, "groups": 8, "steps": 100, "schedule": "cosine",
        "prediction": "sample", "sampler": "ddim", "sample_steps": 3, "ema": 0.9999}});
    assert_eq!(settings["backbone"], expected);
    let recipe = serde_json::json!({
        "betas": [0.95, 0.999], "weight_decay": 1e-6, "warm_up": 500, "cosine": true, "clip": 0.0});
    assert_eq!((&settings["lr"], &settings["optimizer"]), (&serde_json::json!(1e-4), &recipe));

    let twin = bench.json(&format!("{TRAIN} --steps 60 --lambda inf --sampler ddpm -o twin.safetensors"));
    assert_eq!(twin["name"], "Diffusion-BC (U-Net), clamp");
    let compared =
        bench.json("compare u.safetensors twin.safetensors p.safetensors --task drive --episodes 4");
    for (k, file) in ["u", "twin", "p"].into_iter().enumerate() {
        // The same seeds draw the same chunks, on any number of threads.
        let alone = bench.json(&format!("eval {file}.safetensors --task drive --episodes 4 --threads 3"));
        assert_eq!(alone["returns"], compared["policies"][k]["returns"]);
        // Three of four actions were predicted with an earlier one: no network ran for them. A perceptron has none.
        let [predicted, queued] = ["latency_us", "queued_latency_us"].map(|key| alone[key]["p50"].as_f64());
        match file {
            "p" => assert_eq!(queued, None),
            _ => assert!(queued.is_some() && predicted.is_some(), "{predicted:?}, {queued:?}"),
        }
    }
    let text = bench.ok("eval u.safetensors --task drive --episodes 2");
    assert!(text.contains("per action that is predicted") && text.contains("per queued one"), "{text}");
    let text = bench.ok("compare u.safetensors p.safetensors --task drive --episodes 2");
    assert_eq!(
        (text.matches("per queued one").count(), text.matches("us per action").count()),
        (1, 2),
        "{text}"
    );

    let explained = bench.json("explain u.safetensors --data drive.npz --at 2:30");
    assert_eq!(explained["samples"], 16);
    let dimensions = explained["dimensions"].as_array().unwrap();
    let chunk = &explained["chunk"];
    assert_eq!((chunk["horizon"].as_u64(), chunk["steps"].as_array().unwrap().len()), (Some(8), 4));
    for (ahead, step) in chunk["steps"].as_array().unwrap().iter().enumerate() {
        for (k, d) in step.as_array().unwrap().iter().enumerate() {
            assert!(d["action"].as_f64().unwrap().abs() <= 1.0, "{ahead}: {d}");
            // A later action is constrained when it is executed, by the memory of its own observation.
            assert_eq!(d["low"].is_null(), ahead > 0, "{ahead}: {d}");
            if ahead == 0 {
                let n = |key: &str| d[key].as_f64().unwrap();
                assert!(n("low") <= n("action") && n("action") <= n("high"), "{d}");
                for key in ["memory_action", "action", "low", "high"] {
                    assert_eq!(d[key], dimensions[k][key]);
                }
            }
        }
    }
    assert!(bench.json("explain p.safetensors --data drive.npz --at 2:30")["chunk"].is_null());
    let text = bench.ok("explain u.safetensors --data drive.npz --at 2:30");
    assert!(text.contains("8 actions predicted, 4 executed"), "{text}");
    assert!(!bench.ok("explain p.safetensors --data drive.npz --at 2:30").contains("executed"));
}

#[test]
fn a_run_cut_short_resumes_to_the_very_same_bytes() {
    let bench = Bench::with_policy();
    for options in
        ["--cosine false", "--ema 0 --prediction epsilon --schedule vp --sampler ddpm --cosine false"]
    {
        bench.ok(&format!("{TRAIN} {options} --steps 40 -o whole.safetensors --force"));
        bench.ok(&format!("{TRAIN} {options} --steps 15 -o cut.safetensors --force"));
        let on = bench.json(&format!("{TRAIN} {options} --steps 40 -o cut.safetensors --resume"));
        assert_eq!(on["resumed_from"], 15);
        let read = |name: &str| std::fs::read(bench.path(name)).unwrap();
        assert!(read("whole.safetensors") == read("cut.safetensors"), "{options}");
    }
    let other = bench.refused(&format!("{TRAIN} --steps 50 -o cut.safetensors --resume"));
    assert!(other.contains("another"), "{other}");
}

#[test]
fn options_of_the_unet_are_refused_out_of_range_and_with_others() {
    let bench = Bench::with_policy();
    for (backbone, option) in [
        ("mlp", "--horizon 8"),
        ("diffusion", "--execute 4"),
        ("diffusion", "--sample-steps 3"),
        ("mlp", "--ema 0.9"),
    ] {
        let train = "train drive.npz m.safetensors -o x.safetensors --backbone";
        let message = bench.refused(&format!("{train} {backbone} {option}"));
        let name = option.split(' ').next().unwrap();
        for part in [name, "unet", &format!("--backbone {backbone}"), "leave the option out"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
    let train = "train drive.npz m.safetensors -o x.safetensors --backbone unet";
    for (options, parts) in [
        ("--hidden 8,16,24 --horizon 10", ["--horizon", "divisible by 4", "10"]),
        ("--hidden 8,20", ["--hidden", "divisible by 8", "[8, 20]"]),
        ("--execute 17", ["--execute", "1 to 16", "17"]),
        ("--sample-steps 101", ["--sample-steps", "1 to 100", "101"]),
        ("--diffusion-steps 0", ["--diffusion-steps", "1 to 1000", "0"]),
        ("--ema 1", ["--ema", "not 1", "1"]),
        ("--hidden 0", ["--hidden", "widths", "0"]),
    ] {
        let message = bench.refused(&format!("{train} {options}"));
        for part in parts {
            assert!(message.contains(part), "{options}: {part}: {message}");
        }
    }
    assert!(!bench.path("x.safetensors").exists());
    for (options, taken) in [("--sampler ddpm", 12), ("", 10), ("--sampler ddpm --sample-steps 4", 4)] {
        let small =
            "--hidden 8 --horizon 4 --batch 4 --steps 1 --validation-fraction 0 --diffusion-steps 12 --force";
        bench.ok(&format!("{train} {small} {options}"));
        let settings = std::fs::read_to_string(bench.path("x.run/settings.json")).unwrap();
        let settings: Value = serde_json::from_str(&settings).unwrap();
        assert_eq!(settings["backbone"]["unet"]["sample_steps"], taken, "{options}");
        assert_eq!(settings["backbone"]["unet"]["executed"], 4, "no more than the horizon");
    }
}

#[test]
fn a_plan_sweeps_over_unets() {
    let bench = Bench::new();
    bench.ok("make drive --episodes 3 -o drive.npz");
    let plan = "task = \"drive\"\ndata = [\"drive.npz\"]\ncount = [30]\nlambda = [\"auto\", 0]\n\
                backbone = [\"unet\", \"mlp\"]\nseed = [1]\nsteps = 10\nbatch = 8\nepisodes = 2\n";
    let of = |rest: &str| std::fs::write(bench.path("plan.toml"), format!("{plan}{rest}")).unwrap();
    of("[unet]\nsample_steps = 3\nhorizon = 4\nexecuted = 4\n");
    let planned = bench.json("sweep plan.toml -o r.jsonl --dry-run");
    // Copying has no network, so it is made once; each backbone has its own recipe.
    assert_eq!(planned["runs"].as_u64(), Some(3));
    assert_eq!(planned["planned"][0]["hidden"], serde_json::json!([32, 64, 128]));
    assert_eq!(planned["planned"][0]["lr"], 1e-4);
    bench.ok("sweep plan.toml -o r.jsonl");
    let table = bench.ok("table r.jsonl");
    assert!(table.contains("backbone unet") && table.contains("backbone mlp"), "{table}");

    bench.ok("learn drive.npz --count 30 --seed 1 -o m.safetensors");
    let trained = bench.json(
        "train drive.npz m.safetensors --backbone unet --sample-steps 3 --horizon 4 --execute 4 --steps 10 \
         --batch 8 --seed 1 -o p.safetensors",
    );
    let lines = std::fs::read_to_string(bench.path("r.jsonl")).unwrap();
    let line: Value = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|line: &Value| line["settings"]["backbone"] == "unet" && line["settings"]["lambda"] == "auto")
        .expect("a run of the U-Net");
    assert_eq!(line["policy"], trained["fingerprint"]);

    of("hidden = [8, 12]\n");
    let message = bench.refused("sweep plan.toml -o s.jsonl");
    assert!(message.contains("hidden") && message.contains("divisible by 8"), "{message}");
    of("[unet]\nhorizon = 6\nexecuted = 3\n");
    let message = bench.refused("sweep plan.toml -o s.jsonl");
    assert!(message.contains("unet") && message.contains("divisible by 4"), "{message}");
}
