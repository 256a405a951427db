//! `mcnn eval`, `compare` and `demo` as text.

use std::fmt::Write as _;

use mcnn::{
    eval::{Latency, Part, Share, Spread, Summary, stats::Estimate},
    policy::Response,
};

use super::{interval, rough};
use crate::{
    commands::{compare::CompareReport, demo::DemoReport, eval::EvalReport},
    guard::GuardReport,
    video::Recorded,
};

pub fn eval(e: &EvalReport) -> String {
    let (s, mut out) = (&e.summary, String::new());
    line!(
        out,
        "{} ({:.12}) on {}: {} episodes, seeds {} to {}",
        e.name,
        s.policy,
        s.task,
        s.episodes,
        s.seeds[0],
        s.seeds[1]
    );
    line!(out, "  return     {}", spread(&s.ret));
    if let Some(score) = &s.score {
        line!(out, "  score      {}", spread(score));
    }
    let percent =
        |x: &Share| format!("{:.1} % ({:.1} to {:.1})", 100.0 * x.share, 100.0 * x.low, 100.0 * x.high);
    if let Some(success) = &s.success {
        let end = s
            .goal_at_end
            .as_ref()
            .map_or(String::new(), |g| format!("; goal reached at the last step {}", percent(g)));
        line!(out, "  success    {}{end}", percent(success));
    }
    parts(&mut out, s);
    if let Some(weight) = s.weight {
        line!(out, "  weight     {weight:.4}: mean memory weight over visited states");
    }
    if let Some(guard) = &e.guard {
        self::guard(&mut out, guard, s.episodes - s.failed);
    }
    let without = s
        .latency_without_encoder_us
        .map_or(String::new(), |l| format!("; without the encoder {:.1} (p99 {:.1})", l.p50, l.p99));
    line!(out, "  latency    {}{without}", latency(s));
    line!(out, "  interval   {} episodes would halve its width", e.episodes_to_halve);
    recorded(&mut out, &e.video);
    failures(&mut out, e);
    out
}

fn guard(out: &mut String, g: &GuardReport, episodes: usize) {
    let (samples, new) = match g.ood_quantile_of {
        "episodes" => ("largest distances", "a new episode exceeds it"),
        _ => ("distances", "a random state of a new episode exceeds it"),
    };
    let left_out = match g.calibration_left_out {
        0 => String::new(),
        n => format!(" ({n} left out, which are not new)"),
    };
    line!(
        out,
        "  OOD guard  {} above distance {:.3}: quantile {} of the {samples} of {} calibration episodes{left_out}; {new} with a probability of at most {:.3}",
        match g.response {
            Response::Warn => "warns",
            Response::Hold => "repeats the last action",
            Response::Memory => "takes the memory action",
            Response::Stop => "stops",
        },
        g.threshold.distance,
        g.ood_quantile,
        g.calibration_episodes,
        g.threshold.probability
    );
    let share = g.ood_episodes.map_or(String::new(), |e| {
        format!(" ({:.1} %, {:.1} to {:.1})", 100.0 * e.share, 100.0 * e.low, 100.0 * e.high)
    });
    let ever = g.ood_episodes.map_or(0, |e| (e.share * episodes as f64).round() as usize);
    let first = g.first_ood_step.map_or(String::new(), |step| format!(", first at step {step} (median)"));
    let stopped = if g.stopped_episodes > 0 {
        format!("; {} episodes stopped", g.stopped_episodes)
    } else {
        String::new()
    };
    line!(
        out,
        "             {} of {} steps were OOD, in {ever} of {episodes} episodes{share}{first}{stopped}",
        g.ood_steps,
        g.steps
    );
}

fn recorded(out: &mut String, video: &Option<Recorded>) {
    if let Some(video) = video {
        let cut = if video.interrupted { ", interrupted" } else { "" };
        line!(
            out,
            "  video      {}: {} frames of {} episodes{cut}",
            video.file,
            video.frames,
            video.episodes.len()
        );
    }
}

fn failures(out: &mut String, e: &EvalReport) {
    if e.summary.failed > 0 {
        line!(
            out,
            "  FAILED     {} episodes, not counted above; the first: {}",
            e.summary.failed,
            e.first_failure.as_deref().unwrap_or("")
        );
    }
}

fn parts(out: &mut String, s: &Summary) {
    let Some(parts) = &s.parts else { return };
    let part = |p: &Part| {
        let Share { share, low, high } = p.share;
        format!("{} {:.1} % ({:.1} to {:.1})", p.name, 100.0 * share, 100.0 * low, 100.0 * high)
    };
    line!(out, "  subtasks   {}", parts.iter().map(part).collect::<Vec<_>>().join(", "));
}

