//! The command line: verbs, options and their help. Values are parsed and checked here, before any work starts.

mod backbone;
mod convert;
mod frames;
mod help;
mod knobs;
mod learn;
mod learning;
mod memory;
mod report;
mod running;
mod test;
mod trust;
mod tune;

pub use convert::ConvertArgs;
pub use frames::{EmbedArgs, EncoderArgs, FrameArgs, TaskEncoderArgs};
pub use help::parse;
pub use knobs::{KnobArgs, trained_through, warn_of_training_through_the_envelope};
pub use learn::{Dimensions, LearnArgs, epochs};
pub use learning::{ConstraintArgs, EnsembleArgs, TrainArgs};
pub use memory::{AddArgs, DropArgs, ListArgs, MemoryArgs, MemoryVerb, RestoreArgs};
pub use report::{ExplainArgs, ReportArgs};
pub use running::{
    COLLECTION_SEED, CollectArgs, CompareArgs, Episodes, EvalArgs, ReplayArgs, Rollouts, SweepArgs,
    TableArgs, Video,
};
pub use test::TestArgs;
pub use trust::{CertifyArgs, GuardArgs, SuggestArgs};
pub use tune::{CandidateArgs, TuneArgs};

use std::{num::NonZeroUsize, ops::RangeInclusive, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use mcnn::data::{ActionScale, ActionSettings, KeyRange, RelativeTo, Selection};

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
    /// Suggest which demonstration to record next: where states are farthest from the memories.
    Suggest(SuggestArgs),
    /// List, add, drop and restore the memories of a trained policy.
    Memory(MemoryArgs),
    /// Train and evaluate every combination of settings in a plan.
    Sweep(SweepArgs),
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

/// An input of demonstrations.
#[derive(Args, Debug)]
pub struct Input {
    /// Demonstrations: HDF5 as of D4RL or robomimic, a replay buffer in zarr, .npz with the arrays states, actions and
    /// episode_ends, or a LeRobot or Minari dataset.
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    #[command(flatten)]
    pub options: InputOptions,
}

/// One input of demonstrations or several.
#[derive(Args, Debug)]
pub struct Inputs {
    /// Demonstrations: HDF5 as of D4RL or robomimic, a replay buffer in zarr, .npz with the arrays states, actions and
    /// episode_ends, or a LeRobot or Minari dataset. Several are joined.
    #[arg(value_name = "DATA", required = true)]
    pub data: Vec<PathBuf>,
    #[command(flatten)]
    pub options: InputOptions,
}

/// Which arrays and which lists of episodes are read.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Data")]
pub struct KeyArgs {
    /// Arrays of the data that make up the state, concatenated in this order, such as observation.state or object,robot0_eef_pos;
    /// KEY:FIRST-LAST takes some of its dimensions [default: the format's own].
    #[arg(long = "state", value_delimiter = ',', value_name = "KEYS")]
    pub state_keys: Vec<KeyRange>,
    /// Arrays of the data that make up the action, likewise [default: the format's own].
    #[arg(long = "action", value_delimiter = ',', value_name = "KEYS")]
    pub action_keys: Vec<KeyRange>,
    /// Read only the episodes that this list in the file names (robomimic's mask/NAME), such as train.
    #[arg(long, value_name = "NAME")]
    pub filter_key: Option<String>,
}

/// How demonstrations are read.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Data")]
pub struct InputOptions {
    #[command(flatten)]
    pub keys: KeyArgs,
    /// Clip actions to [-1, 1] instead of refusing a file with actions outside, if they are at most 5 % of an action dimension.
    #[arg(long)]
    pub clip_actions: bool,
    /// Leave out the last step of every episode, as D4RL's qlearning_dataset does.
    #[arg(long)]
    pub d4rl_drop_last: bool,
    /// Cut recordings into episodes of this many steps, numbered anew from 0 [default of `learn` and `train`: a single recording is
    /// cut into ten blocks].
    #[arg(long, value_name = "STEPS")]
    pub episode_steps: Option<NonZeroUsize>,
}

impl InputOptions {
    /// The arrays and episodes to read.
    pub fn selection(&self, episodes: &EpisodeArgs) -> Selection {
        self.keys.selection(episodes)
    }
}

impl KeyArgs {
    /// The arrays and episodes to read.
    pub fn selection(&self, episodes: &EpisodeArgs) -> Selection {
        Selection {
            state: self.state_keys.clone(),
            action: self.action_keys.clone(),
            episodes: episodes.episodes.clone(),
            task: episodes.task.clone(),
            filter: self.filter_key.clone(),
        }
    }
}

/// Which episodes are read.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Data")]
pub struct EpisodeArgs {
    /// Episodes to read, by their numbers in the data (in each of several), such as 0-9,12 [default: all].
    #[arg(long, value_delimiter = ',', value_parser = episode_range, value_name = "EPISODES")]
    pub episodes: Vec<RangeInclusive<u32>>,
    /// Read only the episodes of the task with this text, where the data have texts of tasks.
    #[arg(long, value_name = "TEXT")]
    pub task: Option<String>,
}

fn episode_range(text: &str) -> Result<RangeInclusive<u32>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err("expected episodes counted from 0, such as 0-9,12".into()),
    }
}

