//! A copy of the rows at one byte a number: a quarter of the memory, and distances in whole numbers. It never answers a
//! question; it says of whole blocks that they cannot hold the answer, so that they need not be read.
//!
//! A row `c` is near its coarse row `m + s k`: `m` one number a dimension, `s` one number for all, `k` whole numbers from
//! -127 to 127. How far it is from it is known, and so is how far the query `q` is from its own coarse point `m + s j`.
//! Between the two coarse points lies `s sqrt(I)`, where `I`, the sum of `(j - k)^2`, is exact. By the triangle inequality
//!
//! ```text
//! |q - c|  >=  s sqrt(I) - |q - (m + s j)| - |c - (m + s k)|
//! ```
//!
//! and the distance as it is defined here, rounded at every operation, is no smaller than that by more than a known
//! part. What is passed over is therefore certainly farther than the bar: the answers stay exact.
//!
//! What it buys, by `bench/recall.py` on rows without structure: one query on 100,000 x 45 in 183 us where it took 744
//! (before `order.rs`), on 10,000 x 45 in 3.8 us where it took 27 (bench/README.md).

use crate::Level;
use crate::instructions::Instructions;
use crate::level::Work;
use crate::table::{Column, LANES};
use coding::Grid;
use std::ops::Range;

/// Dimensions of a row that lie side by side.
pub(crate) const QUAD: usize = 4;
/// The most dimensions there is a coarse copy for. The products of a row then fit 32 bits, and a query's codes the stack.
const WIDEST: usize = 1024;
/// The fewest rows that a copy is made for: below, all rows lie in the nearest cache.
const FEWEST: usize = 4 * LANES;
/// What makes a bound hold although it was itself computed with rounding, in 64 bits.
const CARE: f64 = 1.0 + 1e-9;

/// Four dimensions of the rows of a block: `[row][dimension]`.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Codes(pub [i8; QUAD * LANES]);

/// The coarse copy of a table.
#[derive(Clone, Debug)]
pub(crate) struct Coarse {
    codes: Vec<Codes>,        // [blocks, quads]
    norms: Vec<[i32; LANES]>, // [blocks]: of each row the sum of k^2 + 256 k
    errors: Vec<f32>,         // [blocks]: no row is farther from its coarse row than this many `s`
    grid: Grid,
    dim: usize,
}

/// A query as the coarse copy sees it.
pub(crate) struct Aim {
    codes: [u32; WIDEST / QUAD], // four j + 128 each, the first in the lowest byte
    quads: usize,
    norm: f64,    // sum of j^2
    error: f64,   // distance to its coarse point, in `s`
    inverse: f64, // 1 / s
    grow: f64,    // what makes up for what rounding can take from a squared distance, as a factor
    bar: f32,     // of the last limit asked for
    reach: f64,   // and how far, in `s`, a row within that bar can be, its own error left out
}

impl Coarse {
    /// The copy of `rows` rows in blocks of columns; none where there are too few, they are too wide, or all are alike.
    pub(crate) fn of(columns: &[Column], rows: usize, dim: usize, level: Level) -> Option<Coarse> {
        if rows < FEWEST || dim > WIDEST {
            return None;
        }
        let grid = Grid::of(columns, rows, dim, level)?;
        let mut copy = Coarse { codes: Vec::new(), norms: Vec::new(), errors: Vec::new(), grid, dim };
        let mut out = vec![0.0; dim];
        for i in 0..rows {
            let block = &columns[i / LANES * dim..];
            out.iter_mut().zip(block).for_each(|(x, column)| *x = column.0[i % LANES]);
            copy.set(i, &out, level);
        }
        Some(copy)
    }

    /// Writes row `i`, making room for it. The error of its block does not shrink.
    pub(crate) fn set(&mut self, i: usize, row: &[f32], level: Level) {
        level.run(Set { copy: self, i, row });
    }

    /// Row `last`, which is the last, takes the place of row `i`.
    pub(crate) fn take(&mut self, i: usize, last: usize) {
        let ((block, lane), (from, of)) = ((i / LANES, i % LANES), (last / LANES, last % LANES));
        let quads = self.dim.div_ceil(QUAD);
        for quad in 0..quads {
            let codes = *self.codes[from * quads + quad].0[of * QUAD..].first_chunk::<QUAD>().expect("a row");
            self.codes[block * quads + quad].0[lane * QUAD..][..QUAD].copy_from_slice(&codes);
        }
        self.norms[block][lane] = self.norms[from][of];
        self.errors[block] = self.errors[block].max(self.errors[from]);
        self.norms[from][of] = FAR;
    }

