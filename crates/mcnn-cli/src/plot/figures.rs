//! The figures of `table --figure`: score by the number of demonstrations, score by seconds of training, and performance profiles.

use std::fmt::Write as _;

use mcnn::{Error, Result, error::Kind, eval::stats::Estimate};

use super::{
    GAP, LETTER, TOP,
    axes::{Area, Axes, Axis},
    begin, escaped, marks, text,
};
use crate::sweep::{
    grid::{Cell, Grid, Method},
    record::Column,
};

const LEFT: f64 = 56.0;
const HEIGHT: f64 = 210.0; // of a panel
const WIDTH: f64 = 250.0;
const BELOW: f64 = 72.0; // between the axes of one row of panels and those of the next
const PER_ROW: usize = 3;
const LEGEND_ROW: f64 = 22.0;
const DODGE: f64 = 9.0; // between methods that would hide each other

/// A page of panels with a legend below them.
struct Page {
    out: String,
    legend: f64,
    columns: usize,
    wide: f64,
}

impl Page {
    /// `methods`: the indices and names of those that are drawn.
    fn new(title: &str, panels: usize, [width, height]: [f64; 2], methods: &[(usize, &str)]) -> Self {
        let longest = methods.iter().map(|(_, name)| name.chars().count()).max().unwrap_or(0);
        let wide = 34.0 + LETTER * longest as f64;
        let across = panels.min(PER_ROW) as f64;
        let page = (LEFT + across * (width + GAP) + (across - 1.0) * 16.0).max(20.0 + wide);
        let page = page.max(24.0 + 7.6 * title.chars().count() as f64);
        let columns = (((page - 20.0) / wide) as usize).clamp(1, methods.len().max(1));
        let legend = TOP + panels.div_ceil(PER_ROW) as f64 * (height + BELOW) - 8.0;
        let rows = methods.len().div_ceil(columns) as f64;
        Self { out: begin(page, legend + rows * LEGEND_ROW, title), legend, columns, wide }
    }

    fn area(panel: usize, [width, height]: [f64; 2]) -> Area {
        Area {
            left: LEFT + (panel % PER_ROW) as f64 * (width + GAP + 16.0),
            top: TOP + 22.0 + (panel / PER_ROW) as f64 * (height + BELOW),
            width,
            height: height - 22.0,
        }
    }

    /// Draws the title of a panel.
    fn head(&mut self, area: Area, title: &str) {
        let (x, y) = (area.left, area.top - 28.0);
        let fits = ((area.width + GAP) / (LETTER + 0.5)) as usize;
        let title = match title.chars().count() > fits {
            true => title.chars().take(fits - 3).collect::<String>() + "...",
            false => title.to_owned(),
        };
        put!(self.out, r#"<text x="{x:.1}" y="{y:.1}" font-weight="bold">{}</text>"#, escaped(&title));
    }

    fn end(mut self, methods: &[(usize, &str)]) -> String {
        for (i, (method, name)) in methods.iter().enumerate() {
            let x = 26.0 + (i % self.columns) as f64 * self.wide;
            let y = self.legend + (i / self.columns) as f64 * LEGEND_ROW;
            marks::marker(&mut self.out, *method, [x, y], name);
            put!(self.out, r#"<text x="{:.1}" y="{:.1}">{}</text>"#, x + 12.0, y + 4.5, escaped(name));
        }
        self.out + "</svg>\n"
    }
}

/// A point of a method in a panel.
struct Point<'a> {
    x: f64,
    cell: &'a Cell,
}

impl Point<'_> {
    fn mean(&self) -> &Estimate {
        &self.cell.found.mean
    }

    /// The mean and the ends of its interval, where it has one.
    fn ends(&self) -> impl Iterator<Item = f64> {
        let m = self.mean();
        [m.mean, m.low, m.high].into_iter().filter(|v| v.is_finite())
    }
}

/// The points of each method in a panel: [method][point].
type Series<'a> = Vec<Vec<Point<'a>>>;

