//! The figures of `mcnn table --figure`: what is drawn is what the table says, and results that do not belong together are refused.

use serde_json::{Value, json};

use crate::common::Bench;

const COLORS: [&str; 2] = ["#0072b2", "#d55e00"]; // of the first two methods

/// The lines of table.jsonl with the number of demonstrations and the seconds of training; the runs of door as those of a larger
/// data set of pen where `one_task`.
fn lines(one_task: bool) -> Vec<Value> {
    let mut lines: Vec<Value> =
        include_str!("table.jsonl").lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    for (i, line) in lines.iter_mut().enumerate() {
        let is_door = line["settings"]["task"] == "door";
        line["demonstrations"] = if is_door { 25.into() } else { 5.into() };
        line["training_seconds"] = (3.0 + 40.0 * i as f64).into();
        if is_door && one_task {
            line["settings"]["task"] = "pen".into();
            line["settings"]["data"] = "human25.hdf5".into();
        }
    }
    lines
}

fn write(bench: &Bench, lines: &[Value]) {
    let texts: Vec<String> = lines.iter().map(|l| l.to_string() + "\n").collect();
    std::fs::write(bench.path("r.jsonl"), texts.concat()).unwrap();
}

fn attribute<'a>(tag: &'a str, key: &str) -> Option<&'a str> {
    let at = tag.find(&format!(" {key}=\""))? + key.len() + 3;
    tag[at..].split('"').next()
}

fn number(tag: &str, key: &str) -> f64 {
    attribute(tag, key).unwrap_or_else(|| panic!("{key} of {tag}")).parse().unwrap()
}

fn points(tag: &str) -> Vec<[f64; 2]> {
    let pair = |p: &str| p.split_once(',').map(|(x, y)| [x.parse().unwrap(), y.parse().unwrap()]).unwrap();
    attribute(tag, "points").unwrap().split(' ').map(pair).collect()
}

/// A panel: the numbers on its axes with their places, and what is drawn in it.
#[derive(Default)]
struct Panel {
    x: Vec<(f64, f64)>,
    y: Vec<(f64, f64)>,
    marks: Vec<(String, [f64; 2])>,
    intervals: Vec<(String, [f64; 3])>, // x, and both ends
    bands: Vec<(String, Vec<[f64; 2]>)>,
    lines: Vec<(String, Vec<[f64; 2]>)>,
}

impl Panel {
    fn value(ticks: &[(f64, f64)], place: f64, is_log: bool) -> f64 {
        let on = |v: f64| if is_log { v.ln() } else { v };
        let ((p, v), (q, w)) = (ticks[0], ticks[ticks.len() - 1]);
        let value = on(v) + (place - p) / (q - p) * (on(w) - on(v));
        if is_log { value.exp() } else { value }
    }

    fn at(&self, [x, y]: [f64; 2], is_log: bool) -> [f64; 2] {
        [Self::value(&self.x, x, is_log), Self::value(&self.y, y, false)]
    }
}

/// The panels of a picture. A panel begins with its first number on an axis after something was drawn.
fn panels(svg: &str) -> Vec<Panel> {
    let mut panels: Vec<Panel> = Vec::new();
    for element in svg.split('<').skip(1) {
        let Some((tag, text)) = element.split_once('>') else { continue };
        let is_tick = attribute(tag, "font-size") == Some("11");
        if is_tick && panels.last().is_none_or(|p| !p.marks.is_empty()) {
            panels.push(Panel::default());
        }
        let Some(panel) = panels.last_mut() else { continue };
        let fill = || attribute(tag, "fill").unwrap().to_owned();
        match (attribute(tag, "class"), attribute(tag, "text-anchor")) {
            (None, Some("middle")) if is_tick => panel.x.push((number(tag, "x"), text.parse().unwrap())),
            (None, Some("end")) if is_tick => panel.y.push((number(tag, "y") - 4.0, text.parse().unwrap())),
            (Some("mark"), _) if tag.starts_with("circle") => {
                panel.marks.push((fill(), [number(tag, "cx"), number(tag, "cy")]));
            }
            (Some("mark"), _) => {
                let all = points(tag);
                let middle = |k: usize| {
                    let ends =
                        all.iter().map(|p| p[k]).fold([f64::MAX, f64::MIN], |[a, b], v| [a.min(v), b.max(v)]);
                    (ends[0] + ends[1]) / 2.0
                };
                panel.marks.push((fill(), [middle(0), middle(1)]));
            }
            (Some("interval"), _) => panel.intervals.push((
                attribute(tag, "stroke").unwrap().to_owned(),
                [number(tag, "x1"), number(tag, "y1"), number(tag, "y2")],
            )),
            (Some("band"), _) => panel.bands.push((fill(), points(tag))),
            (Some("means" | "profile"), _) => {
                panel.lines.push((attribute(tag, "stroke").unwrap().to_owned(), points(tag)));
            }
            _ => {}
        }
    }
    panels
}

