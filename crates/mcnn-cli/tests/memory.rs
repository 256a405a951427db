//! `mcnn memory`: corrections that act at once, versions and the way back, and wrong memories that are found.

use crate::common::Bench;
use serde_json::Value;

fn n(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number: {value}"))
}

#[test]
fn what_was_changed_can_be_gone_back_on_to_the_very_bytes() {
    let bench = Bench::with_policy();
    let bytes = || std::fs::read(bench.path("p.safetensors")).unwrap();
    let trained = bytes();
    bench.ok("make drive --episodes 2 --seed 40 -o more.npz");
    let added = bench.json("memory add p.safetensors more.npz --episodes 1 --steps 10..35");
    assert_eq!((n(&added["version"]), n(&added["from"])), (1.0, 0.0));
    assert_eq!((n(&added["added"]), n(&added["dropped"]), n(&added["memories"])), (25.0, 0.0, 75.0));
    assert_eq!(added["calibration"], "kept");
    let with = bytes();
    let episode = n(&added["first_episode"]) as usize + 1;
    let listed = bench.json("memory list p.safetensors");
    assert_eq!((n(&listed["memories"]), n(&listed["current_version"])), (75.0, 1.0));
    assert!(listed["edits"][0].as_str().unwrap().contains("added 25 steps of more"));
    // A state that was added is a memory now, and gives its action.
    let explained = bench.json("explain p.safetensors --data more.npz --at 1:20");
    assert_eq!(explained["is_memory"], true);
    assert_eq!(explained["memory"]["source"], serde_json::json!({"episode": episode, "step": 20}));
    for (d, shown) in explained["dimensions"]
        .as_array()
        .unwrap()
        .iter()
        .zip(explained["demonstrated_action"].as_array().unwrap())
    {
        assert_eq!(&d["action"], shown);
    }
    let dropped = bench.json(&format!("memory drop p.safetensors --episodes 0,{episode}"));
    assert!(
        dropped["what"].as_str().unwrap().contains("was trained on them") && dropped["calibration"] == "lost"
    );
    assert!(n(&dropped["dropped"]) > 25.0);
    assert_eq!(bench.json("explain p.safetensors --data more.npz --at 1:20")["quantile"], Value::Null);
    // Back, back, and to a version by name.
    bench.ok("memory restore p.safetensors");
    assert_eq!(bytes(), with);
    bench.ok("memory restore p.safetensors");
    assert_eq!(bytes(), trained);
    assert!(bench.refused("memory restore p.safetensors").contains("no predecessor"));
    bench.ok("memory restore p.safetensors --to 1");
    assert_eq!(bytes(), with);
    assert!(bench.refused("memory restore p.safetensors --to 9").contains("0 to 2"));
    // Another branch, from there; with the data the calibration is made anew.
    let other = bench.json("memory drop p.safetensors --memories 0,1,2 --data drive.npz");
    assert_eq!(
        (n(&other["version"]), n(&other["from"]), other["calibration"].as_str()),
        (3.0, 1.0, Some("renewed"))
    );
    let text = bench.ok("memory list p.safetensors");
    assert!(text.contains("* version 3") && text.contains("  version 2"), "{text}");
    // Trained again: the file is none of its versions, and is still stored as one.
    bench.ok("train drive.npz m.safetensors -o p.safetensors --hidden 8 --steps 3 --force");
    let anew = bytes();
    assert!(bench.refused("memory restore p.safetensors").contains("overwritten"));
    bench.ok("memory restore p.safetensors --to 0");
    assert_eq!(bytes(), trained);
    bench.ok("memory restore p.safetensors --to 4");
    assert_eq!(bytes(), anew);
}

