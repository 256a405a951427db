//! Buffers of gradient steps, shared by the members of an ensemble.

use std::sync::{Mutex, PoisonError};

use super::training_set::MiniBatch;
use crate::backbone::Workspace;

/// Buffers that threads take and give back: as many as were ever in use at once. One thread thus uses the same ones for all
/// members and micro-batches, and they stay in its cache.
#[derive(Default)]
pub struct Pool<T>(Mutex<Vec<T>>);

impl<T: Default> Pool<T> {
    /// Calls a function with the buffers that were given back last, or new ones. What they hold is arbitrary.
    pub fn with<R>(&self, call: impl FnOnce(&mut T) -> R) -> R {
        let mut buffers = self.free(|free| free.pop()).unwrap_or_default();
        let result = call(&mut buffers);
        self.free(|free| free.push(buffers));
        result
    }

    fn free<R>(&self, call: impl FnOnce(&mut Vec<T>) -> R) -> R {
        call(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The buffers of all steps of a run.
#[derive(Default)]
pub struct StepBuffers {
    /// Gradients of a step: `[micro-batches][parameters]`.
    pub gradients: Pool<Vec<Vec<f32>>>,
    /// The rows of a micro-batch, and the backbone's buffers.
    pub micro_batches: Pool<(MiniBatch, Workspace)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_by_one_at_a_time() {
        let pool = Pool::<Vec<u8>>::default();
        pool.with(|outer| {
            outer.push(1);
            pool.with(|inner| inner.push(2));
        });
        assert_eq!(pool.with(|buffers| buffers.clone()), [1], "the last that was given back");
        assert_eq!(pool.0.lock().unwrap().len(), 2);
    }
}
