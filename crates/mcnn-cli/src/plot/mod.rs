//! Plots as SVG, in the viewer's sans-serif font, and as PNG, which is rasterized from the SVG.

use std::{fmt::Write as _, path::Path};

use mcnn::{Result, atomic};

/// The palette of Okabe and Ito (2008), which color-blind readers can distinguish, then grays.
const COLORS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#444444", "#999999"];
const PANEL: f64 = 260.0; // width of a panel
const TOP: f64 = 64.0;
const GAP: f64 = 40.0;
const LETTER: f64 = 7.0; // approximate width of a letter

/// Appends a line to a string, which cannot fail.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {{
        let _ = writeln!($out, $($arg)*);
    }};
}

mod axes;
pub mod curve;
pub mod figures;
pub mod font;
mod marks;
mod png;
pub mod report;
pub mod table;

/// Writes a plot: as PNG where the file name ends in .png, else as SVG.
pub fn write(path: &Path, svg: &str) -> Result<()> {
    match path.extension().is_some_and(|e| e == "png") {
        true => atomic::write(path, &png::png(svg)?),
        false => atomic::write(path, svg.as_bytes()),
    }
}

/// The start of an SVG, with the title.
fn begin(width: f64, height: f64, title: &str) -> String {
    let mut out = String::new();
    put!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" font-family="sans-serif" font-size="13" fill="#222">"##
    );
    put!(out, r##"<rect width="100%" height="100%" fill="#ffffff"/>"##);
    put!(out, r#"<text x="12" y="24" font-size="15">{}</text>"#, escaped(title));
    out
}

/// The title of a panel and its vertical grid lines at `ticks` (position, label).
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

/// Round numbers, about four steps apart, from at or below the range to at or above it.
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
