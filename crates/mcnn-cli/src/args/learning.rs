//! Options of `mcnn train`.

use std::path::PathBuf;

use clap::{Args, builder::PossibleValue};
use mcnn::{
    Error,
    backbone::{Architecture, KINDS},
    data::foreign::is_safetensors,
    envelope::{Activation, Form},
    error::Kind,
    optimizer::{OptimizerDefaults, OptimizerSettings},
    policy::{Combine, ConstrainAt},
    train::{Bagging, Distances, Keep, Lambda, TrainThrough},
    vision::Weights,
};

use super::{
    DeviceArgs, EpisodeArgs, InputOptions, NamesArgs, Output, UnitArgs,
    backbone::{BackboneArgs, defaults_of, hidden_help, layered, refuse_others},
    knobs::{combine, constrain_at, form},
    word,
};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcnn train drive.npz -o policy.safetensors
  mcnn train drive.npz memories.safetensors -o policy.safetensors
  mcnn train morning.hdf5 evening.hdf5 -o policy.safetensors
  mcnn train drive.npz memories.safetensors --backbone diffusion -o policy.safetensors
  mcnn train drive.npz memories.safetensors --lambda inf -o bc.safetensors   (behavior cloning)")]
pub struct TrainArgs {
    /// Demonstrations, as of `mcnn learn`; several are joined. One of the files may be memories, chosen from the same data by
    /// `mcnn learn` [default: every state; of more than 20000 states, 20000 by gas].
    #[arg(value_name = "DATA|MEMORIES", required = true)]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    pub options: InputOptions,
    #[command(flatten)]
    pub episodes: EpisodeArgs,
    #[command(flatten)]
    pub units: UnitArgs,
    #[command(flatten)]
    pub names: NamesArgs,
    /// Fraction of the episodes held out for validation, 0 to below 1. Whole episodes are held out; they are not trained on
    /// [default: 0.1; --bagging folds and --paper: 0].
    #[arg(long, alias = "check-on", value_name = "FRACTION", help_heading = "Data")]
    pub validation_fraction: Option<f64>,
    /// Which network the policy gets: last, or best (that with the lowest validation loss, which is measured ten times, for all
    /// members of an ensemble together). A lower validation loss is not always a better policy [default: last].
    #[arg(long, value_parser = keep, value_name = "WHICH", help_heading = "Data")]
    pub keep: Option<Keep>,
    /// Put the image encoder that embedded the data into the policy's file, so that the policy acts on camera frames by itself:
    /// the WEIGHTS that were given to `mcnn embed`.
    #[arg(long, value_name = "FILE|imagenet|random:SEED", help_heading = "Data")]
    pub encoder: Option<Weights>,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten, next_help_heading = "Constraint")]
    pub constraint: ConstraintArgs,
    /// Network architecture.
    #[arg(long, default_value = "mlp", value_parser = backbones(), value_name = "NETWORK", help_heading = "Network")]
    pub backbone: String,
    #[arg(long, value_delimiter = ',', value_name = "WIDTHS", help_heading = "Network", help = hidden_help())]
    pub hidden: Option<Vec<usize>>,
    #[command(flatten, next_help_heading = "Ensemble")]
    pub ensemble: EnsembleArgs,
    #[command(flatten)]
    pub backbone_options: BackboneArgs,
    #[command(flatten, next_help_heading = "Optimization")]
    pub optimizer: OptimizerArgs,
    /// Threads of one gradient step, 1 to 1024 [default: one for every core, up to 2 for each network; bet and unet: 4]. Results do
    /// not depend on it.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024), value_name = "COUNT", help_heading = "Execution")]
    pub threads: Option<u16>,
    /// Resume an interrupted run from its checkpoint, with its settings: options that are given must be the same, --steps may be
    /// larger.
    #[arg(long, help_heading = "Execution")]
    pub resume: bool,
    #[command(flatten)]
    pub output: Output,
}

