//! One episode of a policy: observe, retrieve a memory, predict, constrain.

use std::{ops::Deref, sync::Arc};

use super::{Guard, Policy};
use crate::{
    act::{Acting, Decision},
    backbone,
    data::Step,
    envelope::{Activation, Envelope, Region},
    error::{Error, Kind, Result},
    memory::{Codebook, Retrieval, Scaled},
    seed::Seed,
};

/// One episode of a policy, with its buffers. Nothing is allocated after the first prediction.
#[derive(Debug)]
pub struct Session<'a> {
    pub(super) policy: Version<'a>,
    pub(super) state: Scaled,           // the newest observation
    pub(super) memory_action: Vec<f32>, // [prediction horizon, n_act], the memory's action and its future actions
    pub(super) last_memory: usize,      // the previously retrieved memory, where the next search starts
    pub(super) episode: backbone::Episode,
    pub(super) queue: Vec<f32>, // [execution horizon, n_act], constrained actions
    pub(super) constrained: Option<Constrained>, // of the last action; `None` before the first
    pub(super) guard: Option<Guard>,
    pub(super) last_in_distribution: Vec<f32>, // [n_act], under a guard: the last action in distribution; empty before the first
}

/// The policy of an episode: borrowed, or shared and replaceable ([`LivePolicy`]).
#[derive(Debug)]
pub(super) enum Version<'a> {
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
    /// ([`crate::calibration::OodCalibration::quantile`]); `None` without a calibration.
    pub quantile: Option<f32>,
    /// Whether the newest observation is OOD according to the guard.
    pub ood: bool,
    /// Whether the guard requests the end of the episode before this action is taken.
    pub stop: bool,
}

impl<'a> Session<'a> {
    pub(super) fn of(policy: Version<'a>, seed: Seed) -> Self {
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
    pub(super) fn predict(&mut self) -> Constrained {
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

/// Writes the mean action over the `k` nearest memories, weighted by exp(-d) (VINN), and returns the nearest memory.
fn mean_of_neighbors(codebook: &Codebook, state: &Scaled, k: usize, into: &mut [f32]) -> Retrieval {
    let near = codebook.retrieve_many(state, k);
    let unit = Envelope { lambda: 1.0, amplitude: 1.0, activation: Activation::Clamp };
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
