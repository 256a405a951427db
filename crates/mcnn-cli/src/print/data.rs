//! Demonstrations and memories as text.

use std::fmt::Write as _;

use mcnn::data::{Dimension, Inspection, Key, Usage};

use super::{list, list_dimensions, name_width, policy::baselines};
use crate::commands::{
    collect::CollectReport, embed::EmbedReport, learn::LearnReport, make::MakeReport, replay::ReplayReport,
};

pub fn inspect(file: &str, i: &Inspection) -> String {
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
    line!(out, "  dimensions    {} of a state, {} of an action", i.n_obs, i.n_act);
    line!(out, "  states        {}", range(&i.states));
    line!(out, "  actions       {}", range(&i.actions));
    named_dimensions(&mut out, "state", &i.states, i.names.state_names.as_deref());
    named_dimensions(&mut out, "action", &i.actions, i.names.action_names.as_deref());
    line!(
        out,
        "  constant      state dimensions {}; action dimensions {}",
        list_dimensions(&i.constant_states, i.names.state_names.as_deref()),
        list_dimensions(&i.constant_actions, i.names.action_names.as_deref())
    );
    near_constant(&mut out, "state", &i.near_constant_states, &i.states, i.names.state_names.as_deref());
    near_constant(&mut out, "action", &i.near_constant_actions, &i.actions, i.names.action_names.as_deref());
    if i.action_units.is_empty() {
        line!(
            out,
            "  saturated     {:.2} % of the action values (|a| from {} to 1)",
            100.0 * i.actions_at_limit,
            mcnn::data::AT_LIMIT
        );
        line!(out, "  out of range  {:.2} % of the action values (|a| above 1)", 100.0 * i.actions_outside);
    }
    for (k, units) in i.action_units.iter().enumerate() {
        line!(out, "  {}{units}", if k == 0 { "scaled        " } else { "              " });
    }
    line!(out, "  NaN, infinite {}", i.not_finite);
    let groups: Vec<String> = i.duplicates.iter().map(|g| list(g)).collect();
    line!(
        out,
        "  duplicates    {}",
        if groups.is_empty() { "no repeated episodes".into() } else { groups.join("; ") }
    );
    line!(
        out,
        "  frozen        {:.2} % of the steps repeat the previous state; longest run {} steps, at {}",
        100.0 * i.frozen.share,
        i.frozen.longest,
        i.frozen.at
    );
    match &i.returns {
        Some(r) => line!(out, "  returns       {:.2} to {:.2}, mean {:.2}", r.min, r.max, r.mean),
        None => line!(out, "  returns       no rewards in the file"),
    }
    for (label, usage) in [
        ("state from    ", Usage::State),
        ("action from   ", Usage::Action),
        ("frames        ", Usage::Frames),
        ("not used      ", Usage::Unused),
    ] {
        let keys: Vec<String> = i.keys.iter().filter(|key| key.used_as == usage).map(with_shape).collect();
        if !keys.is_empty() {
            line!(out, "  {label}{}", keys.join(", "));
        }
    }
    if let Some(fps) = i.fps {
        line!(out, "  rate          {fps} steps/s");
    }
    for (k, (task, episodes)) in i.tasks.iter().take(10).enumerate() {
        line!(
            out,
            "  {}{task:?}, {episodes} episodes",
            if k == 0 { "tasks         " } else { "              " }
        );
    }
    if i.tasks.len() > 10 {
        line!(out, "                and {} tasks more", i.tasks.len() - 10);
    }
    for note in &i.notes {
        line!(out, "  note          {note}");
    }
    for warning in &i.warnings {
        line!(out, "  warning       {warning}");
    }
    if let Some(encoding) = &i.encoding {
        line!(out, "  embedding     {encoding}");
    }
    match (&i.fingerprint, &i.refused) {
        (Some(print), _) => line!(out, "  fingerprint   {print}"),
        (None, Some(why)) => line!(out, "  cannot be used as it is: {why}"),
        (None, None) => {}
    }
    out
}

