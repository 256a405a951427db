//! Atomic writing of files: into a temporary file in the same folder, which is then renamed. An output is claimed before the work
//! that makes it.

mod claim;
mod temporary;

pub use claim::Claim;
pub use temporary::{Temporary, exit};

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// Writes a file atomically: into a temporary file in the same folder, flushed to the disk, then renamed to `path`. An existing
/// file stays until the new one is complete, also after a crash or on a full disk. If `path` is a symbolic link, its target is
/// replaced or, if there is none yet, created. A device or pipe (`/dev/null`) is written to directly.
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
    let temporary = Temporary::new(path)?;
    fill(temporary.path())?;
    temporary.persist()
}

fn write_with(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let place = resolve(path)?;
    match fs::metadata(&place) {
        // A device or pipe. Opening a folder for writing fails.
        Ok(found) if !found.is_file() => return fill(&mut OpenOptions::new().write(true).open(&place)?),
        _ => {}
    }
    let mut temporary = Temporary::create(&place)?;
    fill(&mut temporary.file)?;
    temporary.rename()
}

/// The place of the file at `path`: the target of a symbolic link, also of one whose target does not exist yet.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    const MOST_LINKS: usize = 40; // as on Linux
    let unresolved = match fs::canonicalize(path) {
        Ok(place) => return Ok(place),
        Err(e) => e,
    };
    let mut place = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&place) {
            Ok(target) => place = place.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => return Ok(place), // no link
        }
    }
    Err(unresolved)
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

    #[test]
    fn a_temporary_file_of_a_killed_process_is_removed_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a"), folder.path().join("a.b"));
        let in_use = Temporary::create(&path).unwrap();
        let kept = [".a.1-2.tmp.old", ".a.b.1-2.tmp", ".a.notes.tmp", "a.1-2.tmp"];
        for name in kept.iter().chain(&[".a.1-2.tmp"]) {
            fs::write(folder.path().join(name), b"x").unwrap();
        }
        write(&path, b"one").unwrap();
        let used = in_use.path().file_name().unwrap().to_str().unwrap().to_string();
        let mut expected: Vec<String> = kept.iter().map(ToString::to_string).collect();
        expected.extend([used, "a".into()]);
        expected.sort();
        assert_eq!(names(folder.path()), expected);
        write(&other, b"one").unwrap();
        assert!(!folder.path().join(".a.b.1-2.tmp").exists());
        in_use.persist().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[cfg(unix)]
    #[test]
    fn the_target_of_a_dangling_link_is_created() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        let link = |target: &str, name: &str| {
            let path = folder.path().join(name);
            std::os::unix::fs::symlink(target, &path).unwrap();
            path
        };
        let first = link("second", "first");
        link("b/target", "second");
        write(&first, b"one").unwrap();
        assert_eq!(fs::read(folder.path().join("b/target")).unwrap(), b"one");
        assert!(fs::symlink_metadata(&first).unwrap().is_symlink());
        let through = link("b/other", "through");
        write_through(&through, |path| fs::write(path, b"two").map_err(|e| Error::io("writing", path, &e)))
            .unwrap();
        assert_eq!(fs::read(folder.path().join("b/other")).unwrap(), b"two");
        assert!(
            write(&link("none/target", "nowhere"), b"x").unwrap_err().to_string().contains("check the path")
        );
        assert!(write(&link("round", "round"), b"x").is_err());
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
        assert!(
            write_through(Path::new("/dev/null"), |_| Ok(())).unwrap_err().to_string().contains("no file")
        );
        let full = write(Path::new("/dev/full"), b"x").unwrap_err().to_string();
        assert!(full.contains("free some space"), "{full}");
    }
}
