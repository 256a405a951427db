//! Where readers put the steps that they read: into memory, or into files that may be larger than memory.

use super::{Parts, Selection, parts::check_lengths};
use crate::error::Result;

/// Consecutive steps of a source, with actions in its units.
#[derive(Debug, Default)]
pub(super) struct StepRows {
    /// Row by row: `[steps, n_obs]`.
    pub states: Vec<f32>,
    /// Row by row: `[steps, n_act]`.
    pub actions: Vec<f32>,
    /// `[steps]`; `None` if these steps have none: then no step has.
    pub rewards: Option<Vec<f32>>,
}

impl StepRows {
    /// The values of parts, which are left without them.
    pub fn of(parts: &mut Parts) -> Self {
        let Parts { states, actions, rewards, .. } = parts;
        Self { states: std::mem::take(states), actions: std::mem::take(actions), rewards: rewards.take() }
    }
}

/// Takes the steps of a source, one after another.
pub(super) trait Sink {
    /// Takes the steps that follow those before.
    ///
    /// # Errors
    /// Of the file system.
    fn put(&mut self, rows: StepRows) -> Result<()>;

    /// Whether all steps stay in memory: limits of memory are then those of all together, and else of those that are read together.
    fn in_memory(&self) -> bool;
}

/// Steps in memory.
#[derive(Debug)]
pub(super) struct InMemory(StepRows);

impl InMemory {
    pub fn new() -> Self {
        Self(StepRows { rewards: Some(Vec::new()), ..StepRows::default() })
    }

    pub fn into_rows(self) -> StepRows {
        self.0
    }
}

impl Sink for InMemory {
    fn put(&mut self, rows: StepRows) -> Result<()> {
        let append = |to: &mut Vec<f32>, from: Vec<f32>| match to.is_empty() {
            true => *to = from,
            false => to.extend(from),
        };
        append(&mut self.0.states, rows.states);
        append(&mut self.0.actions, rows.actions);
        match (&mut self.0.rewards, rows.rewards) {
            (Some(to), Some(from)) => append(to, from),
            (to, _) => *to = None,
        }
        Ok(())
    }

    fn in_memory(&self) -> bool {
        true
    }
}

/// A sink of one source, with the number of values that it was given.
pub(super) struct Counted<'a> {
    to: &'a mut dyn Sink,
    no_state: bool, // whether states are left out
    states: usize,
    actions: usize,
    rewards: Option<usize>,
}

impl<'a> Counted<'a> {
    pub fn new(to: &'a mut dyn Sink, selection: &Selection) -> Self {
        Self { to, no_state: selection.no_state, states: 0, actions: 0, rewards: Some(0) }
    }

    /// Ends a source, whose `parts` have no values: states that are left out become one dimension of zeros, and the shapes are checked. Says in
    /// `parts` whether there are rewards.
    ///
    /// # Errors
    /// As [`Parts::check`], and of the sink.
    pub fn finish(mut self, parts: &mut Parts) -> Result<()> {
        if self.no_state {
            (self.no_state, parts.n_obs) = (false, 1);
            let states = vec![0.0; self.actions.checked_div(parts.n_act).unwrap_or(0)];
            self.put(StepRows { states, rewards: Some(Vec::new()), ..StepRows::default() })?;
        }
        let Self { states, actions, rewards, .. } = self;
        parts.rewards = rewards.map(|_| Vec::new());
        check_lengths([parts.n_obs, parts.n_act], [states, actions], rewards, &parts.ends)
    }
}

impl Sink for Counted<'_> {
    fn put(&mut self, mut rows: StepRows) -> Result<()> {
        if self.no_state {
            rows.states = Vec::new();
        }
        self.states += rows.states.len();
        self.actions += rows.actions.len();
        self.rewards = self.rewards.zip(rows.rewards.as_ref()).map(|(n, more)| n + more.len());
        self.to.put(rows)
    }

    fn in_memory(&self) -> bool {
        self.to.in_memory()
    }
}
