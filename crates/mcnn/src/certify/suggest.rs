//! Which demonstration to have next: corollary 4.8 of the paper as advice. The bound falls with d_I, and what lowers d_I
//! is a memory at the most isolated state.

use nearest::Table;

use crate::{
    data::{Demonstrations, Step},
    memory::{Codebook, Coverage, FarthestPoints, Retrieval},
};

/// What becomes known once a suggestion is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemonstrationScope {
    /// Every state of the episode: it is a demonstration to be taken as it is.
    Episode,
    /// The suggested state alone: a demonstration is to begin there, and where it leads is not known. The rest of the episode
    /// does not count either, for whoever is shown what to do there does not go on as before.
    State,
}

/// One suggestion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Suggestion {
    /// The state that was the most isolated of all that counted, as a row of the states looked at.
    pub row: usize,
    /// The same as a step of its episode.
    pub at: Step,
    /// Where to begin: the last step up to `at` that is no farther from the memories than the median of all states looked
    /// at; the episode's first step where there is none.
    pub from: Step,
    /// Its distance to the nearest of the memories and of what earlier suggestions made known: d_I before it is followed.
    pub distance: f32,
    /// Its nearest memory, by the codebook alone.
    pub nearest: Retrieval,
    /// d_I of the states that still count, after it is followed.
    pub remaining: f32,
}

/// Up to `count` suggestions, each the most isolated state after all before it are followed; one for an episode at most.
/// Fewer where nothing farther than 0 is left. Distances are in the codebook's standardized units.
///
/// # Panics
/// If the widths differ.
pub fn suggest(
    codebook: &Codebook,
    states: &Demonstrations,
    known: DemonstrationScope,
    count: usize,
) -> Vec<Suggestion> {
    let n_obs = states.n_obs();
    let retrieval = codebook.map_states(states, |_, state| {
        let nearest = codebook.retrieve(state);
        let d2: f32 = codebook.contributions(state, nearest.memory).iter().sum();
        (nearest, d2, state.values().to_vec())
    });
    let rows: Vec<f32> = retrieval.iter().flat_map(|(_, _, row)| row).copied().collect();
    let row = |i: usize| &rows[i * n_obs..][..n_obs];
    let table = Table::from_rows(&rows, n_obs);
    let far = |i: usize| retrieval[i].0.distance;
    let median = Coverage::of((0..states.n_steps()).map(far).collect(), states).median;
    let mut left = FarthestPoints::new(&table, retrieval.iter().map(|(_, d2, _)| *d2).collect());
    let mut suggestions = Vec::new();
    while suggestions.len() < count {
        let Some((i, d2)) = left.farthest() else { break };
        let episode = states.episode(states.episode_of(i));
        match known {
            DemonstrationScope::Episode => episode.clone().for_each(|i| left.add_center(row(i))),
            DemonstrationScope::State => left.add_center(row(i)),
        }
        let begin = (episode.start..=i).rev().find(|&j| far(j) <= median).unwrap_or(episode.start);
        left.exclude(episode);
        suggestions.push(Suggestion {
            row: i,
            at: states.step(i),
            from: states.step(begin),
            distance: d2.sqrt(),
            nearest: retrieval[i].0,
            remaining: left.farthest().map_or(0.0, |(_, d2)| d2.sqrt()),
        });
    }
    suggestions
}
