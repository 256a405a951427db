//! Recorded steps before they are validated: in memory, or in a file that is read piece by piece.

use std::{borrow::Cow, ops::Range};

use super::Parts;

/// Calls a function with a table, in pieces of whole steps.
pub(super) type Each<'a> = dyn Fn(&mut dyn FnMut(&[f32])) + 'a;

/// Steps with actions in the source's units.
pub(super) trait RawSteps {
    /// The dimensions of a state and of an action.
    fn widths(&self) -> [usize; 2];

    /// Consecutive ranges of steps, of the size that is best read together.
    fn pieces(&self) -> Vec<Range<usize>>;

    /// States of a range: `[steps, n_obs]`.
    fn raw_states(&self, steps: Range<usize>) -> Cow<'_, [f32]>;

    /// Actions of a range: `[steps, n_act]`.
    fn raw_actions(&self, steps: Range<usize>) -> Cow<'_, [f32]>;

    /// All states, piece by piece.
    fn each_states(&self, f: &mut dyn FnMut(&[f32])) {
        self.pieces().into_iter().for_each(|steps| f(&self.raw_states(steps)));
    }

    /// All actions, piece by piece.
    fn each_actions(&self, f: &mut dyn FnMut(&[f32])) {
        self.pieces().into_iter().for_each(|steps| f(&self.raw_actions(steps)));
    }
}

impl RawSteps for Parts {
    fn widths(&self) -> [usize; 2] {
        [self.n_obs, self.n_act]
    }

    fn pieces(&self) -> Vec<Range<usize>> {
        std::iter::once(0..self.n_steps()).collect()
    }

    fn raw_states(&self, steps: Range<usize>) -> Cow<'_, [f32]> {
        Cow::Borrowed(&self.states[steps.start * self.n_obs..steps.end * self.n_obs])
    }

    fn raw_actions(&self, steps: Range<usize>) -> Cow<'_, [f32]> {
        Cow::Borrowed(&self.actions[steps.start * self.n_act..steps.end * self.n_act])
    }
}
