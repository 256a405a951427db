//! Acting as a task's own expert advises.

use crate::{
    act::{Act, Acting, Decision},
    error::{Error, Kind, Result},
    seed::Seed,
};

/// Does what it is shown: an actor whose observation is the action that the task's own expert would take, for
/// [`demonstrate`](crate::eval::demonstrate). [`Noisy`](super::Noisy) puts noise on it as on any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advised {
    /// Numbers in an action.
    pub n_act: usize,
}

impl Act for Advised {
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

impl Acting for Advised {
    fn act(&mut self, advice: &[f32], action: &mut [f32]) -> Result<Decision> {
        if advice.len() != self.n_act || advice.iter().any(|a| !(-1.0..=1.0).contains(a)) {
            return Err(Error::new(Kind::Task, "the task's own expert gave no action")
                .expected(format!("{} numbers in [-1, 1]", self.n_act))
                .found(format!("{advice:?}")));
        }
        action.copy_from_slice(advice);
        Ok(Decision::default())
    }
}
