//! Codebooks that change after they were chosen: memories added from other demonstrations, memories taken out. The scale,
//! and with it what a distance means, stays.

use std::collections::HashMap;

use super::{Codebook, CodebookParts, Scaled};
use crate::{
    data::{Demonstrations, Step},
    error::{Error, Kind, Result},
};

/// What was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Added {
    /// Memories added.
    pub added: usize,
    /// Older memories of the very same states, which made room.
    pub replaced: usize,
    /// Steps left out, because a later one of those added has the very same state.
    pub repeated: usize,
    /// The number that the first of the data's episodes has among the memories: one above all before.
    pub first_episode: u32,
}

impl Codebook {
    /// These memories and some steps of other demonstrations (`steps`, by their row). They come last, as episodes with numbers
    /// above all others: episode `k` of the data is `first_episode + k`. Each has its own action (where memories act ahead,
    /// with those that followed it), is joined to the graph by the step before it and by its nearest memory, and is
    /// recalled from then on. A memory in the very same state makes room.
    ///
    /// # Errors
    /// If there is no step, or the widths differ.
    pub fn with_steps(&self, data: &Demonstrations, steps: &[usize]) -> Result<(Self, Added)> {
        self.check_space(data)?;
        if steps.is_empty() {
            return Err(Error::new(Kind::Data, "no steps to add").expected("at least one step"));
        }
        let first_episode = self.episodes.iter().max().map_or(0, |last| last + 1);
        // By the state as it is searched for: the last of equals is the one that stays.
        let key = |state: &Scaled| state.0.iter().map(|v| (v + 0.0).to_bits()).collect::<Vec<_>>();
        let mut buffer = self.scaled_buffer();
        let mut of = |state: &[f32]| {
            self.scale(state, &mut buffer);
            key(&buffer)
        };
        let newest: HashMap<_, _> = steps.iter().map(|&i| (of(data.state(i)), i)).collect();
        let mut rows: Vec<usize> = newest.values().copied().collect();
        rows.sort_unstable();
        let kept: Vec<usize> =
            (0..self.len()).filter(|&m| !newest.contains_key(&of(self.state(m)))).collect();
        let mut parts = self.part(&kept);
        let (before, ahead) = (kept.len(), self.horizon());
        for (place, &row) in rows.iter().enumerate() {
            let Step { episode: _, step } = data.step(row);
            let k = data.episode_of(row);
            let last = data.ends()[k] - 1;
            parts.states.extend_from_slice(data.state(row));
            parts.actions.extend_from_slice(data.action(row));
            (1..ahead).for_each(|a| parts.future_actions.extend_from_slice(data.action((row + a).min(last))));
            parts.sources.push(Step { episode: first_episode + k as u32, step });
            let me = (before + place) as u32;
            if place > 0 && rows[place - 1] + 1 == row && step > 0 {
                parts.edges.push([me - 1, me]);
            }
            self.scale(data.state(row), &mut buffer);
            let near = self.retrieve(&buffer).memory;
            if let Ok(old) = kept.binary_search(&near) {
                parts.edges.push([old as u32, me]);
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

    /// These memories without those that are not to be kept.
    ///
    /// # Errors
    /// If none would be left.
    pub fn without_memories(&self, drop: impl Fn(usize) -> bool) -> Result<Self> {
        let kept: Vec<usize> = (0..self.len()).filter(|&i| !drop(i)).collect();
        if kept.is_empty() {
            return Err(Error::new(Kind::Settings, "no memory would be left").expected("at least one"));
        }
        Codebook::new(self.part(&kept))
    }

    /// The parts of some memories, in their order, with the edges among them.
    fn part(&self, kept: &[usize]) -> CodebookParts {
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
