//! Writing demonstrations as NumPy's `.npz`.

use std::{
    fs::File,
    io::{BufWriter, Cursor, Read, Seek, Write},
    path::Path,
};

use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use super::{Demonstrations, DimensionNames, Parts};
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
        actions: data.actions().to_vec(),
        rewards: data.rewards().map(<[f32]>::to_vec),
        ends: data.ends().to_vec(),
        ..Parts::default()
    };
    let states = floats(data.states());
    let mut bytes = Cursor::new(Vec::new());
    fill(&mut bytes, &labels, Array::states(&labels, data.n_obs()), &mut &states[..], data.names(), None)
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
    atomic::write_through(path, |temporary| {
        let written = File::create(temporary).and_then(|file| {
            let mut file = BufWriter::new(file);
            fill(&mut file, labels, Array::states(labels, n_obs), states, names, Some(encoding))?;
            file.flush()
        });
        written.map_err(|e| Error::io("writing", path, &e))
    })
}

/// The same of frames, as an array of bytes, `frames` (`[steps, height, width, 3]`), in place of states.
pub(super) fn write_frames(path: &Path, labels: &Parts, size: [usize; 2], frames: &[u8]) -> Result<()> {
    let n = labels.actions.len() / labels.n_act;
    let shape = format!("{n}, {}, {}, 3", size[0], size[1]);
    atomic::write_through(path, |temporary| {
        let written = File::create(temporary).and_then(|file| {
            let mut file = BufWriter::new(file);
            let seen = Array { name: "frames", kind: "|u1".into(), shape, length: frames.len() as u64 };
            fill(&mut file, labels, seen, &mut &frames[..], &DimensionNames::default(), None)?;
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
    /// Of the states of these steps.
    fn states(labels: &Parts, n_obs: usize) -> Self {
        let n = labels.actions.len() / labels.n_act;
        Self {
            name: "states",
            kind: "<f4".into(),
            shape: format!("{n}, {n_obs}"),
            length: 4 * (n * n_obs) as u64,
        }
    }
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn fill(
    to: &mut (impl Write + Seek),
    labels: &Parts,
    seen: Array,
    rows: &mut dyn Read,
    names: &DimensionNames,
    encoding: Option<&str>,
) -> std::io::Result<()> {
    let (n, episodes) = (labels.actions.len() / labels.n_act, labels.ends.len());
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
    add(seen, rows)?;
    let mut add_bytes = |name, kind: &str, shape: String, bytes: Vec<u8>| {
        add(Array { name, kind: kind.into(), shape, length: bytes.len() as u64 }, &mut &bytes[..])
    };
    add_bytes("actions", "<f4", format!("{n}, {}", labels.n_act), floats(&labels.actions))?;
    let ends = labels.ends.iter().flat_map(|&end| (end as i64).to_le_bytes());
    add_bytes("episode_ends", "<i8", format!("{episodes},"), ends.collect())?;
    if let Some(rewards) = &labels.rewards {
        add_bytes("rewards", "<f4", format!("{n},"), floats(rewards))?;
    }
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
