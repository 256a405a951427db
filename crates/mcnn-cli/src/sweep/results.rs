//! The file of results: one line of JSON per run, appended when the run is complete.

use std::{
    collections::HashMap,
    fs::File,
    hash::Hash,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
};

use mcnn::{Error, Result, data::regular, error::Kind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    record::{PeerLine, Record},
    settings::Settings,
};
use crate::json_lines::{JsonLines, Wording};

/// One run and its results. A failed run has the results from before the failure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    pub settings: Settings,
    /// Fingerprint (content hash) of the demonstrations.
    pub data: String,
    /// Fingerprint of the memories.
    pub memories: Option<String>,
    /// Fingerprint of the policy.
    pub policy: Option<String>,
    /// The method, as the literature calls it.
    pub name: Option<String>,
    /// Training loss, as the mean over the last 1/200 of the steps.
    pub loss: Option<f64>,
    /// Validation loss.
    pub validation_loss: Option<f64>,
    /// A number or "inf".
    pub lambda: Option<mcnn::train::Lambda>,
    pub half_distance: Option<f32>,
    /// Returns of the episodes in the order of their seeds; null where an episode failed.
    pub returns: Vec<Option<f64>>,
    /// Mean returns of a random policy and of an expert, where the task has both.
    pub reference: Option<[f64; 2]>,
    /// The summary of the episodes, with the keys of `mcnn eval`.
    pub eval: Option<Value>,
    /// Episodes of the demonstrations. Missing in results of earlier versions, as the next key.
    #[serde(default)]
    pub demonstrations: Option<usize>,
    /// Of training the networks, also where another run did it, and of selecting the memories if this run did it.
    #[serde(default)]
    pub training_seconds: Option<f64>,
    /// Of the whole run: the training and the episodes.
    pub seconds: f64,
    pub version: String,
    /// The complete error message of a failed run.
    pub error: Option<String>,
}

impl Line {
    /// Identifies the run: its settings and the content hash of its data.
    pub fn key(&self) -> (String, String) {
        (self.settings.key(), self.data.clone())
    }
}

/// Limit of a line, in bytes. The maximum of a plan, a million episodes, fits.
const MAX_LINE_BYTES: u64 = 24 << 20;
/// Limit of the brackets in a line. Some tens are usual; parsed, a bracket can take a hundred times the memory of its text.
const MAX_BRACKETS: usize = 10_000;
/// Bytes of a line of version 1, at most: some 200,000 episodes.
const LONGEST_OF_VERSION_1: usize = 4 << 20;

/// Reads the complete lines, and their length in bytes, which excludes a half-written last line. Of a run with several lines (tried
/// again), the last one counts. Parsing a line takes at most about 1 GiB, all lines together a few times the size of the file.
///
/// # Errors
/// If the file cannot be read, or a line is not a result.
pub fn read(path: &Path, file: &File) -> Result<(Vec<Line>, u64)> {
    read_as(path, file, parse, Line::key, |line, _| line)
}

/// As [`read`], each line with its text. (A number that is parsed and written again may differ in its last digit.)
///
/// # Errors
/// As [`read`].
pub fn read_texts(path: &Path, file: &File) -> Result<(Vec<(Line, String)>, u64)> {
    read_as(path, file, parse, Line::key, |line, text| (line, String::from_utf8_lossy(text).into_owned()))
}

/// As [`read`], of a file that may also have results of peers (`bench/peers`), as records for the table.
///
/// # Errors
/// As [`read`].
pub fn read_records(path: &Path, file: &File) -> Result<Vec<Record>> {
    let parse_record = |text: &[u8]| match PeerLine::is_in(text) {
        true => serde_json::from_slice::<PeerLine>(text).map(Record::from),
        false => parse(text).map(Record::from),
    };
    Ok(read_as(path, file, parse_record, |record| record.key.clone(), |record, _| record)?.0)
}

fn read_as<L, K: Eq + Hash, T>(
    path: &Path,
    file: &File,
    parse: impl Fn(&[u8]) -> serde_json::Result<L>,
    key: impl Fn(&L) -> K,
    make: impl Fn(L, &[u8]) -> T,
) -> Result<(Vec<T>, u64)> {
    let mut from = BufReader::new(file);
    let mut complete = 0;
    let mut lines: Vec<T> = Vec::new();
    let mut places = HashMap::new();
    let mut text = Vec::new();
    for i in 1.. {
        text.clear();
        let taken = from.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut text);
        let length = taken.map_err(|e| Error::io("reading", path, &e))? as u64;
        let refuse = |found: String| {
            Error::new(Kind::File, "this is not a result of mcnn sweep or of bench/peers")
                .at(format!("{}: line {i}", path.display()))
                .found(found)
                .next("take the line out, or name another file")
        };
        if text.pop() != Some(b'\n') {
            if length == MAX_LINE_BYTES {
                return Err(refuse(format!("more than {MAX_LINE_BYTES} bytes")));
            }
            break;
        }
        complete += length;
        if text.is_empty() {
            continue;
        }
        let brackets = text.iter().filter(|b| b"[{".contains(b)).count();
        if brackets > MAX_BRACKETS {
            return Err(refuse(format!("{brackets} brackets")));
        }
        let line = parse(&text).map_err(|e| refuse(e.to_string()))?;
        let next = lines.len();
        let place = *places.entry(key(&line)).or_insert(next);
        let line = make(line, &text);
        if place == next {
            lines.push(line);
        } else {
            lines[place] = line;
        }
    }
    Ok((lines, complete))
}

/// Parses a line with the present names or, because a sweep may continue such a file, with those of version 1.
fn parse(text: &[u8]) -> serde_json::Result<Line> {
    serde_json::from_slice(text).or_else(|error| {
        // A tree of values takes many times the memory of its text, so a long line is not parsed into one.
        if text.len() > LONGEST_OF_VERSION_1 {
            return Err(error);
        }
        let mut value: Value = serde_json::from_slice(text)?;
        mcnn::file::upgrade_names(&mut value);
        serde_json::from_value(value)
    })
}

/// The file of a running sweep.
pub struct Results(JsonLines);

impl Results {
    /// Opens or creates the file and reads the runs in it. A half-written line at its end is removed, with a message to
    /// `tell`.
    ///
    /// # Errors
    /// If the file cannot be opened or read, is no regular file, or another sweep has it open.
    pub fn open(path: &Path, tell: &dyn Fn(&str)) -> Result<(Self, Vec<Line>)> {
        if path.exists() {
            regular(path)?;
        }
        let wording = Wording {
            is_locked: "another sweep is writing its results there",
            next: "wait for it, or name another file",
            half_written: "its run will be made again",
        };
        let (file, lines) = JsonLines::open(path, &wording, |file| read(path, file), tell)?;
        Ok((Self(file), lines))
    }

    /// Appends a run and flushes it to the disk.
    pub fn append(&self, line: &Line) -> Result<()> {
        self.0.append(line)
    }

    /// Appends a run by the text of its line.
    pub fn append_text(&self, line: &str) -> Result<()> {
        self.0.append_text(line)
    }
}
