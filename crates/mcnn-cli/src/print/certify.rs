//! `mcnn certify` as text.

use std::fmt::Write as _;

use mcnn::train::Lambda;

use super::lambda;
use crate::commands::certify::{CertifyReport, CurvePoint, DistanceBound};

pub fn certify(c: &CertifyReport) -> String {
    let mut out = String::new();
    line!(out, "{} ({:.12}): {} memories, amplitude L {}", c.file, c.fingerprint, c.memories, c.amplitude);
    line!(out, "  lambda       {}", lambda(c.lambda, c.half_distance));
    line!(
        out,
        "  theorem 4.7  J(expert) - J(policy) <= min{{H, H^2 |A| L (1 - exp(-lambda d_I))}}, rewards in [0, 1], H = {}",
        c.horizon
    );
    line!(
        out,
        "               |A| = {}: {}",
        c.action_count,
        if c.action_count_given { GIVEN } else { READING }
    );
    match (c.lambda, c.informative_below) {
        (Lambda::Value(0.0), _) => line!(
            out,
            "               lambda 0: the bound is 0, because the function class has one member, the 1-NN policy"
        ),
        (Lambda::Value(f32::INFINITY), Some(0.0)) => {
            line!(
                out,
                "               lambda inf: nothing is constrained; the bound is vacuous at every distance"
            )
        }
        (_, Some(d)) => {
            line!(out, "               informative (below H) if d_I is below {}", short(d))
        }
        (_, None) => line!(out, "               informative (below H) at every distance"),
    }
    line!(out, "");
    line!(out, "  For these states, and no others:");
    let width = c.sets.iter().map(|s| s.name.chars().count()).max().unwrap_or(0).max(OTHERS.len() + 2);
    line!(
        out,
        "    {:width$} {:>8} {:>8} {:>8} {:>8} {:>10} {:>7}  bound",
        "set",
        "states",
        "median",
        "95 %",
        "d_I",
        "at",
        "width"
    );
    for s in &c.sets {
        let seed = s.seed.map_or(String::new(), |seed| format!(" (seed {seed})"));
        line!(
            out,
            "    {:width$} {:>8} {:>8.4} {:>8.4} {:>8.4} {:>10} {:>7.4}  {}{seed}",
            s.name,
            s.states,
            s.median,
            s.p95,
            s.at_max.d_i,
            s.at,
            s.at_max.region_width,
            bound(&s.at_max)
        );
        if let Some(known) = s.known_episodes.filter(|&known| known > 0) {
            line!(
                out,
                "      {known} of these episodes coincide with episodes of the memories: no new states"
            );
        }
        if let Some(e) = &s.other_episodes {
            line!(
                out,
                "      {OTHERS:w$} {:>8} {:>8} {:>8} {:>8.4} {:>10} {:>7.4}  {}",
                "",
                "",
                "",
                e.at_max.d_i,
                e.at,
                e.at_max.region_width,
                bound(&e.at_max),
                w = width - 2
            );
        }
    }
    line!(out, "  For every state in their bounding box ({} dimensions):", c.bounding_box.dimensions);
    let r = &c.bounding_box;
    let gap = if r.cover.tight { "" } else { "; a longer search would bring them closer" };
    line!(
        out,
        "    d_I is {:.4} to {:.4} ({} boxes searched{gap}); permissible regions are at most {:.4} wide; bound {}",
        r.cover.lower,
        r.cover.upper,
        r.cover.boxes,
        r.region_width,
        bound(&DistanceBound {
            d_i: r.cover.upper,
            bound: r.bound,
            vacuous: r.vacuous,
            region_width: r.region_width
        })
    );
    line!(out, "  For every possible state: permissible regions are at most {} wide", c.max_region_width);
    if !c.action_units.is_empty() {
        line!(out, "  Widths are of actions scaled to [-1, 1], which stand for:");
        c.action_units.iter().for_each(|units| line!(out, "    {units}"));
    }
    if c.actions_per_memory > 1 {
        line!(
            out,
            "  Each memory has {} actions: the policy executes action sequences. The bound is for the states in which it predicts one, not for those between",
            c.actions_per_memory
        );
    }
    premise(&mut out, c);
    if let Some(points) = &c.curve {
        curve(&mut out, points);
    }
    if let Some(plot) = &c.plot {
        line!(out, "  plot         {plot}");
    }
    if let (Some(most), Some(exceeded)) = (c.max_bound, c.exceeded) {
        line!(
            out,
            "  bound at most {most}: {}",
            if exceeded { "NO, the bound of a set is above it" } else { "yes, for all sets" }
        );
    }
    out
}

const GIVEN: &str = "as given";
const READING: &str = "the number of action dimensions. The theorem is for a finite set of actions; this is one reading of it (--action-count)";
const OTHERS: &str = "to other episodes";

/// The premise of the theorem, on the data.
fn premise(out: &mut String, c: &CertifyReport) {
    line!(out, "  The theorem requires an expert whose actions are in the permissible regions:");
    for s in &c.sets {
        match &s.actions_outside {
            None => {}
            Some(o) if o.steps == 0 => line!(out, "    {}: all demonstrated actions are", s.name),
            Some(o) => line!(
                out,
                "    {}: NOT satisfied. {} of {} steps ({:.1} %) have an action outside, by up to {:.3} (at {})",
                s.name,
                o.steps,
                s.states,
                100.0 * o.steps as f64 / s.states as f64,
                o.max_excess,
                o.at
            ),
        }
    }
}

fn curve(out: &mut String, points: &[CurvePoint]) {
    line!(
        out,
        "  Growing codebooks, over the states they are chosen from (corollary 4.8: if nested, the bound does not increase):"
    );
    line!(
        out,
        "    {:9} {:>9} {:>8}  {:18} {:>20}  bound",
        "selection",
        "memories",
        "d_I",
        "bound",
        "d_I, other episodes"
    );
    for p in points {
        let (d, others) = p
            .other_episodes
            .as_ref()
            .map_or(("-".into(), "-".into()), |e| (format!("{:.4}", e.d_i), bound(e)));
        line!(
            out,
            "    {:9} {:>9} {:>8.4}  {:18} {d:>20}  {others}",
            p.selection.to_string(),
            p.memories,
            p.at_max.d_i,
            bound(&p.at_max)
        );
    }
    if points.iter().any(|p| !p.nested) {
        line!(out, "    gas is fitted anew for every number of memories: its codebooks are not nested");
    }
}

fn bound(p: &DistanceBound) -> String {
    if p.vacuous { format!("{} (vacuous)", p.bound) } else { short(p.bound as f32) }
}

/// Four decimals, or scientific notation.
fn short(x: f32) -> String {
    if x == 0.0 || (0.001..1e6).contains(&x) { format!("{x:.4}") } else { format!("{x:.2e}") }
}
