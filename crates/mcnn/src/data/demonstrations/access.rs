//! The values of steps, which are in memory, or in a file and read when they are asked for.

use std::{borrow::Cow, ops::Range};

use super::{Demonstrations, Steps};
use crate::error::Result;

impl Demonstrations {
    /// All states: `[n_steps, n_obs]`. Those of a file are read.
    pub fn states(&self) -> Cow<'_, [f32]> {
        self.states_of(0..self.n_steps())
    }

    /// All actions: `[n_steps, n_act]`, each in [-1, 1]. Those of a file are read.
    pub fn actions(&self) -> Cow<'_, [f32]> {
        self.actions_of(0..self.n_steps())
    }

    /// The states of some steps, counted over all episodes: `[steps, n_obs]`.
    pub fn states_of(&self, steps: Range<usize>) -> Cow<'_, [f32]> {
        self.steps.states(steps, self.n_obs)
    }

    /// The actions of some steps, counted over all episodes: `[steps, n_act]`, each in [-1, 1].
    pub fn actions_of(&self, steps: Range<usize>) -> Cow<'_, [f32]> {
        self.steps.actions(steps, self.n_act)
    }

    /// All rewards, where the source had them and the steps are in memory: `[n_steps]`.
    pub fn rewards(&self) -> Option<&[f32]> {
        self.steps.rewards()
    }

    /// All states and all actions, if they are in memory.
    pub fn in_memory(&self) -> Option<[&[f32]; 2]> {
        match &self.steps {
            Steps::Memory(memory) => Some([&memory.states, &memory.actions]),
            Steps::File(_) => None,
        }
    }

    /// Whether the steps are read from a file when they are asked for.
    pub fn is_streamed(&self) -> bool {
        matches!(self.steps, Steps::File(_))
    }

    /// The error of the first step that could not be read from the file, or of a file that was changed since it was opened. Until this
    /// is `Ok`, nothing that was computed from the steps may be used: a step that cannot be read is zeros. Steps in memory have no
    /// errors.
    ///
    /// # Errors
    /// A file that was cut short or changed, and errors of the file system.
    pub fn check_readable(&self) -> Result<()> {
        match &self.steps {
            Steps::Memory(_) => Ok(()),
            Steps::File(file) => file.check_readable(),
        }
    }

    /// Whether a step could not be read: what is computed from now on will not be used.
    pub(crate) fn is_unreadable(&self) -> bool {
        matches!(&self.steps, Steps::File(file) if file.has_failed())
    }

    /// Consecutive ranges of steps, of the size that is best read together: all steps, if they are in memory.
    pub fn pieces(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        self.pieces_of(0..self.n_steps())
    }

    /// The same of a range of steps.
    pub(crate) fn pieces_of(&self, steps: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let (end, most) = (steps.end, self.piece_steps(1));
        steps.step_by(most).map(move |start| start..end.min(start + most))
    }

    /// Calls a function with each of a range of steps, in order, and its state.
    pub(in crate::data) fn each_state(&self, steps: Range<usize>, mut f: impl FnMut(usize, &[f32])) {
        for piece in self.pieces_of(steps) {
            let states = self.states_of(piece.clone());
            states.chunks_exact(self.n_obs).zip(piece).for_each(|(state, i)| f(i, state));
        }
    }

    /// Calls a function with the states of each of a range of steps and its next one in the range, in order.
    pub(in crate::data) fn each_pair(&self, steps: Range<usize>, mut f: impl FnMut(&[f32], &[f32])) {
        let mut before: Vec<f32> = Vec::with_capacity(self.n_obs);
        self.each_state(steps, |_, state| {
            if !before.is_empty() {
                f(&before, state);
            }
            before.clear();
            before.extend_from_slice(state);
        });
    }

    /// The steps of a piece, or of one `smaller` times as small; all of them, if they are in memory.
    pub(crate) fn piece_steps(&self, smaller: usize) -> usize {
        match &self.steps {
            Steps::Memory(_) => self.n_steps().max(1),
            Steps::File(file) => (file.piece_steps() / smaller).max(1),
        }
    }

    /// The state of a step, counted over all episodes.
    pub fn state(&self, i: usize) -> Cow<'_, [f32]> {
        self.states_of(i..i + 1)
    }

    /// The action of a step, counted over all episodes.
    pub fn action(&self, i: usize) -> Cow<'_, [f32]> {
        self.actions_of(i..i + 1)
    }
}
