//! Options of `mcnn explain` and `mcnn report`.

use std::path::PathBuf;

use clap::Args;
use mcnn::data::Step;

use super::{InputOptions, KnobArgs, NamesArgs, Output, Rollouts, TaskEncoderArgs};

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  mcnn explain policy.safetensors --data drive.npz --at 3:120")]
pub struct ExplainArgs {
    /// Policy, from `mcnn train`.
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    #[command(flatten)]
    pub knobs: KnobArgs,
    /// Demonstrations that contain the state.
    #[arg(long, alias = "in", value_name = "DATA", help_heading = "Data")]
    pub data: PathBuf,
    /// State to explain: its episode and step in DATA, both counted from 0.
    #[arg(long, value_name = "EPISODE:STEP", value_parser = step, help_heading = "Data")]
    pub at: Step,
    #[command(flatten)]
    pub options: InputOptions,
    #[command(flatten)]
    pub names: NamesArgs,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  mcnn report policy.safetensors --data drive.npz --task drive --episodes 20 -o report.html"
)]
pub struct ReportArgs {
    /// Policy, from `mcnn train`.
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    #[command(flatten)]
    pub knobs: KnobArgs,
    /// Demonstrations to show: those the memories were chosen from, or others.
    #[arg(long, alias = "in", value_name = "DATA", help_heading = "Data")]
    pub data: PathBuf,
    #[command(flatten)]
    pub options: InputOptions,
    #[command(flatten)]
    pub names: NamesArgs,
    /// Show the states visited in closed loop on this task, too; see `mcnn eval`.
    #[arg(long, value_name = "TASK", help_heading = "Task")]
    pub task: Option<String>,
    #[command(flatten)]
    pub rollouts: Rollouts,
    #[command(flatten)]
    pub encoder: TaskEncoderArgs,
    /// Episodes to show step by step, of DATA and of the rollouts, counted from 0, separated by commas [default: the first 4].
    #[arg(long, alias = "show", value_delimiter = ',', value_name = "EPISODES", help_heading = "Output")]
    pub show_episodes: Vec<usize>,
    /// Write the main figures as SVG and PNG into this folder, too.
    #[arg(long, value_name = "FOLDER", help_heading = "Output")]
    pub plots: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

fn step(text: &str) -> Result<Step, String> {
    let parsed = text
        .split_once(':')
        .and_then(|(e, s)| Some(Step { episode: e.parse().ok()?, step: s.parse().ok()? }));
    parsed.ok_or_else(|| "expected EPISODE:STEP, two whole numbers counted from 0, such as 3:120".into())
}
