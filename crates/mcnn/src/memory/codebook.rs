//! The codebook: the memories with their actions, their sources and the graph between them.

use std::{collections::HashMap, sync::Arc};

use nearest::Table;

use super::averaged::AveragedSteps;
use crate::{
    data::{ActionUnits, Demonstrations, DimensionNames, EpisodeRecord, Origin, Scale, Step},
    error::{Error, Kind, Result},
};

/// The memories of one data set, in the layout of the search. Immutable.
#[derive(Debug, Clone)]
pub struct Codebook {
    pub(super) parts: CodebookParts,
    pub(super) table: Table, // the standardized states, in the layout of the search alone
    pub(super) links: Links,
    pub(super) in_order: bool,            // whether the sources ascend, each once
    pub(super) episodes: Vec<u32>,        // [n], the group of the source episode of each memory
    pub(super) groups: HashMap<u32, u32>, // of source episodes that coincide with an earlier one
    pub(super) averaged: Option<Arc<AveragedSteps>>, // the steps of smoothed actions, if they are known
}

/// The graph neighbors of each memory, in the order of the edges.
#[derive(Debug, Clone)]
pub(super) struct Links {
    starts: Vec<usize>, // [n + 1], of each memory's part of `neighbors`; empty without edges
    neighbors: Vec<u32>,
}

impl Links {
    fn new(n: usize, edges: &[[u32; 2]]) -> Self {
        if edges.is_empty() {
            return Self { starts: Vec::new(), neighbors: Vec::new() };
        }
        let mut starts = vec![0; n + 1];
        edges.as_flattened().iter().for_each(|&i| starts[i as usize + 1] += 1);
        (0..n).for_each(|i| starts[i + 1] += starts[i]);
        let (mut next, mut neighbors) = (starts.clone(), vec![0; 2 * edges.len()]);
        for [a, b] in edges {
            for (from, to) in [(a, b), (b, a)] {
                let place = &mut next[*from as usize];
                neighbors[*place] = *to;
                *place += 1;
            }
        }
        Self { starts, neighbors }
    }

    pub fn of(&self, i: usize) -> &[u32] {
        if self.starts.is_empty() { &[] } else { &self.neighbors[self.starts[i]..self.starts[i + 1]] }
    }
}

/// The contents of a codebook, as stored in a file. n: the number of memories.
#[derive(Debug, Clone, PartialEq)]
pub struct CodebookParts {
    /// The standardization in which distances are computed, fitted on all the data the memories were selected from.
    pub scale: Scale,
    /// The memories' states in the data's units: `[n, n_obs]`.
    pub states: Vec<f32>,
    /// The memories' actions, each in [-1, 1]: `[n, n_act]`.
    pub actions: Vec<f32>,
    /// The demonstrated actions after each memory's own, for policies that predict a chunk of actions:
    /// `[n, horizon - 1, n_act]`; empty for a horizon of 1.
    pub future_actions: Vec<f32>,
    /// Where each memory comes from: `[n]`.
    pub sources: Vec<Step>,
    /// The edges of the graph: pairs of memories, the smaller number first, sorted, each once.
    pub edges: Vec<[u32; 2]>,
    /// Training steps whose actions are averaged into a memory's action; 1: its own action.
    pub smooth_neighbors: usize,
    /// The name of the selection method.
    pub selection: String,
    /// The seed of the selection.
    pub seed: u64,
    /// The fingerprint (content hash) of the data the memories were selected from.
    pub data: String,
    /// Steps in that data.
    pub n_states: usize,
    /// Records of the episodes of that data, and of those that memories were added from; empty in older files.
    pub episodes: Vec<EpisodeRecord>,
    /// How the states were embedded, if they are embeddings ([`Demonstrations::encoding`]).
    pub encoding: Option<String>,
    /// Names of the dimensions of states and actions, where they are known.
    pub names: DimensionNames,
    /// The units of actions.
    pub units: ActionUnits,
    /// The keys of the data that states and actions were read from, where they are known.
    pub origin: Origin,
}

