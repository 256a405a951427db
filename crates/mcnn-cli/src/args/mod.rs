//! The command line, parsed and checked at the edge.

mod bet;
mod frames;
mod learning;
mod memory;
mod report;
mod running;
mod trust;
mod unet;

pub use frames::{EmbedArgs, EncoderArgs, TaskEncoderArgs};
pub use learning::{Dimensions, ExplainArgs, LearnArgs, TrainArgs, epochs};
pub use memory::{AddArgs, DropArgs, ListArgs, MemoryArgs, MemoryVerb, MoveArgs};
pub use report::ReportArgs;
pub use running::{
    COLLECTION, CollectArgs, CompareArgs, Episodes, EvalArgs, ReplayArgs, Rollouts, SweepArgs, TableArgs,
    Video,
};
pub use trust::{CertifyArgs, GuardArgs, SuggestArgs};

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Learns to act from demonstrations, and stays near what it was shown.
#[derive(Parser, Debug)]
#[command(name = "mcnn", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do; nothing prints the short tour.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// Print one line of JSON with the same figures.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand, Debug)]
pub enum Verb {
    /// The whole method on the built-in task, and a page that shows it.
    Demo(DemoArgs),
    /// What a file of demonstrations holds.
    Inspect(InspectArgs),
    /// Demonstrations of the built-in task by its scripted expert.
    Make(MakeArgs),
    /// Turn recorded frames into demonstrations of embeddings.
    Embed(EmbedArgs),
    /// Train a small network of recorded frames, for embed.
    Encoder(EncoderArgs),
    /// Choose memories from demonstrations.
    Learn(LearnArgs),
    /// Train a policy that its memories hold.
    Train(Box<TrainArgs>), // by far the largest
    /// Record episodes of an expert or a policy as demonstrations.
    Collect(CollectArgs),
    /// Show a recorded episode in its simulator.
    Replay(ReplayArgs),
    /// Run a policy on a task.
    Eval(EvalArgs),
    /// Run several policies on the same episodes of a task.
    Compare(CompareArgs),
    /// Why a policy acts as it does in a state.
    Explain(ExplainArgs),
    /// A page that shows a policy: its memories, its distances, and why it acts as it does at every step.
    Report(ReportArgs),
    /// What memories promise, without the network.
    Certify(CertifyArgs),
    /// Which demonstration to have next: the states that are farthest from the memories.
    Suggest(SuggestArgs),
    /// Look at a trained policy's memories, and change them.
    Memory(MemoryArgs),
    /// Make every run of a plan: memories, training, evaluation.
    Sweep(SweepArgs),
    /// The results of a sweep as a table and a picture.
    Table(TableArgs),
    /// Print the command reference of the documentation as Markdown.
    #[command(hide = true)]
    Reference,
}

/// A file to be written.
#[derive(Args, Debug)]
pub struct Output {
    /// The file to write.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub path: PathBuf,
    /// Overwrite it if it is there.
    #[arg(long)]
    pub force: bool,
}

/// A file of demonstrations to be read.
#[derive(Args, Debug)]
pub struct Input {
    /// Demonstrations: D4RL HDF5, or .npz with states, actions and episode_ends.
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    #[command(flatten)]
    pub options: InputOptions,
}

#[derive(Args, Debug, Clone, Copy)]
pub struct InputOptions {
    /// Clip actions outside [-1, 1] instead of refusing them.
    #[arg(long)]
    pub clip_actions: bool,
    /// Leave out the last step of every episode, as D4RL's qlearning_dataset does.
    #[arg(long)]
    pub d4rl_drop_last: bool,
}

/// Names of dimensions, in place of those that the data or the policy has.
#[derive(Args, Debug)]
pub struct NamesArgs {
    /// Names of the dimensions of states and actions: a JSON file such as {"state_names": ["x", "y"], "action_names": ["steer"]},
    /// with one name for each dimension; one of the two keys may be missing.
    #[arg(long = "names", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Demonstrations: D4RL HDF5, or .npz with states, actions and episode_ends.
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    #[command(flatten)]
    pub names: NamesArgs,
}

#[derive(Args, Debug)]
pub struct MakeArgs {
    /// The task: drive, or drive-pixels, of which frames are recorded.
    #[arg(value_parser = ["drive", "drive-pixels"])]
    pub task: String,
    /// Episodes.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub episodes: u32,
    /// Deviation of the noise on the expert's actions, carried over from step to step.
    #[arg(long, default_value_t = 0.0)]
    pub noise: f64,
    /// First seed: episode i is the task's episode of seed + i.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Demonstrations to learn from.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub demonstrations: u32,
    /// Deviation of the noise on the expert's actions, carried over from step to step.
    #[arg(long, default_value_t = 0.1)]
    pub noise: f64,
    /// Gradient steps of each network.
    #[arg(long, default_value_t = 10_000)]
    pub steps: u64,
    /// Drive by frames: a small encoder is trained on the laps, and all methods act on its embeddings.
    #[arg(long)]
    pub pixels: bool,
    /// With --pixels: gradient steps of the encoder.
    #[arg(long, default_value_t = 2000, requires = "pixels")]
    pub encoder_steps: u64,
    /// Episodes to compare on.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub episodes: u32,
    /// Decides whatever is random.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// The page to write; the policies are kept beside it. It is overwritten.
    #[arg(short = 'o', long = "output", value_name = "FILE", default_value = "demo.html")]
    pub path: PathBuf,
}

/// A word of a closed set, by the name the set's own files use.
fn word<T: serde::de::DeserializeOwned>(text: &str, known: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.into())).map_err(|_| format!("expected {known}"))
}
