//! The main plots of a report: the codebook, its coverage, and an episode.

use std::fmt::Write as _;

use super::{
    COLORS, TOP,
    axes::{Area, Axes, Axis},
    begin, escaped,
};
use crate::report::{coverage::Coverage, map::Map, steps::Episode};

const WIDTH: f64 = 560.0; // of a panel
const LEFT: f64 = 64.0;

/// Draws the axes of a panel over two ranges.
fn draw_axes<'a>(
    out: &mut String,
    top: f64,
    height: f64,
    [x, y]: [[f64; 2]; 2],
    [below, above]: [&'a str; 2],
) -> Axes<'a> {
    let area = Area { left: LEFT, top, width: WIDTH, height };
    Axes::draw(out, area, [Axis::linear(below, x), Axis::linear(above, y)])
}

fn range(values: impl Iterator<Item = f32>) -> [f64; 2] {
    values.map(f64::from).fold([f64::MAX, f64::MIN], |[a, b], v| [a.min(v), b.max(v)])
}

/// The memories, sized by how many states they are nearest to, the edges, and the first episode shown.
pub fn codebook(map: &Map, episode: Option<&Episode>) -> String {
    let path = episode.map_or(&[][..], |e| &e.path);
    let both = || map.at.iter().chain(path);
    let mut out =
        begin(LEFT + WIDTH + 24.0, TOP + 480.0, "Memories and an episode, on two principal components");
    let [a, b] = map.shares.map(|s| 100.0 * s);
    let (x, y) = (range(both().map(|p| p[0])), range(both().map(|p| p[1])));
    let below = format!("principal component 1 ({a:.0} % of the variance)");
    let above = format!("principal component 2 ({b:.0} % of the variance)");
    let axes = draw_axes(&mut out, TOP, 400.0, [x, y], [&below, &above]);
    let place = |p: [f32; 2]| (axes.across(p[0].into()), axes.up(p[1].into()));
    for &[a, b] in &map.edges {
        let ((x1, y1), (x2, y2)) = (place(map.at[a]), place(map.at[b]));
        put!(out, r##"<line x1="{x1:.1}" x2="{x2:.1}" y1="{y1:.1}" y2="{y2:.1}" stroke="#bbbbbb"/>"##);
    }
    let most = map.uses.iter().copied().max().unwrap_or(0).max(1);
    for (&at, &uses) in map.at.iter().zip(&map.uses) {
        let ((x, y), r) = (place(at), 1.5 + 5.0 * (f64::from(uses) / f64::from(most)).sqrt());
        let color = COLORS[0];
        put!(out, r#"<circle cx="{x:.1}" cy="{y:.1}" r="{r:.1}" fill="{color}" fill-opacity="0.6"/>"#);
    }
    axes.line(&mut out, path.iter().map(|p| p.map(f64::from)), COLORS[1], "");
    out + "</svg>\n"
}

/// Histograms of the distance to the nearest memory. `far` is the OOD threshold.
pub fn coverage(coverage: &Coverage, far: Option<f32>) -> String {
    let mut out = begin(LEFT + WIDTH + 24.0, TOP + 370.0, "Distance to the nearest memory");
    let share = |n: usize, of: usize| 100.0 * n as f64 / of as f64;
    let shares = || coverage.sets.iter().flat_map(|s| s.counts.iter().map(|&n| share(n, s.states)));
    let most = shares().fold(0.0, f64::max);
    let right = coverage.bounds.last().map_or(1.0, |&b| f64::from(b));
    let above = "share of the states in a bin, %";
    let axes = draw_axes(
        &mut out,
        TOP,
        220.0,
        [[0.0, right], [0.0, most]],
        ["distance, in standard deviations", above],
    );
    for (k, set) in coverage.sets.iter().enumerate() {
        let steps = set
            .counts
            .iter()
            .zip(coverage.bounds.windows(2))
            .flat_map(|(&n, b)| [b[0], b[1]].map(|x| [f64::from(x), share(n, set.states)]));
        axes.line(
            &mut out,
            steps,
            COLORS[k],
            ["", r#"stroke-dasharray="6 4""#, r#"stroke-dasharray="2 3""#][k % 3],
        );
        let y = TOP + 280.0 + 20.0 * k as f64;
        put!(out, r#"<rect x="{LEFT}" y="{:.1}" width="10" height="10" fill="{}"/>"#, y - 9.0, COLORS[k]);
        let (name, x) = (escaped(set.name), LEFT + 16.0);
        put!(
            out,
            r#"<text x="{x}" y="{y:.1}">{name}: median {:.3}, 95 % {:.3}, maximum {:.3}</text>"#,
            set.median,
            set.p95,
            set.max
        );
    }
    if let Some(far) = far.map(f64::from).filter(|&far| far <= axes.right()) {
        axes.line(
            &mut out,
            axes.vertical_range().map(|y| [far, y]).into_iter(),
            "#222",
            r#"stroke-dasharray="2 4""#,
        );
        let y = TOP + 280.0 + 20.0 * coverage.sets.len() as f64;
        put!(
            out,
            r#"<text x="{LEFT}" y="{y:.1}">dotted: OOD threshold (99 % of the calibration states are nearer)</text>"#
        );
    }
    out + "</svg>\n"
}

/// Distance and memory weight over an episode. `far` is the OOD threshold.
pub fn episode(episode: Option<&Episode>, far: Option<f32>) -> String {
    let mut out = begin(
        LEFT + WIDTH + 24.0,
        TOP + 480.0,
        "An episode: distance to the nearest memory, and memory weight",
    );
    let Some(episode) = episode else { return out + "</svg>\n" };
    let steps = &episode.steps;
    let last = steps.len().saturating_sub(1) as f64;
    let distances = || steps.iter().map(|s| s.why.memory.distance);
    let y = [0.0, range(distances().chain(far))[1]];
    let axes =
        draw_axes(&mut out, TOP, 180.0, [[0.0, last], y], ["step", "distance, in standard deviations"]);
    let timed = |(t, v): (usize, f32)| [t as f64, f64::from(v)];
    axes.line(&mut out, distances().enumerate().map(timed), COLORS[0], "");
    if let Some(far) = far.map(f64::from) {
        axes.line(&mut out, [[0.0, far], [last, far]].into_iter(), "#222", r#"stroke-dasharray="2 4""#);
    }
    let axes = draw_axes(&mut out, TOP + 250.0, 130.0, [[0.0, last], [0.0, 1.0]], ["step", "memory weight"]);
    axes.line(&mut out, steps.iter().map(|s| s.why.weight).enumerate().map(timed), COLORS[1], "");
    out + "</svg>\n"
}
