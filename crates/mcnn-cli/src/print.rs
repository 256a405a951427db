//! Reports as text. All printing of results is in this file; of sweeps and tables, in print_sweep.rs.

use std::fmt::Write as _;

use mcnn::{
    data::{Dimension, Inspection},
    eval::{
        Part, Share, Spread, Summary,
        stats::{Mean, Rough},
    },
    train::Lambda,
};

use crate::film::Filmed;

use crate::commands::{
    collect::Recorded, compare::Compared, demo::Demonstrated, eval::Evaluated, explain::Explained,
    learn::Learnt, make::Made, replay::Replayed, train::Trained,
};

/// Writes a line to a string, which cannot fail.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => {{
        let _ = writeln!($out, $($arg)*);
    }};
}

/// What `mcnn` alone prints.
pub fn tour() -> String {
    "mcnn learns to act from demonstrations, and stays near what it was shown.

  mcnn demo                                             the whole method in three minutes, and a page that shows it

  mcnn make drive --episodes 5 -o drive.npz             demonstrations of the built-in task
  mcnn inspect drive.npz                                what a file of demonstrations holds
  mcnn learn drive.npz --fraction 0.1 -o m.safetensors  choose the memories
  mcnn train drive.npz m.safetensors -o p.safetensors   train a policy that they hold
  mcnn eval p.safetensors --task drive                  run it in closed loop (--video out.gif: see it)
  mcnn compare p.safetensors q.safetensors --task drive run several on the same episodes
  mcnn explain p.safetensors --in drive.npz --at 3:120  why it acts as it does in a state
  mcnn collect --task drive --episodes 20 -o more.hdf5  record demonstrations of an expert or a policy
  mcnn replay more.hdf5 --episode 0 --video out.gif     see a recorded episode
  mcnn sweep plan.toml                                  every combination of settings, many seeds
  mcnn table results.jsonl --plot results.svg           what came of them, with intervals

Tasks: drive (built in), door, hammer, pen, relocate, kitchen, gym:ID.  Options: mcnn VERB --help.  JSON: --json.
"
    .into()
}

pub fn inspection(file: &str, i: &Inspection) -> String {
    let mut out = String::new();
    let format = i.format.map_or("data".into(), |f| f.to_string());
    line!(out, "{file}: {format}");
    line!(
        out,
        "  episodes      {} of {} to {} steps (median {})",
        i.episodes,
        i.lengths.min,
        i.lengths.max,
        i.lengths.median
    );
    line!(out, "  steps         {}", i.steps);
    line!(out, "  widths        states of {}, actions of {}", i.n_obs, i.n_act);
    line!(out, "  states        {}", range(&i.states));
    line!(out, "  actions       {}", range(&i.actions));
    line!(
        out,
        "  constant      state dimensions {}; action dimensions {}",
        list(&i.constant_states),
        list(&i.constant_actions)
    );
    line!(
        out,
        "  at the limit  {:.2} % of the action numbers (|a| from {} to 1)",
        100.0 * i.actions_at_limit,
        mcnn::data::AT_LIMIT
    );
    line!(out, "  outside       {:.2} % of the action numbers (|a| above 1)", 100.0 * i.actions_outside);
    line!(out, "  NaN, infinite {}", i.not_finite);
    let groups: Vec<String> = i.duplicates.iter().map(|g| list(g)).collect();
    line!(
        out,
        "  duplicates    {}",
        if groups.is_empty() { "no episode twice".into() } else { groups.join("; ") }
    );
    line!(
        out,
        "  frozen        {:.2} % of the steps repeat the state before; longest run {} steps, at {}",
        100.0 * i.frozen.share,
        i.frozen.longest,
        i.frozen.at
    );
    match &i.returns {
        Some(r) => line!(out, "  returns       {:.2} to {:.2}, mean {:.2}", r.min, r.max, r.mean),
        None => line!(out, "  returns       no rewards in the file"),
    }
    match (&i.fingerprint, &i.refused) {
        (Some(print), _) => line!(out, "  fingerprint   {print}"),
        (None, Some(why)) => line!(out, "  cannot be used as it is: {why}"),
        (None, None) => {}
    }
    out
}

fn range(dimensions: &[Dimension]) -> String {
    let min = dimensions.iter().map(|d| d.min).fold(f32::NAN, f32::min);
    let max = dimensions.iter().map(|d| d.max).fold(f32::NAN, f32::max);
    format!("from {min} to {max}; each dimension in --json")
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "none".into();
    }
    items.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

