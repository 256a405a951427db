//! What a policy does where it is far from all it knows.

use serde::{Deserialize, Serialize};

use super::{Policy, Session};
use crate::{
    act::{Act, Acting},
    seed::Seed,
};

/// What to do in a state that is farther from its nearest memory than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    /// Act as ever, and say so.
    Warn,
    /// Repeat the last action that was given in a state near enough, until one is near enough again; the memory's action
    /// where there was none yet. An action held so lies in the region of the state it was first given in.
    Hold,
    /// Give the nearest memory's action. (It lies in the permissible region, where L is 1 or more.)
    Memory,
    /// Ask for the episode to be ended; the action is the memory's.
    Stop,
}

/// A response, and when it is due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guard {
    /// What to do.
    pub response: Response,
    /// The standardized distance beyond which it is due ([`crate::calibration::OodCalibration::threshold`] finds one).
    pub beyond: f32,
}

/// A policy whose every episode is guarded.
#[derive(Debug, Clone, Copy)]
pub struct Guarded<'a> {
    policy: &'a Policy,
    guard: Guard,
}

impl Policy {
    /// This policy with a guard on every episode.
    pub fn guarded(&self, guard: Guard) -> Guarded<'_> {
        Guarded { policy: self, guard }
    }
}

impl Act for Guarded<'_> {
    fn n_obs(&self) -> usize {
        self.policy.n_obs()
    }

    fn n_act(&self) -> usize {
        self.policy.n_act()
    }

    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(self.policy.session_of(seed).guarded(self.guard))
    }
}

impl Session<'_> {
    /// The same episode with a guard, from here on.
    pub fn guarded(self, guard: Guard) -> Self {
        Self { guard: Some(guard), ..self }
    }

    /// Changes the action as the guard says, in a state whose nearest memory is `memory` at `distance`; answers whether it
    /// is beyond, and whether to stop.
    pub(super) fn watch(&mut self, memory: usize, distance: f32, action: &mut [f32]) -> [bool; 2] {
        let Some(Guard { response, beyond }) = self.guard else { return [false; 2] };
        // A distance that is not a number is not near.
        if distance <= beyond {
            self.given.clear();
            self.given.extend_from_slice(action);
            return [false; 2];
        }
        match response {
            Response::Warn => {}
            Response::Hold if !self.given.is_empty() => action.copy_from_slice(&self.given),
            _ if self.policy.neighbors > 1 => action.copy_from_slice(&self.memory_action),
            Response::Hold | Response::Memory | Response::Stop => {
                action.copy_from_slice(self.policy.codebook.action(memory));
            }
        }
        [true, response == Response::Stop]
    }
}
