//! Axes of a panel, with grid lines, numbers and labels.

use std::fmt::Write as _;

use super::{escaped, text, ticks};

/// Where a panel is drawn.
#[derive(Clone, Copy)]
pub struct Area {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

/// An axis: its label, the numbers on it and its ends.
pub struct Axis<'a> {
    label: &'a str,
    ticks: Vec<f64>,
    ends: [f64; 2],
    is_log: bool,
}

impl<'a> Axis<'a> {
    /// A linear axis over a range, which is extended to round numbers.
    pub fn linear(label: &'a str, range: [f64; 2]) -> Self {
        let ticks = ticks(range);
        let ends = [ticks[0], ticks[ticks.len() - 1]];
        Self { label, ticks, ends, is_log: false }
    }

    /// A logarithmic axis with these numbers, which are positive and increase, and space beside them.
    pub fn log_at(label: &'a str, ticks: Vec<f64>, [low, high]: [f64; 2]) -> Self {
        let beside = (high / low).powf(0.08).max(1.1);
        Self { label, ticks, ends: [low / beside, high * beside], is_log: true }
    }

    /// A logarithmic axis over a range of positive numbers.
    pub fn log(label: &'a str, [low, high]: [f64; 2]) -> Self {
        let power = |k: i32| 10.0_f64.powi(k);
        let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let factors: &[f64] = match high / low {
            ratio if ratio > 1000.0 => &[1.0],
            ratio if ratio > 8.0 => &[1.0, 2.0, 5.0],
            _ => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
        };
        let all = decades.flat_map(|k| factors.iter().map(move |f| f * power(k)));
        let ticks = all.filter(|t| (low / 1.2..=high * 1.2).contains(t)).collect();
        let mut axis = Self::log_at(label, ticks, [low, high]);
        // A tick may lie in the space beside the range.
        if let (Some(first), Some(last)) = (axis.ticks.first(), axis.ticks.last()) {
            axis.ends = [axis.ends[0].min(*first), axis.ends[1].max(*last)];
        }
        axis
    }

    /// The place of a value, from 0 to 1.
    fn place(&self, v: f64) -> f64 {
        let on = |v: f64| if self.is_log { v.ln() } else { v };
        (on(v) - on(self.ends[0])) / (on(self.ends[1]) - on(self.ends[0]))
    }
}

/// The axes of a panel.
pub struct Axes<'a> {
    area: Area,
    x: Axis<'a>,
    y: Axis<'a>,
}

impl<'a> Axes<'a> {
    /// Draws the axes.
    pub fn draw(out: &mut String, area: Area, [x, y]: [Axis<'a>; 2]) -> Self {
        let axes = Self { area, x, y };
        let (left, right) = (area.left, area.left + area.width);
        let (top, bottom) = (area.top, area.top + area.height);
        for &v in &axes.x.ticks {
            let x = axes.across(v);
            put!(out, r##"<line x1="{x:.1}" x2="{x:.1}" y1="{top:.1}" y2="{bottom:.1}" stroke="#e4e4e4"/>"##);
            let (y, v) = (bottom + 16.0, text(v));
            put!(out, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="middle" font-size="11">{v}</text>"#);
        }
        for &v in &axes.y.ticks {
            let y = axes.up(v);
            put!(out, r##"<line x1="{left:.1}" x2="{right:.1}" y1="{y:.1}" y2="{y:.1}" stroke="#e4e4e4"/>"##);
            let (x, y, v) = (left - 7.0, y + 4.0, text(v));
            put!(out, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="end" font-size="11">{v}</text>"#);
        }
        let (under, over) = (bottom + 34.0, top - 10.0);
        put!(
            out,
            r#"<text x="{right:.1}" y="{under:.1}" text-anchor="end">{}</text>"#,
            escaped(axes.x.label)
        );
        put!(out, r#"<text x="{left:.1}" y="{over:.1}">{}</text>"#, escaped(axes.y.label));
        axes
    }

    pub fn across(&self, v: f64) -> f64 {
        self.area.left + self.x.place(v) * self.area.width
    }

    pub fn up(&self, v: f64) -> f64 {
        self.area.top + (1.0 - self.y.place(v)) * self.area.height
    }

    /// The range of the vertical axis.
    pub fn vertical_range(&self) -> [f64; 2] {
        self.y.ends
    }

    /// The end of the horizontal axis.
    pub fn right(&self) -> f64 {
        self.x.ends[1]
    }

    /// Points as an attribute of a polyline or a polygon.
    pub fn points(&self, points: impl Iterator<Item = [f64; 2]>) -> String {
        let points: Vec<String> =
            points.map(|[x, y]| format!("{:.1},{:.1}", self.across(x), self.up(y))).collect();
        points.join(" ")
    }

    pub fn line(&self, out: &mut String, points: impl Iterator<Item = [f64; 2]>, color: &str, more: &str) {
        let points = self.points(points);
        put!(out, r#"<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.6" {more}/>"#);
    }
}
