//! Retrieval: standardize a state, find the nearest memory, compute the distance. No other code computes distances.

use super::Codebook;
use crate::data::Demonstrations;

/// A state in standardized units. Only a codebook makes one, so that the space of the search and that of the distance are the
/// same.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaled(pub(super) Vec<f32>);

impl Scaled {
    /// The standardized values: `[n_features]`.
    pub fn values(&self) -> &[f32] {
        &self.0
    }
}

/// A retrieved memory and its distance to the state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retrieval {
    /// The memory's number in the codebook.
    pub memory: usize,
    /// Euclidean distance in standardized units.
    pub distance: f32,
}

/// The result of a greedy graph search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GraphSearch {
    /// The nearest memory, always the one of [`Codebook::retrieve`].
    pub retrieval: Retrieval,
    /// Whether the graph search alone ended on it.
    pub is_exact: bool,
    /// Distances computed by the graph search.
    pub measured: usize,
    /// The share of the exact search's arithmetic that was pruned, in [0, 1].
    pub saved: f32,
}

/// Statistics of greedy graph searches along demonstrations, each starting from the previous result.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct GraphSearchStats {
    /// Searches: one for every step, at most [`GraphSearchStats::MOST`].
    pub searches: usize,
    /// The share of graph searches that ended on the nearest memory.
    pub exact: f64,
    /// The mean number of distances computed by a graph search.
    pub measured: f64,
    /// The mean share of the exact search's arithmetic that was pruned.
    pub saved: f64,
}

impl GraphSearchStats {
    /// The maximum number of searches.
    pub const MOST: usize = 10_000;
}

impl Codebook {
    /// Runs greedy graph searches along the first steps of demonstrations.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn graph_searches(&self, data: &Demonstrations) -> GraphSearchStats {
        let searches = data.n_steps().min(GraphSearchStats::MOST);
        let mut state = self.scaled_buffer();
        let (mut last, mut exact, mut measured, mut saved) = (0, 0, 0, 0.0);
        for i in 0..searches {
            self.scale(&data.state(i), &mut state);
            let search = self.retrieve_by_graph(&state, last);
            last = search.retrieval.memory;
            exact += usize::from(search.is_exact);
            measured += search.measured;
            saved += f64::from(search.saved);
        }
        let mean = |sum: f64| sum / searches as f64;
        GraphSearchStats {
            searches,
            exact: mean(exact as f64),
            measured: mean(measured as f64),
            saved: mean(saved),
        }
    }

    /// A buffer for [`scale`](Self::scale).
    pub fn scaled_buffer(&self) -> Scaled {
        Scaled(vec![0.0; self.n_features()])
    }

    /// Standardizes a state (`[n_obs]`, in the data's units) into a buffer.
    pub fn scale(&self, state: &[f32], into: &mut Scaled) {
        self.parts.scale.apply(state, &mut into.0);
    }

    /// The memory nearest to a state; the first of several at the same distance.
    pub fn retrieve(&self, state: &Scaled) -> Retrieval {
        retrieval(self.table.nearest(&state.0).expect("a codebook has a memory"))
    }

    /// The result of [`retrieve`](Self::retrieve), given a guess of the nearest memory: faster if the guess is near, as the
    /// previous result in an episode is.
    pub fn retrieve_from(&self, state: &Scaled, guess: usize) -> Retrieval {
        retrieval(self.table.nearest_from(&state.0, guess).0)
    }

    /// The nearest memory and the second nearest, if there is one.
    pub fn retrieve_two(&self, state: &Scaled) -> (Retrieval, Option<Retrieval>) {
        let (first, second) = self.table.two_nearest(&state.0);
        (retrieval(first.expect("a codebook has a memory")), second.map(retrieval))
    }

    /// The `k` memories nearest to a state in ascending order of distance; all if there are fewer.
    pub fn retrieve_many(&self, state: &Scaled, k: usize) -> Vec<Retrieval> {
        let mut found = Vec::new();
        self.retrieve_many_into(state, k, &mut found);
        found
    }

    /// Replaces the contents of `found` by the result of [`retrieve_many`](Self::retrieve_many). Allocates only if `found` has
    /// no room for it.
    pub fn retrieve_many_into(&self, state: &Scaled, k: usize, found: &mut Vec<Retrieval>) {
        search_into(found, |hits| self.table.k_nearest(&state.0, k, hits));
    }

    /// Replaces the contents of `found` by the `k` memories nearest to a state that are not from episode `episode` (a number of
    /// the source data), nor from one that coincides with it ([`group`](Self::group)), in ascending order of distance; by all of those if there are fewer. Allocates only if `found` has no
    /// room for them.
    pub fn retrieve_many_from_other_episodes(
        &self,
        state: &Scaled,
        episode: u32,
        k: usize,
        found: &mut Vec<Retrieval>,
    ) {
        let group = self.group(episode);
        let other = |i: usize| self.episodes[i] != group;
        search_into(found, |hits| self.table.k_nearest_where(&state.0, k, other, hits));
    }

    /// The nearest memory that is not from episode `episode` (a number of the source data), nor from one that coincides with it, if
    /// there is one.
    pub fn retrieve_from_other_episode(&self, state: &Scaled, episode: u32) -> Option<Retrieval> {
        let group = self.group(episode);
        self.table.nearest_where(&state.0, |i| self.episodes[i] != group).map(retrieval)
    }

    /// The nearest memory by greedy graph search: from memory `last`, move to the nearest neighbor until none is nearer. The
    /// distance reached is the initial threshold of an exact search, which prunes everything farther.
    pub fn retrieve_by_graph(&self, state: &Scaled, last: usize) -> GraphSearch {
        let hit = |i: usize| self.table.hit(&state.0, i);
        let mut current = hit(last);
        let mut measured = 1;
        loop {
            let before = current;
            for &j in self.links.of(before.index) {
                let neighbor = hit(j as usize);
                measured += 1;
                if neighbor.d2 < current.d2 || (neighbor.d2 == current.d2 && neighbor.index < current.index) {
                    current = neighbor;
                }
            }
            if current == before {
                break;
            }
        }
        let (hit, pruned) = self.table.nearest_from(&state.0, current.index);
        let saved = pruned as f32 / self.table.columns() as f32;
        GraphSearch { retrieval: retrieval(hit), is_exact: hit.index == current.index, measured, saved }
    }

    /// The squared distance of a state to a memory, as the search computes it.
    pub fn squared_distance(&self, state: &Scaled, memory: usize) -> f32 {
        self.table.hit(&state.0, memory).d2
    }

    /// The contribution of each dimension of the state to the squared distance to a memory: `[n_obs]`; their sum is the squared
    /// distance. That of an angle is what its cosine and sine contribute.
    pub fn contributions(&self, state: &Scaled, memory: usize) -> Vec<f32> {
        let row = self.standardized_state(memory);
        let mut all: Vec<f32> = state.0.iter().zip(row).map(|(s, m)| (s - m) * (s - m)).collect();
        let of_sines = all.split_off(self.n_obs());
        for (sine, angle) in of_sines.into_iter().zip(&self.parts.scale.angles) {
            all[angle.dimension] += sine;
        }
        all
    }
}

