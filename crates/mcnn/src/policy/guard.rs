//! The out-of-distribution (OOD) guard: what a policy does in states that are far from all its memories.

use serde::{Deserialize, Serialize};

use super::{Policy, Session};
use crate::{
    act::{Act, Acting},
    seed::Seed,
};

/// What to do in an OOD state, one whose nearest memory is farther than the guard's threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    /// Take the policy's action and report the state as OOD.
    Warn,
    /// Repeat the last action taken in an in-distribution state until the state is in distribution again; the memory's
    /// action if there was none yet. A repeated action lies in the permissible region of the state it was first taken in.
    Hold,
    /// Take the nearest memory's action. It lies in the permissible region if L is at least 1.
    Memory,
    /// Request the end of the episode; the action is the nearest memory's.
    Stop,
}

/// An OOD guard: a distance threshold and the response above it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guard {
    /// The response to an OOD state.
    pub response: Response,
    /// The largest in-distribution distance to the nearest memory, in standardized units.
    /// [`crate::calibration::OodCalibration::threshold`] computes one.
    pub threshold: f32,
}

impl Guard {
    /// Whether a state at this distance to its nearest memory is OOD. A NaN distance is.
    pub fn is_ood(&self, distance: f32) -> bool {
        let is_near = distance <= self.threshold; // false for NaN
        !is_near
    }
}

/// A policy with a guard on every episode.
#[derive(Debug, Clone, Copy)]
pub struct GuardedPolicy<'a> {
    policy: &'a Policy,
    guard: Guard,
}

impl Policy {
    /// This policy with a guard on every episode.
    pub fn guarded(&self, guard: Guard) -> GuardedPolicy<'_> {
        GuardedPolicy { policy: self, guard }
    }
}

impl Act for GuardedPolicy<'_> {
    fn n_obs(&self) -> usize {
        self.policy.n_obs()
    }

    fn n_act(&self) -> usize {
        self.policy.n_act()
    }

    fn acts_in_data_units(&self) -> bool {
        self.policy.acts_in_data_units()
    }

    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(self.policy.session_with_seed(seed).guarded(self.guard))
    }
}

impl Session<'_> {
    /// The same episode with a guard from the next action on.
    pub fn guarded(mut self, guard: Guard) -> Self {
        self.set_guard(Some(guard));
        self
    }

    /// Sets the guard, or takes it away, from the next action on.
    pub fn set_guard(&mut self, guard: Option<Guard>) {
        self.guard = guard;
        self.last_in_distribution.reserve(self.policy.codebook().n_act());
    }

    /// Replaces the action (in the data's units) as the guard prescribes, in a state whose nearest memory is `memory` at `distance`. Returns
    /// whether the state is OOD and whether the episode should stop.
    pub(super) fn apply_guard(&mut self, memory: usize, distance: f32, action: &mut [f32]) -> [bool; 2] {
        let Some(guard) = self.guard else { return [false; 2] };
        if !guard.is_ood(distance) {
            self.note_in_distribution(action);
            return [false; 2];
        }
        if guard.response != Response::Warn && !self.repeats_last(guard.response, action) {
            let codebook = &self.policy.codebook;
            let of_memory = match self.policy.neighbors() > 1 {
                true => &self.memory_action,
                false => codebook.action(memory),
            };
            for (k, (to, from)) in action.iter_mut().zip(of_memory).enumerate() {
                *to = codebook.units().action_value(k, *from, &self.base);
            }
        }
        [true, guard.response == Response::Stop]
    }

    /// Notes an action in distribution, for [`Response::Hold`].
    pub(super) fn note_in_distribution(&mut self, action: &[f32]) {
        self.last_in_distribution.clear();
        self.last_in_distribution.extend_from_slice(action);
    }

    /// Replaces an action in an OOD state by the last one in distribution, if the response is to hold and there was one.
    pub(super) fn repeats_last(&self, response: Response, action: &mut [f32]) -> bool {
        let repeats = response == Response::Hold && !self.last_in_distribution.is_empty();
        if repeats {
            action.copy_from_slice(&self.last_in_distribution);
        }
        repeats
    }
}
