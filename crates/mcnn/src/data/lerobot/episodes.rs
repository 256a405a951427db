//! The list of episodes: `meta/episodes/*/*.parquet` in version 3, `meta/episodes.jsonl` before.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::info::{DataFile, Info};
use crate::{
    data::{
        Selection, json,
        parquet::{self, Budget, Column, Parquet, Values},
        regular,
        selection::no_such_key,
    },
    error::{Error, Kind, Result},
};

/// The most bytes of `episodes.jsonl`: a million episodes and more.
const MAX_BYTES: u64 = 256 << 20;

/// An episode.
#[derive(Debug)]
pub(super) struct Episode {
    pub number: u32,
    /// Texts of tasks, usually one.
    pub tasks: Vec<String>,
    /// Frames.
    pub length: u64,
    /// The data file, relative to the folder.
    pub file: String,
}

/// All episodes in the order of their numbers, and what a user should know of the list.
pub(super) fn episodes(
    folder: &Path,
    info: &Info,
    selection: &Selection,
) -> Result<(Vec<Episode>, Vec<String>)> {
    let mut notes = Vec::new();
    let mut found = match info.is_v3() {
        true => from_parquet(folder, info, selection, &mut notes)?,
        false => from_lines(folder, info, selection, &mut notes)?,
    };
    found.sort_by_key(|episode| episode.number); // files of merged datasets are in any order
    if let Some(twice) = found.windows(2).find(|pair| pair[0].number == pair[1].number) {
        return Err(Error::new(Kind::Data, "an episode that is listed twice")
            .at(if info.is_v3() { "meta/episodes" } else { LINES })
            .found(format!("episode {}", twice[0].number)));
    }
    if let Some(total) = info.total_episodes.filter(|&total| total > found.len() as u64) {
        notes.push(format!(
            "info.json counts {total} episodes, and {} are listed: the recording was probably stopped before it was complete",
            found.len()
        ));
    }
    Ok((found, notes))
}

const LINES: &str = "meta/episodes.jsonl";

#[derive(Deserialize)]
struct Line {
    episode_index: u32,
    #[serde(default)]
    tasks: Vec<String>,
    length: u64,
}

fn from_lines(
    folder: &Path,
    info: &Info,
    selection: &Selection,
    notes: &mut Vec<String>,
) -> Result<Vec<Episode>> {
    let text = json::text(&folder.join(LINES), MAX_BYTES).map_err(|e| e.within(LINES))?;
    let lines: Vec<(usize, &str)> =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).collect();
    let mut found = Vec::new();
    for (k, (i, line)) in lines.iter().enumerate() {
        let Line { episode_index: number, tasks, length } = match json::parse(line) {
            Ok(line) => line,
            Err(_) if selection.whole && k > 0 && k + 1 == lines.len() => {
                notes.push(format!("{LINES}: the last line is incomplete, and is left out"));
                break;
            }
            Err(e) => return Err(e.within(format!("{LINES}, line {}", i + 1))),
        };
        let file = info.data_file(DataFile::Own { episode: number.into() })?;
        found.push(Episode { number, tasks, length, file });
    }
    Ok(found)
}

/// The files that list the episodes.
pub(super) fn lists(folder: &Path, info: &Info) -> Result<Vec<PathBuf>> {
    if info.is_v3() { files(folder) } else { Ok(vec![folder.join(LINES)]) }
}

/// The files of `meta/episodes`, sorted by their paths.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let inside = |path: &Path| -> Result<Vec<PathBuf>> {
        let io = |e| Error::io("reading", path, &e);
        let mut found = std::fs::read_dir(path)
            .map_err(io)?
            .map(|entry| Ok(entry.map_err(io)?.path()))
            .collect::<Result<Vec<PathBuf>>>()?;
        found.sort();
        Ok(found)
    };
    let top = folder.join("meta/episodes");
    let mut files = Vec::new();
    if top.is_dir() {
        for chunk in inside(&top)?.into_iter().filter(|path| path.is_dir()) {
            let parquet = |path: &PathBuf| path.extension().is_some_and(|end| end == "parquet");
            files.extend(inside(&chunk)?.into_iter().filter(parquet));
        }
    }
    if files.is_empty() {
        return Err(Error::new(Kind::Data, "a LeRobot dataset without a list of its episodes")
            .at("meta/episodes")
            .expected("Parquet files such as meta/episodes/chunk-000/file-000.parquet")
            .found("none")
            .next("the recording was stopped before its first episode was saved, or meta was not fetched"));
    }
    Ok(files)
}

