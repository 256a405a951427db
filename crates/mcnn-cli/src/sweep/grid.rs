//! Results as a table: a row for each method (all varying settings except the seed), a column for each task and data set.

use std::collections::BTreeSet;

use mcnn::{
    Error, Result,
    error::Kind,
    eval::stats::{self, Crossed, Estimate, Profile, RESAMPLES},
    seed::Seed,
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::results::Line;

/// The results by method and column.
#[derive(Serialize)]
pub struct Grid {
    /// The unit of all values: "score" (normalized) where every task has reference returns, else "return".
    pub unit: &'static str,
    pub columns: Vec<Column>,
    pub methods: Vec<Method>,
    pub failed: Vec<Failed>,
}

/// A task and the demonstrations learned from.
#[derive(Serialize, Clone, PartialEq)]
pub struct Column {
    pub task: String,
    pub data: String,
    /// Content hash of the demonstrations.
    pub fingerprint: String,
}

/// A method: its settings and results.
#[derive(Serialize)]
pub struct Method {
    /// The settings in which it differs from other rows.
    pub label: String,
    pub settings: Map<String, Value>,
    /// One per column; null where no run of the method is complete.
    pub cells: Vec<Option<Cell>>,
    /// Over all columns, if there are several and the method has runs in each.
    pub all: Option<All>,
    /// Probability of improvement: that a run of it has a higher mean than a run of the first method, over the columns that both
    /// have. Null for the first.
    pub improvement: Option<Estimate>,
}

/// The runs of a method in a column.
#[derive(Serialize)]
pub struct Cell {
    #[serde(flatten)]
    pub found: Crossed,
    /// Mean memory weight over the visited states.
    pub weight: Option<f64>,
    pub seeds: Vec<u64>,
    /// Seeds that other methods have in this column and this one lacks: failed, or not yet run.
    pub missing: Vec<u64>,
    /// The mean of each run, in the order of `seeds`.
    pub runs: Vec<f64>,
}

/// Aggregates of a method's runs over all columns, as in rliable (Agarwal et al. 2021).
#[derive(Serialize)]
pub struct All {
    pub iqm: Estimate,
    pub median: Estimate,
    /// Mean amount by which the runs miss a score of 100; null for returns.
    pub optimality_gap: Option<Estimate>,
    /// Performance profile: the share of runs above each threshold.
    pub profile: Vec<Profile>,
}

/// A run that failed.
#[derive(Serialize)]
pub struct Failed {
    pub label: String,
    pub column: Column,
    pub seed: u64,
    pub error: String,
}

/// Settings that do not belong to a method.
const NOT_OF_METHOD: [&str; 4] = ["seed", "task", "task_options", "data"];

/// Arranges results as a table. `rows` names the settings that distinguish rows, in the order in which labels have them; if it is
/// empty, all settings that vary.
///
/// # Errors
/// If there are no results, `rows` names an unknown setting, or a row would mix several methods.
pub fn arrange(lines: &[Line], rows: &[String]) -> Result<Grid> {
    // Runs finish in any order; sorted, the table does not depend on it.
    let mut lines: Vec<&Line> = lines.iter().collect();
    lines.sort_by_cached_key(|l| l.key());
    let Some(example) = lines.first() else {
        return Err(
            Error::new(Kind::File, "there are no results").next("mcnn sweep PLAN -o RESULTS makes them")
        );
    };
    let known: Vec<String> =
        settings(example).keys().filter(|key| !NOT_OF_METHOD.contains(&key.as_str())).cloned().collect();
    if let Some(unknown) = rows.iter().find(|row| !known.contains(row)) {
        return Err(Error::new(Kind::Settings, "there is no such setting")
            .at("--rows")
            .expected(known.join(", "))
            .found(unknown));
    }
    let of: Vec<Map<String, Value>> = lines.iter().map(|l| method_settings(l)).collect();
    let varying: Vec<String> = known
        .iter()
        .filter(|key| {
            of.iter()
                .filter_map(|s| s.get(*key))
                .any(|value| Some(value) != of.iter().find_map(|s| s.get(*key)))
        })
        .cloned()
        .collect();
    let shown = if rows.is_empty() { varying.clone() } else { rows.to_vec() };
    let mut methods: Vec<Map<String, Value>> = Vec::new();
    for one in &of {
        if !methods.contains(one) {
            methods.push(one.clone());
        }
    }
    let labels: Vec<String> = methods.iter().map(|m| label(m, &shown)).collect();
    if let Some(twice) = labels.iter().enumerate().find_map(|(i, l)| labels[..i].contains(l).then_some(l)) {
        return Err(Error::new(Kind::Settings, "a row would mix several methods")
            .at(format!("--rows, the row {twice:?}"))
            .expected(format!("enough of the settings that vary: {}", varying.join(", "))));
    }
    let mut columns: Vec<Column> = Vec::new();
    for line in &lines {
        let column = column(line);
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let good = || lines.iter().filter(|l| l.error.is_none());
    let scored = good().all(|l| l.reference.is_some());
    let unit = if scored { "score" } else { "return" };
    let mut all: Vec<Method> = Vec::new();
    for (method, label) in methods.iter().zip(&labels) {
        let cells: Vec<Option<Cell>> = columns
            .iter()
            .map(|c| {
                let here: Vec<&Line> = lines
                    .iter()
                    .zip(&of)
                    .filter(|(l, s)| *s == method && column(l) == *c)
                    .map(|(l, _)| *l)
                    .collect();
                let seeds = lines.iter().filter(|l| column(l) == *c).map(|l| l.settings.seed).collect();
                cell(&here, &seeds, scored)
            })
            .collect();
        let one_task = columns.iter().all(|c| c.task == columns[0].task);
        let overall = (columns.len() > 1 && (scored || one_task)).then(|| overall(&cells, scored)).flatten();
        let improvement = all.first().and_then(|first| improvement(&cells, &first.cells));
        let settings = shown.iter().filter_map(|k| Some((k.clone(), method.get(k)?.clone()))).collect();
        all.push(Method { label: label.clone(), settings, cells, all: overall, improvement });
    }
    let failed = lines
        .iter()
        .zip(&of)
        .filter_map(|(l, s)| {
            let (column, seed) = (column(l), l.settings.seed);
            Some(Failed { label: label(s, &shown), column, seed, error: l.error.clone()? })
        })
        .collect();
    Ok(Grid { unit, columns, methods: all, failed })
}

fn column(line: &Line) -> Column {
    Column {
        task: line.settings.task_name(),
        data: crate::beside::stem(std::path::Path::new(&line.settings.data)),
        fingerprint: line.data.clone(),
    }
}

fn settings(line: &Line) -> Map<String, Value> {
    match serde_json::to_value(&line.settings) {
        Ok(Value::Object(map)) => map,
        _ => unreachable!("settings are plain values"),
    }
}

/// The settings of a run's method: without those that have no effect in it, and those that are null.
fn method_settings(line: &Line) -> Map<String, Value> {
    let without_effect = line.settings.without_effect();
    let counts = |key: &str| !NOT_OF_METHOD.contains(&key) && !without_effect.contains(&key);
    settings(line).into_iter().filter(|(key, value)| counts(key) && !value.is_null()).collect()
}

fn label(settings: &Map<String, Value>, shown: &[String]) -> String {
    let text = |value: &Value| match value {
        Value::String(word) => word.clone(),
        Value::Number(n) => n.as_f64().map_or_else(String::new, |n| n.to_string()), // 10, not 10.0
        other => other.to_string(),
    };
    let parts: Vec<String> =
        shown.iter().filter_map(|k| Some(format!("{k} {}", text(settings.get(k)?)))).collect();
    if parts.is_empty() { "all runs".into() } else { parts.join(", ") }
}

/// The runs of one method in one column; none where no run is complete.
fn cell(here: &[&Line], seeds: &BTreeSet<u64>, scored: bool) -> Option<Cell> {
    let mut good: Vec<&&Line> = here.iter().filter(|l| l.error.is_none()).collect();
    good.sort_by_key(|l| l.settings.seed);
    let returns: Vec<Vec<f64>> = good
        .iter()
        .map(|l| {
            let unit = |r: f64| match l.reference {
                Some([random, expert]) if scored => 100.0 * (r - random) / (expert - random),
                _ => r,
            };
            l.returns.iter().map(|r| r.map_or(f64::NAN, unit)).collect()
        })
        .collect();
    if returns.is_empty() || returns[0].is_empty() || returns.iter().any(|r| r.len() != returns[0].len()) {
        return None;
    }
    let made: Vec<u64> = good.iter().map(|l| l.settings.seed).collect();
    let mut found = stats::crossed(&returns);
    let mut missing: Vec<u64> = seeds.iter().filter(|s| !made.contains(s)).copied().collect();
    if let [only] = good.as_slice()
        && only.settings.is_deterministic()
    {
        // The run is the same for all seeds, so only the episodes are random.
        (found.mean, missing) = (stats::interval(&returns[0]), Vec::new());
    }
    let weights: Vec<f64> = good.iter().filter_map(|l| l.eval.as_ref()?["weight"].as_f64()).collect();
    Some(Cell {
        found,
        weight: (!weights.is_empty()).then(|| stats::mean(&weights)),
        missing,
        seeds: made,
        runs: returns.iter().map(|r| stats::mean(r)).collect(),
    })
}

fn overall(cells: &[Option<Cell>], scored: bool) -> Option<All> {
    let tasks: Vec<Vec<f64>> = cells.iter().map(|c| Some(c.as_ref()?.runs.clone())).collect::<Option<_>>()?;
    let runs = || tasks.iter().flatten().copied();
    let (low, high) = if scored {
        (0.0, 100.0)
    } else {
        (runs().fold(f64::MAX, f64::min), runs().fold(f64::MIN, f64::max))
    };
    let taus: Vec<f64> = (0..=20).map(|i| low + (high - low) * f64::from(i) / 20.0).collect();
    Some(All {
        iqm: stats::iqm_of(&tasks, RESAMPLES, Seed(0)),
        median: stats::median_of(&tasks, RESAMPLES, Seed(0)),
        optimality_gap: scored.then(|| stats::optimality_gap(&tasks, 100.0, RESAMPLES, Seed(0))),
        profile: stats::profile(&tasks, &taus, RESAMPLES, Seed(0)),
    })
}

fn improvement(cells: &[Option<Cell>], first: &[Option<Cell>]) -> Option<Estimate> {
    let both = cells
        .iter()
        .zip(first)
        .filter_map(|(a, b)| Some((a.as_ref()?.runs.clone(), b.as_ref()?.runs.clone())));
    let (a, b): (Vec<_>, Vec<_>) = both.unzip();
    (!a.is_empty()).then(|| stats::improvement(&a, &b))
}
