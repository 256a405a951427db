//! The codebook in two dimensions: memories in the plane in which they spread most, and the graph between them.

use mcnn::memory::Codebook;
use serde::Serialize;

use super::{pca::Plane, short};

/// The most memories that are drawn, so that the page stays small and quick.
const MOST: usize = 5000;

/// The most edges.
const EDGES: usize = 20_000;

/// Memories and edges as they are drawn. All lists but `edges` are by drawn memory.
#[derive(Serialize)]
pub struct Map {
    /// The memories' numbers.
    pub memories: Vec<usize>,
    /// Places in the plane, in standardized units.
    pub at: Vec<[f32; 2]>,
    /// The demonstrated steps they come from.
    pub sources: Vec<[u32; 2]>,
    /// How many of the data's states recall each.
    pub uses: Vec<u32>,
    /// How many of the visited states do; null where nothing was run.
    pub visits: Option<Vec<u32>>,
    /// Pairs of places in the lists above.
    pub edges: Vec<[usize; 2]>,
    /// Edges there are, drawn or not.
    pub of_edges: usize,
    /// Share of the memories' variance along each axis.
    pub shares: [f64; 2],
}

/// The plane of a codebook's standardized memories.
pub fn plane(codebook: &Codebook) -> Plane {
    let mut scaled = codebook.scaled_buffer();
    let mut all = Vec::with_capacity(codebook.len() * codebook.n_obs());
    for m in 0..codebook.len() {
        codebook.scale(codebook.state(m), &mut scaled);
        all.extend_from_slice(scaled.values());
    }
    Plane::of(&all, codebook.n_obs())
}

/// The map. Where there are too many memories every k-th is drawn, and all of `shown` (in order, each once) besides.
pub fn map(codebook: &Codebook, plane: &Plane, uses: &[u32], visits: Option<&[u32]>, shown: &[usize]) -> Map {
    let every = codebook.len().div_ceil(MOST);
    let drawn = |m: &usize| m.is_multiple_of(every) || shown.binary_search(m).is_ok();
    let memories: Vec<usize> = (0..codebook.len()).filter(drawn).collect();
    let mut scaled = codebook.scaled_buffer();
    let at = memories.iter().map(|&m| {
        codebook.scale(codebook.state(m), &mut scaled);
        plane.place(scaled.values()).map(short)
    });
    let at = at.collect();
    let parts = codebook.parts();
    let place = |m: u32| memories.binary_search(&(m as usize)).ok();
    let edges = parts.edges.iter().filter_map(|&[a, b]| Some([place(a)?, place(b)?])).take(EDGES).collect();
    let pick = |of: &[u32]| memories.iter().map(|&m| of[m]).collect();
    Map {
        at,
        sources: memories.iter().map(|&m| codebook.source(m)).map(|s| [s.episode, s.step]).collect(),
        uses: pick(uses),
        visits: visits.map(pick),
        edges,
        of_edges: parts.edges.len(),
        shares: plane.shares,
        memories,
    }
}
