//! Names of dimensions: from a file of names or the data, through memories and policies, to what `inspect`, `explain` and `report`
//! show.

use crate::common::Bench;
use mcnn::{
    data::{DimensionNames, ReadOptions},
    file,
};
use serde_json::{Value, json};

/// The demonstrations and a policy of the built-in task, with a file of names.
fn bench() -> (Bench, Value) {
    let bench = Bench::with_policy();
    let data = mcnn::data::read(&bench.path("drive.npz"), &ReadOptions::default()).unwrap();
    let state_names: Vec<String> = (0..data.n_obs()).map(|i| format!("Größe-{i}")).collect();
    let names = json!({ "state_names": state_names, "action_names": ["steer", "throttle"] });
    std::fs::write(bench.path("names.json"), names.to_string()).unwrap();
    (bench, names)
}

fn assert_names(report: &Value, names: &Value) {
    for key in ["state_names", "action_names"] {
        assert_eq!(report[key], names[key], "{key}");
    }
}

/// The values on a page.
fn about(bench: &Bench, page: &str) -> Value {
    let text = std::fs::read_to_string(bench.path(page)).unwrap();
    let data = text.split(r#"<script type="application/json" id="data">"#).nth(1).unwrap();
    let data: Value = serde_json::from_str(data.split("</script>").next().unwrap()).unwrap();
    data["about"].clone()
}

#[test]
fn dimensions_are_shown_by_name_where_a_file_names_them_and_by_number_otherwise() {
    let (bench, names) = bench();
    let none = json!({ "state_names": null, "action_names": null });

    let inspect = "inspect drive.npz --names names.json";
    assert_names(&bench.json(inspect), &names);
    assert_names(&bench.json("inspect drive.npz"), &none);
    let text = bench.ok(inspect);
    assert!(text.contains("state dimension") && text.contains("action dimension"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("       1 Größe-1 ")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("       0 steer ")), "{text}");
    assert!(!bench.ok("inspect drive.npz").contains("state dimension "));

    let explain = "explain p.safetensors --in drive.npz --at 2:30";
    let named = format!("{explain} --names names.json");
    assert_names(&bench.json(&named), &names);
    assert_names(&bench.json(explain), &none);
    let [text, plain] = [bench.ok(&named), bench.ok(explain)];
    let (action, distance) = text.split_once("  distance ").unwrap();
    assert!(action.lines().any(|line| line.trim_start().starts_with("0 steer ")), "{text}");
    assert!(distance.contains(" Größe-"), "{text}");
    assert!(!plain.contains("name") && !plain.contains("steer"), "{plain}");

    bench.ok("report p.safetensors --in drive.npz --names names.json -o named.html");
    bench.ok("report p.safetensors --in drive.npz -o plain.html");
    assert_names(&about(&bench, "named.html"), &names);
    assert_names(&about(&bench, "plain.html"), &none);
}

#[test]
fn memories_and_policies_keep_the_names_of_the_data_or_of_the_file() {
    let (bench, names) = bench();
    let dimension_names: DimensionNames = serde_json::from_value(names.clone()).unwrap();
    let data = mcnn::data::read(&bench.path("drive.npz"), &ReadOptions::default()).unwrap();
    let named = data.with_names(dimension_names.clone()).unwrap();
    mcnn::data::write_npz(&bench.path("named.npz"), &named).unwrap();
    assert_names(&bench.json("inspect named.npz"), &names);

    let train = "--hidden 8 --steps 5 --batch 8";
    let memories = |file: &str| file::read_codebook(&bench.path(file)).unwrap().parts().names.clone();
    let policy =
        |file: &str| file::read_policy(&bench.path(file)).unwrap().0.codebook().parts().names.clone();
    bench.ok("learn drive.npz --count 50 --names names.json -o from-file.safetensors");
    assert_eq!(memories("from-file.safetensors"), dimension_names);
    bench.ok("learn named.npz --count 50 -o from-data.safetensors");
    assert_eq!(memories("from-data.safetensors"), dimension_names);
    // Memories without names get those of the data.
    bench.ok(&format!("train named.npz m.safetensors -o q.safetensors {train}"));
    assert_eq!(policy("q.safetensors"), dimension_names);
    assert_names(&bench.json("explain q.safetensors --in drive.npz --at 0:0"), &names);

    // One list in the file takes the place of that list alone.
    std::fs::write(bench.path("action.json"), r#"{"action_names": ["turn", "gas"]}"#).unwrap();
    let other = json!({ "state_names": names["state_names"], "action_names": ["turn", "gas"] });
    bench.ok(&format!("train drive.npz from-data.safetensors --names action.json -o r.safetensors {train}"));
    assert_names(&bench.json("explain r.safetensors --in named.npz --at 0:0"), &other);
    assert_names(&bench.json("explain q.safetensors --in named.npz --at 0:0 --names action.json"), &other);
    assert_eq!(policy("p.safetensors"), DimensionNames::default());
}

#[test]
fn files_of_names_that_do_not_fit_are_refused_by_every_verb() {
    let (bench, names) = bench();
    let n_obs = names["state_names"].as_array().unwrap().len();
    let repeated = json!({ "state_names": vec!["x"; n_obs] }).to_string();
    let expected = format!("expected: {n_obs} names");
    let wrong: [(&str, &str, &[&str]); 6] = [
        ("few.json", r#"{"state_names": ["x"]}"#, &["state_names", &expected, "found: 1 names"]),
        ("repeated.json", &repeated, &["occurs twice", "dimensions 0 and 1"]),
        ("neither.json", "{}", &["without names", "state_names", "neither key"]),
        (
            "key.json",
            r#"{"states": ["x"]}"#,
            &["cannot be read", "unknown field `states`", "\"state_names\": [\"x\""],
        ),
        ("text.json", "x, y", &["cannot be read", "expected: JSON such as"]),
        ("absent.json", "", &["check the path"]),
    ];
    for (file, text, parts) in wrong {
        if file != "absent.json" {
            std::fs::write(bench.path(file), text).unwrap();
        }
        for verb in [
            "inspect drive.npz",
            "learn drive.npz -o n.safetensors",
            "train drive.npz m.safetensors -o n.safetensors --steps 5",
            "explain p.safetensors --in drive.npz --at 0:0",
            "report p.safetensors --in drive.npz -o n.html",
        ] {
            let message = bench.refused(&format!("{verb} --names {file}"));
            for part in parts.iter().chain(&[file]) {
                assert!(message.contains(part), "{verb}, {file}: no {part:?} in {message}");
            }
        }
        assert!(!bench.path("n.safetensors").exists() && !bench.path("n.html").exists());
    }
}
