//! The task's own expert as an actor.

use crate::{
    act::{Act, Acting, Decision},
    error::{Error, Kind, Result},
    seed::Seed,
};

/// An actor that returns its observation, which is the action of the task's own expert, for
/// [`demonstrate`](crate::eval::demonstrate). [`Noisy`](super::Noisy) adds exploration noise to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskExpert {
    /// The dimensions of an action.
    pub n_act: usize,
}

impl Act for TaskExpert {
    fn n_obs(&self) -> usize {
        self.n_act
    }

    fn n_act(&self) -> usize {
        self.n_act
    }

    fn start(&self, _seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(*self)
    }
}

impl Acting for TaskExpert {
    fn act(&mut self, expert_action: &[f32], action: &mut [f32]) -> Result<Decision> {
        if expert_action.len() != self.n_act || expert_action.iter().any(|a| !(-1.0..=1.0).contains(a)) {
            return Err(Error::new(Kind::Task, "the task's own expert returned an invalid action")
                .expected(format!("{} values in [-1, 1]", self.n_act))
                .found(format!("{expert_action:?}")));
        }
        action.copy_from_slice(expert_action);
        Ok(Decision::default())
    }
}
