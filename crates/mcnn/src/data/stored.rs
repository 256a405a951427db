//! Recorded episodes in a file beside the output, as they end: nothing is lost with the process, and memory does not grow with the
//! number of episodes. At the end the output is written from them.
//!
//! The file has a line that identifies the recording. Each episode follows as a line of JSON and its columns, one after another, as
//! little-endian numbers.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    ActionRange, DimensionNames, FrameFile, Parts, Recording,
    column::{Column, Numbers, Ranges},
    columns, hdf5_write, lerobot, write,
};
use crate::error::{Error, Kind, Result};

/// The most bytes of a line.
const MAX_LINE: u64 = 1 << 16;
/// The columns, in their order in the file. Those from the fourth on are tables of a group `infos`.
const COLUMNS: [&str; 6] = ["observations", "actions", "rewards", "qpos", "qvel", "action_mean"];
const FIRST_INFO: usize = 3;

/// What is known of a stored episode, beside its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredEpisode {
    /// Its number in the run.
    pub number: usize,
    /// Number of steps.
    pub steps: usize,
    /// The environment's seed.
    pub seed: u64,
    /// Success by the task's own criterion, where it has one.
    pub success: Option<bool>,
    /// Whether the task terminated it, rather than the horizon truncating it.
    pub terminal: bool,
    /// Sum of the rewards, as the bits of an f64: JSON may round numbers.
    ret: u64,
    widths: [usize; COLUMNS.len()], // numbers of a row of each column; 0 of a missing one
}

impl StoredEpisode {
    /// Sum of the rewards.
    pub fn ret(&self) -> f64 {
        f64::from_bits(self.ret)
    }
}

/// The result of an episode that is to be stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpisodeResult {
    /// Its number in the run.
    pub number: usize,
    /// The environment's seed.
    pub seed: u64,
    /// Success by the task's own criterion, where it has one.
    pub success: Option<bool>,
    /// Whether the task terminated it, rather than the horizon truncating it.
    pub terminal: bool,
    /// Sum of the rewards.
    pub ret: f64,
}

/// The steps of an episode that is to be stored.
#[derive(Debug, Clone, Default)]
pub struct StoredSteps {
    /// Observations, actions and rewards. The states are empty, and `n_obs` does not count, if the observations are frames.
    pub parts: Parts,
    /// Frames, `[n_steps, height, width, 3]`; empty if the observations are states.
    pub frames: Vec<u8>,
    /// Joint positions before each action, as (width, rows); `(0, [])` where the task does not report them.
    pub qpos: (usize, Vec<f32>),
    /// Joint velocities, likewise.
    pub qvel: (usize, Vec<f32>),
    /// The actions before exploration noise; empty where there is no noise.
    pub intended: Vec<f32>,
}

/// A file of recorded episodes.
#[derive(Debug)]
pub struct StoredEpisodes {
    path: PathBuf,
    file: File,
    end: u64,
    frame: Option<[usize; 2]>,
    episodes: BTreeMap<usize, (StoredEpisode, u64)>, // by number, with the place of the columns
}

impl StoredEpisodes {
    /// Opens the file of an interrupted recording, or creates it. `identity` is a line that says everything the episodes depend on.
    /// `frame`: height and width, if the observations are frames.
    ///
    /// # Errors
    /// If the file cannot be read or written, is damaged, or is of another recording. An episode that was cut off is removed.
    pub fn open(path: &Path, identity: &str, frame: Option<[usize; 2]>) -> Result<Self> {
        let io = |e: io::Error| Error::io("writing", path, &e);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let head = format!("{identity}\n");
        let mut from = BufReader::new(&file);
        let mut line = Vec::new();
        from.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(io)?;
        let mut found = Self {
            path: path.to_owned(),
            file: file.try_clone().map_err(io)?,
            end: 0,
            frame,
            episodes: BTreeMap::new(),
        };
        if line.last() != Some(&b'\n') && (line.len() as u64) < MAX_LINE {
            file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(io)?; // it was cut off at once
            file.write_all(head.as_bytes()).map_err(io)?;
            found.end = head.len() as u64;
            return Ok(found);
        }
        if line != head.as_bytes() {
            return Err(Error::new(Kind::Mismatch, "an interrupted recording was of something else")
                .at(path.display().to_string())
                .expected(identity)
                .found(String::from_utf8_lossy(&line).trim_end().chars().take(600).collect::<String>())
                .next("--force begins anew; or give what that recording was given"));
        }
        found.end = head.len() as u64;
        loop {
            line.clear();
            from.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(io)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            let damaged = |what: String| {
                Error::new(Kind::File, "the file of an interrupted recording is damaged")
                    .at(path.display().to_string())
                    .found(what)
                    .next("--force begins anew")
            };
            let episode: StoredEpisode = serde_json::from_slice(&line).map_err(|e| damaged(e.to_string()))?;
            let start = found.end + line.len() as u64;
            let bytes = found.bytes(&episode).ok_or_else(|| damaged("an episode without end".into()))?;
            if start.checked_add(bytes).is_none_or(|end| end > length) {
                break;
            }
            if let Some((first, _)) = found.episodes.values().next()
                && first.widths != episode.widths
            {
                return Err(damaged(format!(
                    "rows of {:?} and of {:?} numbers",
                    first.widths, episode.widths
                )));
            }
            from.seek_relative(bytes as i64).map_err(io)?;
            found.end = start + bytes;
            found.episodes.insert(episode.number, (episode, start));
        }
        file.set_len(found.end).and_then(|()| file.seek(SeekFrom::Start(found.end))).map_err(io)?;
        Ok(found)
    }

