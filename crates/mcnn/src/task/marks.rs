//! What a process is busy with, in eight bytes of a file that it has mapped into memory: written without a system call,
//! and still there when the process has died, whatever it died of.

use crate::error::{Error, Result};
use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// The file, from the reader's side. It has a name until [`forget`](Marks::forget), or the drop.
#[derive(Debug)]
pub(super) struct Marks {
    file: File,
    path: Option<PathBuf>,
}

impl Marks {
    /// A new file, in the folder for temporary ones, that says 0.
    pub fn new() -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mcnn-{}-{number}.marks", std::process::id()));
        let failed = |e| Error::io("creating the temporary file", &path, &e);
        // One of that name was left by a process that is no more.
        let _ = std::fs::remove_file(&path);
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).map_err(failed)?;
        file.write_all(&[0; 8]).map_err(failed)?;
        Ok(Self { file, path: Some(path) })
    }

    /// Its name, for the process that is to write it and for [`again`](Marks::again).
    pub fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// The same file for another reader, without the duty to remove it.
    pub fn again(&self) -> Result<Self> {
        let file = File::open(self.path()).map_err(|e| Error::io("opening", self.path(), &e))?;
        Ok(Self { file, path: None })
    }

    /// Removes the name: those who have the file open keep it.
    pub fn forget(&mut self) {
        if let Some(path) = self.path.take() {
            let _ = std::fs::remove_file(path);
        }
    }

    /// How many things the process has begun.
    pub fn read(&self) -> u64 {
        let (mut file, mut eight) = (&self.file, [0; 8]);
        let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_exact(&mut eight));
        if read.is_ok() { u64::from_ne_bytes(eight) } else { 0 }
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        self.forget();
    }
}
