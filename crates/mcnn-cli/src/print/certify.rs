//! Certificates as text.

use std::fmt::Write as _;

use mcnn::train::Lambda;

use crate::commands::certify::{Certified, Point, Promise};

pub fn certified(c: &Certified) -> String {
    let mut out = String::new();
    let lambda = match (c.lambda, c.half_distance) {
        (Lambda::Value(0.0), _) => "lambda 0: the memory decides alone".into(),
        (Lambda::Value(f32::INFINITY), _) => "lambda inf: the memories count nothing".into(),
        (value, Some(half)) => format!("lambda {value} (half weight at distance {half:.3})"),
        (value, None) => format!("lambda {value}"),
    };
    line!(out, "{} ({:.12}): {} memories, {lambda}, L {}", c.file, c.fingerprint, c.memories, c.amplitude);
    line!(
        out,
        "  theorem 4.7  J(expert) - J(policy) <= min{{H, H^2 |A| L (1 - exp(-lambda d_I))}}, rewards in [0, 1], H = {}",
        c.horizon
    );
    line!(out, "               |A| = {}: {}", c.actions, if c.actions_given { GIVEN } else { READING });
    match (c.lambda, c.informative_below) {
        (Lambda::Value(0.0), _) => line!(
            out,
            "               lambda 0: the bound is 0, for the one expert in the class is the nearest neighbor itself"
        ),
        (Lambda::Value(f32::INFINITY), Some(0.0)) => {
            line!(
                out,
                "               lambda inf: nothing is held, and the bound is vacuous at every distance"
            )
        }
        (_, Some(d)) => {
            line!(out, "               informative (less than H) where d_I is below {}", short(d))
        }
        (_, None) => line!(out, "               informative (less than H) at every distance"),
    }
    line!(out, "");
    line!(out, "  For the states listed, and no others:");
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
            s.promise.d_i,
            s.at,
            s.promise.width,
            bound(&s.promise)
        );
        if let Some(e) = &s.elsewhere {
            line!(
                out,
                "      {OTHERS:w$} {:>8} {:>8} {:>8} {:>8.4} {:>10} {:>7.4}  {}",
                "",
                "",
                "",
                e.promise.d_i,
                e.at,
                e.promise.width,
                bound(&e.promise),
                w = width - 2
            );
        }
    }
    line!(out, "  For every state in their bounding box ({} dimensions):", c.region.dimensions);
    let r = &c.region;
    let gap = if r.cover.tight { "" } else { "; closer bounds would take longer" };
    line!(
        out,
        "    d_I is {:.4} to {:.4} ({} boxes searched{gap}); permissible regions are at most {:.4} wide; bound {}",
        r.cover.lower,
        r.cover.upper,
        r.cover.boxes,
        r.width,
        bound(&Promise { d_i: r.cover.upper, bound: r.bound, vacuous: r.vacuous, width: r.width })
    );
    line!(out, "  For every state whatever: permissible regions are at most {} wide", c.width_anywhere);
    if c.ahead > 1 {
        line!(
            out,
            "  These memories hold {} actions each: a policy that acts ahead is held by the distance of the state it proposed in, and for the states in between none of this is said",
            c.ahead
        );
    }
    premise(&mut out, c);
    if let Some(points) = &c.curve {
        curve(&mut out, points);
    }
    if let Some(plot) = &c.plot {
        line!(out, "  picture      {plot}");
    }
    if let (Some(most), Some(exceeded)) = (c.at_most, c.exceeded) {
        line!(
            out,
            "  at most {most}: {}",
            if exceeded { "NO, a listed set's bound is above it" } else { "yes, for all listed sets" }
        );
    }
    out
}

const GIVEN: &str = "as given";
const READING: &str = "the numbers in an action. The theorem counts a finite set of actions; this is a reading of it (--actions)";
const OTHERS: &str = "from other episodes";

/// The premise of the theorem, on the data.
fn premise(out: &mut String, c: &Certified) {
    line!(out, "  The theorem is of an expert that stays in the permissible regions itself:");
    for s in &c.sets {
        match &s.outside {
            None => {}
            Some(o) if o.steps == 0 => line!(out, "    {}: every demonstrated action does", s.name),
            Some(o) => line!(
                out,
                "    {}: NOT this one. {} of {} steps ({:.1} %) have an action outside, by up to {:.3} (at {})",
                s.name,
                o.steps,
                s.states,
                100.0 * o.steps as f64 / s.states as f64,
                o.farthest,
                o.at
            ),
        }
    }
}

fn curve(out: &mut String, points: &[Point]) {
    line!(
        out,
        "  More memories, over the states they are chosen from (corollary 4.8: where nested, no bound rises):"
    );
    line!(
        out,
        "    {:8} {:>9} {:>8}  {:18} {:>20}  bound",
        "by",
        "memories",
        "d_I",
        "bound",
        "d_I, other episodes"
    );
    for p in points {
        let (d, others) =
            p.elsewhere.as_ref().map_or(("-".into(), "-".into()), |e| (format!("{:.4}", e.d_i), bound(e)));
        line!(
            out,
            "    {:8} {:>9} {:>8.4}  {:18} {d:>20}  {others}",
            p.by.to_string(),
            p.memories,
            p.promise.d_i,
            bound(&p.promise)
        );
    }
    if points.iter().any(|p| !p.nested) {
        line!(out, "    gas learns anew for every number: its codebooks are not nested");
    }
}

fn bound(p: &Promise) -> String {
    if p.vacuous { format!("{} (vacuous)", p.bound) } else { short(p.bound as f32) }
}

/// Three digits that count.
fn short(x: f32) -> String {
    if x == 0.0 || (0.001..1e6).contains(&x) { format!("{x:.4}") } else { format!("{x:.2e}") }
}
