//! The file of results: one JSON line a run, appended when the run is whole.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use mcnn::{Error, Result, error::Kind};
use serde::{Deserialize, Serialize};

use super::plan::Settings;

/// One run and what came of it. Of a run that failed, what was known before it did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    pub settings: Settings,
    /// Fingerprint of the demonstrations.
    pub data: String,
    /// Fingerprint of the memories.
    pub memories: Option<String>,
    /// Fingerprint of the policy.
    pub policy: Option<String>,
    /// What the policy is called in the literature.
    pub name: Option<String>,
    /// Mean squared error over the last two-hundredth of the training.
    pub loss: Option<f64>,
    /// The same on the episodes held out.
    pub validation_loss: Option<f64>,
    /// lambda of the formula: a number or "inf".
    pub lambda: Option<mcnn::train::Lambda>,
    pub half_distance: Option<f32>,
    /// Each episode's return in the order of the seeds; null where the episode failed.
    pub returns: Vec<Option<f64>>,
    /// Mean returns of a random and of an expert policy, where the task has both.
    pub reference: Option<[f64; 2]>,
    /// The summary of the episodes, with the keys of `mcnn eval`.
    pub eval: Option<serde_json::Value>,
    pub seconds: f64,
    pub version: String,
    /// The whole message of what went wrong.
    pub error: Option<String>,
}

impl Line {
    /// The same for the same run: its settings and its data's contents.
    pub fn key(&self) -> (String, String) {
        (self.settings.key(), self.data.clone())
    }
}

/// Bytes of a line, at most: a million episodes fit, the most that a plan can ask for.
const LONGEST: u64 = 24 << 20;
/// Brackets in a line, at most. Some tens are usual; each can take a hundred times its text's memory.
const BRACKETS: usize = 10_000;

/// Reads whole results; of runs that are there twice (tried again) the last. A half-written last line is left out,
/// and the bytes up to there are given with the lines. Parsing a line takes at most about 1 GiB, the lines together a few times
/// the size of the file.
pub fn read(path: &Path, file: &File) -> Result<(Vec<Line>, u64)> {
    let mut from = BufReader::new(file);
    let mut whole = 0;
    let mut lines: Vec<Line> = Vec::new();
    let mut places = HashMap::new();
    let mut text = Vec::new();
    for i in 1.. {
        text.clear();
        let taken = from.by_ref().take(LONGEST).read_until(b'\n', &mut text);
        let length = taken.map_err(|e| Error::io("reading", path, &e))? as u64;
        let refuse = |found: String| {
            Error::new(Kind::File, "this is not a result of mcnn sweep")
                .at(format!("{}: line {i}", path.display()))
                .found(found)
                .next("take the line out, or name another file")
        };
        if text.pop() != Some(b'\n') {
            if length == LONGEST {
                return Err(refuse(format!("more than {LONGEST} bytes")));
            }
            break;
        }
        whole += length;
        if text.is_empty() {
            continue;
        }
        let brackets = text.iter().filter(|b| b"[{".contains(b)).count();
        if brackets > BRACKETS {
            return Err(refuse(format!("{brackets} brackets")));
        }
        let parsed = serde_json::from_slice(&text).and_then(|mut line: serde_json::Value| {
            mcnn::file::upgrade_names(&mut line); // results of earlier versions stand beside new ones
            serde_json::from_value(line)
        });
        let line: Line = parsed.map_err(|e| refuse(e.to_string()))?;
        match places.insert(line.key(), lines.len()) {
            Some(place) => {
                places.insert(line.key(), place);
                lines[place] = line;
            }
            None => lines.push(line),
        }
    }
    Ok((lines, whole))
}

/// The file of a sweep that runs: locked, so that two sweeps cannot write to it at once.
pub struct Results {
    path: PathBuf,
    file: Mutex<File>,
}

impl Results {
    /// Opens or makes the file, and reads the runs that are in it. What is half-written at its end is cut off, and
    /// `tell` hears of it.
    pub fn open(path: &Path, tell: &dyn Fn(&str)) -> Result<(Self, Vec<Line>)> {
        let io = |doing: &'static str| move |e: std::io::Error| Error::io(doing, path, &e);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io("opening"))?;
        if let Err(std::fs::TryLockError::WouldBlock) = file.try_lock() {
            return Err(Error::new(Kind::File, "another sweep is writing its results there")
                .at(path.display().to_string())
                .next("wait for it, or name another file"));
        }
        let (lines, whole) = read(path, &file)?;
        if file.metadata().map_err(io("reading"))?.len() > whole {
            tell(&format!("{}: the last line is half-written; its run is made again", path.display()));
            file.set_len(whole).map_err(io("writing"))?;
        }
        file.seek(SeekFrom::End(0)).map_err(io("writing"))?;
        Ok((Self { path: path.into(), file: Mutex::new(file) }, lines))
    }

    /// Appends a run and flushes it to the disk.
    pub fn append(&self, line: &Line) -> Result<()> {
        let text = serde_json::to_string(line).expect("a result is plain values") + "\n";
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(|e| Error::io("writing", &self.path, &e))
    }
}
