//! Methods to select which training states become memories. All work on standardized states and select distinct ones.

use std::num::NonZero;

use nearest::Table;

use super::{
    batch::{BatchQuery, has_device, nearest_on_device, search_on_device},
    farthest_points::{FarthestInBlocks, FarthestPoints},
    gas::{Gas, GasSettings},
    kmeans::lloyd_of,
    rows::Rows,
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
    pub rows: &'a Rows<'a>,
    /// The first row of each distinct state: a repeated state can be a memory only once.
    pub distinct: &'a [usize],
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
    let n = candidates.rows.len();
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
            let centers = lloyd_of(candidates.rows, candidates.rows.gather(&start), epochs);
            let (rows, merged, _) = snap_to_rows(candidates, &centers);
            let (rows, refilled) = refill(candidates, rows, count);
            Selection { merged, refilled, ..with_hebbian_edges(candidates, rows) }
        }
        SelectionMethod::Gas | SelectionMethod::GasFixed => {
            let settings = match method {
                SelectionMethod::Gas => GasSettings::growing(count, epochs, n),
                _ => GasSettings::fixed(count, epochs),
            };
            let mut gas = Gas::of(candidates.rows, settings, &mut seed.fork("start").rng());
            gas.train_on(candidates.rows, seed.fork("order"));
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
    let (dim, memories) = (candidates.rows.dim(), candidates.rows.gather(&rows));
    let table = Table::from_rows(&memories, dim);
    let mut edges = Vec::new();
    for block in candidates.rows.blocks(1) {
        let all = candidates.rows.range(block.clone());
        let [from, to] =
            [block.start, block.end].map(|end| candidates.distinct.partition_point(|&row| row < end));
        let state = |i: usize| &all[(candidates.distinct[i] - block.start) * dim..][..dim];
        let on_device = || {
            let queries: Vec<f32> = (from..to).flat_map(state).copied().collect();
            let query = BatchQuery { rows: &memories, queries: &queries, dim, k: 2, groups: None };
            search_on_device(&table, &query)
        };
        match has_device().then(on_device).flatten() {
            Some(pairs) => edges.extend(
                pairs.iter().filter_map(|pair| Some([pair.first()?.index as u32, pair.get(1)?.index as u32])),
            ),
            None => edges.extend(
                parallel_map(to - from, |i| {
                    let (first, second) = table.two_nearest(state(from + i));
                    Some([first?.index as u32, second?.index as u32])
                })
                .into_iter()
                .flatten(),
            ),
        }
        edges = normalize_edges(edges);
    }
    Selection { edges, rows, merged: 0, refilled: 0 }
}

/// Adds an edge from every row at position `first` or later to its nearest other row.
fn connect_added_rows(
    candidates: &Candidates,
    rows: &[usize],
    first: usize,
    mut edges: Vec<[u32; 2]>,
) -> Vec<[u32; 2]> {
    let table = table_of(candidates, rows);
    edges.extend(
        parallel_map(rows.len() - first, |i| table.two_nearest(&candidates.rows.row(rows[first + i])))
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

/// A table of some rows.
fn table_of(candidates: &Candidates, rows: &[usize]) -> Table {
    Table::from_rows(&candidates.rows.gather(rows), candidates.rows.dim())
}

/// Replaces each node by its nearest training row and merges nodes with the same row. Returns the rows, the number of merged
/// nodes and, for each node, the position of its row. The rows are distinct states, because the search returns the first of
/// several equal rows.
fn snap_to_rows(candidates: &Candidates, nodes: &[f32]) -> (Vec<usize>, usize, Vec<u32>) {
    let hits = candidates.rows.nearest_to(nodes);
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
    let all = candidates.rows;
    let mut d2 = Vec::with_capacity(all.len());
    all.each_nearest_in(&all.gather(&rows), |_, hits| d2.extend(hits.iter().map(|hit| hit.d2)));
    let mut blocks = all.blocks(1);
    match (blocks.next(), blocks.next()) {
        (Some(whole), None) => {
            let table = all.table(whole);
            let mut sampling = FarthestPoints::new(&table, d2);
            while rows.len() < count {
                let Some((next, _)) = sampling.farthest() else { break };
                rows.push(next);
                sampling.add_center(&all.row(next));
            }
        }
        _ => {
            let mut sampling = FarthestInBlocks::new(all, d2);
            while rows.len() < count && !all.is_unreadable() {
                let Some((next, _)) = sampling.farthest() else { break };
                rows.push(next);
                sampling.add_center(&all.row(next));
            }
        }
    }
    rows
}

/// f(0), f(1), ..., f(n - 1), computed in parallel.
pub(super) fn parallel_map<T: Send>(n: usize, f: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    use rayon::prelude::*;
    (0..n).into_par_iter().map(f).collect()
}
