//! Bounding boxes of the blocks of rows: lower bounds of distances, by which a search prunes blocks without reading them.

use crate::scan::{STEP, all_above};
use crate::table::{Column, LANES};

/// The axis-aligned bounding boxes of a table's blocks, side by side in groups of 32. A box is extended by every row written
/// to its block and does not shrink when a row leaves.
#[derive(Clone, Debug)]
pub(crate) struct BoundingBoxes {
    lows: Vec<Column>,  // [groups, dim] of 32 blocks: lower corners
    highs: Vec<Column>, // [groups, dim] of 32 blocks: upper corners
    dim: usize,
}

impl BoundingBoxes {
    /// No boxes yet, for rows of `dim` dimensions.
    pub(crate) fn new(dim: usize) -> BoundingBoxes {
        BoundingBoxes { lows: Vec::new(), highs: Vec::new(), dim }
    }

    /// The boxes of a table of `rows` rows: `columns` is `[blocks, dim]`.
    pub(crate) fn of(columns: &[Column], rows: usize, dim: usize) -> BoundingBoxes {
        let mut boxes = BoundingBoxes::new(dim);
        for (b, block) in columns.chunks_exact(dim).enumerate().take(rows.div_ceil(LANES)) {
            boxes.reset(b);
            for (j, column) in block.iter().enumerate() {
                // Of NaN alone: from minus to plus infinity, which prunes nothing.
                let rows = &column.0[..LANES.min(rows - b * LANES)];
                boxes.extend(b, j, rows.iter().fold(f32::INFINITY, |low, x| low.min(*x)));
                boxes.extend(b, j, rows.iter().fold(f32::NEG_INFINITY, |high, x| high.max(*x)));
            }
        }
        boxes
    }

    /// Makes the box of a block empty.
    pub(crate) fn reset(&mut self, block: usize) {
        let (group, lane) = (block / LANES * self.dim, block % LANES);
        self.lows.resize(group + self.dim, Column([f32::INFINITY; LANES]));
        self.highs.resize(group + self.dim, Column([f32::NEG_INFINITY; LANES]));
        for j in group..group + self.dim {
            self.lows[j].0[lane] = f32::INFINITY;
            self.highs[j].0[lane] = f32::NEG_INFINITY;
        }
    }

    /// Extends the box of a block to contain `x` in dimension `j`. A NaN is ignored: a row at distance NaN is an answer
    /// only while no other row has been found, and then no block is pruned.
    #[inline]
    pub(crate) fn extend(&mut self, block: usize, j: usize, x: f32) {
        let (place, lane) = (block / LANES * self.dim + j, block % LANES);
        let (low, high) = (&mut self.lows[place].0[lane], &mut self.highs[place].0[lane]);
        (*low, *high) = (low.min(x), high.max(x));
    }

    /// For each block of a group, a lower bound of the squared distances of its rows to `q`; `None` if all bounds exceed
    /// the threshold. O(32 dim), less if the sums exceed the threshold early.
    ///
    /// The bound is the squared distance to the block's box, `sum_j t_j^2` with `t_j = max(low_j - q_j, q_j - high_j, 0)`,
    /// by the same operations in the same order as the distance to a row `c`. In exact arithmetic `t_j <= |q_j - c_j|`, and
    /// rounding is monotonic, so the rounded sums are ordered in the same way and need no margin. A difference of NaN
    /// counts 0.
    #[inline(always)]
    pub(crate) fn lower_bounds(&self, q: &[f32], group: usize, threshold: f32) -> Option<[f32; LANES]> {
        let group = group * self.dim..(group + 1) * self.dim;
        let (lows, highs) = (&self.lows[group.clone()], &self.highs[group]);
        let mut sums = [0.0; LANES];
        for ((lows, highs), q) in lows.chunks(STEP).zip(highs.chunks(STEP)).zip(q.chunks(STEP)) {
            for ((low, high), &x) in lows.iter().zip(highs).zip(q) {
                add_box_squares(&mut sums, x, low, high);
            }
            if all_above(&sums, threshold) {
                return None;
            }
        }
        Some(sums)
    }
}

/// Adds one dimension of the squared distances to the boxes of a group.
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
