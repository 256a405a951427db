//! Closed loop as text: evaluations, comparisons, the demo.

use std::fmt::Write as _;

use mcnn::{
    eval::{Part, Share, Spread, Summary, stats::Estimate},
    policy::Response,
};

use super::{ends, rough};
use crate::{
    commands::{compare::Compared, demo::Demonstrated, eval::Evaluated},
    guard::Watched,
    video::Recorded,
};

pub fn evaluated(e: &Evaluated) -> String {
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
            .map_or(String::new(), |g| format!("; goal held at the end {}", percent(g)));
        line!(out, "  success    {}{end}", percent(success));
    }
    parts(&mut out, s);
    if let Some(weight) = s.weight {
        line!(out, "  weight     {weight:.4} of the memory, mean over visited states");
    }
    if let Some(guard) = &e.guard {
        watched(&mut out, guard, s.episodes - s.failed);
    }
    let without = s
        .latency_without_encoder_us
        .map_or(String::new(), |l| format!("; without the encoder {:.1} (p99 {:.1})", l.p50, l.p99));
    line!(out, "  latency    {:.1} us an action (p99 {:.1}){without}", s.latency_us.p50, s.latency_us.p99);
    line!(out, "  interval   {} episodes would halve it", e.episodes_to_halve);
    recorded(&mut out, &e.video);
    failures(&mut out, e);
    out
}

fn watched(out: &mut String, w: &Watched, episodes: usize) {
    let (what, new) = match w.of {
        "episodes" => ("the farthest points", "a new one ever is so far"),
        _ => ("the states", "a random state of a new one is so far"),
    };
    line!(
        out,
        "  guard      {} beyond distance {:.3}, where {} of {what} of {} calibration episodes are nearer; {new} with a chance of at most {:.3}",
        match w.response {
            Response::Warn => "warns",
            Response::Hold => "holds the last action",
            Response::Memory => "acts as the memory",
            Response::Stop => "stops",
        },
        w.threshold.distance,
        w.beyond,
        w.calibrated,
        w.threshold.probability
    );
    let share = w.ever.map_or(String::new(), |e| {
        format!(" ({:.1} %, {:.1} to {:.1})", 100.0 * e.share, 100.0 * e.low, 100.0 * e.high)
    });
    let ever = w.ever.map_or(0, |e| (e.share * episodes as f64).round() as usize);
    let first = w.first.map_or(String::new(), |step| format!(", first at step {step} (median)"));
    let stopped = if w.stopped > 0 { format!("; {} episodes stopped", w.stopped) } else { String::new() };
    line!(
        out,
        "             {} of {} steps were beyond, in {ever} of {episodes} episodes{share}{first}{stopped}",
        w.steps[1],
        w.steps[0]
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

fn failures(out: &mut String, e: &Evaluated) {
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
    line!(out, "  parts      {}", parts.iter().map(part).collect::<Vec<_>>().join(", "));
}

fn spread(s: &Spread) -> String {
    if s.low.is_nan() {
        return format!("mean {:.2}, interquartile mean {:.2} (too few for intervals)", s.mean, s.iqm);
    }
    format!(
        "mean {:.2} (95 % interval {}{}), interquartile mean {:.2} ({})",
        s.mean,
        ends(s.low, s.high, 2),
        rough(s.rough),
        s.iqm,
        ends(s.iqm_low, s.iqm_high, 2)
    )
}

pub fn compared(c: &Compared) -> String {
    let mut out = String::new();
    let first = &c.policies[0].summary;
    line!(
        out,
        "{}: {} episodes, seeds {} to {}, the same for all",
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
        let score =
            s.score.map_or(String::new(), |x| format!("  score {:.1} ({})", x.mean, ends(x.low, x.high, 1)));
        line!(
            out,
            "  {file:width$}  return {:.2} ({}{}){score}{success}{weight}  {}",
            s.ret.mean,
            ends(s.ret.low, s.ret.high, 2),
            rough(s.ret.rough),
            e.name
        );
        parts(&mut out, s);
        failures(&mut out, e);
    }
    line!(
        out,
        "paired differences to {}, with 95 % intervals; p by sign flips, corrected for {} comparisons (Holm); P: an episode of the one returns more than one of the other",
        c.files[0],
        c.differences.len()
    );
    for d in c.differences.iter().filter(|d| d.a == c.files[0]) {
        let success = d.success.map_or(String::new(), |s| format!(", success {} points", mean(&s, 100.0)));
        let sign = if d.p_holm <= 0.05 { "" } else { "  (no difference shown)" };
        line!(
            out,
            "  {} - {}: return {}{success}, p {:.4}, P {:.2} ({}){sign}",
            d.a,
            d.b,
            mean(&d.ret, 1.0),
            d.p_holm,
            d.improvement.mean,
            ends(d.improvement.low, d.improvement.high, 2)
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

pub fn demonstrated(d: &Demonstrated) -> String {
    let mut out = String::new();
    line!(
        out,
        "{}: {} demonstrations, {} steps, {} memories; {} episodes each, seeds {} to {}, the same for all",
        d.task,
        d.demonstrations,
        d.steps_shown,
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
        let ret = format!("{:.1} ({})", s.ret.mean, ends(s.ret.low, s.ret.high, 1));
        line!(out, "  {:28} {ret:>26} {success:>26} {weight:>8} {:>9.1}", m.name, s.latency_us.p50);
    }
    line!(out, "paired differences to {}, with 95 % intervals:", d.methods[0].name);
    for c in d.differences.iter().filter(|c| c.a == d.methods[0].name) {
        line!(out, "  {} - {}: return {}", c.a, c.b, mean(&c.ret, 1.0));
    }
    line!(out, "{} shows it: open it in a browser. Took {:.0} s.", d.page, d.seconds);
    out
}
