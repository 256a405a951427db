//! The searches of a table: each sets up a top-k accumulator and runs the scan at the table's level.

use crate::batch::NearestOfEach;
use crate::instructions::Instructions;
use crate::level::Kernel;
use crate::relax::RelaxDistances;
use crate::scan::{scan, scan_block, scan_quantized};
use crate::table::LANES;
use crate::top_k::{Filtered, NO_HIT, Sorted, TopK, found};
use crate::{Hit, Table};

/// One query against the whole table, the block of a guessed row first. Returns the number of pruned columns outside that block.
struct Search<'a, T> {
    table: &'a Table,
    q: &'a [f32],
    guess: Option<usize>,
    top: &'a mut T,
}

impl<T: TopK> Kernel for Search<'_, T> {
    type Output = usize;
    #[inline(always)]
    fn run<I: Instructions>(self, instructions: I) -> usize {
        let Search { table, q, guess, top } = self;
        let scanned = guess.map(|guess| guess / LANES);
        if let Some(scanned) = scanned {
            scan_block(table, q, instructions, scanned, top);
        }
        let mut query = table.quantized().and_then(|copy| copy.quantize_query(q));
        let pruned = match (table.boxes(), table.quantized(), &mut query) {
            (None, Some(copy), Some(query)) => {
                scan_quantized(table, copy, q, query, instructions, scanned, top)
            }
            _ => scan(table, q, &mut query, instructions, 0..table.blocks(), scanned, top),
        };
        pruned - scanned.map_or(0, |_| table.dim())
    }
}

/// Counts the blocks that bounding boxes prune at a threshold.
struct CountPruned<'a> {
    table: &'a Table,
    q: &'a [f32],
    threshold: f32,
}

impl Kernel for CountPruned<'_> {
    type Output = usize;
    #[inline(always)]
    fn run<I: Instructions>(self, _: I) -> usize {
        let CountPruned { table, q, threshold } = self;
        let Some(boxes) = table.boxes() else { return 0 };
        let of_group = |first: usize| {
            let blocks = LANES.min(table.blocks() - first);
            match boxes.lower_bounds(q, first / LANES, threshold) {
                None => blocks,
                Some(bounds) => bounds[..blocks].iter().filter(|bound| **bound > threshold).count(),
            }
        };
        (0..table.blocks()).step_by(LANES).map(of_group).sum()
    }
}

/// Searches cost O(rows dim) in the worst case. What is pruned by bounding boxes or the quantized copy costs a small part of that.
impl Table {
    /// How many blocks the bounding boxes prune at a threshold.
    pub(crate) fn count_pruned_by_boxes(&self, q: &[f32], threshold: f32) -> usize {
        self.level().run(CountPruned { table: self, q, threshold })
    }

    /// Relaxes `d2`, `[len]`: each entry becomes the minimum of its value and the squared distance of its row to `q`, `[dim]`. This is
    /// the update of farthest-point sampling for an added center.
    ///
    /// # Panics
    /// If `q` does not have the table's dimension, or `d2` not its length.
    pub fn relax_distances(&self, q: &[f32], d2: &mut [f32]) {
        self.check_dim(q);
        assert_eq!(d2.len(), self.len(), "relax_distances: {} distances for {} rows", d2.len(), self.len());
        self.level().run(RelaxDistances { table: self, q, d2 });
    }

    /// The nearest row to `q`, `[dim]`; `None` in an empty table. Does not allocate.
    ///
    /// # Panics
    /// If `q` does not have the table's dimension.
    pub fn nearest(&self, q: &[f32]) -> Option<Hit> {
        let mut best = NO_HIT;
        self.search(q, None, &mut best);
        found(best)
    }

    /// The nearest row to `q`, `[dim]`, and the number of the table's [`columns`](Table::columns) that were pruned. The row is that of
    /// [`nearest`](Table::nearest) for any guess; a near guess, such as the last answer along a path, prunes most. Does not allocate.
    ///
    /// # Panics
    /// If `q` does not have the table's dimension, or there is no row `guess`.
    pub fn nearest_from(&self, q: &[f32], guess: usize) -> (Hit, usize) {
        self.check_index(guess);
        let mut best = NO_HIT;
        let pruned = self.search(q, Some(guess), &mut best);
        (best, pruned)
    }