/// A key with the shape of one step's value.
fn with_shape(key: &Key) -> String {
    let shape: Vec<String> = key.shape.iter().map(u64::to_string).collect();
    let shape = if shape.is_empty() { "1".into() } else { shape.join(" x ") };
    format!("{} ({shape})", key.name)
}

/// The dimensions that vary so little that it may be noise, with their standard deviations.
fn near_constant(
    out: &mut String,
    of: &str,
    which: &[usize],
    dimensions: &[Dimension],
    names: Option<&[String]>,
) {
    if which.is_empty() {
        return;
    }
    let name =
        |k: usize| names.and_then(|names| names.get(k)).map_or(String::new(), |name| format!(" {name}"));
    const SHOWN: usize = 20;
    let described = |&k: &usize| format!("{k}{} (std {:.1e})", name(k), dimensions[k].std);
    let mut shown: Vec<String> = which.iter().take(SHOWN).map(described).collect();
    if which.len() > SHOWN {
        shown.push(format!("and {} more", which.len() - SHOWN));
    }
    line!(out, "  near-constant {of} dimensions {}", shown.join(", "));
    if of == "state" {
        line!(out, "                if that is noise, leave it out: learn --ignore-dims {}", ranges(which));
    }
}

/// Increasing numbers as `--ignore-dims` takes them, such as 2,8-9.
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let run = |run: &[usize]| match run {
        [first, .., last] => format!("{first}-{last}"),
        [one] => one.to_string(),
        [] => String::new(),
    };
    runs.map(run).collect::<Vec<_>>().join(",")
}

/// A line for each dimension, where they have names.
fn named_dimensions(out: &mut String, of: &str, dimensions: &[Dimension], names: Option<&[String]>) {
    let Some(names) = names else { return };
    let width = name_width(names);
    line!(
        out,
        "    {:<width$} {:>10} {:>10} {:>10} {:>10}",
        format!("{of} dimension"),
        "min",
        "max",
        "mean",
        "std",
        width = width + 5
    );
    for (k, (d, name)) in dimensions.iter().zip(names).enumerate() {
        line!(
            out,
            "    {k:>4} {name:<width$} {:>10.4} {:>10.4} {:>10.4} {:>10.4}",
            d.min,
            d.max,
            d.mean,
            d.std
        );
    }
}

fn range(dimensions: &[Dimension]) -> String {
    let min = dimensions.iter().map(|d| d.min).fold(f32::NAN, f32::min);
    let max = dimensions.iter().map(|d| d.max).fold(f32::NAN, f32::max);
    format!("from {min} to {max}; each dimension in --json")
}

