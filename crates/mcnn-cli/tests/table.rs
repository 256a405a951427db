//! `mcnn table` on a committed file of results, against numpy and scipy (python/tests/statistics_values.py --table).

use crate::common::Bench;
use serde_json::Value;

fn bench() -> Bench {
    let bench = Bench::new();
    std::fs::write(bench.path("r.jsonl"), include_str!("table.jsonl")).unwrap();
    bench
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

fn near(found: &Value, wanted: &Value, gap: f64) {
    let (found, wanted) = (number(found), number(wanted));
    assert!((found - wanted).abs() <= gap * wanted.abs().max(1.0), "{found} for {wanted}");
}

/// An interval against [middle, low, high]; the ends within a share of its width.
fn near_interval(found: &Value, wanted: &Value, share: f64) {
    near(&found["mean"], &wanted[0], 1e-9);
    let gap = share * (number(&wanted[2]) - number(&wanted[1]));
    for (end, k) in [("low", 1), ("high", 2)] {
        let (found, wanted) = (number(&found[end]), number(&wanted[k]));
        assert!((found - wanted).abs() <= gap, "{end}: {found} for {wanted}");
    }
}

#[test]
fn every_number_is_numpys() {
    let wanted: Value = serde_json::from_str(include_str!("table.json")).unwrap();
    let table = bench().json("table r.jsonl");
    assert_eq!((table["unit"].as_str(), table["runs"].as_u64()), (Some("score"), Some(19)));
    let methods = table["methods"].as_array().unwrap();
    assert_eq!(methods.len(), 2);
    for (method, name) in methods.iter().zip(["auto", "inf"]) {
        assert_eq!(method["label"], format!("lambda {name}"));
        for (cell, column) in
            method["cells"].as_array().unwrap().iter().zip(table["columns"].as_array().unwrap())
        {
            let wanted = &wanted[format!("{name} {}", column["task"].as_str().unwrap())];
            near_interval(&cell["mean"], &wanted["mean"], 1e-5);
            near(&cell["by_runs"], &wanted["shares"][0], 1e-9);
            near(&cell["weight"], &wanted["weight"], 1e-9);
            assert_eq!((&cell["seeds"], cell["episodes"].as_u64()), (&wanted["seeds"], Some(6)));
            for (run, wanted) in
                cell["runs"].as_array().unwrap().iter().zip(wanted["runs"].as_array().unwrap())
            {
                near(run, wanted, 1e-9);
            }
        }
        let (all, wanted) = (&method["all"], &wanted[name]);
        near_interval(&all["iqm"], &wanted["iqm"], 0.04);
        near_interval(&all["median"], &wanted["median"], 0.04);
        near_interval(&all["optimality_gap"], &wanted["gap"], 0.04);
        for (point, share) in
            all["profile"].as_array().unwrap().iter().zip(wanted["profile"].as_array().unwrap())
        {
            near(&point["share"]["mean"], share, 1e-9);
        }
    }
    assert!(methods[0]["improvement"].is_null());
    near_interval(&methods[1]["improvement"], &wanted["improvement"], 1e-6);
}

#[test]
fn what_failed_or_is_not_there_is_said() {
    let bench = bench();
    let table = bench.json("table r.jsonl");
    assert_eq!(table["methods"][0]["cells"][1]["missing"], serde_json::json!([3, 4]));
    assert_eq!(table["methods"][1]["cells"][1]["missing"], serde_json::json!([]));
    assert_eq!(
        (&table["failed"][0]["error"], &table["failed"][0]["seed"]),
        (&"training diverged".into(), &3.into())
    );
    let text = bench.ok("table r.jsonl");
    for part in
        ["INCOMPLETE: 2 missing", "FAILED", "training diverged", "seed 3", "5x6", "3x6", "rough", "all: IQM"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    // The order of the lines does not matter.
    let mut lines: Vec<&str> = include_str!("table.jsonl").lines().collect();
    lines.reverse();
    std::fs::write(bench.path("r.jsonl"), lines.join("\n") + "\n").unwrap();
    assert_eq!(bench.json("table r.jsonl"), table);
}

#[test]
fn rows_are_those_asked_for_and_never_mix_methods() {
    let bench = bench();
    let label = |line: &str| bench.json(line)["methods"][1]["label"].as_str().unwrap().to_string();
    assert_eq!(label("table r.jsonl --rows amplitude,lambda"), "amplitude 1, lambda inf");
    let message = bench.refused("table r.jsonl --rows amplitude");
    assert!(message.contains("mix") && message.contains("lambda"), "{message}");
    let message = bench.refused("table r.jsonl --rows color");
    assert!(message.contains("color") && message.contains("lambda"), "{message}");
    std::fs::write(bench.path("none.jsonl"), "").unwrap();
    assert!(bench.refused("table none.jsonl").contains("no results"));
    assert!(bench.refused("table nowhere.jsonl").contains("nowhere.jsonl"));
}

#[test]
fn the_picture_shows_every_method_and_needs_nothing_else() {
    let bench = bench();
    bench.ok("table r.jsonl --plot r.svg");
    let picture = std::fs::read_to_string(bench.path("r.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
    for part in ["lambda auto", "lambda inf", "door / human", "pen / human", "interquartile mean", "polyline"]
    {
        assert!(picture.contains(part), "{part}");
    }
    assert_eq!(picture.matches("<circle").count(), 6, "two methods, two columns and all of them");
    assert!(!picture.contains("NaN") && !picture.contains("inf\"") && !picture.contains("href"));
    assert!(bench.refused("table r.jsonl --plot r.svg").contains("--force"));
    assert!(bench.refused("table r.jsonl --plot r.jpg").contains(".svg"));
}
