//! `mcnn report`: a page with the library's values, valid for any names and sizes and with missing parts.

use crate::common::Bench;
use mcnn::{
    data::{Demonstrations, ReadOptions},
    eval::{Run, rollout},
    file,
    memory::Codebook,
    policy::Policy,
};
use serde_json::Value;

const DATA: &str = r#"<script type="application/json" id="data">"#;

/// The page, and the data in it.
fn page(bench: &Bench, name: &str) -> (String, Value) {
    let text = std::fs::read_to_string(bench.path(name)).unwrap();
    let data = text.split(DATA).nth(1).unwrap().split("</script>").next().unwrap();
    let data = serde_json::from_str(data).unwrap();
    (text, data)
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("a list: {value}"))
}

/// A number as f32, in which the library has it.
fn n(value: &Value) -> f32 {
    value.as_f64().unwrap_or_else(|| panic!("a number: {value}")) as f32
}

/// A value as it reads once it was written: a f32 in its shortest digits.
fn written(value: &impl serde::Serialize) -> Value {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

fn files(bench: &Bench) -> (Policy, Demonstrations) {
    let data = mcnn::data::read(&bench.path("drive.npz"), &ReadOptions::default()).unwrap();
    (file::read_policy(&bench.path("p.safetensors")).unwrap().0, data)
}

fn notes(page: &Value) -> String {
    list(&page["notes"]).iter().map(|n| n.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_step_on_the_page_is_as_the_policy_explains_it() {
    let bench = Bench::with_policy();
    let report = bench.json("report p.safetensors --in drive.npz -o r.html");
    let (text, page) = page(&bench, "r.html");
    // Its title is there without its script running.
    let name = page["about"]["name"].as_str().unwrap();
    assert!(text.contains(&format!("<title>{name}: mcnn report</title>")), "{name}");
    assert!(text.contains(&format!("<h1 id=\"title\">{name}</h1>")), "{name}");
    assert_eq!(page["about"]["objective"], "mean squared error of the network's action");
    assert_eq!((report["bytes"].as_u64(), list(&report["episodes"]).len()), (Some(text.len() as u64), 4));
    let (policy, data) = files(&bench);
    let elsewhere = policy.codebook().retrieve_leave_one_episode_out(&data);
    for (k, t) in [(0, 0), (0, 7), (2, 31), (3, 100)] {
        let start = data.episode(k).start;
        let i = start + t;
        let x = policy.explain(&data.states_of(start..i + 1)).unwrap();
        let step = &page["episodes"][k]["steps"][t];
        assert_eq!(page["episodes"][k]["number"], k);
        assert_eq!(step["memory"], written(&x.memory));
        assert_eq!(step["runner_up"], written(&x.runner_up));
        assert_eq!((n(&step["weight"]), n(&step["radius"])), (x.weight, x.radius));
        assert_eq!(Some(n(&step["quantile"])), x.quantile);
        let got: Vec<f32> = list(&step["contributions"]).iter().map(n).collect();
        assert_eq!(got, x.contributions);
        for (row, d) in list(&step["dimensions"]).iter().zip(&x.dimensions) {
            let expected = [d.memory_action, d.center, d.network_action.unwrap(), d.action];
            assert_eq!([0, 1, 2, 3].map(|j| n(&row[j])), expected);
            assert_eq!((&row[4], n(&row[5]), n(&row[6])), (&Value::Null, d.low, d.high));
        }
        let taken: Vec<f32> = list(&step["taken"]).iter().map(n).collect();
        assert_eq!(taken, &data.action(i)[..]);
        assert_eq!(step["acted"], Value::Null);
        assert_eq!(Some(n(&step["elsewhere"])), elsewhere[i].map(|r| r.distance));
        // The errors without the episode's own memories: of the mixture with the nearest other memory's action, and of that.
        let (nearest, lambda) = (elsewhere[i].unwrap(), policy.envelope().lambda);
        let weight = (-lambda * nearest.distance).exp();
        let mut squares = [0.0_f32; 2];
        for (k, d) in x.dimensions.iter().enumerate() {
            let (memory, wanted) = (policy.codebook().action(nearest.memory)[k], data.action(i)[k]);
            let mixed = weight * memory + (1.0 - weight) * d.network_action.unwrap();
            squares[0] += (mixed - wanted).powi(2);
            squares[1] += (memory - wanted).powi(2);
        }
        for (found, square) in list(&step["errors"]).iter().map(n).zip(squares) {
            let expected = (square / x.dimensions.len() as f32).sqrt();
            assert!((found - expected).abs() < 1e-3, "step {t}: {found}, {expected}");
        }
    }
    // The map's uses and the coverage count every state of the data once.
    let uses: f32 = list(&page["map"]["uses"]).iter().map(n).sum();
    assert_eq!(uses as usize, data.n_steps());
    let book: &Codebook = policy.codebook();
    assert_eq!(list(&page["map"]["memories"]).len(), book.len());
    assert_eq!(list(&page["map"]["edges"]).len(), book.parts().edges.len());
    let distances = book.distances(&data);
    let set = &page["coverage"]["sets"][0];
    assert_eq!(n(&set["max"]), distances.iter().copied().fold(0.0, f32::max));
    assert_eq!(list(&set["counts"]).iter().map(|c| c.as_u64().unwrap()).sum::<u64>(), data.n_steps() as u64);
    // And the training curve is the log's.
    let log = std::fs::read_to_string(bench.path("p.run/log.jsonl")).unwrap();
    let first: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(list(&page["losses"]).len(), log.lines().count());
    assert_eq!((&page["losses"][0]["step"], &page["losses"][0]["loss"]), (&first["step"], &first["loss"]));
}

#[test]
fn visited_episodes_are_those_of_eval() {
    let bench = Bench::with_policy();
    let line = "report p.safetensors --in drive.npz --task drive --episodes 5 --seed 70 --show 1,4 -o r.html";
    let report = bench.json(line);
    let (_, page) = page(&bench, "r.html");
    let run = Run { episodes: 5, first_seed: 70, threads: 1, environments_per_worker: 1, trace: true };
    let (policy, _) = files(&bench);
    let task = mcnn::task::drive::Drive::new();
    let ran = rollout(&policy, &task, &run, &|_| ()).unwrap();
    assert_eq!(report["visited_states"].as_u64(), Some(ran.iter().map(|e| e.length as u64).sum()));
    let shown: Vec<&Value> = list(&page["episodes"]).iter().filter(|e| e["visited"] == true).collect();
    assert_eq!((list(&page["episodes"]).len(), shown.len()), (3, 2), "the data has an episode 1, and no 4");
    for (k, got) in [1, 4].into_iter().zip(shown) {
        let expected = &ran[k];
        assert_eq!(got["seed"].as_u64(), Some(70 + k as u64));
        // Parsed JSON numbers can be off by their last digit.
        assert!((got["return"].as_f64().unwrap() - expected.ret).abs() < 1e-12 * expected.ret.abs(), "{got}");
        assert_eq!(
            (got["success"].as_bool(), got["length"].as_u64()),
            (expected.success, Some(expected.length as u64))
        );
        let decisions = &expected.trace.as_ref().unwrap().decisions;
        for (step, d) in list(&got["steps"]).iter().zip(decisions) {
            let acted = &step["acted"];
            assert_eq!((Some(n(&acted["distance"])), Some(n(&acted["weight"]))), (d.distance, d.weight));
            assert_eq!(
                (acted["memory"].as_u64(), Some(n(&acted["quantile"]))),
                (d.memory.map(|m| m as u64), d.quantile)
            );
            // One action at a time: what would be explained is what acted, and what was taken lies in its box.
            assert_eq!(step["memory"]["memory"], acted["memory"]);
            for (row, taken) in list(&step["dimensions"]).iter().zip(list(&step["taken"])) {
                assert!(n(&row[5]) <= n(taken) && n(taken) <= n(&row[6]));
            }
        }
    }
}

#[test]
fn the_page_needs_nothing_else_and_no_name_breaks_out_of_its_numbers() {
    let bench = Bench::with_policy();
    let hostile = "a<script>alert(1)<!--$&$'.npz";
    std::fs::rename(bench.path("drive.npz"), bench.path(hostile)).unwrap();
    bench.ok(&format!("report p.safetensors --in {hostile} -o plain.html"));
    // (A name cannot contain the / of an end tag, but a folder's name before it can end in <.)
    std::fs::create_dir_all(bench.path("x<")).unwrap();
    std::fs::rename(bench.path(hostile), bench.path("x</script>.npz")).unwrap();
    bench.ok("report p.safetensors --in x</script>.npz -o r.html --plots pictures");
    let (plain, _) = page(&bench, "plain.html");
    let (text, data) = page(&bench, "r.html");
    assert_eq!(data["about"]["data"], "x</script>.npz");
    for text in [&plain, &text] {
        assert_eq!(text.matches("<script").count(), 2, "the data and the script");
        assert_eq!(text.matches("</script>").count(), 2);
        for outside in ["http://", "https://", "src=", "@import", "url(", "innerHTML"] {
            assert!(!text.contains(outside), "{outside}");
        }
    }
    for name in ["codebook", "coverage", "episode"] {
        let picture = std::fs::read_to_string(bench.path(&format!("pictures/{name}.svg"))).unwrap();
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"), "{name}");
        assert!(!picture.contains("NaN") && !picture.contains("inf"), "{name}");
    }
    assert!(
        bench
            .refused("report p.safetensors --in x</script>.npz -o s.html --plots pictures")
            .contains("codebook.svg")
    );
    assert!(!bench.path("s.html").exists());
}

#[test]
fn what_a_policy_lacks_is_said() {
    let bench = Bench::with_policy();
    let report = |policy: &str, data: &str| {
        bench.ok(&format!("report {policy} --in {data} -o r.html --force --plots pictures"));
        page(&bench, "r.html").1
    };
    bench.ok("train drive.npz m.safetensors -o zero.safetensors --lambda 0");
    let zero = report("zero.safetensors", "drive.npz");
    assert!(notes(&zero).contains("lambda is 0"), "{}", notes(&zero));
    let row = &zero["episodes"][0]["steps"][3]["dimensions"][0];
    assert_eq!((&row[2], &row[5]), (&Value::Null, &row[6]), "no network output, and a box that is a point");
    bench.ok("train drive.npz m.safetensors -o inf.safetensors --lambda inf --hidden 8 --steps 20");
    let inf = report("inf.safetensors", "drive.npz");
    assert!(notes(&inf).contains("infinite") && inf["about"]["lambda"] == "inf");
    let row = &inf["episodes"][0]["steps"][3]["dimensions"][0];
    assert_eq!((n(&row[5]), n(&row[6])), (-1.0, 1.0), "every box is [-L, L]");
    // Without a calibration and a run folder, on other data.
    bench.ok("memory drop p.safetensors --memories 0,1");
    std::fs::remove_dir_all(bench.path("p.run")).unwrap();
    bench.ok("make drive --episodes 1 --seed 90 -o other.npz");
    let bare = report("p.safetensors", "other.npz");
    for part in ["no distance calibration", "No training curve", "not those from which the memories"] {
        assert!(notes(&bare).contains(part), "{part}: {}", notes(&bare));
    }
    assert_eq!((&bare["about"]["far"], list(&bare["losses"]).len()), (&Value::Null, 0));
    assert_eq!(bare["episodes"][0]["steps"][0]["quantile"], Value::Null);
    assert_eq!(list(&bare["coverage"]["sets"]).len(), 1, "of other data there are no other episodes");
}

#[test]
fn bad_input_is_refused_before_a_page_is_written() {
    let bench = Bench::with_policy();
    std::fs::write(bench.path("empty.npz"), b"").unwrap();
    wide(&bench, 3, 1, 4);
    bench.ok("report p.safetensors --in drive.npz -o there.html");
    for (line, expected) in [
        ("report p.safetensors --in empty.npz -o r.html", "empty"),
        ("report m.safetensors --in drive.npz -o r.html", "another kind"),
        ("report p.safetensors --in drive.npz -o nowhere/r.html", "does not exist"),
        ("report p.safetensors --in drive.npz -o there.html", "exists already"),
        ("report p.safetensors --in drive.npz --show 9 -o r.html", "0 to 3"),
        ("report p.safetensors --in drive.npz --show 4294967296 -o r.html", "no such episode"),
        ("report p.safetensors --in drive.npz --task dor -o r.html", "dor"),
        ("report p.safetensors --in wide.npz -o r.html", "dimensions of the data and the memories differ"),
    ] {
        let message = bench.refused(line);
        assert!(message.contains(expected), "mcnn {line}: {expected:?} is not in\n{message}");
    }
    assert!(!bench.path("r.html").exists());
}

/// Writes `wide.npz`: two episodes of random values of given dimensions.
fn wide(bench: &Bench, n_obs: usize, n_act: usize, steps: usize) {
    let mut rng = mcnn::seed::Seed(1).rng();
    let mut draw = |n: usize| (0..n).map(|_| rng.between(-1.0, 1.0) as f32).collect::<Vec<_>>();
    let parts = mcnn::data::Parts {
        n_obs,
        n_act,
        states: draw(2 * steps * n_obs),
        actions: draw(2 * steps * n_act),
        rewards: None,
        ends: vec![steps, 2 * steps],
    };
    let data = Demonstrations::new(parts, mcnn::data::ActionRange::Refuse).unwrap();
    mcnn::data::write_npz(&bench.path("wide.npz"), &data).unwrap();
}

#[test]
fn a_page_of_wide_states_many_memories_and_long_episodes_stays_small() {
    let bench = Bench::new();
    wide(&bench, 40, 30, 4000);
    bench.ok("learn wide.npz --by all -o m.safetensors");
    bench.ok("train wide.npz m.safetensors -o p.safetensors --hidden 4 --steps 2");
    let report = bench.json("report p.safetensors --in wide.npz -o r.html");
    let size = report["bytes"].as_u64().unwrap();
    assert!(size < 5_000_000, "{size}");
    assert!(size > 2_000_000, "the allowance is used: {size}");
    let (_, page) = page(&bench, "r.html");
    for part in ["of 8000 memories", "only the first steps"] {
        assert!(notes(&page).contains(part), "{part}: {}", notes(&page));
    }
    for e in list(&page["episodes"]) {
        assert!(list(&e["steps"]).len() > 300, "both episodes have a share");
        // Whatever acts in the steps shown is on the map.
        for step in list(&e["steps"]) {
            assert!(list(&page["map"]["memories"]).contains(&step["memory"]["memory"]));
        }
    }
}

/// Embeddings have thousands of dimensions.
#[test]
fn a_page_of_wide_states_comes_to_its_end() {
    let bench = Bench::new();
    let (steps, n_obs) = (120, 2048);
    let parts = mcnn::data::Parts {
        n_obs,
        n_act: 1,
        states: (0..steps * n_obs).map(|k| ((k * 7919 % 10_007) as f32 / 5000.0) - 1.0).collect(),
        actions: (0..steps).map(|i| i as f32 / steps as f32).collect(),
        rewards: None,
        ends: vec![steps / 2, steps],
    };
    let data = Demonstrations::new(parts, mcnn::data::ActionRange::Refuse).unwrap();
    mcnn::data::write_npz(&bench.path("wide.npz"), &data).unwrap();
    bench.ok("learn wide.npz --count 100 -o m.safetensors");
    bench.ok("train wide.npz m.safetensors --lambda 0 -o p.safetensors");
    let report = bench.json("report p.safetensors --in wide.npz -o r.html");
    assert_eq!(report["memories_drawn"], 100);
    let (_, page) = page(&bench, "r.html");
    let shares: Vec<f32> = list(&page["map"]["shares"]).iter().map(n).collect();
    assert!(shares[0] >= shares[1] && shares[1] > 0.0 && shares[0] < 1.0, "{shares:?}");
}