#[test]
fn a_policy_that_leaves_the_road_is_corrected_by_one_lap_of_it() {
    let bench = Bench::new();
    bench.ok("make drive --episodes 2 --noise 0.1 -o drive.npz");
    bench.ok("learn drive.npz --selection all -o m.safetensors");
    bench
        .ok("train drive.npz m.safetensors -o p.safetensors --hidden 32 --steps 600 --batch 64 --validation-fraction 0");
    let drives = |seed: usize| {
        let report = bench.json(&format!("eval p.safetensors --task drive --episodes 1 --seed {seed}"));
        report["success"]["share"] == 1.0
    };
    let (mut failing, mut corrected) = (0, 0);
    for seed in 3000..3012 {
        if drives(seed) {
            continue;
        }
        failing += 1;
        bench.ok(&format!("make drive --episodes 1 --seed {seed} -o lap.npz --force"));
        bench.ok("memory add p.safetensors lap.npz");
        corrected += usize::from(drives(seed));
        bench.ok("memory restore p.safetensors");
    }
    assert!(failing >= 4, "of two laps not much is learned: {failing}");
    assert!(2 * corrected > failing, "{corrected} of {failing}");
}

#[test]
fn memories_that_act_are_counted() {
    let bench = Bench::with_policy();
    let listed = bench.json("memory list p.safetensors --data drive.npz --top 3");
    let acted: Vec<u64> =
        listed["retrievals"].as_array().unwrap().iter().map(|a| a.as_u64().unwrap()).collect();
    assert_eq!((acted.len(), acted.iter().sum::<u64>()), (50, listed["states"].as_u64().unwrap()));
    assert_eq!(n(&listed["never_retrieved"]) as usize, acted.iter().filter(|&&a| a == 0).count());
    let most = listed["most_retrieved"].as_array().unwrap();
    assert_eq!((most.len(), most[0]["retrievals"].as_u64()), (3, acted.iter().max().copied()));
    for m in most {
        assert_eq!(m["retrievals"], acted[n(&m["memory"]) as usize]);
    }
    let rolled = bench.json("memory list p.safetensors --task drive --episodes 2");
    let evaluated = bench.json("eval p.safetensors --task drive --episodes 2 --guard warn");
    assert_eq!(rolled["states"], evaluated["guard"]["steps"]);
    assert!(bench.json("memory list p.safetensors")["retrievals"].is_null());
}

#[test]
fn changes_that_cannot_be_made() {
    let bench = Bench::with_policy();
    let before = std::fs::read(bench.path("p.safetensors")).unwrap();
    for (line, expected) in [
        ("memory add p.safetensors drive.npz --episodes 9", "0 to 3"),
        ("memory add p.safetensors drive.npz --steps 5..5", "FROM..TO"),
        ("memory add p.safetensors drive.npz --steps 9000..9001", "no steps to add"),
        ("memory add m.safetensors drive.npz", "another kind"),
        ("memory drop p.safetensors", "--episodes"),
        ("memory drop p.safetensors --episodes 77", "no memory is of this episode"),
        ("memory drop p.safetensors --memories 50", "0 to 49"),
        ("memory drop p.safetensors --episodes 0,1,2,3", "no memory would be left"),
        ("memory list p.safetensors --data drive.npz --task drive", "cannot be used with"),
        ("memory restore p.safetensors", "one version only"),
        ("memory", "Usage"),
    ] {
        let output = bench.run(line);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "mcnn {line}");
        assert!(message.contains(expected), "mcnn {line}: {expected:?} is not in\n{message}");
    }
    bench.ok("make drive --episodes 2 --seed 40 -o more.npz");
    let message = bench.refused("memory drop p.safetensors --memories 1 --data more.npz");
    assert!(message.contains("other data"), "{message}");
    assert_eq!(std::fs::read(bench.path("p.safetensors")).unwrap(), before);
    assert!(!bench.path("p.versions").exists());
    std::fs::create_dir(bench.path("p.versions")).unwrap();
    std::fs::write(bench.path("p.versions/log.json"), b"[{").unwrap();
    assert!(bench.refused("memory list p.safetensors").contains("log of versions"));
}