    /// The episodes, by their numbers.
    pub fn episodes(&self) -> impl Iterator<Item = &StoredEpisode> {
        self.episodes.values().map(|(episode, _)| episode)
    }

    /// Whether the episode with this number is stored.
    pub fn contains(&self, number: usize) -> bool {
        self.episodes.contains_key(&number)
    }

    /// Leaves out the episodes from this number on.
    pub fn truncate(&mut self, count: usize) {
        self.episodes.split_off(&count);
    }

    /// Appends an episode.
    ///
    /// # Errors
    /// If the steps are not valid demonstrations ([`Parts::check_values`]), have other columns than those before, or cannot be
    /// written.
    pub fn append(&mut self, result: EpisodeResult, steps: StoredSteps) -> Result<()> {
        let EpisodeResult { number, seed, success, terminal, ret } = result;
        let StoredSteps { parts, frames, qpos, qvel, intended } = steps;
        let (parts, n_obs) = match self.frame {
            Some([height, width]) => {
                (FrameFile::check_labels(&parts, ActionRange::Refuse)?, height * width * 3)
            }
            None => {
                let n_obs = parts.n_obs;
                (parts.check_values().map(|()| parts)?, n_obs)
            }
        };
        let n = parts.actions.len() / parts.n_act;
        let rewards = parts.rewards.unwrap_or_default();
        let columns: [(&[f32], usize); COLUMNS.len()] = [
            (&parts.states, n_obs),
            (&parts.actions, parts.n_act),
            (&rewards, 1),
            (&qpos.1, qpos.0),
            (&qvel.1, qvel.0),
            (&intended, if intended.is_empty() { 0 } else { parts.n_act }),
        ];
        let widths = columns.map(|(_, width)| width);
        let episode = StoredEpisode { number, steps: n, seed, success, terminal, ret: ret.to_bits(), widths };
        let expected = self.episodes().next().map_or(widths, |first| first.widths);
        let is_whole = |k: usize| {
            let found = if k == 0 && self.frame.is_some() { frames.len() } else { columns[k].0.len() };
            found == n * widths[k]
        };
        if widths != expected || !(0..COLUMNS.len()).all(is_whole) {
            return Err(Error::new(Kind::Data, "an episode with other columns than those before")
                .at(format!("episode seed {seed}"))
                .expected(format!("{n} rows of {expected:?} numbers"))
                .found(format!("rows of {widths:?}")));
        }
        let mut bytes = serde_json::to_vec(&episode).expect("plain values");
        bytes.push(b'\n');
        let start = self.end + bytes.len() as u64;
        bytes.extend(&frames);
        for (values, _) in columns {
            bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        }
        self.file.write_all(&bytes).map_err(|e| Error::io("writing", &self.path, &e))?;
        self.end += bytes.len() as u64;
        self.episodes.insert(number, (episode, start));
        Ok(())
    }

