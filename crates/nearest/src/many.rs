//! Many queries at once: a part of the table that lies in the cache is gone through by many before the next part.

use crate::best::{Keep, NONE};
use crate::coarse::{Aim, Coarse};
use crate::instructions::{Instructions, TOGETHER};
use crate::level::Work;
use crate::scan::{each_near, lowest, read, scan};
use crate::table::LANES;
use crate::{Hit, Table};
use std::ops::Range;

/// Many queries against the whole table. `hits`: [`NONE`] for each.
pub(crate) struct Many<'a> {
    pub table: &'a Table,
    pub queries: &'a [f32],
    pub hits: &'a mut [Hit],
}

impl Work for Many<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self, instructions: I) {
        let Many { table, queries, hits } = self;
        match (table.boxes(), table.coarse()) {
            (None, Some(coarse)) => sift(table, coarse, queries, hits, instructions),
            _ => pass(table, queries, hits, instructions),
        }
    }
}

/// How many bytes stay in the cache while queries pass over them: most of them in the second level.
const TILE: usize = 256 << 10;
/// Queries that pass over a tile before the next: as many as are kept as the coarse copy sees them.
const BATCH: usize = 128;

/// Each query passes over one tile after another, block by block.
#[inline(always)]
fn pass<I: Instructions>(table: &Table, queries: &[f32], hits: &mut [Hit], instructions: I) {
    let dim = table.dim();
    let blocks = table.blocks();
    let step = match table.coarse() {
        // The rows themselves are seldom read. Whole groups, for a group has its boxes in common.
        Some(_) => (TILE / (dim * LANES)).next_multiple_of(LANES),
        None => (TILE / (dim * LANES * size_of::<f32>())).max(1),
    };
    let mut aims = Vec::with_capacity(BATCH);
    for (queries, hits) in queries.chunks(BATCH * dim).zip(hits.chunks_mut(BATCH)) {
        aims.clear();
        aims.extend(queries.chunks_exact(dim).map(|q| table.coarse().and_then(|coarse| coarse.aim(q))));
        for first in (0..blocks).step_by(step) {
            let tile: Range<usize> = first..blocks.min(first + step);
            // Queries often come in the order of a path: the last one's best row is a good first bar for the next.
            let mut last = NONE;
            for ((q, aim), hit) in queries.chunks_exact(dim).zip(&mut aims).zip(hits.iter_mut()) {
                if last.index != NONE.index && last.index != hit.index {
                    hit.offer(table.hit(q, last.index));
                }
                scan(table, q, aim, instructions, tile.clone(), None, hit);
                last = *hit;
            }
        }
    }
}

/// Queries whose least numbers are kept at a time, and of how many blocks: half a megabyte.
const SIFTED: usize = 256;
const CHUNK: usize = 512;

/// Several queries at a time are multiplied with each block of the coarse copy, and what is read after all is read by all
/// that have to, what is nearest first: as [`crate::scan::sift`].
#[inline(always)]
fn sift<I: Instructions>(table: &Table, coarse: &Coarse, queries: &[f32], hits: &mut [Hit], instructions: I) {
    let (dim, blocks) = (table.dim(), table.blocks());
    let tile = (TILE / (dim * LANES)).max(1);
    let most = SIFTED.min(hits.len());
    let mut least = vec![0; most * CHUNK.min(blocks)];
    let mut aims: Vec<(Aim, usize)> = Vec::with_capacity(most);
    let mut near: Vec<(usize, usize)> = Vec::new();
    let mut within = [false; CHUNK];
    for (queries, hits) in queries.chunks(SIFTED * dim).zip(hits.chunks_mut(SIFTED)) {
        aims.clear();
        for (k, (q, hit)) in queries.chunks_exact(dim).zip(hits.iter_mut()).enumerate() {
            match coarse.aim(q) {
                Some(aim) => aims.push((aim, k)),
                None => {
                    scan(table, q, &mut None, instructions, 0..blocks, None, hit);
                }
            }
        }
        for first in (0..blocks).step_by(CHUNK) {
            let chunk = first..blocks.min(first + CHUNK);
            let width = chunk.len();
            for start in chunk.clone().step_by(tile) {
                let tile = start..chunk.end.min(start + tile);
                sift_tile(coarse, &aims, instructions, tile.clone(), &mut least, width, start - first);
            }
            near.clear();
            near.extend(least.chunks_exact(width).take(aims.len()).map(lowest).zip(0..));
            let errors = coarse.errors(chunk);
            for again in [true, false] {
                // In the order of the blocks, so that each is read from the cache by all but the first.
                near.sort_unstable();
                for &(b, of) in &near {
                    let (aim, k) = &mut aims[of];
                    let (q, least) = (&queries[*k * dim..][..dim], &mut least[of * width + b]);
                    read(table, coarse, q, aim, instructions, first + b, least, &mut hits[*k]);
                }
                near.clear();
                if again {
                    for (of, ((aim, k), least)) in aims.iter_mut().zip(least.chunks_exact(width)).enumerate()
                    {
                        let within = &mut within[..width];
                        aim.near(hits[*k].bar(), least, errors, within);
                        each_near(within, |b| near.push((b, of)));
                    }
                }
            }
        }
    }
}

/// Puts the least numbers of some blocks into the columns of `least`, `[aims, width]`, from `column` on.
#[inline(always)]
fn sift_tile<I: Instructions>(
    coarse: &Coarse,
    aims: &[(Aim, usize)],
    instructions: I,
    blocks: Range<usize>,
    least: &mut [i32],
    width: usize,
    column: usize,
) {
    let (codes, norms) = coarse.blocks(blocks.clone());
    let mut rows = least.chunks_exact_mut(width).map(|row| &mut row[column..column + blocks.len()]);
    let (together, rest) = aims.as_chunks::<TOGETHER>();
    for aims in together {
        let least = [(); TOGETHER].map(|()| rows.next().expect("a row for each"));
        instructions.least_of_each(aims.each_ref().map(|(aim, _)| aim.codes()), codes, norms, least);
    }
    for ((aim, _), least) in rest.iter().zip(rows) {
        instructions.least(aim.codes(), codes, norms, least);
    }
}
