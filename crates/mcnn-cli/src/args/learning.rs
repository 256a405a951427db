//! Options of learning and of asking why.

use std::path::PathBuf;

use clap::Args;
use mcnn::{
    backbone::{Architecture, BackboneKind, DiffusionSettings, PredictionType, Sampler, Schedule},
    data::Step,
    envelope::Activation,
    memory::{Amount, SelectionMethod},
    optimizer::{OptimizerDefaults, OptimizerSettings},
    train::{Distances, Lambda},
    vision::Weights,
};

use super::{Input, InputOptions, NamesArgs, Output, bet::BetArgs, unet::UnetArgs, word};

#[derive(Args, Debug)]
pub struct LearnArgs {
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub names: NamesArgs,
    /// Share of the states that become memories [default: 0.1].
    #[arg(long, conflicts_with = "count")]
    pub fraction: Option<f64>,
    /// Number of memories.
    #[arg(long)]
    pub count: Option<usize>,
    /// How they are chosen: gas, gas-fixed, random, kmeans, kcenter or all.
    #[arg(long, default_value = "gas", value_parser = by)]
    pub by: SelectionMethod,
    /// Passes over the data, for gas and kmeans [default: 10; gas-fixed: 1].
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Give each memory the mean action of its K nearest steps.
    #[arg(long = "smooth-neighbors", alias = "smooth", default_value_t = 1, value_name = "K")]
    pub smooth_neighbors: usize,
    /// Dimensions of the state that count nothing, in distances and for the network, such as 7-25,30.
    #[arg(long, value_name = "DIMENSIONS", default_value = "", value_parser = clap::value_parser!(Dimensions))]
    pub ignore: Dimensions,
    /// Decides whatever is random.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub output: Output,
}

/// Dimensions as people write them: numbers and ranges of them, such as `7-25,30`.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Dimensions(pub Vec<usize>);

impl std::str::FromStr for Dimensions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first <= last && last < 1 << 24).then_some(first..=last)
        };
        let parts = text.split(',').filter(|part| !part.trim().is_empty());
        let ranges: Option<Vec<_>> = parts.map(range).collect();
        let ranges = ranges.ok_or("expected dimensions counted from 0, such as 7-25,30")?;
        Ok(Self(ranges.into_iter().flatten().collect()))
    }
}

impl TryFrom<String> for Dimensions {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Dimensions> for String {
    fn from(dimensions: Dimensions) -> Self {
        dimensions.to_string()
    }
}

impl std::fmt::Display for Dimensions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let runs = self.0.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
            [one] => one.to_string(),
            _ => format!("{}-{}", run[0], run[run.len() - 1]),
        });
        f.write_str(&runs.collect::<Vec<_>>().join(","))
    }
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
pub fn epochs(by: SelectionMethod) -> usize {
    if by == SelectionMethod::GasFixed { 1 } else { 10 }
}

#[derive(Args, Debug)]
pub struct TrainArgs {
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub names: NamesArgs,
    /// Memories, from `mcnn learn` on the same data.
    #[arg(value_name = "MEMORIES")]
    pub memories: PathBuf,
    /// The network: mlp, diffusion, bet (a behavior transformer) or unet (diffusion over a chunk of actions).
    #[arg(long, default_value = "mlp", value_parser = backbones())]
    pub backbone: String,
    #[command(flatten)]
    pub diffusion: DiffusionArgs,
    #[command(flatten)]
    pub bet: BetArgs,
    #[command(flatten)]
    pub unet: UnetArgs,
    /// Widths of the hidden layers [default: 256,256; diffusion: 256,256,256; unet, channels by level: 32,64,128].
    #[arg(long, value_delimiter = ',')]
    pub hidden: Option<Vec<usize>>,
    /// How fast a memory loses its weight with distance: a number, auto, 0 (copy), or inf (plain cloning).
    #[arg(long, default_value = "auto", value_parser = clap::value_parser!(Lambda))]
    pub lambda: Lambda,
    /// Amplitude of the network far from all memories.
    #[arg(long, alias = "l", default_value_t = 1.0)]
    pub amplitude: f32,
    /// What maps proposals onto [-1, 1]: clamp or tanh.
    #[arg(long, default_value = "clamp", value_parser = activation)]
    pub activation: Activation,
    /// Which memory holds a state in training: loo (the nearest from another episode) or paper (the nearest).
    #[arg(long, default_value = "loo", value_parser = distances)]
    pub distances: Distances,
    /// With --lambda 0: average the actions of the K nearest memories (VINN).
    #[arg(long = "k", alias = "neighbours", default_value_t = 1, value_name = "K")]
    pub neighbors: usize,
    /// Gradient steps.
    #[arg(long, default_value_t = 20_000)]
    pub steps: u64,
    /// Threads of a step [default: as many as help, 2 or, of bet and unet, 4, where there are as many cores]. What is learned
    /// does not depend on it.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Rows in a batch; of bet, windows [default: 256; bet: 64].
    #[arg(long)]
    pub batch: Option<usize>,
    #[command(flatten)]
    pub optimizer: OptimiserArgs,
    /// Share of whole episodes held out, and measured on.
    #[arg(long, alias = "check-on", default_value_t = 0.1, value_name = "FRACTION")]
    pub validation_fraction: f64,
    /// Decides whatever is random.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Put the encoder into the policy's file, so that it acts on frames by itself: the weights that embedded the data.
    #[arg(long, value_name = "FILE|imagenet|random:SEED")]
    pub encoder: Option<Weights>,
    /// Go on with an interrupted run.
    #[arg(long)]
    pub resume: bool,
    #[command(flatten)]
    pub output: Output,
}

