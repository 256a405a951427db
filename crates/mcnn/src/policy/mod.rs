//! The policy: memories, a backbone, and the envelope that combines them. A [`Policy`] is immutable; a [`Session`] is one
//! episode of it.

mod explain;
mod guard;
mod live;
mod session;

pub use explain::{
    Bucket, Buckets, Chunk, ChunkDimension, Dimension, Explanation, LIKELIEST, NearbyMemory, SAMPLES,
};
pub use guard::{Guard, GuardedPolicy, Response};
pub use live::LivePolicy;
pub use session::{Constrained, Session};

use std::sync::Arc;

use crate::{
    act::{Act, Acting},
    backbone::{Arrays, Horizons, Network},
    calibration::OodCalibration,
    envelope::{Activation, Envelope},
    error::{Error, Kind, Result},
    memory::Codebook,
    seed::Seed,
};
use session::Version;

/// A policy: everything needed to act and to explain actions.
#[derive(Debug, Clone)]
pub struct Policy {
    codebook: Codebook,
    envelope: Envelope,
    backbone: Option<Network>,
    neighbors: usize,
    calibration: Option<OodCalibration>,
    encoder: Option<Arc<Arrays>>,
    training: TrainingRecord,
}

/// How a policy was trained and edited: documentation, stored in its file.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TrainingRecord {
    /// Gradient steps taken.
    pub steps: u64,
    /// The settings of the training run.
    pub settings: serde_json::Value,
    /// The numbers, in the source data, of the validation episodes: the network was not trained on them.
    pub validation_episodes: Vec<u32>,
    /// Descriptions of the edits of the memories after training, in order. Missing in files without edits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<String>,
}

impl Policy {
    /// Creates a policy. `neighbors` is 1 for MCNN. Above 1 the memory action is the mean over that many nearest memories,
    /// weighted by exp(-d) (VINN; Pari et al., 2021), and in a memory's state the action is no longer exactly the memory's.
    ///
    /// # Errors
    /// If lambda, L or `neighbors` is out of range, the dimensions of the backbone and the codebook differ, the memories have
    /// fewer future actions than the backbone predicts, or there is no backbone although lambda is not 0.
    pub fn new(
        codebook: Codebook,
        envelope: Envelope,
        backbone: impl Into<Option<Network>>,
        neighbors: usize,
    ) -> Result<Self> {
        let backbone: Option<Network> = backbone.into();
        if let Err(fault) = envelope.validate() {
            return Err(Error::new(Kind::Settings, fault)
                .at("--lambda, --amplitude")
                .found(format!("lambda {}, L {}", envelope.lambda, envelope.amplitude)));
        }
        if neighbors == 0 || neighbors > codebook.len() {
            return Err(Error::new(Kind::Settings, "the number of neighbors is out of range")
                .at("--k")
                .expected(format!("1 to {}, the number of memories", codebook.len()))
                .found(neighbors.to_string()));
        }
        match backbone.as_ref().map(|backbone| backbone.widths()) {
            None if envelope.lambda != 0.0 => {
                return Err(Error::new(Kind::Settings, "a policy without a network needs lambda 0")
                    .found(format!("lambda {}", envelope.lambda)));
            }
            Some([first, last]) if [first, last] != [codebook.n_obs(), codebook.n_act()] => {
                return Err(Error::new(
                    Kind::Mismatch,
                    "the dimensions of the network and the memories differ",
                )
                .expected(format!("observations of {}, actions of {}", codebook.n_obs(), codebook.n_act()))
                .found(format!("observations of {first}, actions of {last}")));
            }
            _ => {}
        }
        let horizons = horizons(&backbone);
        if neighbors > 1 && horizons.prediction > 1 {
            return Err(Error::new(
                Kind::Settings,
                "a policy that predicts a chunk of actions uses one neighbor",
            )
            .at("--k")
            .expected("1")
            .found(neighbors.to_string()));
        }
        if codebook.horizon() < horizons.prediction {
            return Err(Error::new(
                Kind::Mismatch,
                "the network predicts more actions than the memories have",
            )
            .expected(format!("memories with {} actions each", horizons.prediction))
            .found(codebook.horizon().to_string()));
        }
        Ok(Self {
            codebook,
            envelope,
            backbone,
            neighbors,
            calibration: None,
            encoder: None,
            training: TrainingRecord::default(),
        })
    }

