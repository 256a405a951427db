//! What a figure draws of a method: a marker of its own color and form, lines and bands.

use std::fmt::Write as _;

use super::{COLORS, escaped};

/// A method's color. With its [`marker`] it tells 40 methods apart, and 5 without colors.
pub fn color(method: usize) -> &'static str {
    COLORS[method % COLORS.len()]
}

/// Draws a method's marker: a disk, a square, a diamond or a triangle. `note` is what a browser shows under the pointer.
pub fn marker(out: &mut String, method: usize, [x, y]: [f64; 2], note: &str) {
    let (color, note) = (color(method), escaped(note));
    let polygon = |out: &mut String, corners: &[[f64; 2]]| {
        let points: Vec<String> =
            corners.iter().map(|[dx, dy]| format!("{:.1},{:.1}", x + dx, y + dy)).collect();
        let points = points.join(" ");
        put!(
            out,
            r#"<polygon class="mark" points="{points}" fill="{color}"><title>{note}</title></polygon>"#
        );
    };
    match method % 5 {
        0 => put!(
            out,
            r#"<circle class="mark" cx="{x:.1}" cy="{y:.1}" r="4.5" fill="{color}"><title>{note}</title></circle>"#
        ),
        1 => polygon(out, &[[-4.0, -4.0], [4.0, -4.0], [4.0, 4.0], [-4.0, 4.0]]),
        2 => polygon(out, &[[0.0, -5.6], [5.6, 0.0], [0.0, 5.6], [-5.6, 0.0]]),
        3 => polygon(out, &[[0.0, -5.2], [5.2, 5.2], [-5.2, 5.2]]),
        _ => polygon(out, &[[0.0, 5.2], [5.2, -5.2], [-5.2, -5.2]]),
    }
}

/// A vertical interval, dashed where it is approximate.
pub fn whisker(out: &mut String, method: usize, x: f64, [low, high]: [f64; 2], is_rough: bool) {
    let dash = if is_rough { r#" stroke-dasharray="5 3""# } else { "" };
    let color = color(method);
    put!(
        out,
        r#"<line class="interval" x1="{x:.1}" x2="{x:.1}" y1="{low:.1}" y2="{high:.1}" stroke="{color}" stroke-width="2"{dash}/>"#
    );
}

/// A band between two lines; `points` goes along the one and back along the other.
pub fn band(out: &mut String, method: usize, points: &str) {
    let color = color(method);
    put!(out, r#"<polygon class="band" points="{points}" fill="{color}" fill-opacity="0.12"/>"#);
}
