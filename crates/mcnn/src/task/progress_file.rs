//! The progress of a worker process: the number of requests that it has begun, in a file of eight bytes that the process maps
//! into memory. The process writes it without a system call, and the file can still be read after the process has died, so
//! the request that it was serving is known.

use crate::error::{Error, Result};
use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// The file, for the client that reads it. It has a path until [`unlink`](ProgressFile::unlink) or drop.
#[derive(Debug)]
pub(super) struct ProgressFile {
    file: File,
    path: Option<PathBuf>,
}

impl ProgressFile {
    /// Creates a file with the count 0 in the system's folder for temporary files.
    pub fn new() -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mcnn-{}-{number}.progress", std::process::id()));
        let failed = |e| Error::io("creating the temporary file", &path, &e);
        // A file of that name can only be left over from an ended process with the same id.
        let _ = std::fs::remove_file(&path);
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).map_err(failed)?;
        file.write_all(&[0; 8]).map_err(failed)?;
        Ok(Self { file, path: Some(path) })
    }

    /// The path, for the process that writes the file and for [`reader`](ProgressFile::reader).
    pub fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// A second reader of the same file, which does not remove it when dropped.
    pub fn reader(&self) -> Result<Self> {
        let file = File::open(self.path()).map_err(|e| Error::io("opening", self.path(), &e))?;
        Ok(Self { file, path: None })
    }

    /// Removes the path. Processes that have opened the file keep it.
    pub fn unlink(&mut self) {
        if let Some(path) = self.path.take() {
            let _ = std::fs::remove_file(path);
        }
    }

    /// The number of requests that the process has begun; 0 if the file cannot be read.
    pub fn read(&self) -> u64 {
        let (mut file, mut bytes) = (&self.file, [0; 8]);
        let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_exact(&mut bytes));
        if read.is_ok() { u64::from_ne_bytes(bytes) } else { 0 }
    }
}

impl Drop for ProgressFile {
    fn drop(&mut self) {
        self.unlink();
    }
}
