//! Reports as text. All results are printed by this folder.

/// Writes a line to a string, which cannot fail.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => {{
        let _ = writeln!($out, $($arg)*);
    }};
}

mod certify;
mod convert;
mod data;
mod encoder;
mod export;
mod memory;
mod policy;
mod report;
mod results;
#[cfg(feature = "serve")]
mod serve;
mod suggest;
mod sweep;
mod test;
mod tune;

pub use certify::certify;
pub use convert::convert;
pub use data::{collect, embed, inspect, learn, make, replay};
pub use encoder::encoder;
pub use export::export;
pub use memory::{memory_edit, memory_list};
pub use policy::{explain, train};
pub use report::report;
pub use results::{compare, demo, eval};
#[cfg(feature = "serve")]
pub use serve::{serve, serve_start};
pub use suggest::suggest;
pub use sweep::{merge, sweep, table};
pub use test::test;
pub use tune::tune;

use mcnn::{eval::stats::Rough, train::Lambda};

/// A line on what was searched on a GPU; nothing without one.
pub fn gpu(stats: Option<&mcnn::memory::BatchSearchStats>) -> String {
    let line = |s: &mcnn::memory::BatchSearchStats| {
        let (queries, repeated) = (s.queries, s.repeated_on_cpu);
        format!(
            "searched on {}: {queries} states, {repeated} of them again on the processor, for distances that are equal within rounding\n",
            s.device
        )
    };
    stats.map(line).unwrap_or_default()
}

/// What `mcnn` prints without a verb.
pub fn tour() -> String {
    "mcnn: imitation learning with Memory-Consistent Neural Networks. Policies stay near the demonstrations.

Start here
  mcnn demo                                              the whole method in three minutes, and a page
Data
  mcnn make drive --episodes 5 -o drive.npz              demonstrations of the built-in task
  mcnn collect --task drive --episodes 20 -o more.hdf5   episodes of an expert or a policy
  mcnn inspect drive.npz                                 contents of a file of demonstrations
  mcnn convert more.hdf5 -o more.npz                     another format, fewer steps, no pauses
  mcnn replay more.hdf5 --episode 0 --video out.gif      video of a recorded episode
  mcnn encoder FRAMES -o encoder.safetensors             train an image encoder on camera frames
  mcnn embed FRAMES --weights imagenet -o embedded.npz   embed camera frames
Training
  mcnn learn drive.npz -o memories.safetensors           choose memories from demonstrations
  mcnn train drive.npz memories.safetensors -o policy.safetensors
                                                         train a policy
  mcnn sweep plan.toml                                   every combination of settings, several seeds
Evaluation
  mcnn eval policy.safetensors --task drive              closed loop (--video out.gif records a video)
  mcnn compare a.safetensors b.safetensors --task drive  policies on the same episodes
  mcnn test policy.safetensors more.hdf5                 error on recorded states, beside simple methods
  mcnn results merge plan.toml *.jsonl -o all.jsonl      results of a sweep's shards in one file
  mcnn table results.jsonl --plot results.svg            results of a sweep, with intervals
  mcnn tune policy.safetensors --task drive -o tuned.safetensors
                                                         settings of the constraint, by episodes
Understanding
  mcnn explain policy.safetensors --data drive.npz --at 3:120
                                                         why the policy acts so in one state
  mcnn report policy.safetensors --data drive.npz -o report.html
                                                         a page of memories, distances and actions
  mcnn certify policy.safetensors --data drive.npz --horizon 500
                                                         a bound from the memories alone
Deploying
  mcnn export policy.safetensors -o policy.onnx          the policy as an ONNX graph
Improving
  mcnn suggest pool.npz memories.safetensors             which demonstration to record next
  mcnn memory add policy.safetensors fix.npz             add memories without training
Deploying
  mcnn serve policy.safetensors                          a policy server, for openpi and LeRobot

Tasks: drive, drive-pixels (built in), door, hammer, pen, relocate, kitchen, carracing, pusht, gym:ID
All options of a verb: mcnn VERB --help.  Results as JSON: --json.
"
    .into()
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "none".into();
    }
    items.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

/// Dimensions by number and, where they have names, by name.
fn list_dimensions(dimensions: &[usize], names: Option<&[String]>) -> String {
    let Some(names) = names.filter(|_| !dimensions.is_empty()) else { return list(dimensions) };
    dimensions.iter().map(|&k| format!("{k} {}", names[k])).collect::<Vec<_>>().join(", ")
}

/// Characters of a column of names: as many as the longest has, and 10 at least.
fn name_width(names: &[String]) -> usize {
    names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(10)
}

/// An interval, if there is one.
fn interval(low: f64, high: f64, digits: usize) -> String {
    if low.is_nan() { "no interval".into() } else { format!("{low:.digits$} to {high:.digits$}") }
}

fn rough(why: Option<Rough>) -> String {
    why.map_or(String::new(), |why| format!("; {why}"))
}

/// lambda and its meaning.
fn lambda(lambda: Lambda, half_distance: Option<f32>) -> String {
    match (lambda, half_distance) {
        (Lambda::Value(0.0), _) => "0: the memory action everywhere (nearest neighbor)".into(),
        (Lambda::Value(f32::INFINITY), _) => "inf: no memories (behavior cloning)".into(),
        (value, Some(half)) => format!("{value}: memory weight 0.5 at standardized distance {half:.3}"),
        (value, None) => value.to_string(),
    }
}
