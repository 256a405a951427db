//! Standardized states to select memories from: in memory, or read from a file in blocks.

use std::{borrow::Cow, ops::Range, sync::OnceLock};

use nearest::{Hit, Table};

use super::{
    batch::{BatchQuery, search_batch},
    choose::nearest_of_each,
};
use crate::data::{Demonstrations, Scale};

/// Rows of `dim` values. What is computed from them has the same bits for both kinds, and for blocks of any size.
pub(super) struct Rows<'a> {
    n: usize,
    dim: usize,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Memory { rows: Cow<'a, [f32]>, table: OnceLock<Box<Table>> },
    File { data: &'a Demonstrations, scale: Option<&'a Scale> }, // scaled states; actions without a scale
}

impl<'a> Rows<'a> {
    /// Rows in memory: `[n, dim]`.
    pub fn new(rows: &'a [f32], dim: usize) -> Self {
        Self::in_memory(Cow::Borrowed(rows), dim)
    }

    fn in_memory(rows: Cow<'a, [f32]>, dim: usize) -> Self {
        Self { n: rows.len() / dim, dim, kind: Kind::Memory { rows, table: OnceLock::new() } }
    }

    /// The standardized states of demonstrations.
    pub fn of_states(data: &'a Demonstrations, scale: &'a Scale) -> Self {
        let dim = scale.n_features();
        match data.is_streamed() {
            true => Self { n: data.n_steps(), dim, kind: Kind::File { data, scale: Some(scale) } },
            false => Self::in_memory(Cow::Owned(scale.apply_all(&data.states())), dim),
        }
    }

    /// The actions of demonstrations.
    pub fn of_actions(data: &'a Demonstrations) -> Self {
        let (n, dim) = (data.n_steps(), data.n_act());
        match data.is_streamed() {
            true => Self { n, dim, kind: Kind::File { data, scale: None } },
            false => Self { n, dim, kind: Kind::Memory { rows: data.actions(), table: OnceLock::new() } },
        }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.n
    }

    /// The values of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Whether rows can no longer be read: what is computed from now on will not be used.
    pub fn is_unreadable(&self) -> bool {
        matches!(self.kind, Kind::File { data, .. } if data.is_unreadable())
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> Cow<'_, [f32]> {
        self.range(i..i + 1)
    }

    /// Row `i`, as soon as it is needed, if that is known before.
    pub fn prefetch(&self, i: usize) {
        if let Kind::Memory { rows, .. } = &self.kind {
            nearest::prefetch(&rows[i * self.dim..][..self.dim]);
        }
    }

