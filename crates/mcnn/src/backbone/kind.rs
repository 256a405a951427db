//! Kinds of backbones: what each is before there is a network of it, and the list of those that are registered.
//!
//! A kind is a type of settings that implements two traits: [`BackboneSettings`] (what follows from given settings) and
//! [`Describe`] (its name and its options, as data). Files, the command line and training know kinds only through
//! [`KINDS`] and [`Architecture`].

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Architecture, Arrays, Horizons, Network, bet::BetSettings, diffusion::DiffusionSettings,
    ibc::IbcSettings, mlp::MlpSettings, resmlp::ResMlpSettings, retrieval::RetrievalSettings,
    unet::UnetSettings,
};
use crate::{
    error::{Error, Kind, Result},
    optimizer::{OptimizerDefaults, OptimizerSettings},
    seed::Seed,
};

/// All kinds of backbones. A kind that is not listed here does not exist for files, the command line or sweeps.
pub static KINDS: &[BackboneKind] = &[
    BackboneKind::of::<MlpSettings>(),
    BackboneKind::of::<DiffusionSettings>(),
    BackboneKind::of::<BetSettings>(),
    BackboneKind::of::<UnetSettings>(),
    BackboneKind::of::<ResMlpSettings>(),
    BackboneKind::of::<RetrievalSettings>(),
    BackboneKind::of::<IbcSettings>(),
    #[cfg(test)]
    BackboneKind::of::<super::linear_tests::LinearSettings>(),
];

/// The most micro-batches of a batch.
const MOST_MICRO_BATCHES: usize = 16;

/// The number of micro-batches of a batch: each has `rows` rows or more, unless that makes fewer than `least`.
///
/// Every micro-batch has a gradient of its own, which is written once and read once in a step: 8 bytes a parameter. A row costs three
/// multiply-adds a parameter, times the positions at which a parameter is used (of a chunk, a window or counterexamples). So the rows
/// from which a gradient costs a few percent of the arithmetic depend on the positions and not on the width of the network.
pub(super) fn micro_batches_of(batch: usize, least: usize, rows: usize) -> usize {
    (batch / rows).clamp(least, MOST_MICRO_BATCHES)
}

