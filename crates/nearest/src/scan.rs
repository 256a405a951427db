//! The one loop that all searches run: a query against blocks of rows, a block left as soon as it cannot win.

use crate::Hit;
use crate::best::Keep;
use crate::coarse::Aim;
use crate::instructions::Instructions;
use crate::table::{Column, LANES, Table};
use std::ops::Range;

/// After how many dimensions the partial sums are compared with the bar.
const STEP: usize = 8;

/// Offers to `keep` every row of `blocks` that could be kept; returns how many columns were left unread. `aim` is the query
/// as the table's coarse copy sees it, where there is one.
///
/// A block is left when all its partial sums are above the bar. That loses nothing: a square is never negative, and
/// rounding is monotonic, so a sum never falls as dimensions are added. A NaN is never above the bar, and nothing is
/// above a bar of NaN, so both stay in, and [`Keep::offer`] decides. A sum equal to the bar stays in too: it wins a
/// tie by a lower index, since blocks may come in any order.
#[inline(always)]
pub(crate) fn scan<K: Keep, I: Instructions>(
    table: &Table,
    q: &[f32],
    aim: &mut Option<Aim>,
    instructions: I,
    blocks: Range<usize>,
    keep: &mut K,
) -> usize {
    let mut unread = 0;
    let mut first = blocks.start;
    while first < blocks.end {
        let group = first / LANES;
        let end = blocks.end.min((group + 1) * LANES);
        match box_bounds(table, q, group, keep.bar()) {
            None => unread += (end - first) * table.dim(),
            Some(bounds) => {
                for b in first..end {
                    if bounds[b % LANES] > keep.bar() || is_far(table, aim, instructions, b, keep.bar()) {
                        unread += table.dim();
                    } else {
                        unread += scan_block(table, q, instructions, b, keep);
                    }
                }
            }
        }
        first = end;
    }
    unread
}

/// Whether the coarse copy says that no row of a block is within the bar.
#[inline(always)]
fn is_far<I: Instructions>(
    table: &Table,
    aim: &mut Option<Aim>,
    instructions: I,
    b: usize,
    bar: f32,
) -> bool {
    let (Some(aim), Some(coarse)) = (aim, table.coarse()) else { return false };
    let limit = coarse.limit(b, bar, aim);
    let (codes, norms) = coarse.block(b, aim);
    !instructions.any_within(aim.codes(), codes, norms, limit)
}

/// For each block of a group, a number that the squared distance of none of its rows is below; none when all are above
/// the bar.
///
/// The bound is the squared distance to the block's box, taken by the same operations in the same order as that to a
/// row. In each dimension the row is at least as far away as its box, and rounding is monotonic, so the bound holds
/// for the rounded sums as they are: no margin is needed. Differences that are NaN count as 0.
#[inline(always)]
fn box_bounds(table: &Table, q: &[f32], group: usize, bar: f32) -> Option<[f32; LANES]> {
    let (lows, highs) = table.boxes(group);
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

/// Offers the rows of a block; returns how many of its columns were left unread.
#[inline(always)]
fn scan_block<K: Keep, I: Instructions>(
    table: &Table,
    q: &[f32],
    instructions: I,
    b: usize,
    keep: &mut K,
) -> usize {
    let sums = match instructions.block_sums(table.block(b), q, keep.bar()) {
        Ok(sums) => sums,
        Err(unread) => return unread,
    };
    // Only rows that exist are looked at, so what the padding holds does not matter.
    let first = b * LANES;
    for (lane, &d2) in sums.iter().enumerate().take(table.len() - first) {
        if d2 > keep.bar() {
            continue;
        }
        let index = first + lane;
        keep.offer(Hit { index, d2 });
    }
    0
}

/// The squared distances of a block's rows, or, when all are above the bar, how many columns it took not to read.
#[inline(always)]
pub(crate) fn block_sums(block: &[Column], q: &[f32], bar: f32) -> Result<[f32; LANES], usize> {
    let mut sums = [0.0; LANES];
    let mut done = 0;
    for (columns, q) in block.chunks(STEP).zip(q.chunks(STEP)) {
        for (column, &x) in columns.iter().zip(q) {
            add_squares(&mut sums, x, column);
        }
        done += columns.len();
        if all_above(&sums, bar) {
            return Err(block.len() - done);
        }
    }
    Ok(sums)
}

/// One dimension of the distances of a block's rows.
#[inline(always)]
fn add_squares(sums: &mut [f32; LANES], x: f32, column: &Column) {
    for (sum, &c) in sums.iter_mut().zip(&column.0) {
        let t = x - c;
        *sum += t * t;
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

#[inline(always)]
fn all_above(sums: &[f32; LANES], bar: f32) -> bool {
    let mut all = true;
    for &sum in sums {
        all &= sum > bar;
    }
    all
}
