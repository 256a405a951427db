//! Demonstrations into NumPy's `.npz`.

use std::{
    io::{Cursor, Write as _},
    path::Path,
};

use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use super::Demonstrations;
use crate::{
    atomic,
    error::{Error, Result},
};

/// Writes demonstrations as an uncompressed `.npz` that [`read`](super::read()) reads back and `numpy.load` opens:
/// `states` and `actions` (float32), `episode_ends` (int64), `rewards` (float32) where there are any. Equal
/// demonstrations give equal bytes. Episodes are numbered anew when read back. The file is built in memory, then
/// written whole or not at all ([`atomic::write`]).
///
/// # Errors
/// Of the file system: no space, permissions, no such folder.
pub fn write_npz(path: &Path, data: &Demonstrations) -> Result<()> {
    atomic::write(path, &bytes(data).map_err(|e| Error::io("writing", path, &e))?)
}

fn bytes(data: &Demonstrations) -> std::io::Result<Vec<u8>> {
    let n = data.n_steps();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, kind: &str, shape: String, bytes: Vec<u8>| -> std::io::Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::DEFAULT)
            .unix_permissions(0o644)
            .large_file(bytes.len() > 4_000_000_000);
        zip.start_file(format!("{name}.npy"), options)?;
        let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
        // Magic, version and length take 10 bytes; the header ends in a newline at a multiple of 64.
        let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
        header.push_str(&" ".repeat(padded - 1 - header.len()));
        header.push('\n');
        zip.write_all(b"\x93NUMPY\x01\x00")?;
        zip.write_all(&(header.len() as u16).to_le_bytes())?;
        zip.write_all(header.as_bytes())?;
        zip.write_all(&bytes)
    };
    let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect();
    add("states", "<f4", format!("{n}, {}", data.n_obs()), floats(data.states()))?;
    add("actions", "<f4", format!("{n}, {}", data.n_act()), floats(data.actions()))?;
    let ends = data.ends().iter().flat_map(|&end| (end as i64).to_le_bytes());
    add("episode_ends", "<i8", format!("{},", data.n_episodes()), ends.collect())?;
    if let Some(rewards) = data.rewards() {
        add("rewards", "<f4", format!("{n},"), floats(rewards))?;
    }
    Ok(zip.finish()?.into_inner())
}
