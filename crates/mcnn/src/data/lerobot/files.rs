//! The data files one after another, a few at a time.

use std::path::Path;

use rayon::prelude::*;

use super::{
    episodes::Episode,
    frames::{Rows, Wanted, rows},
    info::Info,
};
use crate::{
    data::{number::Beyond, parquet::Budget, regular},
    error::Result,
};

/// Bytes of data files that are read together, unless one is larger.
const TOGETHER: u64 = 64 << 20;

/// The values to read of data files.
pub(super) struct Files<'a> {
    pub folder: &'a Path,
    pub info: &'a Info,
    pub all: &'a [Episode],
    pub selected: &'a [&'a Episode],
    pub wanted: &'a [Wanted],
    /// Whether all values stay in memory, so that its limit is one of all.
    pub in_memory: bool,
}

/// Reads the values of each feature wanted, of the episodes selected in their order: calls `put` with the tables of each file after those
/// of the one before. Where the episodes of files alternate, once with all tables.
pub(super) fn read_files(
    &Files { folder, info, all, selected, wanted, in_memory }: &Files,
    beyond: &Beyond,
    put: &mut dyn FnMut(Vec<Vec<f32>>) -> Result<()>,
) -> Result<()> {
    // Files in the order of their first episodes, each with its episodes.
    let mut places = std::collections::HashMap::new();
    let mut files: Vec<Vec<&Episode>> = Vec::new();
    for episode in selected {
        let place = *places.entry(&*episode.file).or_insert(files.len());
        if place == files.len() {
            files.push(Vec::new());
        }
        files[place].push(episode);
    }
    let lengths: Vec<u64> =
        files.iter().map(|file| regular(&folder.join(&file[0].file)).unwrap_or(0)).collect();
    let budget = Budget::new(lengths.iter().sum());
    let before = |file: &[&Episode]| {
        let first =
            all.iter().filter(|episode| episode.file == file[0].file).map(|episode| episode.number).min();
        all.iter().take_while(|episode| Some(episode.number) < first).count()
    };
    // The episodes as they are in the files, with their lengths.
    let order: Vec<(u32, usize)> =
        files.iter().flatten().map(|episode| (episode.number, episode.length as usize)).collect();
    let in_order = order.is_sorted();
    let empty = || vec![Vec::new(); wanted.len()];
    let mut tables: Vec<Vec<f32>> = empty();
    let mut rest = &files[..];
    let mut rest_lengths = &lengths[..];
    while !rest.is_empty() {
        // A few files at a time: what they need beside the tables is limited.
        let mut bytes = 0_u64;
        let together = rest_lengths.iter().take(rayon::current_num_threads()).take_while(|length| {
            bytes = bytes.saturating_add(**length);
            bytes <= TOGETHER
        });
        let n = together.count().max(1);
        let (batch, after) = rest.split_at(n);
        (rest, rest_lengths) = (after, &rest_lengths[n..]);
        // The error is that of the first file, whichever was read first.
        let read: Vec<Result<Rows>> = batch
            .par_iter()
            .map(|file| rows(folder, info, file, &|| before(file), wanted, &budget, beyond))
            .collect();
        for found in read {
            append(found?, wanted, &mut tables);
            if in_order {
                put(std::mem::replace(&mut tables, empty()))?;
            }
        }
        if in_order && !in_memory {
            budget.renew();
        }
    }
    if in_order {
        return Ok(());
    }
    for (table, feature) in tables.iter_mut().zip(wanted) {
        *table = sorted(table, feature.width, &order);
    }
    put(tables)
}

/// Appends the rows of a file, episode by episode.
fn append(found: Rows, wanted: &[Wanted], tables: &mut [Vec<f32>]) {
    let runs: Vec<_> = found.episodes.into_iter().flatten().collect();
    let in_order = runs.windows(2).all(|pair| pair[0].end == pair[1].start);
    for ((from, feature), to) in found.tables.into_iter().zip(wanted).zip(tables) {
        if in_order && to.is_empty() {
            *to = from;
        } else {
            for run in &runs {
                to.extend_from_slice(&from[run.start * feature.width..run.end * feature.width]);
            }
        }
    }
}

/// A table with its episodes in the order of their numbers.
fn sorted(table: &[f32], width: usize, order: &[(u32, usize)]) -> Vec<f32> {
    let mut start = 0;
    let mut pieces: Vec<(u32, &[f32])> = order
        .iter()
        .map(|&(number, length)| {
            let piece = &table[start..start + length * width];
            start += piece.len();
            (number, piece)
        })
        .collect();
    pieces.sort_by_key(|(number, _)| *number);
    pieces.into_iter().flat_map(|(_, piece)| piece).copied().collect()
}
