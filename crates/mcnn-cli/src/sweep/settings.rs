//! The settings of a run of a sweep: its identity in the results, and what they mean for learning and training.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

use mcnn::{
    Error, Result,
    backbone::KINDS,
    data::{ActionScale, AngleChoice, KeyRange},
    envelope::{Activation, Form},
    error::Kind,
    memory::{Amount, LearnSettings, SelectionMethod},
    optimizer::OptimizerSettings,
    policy::{Combine, ConstrainAt},
    seed::Seed,
    task::{TaskOptions, adroit::Rewards, name_with_options},
    train::{Bagging, Distances, Keep, Lambda, TrainSettings, TrainThrough},
    vision::Weights,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::backbones::{BackboneName, BackboneTables, has_settings};
use crate::args::{Dimensions, InputOptions, KeyArgs, StateDimensions, UnitArgs};

/// What is read of the data, and how actions are scaled, as `--state`, `--action`, `--action-scale`, `--relative-to` and `--angle`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InputSettings {
    pub state: Vec<KeyRange>,
    pub action: Vec<KeyRange>,
    pub action_scale: ActionScale,
    pub relative_to: Option<StateDimensions>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub angle: Vec<AngleChoice>,
}

impl InputSettings {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Everything that determines a run, except the contents of its data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub task: String,
    /// Options of the task.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub task_options: Map<String, Value>,
    /// The file name as in the plan.
    pub data: String,
    pub by: SelectionMethod,
    /// The number of memories as a share of the states; none where `count` is given.
    pub fraction: Option<f64>,
    /// The number of memories.
    pub count: Option<usize>,
    pub smooth_neighbors: usize,
    pub lambda: Lambda,
    pub amplitude: f32,
    pub activation: Activation,
    /// Missing in results of version 1, as the next settings are: they mixed.
    #[serde(default)]
    pub form: Form,
    /// Version 1 trained through the envelope.
    #[serde(default)]
    pub train_through: TrainThrough,
    /// Version 1 constrained at every denoising step.
    #[serde(default)]
    pub constrain_at: ConstrainAt,
    /// Version 1 had one.
    #[serde(default = "single")]
    pub members: usize,
    #[serde(default)]
    pub bagging: Bagging,
    /// The backbone's default if none is given.
    #[serde(default)]
    pub combine: Option<Combine>,
    pub backbone: BackboneName,
    /// The settings of the backbone.
    #[serde(flatten)]
    pub tables: BackboneTables,
    pub seed: u64,
    pub reward: Rewards,
    pub clip_actions: bool,
    /// Left out where nothing is given, as it was before there was a choice.
    #[serde(default, skip_serializing_if = "InputSettings::is_default")]
    pub input: InputSettings,
    /// Dimensions of the state that distances ignore.
    #[serde(default)]
    pub ignore: Dimensions,
    /// Encoder weights as in the plan, for data that are embeddings. A run uses the ones that embedded its data, so they are not
    /// part of its identity.
    #[serde(skip)]
    pub encoder: Vec<String>,
    pub epochs: usize,
    pub distances: Distances,
    pub neighbors: usize,
    pub hidden: Vec<usize>,
    /// The backbone's default for the data if none is given.
    pub steps: Option<u64>,
    pub batch: usize,
    pub lr: f64,
    /// Adam where a version-1 result has none.
    #[serde(default)]
    pub optimizer: OptimizerSettings,
    pub validation_fraction: f64,
    pub episodes: usize,
    pub first_seed: u64,
}

fn single() -> usize {
    1
}

/// Settings without effect on 1-NN or VINN over all states: first those of memory selection, then those of the network and its
/// training.
static WITHOUT_EFFECT: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let tables = KINDS.iter().filter(|kind| has_settings(kind)).map(|kind| kind.name);
    let before = ["fraction", "count", "epochs", "amplitude", "activation", "backbone"];
    let after = [
        "hidden",
        "steps",
        "batch",
        "lr",
        "optimizer",
        "distances",
        "form",
        "train_through",
        "constrain_at",
        "members",
        "bagging",
        "combine",
    ];
    before.into_iter().chain(tables).chain(after).collect()
});

/// How many of them are settings of memory selection.
const OF_SELECTION: usize = 3;

impl Settings {
    /// Whether the network predicts from retrieved memories.
    pub(super) fn sees_memories(&self) -> bool {
        self.backbone.kind().default_settings().retrieval().is_some()
    }

    /// Whether nothing in this run is random: 1-NN or VINN over all states, without a validation set.
    pub fn is_deterministic(&self) -> bool {
        self.lambda == Lambda::Value(0.0)
            && self.by == SelectionMethod::All
            && self.validation_fraction == 0.0
    }

