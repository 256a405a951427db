//! Options of certificates, suggestions and the OOD guard.

use std::path::PathBuf;

use clap::Args;
use mcnn::{policy::Response, train::Lambda};

use super::{DeviceArgs, InputOptions, Rollouts, TaskEncoderArgs, word};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcnn certify policy.safetensors --data drive.npz --horizon 500
  mcnn certify memories.safetensors --lambda 2 --data drive.npz --horizon 500 --curve")]
pub struct CertifyArgs {
    /// Policy, from `mcnn train`; or memories, from `mcnn learn`, with --lambda.
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    /// Demonstrations whose states the bound is computed over.
    #[arg(long, alias = "states", value_name = "DATA", required = true, num_args = 1.., help_heading = "Data")]
    pub data: Vec<PathBuf>,
    #[command(flatten)]
    pub options: InputOptions,
    /// Steps of an episode: H of the bound.
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000),
          help_heading = "Bound")]
    pub horizon: u64,
    /// Number of possible actions: |A| of the bound, which is for a finite set of actions [default: the number of action
    /// dimensions, one reading of the theorem].
    #[arg(long, alias = "actions", value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000),
          help_heading = "Bound")]
    pub action_count: Option<u64>,
    /// Decay rate of the memory weight, as for `mcnn eval` [default: the policy's; memories have none].
    #[arg(long, value_name = "LAMBDA", help_heading = "Bound")]
    pub lambda: Option<Lambda>,
    /// Largest magnitude of the network's share of an action [default: the policy's; of memories: 1].
    #[arg(long, alias = "l", value_name = "L", help_heading = "Bound")]
    pub amplitude: Option<f32>,
    /// Exit with code 1 if the bound over any of the sets of states is above BOUND.
    #[arg(long, alias = "at-most", value_name = "BOUND", help_heading = "Bound")]
    pub max_bound: Option<f64>,
    /// Compute the bound over the states that the policy visits in closed loop, too. Needs --task.
    #[arg(long, requires = "task", help_heading = "Task")]
    pub visited: bool,
    /// With --visited: the task; see `mcnn eval`.
    #[arg(long, requires = "visited", value_name = "TASK", help_heading = "Task")]
    pub task: Option<String>,
    #[command(flatten)]
    pub rollouts: Rollouts,
    #[command(flatten)]
    pub encoder: TaskEncoderArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Show the bound for growing numbers of memories, chosen from the policy's data by gas, random and kcenter.
    #[arg(long, help_heading = "Output")]
    pub curve: bool,
    /// Draw the curve, .svg or .png.
    #[arg(long, value_name = "FILE", requires = "curve", help_heading = "Output")]
    pub plot: Option<PathBuf>,
    /// Overwrite the plot if it exists.
    #[arg(long, help_heading = "Output")]
    pub force: bool,
}

#[derive(Args, Debug)]
#[command(
    allow_missing_positional = true,
    after_help = "Examples:
  mcnn suggest pool.npz memories.safetensors
  mcnn suggest policy.safetensors --visited --task drive   (where to start new demonstrations)"
)]
pub struct SuggestArgs {
    /// Demonstrations to choose from.
    #[arg(value_name = "DATA", conflicts_with = "visited")]
    pub data: Option<PathBuf>,
    /// Memories, from `mcnn learn`; or a policy, from `mcnn train`.
    #[arg(value_name = "MEMORIES", required = true)]
    pub memories: PathBuf,
    #[command(flatten)]
    pub options: InputOptions,
    /// Most suggestions, at most one per episode.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000),
          value_name = "COUNT", help_heading = "Suggestions")]
    pub count: u32,
    /// Suggest single states from which to start a new demonstration, instead of whole episodes of DATA.
    #[arg(long, alias = "begin", help_heading = "Suggestions")]
    pub start_states: bool,
    /// Search the states that a policy visits in closed loop, instead of DATA; implies --start-states. Needs --task.
    #[arg(long, requires = "task", help_heading = "Task")]
    pub visited: bool,
    /// With --visited: the task; see `mcnn eval`.
    #[arg(long, requires = "visited", value_name = "TASK", help_heading = "Task")]
    pub task: Option<String>,
    /// With --visited: the policy, or an expert's network (.npz), that acts [default: MEMORIES, if it is a policy].
    #[arg(long, value_name = "FILE", requires = "visited", help_heading = "Task")]
    pub policy: Option<PathBuf>,
    #[command(flatten)]
    pub rollouts: Rollouts,
    #[command(flatten)]
    pub encoder: TaskEncoderArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// A guard against out-of-distribution (OOD) states.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "OOD guard")]
pub struct GuardArgs {
    /// Response in out-of-distribution (OOD) states, which are far from all memories: warn (count them only), hold (repeat the
    /// last action before), memory (the action of the nearest memory), or stop (end the episode).
    #[arg(long, value_name = "RESPONSE", value_parser = response)]
    pub guard: Option<Response>,
    /// A state is OOD if its distance to the nearest memory is above this quantile of the calibration distances; above 0, at most
    /// 1 [default: 0.99].
    #[arg(long, alias = "beyond", value_name = "QUANTILE", requires = "guard")]
    pub ood_quantile: Option<f64>,
    /// Quantile over what: states (all calibration states) or episodes (the largest distance of each calibration episode)
    /// [default: states].
    #[arg(long, alias = "of", value_name = "SAMPLES", requires = "guard", value_parser = ["states", "episodes"],
          hide_possible_values = true)]
    pub ood_quantile_of: Option<String>,
    /// Demonstrations to calibrate on, other than those the memories were chosen from: episodes that coincide with those are left
    /// out [default: the policy's own calibration: each training episode against the memories of the others].
    #[arg(long, alias = "calibrate", value_name = "DATA", requires = "guard")]
    pub calibration_data: Option<PathBuf>,
}

fn response(text: &str) -> Result<Response, String> {
    word(text, "warn, hold, memory or stop")
}
