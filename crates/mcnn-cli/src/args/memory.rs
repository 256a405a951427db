//! Options of `mcnn memory`.

use std::{ops::Range, path::PathBuf};

use clap::{Args, Subcommand};

use super::{Input, InputOptions, Rollouts, TaskEncoderArgs};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcnn memory list policy.safetensors --data drive.npz
  mcnn memory add policy.safetensors correction.npz
  mcnn memory restore policy.safetensors   (undo)")]
pub struct MemoryArgs {
    #[command(subcommand)]
    pub verb: MemoryVerb,
}

#[derive(Subcommand, Debug)]
pub enum MemoryVerb {
    /// Add steps of demonstrations as memories; they act at once, without training.
    Add(AddArgs),
    /// Remove memories.
    Drop(DropArgs),
    /// List versions, how often each memory is retrieved, and memories with outlying actions.
    List(ListArgs),
    /// Restore another version of the memories: the previous one, or the one named.
    #[command(alias = "move")]
    Restore(RestoreArgs),
}

/// The policy whose memories are listed or changed.
#[derive(Args, Debug)]
pub struct PolicyFile {
    /// Policy, from `mcnn train`. Its versions are kept in the folder POLICY.versions beside it.
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  mcnn memory add policy.safetensors correction.npz --episodes 0,2 --steps 10..90"
)]
pub struct AddArgs {
    #[command(flatten)]
    pub file: PolicyFile,
    #[command(flatten)]
    pub input: Input,
    /// Add only these episodes of DATA, counted from 0, separated by commas [default: all].
    #[arg(long, value_delimiter = ',', value_name = "EPISODES", help_heading = "Memories")]
    pub episodes: Vec<usize>,
    /// Add only these steps of each episode, counted from 0; TO is excluded [default: all].
    #[arg(long, value_name = "FROM..TO", value_parser = range, help_heading = "Memories")]
    pub steps: Option<Range<u32>>,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  mcnn memory drop policy.safetensors --memories 17,204 --data drive.npz")]
pub struct DropArgs {
    #[command(flatten)]
    pub file: PolicyFile,
    /// Remove all memories of these episodes, by the numbers that `memory list` and `explain` show, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "EPISODES",
        required_unless_present = "memories",
        help_heading = "Memories"
    )]
    pub episodes: Vec<u32>,
    /// Remove these memories, by the numbers that `memory list` and `explain` show, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "MEMORIES", help_heading = "Memories")]
    pub memories: Vec<usize>,
    /// Demonstrations from which the memories were chosen, to repeat the OOD calibration; without them the policy has none
    /// afterwards.
    #[arg(long, alias = "in", value_name = "DATA", help_heading = "Data")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub options: InputOptions,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  mcnn memory list policy.safetensors --task drive --episodes 20")]
pub struct ListArgs {
    #[command(flatten)]
    pub file: PolicyFile,
    /// Count how often each memory is retrieved for the states of these demonstrations.
    #[arg(long, alias = "in", value_name = "DATA", conflicts_with = "task", help_heading = "Data")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub options: InputOptions,
    /// Count how often each memory is retrieved in closed loop on this task; see `mcnn eval`.
    #[arg(long, value_name = "TASK", help_heading = "Task")]
    pub task: Option<String>,
    #[command(flatten)]
    pub rollouts: Rollouts,
    #[command(flatten)]
    pub encoder: TaskEncoderArgs,
    /// Most memories to list.
    #[arg(long, default_value_t = 10, value_name = "COUNT", help_heading = "Output")]
    pub top: usize,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  mcnn memory restore policy.safetensors --to 0")]
pub struct RestoreArgs {
    #[command(flatten)]
    pub file: PolicyFile,
    /// Version to restore [default: the one that the current version was made from].
    #[arg(long, value_name = "VERSION", help_heading = "Memories")]
    pub to: Option<usize>,
}

fn range(text: &str) -> Result<Range<u32>, String> {
    let parsed = text.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    parsed
        .filter(|range: &Range<u32>| !range.is_empty())
        .ok_or_else(|| "expected FROM..TO, two whole numbers counted from 0, the second larger".into())
}
