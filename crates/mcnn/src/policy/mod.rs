//! The policy: memories, a backbone and the envelope between them. A [`Policy`] is a value that never changes; an
//! episode is a [`Session`] on it.

mod explain;
mod guard;
mod live;

pub use crate::backbone::Backbone;
pub use explain::{
    Bucket, Buckets, Chunk, ChunkDimension, Dimension, Explanation, LIKELIEST, NearbyMemory, SAMPLES,
};
pub use guard::{Guard, GuardedPolicy, Response};
pub use live::LivePolicy;

use std::{ops::Deref, sync::Arc};

use crate::{
    act::{Act, Acting, Decision},
    backbone::{self, Architecture, Arrays},
    calibration::OodCalibration,
    data::Step,
    envelope::{Envelope, Region},
    error::{Error, Kind, Result},
    memory::{Codebook, Retrieval, Scaled},
    seed::Seed,
};

/// A policy: everything that acting and explaining need.
#[derive(Debug, Clone)]
pub struct Policy {
    codebook: Codebook,
    envelope: Envelope,
    backbone: Backbone,
    neighbors: usize,
    calibration: Option<OodCalibration>,
    encoder: Option<Arc<Arrays>>,
    training: TrainingRecord,
}

/// How a policy was trained, for people and for its file.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TrainingRecord {
    /// Gradient steps taken.
    pub steps: u64,
    /// The settings of the training run.
    pub settings: serde_json::Value,
    /// Source numbers of the episodes the network has not seen.
    pub validation_episodes: Vec<u32>,
    /// What was done to the memories since, in order. (Files of before that was possible have none.)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<String>,
}

impl Policy {
    /// Puts a policy together. `neighbors` is 1 for the method; above 1 the memory action is the mean over that
    /// many nearest memories, weighted by exp(-d) (VINN, Pari et al., 2021), and the policy is no longer exactly the
    /// memory on a memory.
    ///
    /// # Errors
    /// If the envelope's knobs are out of range, the backbone's widths are not the codebook's, or there is no backbone
    /// though lambda is not 0.
    pub fn new(codebook: Codebook, envelope: Envelope, backbone: Backbone, neighbors: usize) -> Result<Self> {
        if let Some(fault) = envelope.fault() {
            return Err(Error::new(Kind::Settings, fault)
                .at("--lambda, --amplitude")
                .found(format!("lambda {}, L {}", envelope.lambda, envelope.amplitude)));
        }
        if neighbors == 0 || neighbors > codebook.len() {
            return Err(Error::new(Kind::Settings, "neighbors out of range")
                .at("--k")
                .expected(format!("1 to {}, the number of memories", codebook.len()))
                .found(neighbors.to_string()));
        }
        match backbone.widths() {
            None if envelope.lambda != 0.0 => {
                return Err(Error::new(Kind::Settings, "a policy without a network needs lambda 0")
                    .found(format!("lambda {}", envelope.lambda)));
            }
            Some([first, last]) if [first, last] != [codebook.n_obs(), codebook.n_act()] => {
                return Err(Error::new(Kind::Mismatch, "the network and the memories have other widths")
                    .expected(format!("{} to {}", codebook.n_obs(), codebook.n_act()))
                    .found(format!("{first} to {last}")));
            }
            _ => {}
        }
        if neighbors > 1 && backbone.horizons().prediction > 1 {
            return Err(Error::new(Kind::Settings, "a policy that acts ahead is held by one memory")
                .at("--k")
                .expected("1")
                .found(neighbors.to_string()));
        }
        if codebook.horizon() < backbone.horizons().prediction {
            return Err(Error::new(Kind::Mismatch, "the network acts further ahead than the memories go")
                .expected(format!("memories with {} actions each", backbone.horizons().prediction))
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

    /// The same policy with a note of how it was trained.
    pub fn with_training_record(self, training: TrainingRecord) -> Self {
        Self { training, ..self }
    }

    /// The same policy with other memories: the network has not learned to be held by them, but they hold it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_codebook(self, codebook: Codebook) -> Result<Self> {
        let Self { envelope, backbone, neighbors, calibration, encoder, training, .. } = self;
        let policy = Self::new(codebook, envelope, backbone, neighbors)?;
        Ok(policy.with_calibration(calibration).with_encoder(encoder).with_training_record(training))
    }

    /// The same policy with a calibration of its distances, or with none.
    pub fn with_calibration(self, calibration: Option<OodCalibration>) -> Self {
        Self { calibration, ..self }
    }

    /// The same policy carrying the weights of the encoder that embeds its frames, or none. Nothing here looks at them.
    pub fn with_encoder(self, encoder: Option<Arc<Arrays>>) -> Self {
        Self { encoder, ..self }
    }

    /// The weights of the encoder that it carries: every tensor by its name, of the network that its codebook's encoding
    /// names. Acting on frames is `vision::EncodedPolicy`'s.
    pub fn encoder(&self) -> Option<&Arc<Arrays>> {
        self.encoder.as_ref()
    }

    /// How far is far, where that was calibrated.
    pub fn calibration(&self) -> Option<&OodCalibration> {
        self.calibration.as_ref()
    }

    /// How it was trained.
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

    /// What proposes.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// Memories whose actions are averaged; 1 is the method.
    pub fn neighbors(&self) -> usize {
        self.neighbors
    }

    /// What this policy is called in the literature, from its settings.
    pub fn name(&self) -> String {
        let activation = match self.envelope.activation {
            crate::envelope::Activation::Clamp => "clamp",
            crate::envelope::Activation::Tanh => "tanh",
        };
        match (self.envelope.lambda, self.neighbors) {
            (0.0, 1) => "1-NN".into(),
            (0.0, k) => format!("VINN (k = {k})"),
            (lambda, _) => {
                let (held, plain) = match self.backbone.architecture() {
                    Some(Architecture::Diffusion(_)) => ("MCNN-Diffusion", "Diffusion-BC"),
                    Some(Architecture::Bet(_)) => ("MCNN-BeT", "BeT-BC"),
                    Some(Architecture::Unet(_)) => ("MCNN-Diffusion (U-Net)", "Diffusion-BC (U-Net)"),
                    Some(Architecture::Mlp) | None => ("MCNN", "cloning"),
                };
                if lambda == f32::INFINITY {
                    format!("{plain}, {activation}")
                } else {
                    format!("{held}, {activation}, lambda {lambda:.3}")
                }
            }
        }
    }

    /// Starts an episode; of a backbone that draws its proposals, the one of seed 0.
    pub fn session(&self) -> Session<'_> {
        self.session_with_seed(Seed(0))
    }

    /// Starts an episode. `seed` decides whatever is random in acting.
    pub fn session_with_seed(&self, seed: Seed) -> Session<'_> {
        Session::of(Version::Borrowed(self), seed)
    }
}