/// Score by the number of demonstrations: a panel for each task, with intervals, and bands between them.
///
/// # Errors
/// If the number of demonstrations of some data is not known, or a task has two data sets of one size.
pub fn demonstrations(grid: &Grid) -> Result<String> {
    let tasks = tasks(grid)?;
    let methods = drawn(grid, |m| m.cells.iter().any(Option::is_some));
    let size = [WIDTH, HEIGHT];
    let title = format!(
        "{} by the number of demonstrations: mean, 95 % interval (dashed: approximate)",
        scores(grid)
    );
    let mut page = Page::new(&title, tasks.len(), size, &methods);
    for (panel, (task, columns)) in tasks.iter().enumerate() {
        let series: Series = grid
            .methods
            .iter()
            .map(|m| {
                let cells = columns.iter().filter_map(|(x, k)| Some((*x as f64, m.cells[*k].as_ref()?)));
                cells.map(|(x, cell)| Point { x, cell }).collect()
            })
            .collect();
        let sizes: Vec<f64> = columns.iter().map(|(x, _)| *x as f64).collect();
        let ends = [sizes[0], sizes[sizes.len() - 1]];
        let x = Axis::log_at("demonstrations (episodes)", sizes, ends);
        draw(
            &mut page,
            Page::area(panel, size),
            task,
            [x, Axis::linear(grid.unit, vertical(&series))],
            &series,
        );
    }
    Ok(page.end(&methods))
}

/// Numbers of demonstrations, increasing, each with its column.
type Sizes = Vec<(usize, usize)>;

/// The tasks, each with its sizes of data.
fn tasks(grid: &Grid) -> Result<Vec<(String, Sizes)>> {
    let mut tasks: Vec<(String, Sizes)> = Vec::new();
    for (k, column) in grid.columns.iter().enumerate() {
        let n = column.demonstrations.filter(|n| *n > 0).ok_or_else(|| unknown(column))?;
        let name = column.task_title();
        let at = tasks.iter().position(|(task, _)| *task == name).unwrap_or_else(|| {
            tasks.push((name, Vec::new()));
            tasks.len() - 1
        });
        if let Some((_, other)) = tasks[at].1.iter().find(|(m, _)| *m == n) {
            return Err(Error::new(
                Kind::Mismatch,
                "two data sets of one task have the same number of demonstrations",
            )
            .at(format!("{}: {} and {}", column.task, grid.columns[*other].data, column.data))
            .found(format!("{n} each"))
            .next("draw the results of each kind of data from a file of their own"));
        }
        tasks[at].1.push((n, k));
    }
    tasks.iter_mut().for_each(|(_, columns)| columns.sort_unstable());
    Ok(tasks)
}

fn unknown(column: &Column) -> Error {
    Error::new(Kind::Settings, "the results do not say how many demonstrations the data have")
        .at(column.title())
        .next(format!("--demonstrations {}=N", column.data))
}

/// Score by seconds: a panel for each column, with a point for each method.
pub fn seconds(grid: &Grid) -> String {
    let methods = drawn(grid, |m| m.cells.iter().any(Option::is_some));
    let all = || grid.methods.iter().flat_map(|m| m.cells.iter().flatten());
    // Of training where all results say it, so that no axis has seconds of two kinds.
    let is_training = all().all(|cell| cell.training_seconds.is_some());
    let of = |cell: &Cell| cell.training_seconds.filter(|_| is_training).unwrap_or(cell.seconds).max(1e-3);
    let (by, label) = if is_training {
        ("seconds of training", "training (s)")
    } else {
        ("seconds of a run", "training and evaluation (s)")
    };
    let size = [WIDTH, HEIGHT];
    let title = format!("{} by {by}: mean, 95 % interval (dashed: approximate)", scores(grid));
    let mut page = Page::new(&title, grid.columns.len(), size, &methods);
    for (k, column) in grid.columns.iter().enumerate() {
        let point = |cell| Point { x: of(cell), cell };
        let series: Series = grid.methods.iter().map(|m| m.cells[k].iter().map(point).collect()).collect();
        let places = || series.iter().flatten().map(|p| p.x);
        let ends = [places().fold(f64::MAX, f64::min), places().fold(f64::MIN, f64::max)];
        let ends = if ends[0] <= ends[1] { ends } else { [1.0, 10.0] };
        let axes = [Axis::log(label, ends), Axis::linear(grid.unit, vertical(&series))];
        let title = match column.demonstrations {
            Some(1) => format!("{}, 1 demonstration", column.task_title()),
            Some(n) => format!("{}, {n} demonstrations", column.task_title()),
            None => column.title(),
        };
        draw(&mut page, Page::area(k, size), &title, axes, &series);
    }
    page.end(&methods)
}

