//! The command line: verbs, options and their help. Values are parsed and checked here, before any work starts.

mod backbone;
mod convert;
mod device;
mod export;
mod frames;
mod help;
mod input;
mod knobs;
mod learn;
mod learning;
mod memory;
mod report;
mod running;
#[cfg(feature = "serve")]
mod serve;
mod test;
mod trust;
mod tune;

pub use convert::ConvertArgs;
pub use device::{Device, DeviceArgs};
pub use export::{CheckArgs, ExportArgs};
pub use frames::{EmbedArgs, EncoderArgs, FrameArgs, TaskEncoderArgs};
pub use help::parse;
pub use input::{EpisodeArgs, Input, InputOptions, Inputs, KeyArgs, NamesArgs, StateDimensions, UnitArgs};
pub use knobs::{KnobArgs, trained_through, warn_of_training_through_the_envelope};
pub use learn::{Dimensions, LearnArgs, epochs};
pub use learning::{ConstraintArgs, EnsembleArgs, TrainArgs};
pub use memory::{AddArgs, DropArgs, ListArgs, MemoryArgs, MemoryVerb, RestoreArgs};
pub use report::{ExplainArgs, ReportArgs};
pub use running::{
    COLLECTION_SEED, CollectArgs, CompareArgs, Episodes, EvalArgs, Figure, MergeArgs, ReplayArgs,
    ResultsArgs, ResultsVerb, Rollouts, SweepArgs, TableArgs, Video,
};
#[cfg(feature = "serve")]
pub use serve::ServeArgs;
pub use test::TestArgs;
pub use trust::{CertifyArgs, GuardArgs, SuggestArgs};
pub use tune::{CandidateArgs, TuneArgs};

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Imitation learning with Memory-Consistent Neural Networks (MCNN): policies from demonstrations that stay near what was
/// demonstrated.
#[derive(Parser, Debug)]
#[command(name = "mcnn", version, disable_help_subcommand = true)]
pub struct Cli {
    /// Without a verb, a short tour is printed.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// Print the results as one line of JSON instead of text.
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
}

#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Run the whole method on the built-in task and write a page of the results.
    Demo(DemoArgs),
    /// Show what a file of demonstrations contains, and whether it can be used.
    Inspect(InspectArgs),
    /// Generate demonstrations of the built-in task with its scripted expert.
    Make(MakeArgs),
    /// Write demonstrations in another format, with fewer steps or without pauses.
    Convert(ConvertArgs),
    /// Turn recorded camera frames into demonstrations whose states are embeddings.
    Embed(EmbedArgs),
    /// Train a small image encoder on recorded frames, for `mcnn embed`.
    Encoder(EncoderArgs),
    /// Choose memories (the codebook) from demonstrations.
    Learn(LearnArgs),
    /// Train a policy.
    Train(Box<TrainArgs>), // boxed, because it is by far the largest
    /// Record demonstrations: episodes of an expert or of a policy.
    Collect(CollectArgs),
    /// Show a recorded episode in its simulator, as a video.
    Replay(ReplayArgs),
    /// Evaluate a policy in closed loop on a task.
    Eval(EvalArgs),
    /// Compare policies on the same episodes of a task.
    Compare(CompareArgs),
    /// Measure the error of a policy's actions on recorded states.
    Test(TestArgs),
    /// Choose the settings of a policy's constraint by closed-loop episodes.
    Tune(TuneArgs),
    /// Explain a policy's action in one state: memory, box, network output.
    Explain(ExplainArgs),
    /// Write a page about a policy: its memories, distances and actions, step by step.
    Report(ReportArgs),
    /// Bound how far a policy can be from its expert, from its memories alone.
    Certify(CertifyArgs),
    /// Write a policy as ONNX graphs, for other programs.
    Export(ExportArgs),
    /// Suggest which demonstration to record next: where states are farthest from the memories.
    Suggest(SuggestArgs),
    /// List, add, drop and restore the memories of a trained policy.
    Memory(MemoryArgs),
    /// Serve a policy's actions to a robot's own program, over the network.
    #[cfg(feature = "serve")]
    Serve(Box<ServeArgs>),
    /// Train and evaluate every combination of settings in a plan.
    Sweep(SweepArgs),
    /// Make one file of results of several.
    Results(ResultsArgs),
    /// Show the results of a sweep as a table or a plot.
    Table(TableArgs),
    /// Print the command reference of the documentation as Markdown.
    #[command(hide = true)]
    Reference,
}

/// An output file.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// File to write.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub path: PathBuf,
    /// Overwrite the output if it exists.
    #[arg(long)]
    pub force: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  mcnn inspect drive.npz")]
pub struct InspectArgs {
    #[command(flatten)]
    pub input: Inputs,
    #[command(flatten)]
    pub episodes: EpisodeArgs,
    #[command(flatten)]
    pub names: NamesArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  mcnn make drive --episodes 5 --noise 0.1 -o drive.npz")]
pub struct MakeArgs {
    /// drive (10-dimensional observations) or drive-pixels (camera frames).
    #[arg(value_parser = ["drive", "drive-pixels"], value_name = "TASK")]
    pub task: String,
    /// Episodes to record.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000),
          value_name = "COUNT", help_heading = "Episodes")]
    pub episodes: u32,
    /// Standard deviation of the noise on the expert's actions, 0 to 1 in units of the action. The noise is correlated from
    /// step to step.
    #[arg(long, default_value_t = 0.0, value_name = "STD", help_heading = "Episodes")]
    pub noise: f64,
    /// Seed of the first episode; episode i has seed SEED + i.
    #[arg(long, default_value_t = 0, value_name = "SEED", help_heading = "Episodes")]
    pub seed: u64,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  mcnn demo --demonstrations 10 -o demo.html")]
pub struct DemoArgs {
    /// Episodes that the scripted expert demonstrates.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=1000),
          value_name = "COUNT", help_heading = "Data")]
    pub demonstrations: u32,
    /// Standard deviation of the noise on the expert's actions, 0 to 1 in units of the action. The noise is correlated from
    /// step to step.
    #[arg(long, default_value_t = 0.1, value_name = "STD", help_heading = "Data")]
    pub noise: f64,
    /// Drive from camera frames: train a small image encoder first; all methods act on its embeddings.
    #[arg(long, help_heading = "Data")]
    pub pixels: bool,
    /// Gradient steps of each network [default: as `mcnn train`].
    #[arg(long, value_name = "STEPS", help_heading = "Optimization")]
    pub steps: Option<u64>,
    /// With --pixels: gradient steps of the image encoder.
    #[arg(
        long,
        default_value_t = 2000,
        requires = "pixels",
        value_name = "STEPS",
        help_heading = "Optimization"
    )]
    pub encoder_steps: u64,
    /// Episodes on which the methods are compared.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=10_000),
          value_name = "COUNT", help_heading = "Evaluation")]
    pub episodes: u32,
    /// Seed of everything random: demonstrations, memories, networks and evaluation.
    #[arg(long, default_value_t = 0, value_name = "SEED", help_heading = "Evaluation")]
    pub seed: u64,
    /// Page to write; the policies are written beside it. Existing files are overwritten.
    #[arg(
        short = 'o',
        long = "output",
        value_name = "FILE",
        default_value = "demo.html",
        help_heading = "Output"
    )]
    pub path: PathBuf,
}

/// Parses a value of an enum by its name in files. `known`: all names, for the error message.
fn word<T: serde::de::DeserializeOwned>(text: &str, known: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.into())).map_err(|_| format!("expected {known}"))
}
