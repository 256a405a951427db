//! `mcnn sweep`, `mcnn results` and `mcnn table` as text.

use std::fmt::Write as _;

use mcnn::eval::stats::{Estimate, FEW_RUNS};

use super::interval;
use crate::{
    commands::{results::MergeReport, sweep::SweepReport, table::Table},
    sweep::{grid::Cell, settings::Settings},
};

/// Runs that a merge names one by one, at most.
const MAX_MISSING: usize = 20;

pub fn merge(m: &MergeReport) -> String {
    let mut out = String::new();
    line!(
        out,
        "{}: {} of the {} runs of {}, from {} files ({} in several of them), {} failed",
        m.file,
        m.completed,
        m.runs,
        m.plan,
        m.merged.len(),
        m.repeated,
        m.failed
    );
    for file in &m.merged {
        line!(out, "  {}: {} runs", file.file, file.runs);
    }
    if m.missing.is_empty() {
        return out;
    }
    line!(out, "missing, and made by `mcnn sweep {} -o {}`:", m.plan, m.file);
    for run in m.missing.iter().take(MAX_MISSING) {
        line!(out, "  {}", described(run));
    }
    if m.missing.len() > MAX_MISSING {
        line!(out, "  and {} more", m.missing.len() - MAX_MISSING);
    }
    out
}

pub fn sweep(s: &SweepReport) -> String {
    let mut out = String::new();
    let shard = s.shard.as_ref().map_or(String::new(), |shard| format!(", shard {shard}"));
    if s.dry_run {
        line!(
            out,
            "{}{shard}: {} runs, {} of them already in {}; to do:",
            s.plan,
            s.runs,
            s.already_done,
            s.file
        );
        for run in &s.planned {
            line!(out, "  {}", described(run));
        }
        return out;
    }
    line!(
        out,
        "{}{shard}: {} runs: {} already done, {} completed in {:.0} s, {} remaining",
        s.file,
        s.runs,
        s.already_done,
        s.completed,
        s.seconds,
        s.remaining
    );
    if s.interrupted {
        line!(out, "interrupted: the completed runs are in the file; the same command does the rest");
    }
    for failed in &s.failed {
        line!(out, "  FAILED   {}: {}", described(&failed.settings), indented(&failed.error));
    }
    if !s.failed.is_empty() {
        line!(out, "{} runs failed; --retry-failed repeats them", s.failed.len());
    }
    out
}

fn described(s: &Settings) -> String {
    let amount = match (s.count, s.fraction) {
        (Some(n), _) => n.to_string(),
        (None, f) => f.unwrap_or(0.1).to_string(),
    };
    let activation = serde_json::to_value(s.activation).expect("a plain value");
    format!(
        "{} {}: selection {} ({amount}), smooth-neighbors {}, lambda {}, amplitude {}, {}, {}, seed {}",
        s.task_name(),
        s.data,
        s.by,
        s.smooth_neighbors,
        s.lambda,
        s.amplitude,
        s.backbone.kind().name,
        activation.as_str().unwrap_or_default(),
        s.seed
    )
}

fn indented(error: &str) -> String {
    error.replace('\n', "\n           ")
}

pub fn table(t: &Table) -> String {
    let (g, mut out) = (&t.grid, String::new());
    line!(
        out,
        "{}: {} runs; mean {} with 95 % interval, seeds x episodes, w: mean memory weight over visited states",
        t.file,
        t.runs,
        g.unit
    );
    let mut head: Vec<String> = vec![String::new()];
    head.extend(g.columns.iter().map(|c| {
        let alike = g.columns.iter().filter(|o| o.title() == c.title()).count();
        let print = if alike > 1 { format!(" {:.8}", c.fingerprint) } else { String::new() };
        format!("{}{print}", c.title())
    }));
    let several = g.methods.iter().any(|m| m.all.is_some());
    if several {
        head.push("all: IQM".into());
    }
    if g.methods.len() > 1 {
        head.push("P(better than first)".into());
    }
    let mut rows = vec![head];
    for m in &g.methods {
        let mut row = vec![m.label.clone()];
        row.extend(m.cells.iter().map(|c| c.as_ref().map_or("no runs".into(), cell)));
        if several {
            row.push(m.all.as_ref().map_or("incomplete".into(), |a| estimate(&a.iqm, 1)));
        }
        if g.methods.len() > 1 {
            row.push(m.improvement.as_ref().map_or("-".into(), |p| estimate(p, 2)));
        }
        rows.push(row);
    }
    let widths: Vec<usize> =
        (0..rows[0].len()).map(|k| rows.iter().map(|r| r[k].chars().count()).max().unwrap_or(0)).collect();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(c, w)| format!("{c:w$}")).collect();
        line!(out, "  {}", cells.join("   ").trim_end());
    }
    if rows.iter().flatten().any(|cell| cell.contains(", rough")) {
        line!(
            out,
            "  rough: fewer than {FEW_RUNS} seeds (valid only for nearly normal scores), or too few episodes for their skewness"
        );
    }
    for (k, column) in g.columns.iter().enumerate() {
        let cells: Vec<&Cell> = g.methods.iter().filter_map(|m| m.cells[k].as_ref()).collect();
        line!(out, "  {}: {}", column.title(), halve(&cells));
    }
    for f in &g.failed {
        line!(out, "  FAILED   {}, {}, seed {}: {}", f.label, f.column.title(), f.seed, indented(&f.error));
    }
    if let Some(plot) = &t.plot {
        line!(out, "plot: {plot}");
    }
    out
}

fn cell(c: &Cell) -> String {
    let weight = c.weight.map_or(String::new(), |w| format!(" w {w:.2}"));
    let missing = match c.missing.len() {
        0 => String::new(),
        n => format!(" INCOMPLETE: {n} missing"),
    };
    format!("{} {}x{}{weight}{missing}", estimate(&c.found.mean, 1), c.seeds.len(), c.found.episodes)
}

fn estimate(m: &Estimate, digits: usize) -> String {
    let rough = if m.rough.is_some() { ", rough" } else { "" };
    format!("{:.digits$} ({}{rough})", m.mean, interval(m.low, m.high, digits))
}

/// How many seeds or episodes would halve every interval of a column, and which of the two contributes more.
fn halve(cells: &[&Cell]) -> String {
    let most = |of: fn(&Cell) -> Option<usize>, what: &str| {
        let needed: Option<Vec<usize>> = cells.iter().map(|c| of(c)).collect();
        needed.and_then(|n| n.into_iter().max()).map(|n| format!("{n} {what}"))
    };
    let enough = [most(|c| c.found.runs_to_halve, "seeds"), most(|c| c.found.episodes_to_halve, "episodes")];
    let enough: Vec<String> = enough.into_iter().flatten().collect();
    let needed =
        if enough.is_empty() { "only more seeds and more episodes".into() } else { enough.join(" or ") };
    let by_seeds = cells.iter().filter(|c| c.found.by_runs > c.found.by_episodes).count();
    format!(
        "{needed} would halve every interval; seeds contribute more than episodes for {by_seeds} of {} methods",
        cells.len()
    )
}