/// Within what a tenth of a pixel is on an axis of some 200.
fn near(found: f64, wanted: f64, what: &str) {
    assert!((found - wanted).abs() <= 2e-3 * wanted.abs().max(60.0), "{what}: {found} for {wanted}");
}

fn estimate(cell: &Value) -> [f64; 3] {
    ["mean", "low", "high"].map(|key| cell["mean"][key].as_f64().unwrap())
}

/// Where a cell is on the horizontal axis.
type Place = Box<dyn Fn(&Value) -> f64>;

/// Checks the points of a panel, those of each method in the order of `cells`: the column and the place on the horizontal axis.
fn check_points(panel: &Panel, table: &Value, cells: &[(usize, Place)]) {
    for (method, color) in COLORS.iter().enumerate() {
        let marks: Vec<[f64; 2]> =
            panel.marks.iter().filter(|(c, _)| c == color).map(|(_, at)| *at).collect();
        let intervals: Vec<[f64; 3]> =
            panel.intervals.iter().filter(|(c, _)| c == color).map(|(_, at)| *at).collect();
        for (i, (column, place)) in cells.iter().enumerate() {
            let cell = &table["methods"][method]["cells"][*column];
            let [mean, low, high] = estimate(cell);
            let [x, y] = panel.at(marks[i], true);
            near(y, mean, "the mean");
            assert!((x / place(cell) - 1.0).abs() < 0.02, "{x} for {}", place(cell));
            let [at, first, second] = intervals[i];
            assert_eq!(at, marks[i][0], "a mark is on its interval");
            near(Panel::value(&panel.y, first, false), low, "the lower end");
            near(Panel::value(&panel.y, second, false), high, "the upper end");
        }
    }
}

#[test]
fn the_curve_by_demonstrations_is_the_table() {
    let bench = Bench::new();
    write(&bench, &lines(true));
    let table = bench.json("table r.jsonl --plot r.svg --figure demonstrations");
    let svg = std::fs::read_to_string(bench.path("r.svg")).unwrap();
    let panels = panels(&svg);
    assert_eq!(panels.len(), 1, "one task");
    let columns = table["columns"].as_array().unwrap();
    let with = |n: u64| columns.iter().position(|c| c["demonstrations"] == n).unwrap();
    check_points(&panels[0], &table, &[(with(5), Box::new(|_| 5.0)), (with(25), Box::new(|_| 25.0))]);
    // Lines go through the means, bands along the ends of the intervals and back.
    for (method, color) in COLORS.iter().enumerate() {
        let found = [5, 25].map(|n| estimate(&table["methods"][method]["cells"][with(n)]));
        let of = |all: &[(String, Vec<[f64; 2]>)]| all.iter().find(|(c, _)| c == color).unwrap().1.clone();
        let up = |all: Vec<[f64; 2]>| -> Vec<f64> { all.iter().map(|p| panels[0].at(*p, true)[1]).collect() };
        let wanted = [found[0][2], found[1][2], found[1][1], found[0][1]];
        up(of(&panels[0].lines)).iter().zip(found).for_each(|(y, f)| near(*y, f[0], "the line"));
        up(of(&panels[0].bands)).iter().zip(wanted).for_each(|(y, f)| near(*y, f, "the band"));
    }
    for part in ["demonstrations (episodes)", "score", "MCNN, MLP", "MLP, no memories"] {
        assert!(svg.contains(part), "{part}");
    }
    bench.ok("table r.jsonl --plot r.png --figure demonstrations");
}

