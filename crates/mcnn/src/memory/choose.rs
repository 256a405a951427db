//! Methods to select which training states become memories. All work on standardized states and select distinct ones.

use std::num::NonZero;

use nearest::Table;

use super::{
    batch::{BatchQuery, has_device, nearest_on_device, search_on_device},
    farthest_points::FarthestPoints,
    gas::{Gas, GasSettings},
    kmeans::lloyd,
};
use crate::seed::Seed;

/// How memories are selected from the training states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelectionMethod {
    /// Growing neural gas, starting from two nodes (Fritzke, 1994).
    Gas,
    /// Growing neural gas as run by the authors of MCNN: it starts with as many nodes as there will be memories.
    GasFixed,
    /// A random subset.
    Random,
    /// k-means (Lloyd), from a random initialization.
    Kmeans,
    /// Farthest-point sampling (k-center; Gonzalez, 1985): its largest distance is at most twice the optimum.
    Kcenter,
    /// Every training state.
    All,
}

impl std::fmt::Display for SelectionMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SelectionMethod::Gas => "gas",
            SelectionMethod::GasFixed => "gas-fixed",
            SelectionMethod::Random => "random",
            SelectionMethod::Kmeans => "kmeans",
            SelectionMethod::Kcenter => "kcenter",
            SelectionMethod::All => "all",
        })
    }
}

/// The training states that become memories, and the graph between them.
pub(super) struct Selection {
    /// Rows with pairwise different states.
    pub rows: Vec<usize>,
    /// Edges between positions in `rows`.
    pub edges: Vec<[u32; 2]>,
    /// Nodes (of the gas or k-means) merged because their nearest row is that of another node.
    pub merged: usize,
    /// Rows added by farthest-point sampling to reach the requested number.
    pub refilled: usize,
}

impl Selection {
    /// The same selection ordered by row. States near in time are near in space, so the search can prune whole blocks of rows.
    pub fn sorted_by_row(self) -> Self {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_unstable_by_key(|&i| self.rows[i]);
        let mut position = vec![0; order.len()];
        order.iter().zip(0..).for_each(|(&i, to)| position[i] = to);
        let edges = self.edges.iter().map(|e| e.map(|i| position[i as usize])).collect();
        Self { rows: order.iter().map(|&i| self.rows[i]).collect(), edges: normalize_edges(edges), ..self }
    }
}

/// Standardized training states to select from.
pub(super) struct Candidates<'a> {
    pub rows: &'a [f32], // [n, dim]
    pub dim: usize,
    /// The first row of each distinct state: a repeated state can be a memory only once.
    pub distinct: &'a [usize],
    /// All rows, in the layout of the search.
    pub table: &'a Table,
}

impl Candidates<'_> {
    fn row(&self, i: usize) -> &[f32] {
        &self.rows[i * self.dim..][..self.dim]
    }
}

/// The row of a table nearest to each query, on the device or by [`Table::nearest_many`]. `rows`: those of the table.
pub(super) fn nearest_of_each(table: &Table, rows: &[f32], queries: &[f32]) -> Vec<nearest::Hit> {
    let query = BatchQuery { rows, queries, dim: table.dim(), k: 1, groups: None };
    nearest_on_device(table, &query).unwrap_or_else(|| table.nearest_many(queries, threads()))
}

/// The number of threads of a search. Results do not depend on it.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Selects `count` distinct rows; `count` is at most the number of distinct states.
pub(super) fn select(
    candidates: &Candidates,
    method: SelectionMethod,
    count: usize,
    epochs: usize,
    seed: Seed,
) -> Selection {
    let n = candidates.rows.len() / candidates.dim;
    match method {
        SelectionMethod::All => with_hebbian_edges(candidates, candidates.distinct.to_vec()),
        SelectionMethod::Random => {
            let mut order = seed.rng().permutation(candidates.distinct.len());
            order.truncate(count);
            with_hebbian_edges(candidates, order.into_iter().map(|i| candidates.distinct[i]).collect())
        }
        SelectionMethod::Kcenter => {
            let first = candidates.distinct[seed.rng().below(candidates.distinct.len())];
            with_hebbian_edges(candidates, extend_by_farthest_points(candidates, vec![first], count))
        }
        SelectionMethod::Kmeans => {
            let mut order = seed.rng().permutation(candidates.distinct.len());
            order.truncate(count);
            let start = order.into_iter().map(|i| candidates.distinct[i]).collect::<Vec<_>>();
            let centers = lloyd(candidates.rows, candidates.dim, gather(candidates, &start), epochs);
            let (rows, merged, _) = snap_to_rows(candidates, &centers);
            let (rows, refilled) = refill(candidates, rows, count);
            Selection { merged, refilled, ..with_hebbian_edges(candidates, rows) }
        }
        SelectionMethod::Gas | SelectionMethod::GasFixed => {
            let settings = match method {
                SelectionMethod::Gas => GasSettings::growing(count, epochs, n),
                _ => GasSettings::fixed(count, epochs),
            };
            let mut gas = Gas::new(candidates.rows, candidates.dim, settings, &mut seed.fork("start").rng());
            gas.train(candidates.rows, seed.fork("order"));
            let (rows, merged, position) = snap_to_rows(candidates, gas.nodes());
            let edges = gas.edges().into_iter().map(|(e, _)| e.map(|node| position[node as usize])).collect();
            let before = rows.len();
            let (rows, refilled) = refill(candidates, rows, count);
            let edges = connect_added_rows(candidates, &rows, before, edges);
            Selection { rows, edges, merged, refilled }
        }
    }
}