/// What follows from the settings of a backbone, before there is a network.
pub trait BackboneSettings: SettingsObject + fmt::Debug + Send + Sync {
    /// Widths of the hidden layers if none are given. Empty for a backbone whose settings decide them.
    fn default_hidden(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Checks the settings, and the widths of the hidden layers under them.
    ///
    /// # Errors
    /// If one is out of its range, or they contradict each other.
    fn validate(&self, _hidden: &[usize]) -> std::result::Result<(), InvalidSetting> {
        Ok(())
    }

    /// Decay of the exponential moving average (EMA) of the weights at a step, counted from 1. `None` if none is taken: then
    /// the weights themselves act, else their average does.
    fn ema_decay(&self, _step: u64) -> Option<f64> {
        None
    }

    /// Micro-batches that a batch of `batch` rows is cut into in training, one per thread if there are as many threads: at
    /// most 16, of which some are empty if the batch has fewer rows.
    /// Their gradients are added up in one order, so that the result does not depend on the threads. The bytes of a trained network
    /// depend on this number, so it follows from the settings alone.
    fn micro_batches(&self, batch: usize) -> usize {
        micro_batches_of(batch, 2, 128)
    }

    /// Observation, prediction and execution horizon.
    fn horizons(&self) -> Horizons {
        Horizons::SINGLE
    }

    /// Buckets that the backbone classifies actions into; 0 if it has none.
    fn buckets(&self) -> usize {
        0
    }

    /// The memories that the network is given beside an observation; `None` for a backbone that does not see memories.
    fn retrieval(&self) -> Option<RetrievalCounts> {
        None
    }

    /// Whether the training loss passes the network output through the activation sigma. If not, the loss is that of the output
    /// itself, and an output outside [-1, 1] keeps its gradient.
    fn saturates(&self) -> bool {
        true
    }

    /// Whether training compares network outputs with demonstrated actions. If not, its loss is its own alone, and it
    /// is trained free.
    fn predicts_by_regression(&self) -> bool {
        true
    }

    /// What the training loss is, in words. `action` names the action that is compared with the demonstrated one.
    fn objective(&self, action: &str) -> String {
        format!("mean squared error of {action}")
    }

    /// How it is trained by default.
    fn optimizer_defaults(&self) -> OptimizerDefaults {
        OptimizerDefaults { lr: 3e-4, batch: 256, optimizer: OptimizerSettings::ADAM }
    }

    /// How the authors of the paper trained it, where that is known to differ from the defaults.
    fn paper_optimizer(&self) -> OptimizerDefaults {
        self.optimizer_defaults()
    }

    /// Passes over the training data after which training ends by default; `None` for a fixed number of gradient steps. Behavior
    /// cloning of a few episodes gets worse in closed loop when it is trained longer.
    fn epochs(&self) -> Option<u64> {
        None
    }

    /// Gradient steps taken at least, where [`epochs`](Self::epochs) are fewer: of little data.
    fn least_steps(&self) -> u64 {
        300
    }

    /// Networks trained as an ensemble by default. Several networks raise the closed-loop score more than longer training of
    /// one: averaged, or drawn in turn.
    fn members(&self) -> usize {
        1
    }

    /// A network of random weights. `hidden`: widths of the hidden layers. `centers`: of the [`buckets`](Self::buckets),
    /// `[buckets, n_act]`.
    ///
    /// # Panics
    /// If a width is 0, a setting is out of range, or the number of centers is another.
    fn random(&self, n_obs: usize, hidden: &[usize], n_act: usize, centers: &[f32], seed: Seed) -> Network;

    /// The network that [`save_tensors`](super::Backbone::save_tensors) wrote.
    ///
    /// # Errors
    /// If the tensors are not those of such a network.
    fn load_tensors(&self, tensors: &Arrays) -> Result<Network>;
}

/// How many memories a retrieval-conditioned backbone is given: 1 or more of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrievalCounts {
    /// When acting: the nearest memories, whose predictions are averaged. All memories if there are fewer.
    pub act: usize,
    /// In training: the nearest memories of other episodes, one of which a row is paired with.
    pub train: usize,
}

/// What a kind of backbone is called, and the options that its settings are given by.
pub trait Describe: BackboneSettings + Clone + Default + Serialize + DeserializeOwned + 'static {
    /// The name in files and options, such as `unet`.
    const NAME: &'static str;
    /// The name for people, such as `U-Net`.
    const TITLE: &'static str;
    /// Names of the method in the literature: with memories, and without them.
    const METHODS: [&'static str; 2];
    /// The options that set it. Two kinds may share an option; it then has one name and one meaning.
    const OPTIONS: &'static [SettingOption<Self>] = &[];
    /// Options, by name and value, that the authors of the paper had otherwise than the defaults.
    const PAPER: &'static [(&'static str, &'static str)] = &[];

    /// Sets what depends on other settings and was not given. `is_given` takes the name of an option.
    fn resolve(&mut self, _is_given: &dyn Fn(&str) -> bool) {}
}

/// An option of a backbone's settings.
pub struct SettingOption<S> {
    /// The option, without dashes.
    pub info: OptionInfo,
    /// Parses a value into the settings, or says what was expected.
    pub set: fn(&mut S, &str) -> std::result::Result<(), String>,
}

/// What a reader is told of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionInfo {
    /// Its long name, without dashes.
    pub name: &'static str,
    /// Earlier names that are still accepted, without dashes.
    pub aliases: &'static [&'static str],
    /// What stands for its value in a help text.
    pub value_name: &'static str,
    /// What it sets, in one phrase.
    pub help: &'static str,
    /// The default, as text.
    pub default: &'static str,
}

impl OptionInfo {
    /// An option without earlier names.
    pub const fn new(
        name: &'static str,
        value_name: &'static str,
        help: &'static str,
        default: &'static str,
    ) -> Self {
        Self { name, aliases: &[], value_name, help, default }
    }

    /// The same option with another default: of a kind that shares it.
    pub const fn with_default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }
}

/// Parses a number into a setting.
pub(super) fn parse<T: std::str::FromStr<Err: fmt::Display>>(
    text: &str,
    setting: &mut T,
) -> std::result::Result<(), String> {
    *setting = text.parse().map_err(|e: T::Err| e.to_string())?;
    Ok(())
}

