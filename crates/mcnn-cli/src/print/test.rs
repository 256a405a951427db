//! `mcnn test` as text.

use std::fmt::Write as _;

use super::name_width;
use crate::commands::test::{EpisodesAre, Errors, TestReport};

/// Episodes that are listed.
const LISTED: usize = 10;

pub fn test(t: &TestReport) -> String {
    let mut out = String::new();
    let (which, note) = match t.episodes_are {
        EpisodesAre::All => ("", ""),
        EpisodesAre::Validation => ("validation ", " (the policy was trained on the others)"),
        EpisodesAre::Training => {
            ("", "; the policy was TRAINED on them, so its errors are smaller than on new ones")
        }
    };
    line!(out, "{}: {} {which}episodes, {} steps{note}", t.file, t.episodes, t.steps);
    if t.episodes_are == EpisodesAre::All && 10 * t.known_states > t.steps {
        line!(
            out,
            "  note: {} of the states are memories of the policy, so it knows these recordings: the errors are too small",
            t.known_states
        );
    }
    let base = t.error.mean_action;
    let of_base = |error: f64| if base > 0.0 { format!("{:.0} %", 100.0 * error / base) } else { "-".into() };
    line!(
        out,
        "  {}: its error is {} of that of the mean action; {}",
        t.name,
        of_base(t.error.policy),
        beside(t)
    );
    let labels = [
        "policy".to_owned(),
        "network alone".into(),
        "1-NN".into(),
        format!("VINN (k = {})", t.k),
        "mean action".into(),
        "state as action".into(),
    ];
    line!(out, "  mean squared error of the action, each dimension scaled to [-1, 1]");
    for (label, error) in labels.iter().zip(t.error.all()) {
        if let Some(error) = error {
            line!(out, "    {label:<16} {error:>10.6} {:>7}", of_base(error));
        }
    }
    line!(out, "  by distance to the nearest memory");
    line!(out, "    {:>17} {:>7} {:>7}{}", "distance", "states", "weight", heads(&t.error));
    for b in &t.by_distance {
        let distance = format!("{:.3} to {:.3}", b.distance[0], b.distance[1]);
        line!(out, "    {distance:>17} {:>7} {:>7.3}{}", b.states, b.weight, cells(&b.error));
    }
    line!(out, "  by action dimension");
    let action_names = t.names.action_names.as_deref();
    let width = action_names.map_or(9, name_width).max(9);
    line!(out, "    {:<width$}{}", "dimension", heads(&t.error));
    for d in &t.by_dimension {
        let name = action_names.map_or_else(|| d.dimension.to_string(), |names| names[d.dimension].clone());
        line!(out, "    {name:<width$}{}", cells(&d.error));
    }
    let mut worst: Vec<_> = t.by_episode.iter().collect();
    worst.sort_by(|a, b| b.error.policy.total_cmp(&a.error.policy));
    let shown = match worst.len() {
        n if n > LISTED => format!(", the {LISTED} of {n} with the largest error (all: --json)"),
        _ => String::new(),
    };
    line!(out, "  by episode{shown}");
    line!(out, "    {:>9} {:>7}{}", "episode", "steps", heads(&t.error));
    for e in worst.iter().take(LISTED) {
        line!(out, "    {:>9} {:>7}{}", e.episode, e.steps, cells(&e.error));
    }
    out
}

/// How the policy does beside its memories alone.
fn beside(t: &TestReport) -> String {
    let (nearest, name) = match t.error.vinn < t.error.nearest {
        true => (t.error.vinn, "VINN"),
        false => (t.error.nearest, "1-NN"),
    };
    let than = if t.error.policy < nearest { "smaller than" } else { "not smaller than" };
    format!("it is {than} that of its memories alone ({name})")
}

const HEADS: [&str; 6] = ["policy", "network", "1-NN", "VINN", "mean act.", "state"];

fn heads(present: &Errors) -> String {
    let shown = HEADS.iter().zip(present.all()).filter(|(_, error)| error.is_some());
    shown.fold(String::new(), |text, (head, _)| text + &format!(" {head:>10}"))
}

fn cells(errors: &Errors) -> String {
    errors.all().iter().flatten().fold(String::new(), |text, error| text + &format!(" {error:>10.6}"))
}
