//! Options of `mcnn train`.

use std::path::PathBuf;

use clap::Args;
use mcnn::{
    backbone::{Architecture, BackboneKind, DiffusionSettings, PredictionType, Sampler, Schedule},
    envelope::Activation,
    optimizer::{OptimizerDefaults, OptimizerSettings},
    train::{Distances, Lambda},
    vision::Weights,
};

use super::{Input, NamesArgs, Output, bet::BetArgs, unet::UnetArgs, word};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcnn train drive.npz memories.safetensors -o policy.safetensors
  mcnn train drive.npz memories.safetensors --backbone diffusion -o policy.safetensors
  mcnn train drive.npz memories.safetensors --lambda inf -o bc.safetensors   (behavior cloning)")]
pub struct TrainArgs {
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub names: NamesArgs,
    /// Memories, chosen from the same data by `mcnn learn`.
    #[arg(value_name = "MEMORIES")]
    pub memories: PathBuf,
    /// Fraction of the episodes held out for validation, 0 to below 1. Whole episodes are held out; they are not trained on.
    #[arg(long, alias = "check-on", default_value_t = 0.1, value_name = "FRACTION", help_heading = "Data")]
    pub validation_fraction: f64,
    /// Put the image encoder that embedded the data into the policy's file, so that the policy acts on camera frames by itself:
    /// the WEIGHTS that were given to `mcnn embed`.
    #[arg(long, value_name = "FILE|imagenet|random:SEED", help_heading = "Data")]
    pub encoder: Option<Weights>,
    #[command(flatten, next_help_heading = "Constraint")]
    pub constraint: ConstraintArgs,
    /// Network architecture: mlp (multilayer perceptron), diffusion (of single actions), bet (behavior transformer) or unet
    /// (diffusion of action sequences).
    #[arg(long, default_value = "mlp", value_parser = backbones(), value_name = "NETWORK", help_heading = "Network")]
    pub backbone: String,
    /// Widths of the hidden layers [default: 256,256; diffusion: 256,256,256]. Of unet, channels by resolution level [default:
    /// 32,64,128]. bet has --width instead.
    #[arg(long, value_delimiter = ',', value_name = "WIDTHS", help_heading = "Network")]
    pub hidden: Option<Vec<usize>>,
    #[command(flatten, next_help_heading = "Network: diffusion and unet")]
    pub diffusion: DiffusionArgs,
    #[command(flatten, next_help_heading = "Network: bet (behavior transformer)")]
    pub bet: BetArgs,
    #[command(flatten, next_help_heading = "Network: unet")]
    pub unet: UnetArgs,
    #[command(flatten, next_help_heading = "Optimization")]
    pub optimizer: OptimizerArgs,
    /// Threads of one gradient step, 1 to 1024 [default: 2; bet and unet: 4; no more than there are cores]. Results do not
    /// depend on it.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024), value_name = "COUNT", help_heading = "Execution")]
    pub threads: Option<u16>,
    /// Resume an interrupted run from its checkpoint; the other options must be the same, --steps may be larger.
    #[arg(long, help_heading = "Execution")]
    pub resume: bool,
    #[command(flatten)]
    pub output: Output,
}

/// How the memories bound the network's output.
#[derive(Args, Debug)]
pub struct ConstraintArgs {
    /// Decay rate of the memory weight exp(-LAMBDA x distance): a number of 0 or more, per unit of standardized distance; auto
    /// (weight 0.25 at the median training distance); 0 (nearest neighbor, no network); inf (no memories: behavior cloning).
    #[arg(long, default_value = "auto", value_parser = clap::value_parser!(Lambda), value_name = "LAMBDA")]
    pub lambda: Lambda,
    /// Largest magnitude of the network's share of an action, above 0. Actions are in [-1, 1], so 1 lets the network decide
    /// freely far from all memories.
    #[arg(long, alias = "l", default_value_t = 1.0, value_name = "L")]
    pub amplitude: f32,
    /// Function that maps the network output to [-1, 1]: clamp or tanh.
    #[arg(long, default_value = "clamp", value_parser = activation, value_name = "FUNCTION")]
    pub activation: Activation,
    /// Which memory constrains a training state: loo (leave one episode out: the nearest memory of another episode, as for new
    /// states) or paper (the nearest memory, often of the same episode).
    #[arg(long = "train-retrieval", alias = "distances", default_value = "loo", value_parser = distances, value_name = "RULE")]
    pub distances: Distances,
    /// With --lambda 0: average the actions of the K nearest memories, weighted by exp(-distance) (VINN).
    #[arg(long = "k", alias = "neighbours", default_value_t = 1, value_name = "K")]
    pub neighbors: usize,
}

