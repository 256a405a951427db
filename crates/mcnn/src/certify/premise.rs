//! The premise of theorem 4.7, checked on data: the actions of an expert in the function class lie in the permissible region.

use crate::{
    data::{Demonstrations, Step},
    envelope::Envelope,
    memory::Codebook,
};

/// Demonstrated actions outside the permissible region: no policy with these memories and this envelope could take them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Premise {
    /// Steps checked.
    pub steps: usize,
    /// Steps with an action outside its permissible region in some dimension, by more than rounding.
    pub outside: usize,
    /// The largest distance, in one dimension, of an action to its permissible region; 0 if all lie inside.
    pub max_excess: f32,
    /// The step of that action; the first step if all lie inside.
    pub at: Step,
}

/// Differences up to this are attributed to rounding.
const ROUNDING: f32 = 1e-6;

/// Finds the demonstrated actions outside the permissible region of their state.
///
/// # Panics
/// If the widths of the data are not the codebook's.
pub fn premise(codebook: &Codebook, envelope: Envelope, data: &Demonstrations) -> Premise {
    assert_eq!(data.n_act(), codebook.n_act(), "actions of another width than the memories'");
    let excess = codebook.retrieve_each(data).into_iter().enumerate().map(|(i, retrieval)| {
        let region = envelope.region(retrieval.distance);
        let action = data.action(i);
        let dimensions = codebook.action(retrieval.memory).iter().zip(action.iter());
        dimensions
            .map(|(&memory_action, a)| (a - region.center(memory_action)).abs() - region.radius)
            .fold(0.0, f32::max)
    });
    let excess: Vec<f32> = excess.collect();
    let (worst, farthest) =
        excess.iter().enumerate().fold((0, 0.0), |best, (i, &x)| if x > best.1 { (i, x) } else { best });
    Premise {
        steps: excess.len(),
        outside: excess.iter().filter(|&&x| x > ROUNDING).count(),
        max_excess: if farthest > ROUNDING { farthest } else { 0.0 },
        at: data.step(worst),
    }
}