/// One episode of a policy: the buffers it acts with. Nothing is allocated from the second action on (of a policy that acts
/// ahead, from the second proposal on).
#[derive(Debug)]
pub struct Session<'a> {
    policy: Version<'a>,
    state: Scaled,           // the newest observation
    memory_action: Vec<f32>, // [horizon, n_act], the memory's action and those that followed it
    last: usize,             // the last memory retrieval: where the next search begins
    episode: backbone::Episode,
    queue: Vec<f32>,           // [executed, n_act], held actions
    held: Option<Constrained>, // what held them; `ahead` is that of the action given last
    guard: Option<Guard>,
    last_in_distribution: Vec<f32>, // [n_act], under a guard: the last action in distribution; empty before the first
}

/// The policy of an episode: one that outlives it, or one that is shared and can be exchanged.
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

/// What held an action: the memory it is near, and the region around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constrained {
    /// The nearest memory and its distance.
    pub retrieval: Retrieval,
    /// The demonstrated step that memory comes from.
    pub source: Step,
    /// The permissible region at that distance.
    pub region: Region,
    /// Of a policy that acts ahead: steps since the state that was recalled for. The action is held by the one that followed
    /// the memory by as many steps. 0 for all others.
    pub chunk_step: usize,
    /// The share in [0, 1] of calibrated states that are nearer to their memories than the newest observation, where there
    /// is a calibration ([`OodCalibration::quantile`]).
    pub quantile: Option<f32>,
    /// The newest observation is farther than the guard allows.
    pub ood: bool,
    /// The guard asks for the end of the episode, before this action.
    pub stop: bool,
}

impl<'a> Session<'a> {
    fn of(policy: Version<'a>, seed: Seed) -> Self {
        let horizons = policy.backbone.horizons();
        let n_act = policy.codebook.n_act();
        Session {
            state: policy.codebook.scaled_buffer(),
            memory_action: vec![0.0; horizons.prediction * n_act],
            last: 0,
            episode: backbone::Episode::new(seed.fork("proposals")),
            queue: vec![0.0; horizons.execution * n_act],
            held: None,
            guard: None,
            last_in_distribution: Vec::new(),
            policy,
        }
    }

