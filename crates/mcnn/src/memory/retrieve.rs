//! Recall: scale a state, search the codebook, measure the distance. The only way from a state to a distance.

use super::Codebook;
use crate::data::Demonstrations;

/// A state in standardized units. Only a codebook makes one, with its own scale, so that nothing can be measured in
/// another space than the one searched.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaled(pub(super) Vec<f32>);

impl Scaled {
    /// The standardized numbers: `[n_obs]`.
    pub fn values(&self) -> &[f32] {
        &self.0
    }
}

/// A memory that was retrieval, and how far from it the state is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retrieval {
    /// The memory's number in the codebook.
    pub memory: usize,
    /// Euclidean distance in standardized units.
    pub distance: f32,
}

/// What a walk over the graph came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GraphSearch {
    /// The nearest memory: always exactly the one [`Codebook::retrieve`] gives.
    pub retrieval: Retrieval,
    /// Whether the walk itself had already ended on it.
    pub found: bool,
    /// Memories the walk measured.
    pub measured: usize,
    /// Share of the exact scan's arithmetic that the walk's bound made unnecessary, in [0, 1].
    pub saved: f32,
}

/// What walks along demonstrations came to, each from the last answer.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct GraphSearchStats {
    /// GraphSearchStats made: one for every step, at most [`GraphSearchStats::MOST`].
    pub walks: usize,
    /// Share that ended on the nearest memory by themselves.
    pub found: f64,
    /// Memories measured by a walk, on average.
    pub measured: f64,
    /// Share of the exact scan's arithmetic that the walks made unnecessary.
    pub saved: f64,
}

impl GraphSearchStats {
    /// The most walks that are made to measure what walking saves.
    pub const MOST: usize = 10_000;
}

impl Codebook {
    /// GraphSearchStats along the first steps of some demonstrations and says what it saved.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn graph_searches(&self, data: &Demonstrations) -> GraphSearchStats {
        let walks = data.n_steps().min(GraphSearchStats::MOST);
        let mut state = self.scaled_buffer();
        let (mut last, mut found, mut measured, mut saved) = (0, 0, 0, 0.0);
        for i in 0..walks {
            self.scale(data.state(i), &mut state);
            let walk = self.retrieve_by_graph(&state, last);
            last = walk.retrieval.memory;
            found += usize::from(walk.found);
            measured += walk.measured;
            saved += f64::from(walk.saved);
        }
        let mean = |sum: f64| sum / walks as f64;
        GraphSearchStats {
            walks,
            found: mean(found as f64),
            measured: mean(measured as f64),
            saved: mean(saved),
        }
    }

    /// An empty scaled state, to be filled by [`scale`](Self::scale) again and again.
    pub fn scaled_buffer(&self) -> Scaled {
        Scaled(vec![0.0; self.n_obs()])
    }

    /// Scales a state (`[n_obs]`, the data's own units) into a buffer.
    pub fn scale(&self, state: &[f32], into: &mut Scaled) {
        self.parts.scale.apply(state, &mut into.0);
    }

    /// The memory nearest to a state; the one of lowest number where several are equally near.
    pub fn retrieve(&self, state: &Scaled) -> Retrieval {
        retrieval(self.table.nearest(&state.0).expect("a codebook has a memory"))
    }

    /// The memory nearest to a state, given a guess of it: the answer of [`recall`](Self::retrieve), sooner where the
    /// guess is near, as the last answer of an episode is.
    pub fn retrieve_from(&self, state: &Scaled, guess: usize) -> Retrieval {
        retrieval(self.table.nearest_from(&state.0, guess).0)
    }

    /// The memory nearest to a state and the one after it, where there are two.
    pub fn retrieve_two(&self, state: &Scaled) -> (Retrieval, Option<Retrieval>) {
        let (first, second) = self.table.two_nearest(&state.0);
        (retrieval(first.expect("a codebook has a memory")), second.map(retrieval))
    }

    /// The `k` memories nearest to a state, nearest first; all where there are fewer.
    pub fn retrieve_many(&self, state: &Scaled, k: usize) -> Vec<Retrieval> {
        let mut hits = Vec::new();
        self.table.k_nearest(&state.0, k, &mut hits);
        hits.into_iter().map(retrieval).collect()
    }

    /// The nearest memory that does not come from source episode `episode`, where there is one.
    pub fn retrieve_from_other_episode(&self, state: &Scaled, episode: u32) -> Option<Retrieval> {
        self.table.nearest_where(&state.0, |i| self.episodes[i] != episode).map(retrieval)
    }

    /// The nearest memory by way of the graph: from the last answer, go to whichever neighbor is nearer until none
    /// is; the distance reached then bounds an exact scan, which can give up early on everything farther.
    pub fn retrieve_by_graph(&self, state: &Scaled, last: usize) -> GraphSearch {
        let measure = |i: usize| {
            let row = &self.scaled[i * self.n_obs()..][..self.n_obs()];
            nearest::Hit { index: i, d2: nearest::distance2(&state.0, row) }
        };
        let mut here = measure(last);
        let mut measured = 1;
        loop {
            let before = here;
            for &j in &self.links[before.index] {
                let there = measure(j as usize);
                measured += 1;
                if there.d2 < here.d2 || (there.d2 == here.d2 && there.index < here.index) {
                    here = there;
                }
            }
            if here == before {
                break;
            }
        }
        let (hit, unread) = self.table.nearest_from(&state.0, here.index);
        let saved = unread as f32 / self.table.columns() as f32;
        GraphSearch { retrieval: retrieval(hit), found: hit.index == here.index, measured, saved }
    }

    /// How much each dimension of the state contributes to the squared distance from a memory: `[n_obs]`, adding up
    /// to the squared distance.
    pub fn contributions(&self, state: &Scaled, memory: usize) -> Vec<f32> {
        let row = &self.scaled[memory * self.n_obs()..][..self.n_obs()];
        state.0.iter().zip(row).map(|(s, m)| (s - m) * (s - m)).collect()
    }
}

fn retrieval(hit: nearest::Hit) -> Retrieval {
    Retrieval { memory: hit.index, distance: hit.d2.sqrt() }
}