impl CodebookParts {
    /// Memories with their own actions and nothing more: without edges, of unknown data, selected by `hand`.
    pub fn new(scale: Scale, states: Vec<f32>, actions: Vec<f32>, sources: Vec<Step>) -> Self {
        Self {
            scale,
            states,
            actions,
            future_actions: Vec::new(),
            n_states: sources.len(),
            sources,
            edges: Vec::new(),
            smooth_neighbors: 1,
            selection: "hand".into(),
            seed: 0,
            data: String::new(),
            episodes: Vec::new(),
            encoding: None,
            names: DimensionNames::default(),
            units: ActionUnits::default(),
            origin: Origin::default(),
        }
    }
}

impl Codebook {
    /// Checks the parts and prepares the search.
    ///
    /// # Errors
    /// If lengths disagree, numbers are not finite, actions are outside [-1, 1], there is no memory, an edge names a
    /// memory that does not exist, or names do not fit the dimensions.
    pub fn new(parts: CodebookParts) -> Result<Self> {
        let n = parts.sources.len();
        let (n_obs, width) =
            (parts.scale.mean.len().saturating_sub(parts.scale.angles.len()), parts.scale.mean.len());
        let bad = |what: String| {
            Err(Error::new(Kind::File, what).at("codebook").next("learn the memories again (`mcnn learn`)"))
        };
        if n == 0 || n_obs == 0 {
            return bad("the codebook has no memories".into());
        }
        let n_act = parts.actions.len() / n;
        if parts.scale.std.len() != width
            || parts.states.len() != n * n_obs
            || n_act == 0
            || parts.actions.len() != n * n_act
        {
            return bad(format!(
                "the lengths of the codebook's arrays disagree: {n} sources, {width} means, {} standard deviations, {} state values, {} action values",
                parts.scale.std.len(),
                parts.states.len(),
                parts.actions.len()
            ));
        }
        let finite = |v: &[f32]| v.iter().all(|v| v.is_finite());
        if !(finite(&parts.states) && finite(&parts.scale.mean)) {
            return bad("the codebook has values that are NaN or infinite".into());
        }
        // An infinite standard deviation marks an ignored dimension.
        if !parts.scale.std.iter().all(|&s| s >= 0.0) {
            return bad("the codebook has a standard deviation that is NaN or negative".into());
        }
        if !parts.future_actions.len().is_multiple_of(parts.actions.len()) {
            return bad(format!(
                "the lengths of the codebook's arrays disagree: {} values of future actions for {n} memories with actions of {n_act} dimensions",
                parts.future_actions.len()
            ));
        }
        if !parts.actions.iter().chain(&parts.future_actions).all(|a| a.abs() <= 1.0) {
            return bad("the codebook has actions outside [-1, 1]".into());
        }
        if parts.smooth_neighbors == 0 || !parts.edges.iter().all(|&[a, b]| a < b && (b as usize) < n) {
            return bad(
                "the codebook has an edge to a memory that does not exist, or averages actions over 0 steps"
                    .into(),
            );
        }
        parts.names.validate(n_obs, n_act).map_err(|e| e.within("codebook"))?;
        let of_units = [parts.units.scales()[0].len(), parts.units.relative_to().len()];
        if of_units.iter().any(|n| *n != 0 && *n != n_act)
            || parts.units.relative_to().iter().flatten().any(|k| *k >= n_obs)
        {
            return bad("the units of actions do not fit the dimensions of the codebook".into());
        }
        if parts.scale.angles != parts.units.angles()
            || parts.scale.angles.iter().any(|angle| angle.dimension >= n_obs)
        {
            return bad("the angles of the codebook do not fit the dimensions of its states".into());
        }
        // Finite states can overflow when standardized; a distance to them would be NaN.
        let mut overflow = None;
        let table = Table::from_fn(n, width, |i, row| {
            parts.scale.apply(&parts.states[i * n_obs..][..n_obs], row);
            if overflow.is_none() {
                overflow = row.iter().position(|v| !v.is_finite()).map(|feature| (i, feature));
            }
        });
        if let Some((memory, feature)) = overflow {
            let dimension = parts.scale.dimension(feature);
            return bad(format!(
                "the codebook has a state that is not finite when standardized: memory {memory}, dimension {dimension}, {:e} at a \
                 mean of {:e} and a standard deviation of {:e}",
                parts.states[memory * n_obs + dimension],
                parts.scale.mean[feature],
                parts.scale.std[feature]
            ));
        }
        let links = Links::new(n, &parts.edges);
        let in_order = parts.sources.is_sorted_by(|a, b| (a.episode, a.step) < (b.episode, b.step));
        let groups: HashMap<u32, u32> =
            parts.episodes.iter().filter(|e| e.group != e.number).map(|e| (e.number, e.group)).collect();
        let group = |episode: u32| groups.get(&episode).copied().unwrap_or(episode);
        let episodes = parts.sources.iter().map(|s| group(s.episode)).collect();
        Ok(Self { table, links, in_order, episodes, groups, averaged: None, parts })
    }