    /// The content hash of the episodes: that of [`Demonstrations`](super::Demonstrations) or
    /// [`FrameDemonstrations`](super::FrameDemonstrations) with the same steps.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn fingerprint(&self) -> Result<String> {
        let ends = self.ends();
        let widths = self.widths();
        let first = self.frame.map_or(vec![widths[0]], Vec::from);
        let mut hash = Sha256::new();
        for n in first.into_iter().chain([widths[1], ends.len()]).chain(ends) {
            hash.update((n as u64).to_le_bytes());
        }
        let mut buffer = vec![0; 1 << 16];
        for k in [0, 1] {
            let mut rows = self.column(k)?.rows;
            loop {
                match rows.read(&mut buffer).map_err(|e| Error::io("reading", &self.path, &e))? {
                    0 => break,
                    n => hash.update(&buffer[..n]),
                }
            }
        }
        Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
    }

    /// Writes the episodes, in the order of their numbers, as [`write_hdf5`](super::write_hdf5) does, with these notes.
    ///
    /// # Errors
    /// If there are none, and of the file system.
    pub fn write_hdf5(&self, path: &Path, notes: Vec<(&'static str, String)>) -> Result<()> {
        let widths = self.widths();
        let infos = (FIRST_INFO..COLUMNS.len()).filter(|&k| widths[k] > 0);
        let columns = hdf5_write::Columns {
            observations: self.column(0)?,
            actions: self.column(1)?,
            rewards: Some(self.column(2)?),
            infos: infos.map(|k| Ok((COLUMNS[k], self.column(k)?))).collect::<Result<_>>()?,
        };
        let recording = Recording {
            terminals: self.episodes().map(|e| e.terminal).collect(),
            infos: Vec::new(),
            episodes: self.episodes().map(|e| (e.seed, e.success)).collect(),
            names: DimensionNames::default(),
            notes,
        };
        hdf5_write::write_columns(path, columns, &self.ends(), &recording)
    }

    /// Writes the episodes, in the order of their numbers, as [`write_npz`](super::write_npz) does.
    ///
    /// # Errors
    /// If there are none, and of the file system.
    pub fn write_npz(&self, path: &Path) -> Result<()> {
        write::write_columns(path, self.columns(&self.ends())?, &DimensionNames::default(), None)
    }

    /// The columns of the episodes, which end at `ends`.
    fn columns<'a>(&self, ends: &'a [usize]) -> Result<write::Columns<'a>> {
        Ok(write::Columns {
            observations: self.column(0)?,
            frame: self.frame,
            actions: self.column(1)?,
            rewards: Some(self.column(2)?),
            ends,
        })
    }

    /// Writes the episodes, in the order of their numbers, as columns that are read piece by piece ([`stream`](super::stream)).
    ///
    /// # Errors
    /// Errors of the file system.
    ///
    /// # Panics
    /// If the observations are camera frames.
    pub fn write_columns(&self, path: &Path, fps: Option<f64>, task: &str) -> Result<()> {
        assert!(self.frame.is_none(), "columns have no frames");
        let ends = self.ends();
        columns::write(
            path,
            columns::Written {
                columns: self.columns(&ends)?,
                names: &DimensionNames::default(),
                encoding: None,
                tasks: &vec![task.to_owned(); ends.len()],
                fps,
            },
        )
    }

    /// Writes the episodes, in the order of their numbers, as a folder of LeRobot, version 3.0.
    ///
    /// # Errors
    /// Episodes of camera frames, a frame rate that is not above 0, and errors of the file system.
    pub fn write_lerobot(&self, path: &Path, fps: f64, task: &str) -> Result<()> {
        let ends = self.ends();
        lerobot::write(
            path,
            lerobot::Written {
                columns: self.columns(&ends)?,
                names: &DimensionNames::default(),
                tasks: &vec![task.to_owned(); ends.len()],
                fps,
            },
        )
    }

    /// Removes the file.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|e| Error::io("removing", &self.path, &e))
    }

    /// For each episode, the number of steps up to and with it.
    fn ends(&self) -> Vec<usize> {
        let step = |end: &mut usize, e: &StoredEpisode| {
            *end += e.steps;
            Some(*end)
        };
        self.episodes().scan(0, step).collect()
    }

    fn widths(&self) -> [usize; COLUMNS.len()] {
        self.episodes().next().map_or([0; COLUMNS.len()], |e| e.widths)
    }

    fn numbers(&self, column: usize) -> Numbers {
        if column == 0 && self.frame.is_some() { Numbers::U8 } else { Numbers::F32 }
    }

    /// Bytes of the columns of an episode, as its line says; `None` if that is no number.
    fn bytes(&self, episode: &StoredEpisode) -> Option<u64> {
        let row = |k: usize| episode.widths[k].checked_mul(self.numbers(k).size());
        let row = (0..COLUMNS.len()).try_fold(0_usize, |sum, k| sum.checked_add(row(k)?))?;
        i64::try_from(row.checked_mul(episode.steps)?).ok().map(|bytes| bytes as u64)
    }

    /// A column of all episodes.
    fn column(&self, k: usize) -> Result<Column<'static>> {
        let file = File::open(&self.path).map_err(|e| Error::io("reading", &self.path, &e))?;
        let ranges = self.episodes.values().map(|(episode, start)| {
            let bytes = |k: usize| (episode.steps * episode.widths[k] * self.numbers(k).size()) as u64;
            (start + (0..k).map(bytes).sum::<u64>(), bytes(k))
        });
        let ranges: Vec<_> = ranges.collect();
        let rows = Box::new(Ranges::new(file, ranges));
        Ok(Column { numbers: self.numbers(k), width: self.widths()[k], rows })
    }
}
