//! Certificates: guarantees that follow from the memories and the envelope alone, for any network (Memory-Consistent Neural
//! Networks, ICLR 2024, definition 4.5, theorem 4.7, corollary 4.8).
//!
//! d_I is the largest distance from a state of a set to its nearest memory: the distance of the most isolated state. For a
//! finite set it is computed ([`isolation`]); for a box of states it is bounded from below and above
//! ([`bound_isolation`]). The theorem assumes an expert in the policy's function class; [`premise`] counts the demonstrated
//! actions that violate the assumption. More memories lower d_I; [`suggest`] finds the demonstrations that lower it most.

mod bound;
mod branch_and_bound;
mod premise;
mod suggest;

pub use bound::Bound;
pub use branch_and_bound::{IsolationBounds, SearchBudget, bound_isolation};
pub use premise::{Premise, premise};
pub use suggest::{DemonstrationScope, Suggestion, suggest};

use crate::{
    data::Demonstrations,
    memory::{Codebook, Coverage},
};

/// The distribution of distances from the states of a set to their nearest memories; `max` is d_I of the set.
///
/// # Panics
/// If the widths differ.
pub fn isolation(codebook: &Codebook, states: &Demonstrations) -> Coverage {
    codebook.coverage(states)
}

/// The distribution of distances to the nearest memory of *another episode*, for states of the data that the memories were
/// selected from: an estimate of the distances in a new episode. Pieces of a recording count without their margins
/// ([`Demonstrations::interior`]). `None` if a state has no memory of another episode.
///
/// # Panics
/// If the widths differ.
pub fn isolation_leave_one_episode_out(codebook: &Codebook, states: &Demonstrations) -> Option<Coverage> {
    let retrieved = codebook.retrieve_leave_one_episode_out(states);
    let steps = (0..states.n_episodes()).flat_map(|k| states.interior(k));
    let distances: Option<Vec<_>> = steps.map(|i| Some((i, retrieved[i]?.distance))).collect();
    distances.map(|distances| Coverage::of_steps(distances, states))
}

#[cfg(test)]
mod tests;
