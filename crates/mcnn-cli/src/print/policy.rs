//! Training, and the reasons of an action, as text.

use std::fmt::Write as _;

use mcnn::{policy::Bucket, train::Lambda};

use super::name_width;
use crate::commands::{explain::Explained, train::Trained};

pub fn trained(t: &Trained) -> String {
    let mut out = String::new();
    if t.interrupted {
        line!(out, "interrupted: {} steps are saved in {}; --resume goes on from there", t.steps, t.file);
        return out;
    }
    line!(
        out,
        "{}: {}, {} steps in {:.1} s ({:.0}/s), seed {}",
        t.file,
        t.name,
        t.steps,
        t.seconds,
        t.steps_per_second,
        t.seed
    );
    if let Some(from) = t.resumed_from {
        line!(out, "  resumed    from step {from}");
    }
    line!(out, "  lambda     {}", lambda(t));
    if let Some(loss) = t.loss {
        line!(out, "  loss       {loss:.6}");
    }
    if t.zero_gradient_share > 0.0 {
        line!(
            out,
            "  idle       {:.1} % of the training steps, whose memory decides alone",
            100.0 * t.zero_gradient_share
        );
    }
    let [short, all] = t.short_episodes;
    if short > 0 {
        line!(out, "  short      {short} of {all} episodes, used as far as they go");
    }
    match &t.held_out {
        None => {
            line!(out, "  held out   no episodes");
        }
        Some(h) => {
            line!(
                out,
                "  held out   loss {:.6} on {} states, by distance to the nearest memory of another episode:",
                h.loss,
                h.states
            );
            line!(
                out,
                "    {:>17} {:>7} {:>7} {:>10} {:>10} {:>10}",
                "distance",
                "states",
                "weight",
                "policy",
                "copying",
                "network"
            );
            for b in &h.by_distance {
                let network = b.network.map_or("-".into(), |n| format!("{n:.6}"));
                let distance = format!("{:.3} to {:.3}", b.distance[0], b.distance[1]);
                line!(
                    out,
                    "    {distance:>17} {:>7} {:>7.3} {:>10.6} {:>10.6} {network:>10}",
                    b.states,
                    b.weight,
                    b.loss,
                    b.copying
                );
            }
        }
    }
    match &t.calibration {
        Some(g) => line!(
            out,
            "  calibration      {} episodes, each against the others' memories: median {:.3}, 95 % {:.3}, farthest {:.3}; `mcnn eval --guard` uses it",
            g.episodes,
            g.median,
            g.p95,
            g.farthest
        ),
        None => {
            line!(out, "  calibration      none: all memories come from one episode, and there is no other")
        }
    }
    line!(out, "  run        {}", t.run_folder);
    out
}

fn lambda(t: &Trained) -> String {
    let how = if t.auto { " (auto)" } else { "" };
    match (t.lambda, t.half_distance) {
        (Lambda::Value(0.0), _) => "0: the memory decides alone, everywhere".into(),
        (Lambda::Value(f32::INFINITY), _) => "inf: the memories count nothing".into(),
        (value, Some(half)) => {
            format!("{value}{how}: a memory counts half at a standardized distance of {half:.3}")
        }
        (value, None) => value.to_string(),
    }
}