/// How the memories bound the network's output.
#[derive(Args, Debug)]
pub struct ConstraintArgs {
    /// Decay rate of the memory weight exp(-LAMBDA x distance): a number of 0 or more, per unit of standardized distance;
    /// weight:W (a weight of W, above 0 and below 1, at the median distance of the training steps that move); auto (weight:0.25); 0 (nearest neighbor, no
    /// network); inf (no memories: behavior cloning) [default: auto; --paper: 10].
    #[arg(long, value_parser = clap::value_parser!(Lambda), value_name = "LAMBDA")]
    pub lambda: Option<Lambda>,
    /// Largest magnitude of the network's share of an action, above 0. Actions are in [-1, 1], so 1 lets the network decide
    /// freely far from all memories.
    #[arg(long, alias = "l", default_value_t = 1.0, value_name = "L")]
    pub amplitude: f32,
    /// Function that maps the network output to [-1, 1]: clamp or tanh.
    #[arg(long, default_value = "clamp", value_parser = activation, value_name = "FUNCTION")]
    pub activation: Activation,
    /// How the network's action is brought into the box around the memory's action: project (clipped into the box, unchanged
    /// inside) or mix (the weighted mean of both, as in the paper) [default: project; --paper and --train-through envelope:
    /// mix].
    #[arg(long = "envelope", value_parser = form, value_name = "FORM")]
    pub form: Option<Form>,
    /// When actions are constrained: executed (by the nearest memory of the newest observation, also within a chunk of actions),
    /// sampled (a whole chunk by one memory and its future actions) or denoising (likewise, at every denoising step) [default:
    /// executed; --paper and --train-through envelope: denoising].
    #[arg(long = "constrain", value_parser = constrain_at, value_name = "WHEN")]
    pub constrain_at: Option<ConstrainAt>,
    /// What the training loss compares with the demonstrated action: free (the network's action: behavior cloning, constrained
    /// only when acting) or envelope (the constrained action, as in the paper) [default: free; --paper: envelope].
    #[arg(long, value_parser = train_through, value_name = "RULE")]
    pub train_through: Option<TrainThrough>,
    /// With --train-through envelope: which memory constrains a training state: loo (leave one episode out: the nearest memory of
    /// another episode, as for new states) or paper (the nearest memory, often of the same episode) [default: loo; --paper: paper].
    #[arg(long = "train-retrieval", alias = "distances", value_parser = distances, value_name = "RULE")]
    pub distances: Option<Distances>,
    /// With --lambda 0: average the actions of the K nearest memories, weighted by exp(-distance) (VINN).
    #[arg(long = "k", alias = "neighbours", default_value_t = 1, value_name = "K")]
    pub neighbors: usize,
    /// Use the settings of the authors of the paper where no option says otherwise: one network, trained through the envelope for
    /// 1000000 steps, lambda 10, no validation episodes, and a tenth of the states as memories; of bet also batches of 256 rows,
    /// betas 0.9,0.999, no --grad-clip, and --residual-init scaled.
    #[arg(long)]
    pub paper: bool,
}

/// Several networks that act together.
#[derive(Args, Debug)]
pub struct EnsembleArgs {
    /// Networks to train, 1 to 100, with separate initial parameters and mini-batches. They act together [default: mlp,
    /// retrieval and resmlp: 5; the others, and --paper: 1].
    #[arg(long, value_name = "COUNT")]
    pub members: Option<usize>,
    /// Episodes that the members are trained on: none (all of them) or folds (each member leaves out one fold of the episodes, on
    /// which its validation loss is measured) [default: none].
    #[arg(long, value_parser = bagging, value_name = "RULE")]
    pub bagging: Option<Bagging>,
    /// How the members act together: mean (the mean of their actions) or member (one member, drawn at random for every prediction)
    /// [default: mean; unet, resmlp, bet and ibc: member].
    #[arg(long, value_parser = combine, value_name = "RULE")]
    pub combine: Option<Combine>,
}

/// Settings of optimization, where they differ from the backbone's defaults.
#[derive(Args, Debug)]
pub struct OptimizerArgs {
    /// Gradient steps [default: mlp, retrieval and ibc: 200 passes over the data, but 300 to 20000 steps; resmlp: 60
    /// passes, but 4000 to 20000 steps; the others: 20000; --paper: 1000000].
    #[arg(long, value_name = "STEPS")]
    pub steps: Option<u64>,
    #[arg(long, alias = "batch-size", value_name = "ROWS", help = optimizer_help(
        "Rows of a mini-batch; of bet, windows of observations", |d| d.batch.to_string(),
    ))]
    pub batch: Option<usize>,
    #[arg(long, value_name = "RATE", help = optimizer_help("Learning rate of Adam", |d| scientific(d.lr)))]
    pub lr: Option<f64>,
    #[arg(long, value_name = "RATE", help = optimizer_help(
        "Decoupled weight decay (AdamW)", |d| scientific(d.optimizer.weight_decay),
    ))]
    pub weight_decay: Option<f64>,
    #[arg(long, value_name = "BETA1,BETA2", value_parser = betas, help = optimizer_help(
        "Adam's decay rates of the running means of gradients and of squared gradients",
        |d| d.optimizer.betas.map(|beta| beta.to_string()).join(","),
    ))]
    pub betas: Option<[f64; 2]>,
    #[arg(long, alias = "warm-up", value_name = "STEPS", help = optimizer_help(
        "Steps over which the learning rate rises linearly from 0", |d| d.optimizer.warm_up.to_string(),
    ))]
    pub warmup_steps: Option<u64>,
    #[arg(long, alias = "cosine", value_name = "BOOL", help = optimizer_help(
        "Whether the learning rate decays to 0 at the last step, along a half cosine",
        |d| d.optimizer.cosine.to_string(),
    ))]
    pub cosine_decay: Option<bool>,
    #[arg(long, alias = "clip", value_name = "NORM", help = optimizer_help(
        "Largest norm of the gradient; longer gradients are scaled down. 0 for no limit",
        |d| d.optimizer.clip.to_string(),
    ))]
    pub grad_clip: Option<f64>,
    /// Seed of the initial parameters, the mini-batches and everything else that is random.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub seed: u64,
}

