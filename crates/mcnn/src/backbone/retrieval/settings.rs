//! Settings of a retrieval-conditioned network, and its options.

use serde::{Deserialize, Serialize};

use super::RetrievalMlp;
use crate::{
    backbone::{
        Arrays, BackboneSettings, Describe, InvalidSetting, Layers, Network, OptionInfo, RetrievalCounts,
        SettingOption, kind::parse,
    },
    error::Result,
    seed::Seed,
};

/// Most memories that a network may be given.
const MOST: usize = 1000;

/// Settings of a retrieval-conditioned network, except the widths of its hidden layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrievalSettings {
    /// Nearest memories whose predictions are averaged when acting: 1 to 1000. Training does not depend on it.
    pub retrieved: usize,
    /// Nearest memories of other episodes, one of which a training step is paired with at a time: 1 to 1000. Acting does not
    /// depend on it.
    pub pairs: usize,
}

impl Default for RetrievalSettings {
    fn default() -> Self {
        Self { retrieved: 10, pairs: 50 }
    }
}

impl Describe for RetrievalSettings {
    const NAME: &'static str = "retrieval";
    const TITLE: &'static str = "retrieval";
    const METHODS: [&'static str; 2] = ["MCNN-Retrieval", "Retrieval"];
    const OPTIONS: &'static [SettingOption<Self>] = &[
        SettingOption {
            info: OptionInfo::new(
                "retrieved",
                "N",
                "Nearest memories whose predictions are averaged when acting",
                "10",
            ),
            set: |s, text| parse(text, &mut s.retrieved),
        },
        SettingOption {
            info: OptionInfo::new(
                "pairs",
                "N",
                "Nearest memories of other episodes that a training step is paired with",
                "50",
            ),
            set: |s, text| parse(text, &mut s.pairs),
        },
    ];
}

impl BackboneSettings for RetrievalSettings {
    fn default_hidden(&self) -> Vec<usize> {
        vec![256; 2]
    }

    fn members(&self) -> usize {
        5
    }

    fn epochs(&self) -> Option<u64> {
        Some(200)
    }

    fn validate(&self, _hidden: &[usize]) -> std::result::Result<(), InvalidSetting> {
        for (option, count) in [("--retrieved", self.retrieved), ("--pairs", self.pairs)] {
            if !(1..=MOST).contains(&count) {
                return Err(InvalidSetting::new(option, format!("1 to {MOST}"), count));
            }
        }
        Ok(())
    }

    fn retrieval(&self) -> Option<RetrievalCounts> {
        Some(RetrievalCounts { act: self.retrieved, train: self.pairs })
    }

    /// The mean over memories clamps each prediction when acting; in training, a prediction outside [-1, 1] is pulled back.
    fn saturates(&self) -> bool {
        false
    }

    fn random(&self, n_obs: usize, hidden: &[usize], n_act: usize, _: &[f32], seed: Seed) -> Network {
        RetrievalMlp::random(n_obs, hidden, n_act, *self, seed).into()
    }

    fn load_tensors(&self, tensors: &Arrays) -> Result<Network> {
        Ok(RetrievalMlp::new(*self, Layers::load_tensors("", tensors)?)?.into())
    }
}
