//! The scan that all searches run: a query against blocks of rows, each block pruned as soon as it cannot contain an answer.

use crate::Hit;
use crate::direction::Direction;
use crate::instructions::Instructions;
use crate::quantized::{QuantizedCopy, QuantizedQuery};
use crate::table::{Column, LANES, Table};
use crate::top_k::TopK;
use std::ops::Range;

/// Dimensions after which partial sums are compared with the threshold.
pub(crate) const STEP: usize = 8;

/// Offers to `top` every row of `blocks` that could be kept, except those of block `scanned`, which were offered before.
/// Returns the number of pruned columns, which were not read; those of `scanned` count as pruned. `query` is the quantized query
/// if the table has a quantized copy.
///
/// A block is pruned when all its partial sums exceed the threshold. No answer is lost: squares are not negative and rounding is
/// monotonic, so a sum never decreases as dimensions are added. NaN exceeds no threshold, and nothing exceeds a threshold of NaN,
/// so both remain, and [`TopK::offer`] decides. A sum equal to the threshold remains, because its row wins a tie if its index is
/// lower, and blocks may come in any order.
#[inline(always)]
pub(crate) fn scan<T: TopK, I: Instructions>(
    table: &Table,
    q: &[f32],
    query: &mut Option<QuantizedQuery>,
    instructions: I,
    blocks: Range<usize>,
    scanned: Option<usize>,
    top: &mut T,
) -> usize {
    let mut pruned = blocks.len() * table.dim();
    let mut first = blocks.start;
    while first < blocks.end {
        let end = blocks.end.min((first / LANES + 1) * LANES);
        let bounds = match table.boxes() {
            Some(boxes) => boxes.lower_bounds(q, first / LANES, top.threshold()),
            None => Some([0.0; LANES]),
        };
        if let Some(bounds) = bounds {
            let (bounds, threshold) = (&bounds[first % LANES..][..end - first], top.threshold());
            let mut candidates = [false; LANES];
            candidates
                .iter_mut()
                .zip(bounds)
                .for_each(|(candidate, &bound)| *candidate = may_be_within(bound, threshold));
            if let Some(scanned) = scanned
                && (first..end).contains(&scanned)
            {
                candidates[scanned - first] = false;
            }
            // Without a threshold yet, the block with the lowest bound comes first: its rows give the lowest threshold.
            if threshold.is_nan() {
                let best = argmin_bound(bounds);
                if std::mem::take(&mut candidates[best]) {
                    pruned -= table.dim() - scan_block(table, q, instructions, first + best, top);
                }
            }
            for_each_candidate(&candidates, |k| {
                let threshold = top.threshold();
                if may_be_within(bounds[k], threshold)
                    && !is_pruned(table, query, instructions, first + k, threshold)
                {
                    pruned -= table.dim() - scan_block(table, q, instructions, first + k, top);
                }
            });
        }
        first = end;
    }
    pruned
}

/// Whether a distance of at least `bound` may be at most `threshold`. A threshold of NaN is none yet.
#[inline(always)]
fn may_be_within(bound: f32, threshold: f32) -> bool {
    threshold.is_nan() || bound <= threshold
}

/// The place of the lowest bound, the first of equal ones.
#[inline(always)]
fn argmin_bound(bounds: &[f32]) -> usize {
    let lowest = bounds.iter().fold(f32::INFINITY, |a, &b| if b < a { b } else { a });
    bounds.iter().position(|&x| x == lowest).unwrap_or(0)
}

/// Blocks whose minima in the quantized copy are computed before any row is read.
const CHUNK: usize = 256;
/// Blocks that are read forwards even in a backward pass, for the hardware prefetcher.
const RUN: usize = 8;

/// [`scan`] of the whole table by the quantized copy alone: minima of a chunk of blocks first, then the rows of the blocks that
/// may contain an answer, the most promising ones first.
#[inline(always)]
pub(crate) fn scan_quantized<T: TopK, I: Instructions>(
    table: &Table,
    copy: &QuantizedCopy,
    q: &[f32],
    query: &mut QuantizedQuery,
    instructions: I,
    scanned: Option<usize>,
    top: &mut T,
) -> usize {
    let mut pruned = table.columns();
    let (mut minima, mut candidates) = ([0; CHUNK], [false; CHUNK]);
    // Searches with a guess report the pruned columns, which must not depend on earlier searches: always forwards.
    let direction = match scanned {
        Some(_) => Direction::Forwards,
        None => Direction::next(copy.bytes()),
    };
    for blocks in direction.chunks(0..table.blocks(), CHUNK) {
        let (first, minima) = (blocks.start, &mut minima[..blocks.len()]);
        let length = if direction == Direction::Forwards { CHUNK } else { RUN };
        for run in direction.chunks(blocks.clone(), length) {
            let (codes, norms) = copy.blocks(run.clone());
            let minima = &mut minima[run.start - first..run.end - first];
            instructions.block_minima(query.codes(), codes, norms, minima);
        }
        if let Some(scanned) = scanned
            && blocks.contains(&scanned)
        {
            minima[scanned - first] = SCANNED;
        }
        // The two most promising blocks first: a search for the two nearest has no threshold before two rows are kept.
        for _ in 0..2 {
            let best = argmin(minima);
            let minimum = &mut minima[best];
            pruned -= scan_candidate(table, copy, q, query, instructions, first + best, minimum, top);
        }
        let candidates = &mut candidates[..blocks.len()];
        query.mark_candidates(top.threshold(), minima, copy.errors(blocks), candidates);
        for_each_candidate(candidates, |b| {
            pruned -= scan_candidate(table, copy, q, query, instructions, first + b, &mut minima[b], top);
        });
    }
    pruned
}