/// Performance profiles (Agarwal et al., 2021): the share of the runs over all columns above each score, with pointwise bands.
///
/// # Errors
/// If no method has runs in every column, or there is only one.
pub fn profiles(grid: &Grid) -> Result<String> {
    let methods = drawn(grid, |m| m.all.is_some());
    if methods.is_empty() {
        return Err(Error::new(
            Kind::Settings,
            "no method has results in all columns, or there is only one column",
        )
        .at("--figure profile")
        .next("take out the columns that the methods do not share"));
    }
    let size = [560.0, 320.0];
    let title = format!(
        "Share of runs above each {}, over {} tasks and data sets; 95 % band",
        grid.unit,
        grid.columns.len()
    );
    let mut page = Page::new(&title, 1, size, &methods);
    let profile = |i: usize| grid.methods[i].all.iter().flat_map(|all| &all.profile);
    let taus = || methods.iter().flat_map(|(i, _)| profile(*i).map(|p| p.tau));
    let range = [taus().fold(f64::MAX, f64::min), taus().fold(f64::MIN, f64::max)];
    let label = if grid.unit == "score" { "score (0: random actions, 100: the expert)" } else { "return" };
    let area = Page::area(0, size);
    let axes = Axes::draw(
        &mut page.out,
        area,
        [Axis::linear(label, range), Axis::linear("share of runs above the score", [0.0, 1.0])],
    );
    for (i, _) in &methods {
        if profile(*i).all(|p| p.share.low.is_finite()) {
            let there = profile(*i).map(|p| [p.tau, p.share.high]);
            let back: Vec<[f64; 2]> = profile(*i).map(|p| [p.tau, p.share.low]).collect();
            marks::band(&mut page.out, *i, &axes.points(there.chain(back.into_iter().rev())));
        }
    }
    for (i, name) in &methods {
        let color = marks::color(*i);
        axes.line(&mut page.out, profile(*i).map(|p| [p.tau, p.share.mean]), color, r#"class="profile""#);
        // A marker now and then, so that lines are told apart without colors.
        for p in profile(*i).skip(*i % 4).step_by(4) {
            let note = format!("{name}: {:.0} % of runs above {}", 100.0 * p.share.mean, text(p.tau));
            marks::marker(&mut page.out, *i, [axes.across(p.tau), axes.up(p.share.mean)], &note);
        }
    }
    Ok(page.end(&methods))
}

/// Draws a panel: bands first, then lines, then points with their intervals.
fn draw(page: &mut Page, area: Area, title: &str, axes: [Axis; 2], series: &Series) {
    page.head(area, title);
    let axes = Axes::draw(&mut page.out, area, axes);
    let out = &mut page.out;
    let has_interval = |p: &&Point| p.mean().low.is_finite() && p.mean().high.is_finite();
    for (i, points) in series.iter().enumerate().filter(|(_, points)| points.len() > 1) {
        let with = || points.iter().filter(has_interval);
        let around = with().map(|p| [p.x, p.mean().high]).chain(with().rev().map(|p| [p.x, p.mean().low]));
        marks::band(out, i, &axes.points(around));
        axes.line(out, points.iter().map(|p| [p.x, p.mean().mean]), marks::color(i), r#"class="means""#);
    }
    // Points of several methods at one place go side by side, unless lines lead to them.
    let has_lines = series.iter().any(|points| points.len() > 1);
    let shown: Vec<usize> = (0..series.len()).filter(|i| !series[*i].is_empty() && !has_lines).collect();
    for (i, points) in series.iter().enumerate() {
        for point in points {
            let same = |j: &&usize| series[**j].iter().any(|p| p.x == point.x);
            let side: Vec<usize> = shown.iter().filter(same).copied().collect();
            let place = side.iter().position(|j| *j == i).unwrap_or(0) as f64;
            let x = axes.across(point.x) + DODGE * (place - (side.len().max(1) as f64 - 1.0) / 2.0);
            let m = point.mean();
            if has_interval(&point) {
                marks::whisker(out, i, x, [m.low, m.high].map(|v| axes.up(v)), m.rough.is_some());
            }
            let interval = match has_interval(&point) {
                true => format!(" ({:.1} to {:.1})", m.low, m.high),
                false => String::new(),
            };
            let n = point.cell.seeds.len();
            let note = format!("{:.1}{interval}, {n} {}", m.mean, if n == 1 { "seed" } else { "seeds" });
            marks::marker(out, i, [x, axes.up(m.mean)], &note);
        }
    }
}

/// The methods that are drawn, by their numbers and names.
fn drawn(grid: &Grid, is_drawn: impl Fn(&Method) -> bool) -> Vec<(usize, &str)> {
    let methods = grid.methods.iter().enumerate().filter(|(_, m)| is_drawn(m));
    methods.map(|(i, m)| (i, m.name.as_str())).collect()
}

fn vertical(series: &Series) -> [f64; 2] {
    let ends = || series.iter().flatten().flat_map(Point::ends);
    [ends().fold(f64::MAX, f64::min), ends().fold(f64::MIN, f64::max)]
}

fn scores(grid: &Grid) -> &'static str {
    if grid.unit == "score" { "Score" } else { "Return" }
}
