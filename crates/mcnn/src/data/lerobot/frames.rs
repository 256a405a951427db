//! The data files: the values of the features wanted, of the episodes wanted.

use std::{collections::HashMap, ops::Range, path::Path};

use rayon::prelude::*;

use super::{
    episodes::{Episode, unfinished_file},
    info::Info,
};
use crate::{
    data::{
        number::{Beyond, beyond},
        parquet::{self, Budget, Column, Parquet, Values},
        regular,
    },
    error::{Error, Kind, Result},
};

/// A feature to read: its name and its values in a step.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub key: String,
    pub width: usize,
}

/// The rows of a data file.
#[derive(Debug)]
pub(super) struct Rows {
    /// The values of each feature wanted, row by row.
    pub tables: Vec<Vec<f32>>,
    /// The rows of each episode, in the order of the episodes.
    pub episodes: Vec<Vec<Range<usize>>>,
}

/// Reads the rows of `episodes`, which are in one file, relative to `folder`. `before` gives the number of episodes before the
/// first of the file.
pub(super) fn rows(
    folder: &Path,
    info: &Info,
    episodes: &[&Episode],
    before: &dyn Fn() -> usize,
    wanted: &[Wanted],
    budget: &Budget,
    cell: &Beyond,
) -> Result<Rows> {
    let name = &*episodes[0].file;
    let path = folder.join(name);
    if !path.exists() {
        return Err(Error::new(Kind::File, "a data file that is missing")
            .at(name)
            .expected(format!("{} episodes, from {}", episodes.len(), episodes[0].number))
            .next("fetch the whole dataset (hf download --repo-type dataset OWNER/NAME --local-dir FOLDER), or name other episodes"));
    }
    let file = match regular(&path).and_then(|length| Parquet::open(&path, length)) {
        Ok(file) => file,
        Err(e) if parquet::is_unfinished(&e) => return Err(unfinished_file(name, before())),
        Err(e) => return Err(e.within(name)),
    };
    of_file(&file, info, episodes, wanted, budget, cell).map_err(|e| e.within(name))
}

fn of_file(
    file: &Parquet,
    info: &Info,
    episodes: &[&Episode],
    wanted: &[Wanted],
    budget: &Budget,
    cell: &Beyond,
) -> Result<Rows> {
    let places: HashMap<i64, usize> =
        episodes.iter().enumerate().map(|(i, episode)| (episode.number.into(), i)).collect();
    let labels = [leaf(file, "episode_index")?, leaf(file, "frame_index")?];
    let leaves = wanted.iter().map(|feature| leaf(file, &feature.key)).collect::<Result<Vec<usize>>>()?;
    let steps: u64 = episodes.iter().map(|episode| episode.length).fold(0, u64::saturating_add);
    let mut tables: Vec<Vec<f32>> = wanted
        .iter()
        .map(|feature| {
            // Only a hint: the lengths are those of the list of episodes, which may be wrong.
            let mut table = Vec::new();
            let values = steps.saturating_mul(feature.width as u64);
            if budget.check(values.saturating_mul(4 * wanted.len() as u64)).is_ok() {
                let _ = table.try_reserve_exact(values as usize);
            }
            table
        })
        .collect();
    let mut found = Vec::new();
    let groups: Vec<usize> = (0..file.groups()).collect();
    // One group for each thread at a time, which limits the memory beside the tables.
    for batch in groups.chunks(rayon::current_num_threads().max(1)) {
        let read = |&group| of_group(file, group, [&labels, &leaves], &places, wanted, budget);
        let read: Vec<Result<GroupRows>> = batch.par_iter().map(read).collect();
        for group in read {
            let group = group?;
            if let Some(e) = group.beyond {
                let _ = cell.set(e);
            }
            for ((values, feature), table) in group.tables.into_iter().zip(wanted).zip(&mut tables) {
                keep(&values, feature.width, &group.kept, table);
            }
            found.extend(group.found);
        }
    }
    let episodes = runs(info, episodes, &found)?;
    Ok(Rows { tables, episodes })
}

/// The rows of a row group.
#[derive(Default)]
struct GroupRows {
    /// The values of each feature wanted; none if no row is kept.
    tables: Vec<Vec<f32>>,
    /// Whether each row is kept.
    kept: Vec<bool>,
    /// Of each row kept: the episode's place, and the frame.
    found: Vec<(usize, i64)>,
    /// The error of the first value that 32 bits do not hold.
    beyond: Option<Error>,
}

/// Reads a row group. `leaves` are the columns of episode and frame, and those wanted.
fn of_group(
    file: &Parquet,
    group: usize,
    [labels, leaves]: [&[usize]; 2],
    places: &HashMap<i64, usize>,
    wanted: &[Wanted],
    budget: &Budget,
) -> Result<GroupRows> {
    let columns = file.read(group, labels, budget)?;
    let (episode, frame) = (integers(&columns[0], "episode_index")?, integers(&columns[1], "frame_index")?);
    if episode.len() != frame.len() {
        return Err(Error::new(Kind::File, "columns with different numbers of rows")
            .at("episode_index and frame_index"));
    }
    budget.take(16 * episode.len() as u64)?;
    let place = |(number, frame): (&i64, &i64)| Some((*places.get(number)?, *frame));
    let found: Vec<(usize, i64)> = episode.iter().zip(frame).filter_map(place).collect();
    if found.is_empty() {
        return Ok(GroupRows::default());
    }
    let beyond = Beyond::new();
    let kept: Vec<bool> = episode.iter().map(|number| places.contains_key(number)).collect();
    let of_feature = |(column, feature): (Column, &Wanted)| {
        if column.rows != kept.len() {
            return Err(Error::new(Kind::File, "columns with different numbers of rows").at(&*feature.key));
        }
        floats(column, feature, &beyond)
    };
    let columns = file.read(group, leaves, budget)?;
    let tables = columns.into_iter().zip(wanted).map(of_feature).collect::<Result<_>>()?;
    Ok(GroupRows { tables, kept, found, beyond: beyond.into_inner() })
}

