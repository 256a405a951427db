//! The theorem's premise on data: an expert in the function class never leaves the permissible region.

use crate::{
    data::{Demonstrations, Step},
    envelope::Envelope,
    memory::Codebook,
};

/// The demonstrated actions that no policy held by these memories could have taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Premise {
    /// Steps looked at.
    pub steps: usize,
    /// Steps with an action outside its permissible region in some dimension, by more than rounding.
    pub outside: usize,
    /// The farthest that an action is outside in a dimension; 0 where none is.
    pub max_excess: f32,
    /// The step of that action; the first step where none is outside.
    pub at: Step,
}

/// Differences up to here are rounding.
const ROUNDING: f32 = 1e-6;

/// Looks for demonstrated actions outside the region around their nearest memory.
///
/// # Panics
/// If the widths of the data are not the codebook's.
pub fn premise(codebook: &Codebook, envelope: Envelope, data: &Demonstrations) -> Premise {
    assert_eq!(data.n_act(), codebook.n_act(), "actions of another width than the memories'");
    let excess = codebook.map_states(data, |i, state| {
        let retrieval = codebook.retrieve(state);
        let region = envelope.region(retrieval.distance);
        let dimensions = codebook.action(retrieval.memory).iter().zip(data.action(i));
        dimensions
            .map(|(&memory_action, a)| (a - region.center(memory_action)).abs() - region.radius)
            .fold(0.0, f32::max)
    });
    let (worst, farthest) =
        excess.iter().enumerate().fold((0, 0.0), |best, (i, &x)| if x > best.1 { (i, x) } else { best });
    Premise {
        steps: excess.len(),
        outside: excess.iter().filter(|&&x| x > ROUNDING).count(),
        max_excess: if farthest > ROUNDING { farthest } else { 0.0 },
        at: data.step(worst),
    }
}
