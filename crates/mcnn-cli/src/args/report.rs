//! Options of the report.

use std::path::PathBuf;

use clap::Args;

use super::{InputOptions, NamesArgs, Output, Rollouts, TaskEncoderArgs};

#[derive(Args, Debug)]
pub struct ReportArgs {
    /// A policy, from `mcnn train`.
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    /// Demonstrations to look at: those the memories were learned from, or others.
    #[arg(long = "in", value_name = "DATA")]
    pub data: PathBuf,
    #[command(flatten)]
    pub options: InputOptions,
    #[command(flatten)]
    pub names: NamesArgs,
    /// Look at the states visited in closed loop, too, in a task, named as for `mcnn eval`.
    #[arg(long)]
    pub task: Option<String>,
    #[command(flatten)]
    pub rollouts: Rollouts,
    #[command(flatten)]
    pub encoder: TaskEncoderArgs,
    /// Episodes to show step by step, of the data and of those run, counted from 0, with commas [default: the first 4].
    #[arg(long, value_delimiter = ',', value_name = "N")]
    pub show: Vec<usize>,
    #[command(flatten)]
    pub output: Output,
    /// Write the main pictures as SVG and as PNG into this folder, too.
    #[arg(long, value_name = "FOLDER")]
    pub plots: Option<PathBuf>,
}