/// The only column of a feature.
pub(super) fn leaf(file: &Parquet, key: &str) -> Result<usize> {
    let all = file.leaves();
    let mut of_key = (0..all.len()).filter(|&i| all[i].path[0] == key);
    match (of_key.next(), of_key.next()) {
        (Some(leaf), None) => Ok(leaf),
        (Some(_), Some(_)) => {
            Err(Error::new(Kind::Data, "a column of several parts where one of numbers was expected")
                .at(key)
                .found(
                    all.iter()
                        .filter(|leaf| leaf.path[0] == key)
                        .map(|leaf| leaf.path.join("."))
                        .collect::<Vec<_>>()
                        .join(", "),
                ))
        }
        _ => {
            let mut there: Vec<&str> = all.iter().map(|leaf| &*leaf.path[0]).collect();
            there.dedup();
            there.truncate(20);
            Err(Error::new(Kind::Data, "a data file without a column that info.json lists")
                .at(key)
                .found(format!("the columns {}", there.join(", ")))
                .next("the file is of another dataset or version: write it again with LeRobot"))
        }
    }
}

pub(super) fn integers<'a>(column: &'a Column, key: &str) -> Result<&'a [i64]> {
    column.width().map_err(|e| e.within(key))?;
    match &column.values {
        Values::Integers(values) => Ok(values),
        _ => Err(Error::new(Kind::Data, "a column of another type").at(key).expected("integers")),
    }
}

/// The values of a column as 32-bit floats.
fn floats(column: Column, feature: &Wanted, cell: &Beyond) -> Result<Vec<f32>> {
    let named = |e: Error| e.within(&feature.key);
    let width = column.width().map_err(named)?;
    if width != feature.width && column.rows > 0 {
        return Err(Error::new(Kind::Data, "rows of another width than info.json says")
            .at(&*feature.key)
            .expected(format!("{} values", feature.width))
            .found(format!("{width}"))
            .next("the file is of another dataset or version: write it again with LeRobot"));
    }
    Ok(match column.values {
        Values::F32(values) => values,
        Values::F64(values) => {
            let narrow: Vec<f32> = values.iter().map(|&v| v as f32).collect();
            if narrow.iter().any(|v| v.is_infinite())
                && let Err(e) = beyond(&feature.key, &values, feature.width)
            {
                let _ = cell.set(e);
            }
            narrow
        }
        Values::Integers(values) => values.into_iter().map(|v| v as f32).collect(),
        Values::Texts(_) => {
            return Err(named(Error::new(Kind::Data, "a column of texts where numbers were expected")));
        }
    })
}

/// Appends the rows that are kept.
fn keep(values: &[f32], width: usize, kept: &[bool], to: &mut Vec<f32>) {
    if kept.iter().all(|kept| *kept) {
        to.extend_from_slice(values);
        return;
    }
    let rows = values.chunks_exact(width.max(1)).zip(kept).filter(|(_, kept)| **kept);
    rows.for_each(|(row, _)| to.extend_from_slice(row));
}

/// The rows of each episode; checks that they are its frames from the first to the last, in order.
pub(super) fn runs(
    info: &Info,
    episodes: &[&Episode],
    found: &[(usize, i64)],
) -> Result<Vec<Vec<Range<usize>>>> {
    let mut all: Vec<Vec<Range<usize>>> = vec![Vec::new(); episodes.len()];
    let mut counts = vec![0_u64; episodes.len()];
    for (row, &(place, frame)) in found.iter().enumerate() {
        if frame != counts[place] as i64 {
            let at = format!("episode {}, frame_index", episodes[place].number);
            return Err(Error::new(Kind::Data, "frames are missing or out of order")
                .at(at)
                .expected(counts[place].to_string())
                .found(frame.to_string())
                .next("leave the episode out with --episodes, or record it again"));
        }
        counts[place] += 1;
        match all[place].last_mut() {
            Some(last) if last.end == row => last.end = row + 1,
            _ => all[place].push(row..row + 1),
        }
    }
    let wrong = episodes.iter().zip(&counts).find(|(episode, count)| episode.length != **count);
    match wrong {
        None => Ok(all),
        Some((episode, count)) => {
            let list = if info.is_v3() { "meta/episodes" } else { "meta/episodes.jsonl" };
            Err(Error::new(Kind::Data, "an episode of another length than the list of episodes says")
                .at(format!("episode {}", episode.number))
                .expected(format!("{} frames, as in {list}", episode.length))
                .found(format!("{count} frames"))
                .next("leave it out with --episodes, or fetch the dataset again"))
        }
    }
}
