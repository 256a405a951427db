//! A file that is read at positions.

use std::{fs::File, io};

/// A file that is read at positions, by any number of threads.
#[derive(Debug)]
pub(super) struct Positioned(File, #[cfg(not(unix))] std::sync::Mutex<()>);

impl Positioned {
    pub fn new(file: File) -> Self {
        Self(
            file,
            #[cfg(not(unix))]
            std::sync::Mutex::default(),
        )
    }

    pub fn get(&self) -> &File {
        &self.0
    }

    /// Fills a buffer from a position on.
    #[cfg(unix)]
    pub fn read(&self, to: &mut [u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, to, at)
    }

    /// Fills a buffer from a position on: by seeking, one thread at a time.
    #[cfg(not(unix))]
    pub fn read(&self, to: &mut [u8], at: u64) -> io::Result<()> {
        use io::{Read as _, Seek as _};
        let _turn = self.1.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut file = &self.0;
        file.seek(io::SeekFrom::Start(at))?;
        file.read_exact(to)
    }
}
