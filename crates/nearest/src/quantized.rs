//! An int8-quantized copy of the rows: a quarter of the memory, and distances in integers. It gives lower bounds of distances
//! by which whole blocks are pruned; the answers come from the rows themselves.
//!
//! A row `c` is approximated by `m + s k`: a center `m` per dimension, one scale `s`, and integer codes `k` in [-127, 127]; a
//! query `q` by `m + s j`. Let `e_c = |c - (m + s k)|` and `e_q = |q - (m + s j)|`, both bounded from above when the points are
//! quantized, and `I = sum (j - k)^2`, an exact integer. By the triangle inequality
//!
//! ```text
//! |q - c|  >=  s sqrt(I) - e_q - e_c
//! ```
//!
//! The rounded squared distance `d2`, as the crate defines it, is at least `(1 - (dim + 2) eps) |q - c|^2` less a term for
//! underflow, with `eps = 2^-23`. So `d2 <= threshold` implies `I <= (r + e_c / s)^2`, where `r` is
//! `sqrt((threshold + underflow) / (1 - (dim + 2) eps)) / s + e_q / s`, rounded upwards. Blocks whose rows all exceed that bound
//! are pruned, and the answers stay exact.
//!
//! Measured by `bench/recall.py` on rows without structure: one query on 100,000 x 45 takes 183 us instead of 744 us (before
//! `direction.rs`), on 10,000 x 45 3.8 us instead of 27 us (bench/README.md).

use crate::Level;
use crate::instructions::Instructions;
use crate::level::Kernel;
use crate::table::{Column, LANES};
use grid::Grid;
use std::ops::Range;

/// Dimensions of a row whose codes lie side by side.
pub(crate) const QUAD: usize = 4;
/// The most dimensions a copy is made for: `sum k^2` and products then fit 32 bits, and a query's codes fit the stack.
const MAX_DIM: usize = 1024;
/// The fewest rows a copy is made for: fewer lie in the first-level cache anyway.
const MIN_ROWS: usize = 4 * LANES;
/// Relative margin for the rounding of the bounds themselves, which are computed in `f64`.
const MARGIN: f64 = 1.0 + 1e-9;

/// The codes of a block's rows in four dimensions: `[row][dimension]`.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Codes(pub [i8; QUAD * LANES]);

/// The quantized copy of a table.
#[derive(Clone, Debug)]
pub(crate) struct QuantizedCopy {
    codes: Vec<Codes>,        // [blocks, quads]
    norms: Vec<[i32; LANES]>, // [blocks]: sum k^2 + 256 k of each row
    errors: Vec<f32>,         // [blocks]: upper bound of e_c / s
    grid: Grid,
    dim: usize,
}

/// A query, quantized on the grid of a copy.
///
/// Its codes are stored as unsigned bytes `u = j + 128`, as the instructions need them. With a row's norm
/// `sum k^2 + 256 k`, `norm - 2 k.u = sum k^2 - 2 k.j = I - sum j^2`: what [`Instructions::block_minima`] computes.
pub(crate) struct QuantizedQuery {
    codes: [u32; MAX_DIM / QUAD], // four bytes j + 128 each, the first in the lowest
    quads: usize,
    norm: f64,            // sum j^2
    error: f64,           // upper bound of e_q / s
    inverse_scale: f64,   // 1 / s
    rounding_factor: f64, // 1 / (1 - (dim + 2) eps)
    threshold: f32,       // that `radius` belongs to
    radius: f64,          // r of the module's description
}

impl QuantizedCopy {
    /// The copy of `rows` rows in `columns`, `[blocks, dim]`; `None` if there are too few rows or too many dimensions, or all
    /// rows are alike. O(rows dim).
    pub(crate) fn of(columns: &[Column], rows: usize, dim: usize, level: Level) -> Option<QuantizedCopy> {
        if rows < MIN_ROWS || dim > MAX_DIM {
            return None;
        }
        let grid = Grid::of(columns, rows, dim, level)?;
        let mut copy = QuantizedCopy { codes: Vec::new(), norms: Vec::new(), errors: Vec::new(), grid, dim };
        let mut out = vec![0.0; dim];
        for i in 0..rows {
            let block = &columns[i / LANES * dim..];
            out.iter_mut().zip(block).for_each(|(x, column)| *x = column.0[i % LANES]);
            copy.set(i, &out, level);
        }
        Some(copy)
    }

    /// Writes row `i`, adding a block if needed. The error bound of its block does not shrink.
    pub(crate) fn set(&mut self, i: usize, row: &[f32], level: Level) {
        level.run(WriteRow { copy: self, i, row });
    }

    /// Moves the last row, `last`, to the place of row `i`.
    pub(crate) fn swap_remove(&mut self, i: usize, last: usize) {
        let ((block, lane), (from, of)) = ((i / LANES, i % LANES), (last / LANES, last % LANES));
        let quads = self.dim.div_ceil(QUAD);
        for quad in 0..quads {
            let codes = *self.codes[from * quads + quad].0[of * QUAD..].first_chunk::<QUAD>().expect("a row");
            self.codes[block * quads + quad].0[lane * QUAD..][..QUAD].copy_from_slice(&codes);
        }
        self.norms[block][lane] = self.norms[from][of];
        self.errors[block] = self.errors[block].max(self.errors[from]);
        self.norms[from][of] = NO_ROW;
    }

