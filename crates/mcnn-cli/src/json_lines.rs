//! A file of results that one process appends to, a line of JSON at a time.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use mcnn::{Error, Result, error::Kind};
use serde::Serialize;

/// The open file. It is locked, so that no second process writes to it.
pub struct JsonLines {
    path: PathBuf,
    file: Mutex<File>,
}

/// What a message says about a file.
pub struct Wording {
    /// Another process has it open.
    pub is_locked: &'static str,
    pub next: &'static str,
    /// What follows from a half-written last line.
    pub half_written: &'static str,
}

impl JsonLines {
    /// Opens or creates the file and reads it: `read` returns its contents and the bytes of its complete lines. A half-written line
    /// at its end is removed, with a message to `tell`.
    ///
    /// # Errors
    /// If the file cannot be opened or another process has it open, and those of `read`.
    pub fn open<T>(
        path: &Path,
        wording: &Wording,
        read: impl FnOnce(&File) -> Result<(T, u64)>,
        tell: &dyn Fn(&str),
    ) -> Result<(Self, T)> {
        crate::outputs::note(path);
        let io = |doing: &'static str| move |e: std::io::Error| Error::io(doing, path, &e);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(io("opening"))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Error::new(Kind::File, wording.is_locked)
                .at(path.display().to_string())
                .next(wording.next));
        }
        let (contents, complete) = read(&file)?;
        if file.metadata().map_err(io("reading"))?.len() > complete {
            tell(&format!("{}: the last line is half-written; {}", path.display(), wording.half_written));
            file.set_len(complete).map_err(io("writing"))?;
        }
        file.seek(SeekFrom::End(0)).map_err(io("writing"))?;
        Ok((Self { path: path.into(), file: Mutex::new(file) }, contents))
    }

    /// Appends a line and flushes it to the disk.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append(&self, line: &impl Serialize) -> Result<()> {
        self.append_text(&serde_json::to_string(line).expect("results are plain values"))
    }

    /// Appends the text of a line, without its end, and flushes it to the disk.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append_text(&self, line: &str) -> Result<()> {
        let text = format!("{line}\n");
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(|e| Error::io("writing", &self.path, &e))
    }
}
