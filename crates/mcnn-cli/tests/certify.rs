//! `mcnn certify`: the figures against the formula, what is said in words, exit codes, bad input.

use crate::common::{self, Bench};
use serde_json::Value;

fn n(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number: {value}"))
}

/// The sets, the box and the points of the curve, each of which has a distance and a bound.
fn check(report: &Value, promise: &Value, d: f64) {
    let lambda = n(&report["lambda"]);
    let (h, a, l) = (n(&report["horizon"]), n(&report["action_count"]), n(&report["amplitude"]));
    let rest = 1.0 - (-lambda * d).exp();
    let raw = h * h * a * l * rest;
    assert!((n(&promise["bound"]) - raw.min(h)).abs() <= 1e-5 * h, "{promise} is not {raw}");
    // Where it is H to the last places, rounding decides.
    assert!(promise["vacuous"] == (raw >= h) || (raw / h - 1.0).abs() < 1e-6, "{promise}");
    assert!((n(&promise["region_width"]) - 2.0 * l * rest).abs() < 1e-5, "{promise}");
}

#[test]
fn every_figure_is_the_formulas() {
    let bench = Bench::with_policy();
    bench.ok("make drive --episodes 2 --seed 50 -o other.npz");
    for options in ["--horizon 400", "--horizon 1 --action-count 1"] {
        let report = bench.json(&format!(
            "certify p.safetensors --data drive.npz other.npz {options} --visited --task drive --episodes 3 --curve"
        ));
        let sets = report["sets"].as_array().unwrap();
        let names: Vec<&str> = sets.iter().map(|s| s["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["drive", "drive, validation episodes", "other", "visited"]);
        for set in sets {
            check(&report, set, n(&set["d_i"]));
            if !set["other_episodes"].is_null() {
                check(&report, &set["other_episodes"], n(&set["other_episodes"]["d_i"]));
                assert!(n(&set["other_episodes"]["d_i"]) >= n(&set["d_i"]));
            }
        }
        assert!(sets[0]["other_episodes"].is_object() && sets[2]["other_episodes"].is_null());
        let region = &report["bounding_box"];
        check(&report, region, n(&region["upper"]));
        // Every listed state lies in the box.
        assert!(sets.iter().all(|s| n(&s["d_i"]) <= n(&region["upper"])));
        // What a vacuous bound would need.
        let (h, a) = (n(&report["horizon"]), n(&report["action_count"]));
        match report["informative_below"].as_f64() {
            Some(d) => assert!(((1.0 - (-n(&report["lambda"]) * d).exp()) * h * a - 1.0).abs() < 1e-4),
            None => assert_eq!(h * a, 1.0),
        }
        let points = report["curve"].as_array().unwrap();
        for way in ["random", "kcenter"] {
            let mine: Vec<_> = points.iter().filter(|p| p["selection"] == way).collect();
            assert!(mine.len() > 4 && mine.iter().all(|p| p["nested"] == true));
            for pair in mine.windows(2) {
                assert!(n(&pair[0]["memories"]) < n(&pair[1]["memories"]));
                assert!(n(&pair[0]["d_i"]) >= n(&pair[1]["d_i"]), "{way}: corollary 4.8");
                assert!(n(&pair[0]["bound"]) >= n(&pair[1]["bound"]));
            }
        }
        points.iter().for_each(|p| check(&report, p, n(&p["d_i"])));
    }
}

#[test]
fn the_state_named_is_the_one_at_the_distance() {
    let bench = Bench::with_policy();
    let set = &bench.json("certify p.safetensors --data drive.npz --horizon 9")["sets"][0];
    let at = set["at"].as_str().unwrap();
    let explained = bench.json(&format!("explain p.safetensors --data drive.npz --at {at}"));
    assert_eq!(explained["memory"]["distance"], set["d_i"]);
    let learned = bench.json("learn drive.npz --count 50 -o again.safetensors");
    assert_eq!((&learned["coverage"]["max"], &learned["most_isolated"]), (&set["d_i"], &set["at"]));
}

#[test]
fn visited_states_are_those_that_a_recording_has() {
    let bench = Bench::with_policy();
    bench.ok("collect --policy p.safetensors --task drive --episodes 3 --seed 1000 -o own.hdf5");
    let line = "certify p.safetensors --horizon 9 --data drive.npz";
    let visited = bench.json(&format!("{line} --visited --task drive --episodes 3"));
    let recorded = bench.json(&format!("{line} own.hdf5"));
    let last = |report: &Value| report["sets"].as_array().unwrap().last().unwrap().clone();
    for key in ["states", "median", "p95", "d_i", "at", "bound"] {
        assert_eq!(last(&visited)[key], last(&recorded)[key], "{key}");
    }
    assert_eq!(visited["bounding_box"], recorded["bounding_box"]);
    assert_ne!(visited["bounding_box"], bench.json(line)["bounding_box"]);
    let episode: f64 = last(&visited)["at"].as_str().unwrap().split(':').next().unwrap().parse().unwrap();
    assert_eq!(n(&last(&visited)["seed"]), 1000.0 + episode);
}

#[test]
fn from_other_episodes_is_what_the_calibration_has() {
    let bench = Bench::with_policy();
    let trained = bench.json("train drive.npz m.safetensors -o q.safetensors --hidden 8 --steps 3");
    let set = &bench.json("certify q.safetensors --data drive.npz --horizon 9")["sets"][0];
    assert_eq!(set["other_episodes"]["d_i"], trained["calibration"]["max"]);
    assert!(n(&set["other_episodes"]["d_i"]) > n(&set["d_i"]));
}

#[test]
fn it_says_vacuous_and_what_would_not_be_and_what_holds_for_which_states() {
    let bench = Bench::with_policy();
    let text = bench.ok("certify p.safetensors --data drive.npz --horizon 400");
    for part in [
        "400 (vacuous)",
        "informative (below H) if d_I is below",
        "|A| = 2: the number of action dimensions",
        "one reading",
        "For these states, and no others",
        "to other episodes",
        "For every state in their bounding box (10 dimensions)",
        "For every possible state: permissible regions are at most 2 wide",
        "NOT satisfied",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let text = bench.ok("certify m.safetensors --data drive.npz --horizon 400 --lambda inf");
    assert!(
        text.contains("lambda inf: nothing is constrained") && text.contains("vacuous at every distance"),
        "{text}"
    );
    let text = bench.ok("certify m.safetensors --data drive.npz --horizon 400 --lambda 0");
    assert!(text.contains("the function class has one member") && !text.contains("vacuous"), "{text}");
    bench.ok("learn drive.npz --selection all -o all.safetensors");
    let text = bench.ok("certify all.safetensors --data drive.npz --horizon 400 --lambda 1 --action-count 7");
    assert!(text.contains("all demonstrated actions are") && text.contains("|A| = 7: as given"), "{text}");
}

#[test]
fn lambda_is_given_as_the_other_verbs_take_it() {
    let bench = Bench::with_policy();
    let half = |lambda: &str| {
        let line = format!("certify p.safetensors --data drive.npz --horizon 400 --lambda {lambda}");
        n(&bench.json(&line)["half_distance"])
    };
    // weight:0.5 is one half at the typical distance; auto is a quarter there, so a half at half of it.
    let typical = half("weight:0.5");
    assert!(typical > 0.0 && (half("auto") - typical / 2.0).abs() < 1e-5 * typical);
    let explained = bench.json("explain p.safetensors --data drive.npz --at 0:5 --lambda weight:0.5");
    assert!((n(&explained["half_distance"]) - typical).abs() < 1e-5 * typical, "{explained}");
}

#[test]
fn the_exit_code_answers_at_most() {
    let bench = Bench::with_policy();
    let line = "certify m.safetensors --data drive.npz --horizon 2 --action-count 1 --lambda 0.01";
    let bound = n(&bench.json(line)["sets"][0]["bound"]);
    assert!(bound > 0.01 && bound < 2.0);
    let text = bench.ok(&format!("{line} --max-bound {}", bound + 1e-6));
    assert!(text.contains("yes, for all sets"));
    let no = bench.run(&format!("{line} --max-bound {}", bound - 1e-6));
    assert_eq!(no.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&no.stdout).contains("NO, the bound of a set"));
}

#[test]
fn the_network_is_not_looked_at_unless_it_has_to_act() {
    let bench = Bench::with_policy();
    let before = bench.json("certify p.safetensors --data drive.npz --horizon 9");
    let mut bytes = std::fs::read(bench.path("p.safetensors")).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let layout: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    for (name, array) in layout.as_object().unwrap().iter().filter(|(name, _)| name.starts_with("network.")) {
        let ends = &array["data_offsets"];
        let (from, to) = (n(&ends[0]) as usize, n(&ends[1]) as usize);
        assert!(to > from, "{name}");
        bytes[8 + header + from..8 + header + to].fill(0xff);
    }
    std::fs::write(bench.path("p.safetensors"), bytes).unwrap();
    let after = bench.json("certify p.safetensors --data drive.npz --horizon 9");
    assert_eq!((&before["sets"], &before["bounding_box"]), (&after["sets"], &after["bounding_box"]));
    let message = bench.refused("certify p.safetensors --data drive.npz --horizon 9 --visited --task drive");
    assert!(message.contains("NaN"), "{message}");
}

#[test]
fn a_picture_of_the_curve() {
    let bench = Bench::with_policy();
    let line = "certify p.safetensors --data drive.npz --horizon 9 --curve --plot c.svg";
    assert!(bench.ok(line).contains("plot         c.svg"));
    let svg = std::fs::read_to_string(bench.path("c.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN"));
    assert_eq!(
        svg.matches("<polyline").count(),
        12,
        "two panels, three ways, from all and from other episodes"
    );
    assert!(bench.refused(line).contains("--force"));
    bench.ok(&format!("{line} --force"));
    bench.ok(&line.replace("c.svg", "c.png"));
    assert!(std::fs::read(bench.path("c.png")).unwrap().starts_with(b"\x89PNG"));
    assert!(bench.refused(&line.replace("c.svg", "c.jpg")).contains(".png"));
}

#[test]
fn what_cannot_be_certified() {
    let bench = Bench::with_policy();
    bench.ok("learn drive.npz --selection all -o all.safetensors");
    bench.ok("train drive.npz all.safetensors --lambda 0 --k 5 -o vinn.safetensors");
    bench.ok("make drive --episodes 2 --seed 50 -o other.npz");
    std::fs::write(bench.path("empty.npz"), b"").unwrap();
    let states = "--data drive.npz --horizon 9";
    for (line, expected) in [
        ("certify p.safetensors --data drive.npz --horizon 0".into(), "0 is not in 1.."),
        ("certify p.safetensors --data drive.npz".into(), "--horizon"),
        ("certify p.safetensors --horizon 9".into(), "--data"),
        ("certify p.safetensors --data empty.npz --horizon 9".into(), "empty"),
        (format!("certify p.safetensors {states} --action-count 0"), "0 is not in 1.."),
        (format!("certify m.safetensors {states}"), "--lambda"),
        (format!("certify m.safetensors {states} --lambda=-1"), "lambda must be a number of 0 or more"),
        (format!("certify m.safetensors {states} --lambda nan"), "lambda must be a number of 0 or more"),
        (
            format!("certify m.safetensors {states} --lambda weight:0.5"),
            "lambda cannot be set from these data",
        ),
        (format!("certify m.safetensors {states} --lambda 1 --amplitude 0"), "L must be"),
        (format!("certify p.safetensors {states} --amplitude 0"), "L must be"),
        (format!("certify vinn.safetensors {states}"), "nearest memory"),
        (format!("certify p.safetensors {states} --visited"), "--task"),
        (format!("certify p.safetensors {states} --task drive"), "--visited"),
        (format!("certify m.safetensors {states} --lambda 1 --visited --task drive"), "another kind"),
        (format!("certify p.safetensors {states} --plot x.svg"), "--curve"),
        ("certify p.safetensors --data other.npz --horizon 9 --curve".into(), "chosen from"),
        (format!("certify p.run/checkpoint.safetensors {states}"), "checkpoint"),
    ] {
        let message = bench.refused(&line);
        assert!(message.contains(expected), "mcnn {line}: {expected:?} is not in\n{message}");
    }
    if let Some(shared) = common::shared("what_cannot_be_certified") {
        let door = shared.join("door-human-v1.hdf5");
        let message = bench.refused(&format!("certify p.safetensors --data {} --horizon 9", door.display()));
        assert!(
            message.contains("dimensions of the data and the memories differ") && message.contains("39"),
            "{message}"
        );
    }
}