    /// The nearest and the second nearest row to `q`, `[dim]`, as far as there are rows. Does not allocate.
    ///
    /// # Panics
    /// If `q` does not have the table's dimension.
    pub fn two_nearest(&self, q: &[f32]) -> (Option<Hit>, Option<Hit>) {
        let mut best = [NO_HIT; 2];
        self.search(q, None, &mut best);
        (found(best[0]), found(best[1]))
    }

    /// Replaces the contents of `hits` by the `k` nearest rows to `q`, `[dim]`, nearest first; by all rows if there are fewer.
    /// Allocates only if `hits` has no room for them.
    ///
    /// # Panics
    /// If `q` does not have the table's dimension.
    pub fn k_nearest(&self, q: &[f32], k: usize, hits: &mut Vec<Hit>) {
        self.k_nearest_where(q, k, |_| true, hits);
    }

    /// Replaces the contents of `hits` by the `k` nearest to `q`, `[dim]`, of the rows whose index `accept` accepts, nearest
    /// first; by all of them if there are fewer. `accept` is called only for rows that would then be among the `k` nearest.
    /// Allocates only if `hits` has no room for them.
    ///
    /// # Panics
    /// If `q` has not the table's dimensions.
    pub fn k_nearest_where(&self, q: &[f32], k: usize, accept: impl Fn(usize) -> bool, hits: &mut Vec<Hit>) {
        self.check_dim(q);
        hits.clear();
        if k > 0 {
            self.search(q, None, &mut Sorted { hits, k, accept });
        }
    }

    /// The nearest to `q`, `[dim]`, of the rows whose index `accept` accepts; `None` if it accepts none. `accept` is called only for
    /// rows nearer than those it has accepted.
    ///
    /// # Panics
    /// If `q` does not have the table's dimension.
    pub fn nearest_where(&self, q: &[f32], accept: impl Fn(usize) -> bool) -> Option<Hit> {
        let mut best = Filtered { best: NO_HIT, accept };
        self.search(q, None, &mut best);
        found(best.best)
    }

    /// Row `i` and its squared distance to `q`, `[dim]`. O(dim).
    ///
    /// # Panics
    /// If `q` does not have the table's dimension, or there is no row `i`.
    pub fn hit(&self, q: &[f32], i: usize) -> Hit {
        self.check_dim(q);
        self.check_index(i);
        let mut d2 = 0.0;
        for (x, column) in q.iter().zip(self.block(i / LANES)) {
            let t = x - column.0[i % LANES];
            d2 += t * t;
        }
        Hit { index: i, d2 }
    }

    fn search<T: TopK>(&self, q: &[f32], guess: Option<usize>, top: &mut T) -> usize {
        self.check_dim(q);
        self.level().run(Search { table: self, q, guess, top })
    }

    /// The nearest row to each query of `queries`, `[m, dim]`, on `threads` threads (0 counts as 1). The answers are those of
    /// [`nearest`](Table::nearest) for any number of threads; in an empty table there are none.
    ///
    /// # Panics
    /// If the length of `queries` is not a multiple of the table's dimension.
    pub fn nearest_many(&self, queries: &[f32], threads: usize) -> Vec<Hit> {
        let dim = self.dim();
        assert!(
            queries.len().is_multiple_of(dim),
            "{} values are not queries of dimension {dim}",
            queries.len()
        );
        if self.is_empty() {
            return Vec::new();
        }
        let mut hits = vec![NO_HIT; queries.len() / dim];
        let share = hits.len().div_ceil(threads.max(1)).max(1);
        let mut shares = hits.chunks_mut(share).zip(queries.chunks(share * dim));
        std::thread::scope(|scope| {
            let own_share = shares.next();
            for (hits, queries) in shares {
                scope.spawn(move || self.level().run(NearestOfEach { table: self, queries, hits }));
            }
            if let Some((hits, queries)) = own_share {
                self.level().run(NearestOfEach { table: self, queries, hits });
            }
        });
        hits
    }
}
