//! The codebook: memories with their actions, their sources and the graph between them.

use nearest::Table;

use crate::{
    data::{Demonstrations, Scale, Step},
    error::{Error, Kind, Result},
};

/// Memories of one data set, ready to be searched. Immutable once made.
#[derive(Debug, Clone)]
pub struct Codebook {
    pub(super) parts: CodebookParts,
    pub(super) table: Table,         // the scaled states, laid out for searching
    pub(super) scaled: Vec<f32>,     // [n, n_obs], the scaled states row by row
    pub(super) links: Vec<Vec<u32>>, // [n], graph neighbors of each memory
    pub(super) episodes: Vec<u32>,   // [n], the source episode of each memory
}

/// What a codebook is made of, as it is kept in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct CodebookParts {
    /// The scale in which distances are measured: that of all the data the memories were chosen from.
    pub scale: Scale,
    /// The memories' states in the data's own units: `[n, n_obs]`.
    pub states: Vec<f32>,
    /// The memories' actions, each in [-1, 1]: `[n, n_act]`.
    pub actions: Vec<f32>,
    /// The actions that followed each memory's, for policies that act ahead: `[n, horizon - 1, n_act]`; none where nothing
    /// acts ahead.
    pub future_actions: Vec<f32>,
    /// Where each memory comes from: `[n]`.
    pub sources: Vec<Step>,
    /// The graph: pairs of memories, smaller number first, in order, each once.
    pub edges: Vec<[u32; 2]>,
    /// Training steps whose actions are averaged into a memory's action; 1 is its own step alone.
    pub smooth_neighbors: usize,
    /// How the memories were chosen, for people.
    pub selection: String,
    /// The seed they were chosen with.
    pub seed: u64,
    /// The fingerprint of the data they were chosen from.
    pub data: String,
    /// Steps in that data.
    pub n_states: usize,
    /// What its states are embeddings by, if they are ([`Demonstrations::encoding`]).
    pub encoding: Option<String>,
}

impl Codebook {
    /// Checks the parts and lays the memories out for searching.
    ///
    /// # Errors
    /// If lengths disagree, numbers are not finite, actions leave [-1, 1], there is no memory, or an edge names a
    /// memory that is not there.
    pub fn new(parts: CodebookParts) -> Result<Self> {
        let n = parts.sources.len();
        let n_obs = parts.scale.mean.len();
        let bad =
            |what: String| Err(Error::new(Kind::File, what).at("codebook").next("learn the memories again"));
        if n == 0 || n_obs == 0 {
            return bad("a codebook without memories".into());
        }
        let n_act = parts.actions.len() / n;
        if parts.scale.std.len() != n_obs
            || parts.states.len() != n * n_obs
            || n_act == 0
            || parts.actions.len() != n * n_act
        {
            return bad(format!(
                "a codebook whose parts disagree: {n} sources, {n_obs} means, {} deviations, {} state and {} action numbers",
                parts.scale.std.len(),
                parts.states.len(),
                parts.actions.len()
            ));
        }
        let finite = |v: &[f32]| v.iter().all(|v| v.is_finite());
        if !(finite(&parts.states) && finite(&parts.scale.mean)) {
            return bad("a codebook with numbers that are NaN or infinite".into());
        }
        // (Infinity marks a dimension that is ignored.)
        if !parts.scale.std.iter().all(|&s| s >= 0.0) {
            return bad("a codebook with a standard deviation that is NaN or below 0".into());
        }
        if !parts.future_actions.len().is_multiple_of(parts.actions.len()) {
            return bad(format!(
                "a codebook whose parts disagree: {} following action numbers for {n} memories with actions of {n_act}",
                parts.future_actions.len()
            ));
        }
        if !parts.actions.iter().chain(&parts.future_actions).all(|a| a.abs() <= 1.0) {
            return bad("a codebook with actions outside [-1, 1]".into());
        }
        if parts.smooth_neighbors == 0 || !parts.edges.iter().all(|&[a, b]| a < b && (b as usize) < n) {
            return bad(
                "a codebook with an edge between memories that are not there, or smoothing over no steps"
                    .into(),
            );
        }
        let mut scaled = vec![0.0; n * n_obs];
        for (to, from) in scaled.chunks_exact_mut(n_obs).zip(parts.states.chunks_exact(n_obs)) {
            parts.scale.apply(from, to);
        }
        // (Numbers that are finite each may not be so in the scale, and a distance to them would be NaN.)
        if !finite(&scaled) {
            return bad("a codebook whose scale does not fit its states".into());
        }
        let mut links = vec![Vec::new(); n];
        for &[a, b] in &parts.edges {
            links[a as usize].push(b);
            links[b as usize].push(a);
        }
        let episodes = parts.sources.iter().map(|s| s.episode).collect();
        Ok(Self { table: Table::from_rows(&scaled, n_obs), scaled, links, episodes, parts })
    }

    /// The parts, as they are kept in a file.
    pub fn parts(&self) -> &CodebookParts {
        &self.parts
    }

    /// Memories.
    pub fn len(&self) -> usize {
        self.parts.sources.len()
    }

    /// Never: a codebook has at least one memory.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Numbers in a state.
    pub fn n_obs(&self) -> usize {
        self.parts.scale.mean.len()
    }

    /// Numbers in an action.
    pub fn n_act(&self) -> usize {
        self.parts.actions.len() / self.len()
    }

    /// A memory's state in the data's own units.
    pub fn state(&self, i: usize) -> &[f32] {
        &self.parts.states[i * self.n_obs()..][..self.n_obs()]
    }

    /// A memory's action.
    pub fn action(&self, i: usize) -> &[f32] {
        &self.parts.actions[i * self.n_act()..][..self.n_act()]
    }

    /// Where a memory comes from.
    pub fn source(&self, i: usize) -> Step {
        self.parts.sources[i]
    }

    /// Checks that these memories were learned from these demonstrations (or from some of their episodes' source).
    ///
    /// # Errors
    /// If the fingerprints differ.
    pub fn check_data(&self, data: &Demonstrations) -> Result<()> {
        let found = data.fingerprint();
        if found == self.parts.data {
            return Ok(());
        }
        self.check_space(data)?; // where that is why, it says more
        Err(Error::new(Kind::Mismatch, "these memories were learned on other data")
            .expected(format!("{} steps with fingerprint {:.12}", self.parts.n_states, self.parts.data))
            .found(format!("{} steps with fingerprint {found:.12}", data.n_steps()))
            .next("give the data the memories were learned from, or run `mcnn learn` on this data"))
    }

    /// Checks that states of these demonstrations lie in the space of these memories' states: as wide, actions too, and
    /// where they are embeddings, embedded by the same network, weights and preset.
    ///
    /// # Errors
    /// If they do not.
    pub fn check_space(&self, data: &Demonstrations) -> Result<()> {
        let widths = |obs, act| format!("states of {obs}, actions of {act}");
        if (data.n_obs(), data.n_act()) != (self.n_obs(), self.n_act()) {
            return Err(Error::new(Kind::Mismatch, "the data and the memories have other widths")
                .expected(widths(self.n_obs(), self.n_act()))
                .found(widths(data.n_obs(), data.n_act())));
        }
        let (expected, found) = (self.parts.encoding.as_deref(), data.encoding());
        if expected == found {
            return Ok(());
        }
        let text = |encoding: Option<&str>| encoding.unwrap_or("states that are no embeddings").to_owned();
        Err(Error::new(Kind::Mismatch, "the memories and the data are embedded differently")
            .expected(text(expected))
            .found(text(found))
            .next("embed both with the same weights and preset (`mcnn embed`)"))
    }
}