#[test]
fn the_figure_by_seconds_is_the_table() {
    let bench = Bench::new();
    write(&bench, &lines(false));
    let table = bench.json("table r.jsonl --plot r.svg --figure seconds");
    let svg = std::fs::read_to_string(bench.path("r.svg")).unwrap();
    let panels = panels(&svg);
    assert_eq!(panels.len(), 2, "a panel for each column");
    for (column, panel) in panels.iter().enumerate() {
        let training = |cell: &Value| cell["training_seconds"].as_f64().unwrap();
        check_points(panel, &table, &[(column, Box::new(training))]);
    }
    assert!(svg.contains("training (s)"));
    // Results of earlier versions have the seconds of the whole run alone.
    std::fs::write(bench.path("r.jsonl"), include_str!("table.jsonl")).unwrap();
    bench.ok("table r.jsonl --plot r.svg --figure seconds --force");
    assert!(std::fs::read_to_string(bench.path("r.svg")).unwrap().contains("training and evaluation (s)"));
}

#[test]
fn the_profiles_are_the_table() {
    let bench = Bench::new();
    write(&bench, &lines(false));
    let table = bench.json("table r.jsonl --plot r.svg --figure profile");
    let panels = panels(&std::fs::read_to_string(bench.path("r.svg")).unwrap());
    for (method, color) in COLORS.iter().enumerate() {
        let profile = table["methods"][method]["all"]["profile"].as_array().unwrap();
        let line = &panels[0].lines.iter().find(|(c, _)| c == color).unwrap().1;
        assert_eq!(line.len(), profile.len());
        for (at, wanted) in line.iter().zip(profile) {
            let [tau, share] = panels[0].at(*at, false);
            near(tau, wanted["tau"].as_f64().unwrap(), "the score");
            assert!((share - wanted["share"]["mean"].as_f64().unwrap()).abs() < 2e-3);
        }
    }
}

#[test]
fn results_that_cannot_be_drawn_are_refused() {
    let bench = Bench::new();
    std::fs::write(bench.path("r.jsonl"), include_str!("table.jsonl")).unwrap();
    let message = bench.refused("table r.jsonl --plot x.svg --figure demonstrations");
    assert!(message.contains("--demonstrations human=N"), "{message}");
    bench.ok("table r.jsonl --plot x.svg --figure demonstrations --demonstrations human=25");
    let message = bench.refused("table r.jsonl --demonstrations other=5");
    assert!(message.contains("other=5") && message.contains("no results"), "{message}");
    write(&bench, &lines(true));
    let message = bench.refused("table r.jsonl --demonstrations human25=7");
    assert!(message.contains("25"), "{message}");
    let mut two = lines(true);
    two.iter_mut().for_each(|line| line["demonstrations"] = 5.into());
    write(&bench, &two);
    let message = bench.refused("table r.jsonl --plot y.svg --figure demonstrations");
    assert!(message.contains("human25") && message.contains("same number"), "{message}");
    write(&bench, &lines(true).into_iter().filter(|l| l["demonstrations"] == 5).collect::<Vec<_>>());
    let message = bench.refused("table r.jsonl --plot y.svg --figure profile");
    assert!(message.contains("all columns"), "{message}");
}

#[test]
fn results_without_seeds_or_with_mixed_settings_are_refused() {
    let bench = Bench::new();
    for key in ["seed", "first_seed", "episodes"] {
        let mut lines = lines(false);
        lines[3]["settings"].as_object_mut().unwrap().remove(key);
        write(&bench, &lines);
        let message = bench.refused("table r.jsonl");
        assert!(message.contains("line 4") && message.contains(key), "{message}");
    }
    for (key, value) in [("first_seed", json!(7000)), ("episodes", json!(3)), ("reward", json!("gymnasium"))]
    {
        let mut lines = lines(false);
        lines[3]["settings"][key] = value.clone();
        write(&bench, &lines);
        let message = bench.refused("table r.jsonl");
        let shown = value.as_str().map_or(value.to_string(), str::to_owned);
        assert!(message.contains(key) && message.contains(&shown), "{message}");
    }
}
