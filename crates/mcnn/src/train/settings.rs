//! Settings of training.

use serde::{Deserialize, Serialize};

use super::{Keep, Lambda};
use crate::{
    backbone::{Architecture, InvalidSetting},
    envelope::{Activation, Form},
    error::{Error, Kind, Result},
    optimizer::OptimizerSettings,
    policy::{Combine, ConstrainAt},
    seed::Seed,
};

/// Which memory constrains a training state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distances {
    /// The nearest one, as in the paper. It is often of the state's own episode and nearer than any is in acting.
    Paper,
    /// The nearest one of another episode (leave one episode out), as in acting.
    Loo,
}

/// What the loss compares with the demonstrated action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainThrough {
    /// The network's action alone: ordinary behavior cloning. The envelope constrains it when acting.
    Free,
    /// The constrained action, as in the paper: the network learns to correct the memory's action. It then acts well only
    /// with the envelope it was trained with.
    #[default]
    Envelope,
}

/// Which episodes the members of an ensemble are trained on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bagging {
    /// All training episodes.
    #[default]
    None,
    /// All but one fold: the episodes are dealt into as many folds as there are members, and each member leaves out one.
    Folds,
}

/// Settings of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSettings {
    /// The backbone. Missing in older files, which have a perceptron.
    #[serde(default)]
    pub backbone: Architecture,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// sigma.
    pub activation: Activation,
    /// lambda.
    pub lambda: Lambda,
    /// L, the amplitude.
    pub amplitude: f32,
    /// The form of the envelope. Missing in older files, which mix.
    #[serde(default)]
    pub form: Form,
    /// What the loss compares with the demonstrated action. Missing in older files: the constrained action.
    #[serde(default)]
    pub train_through: TrainThrough,
    /// When the trained policy constrains network outputs. Missing in older files: at every denoising step.
    #[serde(default)]
    pub constrain_at: ConstrainAt,
    /// Networks trained, which act together. Missing in older files, which have one.
    #[serde(default = "one")]
    pub members: usize,
    /// Which episodes the members are trained on. Missing in older files: all.
    #[serde(default)]
    pub bagging: Bagging,
    /// How the members act together. Missing in older files, which have one.
    #[serde(default)]
    pub combine: Combine,
    /// Which memory constrains a training state, if training goes through the envelope.
    pub distances: Distances,
    /// Memories averaged into the memory action: 1 for MCNN, above 1 for VINN.
    pub neighbors: usize,
    /// Gradient steps.
    pub steps: u64,
    /// Rows in a batch.
    pub batch: usize,
    /// Learning rate of Adam. The paper has 3e-4 for perceptrons, and 3e-5 for diffusion with a million steps.
    pub lr: f64,
    /// Settings of the optimizer. Missing in older files, which have Adam.
    #[serde(default)]
    pub optimizer: OptimizerSettings,
    /// Share of the episodes in the validation set.
    pub validation_fraction: f64,
    /// Which networks the policy has. Missing in older files: the last ones.
    #[serde(default)]
    pub keep: Keep,
    /// Decides everything random.
    pub seed: Seed,
}

fn one() -> usize {
    1
}

impl Default for TrainSettings {
    /// Networks and optimizer of the paper (appendix), with lambda from the data: an ensemble, trained by behavior cloning, whose
    /// executed actions are projected into the box of the nearest memory.
    fn default() -> Self {
        Self {
            backbone: Architecture::default(),
            hidden: Architecture::default().default_hidden(),
            activation: Activation::Clamp,
            lambda: Lambda::Auto,
            amplitude: 1.0,
            form: Form::Project,
            train_through: TrainThrough::Free,
            constrain_at: ConstrainAt::Executed,
            members: Architecture::default().members(),
            bagging: Bagging::None,
            combine: Combine::Mean,
            distances: Distances::Loo,
            neighbors: 1,
            steps: 20_000,
            batch: 256,
            lr: 3e-4,
            optimizer: OptimizerSettings::ADAM,
            validation_fraction: 0.1,
            keep: Keep::Last,
            seed: Seed(0),
        }
    }
}

impl TrainSettings {
    /// The settings of the authors of the paper (appendix) for a perceptron: one network, trained through the envelope for a
    /// million steps, lambda 10.
    pub fn paper() -> Self {
        Self {
            lambda: Lambda::Value(10.0),
            form: Form::Mix,
            members: 1,
            validation_fraction: 0.0,
            train_through: TrainThrough::Envelope,
            constrain_at: ConstrainAt::Denoising,
            distances: Distances::Paper,
            steps: 1_000_000,
            ..Self::default()
        }
    }

    /// Gradient steps for a data set of `n` training steps unless another number is given: the backbone's
    /// [`epochs`](crate::backbone::BackboneSettings::epochs), from its [`least_steps`](crate::backbone::BackboneSettings::least_steps)
    /// to 20,000 steps; 20,000 for a backbone that states none.
    pub fn default_steps(backbone: &Architecture, batch: usize, n: usize) -> u64 {
        match backbone.epochs() {
            Some(epochs) => {
                (epochs * n as u64).div_ceil(batch.max(1) as u64).clamp(backbone.least_steps(), 20_000)
            }
            None => 20_000,
        }
    }

