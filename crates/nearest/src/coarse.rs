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
//! What it buys, by `bench/recall.py` on rows without structure: one query on 100,000 x 45 in 183 us where it took 744, on
//! 10,000 x 45 in 3.8 us where it took 27 (bench/README.md).

use crate::Level;
use crate::instructions::Instructions;
use crate::level::Work;
use crate::table::{Column, LANES};
use std::ops::Range;

/// Dimensions of a row that lie side by side.
pub(crate) const QUAD: usize = 4;
/// The most dimensions there is a coarse copy for. The products of a row then fit 32 bits, and a query's codes the stack.
const WIDEST: usize = 1024;
/// The fewest rows that a copy is made for: below, all rows lie in the nearest cache.
const FEWEST: usize = 4 * LANES;
/// The largest code.
const MOST: f64 = 127.0;
/// What makes a bound hold although it was itself computed with rounding, in 64 bits.
const CARE: f64 = 1.0 + 1e-9;
/// The same for what may be as small as nothing, in `s`.
const LITTLE: f64 = 1e-9;

/// Four dimensions of the rows of a block: `[row][dimension]`.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Codes(pub [i8; QUAD * LANES]);

/// The coarse copy of a table.
#[derive(Clone, Debug)]
pub(crate) struct Coarse {
    codes: Vec<Codes>,          // [blocks, quads]
    norms: Vec<[i32; LANES]>,   // [blocks]: of each row the sum of k^2 + 256 k
    errors: Vec<f32>,           // [blocks]: no row is farther from its coarse row than this many `s`
    middle: Vec<[f32; CHAINS]>, // [dim], and 0 beyond
    inverse: f64,               // 1 / s
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
        let (middle, most) = level.run(Extent { columns, rows, dim })?;
        let mut padded = vec![[0.0; CHAINS]; dim.div_ceil(CHAINS)];
        padded.as_flattened_mut()[..dim].copy_from_slice(&middle);
        let row = |i: usize, out: &mut [f32]| {
            let block = &columns[i / LANES * dim..][..dim];
            out.iter_mut().zip(block).for_each(|(x, column)| *x = column.0[i % LANES]);
        };
        // A smaller scale is finer, but cuts off what lies far out: the best for a sample of the rows.
        let mut sample = vec![0.0; dim * rows.min(256)];
        for (k, out) in sample.chunks_exact_mut(dim).enumerate() {
            row(k * rows / rows.min(256), out);
        }
        let mean_error = |scale| level.run(Errors { rows: &sample, middle: &padded, dim, scale });
        let scales = (0..8).map(|k| f64::from(most) / MOST / f64::from(1 << k));
        let scale = scales.min_by(|&a, &b| mean_error(a).total_cmp(&mean_error(b)))?;
        if scale <= f64::from(f32::MIN_POSITIVE) {
            return None;
        }
        let mut copy = Coarse {
            codes: Vec::new(),
            norms: Vec::new(),
            errors: Vec::new(),
            middle: padded,
            inverse: 1.0 / scale,
            dim,
        };
        let mut out = vec![0.0; dim];
        for i in 0..rows {
            row(i, &mut out);
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
        let sums = Sums::of(q, &self.middle, self.inverse, |quad, of| {
            codes[quad] = u32::from_le_bytes(of[0]) ^ 0x8080_8080;
            codes[quad + 1] = u32::from_le_bytes(of[1]) ^ 0x8080_8080;
        });
        let error = sums.off.iter().sum::<f64>().sqrt() * CARE + LITTLE;
        let shrink = 1.0 - (q.len() + 2) as f64 * f64::from(f32::EPSILON);
        let aim = Aim {
            codes,
            quads: q.len().div_ceil(QUAD),
            norm: f64::from(sums.squares.iter().sum::<i32>()),
            error,
            inverse: self.inverse,
            grow: 1.0 / shrink,
            bar: f32::NAN,
            reach: f64::INFINITY,
        };
        error.is_finite().then_some(aim)
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

/// The code of a number, and how far it is from the number, in `s`. What is no number has no code and is far from it.
#[inline(always)]
fn code(x: f32, middle: f32, inverse: f64) -> (i32, f64) {
    // Adding this rounds to whole numbers, and leaves them in the lowest bits: instructions that every vector has.
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
    let place = (f64::from(x) - f64::from(middle)) * inverse;
    let near = if place > -MOST { place } else { -MOST };
    let near = if near < MOST { near } else { MOST };
    let rounded = near + ROUND;
    (rounded.to_bits() as i32, place - (rounded - ROUND))
}

/// How many dimensions are coded together: the sums are taken in as many chains, for vectors to take them.
const CHAINS: usize = 2 * QUAD;

/// What the codes of a point come to.
#[derive(Clone, Copy, Default)]
struct Sums {
    squares: [i32; CHAINS], // of k^2
    codes: [i32; CHAINS],   // of k
    off: [f64; CHAINS],     // of the squares of the distances to the codes, in `s`
}

impl Sums {
    /// Codes a point, and hands its codes to `put` as they come, two quads in one number, those beyond the last dimension 0. Not
    /// by way of memory: what was written in small parts is slow to be read in large ones.
    #[inline(always)]
    fn of(
        point: &[f32],
        middle: &[[f32; CHAINS]],
        inverse: f64,
        mut put: impl FnMut(usize, [[u8; QUAD]; 2]),
    ) -> Sums {
        let mut sums = Sums::default();
        for (place, (point, middle)) in point.chunks(CHAINS).zip(middle).enumerate() {
            // Where the point and the middle are 0, so are the code and the distance.
            let point = match point.first_chunk::<CHAINS>() {
                Some(whole) => *whole,
                None => std::array::from_fn(|l| point.get(l).copied().unwrap_or(0.0)),
            };
            let mut codes = [0; CHAINS];
            for l in 0..CHAINS {
                let (k, off) = code(point[l], middle[l], inverse);
                codes[l] = k as u8;
                sums.squares[l] += k * k;
                sums.codes[l] += k;
                sums.off[l] += off * off;
            }
            let both = u64::from_le_bytes(codes);
            put(2 * place, [(both as u32).to_le_bytes(), ((both >> 32) as u32).to_le_bytes()]);
        }
        sums
    }
}

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
        let sums = Sums::of(row, &copy.middle, copy.inverse, |quad, of| {
            for (to, of) in block_codes[quad..].iter_mut().zip(of) {
                to.0[lane * QUAD..][..QUAD].copy_from_slice(&of.map(|k| k as i8));
            }
        });
        copy.norms[block][lane] =
            sums.squares.iter().zip(sums.codes).map(|(square, k)| square + 256 * k).sum();
        copy.errors[block] = copy.errors[block].max(upwards(sums.off.iter().sum()));
    }
}