    /// How many bytes its codes are.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&self.codes[..])
    }

    /// Codes and norms of a run of blocks.
    #[inline(always)]
    pub(crate) fn blocks(&self, blocks: Range<usize>) -> (&[Codes], &[[i32; LANES]]) {
        let quads = self.dim.div_ceil(QUAD);
        (&self.codes[blocks.start * quads..blocks.end * quads], &self.norms[blocks])
    }

    /// No row of block `b` is farther from its coarse row than this, in `s`.
    #[inline(always)]
    pub(crate) fn error(&self, b: usize) -> f32 {
        self.errors[b]
    }

    /// The same of a run of blocks.
    #[inline(always)]
    pub(crate) fn errors(&self, blocks: Range<usize>) -> &[f32] {
        &self.errors[blocks]
    }

    /// The query as this copy sees it; none if it is not finite.
    #[inline(always)]
    pub(crate) fn aim(&self, q: &[f32]) -> Option<Aim> {
        let mut codes = [0; WIDEST / QUAD];
        let coded = self.grid.code(q, |quad, of| {
            let of = of.map(|of| u32::from_le_bytes(of) ^ 0x8080_8080);
            codes[quad..quad + 4].copy_from_slice(&of);
        });
        let shrink = 1.0 - (q.len() + 2) as f64 * f64::from(f32::EPSILON);
        let aim = Aim {
            codes,
            quads: q.len().div_ceil(QUAD),
            norm: f64::from(coded.squares),
            error: coded.error,
            inverse: self.grid.inverse(),
            grow: 1.0 / shrink,
            bar: f32::NAN,
            reach: f64::INFINITY,
        };
        coded.error.is_finite().then_some(aim)
    }
}

impl Aim {
    /// A row whose squared distance may be at most `bar`, and which is at most `error` from its coarse row, has a norm, less
    /// twice the product of its codes with the query's, of at most this.
    #[inline(always)]
    pub(crate) fn limit(&mut self, error: f32, bar: f32) -> i32 {
        self.lower(bar);
        let reach = self.reach + f64::from(error);
        let limit = reach * reach * CARE - self.norm;
        // Also where there is no bar yet, which is NaN.
        if limit < f64::from(FAR) { limit as i32 } else { i32::MAX }
    }

    /// Whether blocks may hold a row whose squared distance is at most `bar`, by the least number of each and its error: all
    /// that [`limit`](Aim::limit) leaves in, and next to nothing more.
    #[inline(always)]
    pub(crate) fn near(&mut self, bar: f32, least: &[i32], errors: &[f32], near: &mut [bool]) {
        self.lower(bar);
        for ((near, &least), &error) in near.iter_mut().zip(least).zip(errors) {
            let reach = self.reach + f64::from(error);
            let beyond = f64::from(least) + self.norm > reach * reach * (CARE * CARE);
            *near = !beyond; // also where there is no bar yet
        }
    }

    #[inline(always)]
    fn lower(&mut self, bar: f32) {
        if bar.to_bits() != self.bar.to_bits() {
            self.bar = bar;
            // Squares below the smallest numbers are lost whole, one a dimension.
            let lost = f64::from(f32::MIN_POSITIVE);
            self.reach = ((f64::from(bar) + lost) * self.grow).sqrt() * self.inverse * CARE + self.error;
        }
    }

    /// Four codes a number.
    #[inline(always)]
    pub(crate) fn codes(&self) -> &[u32] {
        &self.codes[..self.quads]
    }
}

/// The norm of a row that is not there: above what any row can have, and small enough to be added to.
const FAR: i32 = 1 << 30;

/// The writing of row `i` of a copy.
struct Set<'a> {
    copy: &'a mut Coarse,
    i: usize,
    row: &'a [f32],
}

impl Work for Set<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self, _: I) {
        let Set { copy, i, row } = self;
        let (block, lane) = (i / LANES, i % LANES);
        let quads = copy.dim.div_ceil(QUAD);
        if block == copy.norms.len() {
            copy.codes.resize((block + 1) * quads, Codes([0; QUAD * LANES]));
            copy.norms.push([FAR; LANES]);
            copy.errors.push(0.0);
        }
        let block_codes = &mut copy.codes[block * quads..][..quads];
        let coded = copy.grid.code(row, |quad, of| {
            for (to, of) in block_codes[quad..].iter_mut().zip(of) {
                to.0[lane * QUAD..][..QUAD].copy_from_slice(&of.map(|k| k as i8));
            }
        });
        copy.norms[block][lane] = coded.squares + 256 * coded.codes;
        copy.errors[block] = copy.errors[block].max(upwards(coded.error));
    }
}

/// The bound of an error in 32 bits: rounded upwards. What is no number is infinite.
fn upwards(error: f64) -> f32 {
    let bound = error as f32;
    if bound.is_nan() { f32::INFINITY } else { bound.next_up() }
}

mod coding;
#[cfg(test)]
mod tests;