/// Calls `each` with the place of each candidate.
#[inline(always)]
pub(crate) fn for_each_candidate(candidates: &[bool], mut each: impl FnMut(usize)) {
    for (k, some) in candidates.chunks(8).enumerate() {
        // Candidates are rare.
        if some.contains(&true) {
            some.iter().enumerate().filter(|(_, candidate)| **candidate).for_each(|(l, _)| each(8 * k + l));
        }
    }
}

/// Offers the rows of block `b`, unless its minimum prunes it or it was scanned before, and marks it as scanned. Returns the
/// number of columns read.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "two callers, and the arguments do not form a type")]
pub(crate) fn scan_candidate<T: TopK, I: Instructions>(
    table: &Table,
    copy: &QuantizedCopy,
    q: &[f32],
    query: &mut QuantizedQuery,
    instructions: I,
    b: usize,
    minimum: &mut i32,
    top: &mut T,
) -> usize {
    if *minimum == SCANNED || *minimum > query.limit(copy.error(b), top.threshold()) {
        return 0;
    }
    *minimum = SCANNED;
    table.dim() - scan_block(table, q, instructions, b, top)
}

/// Marks a scanned block in place of its minimum: above every possible minimum.
const SCANNED: i32 = i32::MAX;

/// The place of the minimum, the first of equal ones.
#[inline(always)]
pub(crate) fn argmin(values: &[i32]) -> usize {
    let lowest = values.iter().fold(i32::MAX, |a, &b| a.min(b));
    values.iter().position(|&x| x == lowest).unwrap_or(0)
}

/// Whether the quantized copy shows that no row of block `b` is within the threshold.
#[inline(always)]
fn is_pruned<I: Instructions>(
    table: &Table,
    query: &mut Option<QuantizedQuery>,
    instructions: I,
    b: usize,
    threshold: f32,
) -> bool {
    let (Some(query), Some(copy)) = (query, table.quantized()) else { return false };
    let limit = query.limit(copy.error(b), threshold);
    let (codes, norms) = copy.blocks(b..b + 1);
    let mut minimum = [0];
    instructions.block_minima(query.codes(), codes, norms, &mut minimum);
    minimum[0] > limit
}

/// Offers the rows of block `b`. Returns the number of its columns that were pruned.
#[inline(always)]
pub(crate) fn scan_block<T: TopK, I: Instructions>(
    table: &Table,
    q: &[f32],
    instructions: I,
    b: usize,
    top: &mut T,
) -> usize {
    let sums = match instructions.block_sums(table.block(b), q, top.threshold()) {
        Ok(sums) => sums,
        Err(pruned) => return pruned,
    };
    // `take` leaves out the padding of the last block.
    let first = b * LANES;
    for (lane, &d2) in sums.iter().enumerate().take(table.len() - first) {
        if d2 > top.threshold() {
            continue;
        }
        top.offer(Hit { index: first + lane, d2 });
    }
    0
}

/// The squared distances of a block's rows to `q`, `[dim]`; or, if all exceed the threshold, the number of columns that did not
/// have to be read to show it. `block`: `[dim]`.
#[inline(always)]
pub(crate) fn block_sums(block: &[Column], q: &[f32], threshold: f32) -> Result<[f32; LANES], usize> {
    let mut sums = [0.0; LANES];
    let mut done = 0;
    for (columns, q) in block.chunks(STEP).zip(q.chunks(STEP)) {
        for (column, &x) in columns.iter().zip(q) {
            add_squares(&mut sums, x, column);
        }
        done += columns.len();
        if all_above(&sums, threshold) {
            return Err(block.len() - done);
        }
    }
    Ok(sums)
}

/// Adds one dimension of the squared distances of a block's rows.
#[inline(always)]
fn add_squares(sums: &mut [f32; LANES], x: f32, column: &Column) {
    for (sum, &c) in sums.iter_mut().zip(&column.0) {
        let t = x - c;
        *sum += t * t;
    }
}

#[inline(always)]
pub(crate) fn all_above(sums: &[f32; LANES], threshold: f32) -> bool {
    let mut all = true;
    for &sum in sums {
        all &= sum > threshold;
    }
    all
}
