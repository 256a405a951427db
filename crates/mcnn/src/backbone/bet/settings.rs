//! Settings of a behavior transformer, and its options.

use serde::{Deserialize, Serialize};

use super::Bet;
use crate::{
    backbone::{
        Arrays, BackboneSettings, Describe, Horizons, InvalidSetting, Network, OptionInfo, SettingOption,
        kind::{micro_batches_of, parse, word},
    },
    error::Result,
    optimizer::{OptimizerDefaults, OptimizerSettings},
    seed::Seed,
};

/// How acting selects a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BucketSelection {
    /// Sampled by its probability.
    Sample,
    /// The likeliest one.
    Argmax,
}

/// The random start of the last layer of each half of a block, whose output is added to the half's input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResidualInit {
    /// As all weights: normal with standard deviation 0.02.
    #[default]
    Normal,
    /// That divided by the square root of the number of such layers, as in GPT-2 and minGPT.
    Scaled,
}

impl ResidualInit {
    fn is_normal(&self) -> bool {
        *self == Self::Normal
    }
}

/// Settings of a behavior transformer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BetSettings {
    /// Blocks: 1 to 64.
    pub layers: usize,
    /// Attention heads: 1 or more; a divisor of the width.
    pub heads: usize,
    /// Width of a token: 1 to 4096.
    pub width: usize,
    /// Observations in a window: 1 to 1000.
    pub window: usize,
    /// Buckets that actions are classified into: 1 to 4096.
    pub buckets: usize,
    /// Dropout rate, applied as in minGPT: in [0, 1).
    pub dropout: f64,
    /// Gamma of the focal loss: 0 or more.
    pub gamma: f32,
    /// Weight of the squared error of the constrained action; the focal loss has weight 1. Above 0.
    pub offset_weight: f32,
    /// How acting selects a bucket. Training does not depend on it.
    #[serde(alias = "pick")]
    pub bucket_selection: BucketSelection,
    /// The random start. Acting does not depend on it.
    #[serde(skip_serializing_if = "ResidualInit::is_normal")]
    pub residual_init: ResidualInit,
}

impl Default for BetSettings {
    /// As in the paper (appendix).
    fn default() -> Self {
        Self {
            layers: 6,
            heads: 6,
            width: 120,
            window: 10,
            buckets: 64,
            dropout: 0.1,
            gamma: 2.0,
            offset_weight: 1000.0,
            bucket_selection: BucketSelection::Sample,
            residual_init: ResidualInit::Normal,
        }
    }
}

impl BetSettings {
    /// Batch and AdamW of the paper; betas and the limit of the gradient norm of minGPT.
    pub const OPTIMIZER_DEFAULTS: OptimizerDefaults = OptimizerDefaults {
        lr: 5.5e-5,
        batch: 64,
        optimizer: OptimizerSettings {
            betas: [0.9, 0.95],
            weight_decay: 2e-4,
            clip: 1.0,
            ..OptimizerSettings::ADAM
        },
    };
}

