//! Backbones: a window of observations in, predicted actions out. A backbone does not know distances, lambda or the
//! amplitude, so every backbone is constrained by the same envelope. A retrieval-conditioned one is given memories, but not
//! how they were found.
//!
//! A backbone is a folder (or file) here with three types, each behind an object-safe trait, and one line in
//! [`KINDS`]:
//!
//! | trait | its type | for |
//! |---|---|---|
//! | [`BackboneSettings`], [`Describe`] | settings | files, options, defaults, random start |
//! | [`Backbone`] | parameters in the layout of acting | one window at a time |
//! | [`TrainableNet`] | the layout of a flat array of parameters | loss and gradient of a batch |
//!
//! Other modules use only these traits, [`Architecture`] (settings of any kind), [`Network`] (a backbone of any kind),
//! [`Net`] (a network in training) and [`Episode`].

mod architecture;
mod bet;
#[cfg(test)]
mod chunk_reference;
mod denoise;
mod diffusion;
mod episode;
mod ibc;
mod kind;
mod layer_stack;
mod layers;
#[cfg(test)]
mod linear_tests;
mod math;
mod mish;
mod mlp;
mod net;
mod network;
#[cfg(test)]
mod oracle;
mod packed;
mod product;
mod resmlp;
mod retrieval;
mod schedule;
mod unet;
mod workspace;

pub use architecture::Architecture;
pub use bet::{Bet, BetNet, BetSettings, BucketSelection, ResidualInit};
pub use denoise::{NoiseSample, PredictionType, sinusoids};
pub use diffusion::{Diffusion, DiffusionNet, DiffusionSettings};
pub use episode::{Episode, Horizons};
pub use ibc::{EnergySampler, Ibc, IbcNet, IbcSettings};
pub use kind::{
    BackboneKind, BackboneSettings, Describe, InvalidSetting, KINDS, OptionInfo, RetrievalCounts,
    SettingOption, SettingsObject,
};
pub use layers::{Arrays, Layers};
pub(crate) use math::exponential;
pub use mlp::{Mlp, MlpNet, MlpSettings};
pub use net::{Batch, LossFn, Net, TrainableNet};
pub use network::{ActingState, Backbone, BucketChoice, Constrain, Neighbors, Network};
pub(crate) use product::widest;
pub use resmlp::{ResMlp, ResMlpNet, ResMlpSettings};
pub use retrieval::{RetrievalMlp, RetrievalNet, RetrievalSettings};
pub use schedule::{Level, Sampler, Schedule};
pub use unet::{Unet, UnetNet, UnetSettings};
pub use workspace::Workspace;
