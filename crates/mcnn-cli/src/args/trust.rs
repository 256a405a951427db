//! Options of what can be promised and trusted.

use std::path::PathBuf;

use clap::Args;
use mcnn::policy::Response;

use super::{InputOptions, Rollouts, TaskEncoderArgs, word};

#[derive(Args, Debug)]
pub struct CertifyArgs {
    /// A policy, from `mcnn train`; or memories, from `mcnn learn`, with --lambda.
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    /// Demonstrations whose states are looked at.
    #[arg(long, value_name = "DATA", required = true, num_args = 1..)]
    pub states: Vec<PathBuf>,
    #[command(flatten)]
    pub options: InputOptions,
    /// H, the steps of an episode.
    #[arg(long, value_name = "H", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub horizon: u64,
    /// |A|: the number of actions of a finite set [default: the numbers in an action, which is a reading of the theorem].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub actions: Option<u64>,
    /// Of memories: how fast they lose their weight with distance.
    #[arg(long)]
    pub lambda: Option<f32>,
    /// Of memories: the amplitude of the network far from all of them [default: 1].
    #[arg(long, alias = "l")]
    pub amplitude: Option<f32>,
    /// Look at the states that the policy visits in closed loop, too: needs --task, and the policy's network.
    #[arg(long, requires = "task")]
    pub visited: bool,
    /// Of visited states: the task, named as for `mcnn eval`.
    #[arg(long, requires = "visited")]
    pub task: Option<String>,
    #[command(flatten)]
    pub rollouts: Rollouts,
    #[command(flatten)]
    pub encoder: TaskEncoderArgs,
    /// Exit with 1 if the bound over any of the listed states is above X.
    #[arg(long, value_name = "X")]
    pub at_most: Option<f64>,
    /// Show the bound and d_I against the number of memories, by gas, random and kcenter, chosen from the policy's data.
    #[arg(long)]
    pub curve: bool,
    /// Draw the curve: a file to write, .svg or .png.
    #[arg(long, value_name = "FILE", requires = "curve")]
    pub plot: Option<PathBuf>,
    /// Overwrite the picture if it is there.
    #[arg(long)]
    pub force: bool,
}

#[derive(Args, Debug)]
#[command(allow_missing_positional = true)]
pub struct SuggestArgs {
    /// Demonstrations to choose from, or states to be shown what to do in.
    #[arg(value_name = "DATA", conflicts_with = "visited")]
    pub data: Option<PathBuf>,
    /// Memories, from `mcnn learn`; or a policy, from `mcnn train`.
    #[arg(value_name = "MEMORIES", required = true)]
    pub memories: PathBuf,
    #[command(flatten)]
    pub options: InputOptions,
    /// How many suggestions, one for an episode at most.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub count: u32,
    /// Each is a state in which to begin a demonstration that is not there yet; without it, an episode of DATA.
    #[arg(long)]
    pub begin: bool,
    /// Look at the states that a policy visits in closed loop, instead of DATA; implies --begin, needs --task.
    #[arg(long, requires = "task")]
    pub visited: bool,
    /// Of visited states: the task, named as for `mcnn eval`.
    #[arg(long, requires = "visited")]
    pub task: Option<String>,
    /// Of visited states: who visits them, a policy or an expert's .npz [default: MEMORIES, where it is a policy].
    #[arg(long, value_name = "FILE", requires = "visited")]
    pub policy: Option<PathBuf>,
    #[command(flatten)]
    pub rollouts: Rollouts,
    #[command(flatten)]
    pub encoder: TaskEncoderArgs,
}

/// A guard on the distance to the memories.
#[derive(Args, Debug, Clone)]
pub struct GuardArgs {
    /// What to do in states far from all memories: warn, hold (the last action given nearer), memory (its action), or stop.
    #[arg(long, value_name = "RESPONSE", value_parser = response)]
    pub guard: Option<Response>,
    /// Of a guard: far is beyond this share of what calibration episodes show [default: 0.99].
    #[arg(long, alias = "beyond", value_name = "QUANTILE", requires = "guard")]
    pub ood_quantile: Option<f64>,
    /// Of a guard: a share of their states, or of the farthest each episode goes [default: states].
    #[arg(long, value_name = "WHAT", requires = "guard", value_parser = ["states", "episodes"])]
    pub of: Option<String>,
    /// Of a guard: demonstrations to calibrate on, which had no part in the memories [default: the policy's own
    /// calibration, each episode against the others' memories].
    #[arg(long, value_name = "DATA", requires = "guard")]
    pub calibrate: Option<PathBuf>,
}

fn response(text: &str) -> Result<Response, String> {
    word(text, "warn, hold, memory or stop")
}
