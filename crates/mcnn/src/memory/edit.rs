//! Editing a codebook: adding memories from other demonstrations and removing memories. The standardization stays, and with it
//! the meaning of a distance.

use std::collections::HashMap;

use super::{Codebook, CodebookParts, Scaled};
use crate::{
    data::{Demonstrations, Step},
    error::{Error, Kind, Result},
};

/// The result of adding memories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Added {
    /// Memories added.
    pub added: usize,
    /// Existing memories removed because an added one has the same state.
    pub replaced: usize,
    /// Steps not added because a later one of those to add has the same state.
    pub repeated: usize,
    /// The number of the data's first episode in the codebook: one above all numbers of the memories' data.
    pub first_episode: u32,
}

impl Codebook {
    /// These memories and steps of other demonstrations (`steps`, rows of `data`). Added memories come last, and their episodes
    /// have numbers above the existing ones: episode `k` of the data is `first_episode + k`. An added memory has its
    /// demonstrated action, with its future actions if memories have them. Its edges lead to the previous step and to the
    /// nearest existing memory. An existing memory with the same state is removed. An episode that coincides with one of the
    /// memories' data stays in the group of that one.
    ///
    /// # Errors
    /// If there is no step, or the data are in another space ([`check_space`](Self::check_space)).
    pub fn with_steps(&self, data: &Demonstrations, steps: &[usize]) -> Result<(Self, Added)> {
        self.check_space(data)?;
        if steps.is_empty() {
            return Err(Error::new(Kind::Data, "there are no steps to add").expected("at least one step"));
        }
        let numbers = self.parts.sources.iter().map(|s| s.episode);
        let numbers = numbers.chain(self.parts.episodes.iter().map(|e| e.number));
        let first_episode = numbers.max().map_or(0, |last| last + 1);
        // States are compared as standardized; of several equal ones the last is added.
        let key = |state: &Scaled| state.0.iter().map(|v| (v + 0.0).to_bits()).collect::<Vec<_>>();
        let mut buffer = self.scaled_buffer();
        let mut of = |state: &[f32]| {
            self.scale(state, &mut buffer);
            key(&buffer)
        };
        let newest: HashMap<_, _> = steps.iter().map(|&i| (of(&data.state(i)), i)).collect();
        let mut rows: Vec<usize> = newest.values().copied().collect();
        rows.sort_unstable();
        let kept: Vec<usize> =
            (0..self.len()).filter(|&m| !newest.contains_key(&of(self.state(m)))).collect();
        let mut parts = self.select_parts(&kept);
        let mut which: Vec<usize> = rows.iter().map(|&row| data.episode_of(row)).collect();
        which.dedup();
        parts.episodes = self.records_with(data, &which, first_episode);
        let (before, ahead) = (kept.len(), self.horizon());
        for (place, &row) in rows.iter().enumerate() {
            let Step { episode: _, step } = data.step(row);
            let k = data.episode_of(row);
            let last = data.ends()[k] - 1;
            parts.states.extend_from_slice(&data.state(row));
            parts.actions.extend_from_slice(&data.action(row));
            (1..ahead)
                .for_each(|a| parts.future_actions.extend_from_slice(&data.action((row + a).min(last))));
            parts.sources.push(Step { episode: first_episode + k as u32, step });
            let memory = (before + place) as u32;
            if place > 0 && rows[place - 1] + 1 == row && step > 0 {
                parts.edges.push([memory - 1, memory]);
            }
            self.scale(&data.state(row), &mut buffer);
            let near = self.retrieve(&buffer).memory;
            if let Ok(old) = kept.binary_search(&near) {
                parts.edges.push([old as u32, memory]);
            }
        }
        parts.edges.sort_unstable();
        let added = Added {
            added: rows.len(),
            replaced: self.len() - kept.len(),
            repeated: steps.len() - rows.len(),
            first_episode,
        };
        Ok((Codebook::new(parts)?, added))
    }

    /// The memories for which `drop` is false.
    ///
    /// # Errors
    /// If there is none.
    pub fn without_memories(&self, drop: impl Fn(usize) -> bool) -> Result<Self> {
        let kept: Vec<usize> = (0..self.len()).filter(|&i| !drop(i)).collect();
        if kept.is_empty() {
            return Err(Error::new(Kind::Settings, "no memory would be left").expected("at least one"));
        }
        let mut parts = self.select_parts(&kept);
        // Episodes of the source data stay known, because they had a part in the selection; added ones do while they have memories.
        let mut steps = 0;
        parts.episodes.retain(|record| {
            steps += record.steps as usize;
            steps <= parts.n_states || parts.sources.iter().any(|source| source.episode == record.number)
        });
        Codebook::new(parts)
    }

    /// The parts of the given memories, in their order, with the edges between them.
    fn select_parts(&self, kept: &[usize]) -> CodebookParts {
        let place: HashMap<u32, u32> = kept.iter().zip(0..).map(|(&old, new)| (old as u32, new)).collect();
        let rows = |values: &[f32]| {
            let width = values.len() / self.len();
            kept.iter().flat_map(|&i| &values[i * width..][..width]).copied().collect::<Vec<f32>>()
        };
        let parts = &self.parts;
        CodebookParts {
            states: rows(&parts.states),
            actions: rows(&parts.actions),
            future_actions: rows(&parts.future_actions),
            sources: kept.iter().map(|&i| parts.sources[i]).collect(),
            edges: parts.edges.iter().filter_map(|[a, b]| Some([*place.get(a)?, *place.get(b)?])).collect(),
            ..parts.clone()
        }
    }
}

#[cfg(test)]
mod tests;
