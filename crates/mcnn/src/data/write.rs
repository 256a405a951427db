//! Writing demonstrations as NumPy's `.npz`.

use std::{
    fs::File,
    io::{BufWriter, Cursor, Read, Seek, Write},
    path::Path,
};

use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use super::{
    Demonstrations, DimensionNames, Parts,
    column::{Column, Numbers},
};
use crate::{
    atomic,
    error::{Error, Result},
};

/// Writes demonstrations as an uncompressed `.npz` that [`read`](super::read()) reads back and `numpy.load` opens:
/// `states` and `actions` (float32), `episode_ends` (int64), `rewards` (float32), `state_names` and `action_names` (strings)
/// where there are any. Equal
/// demonstrations give equal bytes. Episodes are numbered from 0 when read back. The file is built in memory, then
/// written whole or not at all ([`atomic::write`]).
///
/// # Errors
/// Of the file system: no space, permissions, no such folder.
pub fn write_npz(path: &Path, data: &Demonstrations) -> Result<()> {
    let labels = Parts {
        n_act: data.n_act(),
        actions: data.actions_in_data_units().into_owned(),
        rewards: data.rewards().map(<[f32]>::to_vec),
        ends: data.ends().to_vec(),
        ..Parts::default()
    };
    let mut bytes = Cursor::new(Vec::new());
    let states = data.states();
    let states = Column::floats(data.n_obs(), &states);
    fill(&mut bytes, Columns::new(states, &labels), data.names(), None)
        .map_err(|e| Error::io("writing", path, &e))?;
    atomic::write(path, bytes.get_ref())
}

/// Writes demonstrations whose states do not fit in memory: `labels` has everything else, and `states` yields the bytes of the
/// rows of `n_obs` values. `encoding` identifies the encoder, as JSON: an array of bytes, `encoding`.
/// `names` must be valid for the dimensions ([`DimensionNames::validate`]).
///
/// # Errors
/// Fewer states than there are steps, and errors of the file system.
pub fn write_npz_from(
    path: &Path,
    labels: &Parts,
    n_obs: usize,
    states: &mut dyn Read,
    names: &DimensionNames,
    encoding: &str,
) -> Result<()> {
    let states = Column { numbers: Numbers::F32, width: n_obs, rows: Box::new(states) };
    write_columns(path, Columns::new(states, labels), names, Some(encoding))
}

/// The same of frames, as an array of bytes, `frames` (`[steps, height, width, 3]`), in place of states.
pub(super) fn write_frames(path: &Path, labels: &Parts, size: [usize; 2], frames: &[u8]) -> Result<()> {
    let frames = Column::bytes(size[0] * size[1] * 3, frames);
    let columns = Columns { frame: Some(size), ..Columns::new(frames, labels) };
    write_columns(path, columns, &DimensionNames::default(), None)
}

/// The columns of demonstrations.
pub(super) struct Columns<'a> {
    /// States, or frames.
    pub observations: Column<'a>,
    /// Height and width, if the observations are frames.
    pub frame: Option<[usize; 2]>,
    pub actions: Column<'a>,
    pub rewards: Option<Column<'a>>,
    pub ends: &'a [usize],
}

impl<'a> Columns<'a> {
    /// Of states, with everything else from `labels`.
    pub(super) fn new(observations: Column<'a>, labels: &'a Parts) -> Self {
        Self {
            observations,
            frame: None,
            actions: Column::floats(labels.n_act, &labels.actions),
            rewards: labels.rewards.as_ref().map(|rewards| Column::floats(1, rewards)),
            ends: &labels.ends,
        }
    }
}

/// Writes columns, whose rows are read one after another.
pub(super) fn write_columns(
    path: &Path,
    columns: Columns,
    names: &DimensionNames,
    encoding: Option<&str>,
) -> Result<()> {
    atomic::write_through(path, |temporary| {
        let written = File::create(temporary).and_then(|file| {
            let mut file = BufWriter::new(file);
            fill(&mut file, columns, names, encoding)?;
            file.flush()
        });
        written.map_err(|e| Error::io("writing", path, &e))
    })
}

