//! What the targets share: bytes as a file, in memory where there is such a place.

use std::path::PathBuf;

/// The file that every input is written to, one for each process.
pub fn file(bytes: &[u8]) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let path = folder.join(format!("mcnn-fuzz-{}", std::process::id()));
    std::fs::write(&path, bytes).expect("a file for the input");
    path
}