    /// The settings without effect in this run.
    pub fn without_effect(&self) -> &'static [&'static str] {
        match self.lambda {
            Lambda::Value(f32::INFINITY) if !self.sees_memories() => &[
                "by",
                "fraction",
                "count",
                "smooth_neighbors",
                "epochs",
                "distances",
                "form",
                "train_through",
                "constrain_at",
            ],
            Lambda::Value(0.0) if self.by == SelectionMethod::All => &WITHOUT_EFFECT,
            Lambda::Value(0.0) => &WITHOUT_EFFECT[OF_SELECTION..],
            _ if self.by == SelectionMethod::All => &WITHOUT_EFFECT[..OF_SELECTION],
            _ => &[],
        }
    }

    /// Identifies the settings: equal settings have equal texts.
    pub fn key(&self) -> String {
        serde_json::to_string(self).expect("settings are plain values")
    }

    /// Runs with equal texts may share their training: they differ only in memories and in settings of acting.
    pub fn training_key(&self) -> String {
        let shared = Self {
            by: SelectionMethod::All,
            fraction: None,
            count: None,
            smooth_neighbors: 1,
            epochs: 0,
            lambda: Lambda::Auto,
            form: Form::Project,
            constrain_at: ConstrainAt::Executed,
            combine: None,
            distances: Distances::Loo,
            ..self.clone()
        };
        shared.key()
    }

    /// The path of the demonstrations, relative to the folder of the plan.
    pub fn file(&self, plan: &Path) -> PathBuf {
        plan.parent().unwrap_or(Path::new("")).join(&self.data)
    }

    /// The encoder weights that may have embedded the data. Files are relative to the folder of the plan.
    ///
    /// # Errors
    /// If a text names no weights.
    pub fn weights(&self, plan: &Path) -> Result<Vec<Weights>> {
        let read = |text: &String| match text.parse() {
            Ok(Weights::File(path)) => Ok(Weights::File(plan.parent().unwrap_or(Path::new("")).join(path))),
            Ok(weights) => Ok(weights),
            Err(found) => {
                Err(Error::new(Kind::Settings, "not the name of encoder weights").at("encoder").found(found))
            }
        };
        self.encoder.iter().map(read).collect()
    }

    /// What the task is made with.
    pub fn task_options(&self) -> TaskOptions {
        TaskOptions { rewards: self.reward, options: self.task_options.clone() }
    }

    /// The task's name with its options.
    pub fn task_name(&self) -> String {
        name_with_options(&self.task, &self.task_options)
    }

    pub fn input(&self) -> InputOptions {
        InputOptions {
            clip_actions: self.clip_actions,
            keys: KeyArgs {
                state_keys: self.input.state.clone(),
                action_keys: self.input.action.clone(),
                ..KeyArgs::default()
            },
            ..InputOptions::default()
        }
    }

    pub fn units(&self) -> UnitArgs {
        UnitArgs {
            action_scale: Some(self.input.action_scale),
            relative_to: self.input.relative_to.clone(),
            angles: self.input.angle.clone(),
            ..UnitArgs::default()
        }
    }

    /// How the memories are selected.
    pub fn learn(&self) -> LearnSettings {
        let amount = self.count.map_or(Amount::Fraction(self.fraction.unwrap_or(0.1)), Amount::Count);
        LearnSettings {
            amount,
            selection: self.by,
            epochs: self.epochs,
            smooth_neighbors: self.smooth_neighbors,
            ignore: self.ignore.0.clone(),
            seed: Seed(self.seed),
        }
    }

    /// How the policy is trained on demonstrations of `n_steps` steps.
    pub fn train(&self, n_steps: usize) -> TrainSettings {
        let backbone = self.tables.settings(self.backbone.kind());
        let steps =
            self.steps.unwrap_or_else(|| TrainSettings::default_steps(&backbone, self.batch, n_steps));
        TrainSettings {
            form: self.form,
            train_through: self.train_through,
            constrain_at: self.constrain_at,
            members: self.members,
            bagging: self.bagging,
            combine: self.combine.unwrap_or_else(|| TrainSettings::default_combine(&backbone)),
            backbone,
            hidden: self.hidden.clone(),
            activation: self.activation,
            lambda: self.lambda,
            amplitude: self.amplitude,
            distances: self.distances,
            neighbors: self.neighbors,
            steps,
            batch: self.batch,
            lr: self.lr,
            optimizer: self.optimizer,
            validation_fraction: self.validation_fraction,
            keep: Keep::Last,
            seed: Seed(self.seed),
        }
    }
}
