//! One episode of a policy: observe, retrieve a memory, predict, constrain.

use std::{ops::Deref, sync::Arc};

use super::{ConstrainAt, Guard, Policy};
use crate::{
    act::{Acting, Decision},
    backbone,
    data::Step,
    envelope::Region,
    error::{Error, Kind, Result},
    memory::{Retrieval, Scaled},
    seed::{Rng, Seed},
};

/// One episode of a policy, with its buffers. Nothing is allocated after the first action
/// (counted for every backbone by crates/mcnn-c/tests/allocations.rs).
#[derive(Debug)]
pub struct Session<'a> {
    pub(super) policy: Version<'a>,
    pub(super) state: Scaled,                    // the newest observation
    pub(super) memory_action: Vec<f32>, // [prediction horizon, n_act], the memory's action and its future actions
    pub(super) last_memory: usize,      // the previously retrieved memory, where the next search starts
    pub(super) members: Vec<backbone::Episode>, // of the networks
    pub(super) network_action: Vec<f32>, // [execution horizon, n_act], sigma(g), the mean over the members that act
    pub(super) variance: Vec<f32>, // [execution horizon, n_act], of sigma(g) over the members; empty if one acts alone
    pub(super) constrained: Option<Constrained>, // of the last action; `None` before the first
    pub(super) near: Vec<Retrieval>, // the nearest memories, where more than one is needed
    pub(super) guard: Option<Guard>,
    pub(super) last_in_distribution: Vec<f32>, // [n_act], under a guard: the last action in distribution; empty before the first
    pub(super) leave_out: Option<u32>,         // an episode whose memories do not exist
    pub(super) draw: Rng,                      // of the member that acts, if one acts alone
    pub(super) base: Vec<f32>, // [n_act], what actions at the newest observation are relative to; empty if all are absolute
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
    /// The nearest memory and its distance: to the newest observation or, if whole chunks are constrained
    /// ([`ConstrainAt`]), to that for which the chunk was predicted.
    pub retrieval: Retrieval,
    /// The demonstrated step of that memory.
    pub source: Step,
    /// The permissible region at that distance.
    pub region: Region,
    /// The index of the action in its chunk: steps since the observation for which the chunk was predicted. Always 0 for an
    /// execution horizon of 1. If whole chunks are constrained, the memory's future action of the same index constrains it.
    pub chunk_step: usize,
    /// The disagreement of an ensemble: the standard deviation over the members of their actions before they are
    /// constrained, as root mean square over the dimensions, in [0, 1]. `None` if one network acts alone.
    pub member_std: Option<f32>,
    /// The share in [0, 1] of calibration states that are nearer to their memories than the newest observation
    /// ([`crate::calibration::OodCalibration::quantile`]); `None` without a calibration.
    pub quantile: Option<f32>,
    /// Whether the newest observation is OOD according to the guard.
    pub ood: bool,
    /// Whether the guard requests the end of the episode before this action is taken.
    pub stop: bool,
}

impl Session<'static> {
    /// An episode that shares its policy and does not borrow it. `seed` determines everything random in acting.
    pub fn shared(policy: Arc<Policy>, seed: Seed) -> Self {
        Self::of(Version::Shared(policy), seed)
    }

    /// The seed of member `k` of the policy in a session of this seed. That of the first is the seed of a network alone.
    pub fn member_seed(seed: Seed, k: usize) -> Seed {
        match seed.fork("proposals") {
            seed if k == 0 => seed,
            seed => seed.fork("member").nth(k as u64),
        }
    }

    /// The seed of the draws of the acting member, one for every prediction, where members act alone.
    pub fn draw_seed(seed: Seed) -> Seed {
        seed.fork("acting member")
    }
}

impl<'a> Session<'a> {
    pub(super) fn of(policy: Version<'a>, seed: Seed) -> Self {
        let horizons = policy.horizons();
        let n_act = policy.codebook.n_act();
        let executed = horizons.execution * n_act;
        Session {
            state: policy.codebook.scaled_buffer(),
            memory_action: vec![0.0; horizons.prediction * n_act],
            last_memory: 0,
            members: (0..policy.members.len())
                .map(|k| backbone::Episode::new(Session::member_seed(seed, k)))
                .collect(),
            network_action: vec![0.0; executed],
            variance: if policy.acts_on_mean() { vec![0.0; executed] } else { Vec::new() },
            constrained: None,
            near: Vec::new(),
            guard: None,
            last_in_distribution: Vec::new(),
            leave_out: None,
            draw: Session::draw_seed(seed).rng(),
            base: vec![0.0; policy.codebook.units().relative_to().len()],
            policy,
        }
    }

    /// The same session without the memories of an episode (a number of the source data), as if it had not been demonstrated.
    /// If all memories are of that episode, they stay.
    pub fn leaving_out(self, episode: u32) -> Self {
        Self { leave_out: Some(episode), ..self }
    }

