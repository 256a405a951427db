//! Ways to choose which training states become memories. All work on scaled rows and answer with distinct rows.

use std::num::NonZero;

use nearest::Table;

use super::{
    farthest_points::FarthestPoints,
    gas::{Gas, GasSettings},
    kmeans::lloyd,
};
use crate::seed::Seed;

/// How memories are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelectionMethod {
    /// Growing neural gas, from two nodes.
    Gas,
    /// Neural gas in the form the authors ran: as many nodes from the start as there will be memories.
    GasFixed,
    /// A random subset.
    Random,
    /// k-means (Lloyd), from a random start.
    Kmeans,
    /// FarthestPoints-point traversal (Gonzalez, 1985): at most twice the smallest possible largest distance.
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

/// The training rows that become memories, and the graph between them.
pub(super) struct Chosen {
    /// Distinct rows, no two of them equal, in the order chosen.
    pub rows: Vec<usize>,
    /// Edges between positions in `rows`.
    pub edges: Vec<[u32; 2]>,
    /// Nodes that were snapped to a row already taken.
    pub merged: usize,
    /// Rows added afterwards, farthest first, so that the number asked for is reached.
    pub refilled: usize,
}

impl Chosen {
    /// The same memories in the order of their steps: what is near in time is near in space, and a search can pass
    /// over whole blocks of what is far.
    pub fn in_order(self) -> Self {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_unstable_by_key(|&i| self.rows[i]);
        let mut place = vec![0; order.len()];
        order.iter().zip(0..).for_each(|(&i, to)| place[i] = to);
        let edges = self.edges.iter().map(|e| e.map(|i| place[i as usize])).collect();
        Self { rows: order.iter().map(|&i| self.rows[i]).collect(), edges: tidy(edges), ..self }
    }
}

/// Scaled training rows to choose from.
pub(super) struct Pool<'a> {
    pub rows: &'a [f32], // [n, dim]
    pub dim: usize,
    /// Rows that are the first of their kind: a state that occurs twice can be a memory only once.
    pub distinct: &'a [usize],
    /// All rows, laid out for searching.
    pub table: &'a Table,
}

impl Pool<'_> {
    fn row(&self, i: usize) -> &[f32] {
        &self.rows[i * self.dim..][..self.dim]
    }
}

/// The number of threads searches may use. Their answers do not depend on it.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Chooses `count` distinct rows (at most as many as there are distinct ones).
pub(super) fn choose(pool: &Pool, by: SelectionMethod, count: usize, epochs: usize, seed: Seed) -> Chosen {
    let n = pool.rows.len() / pool.dim;
    match by {
        SelectionMethod::All => plain(pool, pool.distinct.to_vec()),
        SelectionMethod::Random => {
            let mut order = seed.rng().permutation(pool.distinct.len());
            order.truncate(count);
            plain(pool, order.into_iter().map(|i| pool.distinct[i]).collect())
        }
        SelectionMethod::Kcenter => {
            let first = pool.distinct[seed.rng().below(pool.distinct.len())];
            plain(pool, extend_by_farthest_points(pool, vec![first], count))
        }
        SelectionMethod::Kmeans => {
            let mut order = seed.rng().permutation(pool.distinct.len());
            order.truncate(count);
            let start = order.into_iter().map(|i| pool.distinct[i]).collect::<Vec<_>>();
            let centers = lloyd(pool.rows, pool.dim, gather(pool, &start), epochs);
            let (rows, merged, _) = snap(pool, &centers);
            let (rows, refilled) = refill(pool, rows, count);
            Chosen { merged, refilled, ..plain(pool, rows) }
        }
        SelectionMethod::Gas | SelectionMethod::GasFixed => {
            let settings = match by {
                SelectionMethod::Gas => GasSettings::growing(count, epochs, n),
                _ => GasSettings::fixed(count, epochs),
            };
            let mut gas = Gas::new(pool.rows, pool.dim, settings, &mut seed.fork("start").rng());
            gas.train(pool.rows, seed.fork("order"));
            let (rows, merged, place) = snap(pool, gas.nodes());
            let edges = gas.edges().into_iter().map(|(e, _)| e.map(|node| place[node as usize])).collect();
            let kept = rows.len();
            let (rows, refilled) = refill(pool, rows, count);
            let edges = join_newcomers(pool, &rows, kept, edges);
            Chosen { rows, edges, merged, refilled }
        }
    }
}

