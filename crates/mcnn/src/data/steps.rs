//! The values of demonstrated steps: in memory, or in a file of columns that is read when they are asked for.

use std::{borrow::Cow, ops::Range};

use super::columns::FileSteps;

/// The steps of some demonstrations, in order.
#[derive(Debug, Clone)]
pub(super) enum Steps {
    Memory(MemorySteps),
    File(FileSteps),
}

/// Steps in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct MemorySteps {
    pub states: Vec<f32>,          // [n, n_obs]
    pub actions: Vec<f32>,         // [n, n_act], in [-1, 1]
    pub rewards: Option<Vec<f32>>, // [n]
}

impl Steps {
    /// States of a range of steps: `[steps, n_obs]`.
    pub fn states(&self, steps: Range<usize>, n_obs: usize) -> Cow<'_, [f32]> {
        match self {
            Self::Memory(memory) => Cow::Borrowed(&memory.states[steps.start * n_obs..steps.end * n_obs]),
            Self::File(file) => Cow::Owned(file.states(steps)),
        }
    }

    /// Actions in [-1, 1] of a range of steps: `[steps, n_act]`.
    pub fn actions(&self, steps: Range<usize>, n_act: usize) -> Cow<'_, [f32]> {
        match self {
            Self::Memory(memory) => Cow::Borrowed(&memory.actions[steps.start * n_act..steps.end * n_act]),
            Self::File(file) => Cow::Owned(file.actions(steps)),
        }
    }

    /// All rewards, where the steps are in memory and have them.
    pub fn rewards(&self) -> Option<&[f32]> {
        match self {
            Self::Memory(memory) => memory.rewards.as_deref(),
            Self::File(_) => None,
        }
    }

    /// No steps, of the same kind.
    pub fn empty(&self) -> Self {
        match self {
            Self::Memory(MemorySteps { rewards, .. }) => Self::Memory(MemorySteps {
                rewards: rewards.as_ref().map(|_| Vec::new()),
                ..Default::default()
            }),
            Self::File(file) => Self::File(file.empty()),
        }
    }

    /// Appends a range of other steps of the same widths. Steps that are not of the same file are read into memory.
    pub fn push(&mut self, from: &Self, steps: Range<usize>, widths: [usize; 2]) {
        if let (Self::File(to), Self::File(file)) = (&mut *self, from)
            && to.push(file, steps.clone())
        {
            return;
        }
        let to = self.in_memory();
        to.states.extend_from_slice(&from.states(steps.clone(), widths[0]));
        to.actions.extend_from_slice(&from.actions(steps.clone(), widths[1]));
        if let (Some(to), Some(from)) = (&mut to.rewards, from.rewards()) {
            to.extend_from_slice(&from[steps]);
        }
    }

    /// The same without rewards.
    pub fn drop_rewards(&mut self) {
        if let Self::Memory(memory) = self {
            memory.rewards = None;
        }
    }

    /// The steps in memory. Those of a file are read.
    fn in_memory(&mut self) -> &mut MemorySteps {
        if let Self::File(file) = self {
            let all = 0..file.len();
            let (states, actions) = (file.states(all.clone()), file.actions(all));
            *self = Self::Memory(MemorySteps { states, actions, rewards: None });
        }
        match self {
            Self::Memory(memory) => memory,
            Self::File(_) => unreachable!("replaced above"),
        }
    }

    /// The steps in memory, as their own.
    pub fn into_memory(mut self) -> MemorySteps {
        std::mem::take(self.in_memory())
    }
}