    /// How the members of an ensemble act together unless it is given: by their mean, but of backbones that predict chunks, choose
    /// buckets or search actions by one of them. Such predictions have several modes, and the mean of two modes may be none.
    pub fn default_combine(backbone: &Architecture) -> Combine {
        let has_modes = backbone.horizons().prediction > 1 || backbone.buckets() > 0;
        if has_modes || !backbone.predicts_by_regression() { Combine::Member } else { Combine::Mean }
    }

    /// What the training loss is, in words.
    pub fn objective(&self) -> String {
        self.backbone.objective(if self.is_free() {
            "the network's action"
        } else {
            "the constrained action"
        })
    }

    /// The largest number of members.
    pub const MOST_MEMBERS: usize = 100;

    /// Whether the loss compares the network's action alone.
    pub(super) fn is_free(&self) -> bool {
        self.train_through == TrainThrough::Free
    }

    pub(super) fn validate(&self) -> Result<()> {
        let refuse = |option: &str, expected: &str, found: String| {
            Err(Error::new(Kind::Settings, "a setting out of range")
                .at(option)
                .expected(expected)
                .found(found))
        };
        if self.hidden.contains(&0) || self.hidden.iter().any(|&w| w > 1 << 16) || self.hidden.len() > 64 {
            return refuse("--hidden", "at most 64 widths of 1 to 65536", format!("{:?}", self.hidden));
        }
        self.backbone.validate(&self.hidden).map_err(InvalidSetting::into_error)?;
        if self.batch == 0 || self.batch > 1 << 20 {
            return refuse("--batch", "1 to 1048576 rows", self.batch.to_string());
        }
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return refuse("--lr", "a number above 0", self.lr.to_string());
        }
        let OptimizerSettings { betas, weight_decay, clip, .. } = self.optimizer;
        if !betas.iter().all(|beta| (0.0..1.0).contains(beta)) {
            return refuse("--betas", "two numbers, 0 up to but not 1", format!("{betas:?}"));
        }
        if !(weight_decay >= 0.0 && weight_decay.is_finite()) {
            return refuse("--weight-decay", "a number of 0 or more", weight_decay.to_string());
        }
        if !(clip >= 0.0 && clip.is_finite()) {
            return refuse("--grad-clip", "a norm, or 0 for no limit", clip.to_string());
        }
        if !(0.0..1.0).contains(&self.validation_fraction) {
            return refuse(
                "--validation-fraction",
                "a share of the episodes, 0 up to but not 1",
                self.validation_fraction.to_string(),
            );
        }
        let is_unconstrained = self.is_free() && self.amplitude == 1.0;
        if !self.backbone.predicts_by_regression() && !is_unconstrained {
            let through = serde_json::to_value(self.train_through).expect("a word");
            let found =
                format!("--train-through {}, --amplitude {}", through.as_str().unwrap_or(""), self.amplitude);
            let expected = "--train-through free and --amplitude 1: its loss compares demonstrated actions with counterexamples, not network outputs";
            return refuse(&format!("--backbone {}", self.backbone.name()), expected, found);
        }
        if !self.is_free() && self.form == Form::Project && self.lambda != Lambda::Value(f32::INFINITY) {
            let expected = "mix: the loss of training through the envelope is that of the mixed action";
            return refuse("--envelope", expected, "project".into());
        }
        if self.members == 0 || self.members > Self::MOST_MEMBERS {
            let expected = format!("1 to {}", Self::MOST_MEMBERS);
            return refuse("--members", &expected, self.members.to_string());
        }
        if self.bagging == Bagging::Folds && self.members == 1 {
            return refuse("--bagging folds", "2 members or more: each leaves out one fold", "1".into());
        }
        if !self.backbone.saturates() && self.activation != Activation::Clamp {
            return refuse(
                "--activation",
                "clamp, for a network whose outputs are clamped already",
                "tanh".into(),
            );
        }
        if self.neighbors > 1 && self.lambda != Lambda::Value(0.0) {
            return refuse("--k", "1, or --lambda 0 with it", self.neighbors.to_string());
        }
        Ok(())
    }

    /// The first setting that differs: its name and both values. The number of steps may differ unless the learning rate depends
    /// on it.
    pub(super) fn difference(&self, other: &Self) -> Option<(String, String, String)> {
        let steps = |s: &Self| if s.optimizer.cosine { s.steps } else { 0 };
        let object = |s: &Self| match serde_json::to_value(Self { steps: steps(s), ..s.clone() }) {
            Ok(serde_json::Value::Object(map)) => map,
            _ => unreachable!("settings are plain values"),
        };
        let other = object(other);
        object(self)
            .into_iter()
            .find(|(name, value)| other.get(name) != Some(value))
            .map(|(name, value)| (name.clone(), value.to_string(), other[&name].to_string()))
    }
}
