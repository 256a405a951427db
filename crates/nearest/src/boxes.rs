//! A box around each block of rows, by which a search passes over the block without reading it.

use crate::scan::{STEP, all_above};
use crate::table::{Column, LANES};

/// The boxes of a table, 32 of them side by side. A box grows with every row that is put into its block, and does not
/// shrink when one leaves.
#[derive(Clone, Debug)]
pub(crate) struct Boxes {
    lows: Vec<Column>,  // [groups, dim] of 32 blocks: no row of the block is lower
    highs: Vec<Column>, // [groups, dim] of 32 blocks: no row of the block is higher
    dim: usize,
}

impl Boxes {
    /// No boxes yet, for rows of `dim` numbers.
    pub(crate) fn new(dim: usize) -> Boxes {
        Boxes { lows: Vec::new(), highs: Vec::new(), dim }
    }

    /// The boxes of `rows` rows in blocks of columns.
    pub(crate) fn of(columns: &[Column], rows: usize, dim: usize) -> Boxes {
        let mut boxes = Boxes::new(dim);
        for (b, block) in columns.chunks_exact(dim).enumerate().take(rows.div_ceil(LANES)) {
            boxes.open(b);
            for (j, column) in block.iter().enumerate() {
                for &x in &column.0[..LANES.min(rows - b * LANES)] {
                    boxes.widen(b, j, x);
                }
            }
        }
        boxes
    }

    /// Makes the box of a block one that holds nothing.
    pub(crate) fn open(&mut self, block: usize) {
        let (group, lane) = (block / LANES * self.dim, block % LANES);
        self.lows.resize(group + self.dim, Column([f32::INFINITY; LANES]));
        self.highs.resize(group + self.dim, Column([f32::NEG_INFINITY; LANES]));
        for j in group..group + self.dim {
            self.lows[j].0[lane] = f32::INFINITY;
            self.highs[j].0[lane] = f32::NEG_INFINITY;
        }
    }

    /// Widens the box of a block to hold a number in dimension `j`. A NaN widens nothing: a row whose distance is NaN
    /// matters only while no number has been found, and then no block is passed over.
    #[inline]
    pub(crate) fn widen(&mut self, block: usize, j: usize, x: f32) {
        let (place, lane) = (block / LANES * self.dim + j, block % LANES);
        let (low, high) = (&mut self.lows[place].0[lane], &mut self.highs[place].0[lane]);
        (*low, *high) = (low.min(x), high.max(x));
    }

    /// For each block of a group, a number that the squared distance of none of its rows is below; none when all are above
    /// the bar.
    ///
    /// The bound is the squared distance to the block's box, taken by the same operations in the same order as that to a
    /// row. In each dimension the row is at least as far away as its box, and rounding is monotonic, so the bound holds
    /// for the rounded sums as they are: no margin is needed. Differences that are NaN count as 0.
    #[inline(always)]
    pub(crate) fn bounds(&self, q: &[f32], group: usize, bar: f32) -> Option<[f32; LANES]> {
        let group = group * self.dim..(group + 1) * self.dim;
        let (lows, highs) = (&self.lows[group.clone()], &self.highs[group]);
        let mut sums = [0.0; LANES];
        for ((lows, highs), q) in lows.chunks(STEP).zip(highs.chunks(STEP)).zip(q.chunks(STEP)) {
            for ((low, high), &x) in lows.iter().zip(highs).zip(q) {
                add_box_squares(&mut sums, x, low, high);
            }
            if all_above(&sums, bar) {
                return None;
            }
        }
        Some(sums)
    }
}

/// One dimension of the distances of the boxes of a group.
#[inline(always)]
fn add_box_squares(sums: &mut [f32; LANES], x: f32, low: &Column, high: &Column) {
    for ((sum, &low), &high) in sums.iter_mut().zip(&low.0).zip(&high.0) {
        let (below, above) = (low - x, x - high);
        // Plain comparisons, not `max`: they are one instruction each, and a NaN gives 0.
        let t = if below > 0.0 { below } else { 0.0 };
        let t = if above > t { above } else { t };
        *sum += t * t;
    }
}
