//! Batches of queries: all of them search one tile of the table, which stays in the cache, before the next tile.

use crate::instructions::{Instructions, QUERIES};
use crate::level::Kernel;
use crate::quantized::{QuantizedCopy, QuantizedQuery};
use crate::scan::{argmin, for_each_candidate, scan, scan_candidate};
use crate::table::LANES;
use crate::top_k::{NO_HIT, TopK};
use crate::{Hit, Table};
use std::ops::Range;

/// The nearest row to each query. `queries`: `[m, dim]`; `hits`: `[m]`, [`NO_HIT`] at the start.
pub(crate) struct NearestOfEach<'a> {
    pub table: &'a Table,
    pub queries: &'a [f32],
    pub hits: &'a mut [Hit],
}

impl Kernel for NearestOfEach<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self, instructions: I) {
        let NearestOfEach { table, queries, hits } = self;
        match (table.boxes(), table.quantized()) {
            (None, Some(copy)) => scan_quantized_tiles(table, copy, queries, hits, instructions),
            _ => scan_tiles(table, queries, hits, instructions),
        }
    }
}

/// Bytes of a tile: most of them stay in the second-level cache.
const TILE_BYTES: usize = 256 << 10;
/// Queries that search a tile before the next; as many quantized queries are kept.
const BATCH: usize = 128;

/// Each query scans one tile after another by [`scan`].
#[inline(always)]
fn scan_tiles<I: Instructions>(table: &Table, queries: &[f32], hits: &mut [Hit], instructions: I) {
    let dim = table.dim();
    let blocks = table.blocks();
    let step = match table.quantized() {
        // Mostly the copy is read. A multiple of the group size, since boxes are read by whole groups.
        Some(_) => (TILE_BYTES / (dim * LANES)).next_multiple_of(LANES),
        None => (TILE_BYTES / (dim * LANES * size_of::<f32>())).max(1),
    };
    let mut quantized = Vec::with_capacity(BATCH);
    for (queries, hits) in queries.chunks(BATCH * dim).zip(hits.chunks_mut(BATCH)) {
        quantized.clear();
        quantized.extend(
            queries.chunks_exact(dim).map(|q| table.quantized().and_then(|copy| copy.quantize_query(q))),
        );
        for first in (0..blocks).step_by(step) {
            let tile: Range<usize> = first..blocks.min(first + step);
            // Queries often follow a path: the row nearest to the last query gives the next one a low threshold.
            let mut last = NO_HIT;
            for ((q, query), hit) in queries.chunks_exact(dim).zip(&mut quantized).zip(hits.iter_mut()) {
                if last.index != NO_HIT.index && last.index != hit.index {
                    hit.offer(table.hit(q, last.index));
                }
                scan(table, q, query, instructions, tile.clone(), None, hit);
                last = *hit;
            }
        }
    }
}

/// Queries and blocks whose minima are kept at a time: half a megabyte.
const ROWS: usize = 256;
const CHUNK: usize = 512;

/// As [`scan_quantized`](crate::scan::scan_quantized), with several queries multiplied with each block of the copy at a time. The
/// rows of a block are read for all queries that need them, one straight after another.
#[inline(always)]
fn scan_quantized_tiles<I: Instructions>(
    table: &Table,
    copy: &QuantizedCopy,
    queries: &[f32],
    hits: &mut [Hit],
    instructions: I,
) {
    let (dim, blocks) = (table.dim(), table.blocks());
    let tile = (TILE_BYTES / (dim * LANES)).max(1);
    let most = ROWS.min(hits.len());
    let mut minima = vec![0; most * CHUNK.min(blocks)];
    let mut quantized: Vec<(QuantizedQuery, usize)> = Vec::with_capacity(most);
    let mut pairs: Vec<(usize, usize)> = Vec::new(); // of a block and a query
    let mut candidates = [false; CHUNK];
    for (queries, hits) in queries.chunks(ROWS * dim).zip(hits.chunks_mut(ROWS)) {
        quantized.clear();
        for (k, (q, hit)) in queries.chunks_exact(dim).zip(hits.iter_mut()).enumerate() {
            match copy.quantize_query(q) {
                Some(query) => quantized.push((query, k)),
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
                fill_minima(copy, &quantized, instructions, tile.clone(), &mut minima, width, start - first);
            }
            // First the most promising block of each query, then all other candidates.
            pairs.clear();
            pairs.extend(minima.chunks_exact(width).take(quantized.len()).map(argmin).zip(0..));
            let errors = copy.errors(chunk);
            for is_first in [true, false] {
                // Sorted by block, so that only the first query of each block misses the cache.
                pairs.sort_unstable();
                for &(b, of) in &pairs {
                    let (query, k) = &mut quantized[of];
                    let (q, minimum) = (&queries[*k * dim..][..dim], &mut minima[of * width + b]);
                    scan_candidate(table, copy, q, query, instructions, first + b, minimum, &mut hits[*k]);
                }
                pairs.clear();
                if is_first {
                    for (of, ((query, k), minima)) in
                        quantized.iter_mut().zip(minima.chunks_exact(width)).enumerate()
                    {
                        let candidates = &mut candidates[..width];
                        query.mark_candidates(hits[*k].threshold(), minima, errors, candidates);
                        for_each_candidate(candidates, |b| pairs.push((b, of)));
                    }
                }
            }
        }
    }
}

/// Writes the minima of `blocks` into the columns of `minima`, `[queries, width]`, from `column` on.
#[inline(always)]
fn fill_minima<I: Instructions>(
    copy: &QuantizedCopy,
    queries: &[(QuantizedQuery, usize)],
    instructions: I,
    blocks: Range<usize>,
    minima: &mut [i32],
    width: usize,
    column: usize,
) {
    let (codes, norms) = copy.blocks(blocks.clone());
    let mut rows = minima.chunks_exact_mut(width).map(|row| &mut row[column..column + blocks.len()]);
    let (together, rest) = queries.as_chunks::<QUERIES>();
    for queries in together {
        let minima = [(); QUERIES].map(|()| rows.next().expect("a row for each query"));
        let queries = queries.each_ref().map(|(query, _)| query.codes());
        instructions.block_minima_of_each(queries, codes, norms, minima);
    }
    for ((query, _), minima) in rest.iter().zip(rows) {
        instructions.block_minima(query.codes(), codes, norms, minima);
    }
}
