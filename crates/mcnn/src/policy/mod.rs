//! The policy: memories, a backbone, and the envelope that combines them. A [`Policy`] is immutable; a [`Session`] is one
//! episode of it.

mod explain;
mod guard;
mod live;

pub use explain::{
    Bucket, Buckets, Chunk, ChunkDimension, Dimension, Explanation, LIKELIEST, NearbyMemory, SAMPLES,
};
pub use guard::{Guard, GuardedPolicy, Response};
pub use live::LivePolicy;

use std::{ops::Deref, sync::Arc};

use crate::{
    act::{Act, Acting, Decision},
    backbone::{self, Arrays, Horizons, Network},
    calibration::OodCalibration,
    data::Step,
    envelope::{Envelope, Region},
    error::{Error, Kind, Result},
    memory::{Codebook, Retrieval, Scaled},
    seed::Seed,
};

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
            crate::envelope::Activation::Clamp => "clamp",
            crate::envelope::Activation::Tanh => "tanh",
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

/// One episode of a policy, with its buffers. Nothing is allocated after the first prediction.
#[derive(Debug)]
pub struct Session<'a> {
    policy: Version<'a>,
    state: Scaled,           // the newest observation
    memory_action: Vec<f32>, // [prediction horizon, n_act], the memory's action and its future actions
    last_memory: usize,      // the previously retrieved memory, where the next search starts
    episode: backbone::Episode,
    queue: Vec<f32>,                  // [execution horizon, n_act], constrained actions
    constrained: Option<Constrained>, // of the last action; `None` before the first
    guard: Option<Guard>,
    last_in_distribution: Vec<f32>, // [n_act], under a guard: the last action in distribution; empty before the first
}

/// The policy of an episode: borrowed, or shared and replaceable ([`LivePolicy`]).
#[derive(Debug)]
enum Version<'a> {
    Borrowed(&'a Policy),
    Shared(Arc<Policy>),
}

impl Deref for Version<'_> {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        match self {
            Version::Borrowed(policy) => policy,
            Version::Shared(policy) => policy,
        }
    }
}

/// How an action was constrained: the retrieved memory and the permissible region.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constrained {
    /// The nearest memory and its distance to the observation for which the chunk was predicted.
    pub retrieval: Retrieval,
    /// The demonstrated step of that memory.
    pub source: Step,
    /// The permissible region at that distance.
    pub region: Region,
    /// The index of the action in its chunk: steps since the observation for which the chunk was predicted. The action is
    /// constrained by the memory's future action of the same index. Always 0 for an execution horizon of 1.
    pub chunk_step: usize,
    /// The share in [0, 1] of calibration states that are nearer to their memories than the newest observation
    /// ([`OodCalibration::quantile`]); `None` without a calibration.
    pub quantile: Option<f32>,
    /// Whether the newest observation is OOD according to the guard.
    pub ood: bool,
    /// Whether the guard requests the end of the episode before this action is taken.
    pub stop: bool,
}

impl<'a> Session<'a> {
    fn of(policy: Version<'a>, seed: Seed) -> Self {
        let horizons = policy.horizons();
        let n_act = policy.codebook.n_act();
        Session {
            state: policy.codebook.scaled_buffer(),
            memory_action: vec![0.0; horizons.prediction * n_act],
            last_memory: 0,
            episode: backbone::Episode::new(seed.fork("proposals")),
            queue: vec![0.0; horizons.execution * n_act],
            constrained: None,
            guard: None,
            last_in_distribution: Vec::new(),
            policy,
        }
    }

    /// Writes the action (`[n_act]`, in the permissible region) for an observation (`[n_obs]`, in the data's units) and returns
    /// how it was constrained. A policy that predicts chunks predicts a new one when the current one has been executed. In an
    /// OOD state a [`Guard`] replaces the action, unless its response is to warn.
    ///
    /// # Errors
    /// If the observation has values that are NaN or infinite.
    ///
    /// # Panics
    /// If the observation or the action has the wrong length.
    pub fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Constrained> {
        let n_act = self.policy.codebook.n_act();
        assert_eq!(action.len(), n_act, "the action has another length than the policy's");
        self.observe(observation)?;
        let next = self.constrained.map_or(usize::MAX, |last| last.chunk_step + 1);
        let constrained = match self.constrained {
            Some(last) if next * n_act < self.queue.len() => Constrained { chunk_step: next, ..last },
            _ => self.predict(),
        };
        self.constrained = Some(constrained);
        action.copy_from_slice(&self.queue[constrained.chunk_step * n_act..][..n_act]);
        let calibration = self.policy.calibration.as_ref();
        if calibration.is_none() && self.guard.is_none() {
            return Ok(constrained);
        }
        // OOD detection uses the newest observation, also within a chunk predicted for an older one.
        let Retrieval { memory, distance } = if constrained.chunk_step == 0 {
            constrained.retrieval
        } else {
            self.policy.codebook.retrieve_from(&self.state, self.last_memory)
        };
        let quantile = calibration.map(|calibration| calibration.quantile(distance) as f32);
        let [ood, stop] = self.apply_guard(memory, distance, action);
        Ok(Constrained { quantile, ood, stop, ..constrained })
    }

