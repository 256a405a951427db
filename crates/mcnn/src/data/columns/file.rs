//! An open file of columns.

use std::{fs::File, io, path::Path, sync::OnceLock, time::SystemTime};

use super::{
    About,
    header::{Array, Header},
};
use crate::{
    data::{
        parts::check_ends,
        positioned::Positioned,
        read::{MORE_MEMORY, TOO_LARGE, limit},
        regular,
    },
    error::{Error, Kind, Result},
};

/// A column of rows of 32-bit floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where it begins in the file.
    pub start: u64,
    /// Values of a row.
    pub width: usize,
}

/// A file of columns whose header and episodes are checked. Its rows are read when they are asked for.
#[derive(Debug)]
pub struct ColumnsFile {
    file: Positioned,
    stamp: Stamp,
    failed: OnceLock<Error>,
    pub states: Place,
    pub actions: Place,
    pub rewards: Option<Place>,
    pub ends: Vec<usize>,
    pub episode_numbers: Vec<u32>,
    /// The text of each episode's task; empty if the file has none.
    pub tasks: Vec<String>,
    pub about: About,
}

/// What changes when a file is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let about = file.metadata()?;
        Ok(Self { length: about.len(), modified: about.modified().ok() })
    }
}

impl ColumnsFile {
    /// Opens a file and checks its header, its length and its episodes. Errors do not name the file.
    ///
    /// # Errors
    /// Missing arrays, arrays of other types or shapes, episode ends that do not increase, and errors of the file system.
    pub fn open(path: &Path) -> Result<Self> {
        let length = regular(path)?;
        let mut file = File::open(path).map_err(|e| failed(&e))?;
        let stamp = Stamp::of(&file).map_err(|e| failed(&e))?;
        let Header { arrays, about } = Header::read(&mut file, length.min(stamp.length))?;
        let about = about.map_or(Ok(About::default()), |text| About::parse(&text))?;
        let get = |name: &str, dtype: &str, rank: usize| match arrays.get(name) {
            Some(array) if array.dtype == dtype && array.shape.len() == rank => Ok(Some(array)),
            None => Ok(None),
            Some(Array { dtype: found, shape, .. }) => {
                Err(Error::new(Kind::File, "an array of the columns has another type or shape")
                    .at(name)
                    .expected(format!("{dtype} of {rank} dimensions"))
                    .found(format!("{found} of shape {shape:?}"))
                    .next("save it with that type, such as numpy's float32 or int64"))
            }
        };
        let need = |name: &str, dtype: &str, rank: usize| {
            get(name, dtype, rank)?.ok_or_else(|| {
                Error::new(Kind::File, "an array of the columns is missing")
                    .at(name)
                    .found(format!("the arrays {}", arrays.keys().cloned().collect::<Vec<_>>().join(", ")))
            })
        };
        let [states, actions] = [need("states", "F32", 2)?, need("actions", "F32", 2)?];
        let rewards = get("rewards", "F32", 1)?;
        let n_steps = states.shape[0];
        for (name, array) in [("actions", Some(actions)), ("rewards", rewards)] {
            if let Some(found) = array.map(|array| array.shape[0]).filter(|found| *found != n_steps) {
                return Err(Error::new(
                    Kind::Data,
                    format!("{name} and states have different numbers of steps"),
                )
                .at(name)
                .expected(n_steps.to_string())
                .found(found.to_string()));
            }
        }
        if n_steps == 0 || states.shape[1] == 0 || actions.shape[1] == 0 || n_steps > u64::from(u32::MAX) {
            return Err(Error::new(Kind::Data, "columns without values, or of too many steps")
                .expected(format!("1 to {} steps, of one dimension or more", u32::MAX))
                .found(format!("states of shape {:?}, actions of shape {:?}", states.shape, actions.shape)));
        }
        let place = |array: &Array| Place {
            start: array.bytes.start,
            width: array.shape.get(1).map_or(1, |width| *width as usize),
        };
        let ends = need("episode_ends", "I64", 1)?;
        let mut open = Self {
            file: Positioned::new(file),
            stamp,
            failed: OnceLock::new(),
            states: place(states),
            actions: place(actions),
            rewards: rewards.map(place),
            ends: Vec::new(),
            episode_numbers: Vec::new(),
            tasks: Vec::new(),
            about,
        };
        let n_episodes = ends.shape[0];
        open.ends = open.bytes(ends)?.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as usize).collect();
        check_ends(&open.ends, n_steps as usize)?;
        let by_episode = |name: &str| match get(name, "U32", 1)? {
            None => Ok(None),
            Some(array) if array.shape[0] == n_episodes => {
                let numbers =
                    open.bytes(array)?.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
                Ok::<_, Error>(Some::<Vec<u32>>(numbers))
            }
            Some(array) => Err(Error::new(Kind::Data, "not one number for each episode")
                .at(name)
                .expected(n_episodes.to_string())
                .found(array.shape[0].to_string())),
        };
        let numbers = by_episode("episode_numbers")?.unwrap_or_else(|| (0..n_episodes as u32).collect());
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        if let Some([twice, _]) = sorted.array_windows().find(|[a, b]| a == b) {
            return Err(Error::new(Kind::Data, "two episodes have one number")
                .at("episode_numbers")
                .found(twice.to_string()));
        }
        let tasks = by_episode("episode_tasks")?.unwrap_or_default();
        let text = |place: u32| {
            open.about.tasks.get(place as usize).cloned().ok_or_else(|| {
                Error::new(Kind::Data, "an episode of a task that is not in the list")
                    .at("episode_tasks")
                    .expected(format!("places in a list of {}", open.about.tasks.len()))
                    .found(place.to_string())
            })
        };
        open.tasks = tasks.into_iter().map(text).collect::<Result<_>>()?;
        open.episode_numbers = numbers;
        Ok(open)
    }

    /// The number of steps.
    pub fn n_steps(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The bytes of a whole array, within the memory limit.
    fn bytes(&self, array: &Array) -> Result<Vec<u8>> {
        let size = array.bytes.end - array.bytes.start;
        check_memory(size, self.stamp.length)?;
        let mut bytes = vec![0; size as usize];
        self.file.read(&mut bytes, array.bytes.start).map_err(|e| failed(&e))?;
        Ok(bytes)
    }

    /// Appends rows of a column. Where they cannot be read, zeros are appended and the error is kept: see
    /// [`check_readable`](Self::check_readable).
    pub fn append_rows(&self, place: Place, rows: std::ops::Range<usize>, to: &mut Vec<f32>) {
        const MOST: usize = 1 << 16; // bytes read at once
        let (first, count) = (rows.start * place.width, rows.len() * place.width);
        let end = to.len() + count;
        to.reserve(count);
        let mut buffer = [0; 1024];
        let mut large = Vec::new();
        let buffer = if 4 * count > buffer.len() {
            large.resize(MOST.min(4 * count), 0);
            &mut large[..]
        } else {
            &mut buffer[..]
        };
        let mut at = place.start + 4 * first as u64;
        while to.len() < end && !self.has_failed() {
            let bytes = buffer.len().min(4 * (end - to.len()));
            match self.file.read(&mut buffer[..bytes], at) {
                Ok(()) => to.extend(buffer[..bytes].as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
                Err(e) => _ = self.failed.set(failed(&e)),
            }
            at += bytes as u64;
        }
        to.resize(end, 0.0);
    }

    /// Whether rows could not be read.
    pub fn has_failed(&self) -> bool {
        self.failed.get().is_some()
    }

    /// The error of the first rows that could not be read, or of a file that was written to since it was opened.
    ///
    /// # Errors
    /// See above.
    pub fn check_readable(&self) -> Result<()> {
        if let Some(e) = self.failed.get() {
            return Err(e.clone());
        }
        match Stamp::of(self.file.get()) {
            Ok(now) if now == self.stamp => Ok(()),
            Ok(now) if now.length < self.stamp.length => {
                Err(changed("the file was cut short while it was being read"))
            }
            Ok(_) => Err(changed("the file was changed while it was being read")),
            Err(e) => Err(failed(&e)),
        }
    }

    /// Checks that the whole file is within the memory limit.
    ///
    /// # Errors
    /// If it is not.
    pub fn check_memory(&self) -> Result<()> {
        check_memory(self.stamp.length, self.stamp.length)
    }
}

/// The error of reading.
fn failed(e: &io::Error) -> Error {
    if e.kind() == io::ErrorKind::UnexpectedEof {
        return changed("the file was cut short while it was being read");
    }
    Error::new(Kind::File, "the columns cannot be read").found(e.to_string())
}

fn changed(what: &str) -> Error {
    Error::new(Kind::File, what)
        .next("write it whole under another name first, then rename it, and run the command again")
}

fn check_memory(bytes: u64, length: u64) -> Result<()> {
    let most = limit(length);
    if bytes <= most {
        return Ok(());
    }
    let next = if bytes > length { TOO_LARGE } else { MORE_MEMORY };
    Err(Error::new(Kind::File, "the columns need more memory than they may")
        .expected(format!("at most {most} bytes"))
        .found(format!("{bytes} bytes"))
        .next(format!("`mcnn learn` and `mcnn train` read such a file piece by piece; else {next}")))
}