    /// The same memories with these names of dimensions, in place of those they had.
    ///
    /// # Errors
    /// As [`DimensionNames::validate`].
    pub fn with_names(mut self, names: DimensionNames) -> Result<Self> {
        names.validate(self.n_obs(), self.n_act())?;
        self.parts.names = names;
        Ok(self)
    }

    /// The parts, as stored in a file.
    pub fn parts(&self) -> &CodebookParts {
        &self.parts
    }

    /// The number of memories.
    pub fn len(&self) -> usize {
        self.parts.sources.len()
    }

    /// Always false: a codebook has at least one memory.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The dimensions of a state.
    pub fn n_obs(&self) -> usize {
        self.parts.scale.n_obs()
    }

    /// The numbers that distances and networks see of a state: its dimensions, and one more for each angle.
    pub fn n_features(&self) -> usize {
        self.parts.scale.n_features()
    }

    /// The dimensions of an action.
    pub fn n_act(&self) -> usize {
        self.parts.actions.len() / self.len()
    }

    /// The state of a memory in the data's units: `[n_obs]`.
    pub fn state(&self, i: usize) -> &[f32] {
        &self.parts.states[i * self.n_obs()..][..self.n_obs()]
    }

    /// The standardized states, in which distances are measured: `[n, n_features]`. Computed by each call, because the search has them in
    /// another layout.
    pub fn standardized_states(&self) -> Vec<f32> {
        self.parts.scale.apply_all(&self.parts.states)
    }

    /// The standardized state of a memory: `[n_features]`. Computed by each call.
    pub fn standardized_state(&self, i: usize) -> Vec<f32> {
        let mut state = Vec::with_capacity(self.n_features());
        self.append_standardized_state(i, &mut state);
        state
    }

    /// Appends the standardized state of a memory, `[n_features]`, to a list.
    pub(crate) fn append_standardized_state(&self, i: usize, list: &mut Vec<f32>) {
        let start = list.len();
        list.resize(start + self.n_features(), 0.0);
        self.parts.scale.apply(self.state(i), &mut list[start..]);
    }

    /// The action of a memory, in [-1, 1]: `[n_act]`.
    pub fn action(&self, i: usize) -> &[f32] {
        &self.parts.actions[i * self.n_act()..][..self.n_act()]
    }

    /// The units of actions.
    pub fn units(&self) -> &ActionUnits {
        &self.parts.units
    }

    /// The demonstrated step of a memory.
    pub fn source(&self, i: usize) -> Step {
        self.parts.sources[i]
    }

    /// The memory demonstrated `ahead` steps after memory `i`, if there is one.
    pub(crate) fn later_memory(&self, i: usize, ahead: usize) -> Option<usize> {
        let Step { episode, step } = self.source(i);
        let wanted = Step { episode, step: step.checked_add(u32::try_from(ahead).ok()?)? };
        // If every step is a memory, the next memory is the next step.
        let sources = &self.parts.sources;
        if sources.get(i + ahead) == Some(&wanted) {
            return Some(i + ahead);
        }
        // Memories are in the order of the steps, unless others made the file.
        if self.in_order {
            let key = |source: &Step| (source.episode, source.step);
            return sources.binary_search_by_key(&key(&wanted), key).ok();
        }
        sources.iter().position(|source| *source == wanted)
    }

    /// Checks that the memories were learned from these demonstrations.
    ///
    /// # Errors
    /// If the fingerprints differ.
    pub fn check_data(&self, data: &Demonstrations) -> Result<()> {
        let found = data.fingerprint();
        if found == self.parts.data {
            return Ok(());
        }
        self.check_space(data)?; // its message is more specific if the spaces differ
        Err(Error::new(Kind::Mismatch, "the memories were learned from other data")
            .expected(format!("{} steps with fingerprint {:.12}", self.parts.n_states, self.parts.data))
            .found(format!("{} steps with fingerprint {found:.12}", data.n_steps()))
            .next("pass the data the memories were learned from, or run `mcnn learn` on these data"))
    }