    /// Writes the action (`[n_act]`, in the permissible region) for an observation (`[n_obs]`), both in the data's units, and returns
    /// how it was constrained. A policy that predicts chunks predicts a new one when the current one has been executed. In an
    /// OOD state a [`Guard`] replaces the action, unless its response is to warn.
    ///
    /// # Errors
    /// If the observation has values that are NaN or infinite.
    ///
    /// # Panics
    /// If the observation or the action has the wrong length.
    pub fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Constrained> {
        let constrained = self.act_scaled(observation, action)?;
        let units = self.policy.codebook.units();
        action.iter_mut().enumerate().for_each(|(k, a)| *a = units.action_value(k, *a, &self.base));
        let calibration = self.policy.calibration.as_ref();
        if calibration.is_none() && self.guard.is_none() {
            return Ok(constrained);
        }
        // OOD detection uses the newest observation, also within a chunk constrained for an older one.
        let whole_chunks = self.policy.acting.constrain_at != ConstrainAt::Executed;
        let Retrieval { memory, distance } = if constrained.chunk_step > 0 && whole_chunks {
            self.policy.codebook.retrieve_from(&self.state, self.last_memory)
        } else {
            constrained.retrieval
        };
        let quantile = calibration.map(|calibration| calibration.quantile(distance) as f32);
        let [ood, stop] = self.apply_guard(memory, distance, action);
        Ok(Constrained { quantile, ood, stop, ..constrained })
    }

    /// The same with an action in [-1, 1] instead of the data's units, and without a guard.
    ///
    /// # Errors
    /// As [`act`](Self::act).
    ///
    /// # Panics
    /// As [`act`](Self::act).
    pub fn act_scaled(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Constrained> {
        let n_act = self.policy.codebook.n_act();
        assert_eq!(action.len(), n_act, "the action has another length than the policy's");
        self.observe(observation)?;
        let constrained = match self.constrained {
            Some(last) if (last.chunk_step + 1) * n_act < self.network_action.len() => self.advance(last),
            _ => self.predict(),
        };
        self.constrained = Some(constrained);
        self.write_action(&constrained, action);
        Ok(constrained)
    }

    /// The permissible region of the last action by dimension, `[n_act]` lower and upper bounds in the data's units. Empty before the
    /// first action.
    pub fn permissible_region(&self) -> Vec<[f32; 2]> {
        self.permissible_bounds().collect()
    }

    /// The same without an allocation.
    pub fn permissible_bounds(&self) -> impl Iterator<Item = [f32; 2]> {
        let units = self.policy.codebook.units();
        let n_act = self.policy.codebook.n_act();
        self.constrained.into_iter().flat_map(move |constrained| {
            let bounds = move |(k, (a, action)): (usize, (&f32, f32))| {
                // Of an angle, the bounds are on the turn of the action.
                let turns = units.turns(k, units.to_data(k, action, &self.base));
                constrained.region.bounds(*a).map(|bound| units.to_data(k, bound, &self.base) + turns)
            };
            let memory_action = &self.constraining_action(&constrained)[..n_act];
            memory_action.iter().zip(self.scaled_action(constrained)).enumerate().map(bounds)
        })
    }

    /// The memory's action, or future action, that constrains a step of the current chunk.
    fn constraining_action(&self, constrained: &Constrained) -> &[f32] {
        let n_act = self.policy.codebook.n_act();
        match self.policy.acting.constrain_at {
            ConstrainAt::Executed => &self.memory_action[..n_act],
            ConstrainAt::Sampled | ConstrainAt::Denoising => {
                &self.memory_action[constrained.chunk_step * n_act..]
            }
        }
    }

    /// The constrained action of a step of the current chunk, in [-1, 1].
    fn scaled_action(&self, constrained: Constrained) -> impl Iterator<Item = f32> {
        let (envelope, region) = (self.policy.acting.envelope, constrained.region);
        let n_act = self.policy.codebook.n_act();
        let network_action = &self.network_action[constrained.chunk_step * n_act..][..n_act];
        let memory_action = self.constraining_action(&constrained);
        network_action.iter().zip(memory_action).map(move |(s, a)| envelope.constrain(region, *a, *s))
    }

    /// Writes the constrained action of a step of the current chunk.
    pub(super) fn write_action(&self, constrained: &Constrained, action: &mut [f32]) {
        action.iter_mut().zip(self.scaled_action(*constrained)).for_each(|(to, value)| *to = value);
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
        let Policy { codebook, members, .. } = &*self.policy;
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
        codebook.units().write_base(observation, &mut self.base);
        for (episode, network) in self.members.iter_mut().zip(members) {
            episode.observe(&**network, self.state.values());
        }
        Ok(())
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
            queued: constrained.chunk_step > 0,
        })
    }
}
