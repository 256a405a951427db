//! Options of changing and looking at a policy's memories.

use std::{ops::Range, path::PathBuf};

use clap::{Args, Subcommand};

use super::{Input, InputOptions, Rollouts, TaskEncoderArgs};

#[derive(Args, Debug)]
pub struct MemoryArgs {
    #[command(subcommand)]
    pub verb: MemoryVerb,
}

#[derive(Subcommand, Debug)]
pub enum MemoryVerb {
    /// Add steps of a demonstration: they act at once, within their boxes, without training.
    Add(AddArgs),
    /// Take memories out.
    Drop(DropArgs),
    /// Which memories act, which never do, and which disagree with those around them.
    List(ListArgs),
    /// Go to another version of the memories: back by one, or to the one named.
    Move(MoveArgs),
}

/// The policy whose memories are meant.
#[derive(Args, Debug)]
pub struct Whose {
    /// A policy, from `mcnn train`. Its versions are kept in a folder beside it.
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
}

#[derive(Args, Debug)]
pub struct AddArgs {
    #[command(flatten)]
    pub whose: Whose,
    #[command(flatten)]
    pub input: Input,
    /// Only these of its episodes, counted from 0, with commas [default: all].
    #[arg(long, value_delimiter = ',', value_name = "N")]
    pub episodes: Vec<usize>,
    /// Only these steps of each episode: FROM..TO, the last not included [default: all].
    #[arg(long, value_name = "FROM..TO", value_parser = range)]
    pub steps: Option<Range<u32>>,
}

#[derive(Args, Debug)]
pub struct DropArgs {
    #[command(flatten)]
    pub whose: Whose,
    /// All memories of these episodes, by the numbers that `list` and `explain` show.
    #[arg(long, value_delimiter = ',', value_name = "N", required_unless_present = "memories")]
    pub episodes: Vec<u32>,
    /// These memories, by their numbers.
    #[arg(long, value_delimiter = ',', value_name = "N")]
    pub memories: Vec<usize>,
    /// The demonstrations the memories were learned from, to calibrate the distances anew; without them there is no
    /// calibration afterwards.
    #[arg(long = "in", value_name = "DATA")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub options: InputOptions,
}

#[derive(Args, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    pub whose: Whose,
    /// Count which memories these states recall.
    #[arg(long = "in", value_name = "DATA", conflicts_with = "task")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub options: InputOptions,
    /// Count which memories act in closed loop in a task, named as for `mcnn eval`.
    #[arg(long)]
    pub task: Option<String>,
    #[command(flatten)]
    pub rollouts: Rollouts,
    #[command(flatten)]
    pub encoder: TaskEncoderArgs,
    /// How many to list.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub top: usize,
}

#[derive(Args, Debug)]
pub struct MoveArgs {
    #[command(flatten)]
    pub whose: Whose,
    /// The version [default: the one that the present one was made from].
    #[arg(long, value_name = "VERSION")]
    pub to: Option<usize>,
}

fn range(text: &str) -> Result<Range<u32>, String> {
    let parsed = text.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    parsed
        .filter(|range: &Range<u32>| !range.is_empty())
        .ok_or_else(|| "expected FROM..TO, two whole numbers counted from 0, the second larger".into())
}
