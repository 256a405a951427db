//! The policy: memories, a backbone, and the envelope that combines them. A [`Policy`] is immutable; a [`Session`] is one
//! episode of it.

mod chunk;
mod constraint;
mod explain;
mod guard;
mod live;
mod predict;
mod session;

pub use constraint::{ActingSettings, Combine, ConstrainAt};
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
    envelope::{Activation, Envelope, Form},
    error::{Error, Kind, Result},
    memory::Codebook,
    seed::Seed,
};
use session::Version;

/// A policy: everything needed to act and to explain actions.
#[derive(Debug, Clone)]
pub struct Policy {
    codebook: Arc<Codebook>, // shared by the versions of a policy and by a training run
    members: Vec<Network>,   // of one architecture; empty for a policy without a network
    codes: Vec<Arc<[f32]>>, // [members], the memories as the members encode them; empty arrays if they do not see memories
    acting: ActingSettings,
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
    /// Creates a policy with one network or none, whose actions are constrained at every denoising step, as in the paper.
    /// `neighbors` is 1 for MCNN ([`ActingSettings::neighbors`]).
    ///
    /// # Errors
    /// As [`ensemble`](Self::ensemble).
    pub fn new(
        codebook: impl Into<Arc<Codebook>>,
        envelope: Envelope,
        backbone: impl Into<Option<Network>>,
        neighbors: usize,
    ) -> Result<Self> {
        let backbone: Option<Network> = backbone.into();
        let acting = ActingSettings { envelope, neighbors, ..ActingSettings::default() };
        Self::ensemble(codebook, backbone.into_iter().collect(), acting)
    }

    /// Creates a policy of several networks that act together; none for 1-NN and VINN.
    ///
    /// # Errors
    /// If a setting is out of range, the members are not of one architecture, their dimensions and those of the codebook
    /// differ, whole chunks are constrained and the memories have fewer future actions than the members predict, or there
    /// is no member although lambda is not 0.
    pub fn ensemble(
        codebook: impl Into<Arc<Codebook>>,
        members: Vec<Network>,
        acting: ActingSettings,
    ) -> Result<Self> {
        let codebook = codebook.into();
        acting.validate(&codebook, &members)?;
        let code = |network: &Network| match network.settings().retrieval() {
            Some(_) => {
                network.encode_memories(&codebook.standardized_states(), &codebook.parts().actions).into()
            }
            None => [].into(),
        };
        let codes = members.iter().map(code).collect();
        Ok(Self {
            codebook,
            members,
            codes,
            acting,
            calibration: None,
            encoder: None,
            training: TrainingRecord::default(),
        })
    }

    /// The same policy with other settings of acting. The networks stay, also if they were trained with others.
    ///
    /// # Errors
    /// As [`ensemble`](Self::ensemble).
    pub fn with_acting_settings(self, acting: ActingSettings) -> Result<Self> {
        acting.validate(&self.codebook, &self.members)?;
        Ok(Self { acting, ..self })
    }

    /// 1-NN or VINN (`neighbors` above 1) with this policy's memories.
    ///
    /// # Errors
    /// If `neighbors` is 0.
    pub fn memories_alone(&self, neighbors: usize) -> Result<Self> {
        let acting = ActingSettings {
            envelope: Envelope { lambda: 0.0, ..self.acting.envelope },
            neighbors,
            constrain_at: ConstrainAt::Executed,
            combine: Combine::Mean,
            retrieved: None,
        };
        Self::ensemble(self.codebook.clone(), Vec::new(), acting)
    }

    /// The same policy with the first `count` of its networks.
    ///
    /// # Errors
    /// If there are fewer, or `count` is 0.
    pub fn with_first_members(mut self, count: usize) -> Result<Self> {
        if count == 0 || count > self.members.len() {
            return Err(Error::new(Kind::Settings, "the number of networks is out of range")
                .at("--members")
                .expected(format!("1 to {}", self.members.len()))
                .found(count.to_string()));
        }
        self.members.truncate(count);
        self.codes.truncate(count);
        Ok(self)
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
        let Self { members, acting, calibration, encoder, training, .. } = self;
        let policy = Self::ensemble(codebook, members, acting)?;
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
        self.acting.envelope
    }

    /// How it acts: what can be changed without training ([`with_acting_settings`](Self::with_acting_settings)).
    pub fn acting_settings(&self) -> ActingSettings {
        self.acting
    }

    /// The network, or the first of several; `None` for a policy without one (1-NN, VINN).
    pub fn backbone(&self) -> Option<&Network> {
        self.members.first()
    }

    /// The networks: one, those of an ensemble, or none.
    pub fn members(&self) -> &[Network] {
        &self.members
    }

    /// Memories that the network predicts from; 0 for a network that does not see memories.
    pub fn retrieved(&self) -> usize {
        let own = self.backbone().and_then(|network| network.settings().retrieval());
        own.map_or(0, |counts| self.acting.retrieved.unwrap_or(counts.act).min(self.codebook.len()))
    }

    /// The observation, prediction and execution horizon of the network; 1 each without one.
    pub fn horizons(&self) -> Horizons {
        horizons(&self.members)
    }

    /// Whether two actions for the same observations can differ.
    pub fn is_stochastic(&self) -> bool {
        let drawn = self.members.len() > 1 && self.acting.combine == Combine::Member;
        drawn || self.members.iter().any(|network| network.is_stochastic())
    }

    /// Whether it acts on the mean of several networks.
    fn acts_on_mean(&self) -> bool {
        self.members.len() > 1 && self.acting.combine == Combine::Mean
    }

    /// Memories averaged into the memory action: 1 for MCNN, above 1 for VINN.
    pub fn neighbors(&self) -> usize {
        self.acting.neighbors
    }

    /// The name of the method in the literature, with the main settings.
    pub fn name(&self) -> String {
        let Envelope { lambda, activation, form, .. } = self.acting.envelope;
        let Some(backbone) = self.backbone() else {
            return match self.acting.neighbors {
                1 => "1-NN".into(),
                k => format!("VINN (k = {k})"),
            };
        };
        let activation = match activation {
            Activation::Clamp => "clamp",
            Activation::Tanh => "tanh",
        };
        let [constrained, alone] = backbone.settings().method_names();
        let members = match self.members.len() {
            1 => String::new(),
            n => format!(", {n} members"),
        };
        match (lambda, form) {
            (f32::INFINITY, _) => format!("{alone}, {activation}{members}"),
            (_, Form::Mix) => format!("{constrained}, {activation}, lambda {lambda:.3}{members}"),
            (_, Form::Project) => format!("{constrained}, projected, lambda {lambda:.3}{members}"),
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

/// The horizons of the members; of single steps without one.
fn horizons(members: &[Network]) -> Horizons {
    members.first().map_or(Horizons::SINGLE, |network| network.settings().horizons())
}

impl Act for Policy {
    fn n_obs(&self) -> usize {
        self.codebook.n_obs()
    }

    fn n_act(&self) -> usize {
        self.codebook.n_act()
    }

    fn acts_in_data_units(&self) -> bool {
        !self.codebook.units().is_identity()
    }

    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(self.session_with_seed(seed))
    }
}
