//! Which demonstration to collect next, by farthest-point sampling. The bound falls with d_I (corollary 4.8 of the paper), and
//! a memory at the most isolated state lowers d_I.

use nearest::Table;

use crate::{
    data::{Demonstrations, Step},
    memory::{Codebook, Coverage, FarthestPoints, Retrieval},
};

/// Which states become memories when a suggestion is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemonstrationScope {
    /// Every state of the episode, which is a demonstration.
    Episode,
    /// The suggested state alone: a demonstration will start there, and its later states are unknown. The rest of the episode
    /// is excluded from further suggestions, because a corrected policy would not visit it.
    State,
}

/// A suggested demonstration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Suggestion {
    /// The row of the most isolated state among those not excluded.
    pub row: usize,
    /// The same state as a step of its episode.
    pub at: Step,
    /// Where the demonstration should start: the last step up to `at` whose distance to the memories is at most the median
    /// over all states; the episode's first step if there is none.
    pub start: Step,
    /// Its distance to the nearest memory, those of earlier suggestions included: d_I before the suggestion is followed.
    pub distance: f32,
    /// Its nearest memory in the codebook.
    pub nearest: Retrieval,
    /// d_I over the states not excluded, after the suggestion is followed.
    pub remaining: f32,
}

/// Up to `count` suggestions, each the most isolated state after the earlier ones are followed; at most one per episode.
/// Fewer if no state at a distance above 0 is left. Distances are in the codebook's standardized units.
///
/// # Panics
/// If the widths differ.
pub fn suggest(
    codebook: &Codebook,
    states: &Demonstrations,
    scope: DemonstrationScope,
    count: usize,
) -> Vec<Suggestion> {
    let width = codebook.n_features();
    let retrieved = codebook.retrieve_each(states);
    let retrievals = codebook.map_states(states, |i, state| {
        let d2 = codebook.squared_distance(state, retrieved[i].memory);
        (retrieved[i], d2, state.values().to_vec())
    });
    let rows: Vec<f32> = retrievals.iter().flat_map(|(_, _, row)| row).copied().collect();
    let row = |i: usize| &rows[i * width..][..width];
    let table = Table::from_rows(&rows, width);
    let distance = |i: usize| retrievals[i].0.distance;
    let median = Coverage::from_distances((0..states.n_steps()).map(distance).collect(), states).median;
    let mut sampling = FarthestPoints::new(&table, retrievals.iter().map(|(_, d2, _)| *d2).collect());
    let mut suggestions = Vec::new();
    while suggestions.len() < count {
        let Some((i, d2)) = sampling.farthest() else { break };
        let episode = states.episode(states.episode_of(i));
        match scope {
            DemonstrationScope::Episode => episode.clone().for_each(|i| sampling.add_center(row(i))),
            DemonstrationScope::State => sampling.add_center(row(i)),
        }
        let start = (episode.start..=i).rev().find(|&j| distance(j) <= median).unwrap_or(episode.start);
        sampling.exclude(episode);
        suggestions.push(Suggestion {
            row: i,
            at: states.step(i),
            start: states.step(start),
            distance: d2.sqrt(),
            nearest: retrievals[i].0,
            remaining: sampling.farthest().map_or(0.0, |(_, d2)| d2.sqrt()),
        });
    }
    suggestions
}