/// Parses one of some words into a setting, as files have them.
pub(super) fn word<T: DeserializeOwned>(
    text: &str,
    words: &str,
    setting: &mut T,
) -> std::result::Result<(), String> {
    *setting = serde_json::from_value(text.into()).map_err(|_| format!("expected {words}"))?;
    Ok(())
}

/// A setting out of its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSetting {
    /// The option (with dashes) or, of what has none, the setting.
    pub option: &'static str,
    /// What it takes.
    pub expected: String,
    /// Its value.
    pub found: String,
}

impl InvalidSetting {
    /// A setting, what it takes, and its value.
    pub fn new(option: &'static str, expected: impl Into<String>, found: impl ToString) -> Self {
        Self { option, expected: expected.into(), found: found.to_string() }
    }

    /// The same as an error of this library.
    pub fn into_error(self) -> Error {
        Error::new(Kind::Settings, "a setting out of range")
            .at(self.option)
            .expected(self.expected)
            .found(self.found)
    }
}

type FromOptions = fn(&[(&str, &str)]) -> std::result::Result<Architecture, InvalidSetting>;

/// A kind of backbone as it is registered.
#[derive(Debug, Clone, Copy)]
pub struct BackboneKind {
    /// The name in files and options.
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    options: fn() -> Vec<OptionInfo>,
    /// Options, by name and value, that the authors of the paper had otherwise than the defaults.
    pub paper: &'static [(&'static str, &'static str)],
    from_options: FromOptions,
    from_json: fn(serde_json::Value) -> serde_json::Result<Architecture>,
}

impl BackboneKind {
    /// The kind that a type of settings describes.
    pub const fn of<S: Describe>() -> Self {
        Self {
            name: S::NAME,
            title: S::TITLE,
            paper: S::PAPER,
            options: || S::OPTIONS.iter().map(|option| option.info).collect(),
            from_options: |given| {
                let mut settings = S::default();
                for &(name, text) in given {
                    let option = S::OPTIONS.iter().find(|option| option.info.name == name);
                    let option = option.unwrap_or_else(|| panic!("{} has no option {name}", S::NAME));
                    (option.set)(&mut settings, text)
                        .map_err(|expected| InvalidSetting::new(option.info.name, expected, text))?;
                }
                settings.resolve(&|name| given.iter().any(|(given, _)| *given == name));
                Ok(settings.into())
            },
            from_json: |value| serde_json::from_value::<S>(value).map(Into::into),
        }
    }

    /// The kind of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// The names of all kinds, as files and options have them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|kind| kind.name)
    }

    /// Its options.
    pub fn options(&self) -> Vec<OptionInfo> {
        (self.options)()
    }

    /// Its default settings.
    pub fn default_settings(&self) -> Architecture {
        self.with_options(&[]).expect("defaults are settings")
    }

    /// Its settings with some options given: pairs of a name (without dashes) and a value.
    ///
    /// # Errors
    /// If an option has no such value.
    ///
    /// # Panics
    /// If it has no such option.
    pub fn with_options(&self, given: &[(&str, &str)]) -> std::result::Result<Architecture, InvalidSetting> {
        (self.from_options)(given)
    }

    /// Its settings from JSON. Keys that are missing have their defaults.
    ///
    /// # Errors
    /// If a key or a value is not one of such settings.
    pub fn settings_from_json(&self, value: serde_json::Value) -> serde_json::Result<Architecture> {
        (self.from_json)(value)
    }
}

/// What every type of settings can do that has [`Describe`]; there is nothing to implement.
pub trait SettingsObject {
    /// The name of the kind.
    fn name(&self) -> &'static str;
    /// Names of the method in the literature: with memories, and without them.
    fn method_names(&self) -> [&'static str; 2];
    /// The settings, owned.
    fn to_architecture(&self) -> Architecture;
    /// The settings as JSON text; `null` for a kind without settings.
    fn to_json(&self) -> String;
}

impl<S: Describe> SettingsObject for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn method_names(&self) -> [&'static str; 2] {
        S::METHODS
    }

    fn to_architecture(&self) -> Architecture {
        self.clone().into()
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("settings are plain values")
    }
}
