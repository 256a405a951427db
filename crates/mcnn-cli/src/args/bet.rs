//! What only `--backbone bet` has.

use clap::Args;
use mcnn::backbone::{BetSettings, BucketSelection};

use super::word;

/// Settings of a behavior transformer, where they are not the authors'.
#[derive(Args, Debug)]
pub struct BetArgs {
    /// Bet: blocks of the transformer [default: 6].
    #[arg(long)]
    pub layers: Option<usize>,
    /// Bet: heads of attention; the width is a multiple of it [default: 6].
    #[arg(long)]
    pub heads: Option<usize>,
    /// Bet: numbers in a token [default: 120].
    #[arg(long)]
    pub width: Option<usize>,
    /// Bet: observations seen at once, the newest acted on [default: 10].
    #[arg(long)]
    pub window: Option<usize>,
    /// Bet: buckets that actions fall into, by k-means [default: 64].
    #[arg(long)]
    pub buckets: Option<usize>,
    /// Bet: share of numbers dropped in training [default: 0.1].
    #[arg(long)]
    pub dropout: Option<f64>,
    /// Bet: gamma of the focal loss of the bucket [default: 2].
    #[arg(long)]
    pub gamma: Option<f32>,
    /// Bet: what the action's squared error counts beside the focal loss [default: 1000].
    #[arg(long, value_name = "WEIGHT")]
    pub offset_weight: Option<f32>,
    /// Bet: how the policy chooses a bucket, sample (by its probability) or argmax [default: sample].
    #[arg(long, alias = "pick", value_parser = bucket_selection)]
    pub bucket_selection: Option<BucketSelection>,
}

impl BetArgs {
    /// The settings, with what was given in the defaults' stead.
    pub fn settings(&self) -> BetSettings {
        let defaults = BetSettings::default();
        BetSettings {
            layers: self.layers.unwrap_or(defaults.layers),
            heads: self.heads.unwrap_or(defaults.heads),
            width: self.width.unwrap_or(defaults.width),
            window: self.window.unwrap_or(defaults.window),
            buckets: self.buckets.unwrap_or(defaults.buckets),
            dropout: self.dropout.unwrap_or(defaults.dropout),
            gamma: self.gamma.unwrap_or(defaults.gamma),
            offset_weight: self.offset_weight.unwrap_or(defaults.offset_weight),
            bucket_selection: self.bucket_selection.unwrap_or(defaults.bucket_selection),
        }
    }

    /// Its options, and whether each was given.
    pub fn given(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("--layers", self.layers.is_some()),
            ("--heads", self.heads.is_some()),
            ("--width", self.width.is_some()),
            ("--window", self.window.is_some()),
            ("--buckets", self.buckets.is_some()),
            ("--dropout", self.dropout.is_some()),
            ("--gamma", self.gamma.is_some()),
            ("--offset-weight", self.offset_weight.is_some()),
            ("--bucket-selection", self.bucket_selection.is_some()),
        ]
    }
}

fn bucket_selection(text: &str) -> Result<BucketSelection, String> {
    word(text, "sample or argmax")
}
