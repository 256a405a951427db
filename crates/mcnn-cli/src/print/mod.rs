//! Reports as text. All printing of results is in this folder.

/// Writes a line to a string, which cannot fail.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => {{
        let _ = writeln!($out, $($arg)*);
    }};
}

mod certify;
mod data;
mod encoder;
mod memory;
mod policy;
mod report;
mod results;
mod suggest;
mod sweep;

pub use certify::certified;
pub use data::{embedded, inspection, learnt, made, recorded, replayed};
pub use encoder::encoded;
pub use memory::{edited, listed};
pub use policy::{explained, trained};
pub use report::reported;
pub use results::{compared, demonstrated, evaluated};
pub use suggest::suggested;
pub use sweep::{swept, table};

use mcnn::eval::stats::Rough;

/// What `mcnn` alone prints.
pub fn tour() -> String {
    "mcnn learns to act from demonstrations, and stays near what it was shown.

  mcnn demo                                             the whole method in three minutes, and a page that shows it

  mcnn make drive --episodes 5 -o drive.npz             demonstrations of the built-in task
  mcnn inspect drive.npz                                what a file of demonstrations holds
  mcnn embed FRAMES --weights imagenet -o embedded.npz  demonstrations of embeddings, from recorded frames
  mcnn encoder FRAMES -o encoder.safetensors            a small network for that, trained on the frames themselves
  mcnn learn drive.npz --fraction 0.1 -o m.safetensors  choose the memories
  mcnn train drive.npz m.safetensors -o p.safetensors   train a policy that they hold
  mcnn eval p.safetensors --task drive                  run it in closed loop (--video out.gif: see it)
  mcnn compare p.safetensors q.safetensors --task drive run several on the same episodes
  mcnn explain p.safetensors --in drive.npz --at 3:120  why it acts as it does in a state
  mcnn report p.safetensors --in drive.npz -o r.html    a page of its memories, distances and actions
  mcnn certify p.safetensors --states drive.npz --horizon 500
                                                        what the memories promise, without the network
  mcnn suggest pool.npz m.safetensors                   which demonstration to have next
  mcnn memory add p.safetensors fix.npz                 correct it by a demonstration, without training
  mcnn collect --task drive --episodes 20 -o more.hdf5  record demonstrations of an expert or a policy
  mcnn replay more.hdf5 --episode 0 --video out.gif     see a recorded episode
  mcnn sweep plan.toml                                  every combination of settings, many seeds
  mcnn table results.jsonl --plot results.svg           what came of them, with intervals

Tasks: drive and drive-pixels (built in), door, hammer, pen, relocate, kitchen, carracing, gym:ID.  Options: mcnn VERB --help.  JSON: --json.
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

/// The ends of an interval, where there is one.
fn ends(low: f64, high: f64, digits: usize) -> String {
    if low.is_nan() { "no interval".into() } else { format!("{low:.digits$} to {high:.digits$}") }
}

fn rough(why: Option<Rough>) -> String {
    why.map_or(String::new(), |why| format!("; {why}"))
}
