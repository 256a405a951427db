//! Options of running policies on tasks, and of their recordings and results.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mcnn::{
    expert::Noise,
    task::{TaskOptions, adroit::Rewards},
};
use serde_json::Value;

use super::{GuardArgs, KnobArgs, Output, TaskEncoderArgs, word};
use crate::sweep::shard::Shard;

/// A task, and the episodes to run on it.
#[derive(Args, Debug)]
pub struct Episodes {
    /// Task: drive, drive-pixels (built in), door, hammer, pen, relocate (Adroit), kitchen, carracing, pusht, or gym:ID (a
    /// Gymnasium environment; where ID is NAMESPACE/NAME, the Python module NAMESPACE is imported).
    #[arg(long, value_name = "TASK", help_heading = "Task")]
    pub task: String,
    #[command(flatten)]
    pub rollouts: Rollouts,
}

/// What a task is made with.
#[derive(Args, Debug)]
pub struct TaskSettings {
    /// Reward function of the Adroit tasks: d4rl (which the reference scores are for) or gymnasium.
    #[arg(long, default_value = "d4rl", value_parser = rewards, value_name = "REWARD", help_heading = "Task")]
    pub reward: Rewards,
    #[command(flatten)]
    pub options: TaskOptionArgs,
}

impl TaskSettings {
    /// As the library takes them.
    pub fn options(&self) -> TaskOptions {
        TaskOptions { rewards: self.reward, ..self.options.options() }
    }
}

/// Options of a task.
#[derive(Args, Debug)]
pub struct TaskOptionArgs {
    /// An option of the task; may be repeated. Of gym:ID, a keyword argument of the environment, such as obs_type=state; VALUE is
    /// JSON, or else text. Of pusht, observation=keypoint (the default) or observation=state.
    #[arg(long = "task-option", value_name = "KEY=VALUE", value_parser = task_option, help_heading = "Task")]
    pub task_options: Vec<(String, Value)>,
}

impl TaskOptionArgs {
    /// As the library takes them. Of a key that is given twice, the last value counts.
    pub fn options(&self) -> TaskOptions {
        TaskOptions { options: self.task_options.iter().cloned().collect(), ..TaskOptions::default() }
    }
}

fn task_option(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            Ok((key.into(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
        }
        _ => Err("expected KEY=VALUE, such as obs_type=state".into()),
    }
}

/// The episodes to run on a task, and how.
#[derive(Args, Debug)]
pub struct Rollouts {
    #[command(flatten)]
    pub settings: TaskSettings,
    /// Episodes to run.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000),
          value_name = "COUNT", help_heading = "Task")]
    pub episodes: u32,
    /// Seed of the first episode; episode i has seed SEED + i [default: 1000; collect: 20000, so that training and evaluation
    /// episodes differ].
    #[arg(long, value_name = "SEED", help_heading = "Task")]
    pub seed: Option<u64>,
    /// Worker processes that run episodes in parallel, 1 to 1024 [default: the number of cores]. Results do not depend on it.
    #[arg(long, value_name = "COUNT", help_heading = "Execution")]
    pub threads: Option<usize>,
    /// Environments in each worker process, stepped together. Results do not depend on it.
    #[arg(long, alias = "lanes", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024),
          value_name = "COUNT", help_heading = "Execution")]
    pub envs_per_worker: u16,
}

/// Default seed of the first episode of an evaluation.
pub(super) const EVALUATION_SEED: u64 = 1000;

/// Default seed of the first episode of `mcnn collect`: only an evaluation of more than 19,000 episodes would reach it.
pub const COLLECTION_SEED: u64 = 20_000;

impl Rollouts {
    /// Seed of the first episode of an evaluation.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(EVALUATION_SEED)
    }

    /// The library's settings.
    pub fn run(&self) -> mcnn::Result<mcnn::eval::Run> {
        Ok(mcnn::eval::Run {
            episodes: self.episodes as usize,
            first_seed: self.seed(),
            threads: threads(self.threads)?,
            environments_per_worker: self.envs_per_worker.into(),
            trace: false,
        })
    }
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcnn eval policy.safetensors --task drive
  mcnn eval policy.safetensors --task pen --guard warn --ood-quantile 0.99
  mcnn eval policy.safetensors --task drive --video drive.gif")]