    /// Adds an observation (`[n_obs]`, in the data's units) to the history without acting, for observations before the first
    /// action.
    ///
    /// # Errors
    /// If it has values that are NaN or infinite.
    ///
    /// # Panics
    /// If it has the wrong length.
    pub fn observe(&mut self, observation: &[f32]) -> Result<()> {
        let Policy { codebook, backbone, .. } = &*self.policy;
        assert_eq!(
            observation.len(),
            codebook.n_obs(),
            "the observation has another length than the policy's"
        );
        if let Some(k) = observation.iter().position(|v| !v.is_finite()) {
            return Err(Error::new(Kind::Data, "the observation is invalid")
                .at(format!("dimension {k}"))
                .expected("finite values")
                .found(observation[k].to_string()));
        }
        codebook.scale(observation, &mut self.state);
        if let Some(backbone) = backbone {
            self.episode.observe(&**backbone, self.state.values());
        }
        Ok(())
    }

    /// Predicts actions for the newest observation and fills the queue with the constrained ones.
    fn predict(&mut self) -> Constrained {
        let Policy { codebook, envelope, backbone, neighbors, .. } = &*self.policy;
        let retrieval = if *neighbors == 1 {
            let retrieval = codebook.retrieve_from(&self.state, self.last_memory);
            self.last_memory = retrieval.memory;
            for (ahead, to) in self.memory_action.chunks_exact_mut(codebook.n_act()).enumerate() {
                to.copy_from_slice(codebook.action_after(retrieval.memory, ahead));
            }
            retrieval
        } else {
            mean_of_neighbors(codebook, &self.state, *neighbors, &mut self.memory_action)
        };
        let region = envelope.region(retrieval.distance);
        let memory_action = &self.memory_action;
        let constrain = |k: usize, g: f32| region.constrain(memory_action[k], envelope.activation.apply(g));
        if let Some(backbone) = backbone {
            self.episode.predict(&**backbone, &constrain);
        }
        for (k, f) in self.queue.iter_mut().enumerate() {
            *f = constrain(k, self.episode.network_output().get(k).copied().unwrap_or(0.0));
        }
        Constrained {
            retrieval,
            source: codebook.source(retrieval.memory),
            region,
            chunk_step: 0,
            quantile: None,
            ood: false,
            stop: false,
        }
    }
}

fn horizons(backbone: &Option<Network>) -> Horizons {
    backbone.as_ref().map_or(Horizons::SINGLE, |backbone| backbone.settings().horizons())
}

/// Writes the mean action over the `k` nearest memories, weighted by exp(-d) (VINN), and returns the nearest memory.
fn mean_of_neighbors(codebook: &Codebook, state: &Scaled, k: usize, into: &mut [f32]) -> Retrieval {
    let near = codebook.retrieve_many(state, k);
    let unit = Envelope { lambda: 1.0, amplitude: 1.0, activation: crate::envelope::Activation::Clamp };
    // Distances are relative to the nearest memory's: the ratios of the weights stay, and no weight sum underflows to 0. The
    // difference of two infinite distances is 0.
    let excess = |d: f32| if d == near[0].distance { 0.0 } else { d - near[0].distance };
    let weights: Vec<f32> = near.iter().map(|r| unit.region(excess(r.distance)).weight).collect();
    let total: f32 = weights.iter().sum();
    into.fill(0.0);
    for (r, w) in near.iter().zip(&weights) {
        into.iter_mut().zip(codebook.action(r.memory)).for_each(|(to, a)| *to += w / total * a);
    }
    into.iter_mut().for_each(|a| *a = a.clamp(-1.0, 1.0)); // the mean can exceed 1 by rounding
    near[0]
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

impl Acting for Session<'_> {
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Decision> {
        let constrained = Session::act(self, observation, action)?;
        Ok(Decision {
            distance: Some(constrained.retrieval.distance),
            weight: Some(constrained.region.weight),
            radius: Some(constrained.region.radius),
            memory: Some(constrained.retrieval.memory),
            quantile: constrained.quantile,
            ood: constrained.ood,
            stop: constrained.stop,
        })
    }
}
