//! Options of running tasks: evaluating, comparing, collecting, recording videos, sweeping.

use std::path::PathBuf;

use clap::Args;
use mcnn::{expert::Noise, task::adroit::Rewards};

use super::{GuardArgs, Output, TaskEncoderArgs, word};

/// Which episodes of which task.
#[derive(Args, Debug)]
pub struct Episodes {
    /// drive, drive-pixels, door, hammer, pen, relocate, kitchen, carracing, or gym:ID.
    #[arg(long)]
    pub task: String,
    #[command(flatten)]
    pub rollouts: Rollouts,
}

/// Which episodes of a task, and how they are run.
#[derive(Args, Debug)]
pub struct Rollouts {
    /// Whose rewards an Adroit task gives: d4rl (which the reference scores fit) or gymnasium.
    #[arg(long, default_value = "d4rl", value_parser = rewards)]
    pub reward: Rewards,
    /// Episodes.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub episodes: u32,
    /// First seed: episode i is the task's episode of seed + i [default: 1000; to collect 20000, so that what is learned
    /// from and what is evaluated on differ].
    #[arg(long)]
    pub seed: Option<u64>,
    /// Episodes at once [default: as many as there are cores]. Results do not depend on it.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Environments in each worker process, which take their steps together. Results do not depend on it.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub lanes: u16,
}

/// The first seed of an evaluation where none is given.
const EVALUATION: u64 = 1000;

/// The same of collecting: so far off that only 19,000 episodes of evaluation would meet it.
pub const COLLECTION: u64 = 20_000;

impl Rollouts {
    /// The first seed of an evaluation.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(EVALUATION)
    }

    /// As the library takes it.
    pub fn run(&self) -> mcnn::Result<mcnn::eval::Run> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = self.threads.unwrap_or(cores);
        if threads == 0 || threads > 1024 {
            return Err(mcnn::Error::new(mcnn::error::Kind::Settings, "threads out of range")
                .at("--threads")
                .expected("1 to 1024")
                .found(threads.to_string()));
        }
        Ok(mcnn::eval::Run {
            episodes: self.episodes as usize,
            first_seed: self.seed(),
            threads,
            environments_per_worker: self.lanes.into(),
            trace: false,
        })
    }
}

#[derive(Args, Debug)]
pub struct EvalArgs {
    /// A policy from `mcnn train`, or an expert's .npz.
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    #[command(flatten)]
    pub episodes: Episodes,
    #[command(flatten)]
    pub video: Video,
    #[command(flatten)]
    pub guard: GuardArgs,
    #[command(flatten)]
    pub encoder: TaskEncoderArgs,
}

#[derive(Args, Debug)]
pub struct CompareArgs {
    /// Policies from `mcnn train`, or experts' .npz.
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
pub struct CollectArgs {
    /// Who acts: an expert's .npz, or a policy from `mcnn train` [default: the task's own expert; drive and drive-pixels have
    /// one].
    #[arg(long = "expert", visible_alias = "policy", value_name = "FILE")]
    pub actor: Option<PathBuf>,
    /// Noise on the actions: none, policy (the expert's own Gaussian), gaussian:STD, or correlated:STD[:KEPT].
    #[arg(long, default_value = "none")]
    pub noise: Noise,
    #[command(flatten)]
    pub episodes: Episodes,
    #[command(flatten)]
    pub encoder: TaskEncoderArgs,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args, Debug)]
pub struct ReplayArgs {
    /// Demonstrations: D4RL HDF5, or .npz with states, actions and episode_ends.
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// The task they are of [default: the one whose observations and actions have these widths].
    #[arg(long)]
    pub task: Option<String>,
    /// The episode, counted from 0.
    #[arg(long, value_name = "N")]
    pub episode: usize,
    /// The video to write, .gif or .mp4.
    #[arg(long, value_name = "FILE")]
    pub video: PathBuf,
    #[command(flatten)]
    pub recording: Recording,
    /// A policy whose distances to its memories are drawn.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Run the recorded actions from this seed's reset, instead of putting the scene where the recording has it.
    #[arg(long, value_name = "SEED")]
    pub from_seed: Option<u64>,
    /// Overwrite the video if it is there.
    #[arg(long)]
    pub force: bool,
}

impl ReplayArgs {
    /// The file to be written.
    pub fn output(&self) -> Output {
        Output { path: self.video.clone(), force: self.force }
    }
}

/// How often to record a frame.
#[derive(Args, Debug, Clone, Copy)]
pub struct Recording {
    /// Record a frame every N steps.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub video_every: u32,
}

/// A video of the first episodes.
#[derive(Args, Debug, Clone)]
pub struct Video {
    /// Record the first episodes as a video, .gif or .mp4, with the distance to the nearest memory below; several policies stand
    /// side by side.
    #[arg(long, value_name = "FILE")]
    pub video: Option<PathBuf>,
    /// How many of them.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub video_episodes: u32,
    #[command(flatten)]
    pub recording: Recording,
}

#[derive(Args, Debug)]
pub struct SweepArgs {
    /// The plan: a TOML file, as docs/plan.toml.
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// The results, a line of JSON a run; what is there is kept, and those runs are not made again.
    #[arg(short = 'o', long = "output", value_name = "FILE", default_value = "results.jsonl")]
    pub path: PathBuf,
    /// Make the runs again that failed.
    #[arg(long)]
    pub retry: bool,
    /// List the runs to be made, and make none.
    #[arg(long)]
    pub dry_run: bool,
    /// Runs at once [default: as many as there are cores]. Results do not depend on it.
    #[arg(long)]
    pub threads: Option<usize>,
}

#[derive(Args, Debug)]
pub struct TableArgs {
    /// Results, from `mcnn sweep`.
    #[arg(value_name = "RESULTS")]
    pub results: PathBuf,
    /// The settings that make rows [default: all that vary].
    #[arg(long, value_delimiter = ',', value_name = "KEYS")]
    pub rows: Vec<String>,
    /// Draw it: a file to write, .svg or .png.
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Overwrite the picture if it is there.
    #[arg(long)]
    pub force: bool,
}

fn rewards(text: &str) -> Result<Rewards, String> {
    word(text, "d4rl or gymnasium")
}