/// The median latency of an action; of queued ones apart from those that are predicted.
fn latency(s: &Summary) -> String {
    let Latency { p50, p99 } = s.latency_us;
    match s.queued_latency_us {
        None => format!("{p50:.1} us per action (p99 {p99:.1})"),
        Some(queued) => format!(
            "{p50:.1} us per action that is predicted (p99 {p99:.1}), {:.1} per queued one (p99 {:.1})",
            queued.p50, queued.p99
        ),
    }
}

fn spread(s: &Spread) -> String {
    if s.low.is_nan() {
        return format!("mean {:.2}, interquartile mean {:.2} (too few for intervals)", s.mean, s.iqm);
    }
    format!(
        "mean {:.2} (95 % interval {}{}), interquartile mean {:.2} ({})",
        s.mean,
        interval(s.low, s.high, 2),
        rough(s.rough),
        s.iqm,
        interval(s.iqm_low, s.iqm_high, 2)
    )
}

pub fn compare(c: &CompareReport) -> String {
    let mut out = String::new();
    let first = &c.policies[0].summary;
    line!(
        out,
        "{}: {} episodes, seeds {} to {}, the same for all policies",
        first.task,
        first.episodes,
        first.seeds[0],
        first.seeds[1]
    );
    let width = c.files.iter().map(|f| f.len()).max().unwrap_or(0).max(6);
    for (file, e) in c.files.iter().zip(&c.policies) {
        let s = &e.summary;
        let success = s.success.map_or(String::new(), |x| {
            format!("  success {:5.1} % ({:.1} to {:.1})", 100.0 * x.share, 100.0 * x.low, 100.0 * x.high)
        });
        let weight = s.weight.map_or(String::new(), |w| format!("  weight {w:.3}"));
        let score = s
            .score
            .map_or(String::new(), |x| format!("  score {:.1} ({})", x.mean, interval(x.low, x.high, 1)));
        line!(
            out,
            "  {file:width$}  return {:.2} ({}{}){score}{success}{weight}  {}",
            s.ret.mean,
            interval(s.ret.low, s.ret.high, 2),
            rough(s.ret.rough),
            e.name
        );
        line!(out, "  {:width$}  latency {}", "", latency(s));
        parts(&mut out, s);
        failures(&mut out, e);
    }
    line!(
        out,
        "paired differences to {}, with 95 % intervals; p: sign-flip test, corrected for {} comparisons (Holm); P: probability of improvement",
        c.files[0],
        c.differences.len()
    );
    for d in c.differences.iter().filter(|d| d.a == c.files[0]) {
        let success = d.success.map_or(String::new(), |s| format!(", success {} points", mean(&s, 100.0)));
        let sign = if d.p_holm <= 0.05 { "" } else { "  (not significant)" };
        line!(
            out,
            "  {} - {}: return {}{success}, p {:.4}, P {:.2} ({}){sign}",
            d.a,
            d.b,
            mean(&d.ret, 1.0),
            d.p_holm,
            d.improvement.mean,
            interval(d.improvement.low, d.improvement.high, 2)
        );
    }
    recorded(&mut out, &c.video);
    out
}

fn mean(m: &Estimate, scale: f64) -> String {
    if m.low.is_nan() {
        return format!("{:+.2} (no interval)", scale * m.mean);
    }
    format!("{:+.2} ({:+.2} to {:+.2}{})", scale * m.mean, scale * m.low, scale * m.high, rough(m.rough))
}

pub fn demo(d: &DemoReport) -> String {
    let mut out = String::new();
    line!(
        out,
        "{}: {} demonstrations, {} steps, {} memories; evaluated on {} episodes, seeds {} to {}, the same for all methods",
        d.task,
        d.demonstrations,
        d.demonstrated_steps,
        d.memories,
        d.episodes,
        d.seeds[0],
        d.seeds[1]
    );
    line!(
        out,
        "  {:28} {:>26} {:>26} {:>8} {:>9}",
        "",
        "return (95 % interval)",
        "success % (interval)",
        "weight",
        "us/action"
    );
    for m in &d.methods {
        let s = &m.summary;
        let success = s.success.map_or("-".into(), |x| {
            format!("{:.0} ({:.0} to {:.0})", 100.0 * x.share, 100.0 * x.low, 100.0 * x.high)
        });
        let weight = s.weight.map_or("-".into(), |w| format!("{w:.3}"));
        let ret = format!("{:.1} ({})", s.ret.mean, interval(s.ret.low, s.ret.high, 1));
        line!(out, "  {:28} {ret:>26} {success:>26} {weight:>8} {:>9.1}", m.name, s.latency_us.p50);
    }
    line!(out, "paired differences to {}, with 95 % intervals:", d.methods[0].name);
    for c in d.differences.iter().filter(|c| c.a == d.methods[0].name) {
        line!(out, "  {} - {}: return {}", c.a, c.b, mean(&c.ret, 1.0));
    }
    line!(out, "results: open {} in a browser. Took {:.0} s.", d.page, d.seconds);
    out
}
