//! The file of the embeddings of an interrupted run, beside the output.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use super::embed::Embedded;
use crate::error::{Error, Kind, Result};

/// The file of the finished embeddings, beside the output: a line that identifies the run, then the embeddings.
pub fn part_of(output: &Path) -> PathBuf {
    // Without a slash at the end, which would make it a file in the folder.
    let mut name = output.components().collect::<PathBuf>().into_os_string();
    name.push(".part");
    name.into()
}

/// The file of the finished embeddings of an interrupted run.
pub(super) struct PartialOutput {
    path: PathBuf,
    pub file: File,
    head: u64, // bytes before the embeddings
    /// Finished embeddings.
    pub done: usize,
}

impl PartialOutput {
    /// Opens the file of an interrupted run, or creates it. `early`: the identity that early versions wrote.
    pub fn open(path: &Path, [identity, early]: [&str; 2], width: usize) -> Result<Self> {
        let io = |e| Error::io("writing", path, &e);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        file.try_lock().map_err(|e| {
            Error::new(Kind::File, "another process embeds into this output")
                .at(path.display().to_string())
                .found(e.to_string())
                .next("wait for it, or choose another output")
        })?;
        let length = file.metadata().map_err(io)?.len();
        let mut found = Vec::new();
        let mut start = BufReader::new(&file);
        start.by_ref().take(1 << 16).read_until(b'\n', &mut found).map_err(io)?;
        let lines = [identity, early].map(|identity| format!("{identity}\n"));
        if length > 0 && lines.iter().all(|line| found != line.as_bytes()) {
            return Err(Error::new(Kind::Mismatch, "an interrupted run embedded something else")
                .at(path.display().to_string())
                .expected(identity)
                .found(String::from_utf8_lossy(&found).trim_end().chars().take(400).collect::<String>())
                .next("--force starts a new run; or give the options of the interrupted run"));
        }
        if length == 0 {
            file.write_all(lines[0].as_bytes()).map_err(io)?;
        }
        let head = if length == 0 { lines[0].len() } else { found.len() } as u64;
        // An interruption can leave an incomplete row.
        let row = 4 * width as u64;
        let done = length.saturating_sub(head) / row;
        file.set_len(head + done * row).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        Ok(Self { path: path.to_owned(), file, head, done: done as usize })
    }

    pub fn append(&mut self, rows: &[f32], width: usize) -> Result<()> {
        let bytes: Vec<u8> = rows.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.file.write_all(&bytes).map_err(|e| Error::io("writing", &self.path, &e))?;
        self.done += rows.len() / width;
        Ok(())
    }

    /// Seeks to the first embedding.
    pub fn rewind(&mut self) -> Result<()> {
        self.file.seek(SeekFrom::Start(self.head)).map_err(|e| Error::io("reading", &self.path, &e))?;
        Ok(())
    }

    /// Counts repeated embeddings: rows that are equal but for the states at their ends.
    pub fn still(&mut self, ends: &[usize], width: usize, n_state: usize) -> Result<Embedded> {
        self.rewind()?;
        let mut rows = BufReader::new(&self.file);
        let (mut last, mut row) = (vec![0; 4 * width], vec![0; 4 * width]);
        let mut found = Embedded { resumed_from: 0, still: 0, longest_still: 1, still_at: 0 };
        let (mut first, mut episode) = (0, 0);
        let embedding = 4 * (width - n_state);
        for i in 0..self.done {
            rows.read_exact(&mut row).map_err(|e| Error::io("reading", &self.path, &e))?;
            let begins = i == 0 || ends[episode] == i;
            if i > 0 && begins {
                episode += 1;
            }
            if begins || row[..embedding] != last[..embedding] {
                first = i;
            } else {
                found.still += 1;
                if i + 1 - first > found.longest_still {
                    (found.longest_still, found.still_at) = (i + 1 - first, first);
                }
            }
            std::mem::swap(&mut last, &mut row);
        }
        Ok(found)
    }

    pub fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|e| Error::io("removing", &self.path, &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_are_compared_without_the_states_that_follow_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut part = PartialOutput::open(&part_of(&folder.path().join("a.npz")), ["a", "b"], 3).unwrap();
        part.append(&[1.0, 1.0, 0.0, 1.0, 1.0, 5.0, 1.0, 1.0, 6.0, 1.0, 2.0, 6.0], 3).unwrap();
        let still = part.still(&[4], 3, 1).unwrap();
        assert_eq!((still.still, still.longest_still, still.still_at), (2, 3, 0));
    }
}
