//! What the targets share: bytes as a file, in memory where there is such a place.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The file that every input is written to, one for each process.
pub fn file(bytes: &[u8]) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let path = folder.join(format!("mcnn-fuzz-{}", std::process::id()));
    fs::write(&path, bytes).expect("a file for the input");
    path
}

/// A folder for the file's process, with some other files in it.
#[allow(dead_code)] // of the targets that read a file alone
pub fn folder(of: &Path, files: &[(&str, &str)]) -> PathBuf {
    let folder = of.with_extension("folder");
    if !folder.exists() {
        for (name, text) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
    }
    folder
}