pub fn made(m: &Made) -> String {
    format!(
        "{}: {} episodes, {} steps of {} by its expert (noise {}), {} of them successes, seeds {} to {}\n",
        m.file,
        m.episodes,
        m.steps,
        m.task,
        m.noise,
        m.successes,
        m.seed,
        m.seed + m.episodes as u64 - 1
    )
}

pub fn recorded(r: &Recorded) -> String {
    let mut out = String::new();
    line!(
        out,
        "{}: {} episodes, {} steps of {}, seeds {} to {}, in {:.1} s ({:.0} steps/s)",
        r.file,
        r.episodes,
        r.steps,
        r.task,
        r.seeds[0],
        r.seeds[1],
        r.seconds,
        r.steps as f64 / r.seconds
    );
    line!(
        out,
        "  actor      {}{}, noise {}",
        r.actor,
        r.policy.as_ref().map_or(String::new(), |p| format!(" ({p:.12})")),
        r.noise
    );
    let score = r.score.map_or(String::new(), |s| format!(", mean score {s:.1}"));
    line!(out, "  return     mean {:.2}{score}", r.mean_return);
    if let Some(won) = r.successes {
        line!(out, "  successes  {won} of {}", r.episodes);
    }
    if r.interrupted {
        line!(out, "  interrupted: the episodes that were whole are in the file");
    }
    if r.failed > 0 {
        let first = r.first_failure.as_deref().unwrap_or("");
        line!(out, "  FAILED     {} episodes, not in the file; the first: {first}", r.failed);
    }
    out
}

pub fn replayed(r: &Replayed) -> String {
    let mut out = String::new();
    line!(out, "{}: episode {} of {}, {} steps, {} frames", r.file, r.episode, r.task, r.steps, r.frames);
    let how = match r.by {
        "state" => "the scene was put where the recording has it",
        _ => "the recorded actions were run from the recorded seed",
    };
    line!(out, "  {how}; observations differ by at most {:.1e}, at step {}", r.difference, r.at);
    if r.difference > 0.01 {
        line!(
            out,
            "  more than rounding: another task, seed or version of the simulator, or noise in the recording"
        );
    }
    if r.interrupted {
        line!(out, "  interrupted: the film ends there");
    }
    out
}

fn filmed(out: &mut String, film: &Option<Filmed>) {
    if let Some(film) = film {
        let cut = if film.interrupted { ", interrupted" } else { "" };
        line!(
            out,
            "  film       {}: {} frames of {} episodes{cut}",
            film.file,
            film.frames,
            film.episodes.len()
        );
    }
}

pub fn learnt(l: &Learnt) -> String {
    let mut out = String::new();
    line!(
        out,
        "{}: {} memories of {} states, by {} in {:.2} s (seed {})",
        l.file,
        l.memories,
        l.states,
        l.by,
        l.seconds,
        l.seed
    );
    line!(
        out,
        "  coverage   standardised distance from a state to its nearest memory: median {:.3}, 95 % {:.3}, largest {:.3} (episode:step {})",
        l.coverage.median,
        l.coverage.p95,
        l.coverage.max,
        l.isolated
    );
    line!(
        out,
        "  choosing   {} nodes merged, {} memories refilled; {} states repeat another",
        l.merged,
        l.refilled,
        l.repeated
    );
    line!(
        out,
        "  actions    {}",
        if l.smooth == 1 {
            "each memory's own".into()
        } else {
            format!("the mean over the {} nearest steps", l.smooth)
        }
    );
    line!(out, "  constant   state dimensions {}", list(&l.constant_dimensions));
    line!(
        out,
        "  graph      {} edges; a walk from the last answer ends on the nearest memory {:.0} % of the time, after measuring {:.1}; its bound saves {:.0} % of the exact scan",
        l.edges,
        100.0 * l.walk.found,
        l.walk.measured,
        100.0 * l.walk.saved
    );
    out
}

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
    if t.idle_share > 0.0 {
        line!(
            out,
            "  idle       {:.1} % of the training rows, whose memory decides alone",
            100.0 * t.idle_share
        );
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
    line!(out, "  run        {}", t.run_folder);
    out
}

