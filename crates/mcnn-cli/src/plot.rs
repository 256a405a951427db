//! A table as a picture: a panel of dots and bars for each column, and the profiles where there are several columns.
//! Plain SVG with the reader's own sans-serif font.

use std::fmt::Write as _;

use mcnn::eval::stats::Mean;

use crate::sweep::grid::Grid;

/// Okabe and Ito's colours, which the colour-blind can tell apart, then greys.
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#444444", "#999999"];
const PANEL: f64 = 260.0; // width
const ROW: f64 = 26.0;
const TOP: f64 = 64.0;
const GAP: f64 = 40.0;
const LETTER: f64 = 7.0; // width of a letter, about

/// Writes an element to a string, which cannot fail.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {{
        let _ = writeln!($out, $($arg)*);
    }};
}

/// The picture.
pub fn svg(grid: &Grid) -> String {
    let longest = grid.methods.iter().map(|m| m.label.chars().count()).max().unwrap_or(0);
    let left = 42.0 + LETTER * longest as f64;
    let profiles = grid.methods.iter().any(|m| m.all.is_some());
    let panels = grid.columns.len() + 2 * usize::from(profiles);
    let rows = grid.methods.len().max(if profiles { 6 } else { 1 }) as f64 * ROW;
    let (width, height) = (left + panels as f64 * (PANEL + GAP), TOP + rows + 56.0);
    let mut out = String::new();
    put!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" font-family="sans-serif" font-size="13" fill="#222">"##
    );
    put!(out, r##"<rect width="100%" height="100%" fill="#ffffff"/>"##);
    put!(
        out,
        r#"<text x="12" y="24" font-size="15">Mean {} with 95 % interval (dashed: rough)</text>"#,
        grid.unit
    );
    for (i, m) in grid.methods.iter().enumerate() {
        let y = TOP + (i as f64 + 0.5) * ROW;
        let (x, colour) = (left - 26.0, COLOURS[i % COLOURS.len()]);
        put!(
            out,
            r#"<rect x="{:.1}" y="{:.1}" width="8" height="8" fill="{colour}"/>"#,
            left - 20.0,
            y - 4.0
        );
        put!(out, r#"<text x="{x:.1}" y="{:.1}" text-anchor="end">{}</text>"#, y + 4.5, escaped(&m.label));
    }
    for (k, column) in grid.columns.iter().enumerate() {
        let found: Vec<Option<Mean>> =
            grid.methods.iter().map(|m| m.cells[k].as_ref().map(|c| c.found.mean)).collect();
        let x = left + k as f64 * (PANEL + GAP);
        bars(&mut out, x, rows, &format!("{} / {}", column.task, column.data), &found);
    }
    if profiles {
        let found: Vec<Option<Mean>> = grid.methods.iter().map(|m| m.all.as_ref().map(|a| a.iqm)).collect();
        let x = left + grid.columns.len() as f64 * (PANEL + GAP);
        bars(&mut out, x, rows, "all: interquartile mean", &found);
        curves(&mut out, x + PANEL + GAP, rows, grid);
    }
    out + "</svg>\n"
}

/// A panel of dots with bars, one a row.
fn bars(out: &mut String, left: f64, rows: f64, title: &str, found: &[Option<Mean>]) {
    let ends = found.iter().flatten().flat_map(|m| [m.mean, m.low, m.high]).filter(|v| v.is_finite());
    let range = ends.fold([f64::MAX, f64::MIN], |[a, b], v| [a.min(v), b.max(v)]);
    let ticks = ticks(range);
    let [low, high] = [ticks[0], ticks[ticks.len() - 1]];
    let at = |v: f64| left + (v - low) / (high - low) * PANEL;
    frame(out, left, rows, title, &ticks.iter().map(|t| (at(*t), text(*t))).collect::<Vec<_>>());
    for (i, m) in found.iter().enumerate() {
        let (y, colour) = (TOP + (i as f64 + 0.5) * ROW, COLOURS[i % COLOURS.len()]);
        let Some(m) = m else {
            put!(out, r##"<text x="{left:.1}" y="{:.1}" fill="#888">no runs</text>"##, y + 4.5);
            continue;
        };
        if m.low.is_finite() && m.high.is_finite() {
            // Dashed: rough.
            let dash = if m.rough.is_some() { r#" stroke-dasharray="5 3""# } else { "" };
            put!(
                out,
                r#"<line x1="{:.1}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}" stroke="{colour}" stroke-width="3"{dash}/>"#,
                at(m.low),
                at(m.high)
            );
        }
        put!(out, r#"<circle cx="{:.1}" cy="{y:.1}" r="5" fill="{colour}"/>"#, at(m.mean));
    }
}

/// The share of runs above each score, with its band.
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
        let colour = COLOURS[i % COLOURS.len()];
        let point = |tau: f64, share: f64| format!("{:.1},{:.1}", at(tau), up(share));
        if profile.iter().all(|p| p.share.low.is_finite()) {
            let there = profile.iter().map(|p| point(p.tau, p.share.high));
            let back = profile.iter().rev().map(|p| point(p.tau, p.share.low));
            let points: Vec<String> = there.chain(back).collect();
            put!(out, r#"<polygon points="{}" fill="{colour}" fill-opacity="0.12"/>"#, points.join(" "));
        }
        let points: Vec<String> = profile.iter().map(|p| point(p.tau, p.share.mean)).collect();
        put!(
            out,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
            points.join(" ")
        );
    }
}

fn frame(out: &mut String, left: f64, rows: f64, title: &str, ticks: &[(f64, String)]) {
    let bottom = TOP + rows;
    put!(out, r#"<text x="{left:.1}" y="{:.1}" font-weight="bold">{}</text>"#, TOP - 12.0, escaped(title));
    for (x, text) in ticks {
        put!(out, r##"<line x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{bottom:.1}" stroke="#e4e4e4"/>"##);
        put!(
            out,
            r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle" font-size="11">{text}</text>"#,
            bottom + 16.0
        );
    }
}

/// Round numbers from at or below a range to at or above it, about four steps.
fn ticks([low, high]: [f64; 2]) -> Vec<f64> {
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    let wide = (high - low).max(low.abs().max(1.0) * 1e-6);
    let rough = wide / 4.0;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(rough);
    let (first, last) = ((low / step).floor(), ((high / step).ceil()).max((low / step).floor() + 1.0));
    (0..=(last - first) as usize).map(|i| (first + i as f64) * step).collect()
}

fn text(tick: f64) -> String {
    let short = format!("{tick:.3}");
    let short = short.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".into() } else { short.into() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