    /// Acts: writes the action (`[n_act]`, within the permissible region) for an observation (`[n_obs]`, the data's
    /// own units) and says what held it. A policy that acts ahead goes on with what it proposed, until that is used up.
    /// Under a [`Guard`] that is not one to warn, the action of a state beyond is the guard's.
    ///
    /// # Errors
    /// If the observation has numbers that are NaN or infinite.
    ///
    /// # Panics
    /// If a width is wrong.
    pub fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Constrained> {
        let n_act = self.policy.codebook.n_act();
        assert_eq!(action.len(), n_act, "an action of another width than the policy's");
        self.observe(observation)?;
        let next = self.held.map_or(usize::MAX, |held| held.chunk_step + 1);
        let held = match self.held {
            Some(held) if next * n_act < self.queue.len() => Constrained { chunk_step: next, ..held },
            _ => self.propose(),
        };
        self.held = Some(held);
        action.copy_from_slice(&self.queue[held.chunk_step * n_act..][..n_act]);
        let calibration = self.policy.calibration.as_ref();
        if calibration.is_none() && self.guard.is_none() {
            return Ok(held);
        }
        // How far is asked of the newest observation, even where an older one was recalled for.
        let Retrieval { memory, distance } = if held.chunk_step == 0 {
            held.retrieval
        } else {
            self.policy.codebook.retrieve_from(&self.state, self.last)
        };
        let quantile = calibration.map(|calibration| calibration.quantile(distance) as f32);
        let [ood, stop] = self.apply_guard(memory, distance, action);
        Ok(Constrained { quantile, ood, stop, ..held })
    }

    /// Takes note of an observation (`[n_obs]`, the data's own units) without acting on it: one that came before acting
    /// began, for a policy that looks back.
    ///
    /// # Errors
    /// If it has numbers that are NaN or infinite.
    ///
    /// # Panics
    /// If its width is wrong.
    pub fn observe(&mut self, observation: &[f32]) -> Result<()> {
        let Policy { codebook, backbone, .. } = &*self.policy;
        assert_eq!(observation.len(), codebook.n_obs(), "an observation of another width than the policy's");
        if let Some(k) = observation.iter().position(|v| !v.is_finite()) {
            return Err(Error::new(Kind::Data, "an observation that cannot be acted on")
                .at(format!("dimension {k}"))
                .expected("finite numbers")
                .found(observation[k].to_string()));
        }
        codebook.scale(observation, &mut self.state);
        backbone.see(self.state.values(), &mut self.episode);
        Ok(())
    }

    /// Fills the queue with what is held of a proposal for the newest observation.
    fn propose(&mut self) -> Constrained {
        let Policy { codebook, envelope, backbone, neighbors, .. } = &*self.policy;
        let retrieval = if *neighbors == 1 {
            let retrieval = codebook.retrieve_from(&self.state, self.last);
            self.last = retrieval.memory;
            for (ahead, to) in self.memory_action.chunks_exact_mut(codebook.n_act()).enumerate() {
                to.copy_from_slice(codebook.action_after(retrieval.memory, ahead));
            }
            retrieval
        } else {
            blend(codebook, &self.state, *neighbors, &mut self.memory_action)
        };
        let region = envelope.region(retrieval.distance);
        let memory_action = &self.memory_action;
        let hold = |k: usize, g: f32| region.constrain(memory_action[k], envelope.activation.apply(g));
        backbone.propose(&mut self.episode, &hold);
        for (k, f) in self.queue.iter_mut().enumerate() {
            *f = hold(k, self.episode.proposal().get(k).copied().unwrap_or(0.0));
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

/// Writes the mean action over the `k` nearest memories, weighted by exp(-d), and answers with the nearest. No policy that
/// acts ahead has several.
fn blend(codebook: &Codebook, state: &Scaled, k: usize, into: &mut [f32]) -> Retrieval {
    let near = codebook.retrieve_many(state, k);
    let unit = Envelope { lambda: 1.0, amplitude: 1.0, activation: crate::envelope::Activation::Clamp };
    // Distances are taken from the nearest one's: the weights' ratios are the same and far away they do not vanish.
    // (Two that are infinitely far are equally so.)
    let further = |d: f32| if d == near[0].distance { 0.0 } else { d - near[0].distance };
    let weights: Vec<f32> = near.iter().map(|r| unit.region(further(r.distance)).weight).collect();
    let total: f32 = weights.iter().sum();
    into.fill(0.0);
    for (r, w) in near.iter().zip(&weights) {
        into.iter_mut().zip(codebook.action(r.memory)).for_each(|(to, a)| *to += w / total * a);
    }
    into.iter_mut().for_each(|a| *a = a.clamp(-1.0, 1.0)); // a mean can round past 1 by its last place
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
        let held = Session::act(self, observation, action)?;
        Ok(Decision {
            distance: Some(held.retrieval.distance),
            weight: Some(held.region.weight),
            radius: Some(held.region.radius),
            memory: Some(held.retrieval.memory),
            quantile: held.quantile,
            ood: held.ood,
            stop: held.stop,
        })
    }
}