pub(super) fn retrieval(hit: nearest::Hit) -> Retrieval {
    Retrieval { memory: hit.index, distance: hit.d2.sqrt() }
}

/// Replaces the contents of `found` by what `search` leaves in an empty list. Both lists are one allocation: a `Vec` of elements
/// of the same size is collected in place.
fn search_into(found: &mut Vec<Retrieval>, search: impl FnOnce(&mut Vec<nearest::Hit>)) {
    found.clear();
    let hit = |r: Retrieval| nearest::Hit { index: r.memory, d2: r.distance };
    let mut hits = std::mem::take(found).into_iter().map(hit).collect();
    search(&mut hits);
    *found = hits.into_iter().map(retrieval).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        data::{Scale, Step},
        memory::CodebookParts,
        seed::Seed,
    };

    const OBS: usize = 4;

    /// Memories of episodes of ten steps, many of them at equal distances.
    fn codebook(n: usize) -> Codebook {
        let mut rng = Seed(3).rng();
        Codebook::new(CodebookParts::new(
            Scale { mean: vec![1.0; OBS], std: vec![2.0; OBS], angles: vec![] },
            (0..n * OBS).map(|_| rng.below(4) as f32).collect(),
            vec![0.5; n],
            (0..n as u32).map(|i| Step { episode: i / 10, step: i % 10 }).collect(),
        ))
        .unwrap()
    }

    #[test]
    fn the_nearest_memories_are_those_of_all_in_order_and_one_list_is_used_again() {
        let book = codebook(90);
        let (mut state, mut found) = (book.scaled_buffer(), Vec::with_capacity(90));
        let place = found.as_ptr();
        for i in 0..90 {
            book.scale(book.state(i), &mut state);
            let episode = book.source(i).episode;
            let squared = |j: usize| book.contributions(&state, j).iter().sum::<f32>();
            let mut all: Vec<usize> = (0..90).collect();
            all.sort_by(|a, b| squared(*a).total_cmp(&squared(*b))); // stable: the lower number of two at one distance
            let others: Vec<usize> =
                all.iter().copied().filter(|j| book.source(*j).episode != episode).collect();
            for k in [0, 1, 10, 85, 90] {
                let expected = |from: &[usize]| -> Vec<Retrieval> {
                    let retrieval = |&j: &usize| Retrieval { memory: j, distance: squared(j).sqrt() };
                    from.iter().take(k).map(retrieval).collect()
                };
                book.retrieve_many_into(&state, k, &mut found);
                assert_eq!(found, expected(&all));
                assert_eq!(book.retrieve_many(&state, k), found);
                book.retrieve_many_from_other_episodes(&state, episode, k, &mut found);
                assert_eq!(found, expected(&others));
            }
        }
        assert_eq!(found.as_ptr(), place);
    }
}