/// A help text with the defaults of the backbones.
fn optimizer_help(what: &str, of: impl Fn(OptimizerDefaults) -> String) -> String {
    format!("{what} {}", defaults_of(|backbone| of(backbone.optimizer_defaults())))
}

/// A number such as 3e-4, or 0.
fn scientific(number: f64) -> String {
    if number == 0.0 { "0".into() } else { format!("{number:e}") }
}

impl OptimizerArgs {
    /// The given settings, and a backbone's defaults for the others.
    pub fn or(&self, OptimizerDefaults { lr, batch, optimizer }: OptimizerDefaults) -> OptimizerDefaults {
        OptimizerDefaults {
            lr: self.lr.unwrap_or(lr),
            batch: self.batch.unwrap_or(batch),
            optimizer: OptimizerSettings {
                betas: self.betas.unwrap_or(optimizer.betas),
                weight_decay: self.weight_decay.unwrap_or(optimizer.weight_decay),
                warm_up: self.warmup_steps.unwrap_or(optimizer.warm_up),
                cosine: self.cosine_decay.unwrap_or(optimizer.cosine),
                clip: self.grad_clip.unwrap_or(optimizer.clip),
            },
        }
    }
}

impl TrainArgs {
    /// The demonstrations and the memories, told apart by their contents.
    ///
    /// # Errors
    /// Several files of memories, or no demonstrations.
    pub fn data_and_memories(&self) -> mcnn::Result<(Vec<PathBuf>, Option<&PathBuf>)> {
        let (memories, data): (Vec<&PathBuf>, Vec<&PathBuf>) =
            self.inputs.iter().partition(|path| is_safetensors(path));
        let error = |what: &str| Error::new(Kind::Settings, what);
        if let [_, second, ..] = memories[..] {
            return Err(error("several files of memories")
                .at(second.display().to_string())
                .expected("demonstrations, and at most one file of memories"));
        }
        if data.is_empty() {
            return Err(error("no demonstrations")
                .at(self.inputs[0].display().to_string())
                .found("a safetensors file, such as the memories or a policy of mcnn")
                .next("the data come first: mcnn train DATA MEMORIES -o POLICY"));
        }
        Ok((data.into_iter().cloned().collect(), memories.first().copied()))
    }

    /// The backbone asked for, with its settings.
    ///
    /// # Errors
    /// If an option of another backbone was given.
    pub fn architecture(&self) -> mcnn::Result<Architecture> {
        if self.hidden.is_some() {
            refuse_others("--hidden", &self.backbone, layered())?;
        }
        self.backbone_options.architecture(&self.backbone, self.constraint.paper)
    }
}

fn backbones() -> Vec<PossibleValue> {
    KINDS.iter().map(|kind| PossibleValue::new(kind.name).help(kind.title)).collect()
}

fn activation(text: &str) -> Result<Activation, String> {
    word(text, "clamp or tanh")
}

fn train_through(text: &str) -> Result<TrainThrough, String> {
    word(text, "free or envelope")
}

fn keep(text: &str) -> Result<Keep, String> {
    word(text, "last or best")
}

fn bagging(text: &str) -> Result<Bagging, String> {
    word(text, "none or folds")
}

fn distances(text: &str) -> Result<Distances, String> {
    word(text, "loo or paper")
}

fn betas(text: &str) -> Result<[f64; 2], String> {
    let both = text.split_once(',').and_then(|(a, b)| Some([a.parse().ok()?, b.parse().ok()?]));
    both.ok_or_else(|| "expected two numbers, such as 0.9,0.999".into())
}
