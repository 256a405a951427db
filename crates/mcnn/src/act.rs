//! The interface of all actors: MCNN policies, scripted experts, remote servers.

use crate::{error::Result, seed::Seed};

/// An actor. It is shared by threads; everything that changes in an episode is in its [`Acting`] session.
pub trait Act: Sync {
    /// The dimensions of an observation.
    fn n_obs(&self) -> usize;
    /// The dimensions of an action.
    fn n_act(&self) -> usize;
    /// Whether actions are in the units of the data that the actor learned from, instead of in [-1, 1].
    fn acts_in_data_units(&self) -> bool {
        false
    }
    /// Starts an episode. `seed` determines everything random in acting.
    fn start(&self, seed: Seed) -> Box<dyn Acting + '_>;
}

/// One episode of an actor.
pub trait Acting {
    /// Writes the action for an observation and returns how it was computed.
    ///
    /// `observation`: `[n_obs]`, in the task's units; `action`: `[n_act]`, in [-1, 1] or, if the actor
    /// [acts in the data's units](Act::acts_in_data_units), in those.
    ///
    /// # Errors
    /// If the observation is invalid (NaN, for example) or the actor has failed.
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Decision>;

    /// The last action before exploration noise was added, for recordings: `[n_act]`. `None` if there is no noise.
    fn intended(&self) -> Option<&[f32]> {
        None
    }

    /// The embedding of the last observation; `None` if the actor uses observations directly.
    fn embedded_observation(&self) -> Option<EmbeddedObservation<'_>> {
        None
    }
}

impl<A: Act + ?Sized> Act for &A {
    fn n_obs(&self) -> usize {
        (**self).n_obs()
    }

    fn n_act(&self) -> usize {
        (**self).n_act()
    }

    fn acts_in_data_units(&self) -> bool {
        (**self).acts_in_data_units()
    }

    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        (**self).start(seed)
    }
}

/// The embedding that an actor computed from an observation, for example a camera frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EmbeddedObservation<'a> {
    /// The embedding, which is the state of the policy.
    pub embedding: &'a [f32],
    /// The microseconds of the embedding; they are part of the latency of the action.
    pub micros: f32,
}

/// How an action was computed. An actor leaves out what it does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Decision {
    /// The distance to the nearest memory, in standardized units.
    pub distance: Option<f32>,
    /// The memory weight, in [0, 1].
    pub weight: Option<f32>,
    /// The radius of the permissible region.
    pub radius: Option<f32>,
    /// The nearest memory, by its number in the codebook.
    pub memory: Option<usize>,
    /// The share in [0, 1] of calibration states that are nearer to their memories than this state.
    pub quantile: Option<f32>,
    /// Whether the state is out of distribution (OOD) according to a guard.
    pub ood: bool,
    /// Whether a guard requests the end of the episode before this action is taken.
    pub stop: bool,
    /// Whether the action was predicted together with an earlier one, so that no network had to run for it.
    pub queued: bool,
}
