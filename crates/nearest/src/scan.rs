//! The one loop that all searches run: a query against blocks of rows, a block left as soon as it cannot win.

use crate::Hit;
use crate::best::Keep;
use crate::table::{Column, LANES, Table};
use std::ops::Range;

/// After how many dimensions the partial sums are compared with the bar.
const STEP: usize = 8;

/// Offers to `keep` every row of `blocks` that could be kept; returns how many columns were left unread.
///
/// A block is left when all its partial sums are above the bar. That loses nothing: a square is never negative, and
/// rounding is monotonic, so a sum never falls as dimensions are added. A NaN is never above the bar, and nothing is
/// above a bar of NaN, so both stay in, and [`Keep::offer`] decides. A sum equal to the bar stays in too: it wins a
/// tie by a lower index, since blocks may come in any order.
#[inline(always)]
pub(crate) fn scan<K: Keep>(table: &Table, q: &[f32], blocks: Range<usize>, keep: &mut K) -> usize {
    let mut unread = 0;
    'blocks: for b in blocks {
        let block = table.block(b);
        let bar = keep.bar();
        let mut sums = [0.0; LANES];
        let mut done = 0;
        for (columns, q) in block.chunks(STEP).zip(q.chunks(STEP)) {
            for (column, &x) in columns.iter().zip(q) {
                add_squares(&mut sums, x, column);
            }
            done += columns.len();
            if all_above(&sums, bar) {
                unread += block.len() - done;
                continue 'blocks;
            }
        }
        // Only rows that exist are looked at, so what the padding holds does not matter.
        let first = b * LANES;
        for (lane, &d2) in sums.iter().enumerate().take(table.len() - first) {
            if d2 > keep.bar() {
                continue;
            }
            let index = first + lane;
            keep.offer(Hit { index, d2 });
        }
    }
    unread
}

/// One dimension of the distances of a block's rows.
#[inline(always)]
fn add_squares(sums: &mut [f32; LANES], x: f32, column: &Column) {
    for (sum, &c) in sums.iter_mut().zip(&column.0) {
        let t = x - c;
        *sum += t * t;
    }
}

#[inline(always)]
fn all_above(sums: &[f32; LANES], bar: f32) -> bool {
    let mut all = true;
    for &sum in sums {
        all &= sum > bar;
    }
    all
}