fn from_parquet(
    folder: &Path,
    info: &Info,
    selection: &Selection,
    notes: &mut Vec<String>,
) -> Result<Vec<Episode>> {
    let files = files(folder)?;
    let lengths = files.iter().map(|file| regular(file)).collect::<Result<Vec<u64>>>()?;
    let budget = Budget::new(lengths.iter().sum());
    let (mut found, mut unfinished) = (Vec::new(), Vec::new());
    for (file, length) in files.iter().zip(lengths) {
        let name = file.strip_prefix(folder).unwrap_or(file).display().to_string();
        match Parquet::open(file, length).and_then(|file| rows(&file, info, &budget)) {
            Ok(rows) => found.extend(rows),
            Err(e) if parquet::is_unfinished(&e) => unfinished.push(name),
            Err(e) => return Err(e.within(name)),
        }
    }
    let Some(name) = unfinished.first() else { return Ok(found) };
    let known: HashSet<u32> = found.iter().map(|episode| episode.number).collect();
    let whole = (0..).take_while(|number| known.contains(number)).count();
    let wanted = selection.episodes.iter().map(|range| *range.end() as usize).max();
    if wanted.is_some_and(|last| last < whole) {
        notes.push(format!("{name} is unfinished; its episodes are not known"));
        return Ok(found);
    }
    if selection.whole && whole > 0 {
        found.retain(|episode| (episode.number as usize) < whole);
        notes.push(format!("{name} is unfinished and left out; {whole} whole episodes precede it"));
        return Ok(found);
    }
    Err(unfinished_file(name, whole))
}

/// The error of a file that was never finished, with `whole` episodes before it.
pub(super) fn unfinished_file(name: &str, whole: usize) -> Error {
    Error::new(Kind::File, "an unfinished file: the recording was stopped before it was complete")
        .at(name)
        .expected("a Parquet file with its footer")
        .found(format!("no footer; {whole} whole episodes precede the file"))
        .next(match whole {
            0 => "record the episodes again".into(),
            n => format!("--whole reads those before it, as --episodes 0-{} does", n - 1),
        })
}

/// The episodes of a file.
fn rows(file: &Parquet, info: &Info, budget: &Budget) -> Result<Vec<Episode>> {
    let names = ["episode_index", "length", "data/chunk_index", "data/file_index"];
    let mut leaves = names.iter().map(|name| leaf(file, name)).collect::<Result<Vec<usize>>>()?;
    leaves.extend(leaf(file, "tasks"));
    let mut found = Vec::new();
    for group in 0..file.groups() {
        let columns = file.read(group, &leaves, budget)?;
        let integers = |i: usize| counts(&columns[i], names[i]);
        let (numbers, lengths, chunks, indices) = (integers(0)?, integers(1)?, integers(2)?, integers(3)?);
        let mut tasks = columns.get(4).map(texts).unwrap_or_default().into_iter();
        for i in 0..numbers.len() {
            let number = u32::try_from(numbers[i])
                .map_err(|_| Error::new(Kind::Data, "a number of an episode beyond 32 bits").at(names[0]))?;
            let file = info.data_file(DataFile::Shared { chunk: chunks[i], file: indices[i] })?;
            let tasks = tasks.next().unwrap_or_default();
            found.push(Episode { number, tasks, length: lengths[i], file });
        }
    }
    Ok(found)
}

