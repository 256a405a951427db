//! Recordings whose observations are frames: actions and rewards are in memory, frames are read in pieces.

use std::{
    fs::File,
    io::BufReader,
    io::Read as _,
    ops::Range,
    path::{Path, PathBuf},
};

use hdf5_reader::{Dataset, Datatype, SliceInfo, SliceInfoElem};
use zip::ZipArchive;

use super::{
    ActionRange, Demonstrations, DimensionNames, KeyRange, Parts, Rows, Selection,
    cameras::check_chunks,
    foreign, hdf5, npy, npz,
    number::Beyond,
    read::{Format, is_label, read_names, recognize},
};
use crate::error::{Error, Kind, Result};

/// Names of the array or dataset of frames, where none is given.
const NAMES: [&str; 4] = ["frames", "images", "observations", "states"];
/// Names of states beside frames.
const STATES: [&str; 2] = ["states", "observations"];
/// Approximate bytes of a piece; one row of an HDF5 file's chunks may be larger.
const PIECE: u64 = 8 << 20;

/// A recording of frames in one file.
pub struct FrameFile {
    /// Actions, rewards and episode ends. The states are empty, and `n_obs` is 1.
    pub labels: Parts,
    /// The shape of the observations: the number of frames, then that of one.
    pub shape: Vec<usize>,
    /// The array or dataset of the frames.
    pub key: String,
    /// The keys of the states; empty if they were not asked for.
    pub state_keys: Vec<String>,
    /// Names of the dimensions of states and actions, where the file has them.
    pub names: DimensionNames,
    /// Arrays or datasets of the file that are not read.
    pub unused: Vec<String>,
    place: Place,
}

enum Place {
    Hdf5(PathBuf, Box<Dataset>),
    Npz(PathBuf, String),
}

impl FrameFile {
    /// Opens D4RL's flat HDF5 or an `.npz`, with `actions`, where episodes end, optionally `rewards`, and the frames: under `key`, or
    /// as `frames`, `images`, `observations` or `states`, whichever is there. Unless `selection.no_state` says to leave them out, the
    /// states are read as well: those selected, or else `states` or `observations`.
    ///
    /// # Errors
    /// As [`read`](super::read()), except errors of the values of frames; several of these without `key`.
    pub fn open(path: &Path, key: Option<&str>, selection: &Selection) -> Result<Self> {
        let (format, length) = recognize(path)?;
        let named = |e: Error| e.within(path.display());
        let keys = match format {
            Format::D4rl => hdf5::keys(path, length),
            Format::Npz => npz::keys(path, length),
            _ => Err(foreign::frames_of(format)),
        };
        let keys = keys.map_err(named)?;
        let key = match key {
            Some(key) => key,
            None => only(&keys, if format == Format::Npz { NAMES[0] } else { NAMES[2] }, !selection.no_state)
                .map_err(named)?,
        };
        let default_state = !selection.no_state && selection.state.is_empty();
        let selection = beside(&keys, key, selection);
        let opened = match format {
            Format::D4rl => hdf5::frames(path, length, key, &selection).and_then(|(labels, frames)| {
                check_memory(&frames, length)?;
                let shape = frames.shape().iter().map(|&n| n as usize).collect();
                Ok((labels, shape, Place::Hdf5(path.to_owned(), Box::new(frames))))
            }),
            Format::Npz => npz::frames(path, length, key, &selection).map(|(labels, shape)| {
                let shape = shape.iter().map(|&n| n as usize).collect();
                (labels, shape, Place::Npz(path.to_owned(), key.to_owned()))
            }),
            _ => Err(foreign::frames_of(format)),
        };
        let (FrameLabels { parts: labels, mut names }, shape, place) = opened.map_err(named)?;
        if default_state {
            names.state_names = read_names(path)?.state_names;
        }
        let state_keys: Vec<String> = selection.state.iter().map(ToString::to_string).collect();
        let is_state = |name: &String| selection.state.iter().any(|range| range.key == *name);
        let unused =
            keys.iter().filter(|name| *name != key && !is_label(name) && !is_state(name)).cloned().collect();
        Ok(Self { labels, shape, key: key.to_owned(), state_keys, names, unused, place })
    }

