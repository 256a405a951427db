//! The statistics against values that scipy computes, and rliable's formulas in numpy
//! (python/tests/statistics_values.py). Their coverage: eval_coverage.rs.

use mcnn::{
    eval::stats::{
        Estimate, RESAMPLES, Rough, crossed, estimate, holm, improvement, interval, iqm, iqm_of, mean,
        median, median_of, optimality_gap, paired, profile, quantile, sign_flip, student, wilson,
    },
    seed::Seed,
};
use serde_json::Value;

/// What the script wrote.
fn wanted() -> Value {
    serde_json::from_str(include_str!("statistics_values.json")).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn lists(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(list).collect()
}

fn near(found: f64, wanted: f64, gap: f64) {
    assert!((found - wanted).abs() <= gap, "{found} for {wanted}");
}

/// The middle exactly, the ends within a share of the interval's half-width.
fn near_interval(found: Estimate, wanted: &Value, share: f64) {
    let wanted = list(wanted);
    near(found.mean, wanted[0], 1e-12);
    let gap = share * (wanted[2] - wanted[0]) + 1e-12;
    near(found.low, wanted[1], gap);
    near(found.high, wanted[2], gap);
}

/// About four standard errors of a standard error from [`RESAMPLES`] resamples.
const NOISE: f64 = 0.04;

#[test]
fn the_values_are_those_the_script_computes_now() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../python/tests/statistics_values.py");
    let python = std::env::var_os("MCNN_TEST_PYTHON");
    let has_scipy = |python: &std::ffi::OsString| {
        let import = std::process::Command::new(python).args(["-c", "import scipy"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    let Some(python) = python.filter(has_scipy) else {
        use std::io::Write as _;
        let line = "SKIPPED (eval_stats): set MCNN_TEST_PYTHON to a Python with scipy (python/requirements.txt, # tests)\n";
        let _ = std::io::stderr().write_all(line.as_bytes());
        return;
    };
    let output = std::process::Command::new(python).args([script, "--quick"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (now, wanted) = (serde_json::from_slice::<Value>(&output.stdout).unwrap(), wanted());
    for (key, value) in now.as_object().unwrap() {
        alike(key, value, &wanted[key]);
    }
    assert!(now.as_object().unwrap().len() >= 12);
}

/// The same but for the last digits, which differ by the processor.
fn alike(place: &str, a: &Value, b: &Value) {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => {
            assert!((number(a) - number(b)).abs() <= 1e-9 * number(b).abs().max(1.0), "{place}: {a}, {b}")
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).for_each(|(x, y)| alike(place, x, y));
        }
        (Value::Object(x), Value::Object(_)) => x.iter().for_each(|(key, x)| alike(key, x, &b[key])),
        _ => assert_eq!(a, b, "{place}"),
    }
}

#[test]
fn means_and_quantiles_are_scipys() {
    let (wanted, v) = (wanted(), list(&wanted()["values"]));
    near(mean(&v), number(&wanted["mean"]), 1e-12);
    for n in 1..=v.len() {
        near(iqm(&v[..n]), number(&wanted["iqm"][n - 1]), 1e-12);
        near(median(&v[..n]), number(&wanted["median"][n - 1]), 1e-12);
    }
    for pair in lists(&wanted["quantiles"]) {
        near(quantile(&v, pair[0]), pair[1], 1e-12);
    }
    assert!(mean(&[]).is_nan() && iqm(&[]).is_nan() && median(&[]).is_nan() && quantile(&[], 0.5).is_nan());
    assert_eq!(quantile(&[3.0], 0.7), 3.0);
}

#[test]
fn intervals_in_closed_form_are_scipys() {
    let (wanted, v) = (wanted(), list(&wanted()["values"]));
    for pair in lists(&wanted["student"]) {
        near(student(pair[0]), pair[1], 2e-6 * pair[1]);
    }
    near_interval(interval(&v), &wanted["interval"], 1e-6);
    near_interval(paired(&v, &list(&wanted["paired"]["b"])), &wanted["paired"]["difference"], 1e-6);
    for row in lists(&wanted["wilson"]) {
        let found = wilson(row[0] as usize, row[1] as usize);
        near(found[0], row[2], 1e-12);
        near(found[1], row[3], 1e-12);
        assert!(found[0] >= 0.0 && found[1] <= 1.0);
    }
    assert_eq!(wilson(0, 0), [0.0, 1.0]);
}

#[test]
fn sign_flips_and_their_correction_are_scipys() {
    let wanted = wanted();
    for test in wanted["flips"].as_array().unwrap() {
        let (a, b, p) = (list(&test["a"]), list(&test["b"]), number(&test["p"]));
        let found = sign_flip(&a, &b, Seed(4));
        if test["exact"] == true {
            near(found, p, 1e-12);
        } else {
            near(found, p, 4.0 * (p / 20_000.0).sqrt() + 1e-4);
            assert_eq!(found, sign_flip(&a, &b, Seed(4)), "its seed decides");
        }
        near(sign_flip(&b, &a, Seed(4)), found, 1e-12);
    }
    assert_eq!(sign_flip(&[1.0, 2.0], &[1.0, 2.0], Seed(4)), 1.0);
    assert_eq!(sign_flip(&[], &[], Seed(4)), 1.0);
    assert!(sign_flip(&[1.0; 500], &[0.0; 500], Seed(4)) > 0.0, "chance is never excluded by drawing");
    for family in wanted["holm"].as_array().unwrap() {
        for (found, wanted) in holm(&list(&family["p"])).into_iter().zip(list(&family["corrected"])) {
            near(found, wanted, 1e-12);
        }
    }
    assert!(holm(&[]).is_empty());
}

#[test]
fn several_runs_of_several_tasks_are_rliables() {
    let wanted = wanted();
    let (a, b, of_a) = (lists(&wanted["a"]), lists(&wanted["b"]), &wanted["of_a"]);
    near_interval(iqm_of(&a, RESAMPLES, Seed(1)), &of_a["iqm"], NOISE);
    near_interval(median_of(&a, RESAMPLES, Seed(1)), &of_a["median"], NOISE);
    near_interval(optimality_gap(&a, 1.0, RESAMPLES, Seed(1)), &of_a["gap"], NOISE);
    near_interval(improvement(&a, &b), &wanted["improvement"], 1e-6);
    let shares = lists(&of_a["profile"]);
    let found = profile(&a, &shares.iter().map(|pair| pair[0]).collect::<Vec<_>>(), RESAMPLES, Seed(1));
    for (found, pair) in found.iter().zip(&shares) {
        near(found.share.mean, pair[1], 1e-12);
        assert!(found.share.low >= 0.0 && found.share.high <= 1.0);
    }
    near_interval(found[2].share, &of_a["half"], NOISE);
    // What a's better than b is, b's better than a is not.
    let (there, back) = (improvement(&a, &b), improvement(&b, &a));
    near(there.mean + back.mean, 1.0, 1e-12);
    near(there.low + back.high, 1.0, 1e-9);
    let never = improvement(&[vec![0.0; 6]], &[vec![1.0; 6]]);
    assert!(never.mean == 0.0 && never.low == 0.0 && never.high > 0.2, "{never:?}");
    assert!(improvement(&[vec![]], &[vec![1.0]]).low.is_nan() && improvement(&[], &[]).low.is_nan());
}

#[test]
fn runs_and_episodes_are_told_apart_as_by_least_squares() {
    for test in wanted()["crossed"].as_array().unwrap() {
        let returns = lists(&test["returns"]);
        let found = crossed(&returns);
        near_interval(found.mean, &test["mean"], 1e-5);
        let shares = list(&test["shares"]);
        near(found.by_runs, shares[0], 1e-9);
        near(found.by_episodes, shares[1], 1e-9);
        assert_eq!((found.mean.n, found.episodes), (returns.len(), returns[0].len()));
    }
}

#[test]
fn what_would_halve_an_interval_is_what_makes_it_wide() {
    // Three runs that differ in general, on episodes that hardly do: only runs help, and four times as many.
    let runs: Vec<Vec<f64>> =
        [0.0, 10.0, 20.0].map(|r| (0..9).map(|e| r + f64::from(e % 2)).collect()).into();
    let found = crossed(&runs);
    assert!(found.by_runs > 0.9 && found.episodes_to_halve.is_none(), "{found:?}");
    assert!((12..=13).contains(&found.runs_to_halve.unwrap()), "{found:?}");
    // Three runs alike on episodes that differ: only episodes help.
    let runs: Vec<Vec<f64>> = (0..3).map(|_| (0..9).map(|e| f64::from(e * e % 7)).collect()).collect();
    let found = crossed(&runs);
    assert!(found.by_episodes > 0.9 && found.runs_to_halve.is_none(), "{found:?}");
    assert_eq!(found.episodes_to_halve, Some(36));
    // One run tells nothing of others.
    let found = crossed(&runs[..1]);
    assert_eq!((found.mean.low, found.mean.rough), (interval(&runs[0]).low, Some(Rough::Few)));
    assert!(found.by_runs.is_nan() && found.runs_to_halve.is_none());
    assert_eq!(crossed(&[vec![2.0; 4], vec![2.0; 4]]).mean.high, 2.0);
}

#[test]
fn what_cannot_be_known_is_not_said_and_what_is_rough_is() {
    for few in [&[][..], &[1.0]] {
        assert!(interval(few).low.is_nan() && interval(few).rough.is_none());
    }
    assert_eq!((interval(&[0.1; 7]).low, interval(&[0.1; 7]).rough), (mean(&[0.1; 7]), Some(Rough::Same)));
    let mostly: Vec<f64> = (0..20).map(|i| f64::from(u8::from(i > 0))).collect();
    assert_eq!(interval(&mostly).rough, Some(Rough::Skewed));
    assert_eq!(interval(&(0..20).map(f64::from).collect::<Vec<_>>()).rough, None);
    let of = |runs: &[usize]| {
        let tasks: Vec<Vec<f64>> = runs.iter().map(|&n| (0..n).map(|i| i as f64).collect()).collect();
        iqm_of(&tasks, 100, Seed(1))
    };
    assert!(of(&[5, 1]).low.is_nan() && of(&[]).low.is_nan());
    assert_eq!((of(&[5, 4]).rough, of(&[5, 5]).rough), (Some(Rough::Few), None));
}

#[test]
fn the_bootstrap_is_its_seeds_and_stays_within_its_tasks() {
    let tasks = vec![vec![0.0, 1.0, 2.0], vec![50.0, 51.0, 55.0, 56.0]];
    let total = |tasks: &[Vec<f64>]| mean(&tasks.concat());
    let of = |seed| estimate(&tasks, total, 500, Seed(seed));
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    estimate(&tasks, |t| f64::from(u8::from(t[0].len() == 3 && t[0].iter().all(|x| *x < 3.0))), 50, Seed(1));
    // A mean's standard error is exact but for the drawing: the variances of the tasks' sums, over all runs.
    let exact = (3.0 * 1.0 + 4.0 * (26.0 / 3.0_f64)).sqrt() / 7.0;
    near((of(1).high - of(1).mean) / student(5.0), exact, 0.1 * exact);
}