/// The header of an array.
struct Array {
    name: &'static str,
    kind: String,
    shape: String,
    length: u64, // bytes
}

impl Array {
    /// Of a column of `n` rows; `shape` is that of a row, with a comma before each dimension.
    fn of(name: &'static str, column: &Column, n: usize, shape: &str) -> Self {
        let kind = match column.numbers {
            Numbers::F32 => "<f4",
            Numbers::U8 => "|u1",
        };
        Self {
            name,
            kind: kind.into(),
            shape: format!("{n},{shape}"),
            length: (n * column.row_bytes()) as u64,
        }
    }
}

fn fill(
    to: &mut (impl Write + Seek),
    columns: Columns,
    names: &DimensionNames,
    encoding: Option<&str>,
) -> std::io::Result<()> {
    let Columns { mut observations, frame, mut actions, rewards, ends } = columns;
    let (n, episodes) = (ends.last().copied().unwrap_or(0), ends.len());
    let mut zip = ZipWriter::new(to);
    let mut add = |Array { name, kind, shape, length }, bytes: &mut dyn Read| {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::DEFAULT)
            .unix_permissions(0o644)
            .large_file(length > 4_000_000_000);
        zip.start_file(format!("{name}.npy"), options)?;
        let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
        // Magic, version and length take 10 bytes; the header ends in a newline at a multiple of 64.
        let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
        header.push_str(&" ".repeat(padded - 1 - header.len()));
        header.push('\n');
        zip.write_all(b"\x93NUMPY\x01\x00")?;
        zip.write_all(&(header.len() as u16).to_le_bytes())?;
        zip.write_all(header.as_bytes())?;
        match std::io::copy(&mut bytes.take(length), &mut zip)? {
            written if written == length => Ok(()),
            _ => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
        }
    };
    let (name, shape) = match frame {
        Some([height, width]) => ("frames", format!(" {height}, {width}, 3")),
        None => ("states", format!(" {}", observations.width)),
    };
    add(Array::of(name, &observations, n, &shape), &mut observations.rows)?;
    add(Array::of("actions", &actions, n, &format!(" {}", actions.width)), &mut actions.rows)?;
    let ends: Vec<u8> = ends.iter().flat_map(|&end| (end as i64).to_le_bytes()).collect();
    let (kind, shape, length) = ("<i8".into(), format!("{episodes},"), ends.len() as u64);
    add(Array { name: "episode_ends", kind, shape, length }, &mut &ends[..])?;
    if let Some(mut rewards) = rewards {
        add(Array::of("rewards", &rewards, n, ""), &mut rewards.rows)?;
    }
    let mut add_bytes = |name, kind: &str, shape: String, bytes: Vec<u8>| {
        add(Array { name, kind: kind.into(), shape, length: bytes.len() as u64 }, &mut &bytes[..])
    };
    for (name, names) in [("state_names", &names.state_names), ("action_names", &names.action_names)] {
        if let Some(names) = names {
            // NumPy's `<U`: UTF-32, every string padded with NULs to the length of the longest.
            let length = names.iter().map(|name| name.chars().count()).max().unwrap_or(1);
            let characters =
                |name: &String| name.chars().chain(std::iter::repeat('\0')).take(length).collect::<Vec<_>>();
            let bytes = names.iter().flat_map(characters).flat_map(|c| u32::from(c).to_le_bytes()).collect();
            add_bytes(name, &format!("<U{length}"), format!("{},", names.len()), bytes)?;
        }
    }
    if let Some(encoding) = encoding {
        add_bytes("encoding", "|u1", format!("{},", encoding.len()), encoding.as_bytes().to_vec())?;
    }
    zip.finish()?;
    Ok(())
}
