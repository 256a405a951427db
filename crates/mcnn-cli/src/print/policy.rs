//! `mcnn train` and `mcnn explain` as text.

use std::fmt::Write as _;

use mcnn::{memory::BaselineErrors, policy::Bucket, train::Keep};

use super::{lambda, name_width};
use crate::commands::{explain::ExplainReport, train::TrainReport};

pub fn train(t: &TrainReport) -> String {
    let mut out = String::new();
    if t.interrupted {
        line!(out, "interrupted: {} steps are saved in {}; --resume continues", t.steps, t.file);
        return out;
    }
    line!(
        out,
        "{}: {}, {} steps in {:.1} s ({:.0} steps/s), seed {}",
        t.file,
        t.name,
        t.steps,
        t.seconds,
        t.steps_per_second,
        t.seed
    );
    if let Some(from) = t.resumed_from {
        line!(out, "  resumed          from step {from}");
    }
    let auto = if t.lambda_auto {
        ", set from the data (0.25 at the median distance of the steps that move)"
    } else {
        ""
    };
    line!(out, "  lambda           {}{auto}", lambda(t.lambda, t.half_distance));
    if let Some(weight) = t.memory_weight {
        line!(
            out,
            "  memory weight    {weight:.3} on average over the demonstrated states, against other episodes"
        );
    }
    if t.members > 1 {
        line!(out, "  ensemble         {} networks", t.members);
    }
    if let Some(loss) = t.loss {
        line!(out, "  training loss    {loss:.6}: {}", t.objective);
    }
    if t.zero_gradient_share > 0.0 {
        line!(
            out,
            "  zero gradient    {:.1} % of the training rows, whose memory weight is 1",
            100.0 * t.zero_gradient_share
        );
    }
    let [short, all] = t.short_episodes;
    if short > 0 {
        line!(out, "  short episodes   {short} of {all} are shorter than the horizon");
    }
    match &t.validation {
        None => {
            line!(out, "  validation loss  none: no validation episodes");
        }
        Some(v) => {
            if let Some(lowest) = &t.lowest_validation {
                let kept = match t.keep {
                    Keep::Best => ": this network is kept",
                    Keep::Last if lowest.loss < v.loss => "; --keep best would keep that network",
                    Keep::Last => "",
                };
                line!(
                    out,
                    "  lowest           validation loss {:.6} at step {}{kept}",
                    lowest.loss,
                    lowest.step
                );
            }
            line!(
                out,
                "  validation loss  {:.6}: mean squared error of the policy's action, on {} states; by distance to the nearest memory of another episode:",
                v.loss,
                v.states
            );
            line!(
                out,
                "    {:>17} {:>7} {:>7} {:>10} {:>10} {:>10}",
                "distance",
                "states",
                "weight",
                "policy",
                "1-NN",
                "network"
            );
            for b in &v.by_distance {
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
    line!(out, "  baselines        {}", baselines(&t.baselines));
    match &t.calibration {
        Some(g) => line!(
            out,
            "  OOD calibration  {} episodes, each against the memories of the others: median distance {:.3}, 95 % {:.3}, largest {:.3}",
            g.episodes,
            g.median,
            g.p95,
            g.max
        ),
        None => {
            line!(out, "  OOD calibration  none: all memories are of one episode")
        }
    }
    line!(out, "  run folder       {}", t.run_folder);
    out
}

/// What copying and doing nothing cost.
pub fn baselines(b: &BaselineErrors) -> String {
    let copying = b.copying.map_or("-".into(), |error| format!("{error:.6}"));
    let staying = b.state_as_action.map_or(String::new(), |error| format!(", staying {error:.6}"));
    format!(
        "1-NN (memory of another episode) {copying}, mean action {:.6}{staying}: mean squared errors on {} states",
        b.mean_action, b.states
    )
}

pub fn explain(e: &ExplainReport) -> String {
    let (x, mut out) = (&e.explanation, String::new());
    line!(out, "{}, state {} of the data (episode:step)", e.name, e.at);
    let own = if e.is_memory { ": the state itself" } else { "" };
    line!(
        out,
        "  memory       {} (episode:step {}) at standardized distance {:.4}{own}",
        x.memory.memory,
        x.memory.source,
        x.memory.distance
    );
    if let Some(r) = &x.runner_up {
        line!(out, "  runner-up    {} (episode:step {}) at {:.4}", r.memory, r.source, r.distance);
    }
    if x.smooth_neighbors > 1 {
        line!(
            out,
            "  smoothed     the memory action is the mean over the {} training steps nearest to the memory",
            x.smooth_neighbors
        );
    }
    if x.neighbors > 1 {
        line!(
            out,
            "  neighbors    the memory action is the mean over the {} nearest memories, weighted by exp(-distance)",
            x.neighbors
        );
    }
    if let Some(last) = x.retrieved.last() {
        line!(
            out,
            "  retrieved    the network predicts from the {} nearest memories, the last at {:.4}",
            x.retrieved.len(),
            last.distance
        );
    }
    let half = e.half_distance.map_or(String::new(), |h| format!(" (0.5 at distance {h:.3})"));
    line!(out, "  weight       {:.4}: memory weight{half}", x.weight);
    line!(out, "  radius       {:.4}: half-width of the box around its center", x.radius);
    if let Some(std) = x.member_std {
        line!(
            out,
            "  ensemble     {} networks, whose actions have a standard deviation of {std:.4} (root mean square over dimensions)",
            x.members
        );
    }
    if let Some(buckets) = &x.buckets {
        let Bucket { bucket, probability, .. } = &buckets.chosen;
        line!(out, "  bucket       {bucket} of {}, with probability {probability:.3}", buckets.of);
        let likeliest = buckets.likeliest.iter().map(|b| format!("{} ({:.3})", b.bucket, b.probability));
        line!(out, "  most likely  {}", likeliest.collect::<Vec<_>>().join(", "));
    }
    if let Some(q) = x.quantile {
        line!(
            out,
            "  OOD quantile {:.1} % of the calibration states are nearer to their memories",
            100.0 * q
        );
    }
    if let Some(samples) = x.samples {
        line!(
            out,
            "  sampled      the action is one sample; the spread is the standard deviation of {samples}"
        );
    }
    let spread = if x.samples.is_some() { format!(" {:>9}", "spread") } else { String::new() };
    let (action_names, state_names) = (e.names.action_names.as_deref(), e.names.state_names.as_deref());
    line!(
        out,
        "  action       {:>4}{} {:>9} {:>9} {:>9} {:>9}{spread} {:>21} {:>12}",
        "dim",
        name_column(action_names, None),
        "memory",
        "center",
        "network",
        "action",
        "box",
        "demonstrated"
    );
    for (k, (d, shown)) in x.dimensions.iter().zip(&e.demonstrated_action).enumerate() {
        let network = d.network_action.map_or("-".into(), |s| format!("{s:.4}"));
        let bounds = format!("[{:.4}, {:.4}]", d.low, d.high);
        let spread = d.std.map_or(String::new(), |s| format!(" {s:>9.4}"));
        line!(
            out,
            "               {k:>4}{} {:>9.4} {:>9.4} {network:>9} {:>9.4}{spread} {bounds:>21} {shown:>12.4}",
            name_column(action_names, Some(k)),
            d.memory_action,
            d.center,
            d.action
        );
    }
    if x.dimensions.iter().any(|d| d.network_action.is_some()) {
        line!(
            out,
            "               network: its action, clamped or squashed, before it is brought into the box"
        );
    }
    if let Some(chunk) = &x.chunk {
        line!(
            out,
            "  sequence     {} actions predicted, {} executed; difference to the memory's actions:",
            chunk.horizon,
            chunk.steps.len()
        );
        line!(out, "               step {:>9} {:>9}", "mean", "largest");
        for (ahead, step) in chunk.steps.iter().enumerate() {
            let differences = || step.iter().filter_map(|d| Some((d.action - d.memory_action?).abs()));
            let mean = differences().sum::<f32>() / step.len() as f32;
            let largest = differences().fold(0.0, f32::max);
            if differences().next().is_some() {
                line!(out, "               {:>4} {mean:>9.4} {largest:>9.4}", format!("+{ahead}"));
            }
        }
        if chunk.steps.iter().flatten().any(|d| d.memory_action.is_none()) {
            line!(out, "               later ones are constrained by the memory of their own observation");
        }
    }
    let total: f32 = x.contributions.iter().sum();
    if total > 0.0 {
        let mut order: Vec<usize> = (0..x.contributions.len()).collect();
        order.sort_by(|&a, &b| x.contributions[b].total_cmp(&x.contributions[a]));
        line!(out, "  distance     by state dimension, largest share first:");
        for &k in order.iter().take(6).filter(|&&k| x.contributions[k] > 0.0) {
            line!(
                out,
                "               {k:>4}{} {:>5.1} %   state {:.4}, memory {:.4}",
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