/// A selection with a graph by competitive Hebbian learning (Martinetz and Schulten, 1994): an edge between the two memories
/// nearest to each training state.
fn with_hebbian_edges(candidates: &Candidates, rows: Vec<usize>) -> Selection {
    let memories = gather(candidates, &rows);
    let table = Table::from_rows(&memories, candidates.dim);
    let on_device = || {
        let (dim, queries) = (candidates.dim, gather(candidates, candidates.distinct));
        let query = BatchQuery { rows: &memories, queries: &queries, dim, k: 2, groups: None };
        search_on_device(&table, &query)
    };
    let edges = match has_device().then(on_device).flatten() {
        Some(pairs) => pairs
            .iter()
            .filter_map(|pair| Some([pair.first()?.index as u32, pair.get(1)?.index as u32]))
            .collect(),
        None => parallel_map(candidates.distinct.len(), |i| {
            let (first, second) = table.two_nearest(candidates.row(candidates.distinct[i]));
            Some([first?.index as u32, second?.index as u32])
        })
        .into_iter()
        .flatten()
        .collect(),
    };
    Selection { edges: normalize_edges(edges), rows, merged: 0, refilled: 0 }
}

/// Adds an edge from every row at position `first` or later to its nearest other row.
fn connect_added_rows(
    candidates: &Candidates,
    rows: &[usize],
    first: usize,
    mut edges: Vec<[u32; 2]>,
) -> Vec<[u32; 2]> {
    let table = Table::from_rows(&gather(candidates, rows), candidates.dim);
    edges.extend(
        parallel_map(rows.len() - first, |i| table.two_nearest(candidates.row(rows[first + i])))
            .into_iter()
            .zip(first..)
            .filter_map(|((nearest, second), row)| {
                let other = if nearest?.index == row { second? } else { nearest? };
                Some([row as u32, other.index as u32])
            }),
    );
    normalize_edges(edges)
}

/// Sorted edges, each once, with the smaller number first; edges from a memory to itself are dropped.
fn normalize_edges(mut edges: Vec<[u32; 2]>) -> Vec<[u32; 2]> {
    edges.iter_mut().for_each(|e| e.sort_unstable());
    edges.retain(|[a, b]| a != b);
    edges.sort_unstable();
    edges.dedup();
    edges
}

pub(super) fn gather(candidates: &Candidates, rows: &[usize]) -> Vec<f32> {
    rows.iter().flat_map(|&i| candidates.row(i)).copied().collect()
}

/// Replaces each node by its nearest training row and merges nodes with the same row. Returns the rows, the number of merged
/// nodes and, for each node, the position of its row. The rows are distinct states, because the search returns the first of
/// several equal rows.
fn snap_to_rows(candidates: &Candidates, nodes: &[f32]) -> (Vec<usize>, usize, Vec<u32>) {
    let hits = nearest_of_each(candidates.table, candidates.rows, nodes);
    let mut position_of = std::collections::HashMap::new();
    let mut rows = Vec::new();
    let positions = hits
        .iter()
        .map(|hit| {
            *position_of.entry(hit.index).or_insert_with(|| {
                rows.push(hit.index);
                rows.len() as u32 - 1
            })
        })
        .collect();
    let merged = hits.len() - rows.len();
    (rows, merged, positions)
}

/// Adds rows by farthest-point sampling until there are `count`: merged and removed nodes leave fewer than requested.
fn refill(candidates: &Candidates, rows: Vec<usize>, count: usize) -> (Vec<usize>, usize) {
    let before = rows.len();
    let rows = extend_by_farthest_points(candidates, rows, count);
    let refilled = rows.len() - before;
    (rows, refilled)
}

/// Farthest-point sampling: adds the row farthest from all selected rows until there are `count`, or until every row is at
/// distance 0 from a selected one. Of several farthest rows the first is added.
fn extend_by_farthest_points(candidates: &Candidates, mut rows: Vec<usize>, count: usize) -> Vec<usize> {
    if rows.len() >= count {
        return rows;
    }
    let centers = gather(candidates, &rows);
    let hits = nearest_of_each(&Table::from_rows(&centers, candidates.dim), &centers, candidates.rows);
    let mut sampling = FarthestPoints::new(candidates.table, hits.iter().map(|h| h.d2).collect());
    while rows.len() < count {
        let Some((next, _)) = sampling.farthest() else { break };
        rows.push(next);
        sampling.add_center(candidates.row(next));
    }
    rows
}

/// f(0), f(1), ..., f(n - 1), computed in parallel.
pub(super) fn parallel_map<T: Send>(n: usize, f: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    use rayon::prelude::*;
    (0..n).into_par_iter().map(f).collect()
}
