//! How a policy acts: the envelope, and when and how network outputs are constrained. All of it can be changed without
//! training.

use serde::{Deserialize, Serialize};

use super::horizons;
use crate::{
    backbone::Network,
    envelope::Envelope,
    error::{Error, Kind, Result},
    memory::Codebook,
};

/// When network outputs are constrained. It matters for policies that predict chunks of actions, and for diffusion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConstrainAt {
    /// When an action is executed: by the nearest memory of the newest observation, also within a chunk. The network samples
    /// freely.
    Executed,
    /// When a chunk has been sampled: by one memory, that of the observation it was predicted for, and the memory's future
    /// actions.
    Sampled,
    /// At every denoising step, by that memory, and once more at the end.
    #[default]
    Denoising,
}

/// How the members of an ensemble act together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Combine {
    /// By the mean of their actions.
    #[default]
    Mean,
    /// By the action, or the chunk of actions, of one member drawn at random for every prediction.
    Member,
}

/// How a policy acts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActingSettings {
    /// lambda, L, sigma and the form.
    pub envelope: Envelope,
    /// Memories averaged into the memory action: 1 for MCNN. Above 1 it is the mean over that many nearest memories, weighted
    /// by exp(-d) (VINN; Pari et al., 2021), and in a memory's state the action is no longer exactly the memory's.
    pub neighbors: usize,
    /// When network outputs are constrained.
    pub constrain_at: ConstrainAt,
    /// How several networks act together.
    pub combine: Combine,
    /// Memories that a retrieval-conditioned network predicts from; `None` for as many as its own settings say. All memories if
    /// there are fewer.
    pub retrieved: Option<usize>,
}

impl Default for ActingSettings {
    /// The network alone.
    fn default() -> Self {
        Self {
            envelope: Envelope::default(),
            neighbors: 1,
            constrain_at: ConstrainAt::default(),
            combine: Combine::default(),
            retrieved: None,
        }
    }
}

impl ActingSettings {
    /// Checks the settings for given memories and networks.
    pub(super) fn validate(&self, codebook: &Codebook, members: &[Network]) -> Result<()> {
        let refuse = |what: &str, at: &str, expected: String, found: String| {
            Err(Error::new(Kind::Settings, what).at(at).expected(expected).found(found))
        };
        let Self { envelope, neighbors, constrain_at, .. } = *self;
        if let Err(fault) = envelope.validate() {
            return Err(Error::new(Kind::Settings, fault)
                .at("--lambda, --amplitude")
                .found(format!("lambda {}, L {}", envelope.lambda, envelope.amplitude)));
        }
        if neighbors == 0 || neighbors > codebook.len() {
            return refuse(
                "the number of neighbors is out of range",
                "--k",
                format!("1 to {}, the number of memories", codebook.len()),
                neighbors.to_string(),
            );
        }
        if self.retrieved == Some(0) {
            return refuse("a network needs a memory to predict from", "--k", "1 or more".into(), "0".into());
        }
        if members.is_empty() && envelope.lambda != 0.0 {
            return Err(Error::new(Kind::Settings, "a policy without a network needs lambda 0")
                .found(format!("lambda {}", envelope.lambda)));
        }
        let widths = [codebook.n_features(), codebook.n_act()];
        if let Some([n_obs, n_act]) = members.iter().map(|m| m.widths()).find(|found| *found != widths) {
            return Err(Error::new(Kind::Mismatch, "the dimensions of the network and the memories differ")
                .expected(format!("observations of {}, actions of {}", widths[0], widths[1]))
                .found(format!("observations of {n_obs}, actions of {n_act}")));
        }
        if let Some(other) = members.iter().find(|m| m.architecture() != members[0].architecture()) {
            return Err(Error::new(Kind::Mismatch, "the members of the ensemble differ")
                .expected(format!("{:?}", members[0].architecture()))
                .found(format!("{:?}", other.architecture())));
        }
        let horizons = horizons(members);
        if neighbors > 1 && horizons.prediction > 1 {
            return refuse(
                "a policy that predicts a chunk of actions uses one neighbor",
                "--k",
                "1".into(),
                neighbors.to_string(),
            );
        }
        if constrain_at != ConstrainAt::Executed && codebook.horizon() < horizons.prediction {
            return Err(Error::new(
                Kind::Mismatch,
                "the network predicts more actions than the memories have",
            )
            .at("--constrain")
            .expected(format!("memories with {} actions each", horizons.prediction))
            .found(codebook.horizon().to_string())
            .next(
                "constrain actions when they are executed, or train with --constrain sampled or denoising",
            ));
        }
        Ok(())
    }
}