pub struct EvalArgs {
    /// Policy, from `mcnn train`, or an expert's network (.npz).
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    #[command(flatten)]
    pub knobs: KnobArgs,
    #[command(flatten)]
    pub episodes: Episodes,
    #[command(flatten)]
    pub encoder: TaskEncoderArgs,
    #[command(flatten)]
    pub guard: GuardArgs,
    #[command(flatten)]
    pub video: Video,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  mcnn compare mcnn.safetensors bc.safetensors --task drive")]
pub struct CompareArgs {
    /// Policies, from `mcnn train`, or experts' networks (.npz).
    #[arg(value_name = "POLICY", required = true, num_args = 2..)]
    pub policies: Vec<PathBuf>,
    #[command(flatten)]
    pub episodes: Episodes,
    #[command(flatten)]
    pub video: Video,
    #[command(flatten)]
    pub encoder: TaskEncoderArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcnn collect --task drive --episodes 20 -o drive.hdf5
  mcnn collect --task pen --policy expert.npz --noise policy --episodes 200 -o pen.hdf5")]
pub struct CollectArgs {
    /// Who acts: an expert's network (.npz), or a policy from `mcnn train` [default: the task's scripted expert; drive and
    /// drive-pixels have one].
    #[arg(long = "policy", alias = "expert", value_name = "FILE", help_heading = "Task")]
    pub actor: Option<PathBuf>,
    /// Noise added to the actions: none, policy (the expert network's own Gaussian), gaussian:STD (independent), or
    /// correlated:STD[:CORRELATION] (from step to step, by default 0.9). STD is 0 to 1, in units of the action.
    #[arg(long, default_value = "none", value_name = "NOISE", help_heading = "Task")]
    pub noise: Noise,
    #[command(flatten)]
    pub episodes: Episodes,
    #[command(flatten)]
    pub encoder: TaskEncoderArgs,
    /// Steps per second, for columns (.mcnn) and a folder of LeRobot: an output with a slash at its end, or without an ending and
    /// with this option.
    #[arg(long, value_name = "RATE", help_heading = "Output")]
    pub hz: Option<f64>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  mcnn replay drive.hdf5 --episode 0 --video episode.gif")]
pub struct ReplayArgs {
    /// Demonstrations: HDF5 as of D4RL, or .npz with the arrays states, actions and episode_ends.
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// Episode to show, counted from 0.
    #[arg(long, value_name = "EPISODE", help_heading = "Data")]
    pub episode: usize,
    /// Task of the recording [default: the one with as many observation and action dimensions].
    #[arg(long, value_name = "TASK", help_heading = "Task")]
    pub task: Option<String>,
    #[command(flatten)]
    pub task_options: TaskOptionArgs,
    /// Replay the recorded actions from the reset with this seed, instead of setting the recorded simulator states.
    #[arg(long, value_name = "SEED", help_heading = "Task")]
    pub from_seed: Option<u64>,
    /// Show the distance of each state to this policy's memories, too.
    #[arg(long, value_name = "POLICY", help_heading = "Output")]
    pub policy: Option<PathBuf>,
    /// Video to write, .gif or .mp4 (needs ffmpeg).
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub video: PathBuf,
    #[command(flatten, next_help_heading = "Output")]
    pub recording: Recording,
    /// Overwrite the video if it exists.
    #[arg(long, help_heading = "Output")]
    pub force: bool,
}

impl ReplayArgs {
    /// The file to be written.
    pub fn output(&self) -> Output {
        Output { path: self.video.clone(), force: self.force }
    }
}

/// Which steps become frames of a video.
#[derive(Args, Debug, Clone, Copy)]
pub struct Recording {
    /// Record one frame every STEPS steps.
    #[arg(long, default_value_t = 4, value_name = "STEPS", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub video_every: u32,
}

/// A video of the first episodes.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Video")]
pub struct Video {
    /// Record the first episodes as a video, .gif or .mp4 (needs ffmpeg), with the distance to the nearest memory below.
    /// Several policies are shown side by side.
    #[arg(long, value_name = "FILE")]
    pub video: Option<PathBuf>,
    /// Episodes to record.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub video_episodes: u32,
    #[command(flatten)]
    pub recording: Recording,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  mcnn sweep plan.toml -o results.jsonl")]
pub struct SweepArgs {
    /// Plan: a TOML file of settings, most of them lists; docs/plan.toml has them all.
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// Train and evaluate again the combinations that failed.
    #[arg(long, alias = "retry", help_heading = "Execution")]
    pub retry_failed: bool,
    /// Run only the I-th of N parts of the plan, 1/N to N/N, each into a file of its own; `mcnn results merge` makes them one.
    /// The parts need not know of each other. Requires -o.
    #[arg(long, value_name = "I/N", requires = "path", help_heading = "Execution")]
    pub shard: Option<Shard>,
    /// List the combinations that would be run, and run none.
    #[arg(long, help_heading = "Execution")]
    pub dry_run: bool,
    /// Combinations to run in parallel, 1 to 1024 [default: the number of cores]. Results do not depend on it.
    #[arg(long, value_name = "COUNT", help_heading = "Execution")]
    pub threads: Option<usize>,
    /// File of results, one line of JSON per combination. Combinations that it contains are not run again.
    #[arg(
        short = 'o',
        long = "output",
        value_name = "FILE",
        default_value = "results.jsonl",
        help_heading = "Output"
    )]
    pub path: PathBuf,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  mcnn results merge plan.toml shard-*.jsonl -o results.jsonl")]
pub struct ResultsArgs {
    #[command(subcommand)]
    pub verb: ResultsVerb,
}

#[derive(Subcommand, Debug)]
pub enum ResultsVerb {
    /// Make one file of the results of several shards of a plan.
    Merge(MergeArgs),
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  mcnn results merge plan.toml shard-*.jsonl -o results.jsonl")]
pub struct MergeArgs {
    /// Plan that the results are of. Results of other plans are refused.
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// Results, from `mcnn sweep`.
    #[arg(value_name = "RESULTS", required = true)]
    pub results: Vec<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  mcnn table results.jsonl --rows backbone,lambda --plot results.svg")]
pub struct TableArgs {
    /// Results, from `mcnn sweep`.
    #[arg(value_name = "RESULTS")]
    pub results: PathBuf,
    /// Settings that distinguish the rows, by their names in the plan, separated by commas [default: all that vary].
    #[arg(long, value_delimiter = ',', value_name = "SETTINGS", help_heading = "Output")]
    pub rows: Vec<String>,
    /// Draw the table as a plot, .svg or .png.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub plot: Option<PathBuf>,
    /// What the plot shows: table (means and intervals), demonstrations (score by the number of demonstrations), seconds (score by
    /// the seconds of training), or profile (performance profiles).
    #[arg(
        long,
        value_enum,
        default_value_t,
        requires = "plot",
        value_name = "WHAT",
        help_heading = "Output"
    )]
    pub figure: Figure,
    /// Episodes of data whose results do not say it (those of version 0.1.0), separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "DATA=N", value_parser = data_size, help_heading = "Output")]
    pub demonstrations: Vec<(String, usize)>,
    /// Overwrite the plot if it exists.
    #[arg(long, help_heading = "Output")]
    pub force: bool,
}

/// What `table --plot` draws.
#[derive(clap::ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Figure {
    #[default]
    Table,
    Demonstrations,
    Seconds,
    Profile,
}

fn data_size(text: &str) -> Result<(String, usize), String> {
    let parsed = text.rsplit_once('=').and_then(|(data, n)| Some((data.to_owned(), n.parse().ok()?)));
    parsed
        .filter(|(data, n)| !data.is_empty() && *n > 0)
        .ok_or_else(|| "expected DATA=N, such as pen-expert5=5".into())
}

/// The number of worker threads: that of the option, by default that of the cores.
pub(super) fn threads(given: Option<usize>) -> mcnn::Result<usize> {
    let threads = given.unwrap_or_else(crate::commands::cores);
    if threads == 0 || threads > 1024 {
        return Err(mcnn::Error::new(mcnn::error::Kind::Settings, "threads out of range")
            .at("--threads")
            .expected("1 to 1024")
            .found(threads.to_string()));
    }
    Ok(threads)
}

pub(super) fn rewards(text: &str) -> Result<Rewards, String> {
    word(text, "d4rl or gymnasium")
}
