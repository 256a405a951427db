//! The plot of `table --plot`: a panel of means and intervals for each column, and performance profiles where there are
//! several columns.

use std::fmt::Write as _;

use mcnn::eval::stats::Estimate;

use super::{COLORS, GAP, LETTER, PANEL, TOP, begin, escaped, frame, text, ticks};
use crate::sweep::grid::Grid;

const ROW: f64 = 26.0;

/// The plot.
pub fn svg(grid: &Grid) -> String {
    let longest = grid.methods.iter().map(|m| m.label.chars().count()).max().unwrap_or(0);
    let left = 42.0 + LETTER * longest as f64;
    let profiles = grid.methods.iter().any(|m| m.all.is_some());
    let panels = grid.columns.len() + 2 * usize::from(profiles);
    let rows = grid.methods.len().max(if profiles { 6 } else { 1 }) as f64 * ROW;
    let (width, height) = (left + panels as f64 * (PANEL + GAP), TOP + rows + 56.0);
    let title = format!("Mean {} with 95 % interval (dashed: approximate)", grid.unit);
    let mut out = begin(width, height, &title);
    for (i, m) in grid.methods.iter().enumerate() {
        let y = TOP + (i as f64 + 0.5) * ROW;
        let (x, color) = (left - 26.0, COLORS[i % COLORS.len()]);
        put!(out, r#"<rect x="{:.1}" y="{:.1}" width="8" height="8" fill="{color}"/>"#, left - 20.0, y - 4.0);
        put!(out, r#"<text x="{x:.1}" y="{:.1}" text-anchor="end">{}</text>"#, y + 4.5, escaped(&m.label));
    }
    for (k, column) in grid.columns.iter().enumerate() {
        let found: Vec<Option<Estimate>> =
            grid.methods.iter().map(|m| m.cells[k].as_ref().map(|c| c.found.mean)).collect();
        let x = left + k as f64 * (PANEL + GAP);
        bars(&mut out, x, rows, &column.title(), &found);
    }
    if profiles {
        let found: Vec<Option<Estimate>> =
            grid.methods.iter().map(|m| m.all.as_ref().map(|a| a.iqm)).collect();
        let x = left + grid.columns.len() as f64 * (PANEL + GAP);
        bars(&mut out, x, rows, "all: interquartile mean", &found);
        curves(&mut out, x + PANEL + GAP, rows, grid);
    }
    out + "</svg>\n"
}

/// A panel with a dot (mean) and a bar (interval) per method.
fn bars(out: &mut String, left: f64, rows: f64, title: &str, found: &[Option<Estimate>]) {
    let ends = found.iter().flatten().flat_map(|m| [m.mean, m.low, m.high]).filter(|v| v.is_finite());
    let range = ends.fold([f64::MAX, f64::MIN], |[a, b], v| [a.min(v), b.max(v)]);
    let ticks = ticks(range);
    let [low, high] = [ticks[0], ticks[ticks.len() - 1]];
    let at = |v: f64| left + (v - low) / (high - low) * PANEL;
    frame(out, left, rows, title, &ticks.iter().map(|t| (at(*t), text(*t))).collect::<Vec<_>>());
    for (i, m) in found.iter().enumerate() {
        let (y, color) = (TOP + (i as f64 + 0.5) * ROW, COLORS[i % COLORS.len()]);
        let Some(m) = m else {
            put!(out, r##"<text x="{left:.1}" y="{:.1}" fill="#888">no runs</text>"##, y + 4.5);
            continue;
        };
        if m.low.is_finite() && m.high.is_finite() {
            // Dashed: approximate (few seeds, skewed or equal values).
            let dash = if m.rough.is_some() { r#" stroke-dasharray="5 3""# } else { "" };
            put!(
                out,
                r#"<line x1="{:.1}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}" stroke="{color}" stroke-width="3"{dash}/>"#,
                at(m.low),
                at(m.high)
            );
        }
        put!(out, r#"<circle cx="{:.1}" cy="{y:.1}" r="5" fill="{color}"/>"#, at(m.mean));
    }
}

/// The performance profile of each method: the share of runs above each score, with its confidence band.
fn curves(out: &mut String, left: f64, rows: f64, grid: &Grid) {
    let all = || grid.methods.iter().enumerate().filter_map(|(i, m)| Some((i, &m.all.as_ref()?.profile)));
    let taus = || all().flat_map(|(_, p)| p.iter().map(|q| q.tau));
    let ticks = ticks([taus().fold(f64::MAX, f64::min), taus().fold(f64::MIN, f64::max)]);
    let [low, high] = [ticks[0], ticks[ticks.len() - 1]];
    let at = |v: f64| left + (v - low) / (high - low) * PANEL;
    let up = |share: f64| TOP + (1.0 - share) * rows;
    let title = format!("share of runs above a {}", grid.unit);
    frame(out, left, rows, &title, &ticks.iter().map(|t| (at(*t), text(*t))).collect::<Vec<_>>());
    for share in [0.0, 0.5, 1.0] {
        put!(
            out,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end" font-size="11">{share}</text>"#,
            left - 5.0,
            up(share) + 4.0
        );
    }
    for (i, profile) in all() {
        let color = COLORS[i % COLORS.len()];
        let point = |tau: f64, share: f64| format!("{:.1},{:.1}", at(tau), up(share));
        if profile.iter().all(|p| p.share.low.is_finite()) {
            let there = profile.iter().map(|p| point(p.tau, p.share.high));
            let back = profile.iter().rev().map(|p| point(p.tau, p.share.low));
            let points: Vec<String> = there.chain(back).collect();
            put!(out, r#"<polygon points="{}" fill="{color}" fill-opacity="0.12"/>"#, points.join(" "));
        }
        let points: Vec<String> = profile.iter().map(|p| point(p.tau, p.share.mean)).collect();
        put!(
            out,
            r#"<polyline points="{}" fill="none" stroke="{color}" stroke-width="2"/>"#,
            points.join(" ")
        );
    }
}
