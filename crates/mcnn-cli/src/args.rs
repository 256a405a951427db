//! The command line, parsed and checked at the edge.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use mcnn::{
    backbone::{Architecture, DiffusionSettings, Predict, Sampler, Schedule},
    data::Step,
    envelope::Activation,
    expert::Noise,
    memory::{Amount, By},
    task::adroit::Rewards,
    train::{Distances, Lambda},
};

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
    /// Choose memories from demonstrations.
    Learn(LearnArgs),
    /// Train a policy that its memories hold.
    Train(TrainArgs),
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
    /// Make every run of a plan: memories, training, evaluation.
    Sweep(SweepArgs),
    /// The results of a sweep as a table and a picture.
    Table(TableArgs),
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

#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Demonstrations: D4RL HDF5, or .npz with states, actions and episode_ends.
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
}

#[derive(Args, Debug)]
pub struct MakeArgs {
    /// The task: drive.
    #[arg(value_parser = ["drive"])]
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
pub struct LearnArgs {
    #[command(flatten)]
    pub input: Input,
    /// Share of the states that become memories [default: 0.1].
    #[arg(long, conflicts_with = "count")]
    pub fraction: Option<f64>,
    /// Number of memories.
    #[arg(long)]
    pub count: Option<usize>,
    /// How they are chosen: gas, gas-fixed, random, kmeans, kcenter or all.
    #[arg(long, default_value = "gas", value_parser = by)]
    pub by: By,
    /// Passes over the data, for gas and kmeans [default: 10; gas-fixed: 1].
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Give each memory the mean action of its K nearest steps.
    #[arg(long, default_value_t = 1, value_name = "K")]
    pub smooth: usize,
    /// Decides whatever is random.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub output: Output,
}

impl LearnArgs {
    pub fn amount(&self) -> Amount {
        self.count.map_or(Amount::Fraction(self.fraction.unwrap_or(0.1)), Amount::Count)
    }

