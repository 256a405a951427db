//! The progress of a worker process: the number of requests that it has begun, in a file of eight bytes that the process maps
//! into memory. The process writes it without a system call, and the file can still be read after the process has died, so
//! the request that it was serving is known.

use crate::error::{Error, Result};
use std::{
    fs::File,
    io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// The start and the end of the names of these files.
const START: &str = "mcnn-";
const END: &str = ".progress";

/// Removes the files of killed processes: those that are not locked.
fn remove_stale(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(START)
            && name.ends_with(END)
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

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
        let folder = std::env::temp_dir();
        remove_stale(&folder);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{START}{}-{number}{END}", std::process::id()));
            let failed = |e| Error::io("creating the temporary file", &path, &e);
            let mut file = match File::options().read(true).write(true).create_new(true).open(&path) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                opened => opened.map_err(failed)?,
            };
            // Locked, it is not taken for the file of a killed process; before, it may have been.
            let _ = file.lock();
            file.write_all(&[0; 8]).map_err(failed)?;
            if path.exists() {
                return Ok(Self { file, path: Some(path) });
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_killed_process_is_removed_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let names = ["mcnn-1-0.progress", "mcnn-2-0.progress", "mcnn-1-0.txt", "other.progress"];
        names.iter().for_each(|name| std::fs::write(path(name), [0; 8]).unwrap());
        let in_use = File::open(path(names[1])).unwrap();
        in_use.lock().unwrap();
        remove_stale(folder.path());
        assert_eq!(names.map(|name| path(name).exists()), [false, true, true, true]);
    }
}