impl Describe for BetSettings {
    const NAME: &'static str = "bet";
    const TITLE: &'static str = "Behavior transformer";
    const METHODS: [&'static str; 2] = ["MCNN-BeT", "BeT-BC"];
    const PAPER: &'static [(&'static str, &'static str)] = &[("residual-init", "scaled")];
    const OPTIONS: &'static [SettingOption<Self>] = &[
        SettingOption {
            info: OptionInfo::new("layers", "N", "Blocks of the transformer", "6"),
            set: |s, text| parse(text, &mut s.layers),
        },
        SettingOption {
            info: OptionInfo::new(
                "heads",
                "N",
                "Attention heads; the width is a multiple of their number",
                "6",
            ),
            set: |s, text| parse(text, &mut s.heads),
        },
        SettingOption {
            info: OptionInfo::new("width", "N", "Width of a token", "120"),
            set: |s, text| parse(text, &mut s.width),
        },
        SettingOption {
            info: OptionInfo::new("window", "N", "Observations in the window, the newest acted on", "10"),
            set: |s, text| parse(text, &mut s.window),
        },
        SettingOption {
            info: OptionInfo::new(
                "buckets",
                "N",
                "Buckets that actions are classified into, by k-means",
                "64",
            ),
            set: |s, text| parse(text, &mut s.buckets),
        },
        SettingOption {
            info: OptionInfo::new("dropout", "SHARE", "Dropout rate in training", "0.1"),
            set: |s, text| parse(text, &mut s.dropout),
        },
        SettingOption {
            info: OptionInfo::new("gamma", "GAMMA", "Gamma of the focal loss of the bucket", "2"),
            set: |s, text| parse(text, &mut s.gamma),
        },
        SettingOption {
            info: OptionInfo::new(
                "offset-weight",
                "WEIGHT",
                "Weight of the action's squared error beside the focal loss",
                "1000",
            ),
            set: |s, text| parse(text, &mut s.offset_weight),
        },
        SettingOption {
            info: OptionInfo {
                aliases: &["pick"],
                ..OptionInfo::new(
                    "bucket-selection",
                    "RULE",
                    "How the policy selects a bucket: sample (by its probability) or argmax",
                    "sample",
                )
            },
            set: |s, text| word(text, "sample or argmax", &mut s.bucket_selection),
        },
        SettingOption {
            info: OptionInfo::new(
                "residual-init",
                "RULE",
                "Random start of the layers that end the halves of a block: normal (as all others) or scaled (by one over the \
                 square root of their number, as in GPT-2; with --paper)",
                "normal",
            ),
            set: |s, text| word(text, "normal or scaled", &mut s.residual_init),
        },
    ];
}

impl BackboneSettings for BetSettings {
    fn validate(&self, _hidden: &[usize]) -> std::result::Result<(), InvalidSetting> {
        let Self { layers, heads, width, window, buckets, dropout, gamma, offset_weight, .. } = *self;
        let invalid =
            |option, expected: &str, found: String| Err(InvalidSetting::new(option, expected, found));
        if !(1..=64).contains(&layers) {
            invalid("--layers", "1 to 64", layers.to_string())
        } else if !(1..=4096).contains(&width) {
            invalid("--width", "1 to 4096", width.to_string())
        } else if heads == 0 || !width.is_multiple_of(heads) {
            invalid("--heads", "a number that divides --width", format!("{heads} for {width}"))
        } else if !(1..=1000).contains(&window) {
            invalid("--window", "1 to 1000", window.to_string())
        } else if !(1..=4096).contains(&buckets) {
            invalid("--buckets", "1 to 4096", buckets.to_string())
        } else if !(0.0..1.0).contains(&dropout) {
            invalid("--dropout", "a share, 0 up to but not 1", dropout.to_string())
        } else if !(gamma >= 0.0 && gamma.is_finite()) {
            invalid("--gamma", "a number of 0 or more", gamma.to_string())
        } else if !(offset_weight > 0.0 && offset_weight.is_finite()) {
            invalid("--offset-weight", "a number above 0", offset_weight.to_string())
        } else {
            Ok(())
        }
    }

    fn micro_batches(&self, batch: usize) -> usize {
        micro_batches_of(batch, 4, 16)
    }

    /// A window of observations; training predicts for every one of them.
    fn horizons(&self) -> Horizons {
        Horizons { observation: self.window, predict_all_steps: true, ..Horizons::SINGLE }
    }

    fn buckets(&self) -> usize {
        self.buckets
    }

    fn objective(&self, action: &str) -> String {
        format!("focal loss of the bucket + {} x mean squared error of {action}", self.offset_weight)
    }

    fn optimizer_defaults(&self) -> OptimizerDefaults {
        Self::OPTIMIZER_DEFAULTS
    }

    /// Batch, betas and gradients as the authors of MCNN trained it.
    fn paper_optimizer(&self) -> OptimizerDefaults {
        let OptimizerDefaults { lr, optimizer, .. } = Self::OPTIMIZER_DEFAULTS;
        let optimizer = OptimizerSettings { betas: [0.9, 0.999], clip: 0.0, ..optimizer };
        OptimizerDefaults { lr, batch: 256, optimizer }
    }

    fn random(&self, n_obs: usize, _hidden: &[usize], n_act: usize, centers: &[f32], seed: Seed) -> Network {
        Bet::random(n_obs, n_act, *self, centers, seed).into()
    }

    fn load_tensors(&self, tensors: &Arrays) -> Result<Network> {
        Ok(Bet::load(*self, tensors)?.into())
    }
}
