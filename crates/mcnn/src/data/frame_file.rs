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
    ActionRange, Demonstrations, Parts, foreign, hdf5, npy, npz,
    number::Beyond,
    read::{Format, is_label, recognize},
};
use crate::error::{Error, Kind, Result};

/// Names of the array or dataset of frames, where none is given.
const NAMES: [&str; 4] = ["frames", "images", "observations", "states"];
/// Approximate bytes of a piece; one row of an HDF5 file's chunks may be larger.
const PIECE: u64 = 8 << 20;
/// The largest piece in bytes.
const MAX_PIECE: u64 = 512 << 20;

/// Frames as stored in a file, row by row.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// Unsigned bytes.
    Bytes(Vec<u8>),
    /// Floats; those of 64 bits were rounded to 32.
    Floats(Vec<f32>),
}

/// A recording of frames in one file.
pub struct FrameFile {
    /// Actions, rewards and episode ends. The states are empty, and `n_obs` is 1.
    pub labels: Parts,
    /// The shape of the observations: the number of frames, then that of one.
    pub shape: Vec<usize>,
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
    /// as `frames`, `images`, `observations` or `states`, whichever is there.
    ///
    /// # Errors
    /// As [`read`](super::read()), except errors of the values of frames; several of these without `key`.
    pub fn open(path: &Path, key: Option<&str>) -> Result<Self> {
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
            None => only(&keys, if format == Format::Npz { NAMES[0] } else { NAMES[2] }).map_err(named)?,
        };
        let unused = keys.iter().filter(|name| *name != key && !is_label(name)).cloned().collect();
        let opened = match format {
            Format::D4rl => hdf5::frames(path, length, key).map(|(labels, frames)| {
                let shape = frames.shape().iter().map(|&n| n as usize).collect();
                Self { labels, shape, unused, place: Place::Hdf5(path.to_owned(), Box::new(frames)) }
            }),
            Format::Npz => npz::frames(path, length, key).map(|(labels, shape)| {
                let shape = shape.iter().map(|&n| n as usize).collect();
                Self { labels, shape, unused, place: Place::Npz(path.to_owned(), key.to_owned()) }
            }),
            _ => Err(foreign::frames_of(format)),
        };
        opened.map_err(named)
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

/// The one of [`NAMES`] that a file has; `default` if it has none.
fn only<'a>(keys: &'a [String], default: &'a str) -> Result<&'a str> {
    let there: Vec<&str> = NAMES.into_iter().filter(|name| keys.iter().any(|key| key == name)).collect();
    match there[..] {
        [] => Ok(default),
        [one] => Ok(one),
        [first, ..] => Err(Error::new(Kind::Data, "several arrays of observations")
            .expected("one, the frames: their embeddings become the states, and nothing else does")
            .found(there.join(", "))
            .next(format!(
                "--frames-key {first} embeds {first} and leaves the others out; to learn from states, give the file to `mcnn learn`"
            ))),
    }
}

fn read_hdf5(
    path: &Path,
    frames: &Dataset,
    from: usize,
    each: &mut dyn FnMut(usize, Rows) -> Result<bool>,
) -> Result<()> {
    let shape = frames.shape();
    let (n, row) = (shape[0], shape[1..].iter().product::<u64>() * 4);
    // Whole rows of chunks, so that each chunk is unpacked once.
    let high = frames.chunks().map_or(1, |chunk| u64::from(chunk[0]).max(1)).min(n.max(1));
    let high = if high.saturating_mul(row) <= MAX_PIECE { high } else { 1 };
    let step = high * (PIECE / (high * row).max(1)).max(1);
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

fn rows_of(frames: &Dataset, rows: Range<u64>) -> Result<Rows> {
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