pub fn make(m: &MakeReport) -> String {
    format!(
        "{}: {} episodes, {} steps of {} by its scripted expert (noise {}), {} successes, seeds {} to {}\n",
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

pub fn embed(e: &EmbedReport) -> String {
    let mut out = String::new();
    if e.interrupted {
        line!(out, "{}: interrupted after {} frames; the same command resumes", e.file, e.frames);
        return out;
    }
    let resumed =
        if e.resumed_from > 0 { format!(", resumed from {}", e.resumed_from) } else { String::new() };
    line!(
        out,
        "{}: {} steps of {} episodes, {}-dimensional embeddings{}, in {:.1} s ({:.0} frames/s){resumed}",
        e.file,
        e.frames,
        e.episodes,
        e.n_obs - e.n_state,
        if e.n_state > 0 { format!(" and states of {}", e.n_state) } else { String::new() },
        e.seconds,
        e.frames_per_second
    );
    line!(out, "  source       {}", e.source.join("; "));
    match &e.weights_file {
        Some(file) => {
            line!(out, "  network      {}, {file} (sha256 {:.12})", e.encoding.network, e.encoding.weights)
        }
        None => line!(out, "  network      {}, untrained: {}", e.encoding.network, e.encoding.weights),
    }
    if !e.name_prefix.is_empty() {
        line!(out, "  names        without the prefix {:?}", e.name_prefix);
    }
    if !e.unused_tensors.is_empty() {
        line!(
            out,
            "  unused       {} tensors: {}",
            e.unused_tensors.len(),
            e.unused_tensors.join(", ").chars().take(200).collect::<String>()
        );
    }
    line!(out, "  preset       {}", e.encoding.preset);
    line!(out, "  device       {}", e.device);
    if let (Some(frozen), Some(longest), Some(at)) =
        (e.frozen_steps, e.longest_frozen_run, e.longest_frozen_run_at)
    {
        let share = 100.0 * frozen as f64 / e.frames as f64;
        line!(
            out,
            "  frozen       {share:.2} % of the steps repeat the previous frame; longest run {longest} steps, at frame {at}"
        );
    }
    if let Some(print) = &e.fingerprint {
        line!(out, "  fingerprint  {print}");
    }
    out
}

pub fn collect(r: &CollectReport) -> String {
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
    if r.resumed_from > 0 {
        line!(out, "  resumed    {} episodes are of an interrupted run", r.resumed_from);
    }
    if r.interrupted {
        line!(out, "  interrupted: the complete episodes are in the file");
    }
    if r.failed > 0 {
        let first = r.first_failure.as_deref().unwrap_or("");
        line!(out, "  FAILED     {} episodes, not in the file; the first: {first}", r.failed);
    }
    out
}

pub fn replay(r: &ReplayReport) -> String {
    let mut out = String::new();
    line!(out, "{}: episode {} of {}, {} steps, {} frames", r.file, r.episode, r.task, r.steps, r.frames);
    let how = match r.replayed_by {
        "state" => "the recorded simulator states were set",
        _ => "the recorded actions were executed from the recorded seed",
    };
    line!(
        out,
        "  {how}; observations differ by at most {:.1e}, at step {}",
        r.max_difference,
        r.max_difference_step
    );
    if r.max_difference > 0.01 {
        line!(
            out,
            "  more than rounding errors: another task, seed or version of the simulator, or noise in the recording"
        );
    }
    if r.interrupted {
        line!(out, "  interrupted: the video ends there");
    }
    out
}

pub fn learn(l: &LearnReport) -> String {
    let mut out = String::new();
    line!(
        out,
        "{}: {} memories of {} states, selection {}, in {:.2} s (seed {})",
        l.file,
        l.memories,
        l.states,
        l.selection,
        l.seconds,
        l.seed
    );
    line!(
        out,
        "  coverage   standardized distance from a state to its nearest memory: median {:.3}, 95 % {:.3}, largest {:.3} (episode:step {})",
        l.coverage.median,
        l.coverage.p95,
        l.coverage.max,
        l.most_isolated
    );
    line!(
        out,
        "  selection  {} nodes merged, {} memories refilled; {} states repeat another",
        l.merged_nodes,
        l.refilled_memories,
        l.repeated_states
    );
    line!(
        out,
        "  actions    {}",
        if l.smooth_neighbors == 1 {
            "each memory has its own demonstrated action".into()
        } else {
            format!("each memory has the mean action of its {} nearest steps", l.smooth_neighbors)
        }
    );
    line!(out, "  baselines  {}", baselines(&l.baselines));
    line!(out, "  constant   state dimensions {}", list(&l.constant_dimensions));
    if !l.near_constant_dimensions.is_empty() {
        line!(
            out,
            "  small      state dimensions {} hardly vary; a floor keeps their noise small",
            list(&l.near_constant_dimensions)
        );
    }
    if !l.ignored_dimensions.is_empty() {
        line!(out, "  ignored    state dimensions {}", list(&l.ignored_dimensions));
    }
    for angle in &l.angles {
        line!(out, "  angle      state dimension {}, in {}", angle.dimension, angle.unit);
    }
    line!(
        out,
        "  graph      {} edges; greedy search from the previous memory finds the nearest one in {:.0} % of the steps, after {:.1} distances; with it, the exact search saves {:.0} %",
        l.graph_edges,
        100.0 * l.graph_search.exact,
        l.graph_search.measured,
        100.0 * l.graph_search.saved
    );
    out
}