/// How actions are scaled to [-1, 1], in which policies learn and are constrained.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Actions")]
pub struct UnitArgs {
    /// How each action dimension is scaled to [-1, 1]: range (its smallest and largest value), quantile (its 1 % and 99 % quantiles;
    /// actions outside are clipped) or none (actions must be in [-1, 1]) [default: none if all actions are in [-1, 1]; else range].
    #[arg(long, value_parser = action_scale, value_name = "RULE")]
    pub action_scale: Option<ActionScale>,
    /// Learn actions as recorded (absolute), or relative to the state: the action minus the state's dimension of the same name.
    /// Policies give actions as recorded in any case [default: absolute].
    #[arg(long, value_parser = ["absolute", "relative"], value_name = "RULE")]
    pub actions: Option<String>,
    /// Learn actions relative to these state dimensions, one for each action dimension, such as 0-6 or 0-5,none; none leaves an
    /// action dimension absolute.
    #[arg(long, value_parser = clap::value_parser!(StateDimensions), value_name = "DIMENSIONS")]
    pub relative_to: Option<StateDimensions>,
}

impl UnitArgs {
    /// Whether any option is given.
    pub fn is_given(&self) -> bool {
        self.action_scale.is_some() || self.actions.is_some() || self.relative_to.is_some()
    }

    pub fn settings(&self) -> ActionSettings {
        let relative_to = match (&self.relative_to, self.actions.as_deref()) {
            (Some(StateDimensions(dimensions)), _) => RelativeTo::Dimensions(dimensions.clone()),
            (None, Some("relative")) => RelativeTo::SameName,
            (None, _) => RelativeTo::Absolute,
        };
        ActionSettings { scale: self.action_scale.unwrap_or_default(), relative_to }
    }
}

fn action_scale(text: &str) -> Result<ActionScale, String> {
    word(text, "range, quantile or none")
}

/// State dimensions as text, one for each action dimension: indices, inclusive ranges and `none`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StateDimensions(pub Vec<Option<usize>>);

impl std::str::FromStr for StateDimensions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut dimensions = Vec::new();
        for part in text.split(',') {
            match part.trim() {
                "none" => dimensions.push(None),
                part => {
                    let Dimensions(range) =
                        part.parse().map_err(|_| "expected state dimensions such as 0-5,none")?;
                    dimensions.extend(range.into_iter().map(Some));
                }
            }
        }
        Ok(Self(dimensions))
    }
}

impl TryFrom<String> for StateDimensions {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<StateDimensions> for String {
    fn from(StateDimensions(dimensions): StateDimensions) -> Self {
        let text = |k: Option<usize>| k.map_or("none".into(), |k| k.to_string());
        dimensions.into_iter().map(text).collect::<Vec<_>>().join(",")
    }
}

/// Names of dimensions, in place of those that the data or the policy has.
#[derive(Args, Debug)]
pub struct NamesArgs {
    /// Names of the dimensions of states and actions: a JSON file such as {"state_names": ["x", "y"], "action_names": ["steer"]},
    /// with one name for each dimension; one of the two keys may be missing.
    #[arg(long = "names", value_name = "FILE", help_heading = "Data")]
    pub file: Option<PathBuf>,
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