pub fn explained(e: &Explained) -> String {
    let (x, mut out) = (&e.explanation, String::new());
    line!(out, "{}, state {} of the data", e.name, e.at);
    let own = if e.is_memory { ": this very state" } else { "" };
    line!(
        out,
        "  memory     {} (episode:step {}) at standardized distance {:.4}{own}",
        x.memory.memory,
        x.memory.source,
        x.memory.distance
    );
    if let Some(r) = &x.runner_up {
        line!(out, "  runner-up  {} (episode:step {}) at {:.4}", r.memory, r.source, r.distance);
    }
    if x.smooth_neighbors > 1 {
        line!(
            out,
            "  smoothed   a memory's action is the mean over its {} nearest training steps",
            x.smooth_neighbors
        );
    }
    if x.neighbors > 1 {
        line!(
            out,
            "  neighbors the memory action is the mean over the {} nearest memories, weighted by exp(-distance)",
            x.neighbors
        );
    }
    let half = e.half_distance.map_or(String::new(), |h| format!(" (half at distance {h:.3})"));
    line!(out, "  weight       {:.4} of the memory's action{half}", x.weight);
    line!(out, "  radius     {:.4}: how far the network may move the action from the anchor", x.radius);
    if let Some(buckets) = &x.buckets {
        let Bucket { bucket, probability, .. } = &buckets.chosen;
        line!(out, "  bucket     {bucket} of {}, with probability {probability:.3}", buckets.of);
        let likeliest = buckets.likeliest.iter().map(|b| format!("{} ({:.3})", b.bucket, b.probability));
        line!(out, "  likeliest  {}", likeliest.collect::<Vec<_>>().join(", "));
    }
    if let Some(q) = x.quantile {
        line!(out, "  far        farther than {:.1} % of the states of calibration episodes", 100.0 * q);
    }
    if let Some(samples) = x.samples {
        line!(out, "  drawn      the action is one draw; its spread is the standard deviation of {samples}");
    }
    let spread = if x.samples.is_some() { format!(" {:>9}", "spread") } else { String::new() };
    let (action_names, state_names) = (e.names.action_names.as_deref(), e.names.state_names.as_deref());
    line!(
        out,
        "  action     {:>4}{} {:>9} {:>9} {:>9} {:>9}{spread} {:>21} {:>12}",
        "dim",
        name_column(action_names, None),
        "memory",
        "anchor",
        "proposal",
        "action",
        "box",
        "demonstrated"
    );
    for (k, (d, shown)) in x.dimensions.iter().zip(&e.demonstrated).enumerate() {
        let proposal = d.network_output.map_or("-".into(), |p| format!("{p:.4}"));
        let bounds = format!("[{:.4}, {:.4}]", d.low, d.high);
        let spread = d.std.map_or(String::new(), |s| format!(" {s:>9.4}"));
        line!(
            out,
            "             {k:>4}{} {:>9.4} {:>9.4} {proposal:>9} {:>9.4}{spread} {bounds:>21} {shown:>12.4}",
            name_column(action_names, Some(k)),
            d.memory_action,
            d.center,
            d.action
        );
    }
    if let Some(chunk) = &x.chunk {
        line!(
            out,
            "  chunk      {} actions proposed, {} of them executed; from the memory's and those that followed it they differ by:",
            chunk.horizon,
            chunk.steps.len()
        );
        line!(out, "             step {:>9} {:>9}", "mean", "largest");
        for (ahead, step) in chunk.steps.iter().enumerate() {
            let apart = || step.iter().map(|d| (d.action - d.memory_action).abs());
            let mean = apart().sum::<f32>() / step.len() as f32;
            line!(
                out,
                "             {:>4} {mean:>9.4} {:>9.4}",
                format!("+{ahead}"),
                apart().fold(0.0, f32::max)
            );
        }
    }
    let total: f32 = x.contributions.iter().sum();
    if total > 0.0 {
        let mut order: Vec<usize> = (0..x.contributions.len()).collect();
        order.sort_by(|&a, &b| x.contributions[b].total_cmp(&x.contributions[a]));
        line!(out, "  distance   by state dimension, largest first:");
        for &k in order.iter().take(6).filter(|&&k| x.contributions[k] > 0.0) {
            line!(
                out,
                "             {k:>4}{} {:>5.1} %   state {:.4}, memory {:.4}",
                name_column(state_names, Some(k)),
                100.0 * x.contributions[k] / total,
                e.state[k],
                e.memory_state[k]
            );
        }
    }
    out
}

/// A cell of the column with the names of dimensions: a dimension's name, or the head of the column. Nothing where there are no
/// names.
fn name_column(names: Option<&[String]>, dimension: Option<usize>) -> String {
    let Some(names) = names else { return String::new() };
    let text = dimension.map_or("name", |k| &names[k]);
    format!(" {text:<width$}", width = name_width(names))
}