    /// Reads the frames from index `from` on, in order and in pieces, until the end or until `each` returns false. `each`
    /// receives the index of the first frame of a piece.
    ///
    /// # Errors
    /// A damaged file, or values other than floats and bytes; errors of `each`.
    pub fn read_frames(
        &mut self,
        from: usize,
        each: &mut dyn FnMut(usize, Rows) -> Result<bool>,
    ) -> Result<()> {
        let width: usize = self.shape[1..].iter().product();
        match &self.place {
            Place::Hdf5(path, frames) => read_hdf5(path, frames, from, each),
            Place::Npz(path, name) => read_npz(path, name, self.shape[0], width, from, each),
        }
    }
}

/// What a file with frames says of its steps.
pub(super) struct FrameLabels {
    /// Actions, rewards, episode ends, and the states if they were asked for.
    pub parts: Parts,
    pub names: DimensionNames,
}

/// The states and actions to read beside the frames.
fn beside(keys: &[String], frames: &str, selection: &Selection) -> Selection {
    let mut selection = selection.clone();
    if selection.no_state {
        selection.state.clear();
    } else if selection.state.is_empty() {
        let there = |name: &&str| *name != frames && keys.iter().any(|key| key == name);
        let name = STATES.into_iter().find(there).unwrap_or(STATES[0]);
        selection.state = vec![KeyRange { key: name.into(), dimensions: None }];
    }
    selection
}

/// The one of [`NAMES`] that a file has; `default` if it has none. With states, those that are not states are looked for first.
fn only<'a>(keys: &'a [String], default: &'a str, with_state: bool) -> Result<&'a str> {
    let has = |name: &&str| keys.iter().any(|key| key == name);
    if with_state && let Some(name) = NAMES[..2].iter().find(|name| has(name)) {
        return Ok(name);
    }
    let there: Vec<&str> = NAMES.into_iter().filter(has).collect();
    match there[..] {
        [] => Ok(default),
        [one] => Ok(one),
        [first, ..] => Err(Error::new(Kind::Data, "several arrays of observations")
            .expected("one, the frames: their embeddings become the states")
            .found(there.join(", "))
            .next(format!(
                "--camera {first} embeds {first} and leaves the others out; --with-state of `mcnn embed` joins states with the embedding; \
                 to learn from states alone, give the file to `mcnn learn`"
            ))),
    }
}

fn read_hdf5(
    path: &Path,
    frames: &Dataset,
    from: usize,
    each: &mut dyn FnMut(usize, Rows) -> Result<bool>,
) -> Result<()> {
    let (n, step) = (frames.shape()[0], rows_together(frames));
    let mut first = from as u64;
    while first < n {
        let end = ((first / step + 1) * step).min(n);
        let rows = rows_of(frames, first..end).map_err(|e| e.within(path.display()))?;
        if !each(first as usize, rows)? {
            return Ok(());
        }
        first = end;
    }
    Ok(())
}

/// Checks that a row of chunks fits into memory.
///
/// # Errors
/// If it does not.
pub(super) fn check_memory(frames: &Dataset, length: u64) -> Result<()> {
    let size = match frames.dtype() {
        Datatype::FixedPoint { size, .. } | Datatype::FloatingPoint { size, .. } => u64::from(*size),
        _ => 8,
    };
    let shape = frames.shape();
    let chunk = match frames.chunks() {
        Some(chunk) if chunk.len() == shape.len() => chunk.iter().map(|&n| n.into()).collect(),
        _ => std::iter::once(1).chain(shape[1..].iter().copied()).collect::<Vec<u64>>(),
    };
    check_chunks(shape, &chunk, size, length).map_err(|e| e.within(frames.name()))
}

