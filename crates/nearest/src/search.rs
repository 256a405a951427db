//! The searches of a table: each sets up what to keep, and runs the scan at the table's level.

use crate::best::{Keep, NONE, Sorted, Where, found};
use crate::instructions::Instructions;
use crate::level::Work;
use crate::many::Many;
use crate::scan::{scan, scan_block, sift};
use crate::shrink::Shrink;
use crate::table::LANES;
use crate::{Hit, Table};

/// One query against the whole table, the block of a guess of its nearest row first.
struct One<'a, K> {
    table: &'a Table,
    q: &'a [f32],
    guess: Option<usize>,
    keep: &'a mut K,
}

impl<K: Keep> Work for One<'_, K> {
    type Output = usize;
    #[inline(always)]
    fn run<I: Instructions>(self, instructions: I) -> usize {
        let One { table, q, guess, keep } = self;
        let done = guess.map(|guess| guess / LANES);
        if let Some(done) = done {
            scan_block(table, q, instructions, done, keep);
        }
        let mut aim = table.coarse().and_then(|coarse| coarse.aim(q));
        let unread = match (table.boxes(), table.coarse(), &mut aim) {
            (None, Some(coarse), Some(aim)) => sift(table, coarse, q, aim, instructions, done, keep),
            _ => scan(table, q, &mut aim, instructions, 0..table.blocks(), done, keep),
        };
        unread - done.map_or(0, |_| table.dim())
    }
}

/// How many blocks are passed over by their boxes at a bar.
struct BoxedOff<'a> {
    table: &'a Table,
    q: &'a [f32],
    bar: f32,
}

impl Work for BoxedOff<'_> {
    type Output = usize;
    #[inline(always)]
    fn run<I: Instructions>(self, _: I) -> usize {
        let BoxedOff { table, q, bar } = self;
        let Some(boxes) = table.boxes() else { return 0 };
        let of = |first: usize| {
            let blocks = LANES.min(table.blocks() - first);
            match boxes.bounds(q, first / LANES, bar) {
                None => blocks,
                Some(bounds) => bounds[..blocks].iter().filter(|bound| **bound > bar).count(),
            }
        };
        (0..table.blocks()).step_by(LANES).map(of).sum()
    }
}

impl Table {
    /// How many blocks are passed over by their boxes at a bar.
    pub(crate) fn boxed_off(&self, q: &[f32], bar: f32) -> usize {
        self.level().run(BoxedOff { table: self, q, bar })
    }

    /// Lowers each row's entry of `d2` to its squared distance to `q`, where that is smaller: what farthest-point
    /// traversal does for every point it adds. `d2`: `[len]`.
    ///
    /// # Panics
    /// When `q` is not of the table's width, or `d2` not of its length.
    pub fn shrink(&self, q: &[f32], d2: &mut [f32]) {
        self.check_width(q);
        assert_eq!(d2.len(), self.len(), "shrink: {} distances for {} rows", d2.len(), self.len());
        self.level().run(Shrink { table: self, q, d2 });
    }

    /// The nearest row to `q`, or none in an empty table. Allocates nothing.
    ///
    /// # Panics
    /// When `q` is not of the table's width.
    pub fn nearest(&self, q: &[f32]) -> Option<Hit> {
        let mut best = NONE;
        self.search(q, None, &mut best);
        found(best)
    }

    /// The nearest row to `q`, given a guess of it, and how many of the table's [`columns`](Table::columns) the guess
    /// made it needless to read. The answer is that of [`nearest`](Table::nearest) for any guess; a near one, such as
    /// the last answer along a path, makes it cheap. Allocates nothing.
    ///
    /// # Panics
    /// When `q` is not of the table's width, or there is no row `guess`.
    pub fn nearest_from(&self, q: &[f32], guess: usize) -> (Hit, usize) {
        self.check_index(guess);
        let mut best = NONE;
        let unread = self.search(q, Some(guess), &mut best);
        (best, unread)
    }

    /// The nearest row to `q` and the second nearest, as far as there are rows. Allocates nothing.
    ///
    /// # Panics
    /// When `q` is not of the table's width.
    pub fn two_nearest(&self, q: &[f32]) -> (Option<Hit>, Option<Hit>) {
        let mut best = [NONE; 2];
        self.search(q, None, &mut best);
        (found(best[0]), found(best[1]))
    }

    /// Fills `hits`, whatever it held, with the `k` nearest rows to `q`, nearest first; with all the rows when there
    /// are fewer.
    ///
    /// # Panics
    /// When `q` is not of the table's width.
    pub fn k_nearest(&self, q: &[f32], k: usize, hits: &mut Vec<Hit>) {
        self.check_width(q);
        hits.clear();
        if k > 0 {
            self.search(q, None, &mut Sorted { hits, k });
        }
    }

    /// The nearest to `q` of the rows whose index `keep` accepts, or none. `keep` is asked only about rows nearer than
    /// those it has accepted.
    ///
    /// # Panics
    /// When `q` is not of the table's width.
    pub fn nearest_where(&self, q: &[f32], keep: impl Fn(usize) -> bool) -> Option<Hit> {
        let mut best = Where { best: NONE, keep };
        self.search(q, None, &mut best);
        found(best.best)
    }

    /// Row `i` and its squared distance to `q`.
    ///
    /// # Panics
    /// When `q` is not of the table's width, or there is no row `i`.
    pub fn hit(&self, q: &[f32], i: usize) -> Hit {
        self.check_width(q);
        self.check_index(i);
        let mut d2 = 0.0;
        for (x, column) in q.iter().zip(self.block(i / LANES)) {
            let t = x - column.0[i % LANES];
            d2 += t * t;
        }
        Hit { index: i, d2 }
    }

    fn search<K: Keep>(&self, q: &[f32], guess: Option<usize>, keep: &mut K) -> usize {
        self.check_width(q);
        self.level().run(One { table: self, q, guess, keep })
    }

    /// The nearest row to each query of `queries`, `[m, dim]` query after query, found by `threads` threads (0 counts
    /// as 1). The answers are those of [`nearest`](Table::nearest), for any number of threads. In an empty table there
    /// are none.
    ///
    /// # Panics
    /// When the length of `queries` is not a multiple of the table's width.
    pub fn nearest_many(&self, queries: &[f32], threads: usize) -> Vec<Hit> {
        let dim = self.dim();
        assert!(queries.len().is_multiple_of(dim), "{} numbers do not make queries of {dim}", queries.len());
        if self.is_empty() {
            return Vec::new();
        }
        let mut hits = vec![NONE; queries.len() / dim];
        let share = hits.len().div_ceil(threads.max(1)).max(1);
        let mut shares = hits.chunks_mut(share).zip(queries.chunks(share * dim));
        std::thread::scope(|scope| {
            let mine = shares.next();
            for (hits, queries) in shares {
                scope.spawn(move || self.level().run(Many { table: self, queries, hits }));
            }
            if let Some((hits, queries)) = mine {
                self.level().run(Many { table: self, queries, hits });
            }
        });
        hits
    }
}
