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

use super::{
    names,
    record::{Column, Evaluation, Record},
};

/// The results by method and column.
#[derive(Serialize)]
pub struct Grid {
    /// The unit of all values: "score" (normalized) where every task has reference returns, else "return".
    pub unit: &'static str,
    pub columns: Vec<Column>,
    pub methods: Vec<Method>,
    pub failed: Vec<Failed>,
}

/// A method: its settings and results.
#[derive(Serialize)]
pub struct Method {
    /// The settings in which it differs from other rows.
    pub label: String,
    /// The same in a few words, for figures.
    pub name: String,
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
    /// Mean seconds of a run's training; null where the results do not say it.
    pub training_seconds: Option<f64>,
    /// Mean seconds of a run, training and episodes.
    pub seconds: f64,
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

/// Arranges results as a table. `rows` names the settings that distinguish rows, in the order in which labels have them; if it is
/// empty, all settings that vary.
///
/// # Errors
/// If there are no results, `rows` names an unknown setting, a row would mix several methods, or the runs of a column were evaluated
/// in different ways.
pub fn arrange(records: &[Record], rows: &[String]) -> Result<Grid> {
    // Runs finish in any order; sorted, the table does not depend on it.
    let mut records: Vec<&Record> = records.iter().collect();
    records.sort_by(|a, b| a.key.cmp(&b.key));
    if records.is_empty() {
        return Err(
            Error::new(Kind::File, "there are no results").next("mcnn sweep PLAN -o RESULTS makes them")
        );
    }
    let known: BTreeSet<&String> = records.iter().flat_map(|r| r.settings.keys()).collect();
    if let Some(unknown) = rows.iter().find(|row| !known.contains(row)) {
        let known: Vec<&str> = known.iter().map(|key| key.as_str()).collect();
        return Err(Error::new(Kind::Settings, "there is no such setting")
            .at("--rows")
            .expected(known.join(", "))
            .found(unknown));
    }
    let of: Vec<Map<String, Value>> = records.iter().map(|r| r.method()).collect();
    let varying = names::varying(&of);
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
    let columns = columns(&records)?;
    let names = names::distinct(&methods, |method| {
        of.iter().position(|m| m == method).map_or("", |i| records[i].name.as_str())
    });
    let scored = records.iter().filter(|r| r.error.is_none()).all(|r| r.reference.is_some());
    let unit = if scored { "score" } else { "return" };
    let mut all: Vec<Method> = Vec::new();
    for ((method, label), name) in methods.iter().zip(&labels).zip(names) {
        let cells: Vec<Option<Cell>> = columns
            .iter()
            .map(|c| {
                let here: Vec<&Record> = records
                    .iter()
                    .zip(&of)
                    .filter(|(r, s)| *s == method && r.column == *c)
                    .map(|(r, _)| *r)
                    .collect();
                let seeds = records.iter().filter(|r| r.column == *c).map(|r| r.seed).collect();
                cell(&here, &seeds, scored)
            })
            .collect();
        let one_task = columns.iter().all(|c| c.task == columns[0].task);
        let overall = (columns.len() > 1 && (scored || one_task)).then(|| overall(&cells, scored)).flatten();
        let improvement = all.first().and_then(|first| improvement(&cells, &first.cells));
        let settings = shown.iter().filter_map(|k| Some((k.clone(), method.get(k)?.clone()))).collect();
        all.push(Method { label: label.clone(), name, settings, cells, all: overall, improvement });
    }
    let failed = records
        .iter()
        .zip(&of)
        .filter_map(|(r, s)| {
            let (column, seed) = (r.column.clone(), r.seed);
            Some(Failed { label: label(s, &shown), column, seed, error: r.error.clone()? })
        })
        .collect();
    Ok(Grid { unit, columns, methods: all, failed })
}

/// The columns, and whether the runs of each can be compared.
fn columns(records: &[&Record]) -> Result<Vec<Column>> {
    let mut columns: Vec<(Column, &Record)> = Vec::new();
    for record in records {
        match columns.iter_mut().find(|(column, _)| *column == record.column) {
            None => columns.push((record.column.clone(), record)),
            Some((column, first)) => {
                column.demonstrations = column.demonstrations.or(record.column.demonstrations);
                check_comparable(first, record)?;
            }
        }
    }
    Ok(columns.into_iter().map(|(column, _)| column).collect())
}

/// Checks that two runs of a column were evaluated on the same episodes by the same rewards.
fn check_comparable(a: &Record, b: &Record) -> Result<()> {
    let (x, y) = (&a.evaluation, &b.evaluation);
    let of = |e: &Evaluation| {
        [
            ("episodes", format!("{}", e.episodes)),
            ("first_seed", format!("{}", e.first_seed)),
            ("reward", format!("{:?}", e.reward).to_lowercase()),
        ]
    };
    let Some(((key, first), (_, second))) = of(x).into_iter().zip(of(y)).find(|(a, b)| a != b) else {
        return Ok(());
    };
    Err(Error::new(Kind::Mismatch, "results of one column were evaluated in different ways")
        .at(format!("{}: {key}, seeds {} and {}", a.column.title(), a.seed, b.seed))
        .expected("the same episodes and rewards in every run of a task and its data")
        .found(format!("{first} and {second}"))
        .next("keep the results of each evaluation in a file of their own"))
}

pub(super) fn label(settings: &Map<String, Value>, shown: &[String]) -> String {
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
fn cell(here: &[&Record], seeds: &BTreeSet<u64>, scored: bool) -> Option<Cell> {
    let mut good: Vec<&&Record> = here.iter().filter(|r| r.error.is_none()).collect();
    good.sort_by_key(|r| r.seed);
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
    let made: Vec<u64> = good.iter().map(|r| r.seed).collect();
    let mut found = stats::crossed(&returns);
    let mut missing: Vec<u64> = seeds.iter().filter(|s| !made.contains(s)).copied().collect();
    if let [only] = good.as_slice()
        && only.is_deterministic
    {
        // The run is the same for all seeds, so only the episodes are random.
        (found.mean, missing) = (stats::interval(&returns[0]), Vec::new());
    }
    let weights: Vec<f64> = good.iter().filter_map(|r| r.weight).collect();
    let training: Option<Vec<f64>> = good.iter().map(|r| r.training_seconds).collect();
    let seconds: Vec<f64> = good.iter().map(|r| r.seconds).collect();
    Some(Cell {
        found,
        training_seconds: training.map(|seconds| stats::mean(&seconds)),
        seconds: stats::mean(&seconds),
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
    // Scores above 100 and below 0 too: twentieths as far as there are runs.
    let step = ((high - low) / 20.0).max(f64::MIN_POSITIVE);
    let (least, most) = (runs().fold(low, f64::min), runs().fold(high, f64::max));
    let below = ((low - least) / step).ceil().min(20.0) as i32;
    let above = ((most - low) / step).ceil().clamp(20.0, 60.0) as i32;
    let taus: Vec<f64> = (-below..=above).map(|i| low + (high - low) * f64::from(i) / 20.0).collect();
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
