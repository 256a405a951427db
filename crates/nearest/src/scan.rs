//! The one loop that all searches run: a query against blocks of rows, a block left as soon as it cannot win.

use crate::Hit;
use crate::best::Keep;
use crate::coarse::{Aim, Coarse};
use crate::instructions::Instructions;
use crate::order::Way;
use crate::table::{Column, LANES, Table};
use std::ops::Range;

/// After how many dimensions the partial sums are compared with the bar.
pub(crate) const STEP: usize = 8;

/// Offers to `keep` every row of `blocks` that could be kept, but for the block `done`, whose rows it was offered before;
/// returns how many columns were left unread, those of `done` among them. `aim` is the query as the table's coarse copy sees
/// it, where there is one.
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
    done: Option<usize>,
    keep: &mut K,
) -> usize {
    let mut unread = blocks.len() * table.dim();
    let mut first = blocks.start;
    while first < blocks.end {
        let end = blocks.end.min((first / LANES + 1) * LANES);
        let bounds = match table.boxes() {
            Some(boxes) => boxes.bounds(q, first / LANES, keep.bar()),
            None => Some([0.0; LANES]),
        };
        if let Some(bounds) = bounds {
            let (bounds, bar) = (&bounds[first % LANES..][..end - first], keep.bar());
            let mut near = [false; LANES];
            near.iter_mut().zip(bounds).for_each(|(near, &bound)| *near = may_be_within(bound, bar));
            if let Some(done) = done
                && (first..end).contains(&done)
            {
                near[done - first] = false;
            }
            // While nothing is kept, the block that may be nearest comes first: it leaves less of the others.
            if bar.is_nan() {
                let lead = lowest_bound(bounds);
                if std::mem::take(&mut near[lead]) {
                    unread -= table.dim() - scan_block(table, q, instructions, first + lead, keep);
                }
            }
            each_near(&near, |k| {
                let bar = keep.bar();
                if may_be_within(bounds[k], bar) && !is_far(table, aim, instructions, first + k, bar) {
                    unread -= table.dim() - scan_block(table, q, instructions, first + k, keep);
                }
            });
        }
        first = end;
    }
    unread
}

/// Whether rows that are not below a bound may be within a bar. One that is NaN is no bar yet.
#[inline(always)]
fn may_be_within(bound: f32, bar: f32) -> bool {
    bar.is_nan() || bound <= bar
}

/// The place of the lowest bound, the first of several.
#[inline(always)]
fn lowest_bound(bounds: &[f32]) -> usize {
    let lowest = bounds.iter().fold(f32::INFINITY, |a, &b| if b < a { b } else { a });
    bounds.iter().position(|&x| x == lowest).unwrap_or(0)
}

/// How many blocks are looked at in the coarse copy before any is read.
const CHUNK: usize = 256;
/// How many blocks are gone through forwards all the same on the way back.
const RUN: usize = 8;

/// Offers to `keep` every row of the table that could be kept, but for the block `done`, whose rows it was offered before;
/// returns how many columns were left unread, those of `done` among them. Looks at the coarse copy of many blocks first, and
/// reads first what is nearest there: what is near then leaves little else to be read.
#[inline(always)]
pub(crate) fn sift<K: Keep, I: Instructions>(
    table: &Table,
    coarse: &Coarse,
    q: &[f32],
    aim: &mut Aim,
    instructions: I,
    done: Option<usize>,
    keep: &mut K,
) -> usize {
    let mut unread = table.columns();
    let (mut least, mut near) = ([0; CHUNK], [false; CHUNK]);
    // With a guess it is told how much was left unread, which must not depend on what was searched before.
    let way = match done {
        Some(_) => Way::Forwards,
        None => Way::next(coarse.bytes()),
    };
    for blocks in way.runs(0..table.blocks(), CHUNK) {
        let (first, least) = (blocks.start, &mut least[..blocks.len()]);
        for run in way.runs(blocks.clone(), if way == Way::Forwards { CHUNK } else { RUN }) {
            let (codes, norms) = coarse.blocks(run.clone());
            instructions.least(aim.codes(), codes, norms, &mut least[run.start - first..run.end - first]);
        }
        if let Some(done) = done
            && blocks.contains(&done)
        {
            least[done - first] = READ;
        }
        // Two, for a search of the two nearest is satisfied by no fewer.
        for _ in 0..2 {
            let best = lowest(least);
            unread -= read(table, coarse, q, aim, instructions, first + best, &mut least[best], keep);
        }
        let near = &mut near[..blocks.len()];
        aim.near(keep.bar(), least, coarse.errors(blocks), near);
        each_near(near, |b| {
            unread -= read(table, coarse, q, aim, instructions, first + b, &mut least[b], keep);
        });
    }
    unread
}

/// Calls `then` with the place of each block that is near.
#[inline(always)]
pub(crate) fn each_near(near: &[bool], mut then: impl FnMut(usize)) {
    for (k, some) in near.chunks(8).enumerate() {
        // Nearly all are not.
        if some.contains(&true) {
            some.iter().enumerate().filter(|(_, near)| **near).for_each(|(l, _)| then(8 * k + l));
        }
    }
}

/// Offers the rows of a block, where the least number of its coarse copy leaves any that could be kept; returns how many of
/// its columns were read. Marks the block as read.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "two callers, and nothing that belongs together")]
pub(crate) fn read<K: Keep, I: Instructions>(
    table: &Table,
    coarse: &Coarse,
    q: &[f32],
    aim: &mut Aim,
    instructions: I,
    b: usize,
    least: &mut i32,
    keep: &mut K,
) -> usize {
    if *least == READ || *least > aim.limit(coarse.error(b), keep.bar()) {
        return 0;
    }
    *least = READ;
    table.dim() - scan_block(table, q, instructions, b, keep)
}

/// Stands where a block has been read, above what can be least in any.
const READ: i32 = i32::MAX;

/// The place of the lowest number, the first of several.
#[inline(always)]
pub(crate) fn lowest(numbers: &[i32]) -> usize {
    let lowest = numbers.iter().fold(i32::MAX, |a, &b| a.min(b));
    numbers.iter().position(|&x| x == lowest).unwrap_or(0)
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
    let limit = aim.limit(coarse.error(b), bar);
    let (codes, norms) = coarse.blocks(b..b + 1);
    let mut least = [0];
    instructions.least(aim.codes(), codes, norms, &mut least);
    least[0] > limit
}

/// Offers the rows of a block; returns how many of its columns were left unread.
#[inline(always)]
pub(crate) fn scan_block<K: Keep, I: Instructions>(
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
        keep.offer(Hit { index: first + lane, d2 });
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

#[inline(always)]
pub(crate) fn all_above(sums: &[f32; LANES], bar: f32) -> bool {
    let mut all = true;
    for &sum in sums {
        all &= sum > bar;
    }
    all
}
