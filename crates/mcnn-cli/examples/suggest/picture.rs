//! The learning curves as SVG: d_I and scores against the number of episodes, with confidence intervals over seeds.

use std::fmt::Write as _;

use mcnn::eval::stats::interval;

use super::curves::Point;

/// Width and height of a panel, in pixels.
const PANEL: [f64; 2] = [250.0, 200.0];
const TOP: f64 = 60.0;
/// The color of each arm.
const COLORS: [&str; 2] = ["#999999", "#0072b2"];

/// The plot of a task: a panel of d_I, and a panel of scores for each method.
pub fn svg(task: &str, sizes: &[usize], points: &[Point], methods: &[&str; 2], arms: &[&str; 2]) -> String {
    let [width, height] = [60.0 + 3.0 * (PANEL[0] + 60.0), TOP + PANEL[1] + 70.0];
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="sans-serif" font-size="13" fill="#222">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="12" y="24" font-size="15">{task}: by the number of episodes from a pool; 95 % intervals over seeds</text>
"##
    );
    let measurements = |of: &dyn Fn(&Point) -> &[Vec<f64>; 2]| -> Vec<[Vec<f64>; 2]> {
        points.iter().map(|p| of(p).clone()).collect()
    };
    panel(&mut out, 60.0, "d_I", sizes, &measurements(&|p| &p.d_i));
    for (m, method) in methods.iter().enumerate() {
        let left = 60.0 + (m + 1) as f64 * (PANEL[0] + 60.0);
        panel(&mut out, left, &format!("{method}, normalized score"), sizes, &measurements(&|p| &p.score[m]));
    }
    for (arm, name) in arms.iter().enumerate() {
        let (x, y) = (60.0 + 110.0 * arm as f64, TOP + PANEL[1] + 52.0);
        let _ = writeln!(
            out,
            r#"<rect x="{x}" y="{}" width="10" height="10" fill="{}"/><text x="{}" y="{y}">{name}</text>"#,
            y - 9.0,
            COLORS[arm],
            x + 16.0
        );
    }
    out + "</svg>\n"
}

/// A panel: the means of both arms with their intervals, against the logarithm of the number of episodes.
fn panel(out: &mut String, left: f64, title: &str, sizes: &[usize], values: &[[Vec<f64>; 2]]) {
    let means: Vec<[_; 2]> = values.iter().map(|v| [interval(&v[0]), interval(&v[1])]).collect();
    let ends = || means.iter().flatten().flat_map(|m| [m.low, m.high, m.mean]).filter(|v| v.is_finite());
    let (low, high) = (ends().fold(0.0, f64::min), ends().fold(0.0, f64::max));
    let step = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0].into_iter().find(|s| (high - low) / s <= 6.0);
    let step = step.unwrap_or(100.0);
    let (first, last) = ((low / step).floor(), (high / step).ceil());
    let y_of = |value: f64| TOP + PANEL[1] * (1.0 - (value / step - first) / (last - first));
    let log_max = (sizes[sizes.len() - 1] as f64).ln();
    let x_of = |n: usize| left + PANEL[0] * (n as f64).ln() / log_max;
    let _ = writeln!(out, r#"<text x="{left}" y="{}" font-weight="bold">{title}</text>"#, TOP - 12.0);
    for k in 0..=(last - first) as usize {
        let tick = (first + k as f64) * step;
        let (y, right) = (y_of(tick), left + PANEL[0]);
        let _ = writeln!(
            out,
            r##"<line x1="{left}" x2="{right}" y1="{y:.1}" y2="{y:.1}" stroke="#e4e4e4"/><text x="{}" y="{:.1}" text-anchor="end" font-size="11">{tick}</text>"##,
            left - 7.0,
            y + 4.0
        );
    }
    for &n in sizes {
        let (x, y) = (x_of(n), TOP + PANEL[1] + 16.0);
        let _ = writeln!(out, r#"<text x="{x:.1}" y="{y}" text-anchor="middle" font-size="11">{n}</text>"#);
    }
    for (arm, color) in COLORS.iter().enumerate() {
        let line: Vec<String> = sizes
            .iter()
            .zip(&means)
            .map(|(&n, m)| format!("{:.1},{:.1}", x_of(n) + 3.0 * arm as f64, y_of(m[arm].mean)))
            .collect();
        let _ = writeln!(
            out,
            r#"<polyline points="{}" fill="none" stroke="{color}" stroke-width="2"/>"#,
            line.join(" ")
        );
        for (&n, m) in sizes.iter().zip(&means).filter(|(_, m)| m[arm].low.is_finite()) {
            let x = x_of(n) + 3.0 * arm as f64;
            let _ = writeln!(
                out,
                r#"<line x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{:.1}" stroke="{color}"/>"#,
                y_of(m[arm].low),
                y_of(m[arm].high)
            );
        }
    }
}
