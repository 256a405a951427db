//! Demonstrations before they are validated.

use super::number;
use crate::error::{Error, Kind, Result};

/// The parts of [`Demonstrations`](super::Demonstrations) before they are checked.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// The dimensions of a state.
    pub n_obs: usize,
    /// The dimensions of an action.
    pub n_act: usize,
    /// States, row by row: `[n_steps, n_obs]`.
    pub states: Vec<f32>,
    /// Actions, row by row: `[n_steps, n_act]`.
    pub actions: Vec<f32>,
    /// Rewards, if the source has them: `[n_steps]`.
    pub rewards: Option<Vec<f32>>,
    /// Where each episode ends (exclusive), increasing; the last is the number of steps.
    pub ends: Vec<usize>,
}

impl Parts {
    /// Checks the shapes: dimensions, lengths and episode ends. The values are not checked.
    ///
    /// # Errors
    /// Widths of 0, no steps, lengths that disagree, episode ends that do not increase or do not close at the last
    /// step.
    pub fn check(&self) -> Result<()> {
        let lengths = [self.states.len(), self.actions.len()];
        check_lengths([self.n_obs, self.n_act], lengths, self.rewards.as_ref().map(Vec::len), &self.ends)
    }

    /// Checks shapes and values: all finite and of a size that can be measured. Actions may have any units.
    ///
    /// # Errors
    /// As [`check`](Self::check), and values that are NaN, infinite or above 1e30 in size.
    pub fn check_values(&self) -> Result<()> {
        self.check()?;
        number::check("states", &|f| f(&self.states), self.n_obs, &self.ends)?;
        number::check("actions", &|f| f(&self.actions), self.n_act, &self.ends)
    }

    /// The number of steps of all episodes; 0 if `n_obs` is 0.
    pub fn n_steps(&self) -> usize {
        self.states.len().checked_div(self.n_obs).unwrap_or(0)
    }
}

/// Checks the shapes of parts that have so many values of states, actions and rewards.
///
/// # Errors
/// As [`Parts::check`].
pub(super) fn check_lengths(
    [n_obs, n_act]: [usize; 2],
    [states, actions]: [usize; 2],
    rewards: Option<usize>,
    ends: &[usize],
) -> Result<()> {
    let error = |what: &str| Error::new(Kind::Data, what);
    if n_obs == 0 || n_act == 0 {
        return Err(error("states and actions must have at least one dimension each")
            .found(format!("states of {n_obs}, actions of {n_act}")));
    }
    if states == 0 {
        return Err(error("there are no steps").expected("at least one step"));
    }
    if !states.is_multiple_of(n_obs) {
        return Err(error("states are not whole rows")
            .expected(format!("a multiple of {n_obs} values"))
            .found(states.to_string()));
    }
    let n_steps = states / n_obs;
    for (name, found, expected) in
        [("actions", actions, n_steps * n_act), ("rewards", rewards.unwrap_or(n_steps), n_steps)]
    {
        if found != expected {
            return Err(error(&format!("{name} and states have different numbers of steps"))
                .at(name)
                .expected(format!("{expected} values for {n_steps} steps"))
                .found(format!("{found} values")));
        }
    }
    check_ends(ends, n_steps)
}

/// Checks that episode ends increase and close at the last step.
///
/// # Errors
/// If they do not.
pub(super) fn check_ends(ends: &[usize], n_steps: usize) -> Result<()> {
    if ends.last() == Some(&n_steps) && ends.is_sorted_by(|a, b| a < b) && ends[0] > 0 {
        return Ok(());
    }
    Err(Error::new(Kind::Data, "episode ends must increase and close at the last step")
        .at("episode ends")
        .expected(format!("increasing numbers from 1 on, the last {n_steps}"))
        .found(match ends.last() {
            Some(last) => format!("{} ends, the last {last}", ends.len()),
            None => "no ends".into(),
        }))
}