    /// A range of rows.
    pub fn range(&self, range: Range<usize>) -> Cow<'_, [f32]> {
        match &self.kind {
            Kind::Memory { rows, .. } => Cow::Borrowed(&rows[range.start * self.dim..range.end * self.dim]),
            Kind::File { data, scale: Some(scale) } => Cow::Owned(scale.apply_all(&data.states_of(range))),
            Kind::File { data, scale: None } => data.actions_of(range),
        }
    }

    /// Some rows: `[which, dim]`.
    pub fn gather(&self, which: &[usize]) -> Vec<f32> {
        let mut all = Vec::with_capacity(which.len() * self.dim);
        which.iter().for_each(|&i| all.extend_from_slice(&self.row(i)));
        all
    }

    /// Consecutive ranges of rows that are best read together: all of them, if they are in memory; else blocks, or blocks `smaller` times
    /// as small.
    pub fn blocks(&self, smaller: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let n = self.n;
        let most = match &self.kind {
            Kind::Memory { .. } => n.max(1),
            Kind::File { data, .. } => data.piece_steps(smaller),
        };
        (0..n).step_by(most).map(move |start| start..n.min(start + most))
    }

    /// A block as a table. All rows in memory are one that is made once.
    pub fn table(&self, block: Range<usize>) -> Cow<'_, Table> {
        match &self.kind {
            Kind::Memory { rows, table } if block == (0..self.n) => {
                Cow::Borrowed(table.get_or_init(|| Box::new(Table::from_rows(rows, self.dim))))
            }
            _ => Cow::Owned(Table::from_rows(&self.range(block), self.dim)),
        }
    }

    /// `f` of a block as a table and its rows.
    fn with_table<T>(&self, block: Range<usize>, f: impl FnOnce(&Table, &[f32]) -> T) -> T {
        match &self.kind {
            Kind::Memory { rows, .. } if block == (0..self.n) => f(&self.table(block), rows),
            _ => {
                let rows = self.range(block);
                f(&Table::from_rows(&rows, self.dim), &rows)
            }
        }
    }

    /// The row nearest to each query, `[m, dim]`; the first of several.
    pub fn nearest_to(&self, queries: &[f32]) -> Vec<Hit> {
        let mut best: Vec<Hit> = Vec::new();
        for block in self.blocks(1) {
            let hits = self.with_table(block.clone(), |table, rows| nearest_of_each(table, rows, queries));
            let hits = hits.into_iter().map(|hit| Hit { index: block.start + hit.index, ..hit });
            if best.is_empty() {
                best = hits.collect();
            } else {
                best.iter_mut()
                    .zip(hits)
                    .filter(|(best, hit)| hit.d2 < best.d2)
                    .for_each(|(best, hit)| *best = hit);
            }
        }
        best
    }

    /// The `k` rows nearest to each query, `[m, dim]`, the nearest first; of equally near ones the first.
    pub fn k_nearest_to(&self, queries: &[f32], k: usize) -> Vec<Vec<usize>> {
        let mut best: Vec<Vec<Hit>> = vec![Vec::new(); queries.len() / self.dim];
        for block in self.blocks(1) {
            let found = self.with_table(block.clone(), |table, rows| {
                search_batch(table, &BatchQuery { rows, queries, dim: self.dim, k, groups: None })
            });
            for (best, hits) in best.iter_mut().zip(found) {
                best.extend(hits.into_iter().map(|hit| Hit { index: block.start + hit.index, ..hit }));
                best.sort_by(|a, b| a.d2.total_cmp(&b.d2).then(a.index.cmp(&b.index)));
                best.truncate(k);
            }
        }
        best.into_iter().map(|hits| hits.into_iter().map(|hit| hit.index).collect()).collect()
    }

    /// Calls a function with each block of rows, in their order, and for each of its rows the nearest of some centers, `[m, dim]`.
    pub fn each_nearest_in(&self, centers: &[f32], mut f: impl FnMut(&[f32], &[Hit])) {
        let table = Table::from_rows(centers, self.dim);
        for block in self.blocks(1) {
            let rows = self.range(block);
            f(&rows, &nearest_of_each(&table, centers, &rows));
        }
    }

    /// The first row of each distinct one, in ascending order. -0 and 0 are equal: both have the same distance to every state.
    pub fn distinct(&self) -> Vec<usize> {
        let bits = |row: &[f32], i: usize| (row[i] + 0.0).to_bits();
        let mut hashes: Vec<(u64, u32)> = Vec::with_capacity(self.n);
        for block in self.blocks(1) {
            let rows = self.range(block.clone());
            hashes.extend(rows.chunks_exact(self.dim).zip(block).map(|(row, i)| {
                let hash = (0..self.dim).fold(0, |hash, k| crate::data::mixed(hash, u64::from(bits(row, k))));
                (hash, i as u32)
            }));
        }
        hashes.sort_unstable();
        let mut repeats = vec![false; self.n];
        for same in hashes.chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() > 1) {
            // Rows of one hash are nearly always equal; to be sure they are compared.
            let mut firsts: Vec<Cow<[f32]>> = Vec::new();
            for &(_, i) in same {
                let row = self.row(i as usize);
                let is_same = |first: &Cow<[f32]>| (0..self.dim).all(|k| bits(first, k) == bits(&row, k));
                match firsts.iter().any(is_same) {
                    true => repeats[i as usize] = true,
                    false => firsts.push(row),
                }
            }
        }
        (0..self.n).filter(|&i| !repeats[i]).collect()
    }
}