fn lambda(t: &Trained) -> String {
    let how = if t.auto { " (auto)" } else { "" };
    match (t.lambda, t.half_distance) {
        (Lambda::Value(0.0), _) => "0: the memory decides alone, everywhere".into(),
        (Lambda::Value(f32::INFINITY), _) => "inf: the memories count nothing".into(),
        (value, Some(half)) => {
            format!("{value}{how}: a memory counts half at a standardised distance of {half:.3}")
        }
        (value, None) => value.to_string(),
    }
}

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
    line!(out, "  latency    {:.1} us an action (p99 {:.1})", s.latency_us.p50, s.latency_us.p99);
    line!(out, "  interval   {} episodes would halve it", e.episodes_to_halve);
    filmed(&mut out, &e.film);
    failures(&mut out, e);
    out
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

/// The ends of an interval, where there is one.
pub fn ends(low: f64, high: f64, digits: usize) -> String {
    if low.is_nan() { "no interval".into() } else { format!("{low:.digits$} to {high:.digits$}") }
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
    out
}

fn mean(m: &Mean, scale: f64) -> String {
    if m.low.is_nan() {
        return format!("{:+.2} (no interval)", scale * m.mean);
    }
    format!("{:+.2} ({:+.2} to {:+.2}{})", scale * m.mean, scale * m.low, scale * m.high, rough(m.rough))
}

fn rough(why: Option<Rough>) -> String {
    why.map_or(String::new(), |why| format!("; {why}"))
}

pub fn explained(e: &Explained) -> String {
    let (x, mut out) = (&e.explanation, String::new());
    line!(out, "{}, state {} of the data", e.name, e.at);
    let own = if e.is_memory { ": this very state" } else { "" };
    line!(
        out,
        "  memory     {} (episode:step {}) at standardised distance {:.4}{own}",
        x.memory.memory,
        x.memory.source,
        x.memory.distance
    );
    if let Some(r) = &x.runner_up {
        line!(out, "  runner-up  {} (episode:step {}) at {:.4}", r.memory, r.source, r.distance);
    }
    if x.smooth > 1 {
        line!(out, "  smoothed   a memory's action is the mean over its {} nearest training steps", x.smooth);
    }
    if x.neighbours > 1 {
        line!(
            out,
            "  neighbours the remembered action is the mean over the {} nearest memories, weighted by exp(-distance)",
            x.neighbours
        );
    }
    let half = e.half_distance.map_or(String::new(), |h| format!(" (half at distance {h:.3})"));
    line!(out, "  pull       {:.4} of the memory's action{half}", x.pull);
    line!(out, "  radius     {:.4}: how far the network may move the action from the anchor", x.radius);
    if let Some(samples) = x.samples {
        line!(out, "  drawn      the action is one draw; its spread is the standard deviation of {samples}");
    }
    let spread = if x.samples.is_some() { format!(" {:>9}", "spread") } else { String::new() };
    line!(
        out,
        "  action     {:>4} {:>9} {:>9} {:>9} {:>9}{spread} {:>21} {:>12}",
        "dim",
        "memory",
        "anchor",
        "proposal",
        "action",
        "box",
        "demonstrated"
    );
    for (k, (d, shown)) in x.dimensions.iter().zip(&e.demonstrated).enumerate() {
        let proposal = d.proposal.map_or("-".into(), |p| format!("{p:.4}"));
        let bounds = format!("[{:.4}, {:.4}]", d.low, d.high);
        let spread = d.spread.map_or(String::new(), |s| format!(" {s:>9.4}"));
        line!(
            out,
            "             {k:>4} {:>9.4} {:>9.4} {proposal:>9} {:>9.4}{spread} {bounds:>21} {shown:>12.4}",
            d.remembered,
            d.anchor,
            d.action
        );
    }
    let total: f32 = x.contributions.iter().sum();
    if total > 0.0 {
        let mut order: Vec<usize> = (0..x.contributions.len()).collect();
        order.sort_by(|&a, &b| x.contributions[b].total_cmp(&x.contributions[a]));
        line!(out, "  distance   by state dimension, largest first:");
        for &k in order.iter().take(6).filter(|&&k| x.contributions[k] > 0.0) {
            line!(
                out,
                "             {k:>4} {:>5.1} %   state {:.4}, memory {:.4}",
                100.0 * x.contributions[k] / total,
                e.state[k],
                e.memory_state[k]
            );
        }
    }
    out
}

pub fn demonstrated(d: &Demonstrated) -> String {
    let mut out = String::new();
    line!(
        out,
        "drive: {} demonstrations, {} steps, {} memories; {} episodes each, seeds {} to {}, the same for all",
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
