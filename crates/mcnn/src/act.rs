//! Whatever acts: a scripted expert, a remote server and an MCNN policy look the same from here.

use crate::{error::Result, seed::Seed};

/// Something that can act in episodes. It is shared by threads; all that changes lives in its [`Acting`] sessions.
pub trait Act: Sync {
    /// How many numbers an observation has.
    fn n_obs(&self) -> usize;
    /// How many numbers an action has.
    fn n_act(&self) -> usize;
    /// Starts an episode. `seed` decides whatever is random in acting.
    fn start(&self, seed: Seed) -> Box<dyn Acting + '_>;
}

/// One episode of acting.
pub trait Acting {
    /// Writes the action for an observation and says how it came about.
    ///
    /// `observation`: `[n_obs]`, in the task's own units; `action`: `[n_act]`, each in [-1, 1].
    ///
    /// # Errors
    /// If the observation cannot be acted on (NaN, say), or whatever acts has failed.
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Decision>;

    /// The last action as it was meant, before noise was put on it, for recordings: `[n_act]`. `None` where there is
    /// no noise.
    fn intended(&self) -> Option<&[f32]> {
        None
    }

    /// What the last observation was made into before it was acted on; `None` where it was acted on as it was.
    fn embedded_observation(&self) -> Option<EmbeddedObservation<'_>> {
        None
    }
}

// A borrowed actor acts as well as an owned one.
impl<A: Act + ?Sized> Act for &A {
    fn n_obs(&self) -> usize {
        (**self).n_obs()
    }

    fn n_act(&self) -> usize {
        (**self).n_act()
    }

    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        (**self).start(seed)
    }
}

/// An observation as it was acted on, where that is not as it came: the embedding of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EmbeddedObservation<'a> {
    /// The state that was acted on.
    pub embedding: &'a [f32],
    /// Microseconds that making it took; they are part of what the action took.
    pub micros: f32,
}

/// How an action came about, where whatever acts can say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Decision {
    /// Standardized distance to the nearest memory.
    pub distance: Option<f32>,
    /// Weight of the memory in the action, in [0, 1].
    pub weight: Option<f32>,
    /// Half-width of the region that held the action.
    pub radius: Option<f32>,
    /// The nearest memory, by its number in the codebook.
    pub memory: Option<usize>,
    /// The share in [0, 1] of calibrated states that are nearer to their memories than this one.
    pub quantile: Option<f32>,
    /// The state is farther than a guard allows.
    pub ood: bool,
    /// A guard wants the episode ended before this action is taken.
    pub stop: bool,
}