    pub fn epochs(&self) -> usize {
        self.epochs.unwrap_or(epochs(self.by))
    }
}

/// Passes over the data where none are asked for.
pub fn epochs(by: By) -> usize {
    if by == By::GasFixed { 1 } else { 10 }
}

#[derive(Args, Debug)]
pub struct TrainArgs {
    #[command(flatten)]
    pub input: Input,
    /// Memories, from `mcnn learn` on the same data.
    #[arg(value_name = "MEMORIES")]
    pub memories: PathBuf,
    /// The network: mlp or diffusion.
    #[arg(long, default_value = "mlp", value_parser = Architecture::NAMES)]
    pub backbone: String,
    #[command(flatten)]
    pub diffusion: DiffusionArgs,
    /// Widths of the hidden layers [default: 256,256; diffusion: 256,256,256].
    #[arg(long, value_delimiter = ',')]
    pub hidden: Option<Vec<usize>>,
    /// How fast a memory loses its weight with distance: a number, auto, 0 (copy), or inf (plain cloning).
    #[arg(long, default_value = "auto", value_parser = clap::value_parser!(Lambda))]
    pub lambda: Lambda,
    /// Amplitude of the network far from all memories.
    #[arg(long, default_value_t = 1.0)]
    pub l: f32,
    /// What maps proposals onto [-1, 1]: clamp or tanh.
    #[arg(long, default_value = "clamp", value_parser = activation)]
    pub activation: Activation,
    /// Which memory holds a state in training: loo (the nearest from another episode) or paper (the nearest).
    #[arg(long, default_value = "loo", value_parser = distances)]
    pub distances: Distances,
    /// With --lambda 0: average the actions of the K nearest memories (VINN).
    #[arg(long, default_value_t = 1, value_name = "K")]
    pub neighbours: usize,
    /// Gradient steps.
    #[arg(long, default_value_t = 20_000)]
    pub steps: u64,
    /// Rows in a batch.
    #[arg(long, default_value_t = 256)]
    pub batch: usize,
    /// Learning rate of Adam (the paper's: 3e-4 for mlp; 3e-5 and a million steps for diffusion).
    #[arg(long, default_value_t = 3e-4)]
    pub lr: f64,
    /// Share of whole episodes held out, and measured on.
    #[arg(long, default_value_t = 0.1)]
    pub check_on: f64,
    /// Decides whatever is random.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Go on with an interrupted run.
    #[arg(long)]
    pub resume: bool,
    #[command(flatten)]
    pub output: Output,
}

/// What only `--backbone diffusion` has.
#[derive(Args, Debug)]
pub struct DiffusionArgs {
    /// Diffusion: steps from noise to an action [default: 5].
    #[arg(long, value_name = "T")]
    pub diffusion_steps: Option<usize>,
    /// Diffusion: how much noise each step adds, vp, linear or cosine [default: vp].
    #[arg(long, value_parser = schedule)]
    pub schedule: Option<Schedule>,
    /// Diffusion: what the network's output is, the clean action or the noise [default: action].
    #[arg(long, value_parser = predict)]
    pub predict: Option<Predict>,
    /// Diffusion: how the policy takes the noise off, ddpm (random) or ddim (only the start is) [default: ddpm].
    #[arg(long, value_parser = sampler)]
    pub sampler: Option<Sampler>,
    /// Diffusion: decay of the running mean of the weights, which is what acts; 0 for none [default: 0.995].
    #[arg(long, value_name = "DECAY")]
    pub ema: Option<f64>,
}

impl DiffusionArgs {
    /// The backbone of a name, with its settings.
    pub fn backbone(&self, name: &str) -> mcnn::Result<Architecture> {
        let defaults = DiffusionSettings::default();
        let settings = DiffusionSettings {
            steps: self.diffusion_steps.unwrap_or(defaults.steps),
            schedule: self.schedule.unwrap_or(defaults.schedule),
            predict: self.predict.unwrap_or(defaults.predict),
            sampler: self.sampler.unwrap_or(defaults.sampler),
            ema: self.ema.unwrap_or(defaults.ema),
        };
        if name == "diffusion" {
            return Ok(Architecture::Diffusion(settings));
        }
        let given = [
            ("--diffusion-steps", self.diffusion_steps.is_some()),
            ("--schedule", self.schedule.is_some()),
            ("--predict", self.predict.is_some()),
            ("--sampler", self.sampler.is_some()),
            ("--ema", self.ema.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(Architecture::Mlp),
            Some((option, _)) => {
                Err(mcnn::Error::new(mcnn::error::Kind::Settings, "an option of another backbone")
                    .at(*option)
                    .expected("--backbone diffusion")
                    .found(format!("--backbone {name}"))
                    .next("leave the option out, or choose that backbone"))
            }
        }
    }
}

/// Which episodes of which task.
#[derive(Args, Debug)]
pub struct Episodes {
    /// drive, door, hammer, pen, relocate, kitchen, or gym:ID.
    #[arg(long)]
    pub task: String,
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

impl Episodes {
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
            lanes: self.lanes.into(),
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
}

#[derive(Args, Debug)]
pub struct CollectArgs {
    /// Who acts: an expert's .npz, or a policy from `mcnn train`. `drive` has a scripted expert of its own.
    #[arg(long = "expert", visible_alias = "policy", value_name = "FILE")]
    pub actor: Option<PathBuf>,
    /// Noise on the actions: none, policy (the expert's own Gaussian), gaussian:STD, or correlated:STD[:KEPT].
    #[arg(long, default_value = "none")]
    pub noise: Noise,
    #[command(flatten)]
    pub episodes: Episodes,
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
    /// The film to write, .gif or .mp4.
    #[arg(long, value_name = "FILE")]
    pub video: PathBuf,
    #[command(flatten)]
    pub filming: Filming,
    /// A policy whose distances to its memories are drawn.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Run the recorded actions from this seed's reset, instead of putting the scene where the recording has it.
    #[arg(long, value_name = "SEED")]
    pub from_seed: Option<u64>,
    /// Overwrite the film if it is there.
    #[arg(long)]
    pub force: bool,
}

impl ReplayArgs {
    /// The file to be written.
    pub fn output(&self) -> Output {
        Output { path: self.video.clone(), force: self.force }
    }
}

/// How often to take a picture.
#[derive(Args, Debug, Clone, Copy)]
pub struct Filming {
    /// Take a picture every N steps.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub video_every: u32,
}

/// A film of the first episodes.
#[derive(Args, Debug, Clone)]
pub struct Video {
    /// Film the first episodes, .gif or .mp4, with the distance to the memories drawn below.
    #[arg(long, value_name = "FILE")]
    pub video: Option<PathBuf>,
    /// How many of them.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub video_episodes: u32,
    #[command(flatten)]
    pub filming: Filming,
}

#[derive(Args, Debug)]
pub struct CompareArgs {
    /// Policies from `mcnn train`, or experts' .npz.
    #[arg(value_name = "POLICY", required = true, num_args = 2..)]
    pub policies: Vec<PathBuf>,
    #[command(flatten)]
    pub episodes: Episodes,
}

#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// A policy, from `mcnn train`.
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    /// Demonstrations that hold the state.
    #[arg(long = "in", value_name = "DATA")]
    pub data: PathBuf,
    /// The state: episode and step, both counted from 0.
    #[arg(long, value_name = "EPISODE:STEP", value_parser = step)]
    pub at: Step,
    #[command(flatten)]
    pub options: InputOptions,
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
    /// Draw it: an SVG file to write.
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Overwrite the picture if it is there.
    #[arg(long)]
    pub force: bool,
}

fn by(text: &str) -> Result<By, String> {
    word(text, "gas, gas-fixed, random, kmeans, kcenter or all")
}

fn activation(text: &str) -> Result<Activation, String> {
    word(text, "clamp or tanh")
}

fn distances(text: &str) -> Result<Distances, String> {
    word(text, "loo or paper")
}

fn rewards(text: &str) -> Result<Rewards, String> {
    word(text, "d4rl or gymnasium")
}

fn schedule(text: &str) -> Result<Schedule, String> {
    word(text, "vp, linear or cosine")
}

fn predict(text: &str) -> Result<Predict, String> {
    word(text, "action or noise")
}

fn sampler(text: &str) -> Result<Sampler, String> {
    word(text, "ddpm or ddim")
}

/// A word of a closed set, by the name the set's own files use.
fn word<T: serde::de::DeserializeOwned>(text: &str, known: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.into())).map_err(|_| format!("expected {known}"))
}

fn step(text: &str) -> Result<Step, String> {
    let parsed = text
        .split_once(':')
        .and_then(|(e, s)| Some(Step { episode: e.parse().ok()?, step: s.parse().ok()? }));
    parsed.ok_or_else(|| "expected EPISODE:STEP, two whole numbers counted from 0, such as 3:120".into())
}
