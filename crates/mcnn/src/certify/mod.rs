//! What memories promise without any network: how far states are from them, how wide the permissible region is there,
//! and what that bounds (Memory-Consistent Neural Networks, ICLR 2024, definition 4.5, theorem 4.7, corollary 4.8).
//!
//! d_I is the distance of the most isolated state of a set from its nearest memory. Over listed states it is found by
//! looking at each ([`isolation`]); over a whole box of states it is bounded from both sides ([`cover`]). The theorem
//! supposes an expert that is itself in the function class; [`premise`] counts the demonstrated actions that are not.
//! More memories lower d_I; [`suggest`] says which would lower it most.

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

/// How far the states of a set are from their nearest memories; `max` is d_I of the set.
///
/// # Panics
/// If the widths differ.
pub fn isolation(codebook: &Codebook, states: &Demonstrations) -> Coverage {
    codebook.coverage(states)
}

/// The same to the nearest memory of *another episode*: what the states would see if their own episode were new. For the
/// data the memories were chosen from; `None` where a state has no memory of another episode.
///
/// # Panics
/// If the widths differ.
pub fn isolation_leave_one_episode_out(codebook: &Codebook, states: &Demonstrations) -> Option<Coverage> {
    let distances: Option<Vec<f32>> =
        codebook.retrieve_leave_one_episode_out(states).into_iter().map(|r| r.map(|r| r.distance)).collect();
    distances.map(|distances| Coverage::of(distances, states))
}

#[cfg(test)]
mod tests;