    /// Size of all codes in bytes.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&self.codes[..])
    }

    /// Codes, `[blocks, quads]`, and norms, `[blocks]`, of a range of blocks.
    #[inline(always)]
    pub(crate) fn blocks(&self, blocks: Range<usize>) -> (&[Codes], &[[i32; LANES]]) {
        let quads = self.dim.div_ceil(QUAD);
        (&self.codes[blocks.start * quads..blocks.end * quads], &self.norms[blocks])
    }

    /// An upper bound of `e_c / s` of the rows of block `b`.
    #[inline(always)]
    pub(crate) fn error(&self, b: usize) -> f32 {
        self.errors[b]
    }

    /// The same of a range of blocks.
    #[inline(always)]
    pub(crate) fn errors(&self, blocks: Range<usize>) -> &[f32] {
        &self.errors[blocks]
    }

    /// Quantizes a query, `[dim]`; `None` if it is not finite.
    #[inline(always)]
    pub(crate) fn quantize_query(&self, q: &[f32]) -> Option<QuantizedQuery> {
        let mut codes = [0; MAX_DIM / QUAD];
        let quantized = self.grid.quantize(q, |quad, of| {
            let of = of.map(|of| u32::from_le_bytes(of) ^ 0x8080_8080);
            codes[quad..quad + 4].copy_from_slice(&of);
        });
        let relative_loss = (q.len() + 2) as f64 * f64::from(f32::EPSILON);
        let query = QuantizedQuery {
            codes,
            quads: q.len().div_ceil(QUAD),
            norm: f64::from(quantized.squares),
            error: quantized.error,
            inverse_scale: self.grid.inverse_scale(),
            rounding_factor: 1.0 / (1.0 - relative_loss),
            threshold: f32::NAN,
            radius: f64::INFINITY,
        };
        quantized.error.is_finite().then_some(query)
    }
}

impl QuantizedQuery {
    /// The largest `I - sum j^2` of a row whose squared distance may be at most `threshold`, in a block with this `error`.
    #[inline(always)]
    pub(crate) fn limit(&mut self, error: f32, threshold: f32) -> i32 {
        self.set_threshold(threshold);
        let radius = self.radius + f64::from(error);
        let limit = radius * radius * MARGIN - self.norm;
        // A NaN, from a threshold of NaN, is no limit.
        if limit < f64::from(NO_ROW) { limit as i32 } else { i32::MAX }
    }

    /// For each block, whether it may contain a row whose squared distance is at most `threshold`, by its minimum and error: a
    /// superset of what [`limit`](Self::limit) admits, larger only by rounding.
    #[inline(always)]
    pub(crate) fn mark_candidates(
        &mut self,
        threshold: f32,
        minima: &[i32],
        errors: &[f32],
        candidates: &mut [bool],
    ) {
        self.set_threshold(threshold);
        for ((candidate, &minimum), &error) in candidates.iter_mut().zip(minima).zip(errors) {
            let radius = self.radius + f64::from(error);
            let is_pruned = f64::from(minimum) + self.norm > radius * radius * (MARGIN * MARGIN);
            *candidate = !is_pruned; // also with a threshold of NaN
        }
    }

    #[inline(always)]
    fn set_threshold(&mut self, threshold: f32) {
        if threshold.to_bits() != self.threshold.to_bits() {
            self.threshold = threshold;
            // Underflow takes at most 2^-150 of a square, in at most 1024 dimensions; 2^-126 exceeds the sum.
            let underflow = f64::from(f32::MIN_POSITIVE);
            let squared = (f64::from(threshold) + underflow) * self.rounding_factor;
            self.radius = squared.sqrt() * self.inverse_scale * MARGIN + self.error;
        }
    }

    /// The codes, `[quads]`, four bytes each.
    #[inline(always)]
    pub(crate) fn codes(&self) -> &[u32] {
        &self.codes[..self.quads]
    }
}

/// The norm of a lane without a row: above that of any row, and small enough to be added to.
const NO_ROW: i32 = 1 << 30;

/// Quantizes a row and writes it at index `i`.
struct WriteRow<'a> {
    copy: &'a mut QuantizedCopy,
    i: usize,
    row: &'a [f32],
}

impl Kernel for WriteRow<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self, _: I) {
        let WriteRow { copy, i, row } = self;
        let (block, lane) = (i / LANES, i % LANES);
        let quads = copy.dim.div_ceil(QUAD);
        if block == copy.norms.len() {
            copy.codes.resize((block + 1) * quads, Codes([0; QUAD * LANES]));
            copy.norms.push([NO_ROW; LANES]);
            copy.errors.push(0.0);
        }
        let block_codes = &mut copy.codes[block * quads..][..quads];
        let quantized = copy.grid.quantize(row, |quad, of| {
            for (to, of) in block_codes[quad..].iter_mut().zip(of) {
                to.0[lane * QUAD..][..QUAD].copy_from_slice(&of.map(|k| k as i8));
            }
        });
        copy.norms[block][lane] = quantized.squares + 256 * quantized.sum;
        copy.errors[block] = copy.errors[block].max(round_up(quantized.error));
    }
}

/// An upper bound in `f32`; infinity for NaN.
fn round_up(error: f64) -> f32 {
    let bound = error as f32;
    if bound.is_nan() { f32::INFINITY } else { bound.next_up() }
}

mod grid;
#[cfg(test)]
mod tests;
