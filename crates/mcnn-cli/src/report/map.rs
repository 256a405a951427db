//! The codebook in two dimensions: the memories on their first two principal components, and the graph between them.

use mcnn::memory::Codebook;
use serde::Serialize;

use super::{pca::Plane, short};

/// Limit of the memories drawn, so that the page stays small and fast.
const MAX_MEMORIES: usize = 5000;

/// Limit of the edges drawn.
const MAX_EDGES: usize = 20_000;

/// The memories and edges drawn. All lists but `edges` have one entry per drawn memory.
#[derive(Serialize)]
pub struct Map {
    /// The memories' indices in the codebook.
    pub memories: Vec<usize>,
    /// Coordinates in the plane, in standardized units.
    pub at: Vec<[f32; 2]>,
    /// The demonstrated steps they come from.
    pub sources: Vec<[u32; 2]>,
    /// Number of demonstrated states of which it is the nearest memory.
    pub uses: Vec<u32>,
    /// The same of the visited states; null where no task was run.
    pub visits: Option<Vec<u32>>,
    /// Pairs of indices into the lists above.
    pub edges: Vec<[usize; 2]>,
    /// Number of all edges, drawn or not.
    pub of_edges: usize,
    /// Share of the memories' variance along each axis.
    pub shares: [f64; 2],
}

/// The plane of a codebook's standardized memories.
pub fn plane(codebook: &Codebook) -> Plane {
    let mut scaled = codebook.scaled_buffer();
    let mut all = Vec::with_capacity(codebook.len() * codebook.n_features());
    for m in 0..codebook.len() {
        codebook.scale(codebook.state(m), &mut scaled);
        all.extend_from_slice(scaled.values());
    }
    Plane::of(&all, codebook.n_features())
}

/// The map. Of too many memories, every k-th is drawn, and all of `shown` (sorted, without duplicates).
pub fn map(codebook: &Codebook, plane: &Plane, uses: &[u32], visits: Option<&[u32]>, shown: &[usize]) -> Map {
    let every = codebook.len().div_ceil(MAX_MEMORIES);
    let drawn = |m: &usize| m.is_multiple_of(every) || shown.binary_search(m).is_ok();
    let memories: Vec<usize> = (0..codebook.len()).filter(drawn).collect();
    let mut scaled = codebook.scaled_buffer();
    let at = memories.iter().map(|&m| {
        codebook.scale(codebook.state(m), &mut scaled);
        plane.project(scaled.values()).map(short)
    });
    let at = at.collect();
    let parts = codebook.parts();
    let index = |m: u32| memories.binary_search(&(m as usize)).ok();
    let edges =
        parts.edges.iter().filter_map(|&[a, b]| Some([index(a)?, index(b)?])).take(MAX_EDGES).collect();
    let of_drawn = |values: &[u32]| memories.iter().map(|&m| values[m]).collect();
    Map {
        at,
        sources: memories.iter().map(|&m| codebook.source(m)).map(|s| [s.episode, s.step]).collect(),
        uses: of_drawn(uses),
        visits: visits.map(of_drawn),
        edges,
        of_edges: parts.edges.len(),
        shares: plane.shares,
        memories,
    }
}