    /// Checks that these demonstrations are in the space of the memories: states and actions of the same dimensions and, for
    /// embeddings, the same network, weights and preset.
    ///
    /// # Errors
    /// If they are not.
    pub fn check_space(&self, data: &Demonstrations) -> Result<()> {
        let dimensions = |obs, act| format!("states of {obs} and actions of {act} dimensions");
        if (data.n_obs(), data.n_act()) != (self.n_obs(), self.n_act()) {
            return Err(Error::new(Kind::Mismatch, "the dimensions of the data and the memories differ")
                .expected(dimensions(self.n_obs(), self.n_act()))
                .found(dimensions(data.n_obs(), data.n_act()))
                .next("give data of the task that the memories were learned from"));
        }
        if data.units() != &self.parts.units {
            let text = |units: &ActionUnits| match units.describe(&self.parts.names) {
                lines if lines.is_empty() && units.angles().is_empty() => {
                    "actions in [-1, 1] as they are".into()
                }
                lines => [lines, units.describe_angles(&self.parts.names)].concat().join("; "),
            };
            return Err(Error::new(
                Kind::Mismatch,
                "the actions of the data and of the memories have other units, or other dimensions are angles",
            )
            .expected(text(&self.parts.units))
            .found(text(data.units()))
            .next("read the data in the units of the memories (`Units::Given`)"));
        }
        let (expected, found) = (self.parts.encoding.as_deref(), data.encoding());
        if expected == found {
            return Ok(());
        }
        let text = |encoding: Option<&str>| encoding.unwrap_or("states that are not embeddings").to_owned();
        Err(Error::new(Kind::Mismatch, "the memories and the data are embedded differently")
            .expected(text(expected))
            .found(text(found))
            .next("embed both with the same weights and preset (`mcnn embed`)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    /// Memories of one dimension, with these sources.
    fn codebook(sources: Vec<Step>, edges: Vec<[u32; 2]>) -> Codebook {
        let n = sources.len();
        Codebook::new(CodebookParts {
            edges,
            ..CodebookParts::new(
                Scale { mean: vec![1.0], std: vec![2.0], angles: vec![] },
                (0..n).map(|i| i as f32).collect(),
                vec![0.5; n],
                sources,
            )
        })
        .unwrap()
    }

    #[test]
    fn a_later_memory_is_found_in_any_order_of_the_memories() {
        let mut rng = Seed(3).rng();
        let all = (0..300).map(|i| Step { episode: i / 30, step: i % 30 });
        let mut sources: Vec<Step> = all.filter(|_| rng.uniform() < 0.6).collect();
        for in_order in [true, false] {
            let book = codebook(sources.clone(), Vec::new());
            assert_eq!(book.in_order, in_order);
            let mut found = 0;
            for (i, of) in sources.iter().enumerate() {
                for ahead in 0..5 {
                    let wanted = Step { episode: of.episode, step: of.step + ahead };
                    let expected = sources.iter().position(|source| *source == wanted);
                    assert_eq!(book.later_memory(i, ahead as usize), expected, "{of:?} and {ahead}");
                    found += usize::from(expected.is_some());
                }
            }
            assert!(found > 400);
            sources.reverse();
        }
    }

    #[test]
    fn every_memory_has_its_neighbors_in_the_order_of_the_edges() {
        let mut rng = Seed(4).rng();
        let n = 50;
        let mut edges = Vec::new();
        for a in 0..n - 1 {
            for b in a + 1..n {
                if rng.uniform() < 0.05 {
                    edges.push([a as u32, b as u32]);
                }
            }
        }
        let sources: Vec<Step> = (0..n as u32).map(|step| Step { episode: 0, step }).collect();
        let book = codebook(sources.clone(), edges.clone());
        let other = |i: u32, [a, b]: [u32; 2]| [(a == i).then_some(b), (b == i).then_some(a)];
        for i in 0..n {
            let expected: Vec<u32> = edges.iter().flat_map(|edge| other(i as u32, *edge)).flatten().collect();
            assert_eq!(book.links.of(i), expected);
            assert_eq!(book.standardized_state(i), [(i as f32 - 1.0) / 2.0]);
        }
        assert_eq!(book.standardized_states().len(), n);
        assert!((0..n).all(|i| codebook(sources.clone(), Vec::new()).links.of(i).is_empty()));
    }
}