/// What moves the weights, where it is not what the backbone has by default.
#[derive(Args, Debug)]
pub struct OptimiserArgs {
    /// Learning rate of Adam [default: 3e-4; bet: 5.5e-5; unet: 1e-4] (the paper's for diffusion: 3e-5, and a million
    /// steps).
    #[arg(long)]
    pub lr: Option<f64>,
    /// Share of the weights taken off a step, times the learning rate [default: 0; bet: 2e-4; unet: 1e-6].
    #[arg(long)]
    pub weight_decay: Option<f64>,
    /// Decay of the running means of gradients and of their squares [default: 0.9,0.999; bet: 0.9,0.95; unet: 0.95,0.999].
    #[arg(long, value_name = "BETA,BETA", value_parser = betas)]
    pub betas: Option<[f64; 2]>,
    /// Steps over which the learning rate rises from 0 [default: 0; unet: 500].
    #[arg(long, value_name = "STEPS")]
    pub warm_up: Option<u64>,
    /// Whether the learning rate falls to 0 at the last step along a half cosine [default: false; unet: true].
    #[arg(long, value_name = "BOOL")]
    pub cosine: Option<bool>,
    /// Norm to which longer gradients are shortened; 0 for no limit [default: 0; bet: 1].
    #[arg(long, value_name = "NORM")]
    pub clip: Option<f64>,
}

impl OptimiserArgs {
    /// A backbone's recipe, with what was given in its stead.
    pub fn over(&self, OptimizerDefaults { lr, batch, optimizer }: OptimizerDefaults) -> OptimizerDefaults {
        OptimizerDefaults {
            lr: self.lr.unwrap_or(lr),
            batch,
            optimizer: OptimizerSettings {
                betas: self.betas.unwrap_or(optimizer.betas),
                weight_decay: self.weight_decay.unwrap_or(optimizer.weight_decay),
                warm_up: self.warm_up.unwrap_or(optimizer.warm_up),
                cosine: self.cosine.unwrap_or(optimizer.cosine),
                clip: self.clip.unwrap_or(optimizer.clip),
            },
        }
    }
}

/// What only backbones that take noise off have.
#[derive(Args, Debug)]
pub struct DiffusionArgs {
    /// Diffusion: steps from noise to an action [default: 5; unet: 100].
    #[arg(long, value_name = "T")]
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
    #[command(flatten)]
    pub names: NamesArgs,
}

fn backbones() -> Vec<&'static str> {
    BackboneKind::names().collect()
}

fn by(text: &str) -> Result<SelectionMethod, String> {
    word(text, "gas, gas-fixed, random, kmeans, kcenter or all")
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

fn step(text: &str) -> Result<Step, String> {
    let parsed = text
        .split_once(':')
        .and_then(|(e, s)| Some(Step { episode: e.parse().ok()?, step: s.parse().ok()? }));
    parsed.ok_or_else(|| "expected EPISODE:STEP, two whole numbers counted from 0, such as 3:120".into())
}

#[cfg(test)]
mod tests {
    use super::Dimensions;

    #[test]
    fn dimensions_are_numbers_and_ranges_and_are_written_as_they_were_read() {
        let read = |text: &str| text.parse::<Dimensions>();
        assert_eq!(read("7-9, 30").unwrap().0, [7, 8, 9, 30]);
        assert_eq!(read("7-9,30").unwrap().to_string(), "7-9,30");
        assert!(read("").unwrap().0.is_empty());
        for bad in ["a", "3-", "-3", "5-4", "1-99999999999"] {
            assert!(read(bad).unwrap_err().contains("such as 7-25,30"), "{bad}");
        }
    }
}