/// A choice without a graph of its own gets one by competitive Hebbian learning (Martinetz and Schulten, 1994): an
/// edge between the two memories nearest to each training state.
fn plain(pool: &Pool, rows: Vec<usize>) -> Chosen {
    let table = Table::from_rows(&gather(pool, &rows), pool.dim);
    let pairs = parallel_map(pool.distinct.len(), |i| match table.two_nearest(pool.row(pool.distinct[i])) {
        (Some(a), Some(b)) => Some([a.index as u32, b.index as u32]),
        _ => None,
    });
    Chosen { edges: tidy(pairs.into_iter().flatten().collect()), rows, merged: 0, refilled: 0 }
}

/// Joins every row from position `kept` on to the nearest of the others.
fn join_newcomers(pool: &Pool, rows: &[usize], kept: usize, mut edges: Vec<[u32; 2]>) -> Vec<[u32; 2]> {
    let table = Table::from_rows(&gather(pool, rows), pool.dim);
    edges.extend(
        parallel_map(rows.len() - kept, |i| table.two_nearest(pool.row(rows[kept + i])))
            .into_iter()
            .zip(kept..)
            .filter_map(|((first, second), me)| {
                let other = if first?.index == me { second? } else { first? };
                Some([me as u32, other.index as u32])
            }),
    );
    tidy(edges)
}

/// Edges with the smaller number first, in order, each once, none from a memory to itself.
fn tidy(mut edges: Vec<[u32; 2]>) -> Vec<[u32; 2]> {
    edges.iter_mut().for_each(|e| e.sort_unstable());
    edges.retain(|[a, b]| a != b);
    edges.sort_unstable();
    edges.dedup();
    edges
}

pub(super) fn gather(pool: &Pool, rows: &[usize]) -> Vec<f32> {
    rows.iter().flat_map(|&i| pool.row(i)).copied().collect()
}

/// Each node's nearest training row; nodes on the same row are merged. Answers with the rows, the number merged, and
/// for each node the position of its row. (The first of several equal rows wins the search, so rows stay distinct.)
fn snap(pool: &Pool, nodes: &[f32]) -> (Vec<usize>, usize, Vec<u32>) {
    let hits = pool.table.nearest_many(nodes, threads());
    let mut position = std::collections::HashMap::new();
    let mut rows = Vec::new();
    let place = hits
        .iter()
        .map(|hit| {
            *position.entry(hit.index).or_insert_with(|| {
                rows.push(hit.index);
                rows.len() as u32 - 1
            })
        })
        .collect();
    let merged = hits.len() - rows.len();
    (rows, merged, place)
}

/// Adds the rows farthest from those chosen until there are `count`: where merging or the gas's own deaths left the
/// budget unspent, it is spent on what is covered worst.
fn refill(pool: &Pool, rows: Vec<usize>, count: usize) -> (Vec<usize>, usize) {
    let before = rows.len();
    let rows = extend_by_farthest_points(pool, rows, count);
    let refilled = rows.len() - before;
    (rows, refilled)
}

/// FarthestPoints-point traversal: from the rows given, adds the row farthest from all of them until there are `count` or
/// every row is at distance 0 from one. Ties go to the lower row.
fn extend_by_farthest_points(pool: &Pool, mut rows: Vec<usize>, count: usize) -> Vec<usize> {
    if rows.len() >= count {
        return rows;
    }
    let hits = Table::from_rows(&gather(pool, &rows), pool.dim).nearest_many(pool.rows, threads());
    let mut left = FarthestPoints::new(pool.table, hits.iter().map(|h| h.d2).collect());
    while rows.len() < count {
        let Some((next, _)) = left.farthest() else { break };
        rows.push(next);
        left.add_center(pool.row(next));
    }
    rows
}

/// f(0), f(1), ... f(n - 1), computed over all cores.
pub(super) fn parallel_map<T: Send>(n: usize, f: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    use rayon::prelude::*;
    (0..n).into_par_iter().map(f).collect()
}