/// How many rows are read together: whole rows of chunks, so that each chunk is unpacked once.
pub(super) fn rows_together(frames: &Dataset) -> u64 {
    let (n, row) = (frames.shape()[0], frames.shape()[1..].iter().product::<u64>() * 4);
    let high = frames.chunks().map_or(1, |chunk| u64::from(chunk[0]).max(1)).min(n.max(1));
    high * (PIECE / (high * row).max(1)).max(1)
}

/// Some rows of a dataset of frames.
pub(super) fn rows_of(frames: &Dataset, rows: Range<u64>) -> Result<Rows> {
    let mut selections = vec![SliceInfoElem::Slice { start: rows.start, end: rows.end, step: 1 }];
    selections.resize(frames.ndim(), SliceInfoElem::Slice { start: 0, end: u64::MAX, step: 1 });
    let part = SliceInfo { selections };
    let damaged = |e| hdf5::unreadable(e, frames.name());
    Ok(match frames.dtype() {
        Datatype::FixedPoint { size: 1, signed: false, .. } => {
            Rows::Bytes(frames.read_slice::<u8>(&part).map_err(damaged)?.into_raw_vec_and_offset().0)
        }
        Datatype::FloatingPoint { size: 4, .. } => {
            Rows::Floats(frames.read_slice::<f32>(&part).map_err(damaged)?.into_raw_vec_and_offset().0)
        }
        Datatype::FloatingPoint { size: 8, .. } => {
            let values = frames.read_slice::<f64>(&part).map_err(damaged)?;
            Rows::Floats(values.iter().map(|&v| v as f32).collect())
        }
        other => {
            return Err(hdf5::other_type(frames.name(), "bytes (uint8), or floats of 32 or 64 bits", other));
        }
    })
}

fn read_npz(
    path: &Path,
    name: &str,
    n: usize,
    width: usize,
    from: usize,
    each: &mut dyn FnMut(usize, Rows) -> Result<bool>,
) -> Result<()> {
    let named = |e: Error| e.within(name).within(path.display());
    let file = File::open(path).map_err(|e| Error::io("reading", path, &e))?;
    let damaged = |e: &dyn std::fmt::Display| named(npy::damaged(&e.to_string()));
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|e| damaged(&e))?;
    let mut entry = zip.by_name(&format!("{name}.npy")).map_err(|e| damaged(&e))?;
    let mut array = npy::Array::head(name, &mut entry).map_err(named)?;
    let row = array.size() * width;
    std::io::copy(&mut entry.by_ref().take((from * row) as u64), &mut std::io::sink())
        .map_err(|e| damaged(&e))?;
    let step = (PIECE as usize / row.max(1)).max(1);
    let mut first = from;
    while first < n {
        let count = step.min(n - first);
        array.bytes.resize(count * row, 0);
        entry.read_exact(&mut array.bytes).map_err(|e| damaged(&e))?;
        let rows = if array.is_bytes() {
            Rows::Bytes(array.bytes.clone())
        } else {
            Rows::Floats(array.floats(&Beyond::new())?)
        };
        if !each(first, rows)? {
            return Ok(());
        }
        first += count;
    }
    // The checksum is verified at the end of the entry, and there must be no excess data.
    match entry.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(damaged(&"more bytes than its shape")),
        Err(e) => Err(damaged(&e)),
    }
}

impl FrameFile {
    /// Validates actions, rewards and episode ends, before frames are embedded for hours. Actions may have any units, unless `range`
    /// says to clip them to [-1, 1].
    ///
    /// # Errors
    /// As [`Parts::check_values`], and as [`Demonstrations::new`] where actions are clipped.
    pub fn check_labels(labels: &Parts, range: ActionRange) -> Result<Parts> {
        let n = labels.actions.len() / labels.n_act.max(1);
        let parts = Parts { states: vec![0.0; n], n_obs: 1, ..labels.clone() };
        let parts = match range {
            ActionRange::Refuse => parts.check_values().map(|()| parts)?,
            ActionRange::Clip => Demonstrations::new(parts, range)?.into(),
        };
        Ok(Parts { states: Vec::new(), ..parts })
    }
}