/// The distances of rows from their coarse rows at a scale, added up, in units of the table: of those that are finite.
struct Errors<'a> {
    rows: &'a [f32],
    middle: &'a [[f32; CHAINS]],
    dim: usize,
    scale: f64,
}

impl Work for Errors<'_> {
    type Output = f64;
    #[inline(always)]
    fn run<I: Instructions>(self, _: I) -> f64 {
        let mut sum = 0.0;
        for row in self.rows.chunks_exact(self.dim) {
            let off = Sums::of(row, self.middle, 1.0 / self.scale, |_, _| ()).off.iter().sum::<f64>();
            sum += if off.is_finite() { off.sqrt() * self.scale } else { 0.0 };
        }
        sum
    }
}

/// A bound of an error from the sum of its squares, in 32 bits: rounded upwards. What is no number is infinite.
fn upwards(sum: f64) -> f32 {
    let bound = (sum.sqrt() * CARE + LITTLE) as f32;
    if bound.is_nan() { f32::INFINITY } else { bound.next_up() }
}

/// The middle of what is finite in every dimension, and the largest distance from it; none if nothing is finite or all
/// is alike.
struct Extent<'a> {
    columns: &'a [Column],
    rows: usize,
    dim: usize,
}

impl Work for Extent<'_> {
    type Output = Option<(Vec<f32>, f32)>;
    #[inline(always)]
    fn run<I: Instructions>(self, _: I) -> Self::Output {
        let Extent { columns, rows, dim } = self;
        let mut lows = vec![Column([f32::INFINITY; LANES]); dim];
        let mut highs = vec![Column([f32::NEG_INFINITY; LANES]); dim];
        let mut widen = |block: &[Column], lanes: usize| {
            for ((column, low), high) in block.iter().zip(&mut lows).zip(&mut highs) {
                for ((&x, low), high) in column.0.iter().zip(&mut low.0).zip(&mut high.0).take(lanes) {
                    // What is no number is neither.
                    *low = if x < *low && x > f32::NEG_INFINITY { x } else { *low };
                    *high = if x > *high && x < f32::INFINITY { x } else { *high };
                }
            }
        };
        for (b, block) in columns.chunks_exact(dim).enumerate().take(rows.div_ceil(LANES)) {
            match rows - b * LANES {
                0..LANES => widen(block, rows - b * LANES),
                _ => widen(block, LANES),
            }
        }
        let mut most = 0.0_f32;
        let middle = lows.iter().zip(&highs).map(|(lows, highs)| {
            let low = lows.0.iter().copied().fold(f32::INFINITY, f32::min);
            let high = highs.0.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            if low > high {
                return 0.0;
            }
            most = most.max(high / 2.0 - low / 2.0);
            low / 2.0 + high / 2.0
        });
        let middle = middle.collect();
        (most > 0.0).then_some((middle, most))
    }
}

#[cfg(test)]
mod tests;