    /// The same policy with a training record.
    pub fn with_training_record(self, training: TrainingRecord) -> Self {
        Self { training, ..self }
    }

    /// The same policy with other memories. The network stays, although it was trained with the previous ones.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_codebook(self, codebook: Codebook) -> Result<Self> {
        let Self { envelope, backbone, neighbors, calibration, encoder, training, .. } = self;
        let policy = Self::new(codebook, envelope, backbone, neighbors)?;
        Ok(policy.with_calibration(calibration).with_encoder(encoder).with_training_record(training))
    }

    /// The same policy with an OOD calibration, or without one.
    pub fn with_calibration(self, calibration: Option<OodCalibration>) -> Self {
        Self { calibration, ..self }
    }

    /// The same policy with the weights of the encoder that embeds its camera frames, or without. The policy stores them
    /// unused.
    pub fn with_encoder(self, encoder: Option<Arc<Arrays>>) -> Self {
        Self { encoder, ..self }
    }

    /// The weights of the encoder, by tensor name; the codebook's encoding names the network. `vision::EncodedPolicy` acts on
    /// frames with them.
    pub fn encoder(&self) -> Option<&Arc<Arrays>> {
        self.encoder.as_ref()
    }

    /// The OOD calibration, if there is one.
    pub fn calibration(&self) -> Option<&OodCalibration> {
        self.calibration.as_ref()
    }

    /// How the policy was trained and edited.
    pub fn training_record(&self) -> &TrainingRecord {
        &self.training
    }

    /// The memories.
    pub fn codebook(&self) -> &Codebook {
        &self.codebook
    }

    /// The envelope.
    pub fn envelope(&self) -> Envelope {
        self.envelope
    }

    /// The network; `None` for a policy without one (1-NN, VINN).
    pub fn backbone(&self) -> Option<&Network> {
        self.backbone.as_ref()
    }

    /// The observation, prediction and execution horizon of the network; 1 each without one.
    pub fn horizons(&self) -> Horizons {
        horizons(&self.backbone)
    }

    /// Whether two actions for the same observations can differ.
    pub fn is_stochastic(&self) -> bool {
        self.backbone.as_ref().is_some_and(|backbone| backbone.is_stochastic())
    }

    /// Memories averaged into the memory action: 1 for MCNN, above 1 for VINN.
    pub fn neighbors(&self) -> usize {
        self.neighbors
    }

    /// The name of the method in the literature, with the main settings.
    pub fn name(&self) -> String {
        let activation = match self.envelope.activation {
            Activation::Clamp => "clamp",
            Activation::Tanh => "tanh",
        };
        match (self.envelope.lambda, self.neighbors) {
            (0.0, 1) => "1-NN".into(),
            (0.0, k) => format!("VINN (k = {k})"),
            (lambda, _) => {
                let backbone = self.backbone.as_ref().expect("a policy without a network has lambda 0");
                let [constrained, network] = backbone.settings().method_names();
                if lambda == f32::INFINITY {
                    format!("{network}, {activation}")
                } else {
                    format!("{constrained}, {activation}, lambda {lambda:.3}")
                }
            }
        }
    }

    /// Starts an episode with seed 0.
    pub fn session(&self) -> Session<'_> {
        self.session_with_seed(Seed(0))
    }

    /// Starts an episode. `seed` determines everything random in acting.
    pub fn session_with_seed(&self, seed: Seed) -> Session<'_> {
        Session::of(Version::Borrowed(self), seed)
    }
}

/// The horizons of a backbone; of single steps without one.
fn horizons(backbone: &Option<Network>) -> Horizons {
    backbone.as_ref().map_or(Horizons::SINGLE, |backbone| backbone.settings().horizons())
}

impl Act for Policy {
    fn n_obs(&self) -> usize {
        self.codebook.n_obs()
    }

    fn n_act(&self) -> usize {
        self.codebook.n_act()
    }

    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(self.session_with_seed(seed))
    }
}