/// The column of this name.
fn leaf(file: &Parquet, name: &str) -> Result<usize> {
    let all = file.leaves();
    all.iter().position(|leaf| leaf.path[0] == name).ok_or_else(|| {
        let there: Vec<String> = all.iter().map(|leaf| leaf.path[0].clone()).collect();
        no_such_key(name, &there)
    })
}

/// The values of a column of integers from 0 on.
fn counts(column: &Column, name: &str) -> Result<Vec<u64>> {
    column.width().map_err(|e| e.within(name))?;
    let Values::Integers(values) = &column.values else {
        return Err(Error::new(Kind::Data, "a column of another type").at(name).expected("integers"));
    };
    match values.iter().find(|&&v| v < 0) {
        Some(v) => Err(Error::new(Kind::Data, "a negative number").at(name).found(v.to_string())),
        None => Ok(values.iter().map(|&v| v as u64).collect()),
    }
}

/// Where an episode is in a video: the file relative to the folder, and the time at which it starts there, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct VideoPlace {
    pub file: String,
    pub from: f64,
}

/// Where each episode is in the videos of a camera.
pub(super) fn video_places(folder: &Path, info: &Info, key: &str) -> Result<HashMap<u32, VideoPlace>> {
    let names = ["chunk_index", "file_index", "from_timestamp"].map(|end| format!("videos/{key}/{end}"));
    let files = files(folder)?;
    let lengths = files.iter().map(|file| regular(file)).collect::<Result<Vec<u64>>>()?;
    let budget = Budget::new(lengths.iter().sum());
    let mut found = HashMap::new();
    for (path, length) in files.iter().zip(lengths) {
        let named = |e: Error| e.within(path.strip_prefix(folder).unwrap_or(path).display());
        let file = match Parquet::open(path, length) {
            Err(e) if parquet::is_unfinished(&e) => continue, // [`episodes`] has decided what of it
            opened => opened.map_err(named)?,
        };
        let columns = std::iter::once("episode_index").chain(names.iter().map(String::as_str));
        let leaves = columns.map(|name| leaf(&file, name)).collect::<Result<Vec<usize>>>().map_err(named)?;
        for group in 0..file.groups() {
            let columns = file.read(group, &leaves, &budget).map_err(named)?;
            let numbers = counts(&columns[0], "episode_index").map_err(named)?;
            let not_encoded = |e: Error| {
                named(e.next("the videos were not encoded when the recording stopped: finish it with LeRobot, or record again"))
            };
            let chunks = counts(&columns[1], &names[0]).map_err(not_encoded)?;
            let files = counts(&columns[2], &names[1]).map_err(not_encoded)?;
            columns[3].width().map_err(|e| not_encoded(e.within(&names[2])))?;
            let from: Vec<f64> = match &columns[3].values {
                Values::F64(values) => values.clone(),
                Values::F32(values) => values.iter().map(|&v| v.into()).collect(),
                Values::Integers(values) => values.iter().map(|&v| v as f64).collect(),
                Values::Texts(_) => {
                    return Err(named(
                        Error::new(Kind::Data, "a column of another type").at(&*names[2]).expected("floats"),
                    ));
                }
            };
            for (((number, chunk), file), from) in numbers.iter().zip(chunks).zip(files).zip(from) {
                let Ok(number) = u32::try_from(*number) else { continue };
                let file = info.video_file(key, DataFile::Shared { chunk, file })?;
                found.insert(number, VideoPlace { file, from });
            }
        }
    }
    Ok(found)
}

/// The texts of each row.
fn texts(column: &Column) -> Vec<Vec<String>> {
    let Values::Texts(texts) = &column.values else { return Vec::new() };
    let mut all = (0..texts.len()).map(|i| String::from_utf8_lossy(texts.get(i)).into_owned());
    match column.lengths.is_empty() {
        true if column.first_null.is_none() => all.map(|text| vec![text]).collect(),
        true => Vec::new(),
        false => column.lengths.iter().map(|&n| all.by_ref().take(n as usize).collect()).collect(),
    }
}
