//! Atomic writing of files: into a temporary file in the same folder, which is then renamed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::error::{Error, Result};

/// Writes a file atomically: into a temporary file in the same folder, flushed to the disk, then renamed to `path`. An existing
/// file stays until the new one is complete, also after a crash or on a full disk. If `path` is a symbolic link, its target is
/// replaced. A device or pipe (`/dev/null`) is written to directly.
///
/// # Errors
/// Of the file system (no such folder, permissions, no space). The temporary file is removed.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes)).map_err(|e| Error::io("writing", path, &e))
}

/// Writes a file atomically with a function that writes to a path: `fill` is given the path of an empty temporary file.
///
/// # Errors
/// Those of `fill` and of the file system. The temporary file is removed.
pub fn write_through(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let io = |e: io::Error| Error::io("writing", path, &e);
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let (temporary, file) = create_temporary(&place).map_err(io)?;
    drop(file);
    let written = fill(&temporary).and_then(|()| {
        let file = File::open(&temporary).map_err(io)?;
        file.sync_all().and_then(|()| fs::rename(&temporary, &place)).map_err(io)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary); // the first error is returned
    }
    written
}

fn write_with(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    // The target of a symbolic link, or the path itself if it does not exist yet.
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    match fs::metadata(&place) {
        // A device or pipe. Opening a folder for writing fails.
        Ok(found) if !found.is_file() => return fill(&mut OpenOptions::new().write(true).open(&place)?),
        _ => {}
    }
    let (temporary, mut file) = create_temporary(&place)?;
    let written =
        fill(&mut file).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, &place));
    if written.is_err() {
        let _ = fs::remove_file(&temporary); // the first error is returned
    } else if let Some(folder) = place.parent() {
        // The new name is durable after a flush of the folder; not all file systems support that.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    written
}

/// Creates a temporary file in the folder of `place`.
fn create_temporary(place: &Path) -> io::Result<(PathBuf, File)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = place.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    loop {
        let mut own = std::ffi::OsString::from(".");
        own.push(name);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        own.push(format!(".{}-{count}.tmp", std::process::id()));
        let temporary = place.with_file_name(own);
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {} // left by a process that was killed
            opened => return opened.map(|file| (temporary, file)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_written_and_replaced_and_no_temporary_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_temporary() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, b"one").unwrap();
        let error = write_with(&path, |file| {
            file.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn invalid_paths_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| write(path, b"x").unwrap_err().to_string();
        assert!(refused(folder.path()).contains("name a file, not a folder"));
        assert!(refused(&folder.path().join("none/a")).contains("check the path"));
        assert!(refused(Path::new("")).contains("writing failed"));
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn links_keep_their_names_and_devices_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, b"one").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write(&link, b"two").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"two");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());

        write(Path::new("/dev/null"), b"x").unwrap();
        let full = write(Path::new("/dev/full"), b"x").unwrap_err().to_string();
        assert!(full.contains("free some space"), "{full}");
    }
}