/// Settings of optimization, where they differ from the backbone's defaults.
#[derive(Args, Debug)]
pub struct OptimizerArgs {
    /// Gradient steps.
    #[arg(long, default_value_t = 20_000, value_name = "STEPS")]
    pub steps: u64,
    /// Rows of a mini-batch; of bet, windows of observations [default: 256; bet: 64].
    #[arg(long, alias = "batch-size", value_name = "ROWS")]
    pub batch: Option<usize>,
    /// Learning rate of Adam [default: 3e-4; bet: 5.5e-5; unet: 1e-4].
    #[arg(long, value_name = "RATE")]
    pub lr: Option<f64>,
    /// Decoupled weight decay (AdamW) [default: 0; bet: 2e-4; unet: 1e-6].
    #[arg(long, value_name = "RATE")]
    pub weight_decay: Option<f64>,
    /// Adam's decay rates of the running means of gradients and of squared gradients [default: 0.9,0.999; bet: 0.9,0.95; unet:
    /// 0.95,0.999].
    #[arg(long, value_name = "BETA1,BETA2", value_parser = betas)]
    pub betas: Option<[f64; 2]>,
    /// Steps over which the learning rate rises linearly from 0 [default: 0; unet: 500].
    #[arg(long, alias = "warm-up", value_name = "STEPS")]
    pub warmup_steps: Option<u64>,
    /// Whether the learning rate decays to 0 at the last step, along a half cosine [default: false; unet: true].
    #[arg(long, alias = "cosine", value_name = "BOOL")]
    pub cosine_decay: Option<bool>,
    /// Largest norm of the gradient; longer gradients are scaled down. 0 for no limit [default: 0; bet: 1].
    #[arg(long, alias = "clip", value_name = "NORM")]
    pub grad_clip: Option<f64>,
    /// Seed of the initial parameters, the mini-batches and everything else that is random.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub seed: u64,
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

/// What only backbones that take noise off have.
#[derive(Args, Debug)]
pub struct DiffusionArgs {
    /// Diffusion: steps from noise to an action [default: 5; unet: 100].
    #[arg(long, value_name = "STEPS")]
    pub diffusion_steps: Option<usize>,
    /// Diffusion: how much noise each step adds, vp, linear or cosine [default: vp; unet: cosine].
    #[arg(long, value_parser = schedule)]
    pub schedule: Option<Schedule>,
    /// Diffusion: what the network's output is, the clean action or the noise [default: action].
    #[arg(long, alias = "predict", value_parser = prediction)]
    pub prediction: Option<PredictionType>,
    /// Diffusion: how the policy takes the noise off, ddpm (random) or ddim (only the start is) [default: ddpm; unet: ddim].
    #[arg(long, value_parser = sampler)]
    pub sampler: Option<Sampler>,
    /// Diffusion: decay of the running mean of the weights, which is what acts; 0 for none [default: 0.995; unet: the most it
    /// comes to, 0.9999].
    #[arg(long, value_name = "DECAY")]
    pub ema: Option<f64>,
}

impl DiffusionArgs {
    /// The settings, with what was given in the defaults' stead.
    fn settings(&self) -> DiffusionSettings {
        let defaults = DiffusionSettings::default();
        DiffusionSettings {
            steps: self.diffusion_steps.unwrap_or(defaults.steps),
            schedule: self.schedule.unwrap_or(defaults.schedule),
            prediction: self.prediction.unwrap_or(defaults.prediction),
            sampler: self.sampler.unwrap_or(defaults.sampler),
            ema: self.ema.unwrap_or(defaults.ema),
        }
    }

    /// Its options, and whether each was given.
    fn given(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("--diffusion-steps", self.diffusion_steps.is_some()),
            ("--schedule", self.schedule.is_some()),
            ("--prediction", self.prediction.is_some()),
            ("--sampler", self.sampler.is_some()),
            ("--ema", self.ema.is_some()),
        ]
    }
}

impl TrainArgs {
    /// The backbone asked for, with its settings.
    ///
    /// # Errors
    /// If an option of another backbone was given.
    pub fn architecture(&self) -> mcnn::Result<Architecture> {
        let own = [
            ("mlp or diffusion or unet", vec![("--hidden", self.hidden.is_some())]),
            ("diffusion or unet", self.diffusion.given()),
            ("bet", self.bet.given()),
            ("unet", self.unet.given()),
        ];
        let strange = own
            .into_iter()
            .filter(|(names, _)| !names.split(" or ").any(|name| name == self.backbone))
            .find_map(|(names, given)| Some((names, given.into_iter().find(|(_, given)| *given)?.0)));
        if let Some((names, option)) = strange {
            return Err(mcnn::Error::new(mcnn::error::Kind::Settings, "an option of another backbone")
                .at(option)
                .expected(format!("--backbone {names}"))
                .found(format!("--backbone {}", self.backbone))
                .next("leave the option out, or choose that backbone"));
        }
        Ok(match self.backbone.as_str() {
            "diffusion" => self.diffusion.settings().into(),
            "bet" => self.bet.settings().into(),
            "unet" => self.unet.settings(&self.diffusion).into(),
            _ => Architecture::default(),
        })
    }
}

fn backbones() -> Vec<&'static str> {
    BackboneKind::names().collect()
}

fn activation(text: &str) -> Result<Activation, String> {
    word(text, "clamp or tanh")
}

fn distances(text: &str) -> Result<Distances, String> {
    word(text, "loo or paper")
}

fn betas(text: &str) -> Result<[f64; 2], String> {
    let both = text.split_once(',').and_then(|(a, b)| Some([a.parse().ok()?, b.parse().ok()?]));
    both.ok_or_else(|| "expected two numbers, such as 0.9,0.999".into())
}

fn schedule(text: &str) -> Result<Schedule, String> {
    word(text, "vp, linear or cosine")
}

fn prediction(text: &str) -> Result<PredictionType, String> {
    let text = match text {
        "action" => "sample", // the names of earlier versions
        "noise" => "epsilon",
        other => other,
    };
    word(text, "sample or epsilon")
}

fn sampler(text: &str) -> Result<Sampler, String> {
    word(text, "ddpm or ddim")
}
