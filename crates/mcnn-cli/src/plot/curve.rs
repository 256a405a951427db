//! The plot of `certify --curve`: d_I and the performance bound by the number of memories, one line per selection method.

use std::fmt::Write as _;

use super::{COLORS, GAP, LETTER, PANEL, TOP, begin, frame, text, ticks};
use crate::commands::certify::{CurvePoint, DistanceBound};

const HEIGHT: f64 = 220.0; // of a panel

/// The plot. `horizon` is the value at which the bound is vacuous.
pub fn svg(points: &[CurvePoint], horizon: f64) -> String {
    let mut ways: Vec<_> = points.iter().map(|p| (p.selection, p.nested)).collect();
    ways.dedup();
    let legend = 150.0;
    let (width, height) = (60.0 + 2.0 * (PANEL + GAP + 30.0) + legend, TOP + HEIGHT + 60.0);
    let mut out = begin(width, height, "Distance of the most isolated state and the bound of theorem 4.7");
    let others = points.iter().any(|p| p.other_episodes.is_some());
    for (k, (title, value, line)) in [
        ("d_I", (|p: &DistanceBound| f64::from(p.d_i)) as fn(&DistanceBound) -> f64, None),
        ("bound (dotted line: vacuous)", |p: &DistanceBound| p.bound, Some(horizon)),
    ]
    .into_iter()
    .enumerate()
    {
        panel(&mut out, 60.0 + k as f64 * (PANEL + GAP + 30.0), title, points, &ways, value, line);
    }
    let left = 60.0 + 2.0 * (PANEL + GAP + 30.0);
    for (i, (by, nested)) in ways.iter().enumerate() {
        let y = TOP + 12.0 + 22.0 * i as f64;
        let note = if *nested { "" } else { ", not nested" };
        put!(out, r#"<rect x="{left:.1}" y="{:.1}" width="10" height="10" fill="{}"/>"#, y - 9.0, COLORS[i]);
        put!(out, r#"<text x="{:.1}" y="{y:.1}">{by}{note}</text>"#, left + 16.0);
    }
    if others {
        let y = TOP + 12.0 + 22.0 * ways.len() as f64;
        put!(
            out,
            r#"<text x="{left:.1}" y="{y:.1}" font-size="11">dashed: memories of other episodes</text>"#
        );
    }
    out + "</svg>\n"
}

fn panel(
    out: &mut String,
    left: f64,
    title: &str,
    points: &[CurvePoint],
    ways: &[(mcnn::memory::SelectionMethod, bool)],
    value: fn(&DistanceBound) -> f64,
    line: Option<f64>,
) {
    let promises = || points.iter().flat_map(|p| [Some(&p.at_max), p.other_episodes.as_ref()]).flatten();
    let most = promises().map(value).chain(line).fold(0.0, f64::max);
    let rungs = ticks([0.0, most]);
    let top = rungs[rungs.len() - 1];
    let up = |v: f64| TOP + (1.0 - v / top) * HEIGHT;
    // A logarithmic axis from the smallest to the largest number of memories.
    let logs = || points.iter().map(|p| (p.memories as f64).log10());
    let (low, high) = (logs().fold(f64::MAX, f64::min), logs().fold(f64::MIN, f64::max));
    let at = |n: f64| left + (n.log10() - low) / (high - low).max(1e-9) * PANEL;
    let decades = (low.ceil() as i32..=high.floor() as i32).map(|k| 10.0_f64.powi(k));
    let marks: Vec<(f64, String)> = decades.map(|n| (at(n), text(n))).collect();
    frame(out, left, HEIGHT, &format!("{title}, by memories"), &marks);
    for rung in &rungs {
        let y = up(*rung);
        put!(
            out,
            r##"<line x1="{left:.1}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}" stroke="#e4e4e4"/>"##,
            left + PANEL
        );
        put!(
            out,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end" font-size="11">{}</text>"#,
            left - LETTER,
            y + 4.0,
            text(*rung)
        );
    }
    if let Some(v) = line {
        let y = up(v);
        put!(
            out,
            r##"<line x1="{left:.1}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}" stroke="#222" stroke-dasharray="2 4"/>"##,
            left + PANEL
        );
    }
    for (i, (by, _)) in ways.iter().enumerate() {
        let mine = || points.iter().filter(|p| p.selection == *by);
        let place =
            |p: &CurvePoint, v: &DistanceBound| format!("{:.1},{:.1}", at(p.memories as f64), up(value(v)));
        let own: Vec<String> = mine().map(|p| place(p, &p.at_max)).collect();
        let others: Vec<String> = mine().filter_map(|p| Some(place(p, p.other_episodes.as_ref()?))).collect();
        for (line, dash) in [(own, ""), (others, r#" stroke-dasharray="6 4""#)] {
            put!(
                out,
                r#"<polyline points="{}" fill="none" stroke="{}" stroke-width="2"{dash}/>"#,
                line.join(" "),
                COLORS[i]
            );
        }
    }
}
