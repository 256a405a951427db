//! Atomic writing of files: into a temporary file in the same folder, which is then renamed. An output is claimed before the work
//! that makes it.

mod claim;
mod temporary;

pub use claim::Claim;
use temporary::TemporaryFolder;
pub use temporary::{Temporary, exit};

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::error::{Error, Kind, Result};

/// Writes a file atomically: into a temporary file in the same folder, flushed to the disk, then renamed to `path`. An existing
/// file stays until the new one is complete, also after a crash or on a full disk. If `path` is a symbolic link, its target is
/// replaced or, if there is none yet, created. A device or pipe (`/dev/null`) is written to directly.
///
/// # Errors
/// Of the file system (no such folder, permissions, no space). The temporary file is removed.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_by(path, |file| file.write_all(bytes))
}

/// As [`write()`], of what `fill` writes to the file.
///
/// # Errors
/// Those of `fill` and of the file system. The temporary file is removed.
pub fn write_by(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    write_with(path, fill).map_err(|e| Error::io("writing", path, &e))
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

/// Writes a folder: `fill` is given the path of an empty temporary folder beside it, which is then renamed. A folder that is there is
/// replaced if `may_replace` says so of it: it is renamed first, and removed when the new one is there. If the machine fails between the
/// two, the next call restores it. The output must be claimed ([`Claim::folder`]).
///
/// # Errors
/// Those of `fill` and of the file system; a file, or another folder, in the place. The temporary folder is removed.
pub fn write_folder(
    path: &Path,
    may_replace: &dyn Fn(&Path) -> bool,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let io = |e: io::Error| Error::io("writing", path, &e);
    let place = resolve(path).map_err(io)?;
    let temporary = TemporaryFolder::create(&place).map_err(io)?;
    check_replaced(path, &place, may_replace)?;
    fill(temporary.path())?;
    check_replaced(path, &place, may_replace)?;
    temporary.rename(&place).map_err(io)
}

fn check_replaced(path: &Path, place: &Path, may_replace: &dyn Fn(&Path) -> bool) -> Result<()> {
    let is_empty = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    match fs::symlink_metadata(place) {
        Ok(found) if !(found.is_dir() && (is_empty(place) || may_replace(place))) => {
            Err(Error::new(Kind::File, "something else is in the place of the folder to be written")
                .at(path.display().to_string())
                .next("choose another output, or remove it"))
        }
        _ => Ok(()),
    }
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
    fn a_folder_is_written_whole_and_replaces_only_what_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let fill = |text: &'static str| {
            move |at: &Path| {
                fs::create_dir(at.join("b")).unwrap();
                fs::write(at.join("b/c"), text).map_err(|e| Error::io("writing", at, &e))
            }
        };
        let may = |there: &Path| there.join("b/c").is_file();
        write_folder(&path, &may, fill("one")).unwrap();
        write_folder(&path, &may, fill("two")).unwrap();
        assert_eq!(fs::read(path.join("b/c")).unwrap(), b"two");
        let failed = write_folder(&path, &may, |at| {
            fs::write(at.join("half"), "x").unwrap();
            Err(Error::new(Kind::Data, "no"))
        });
        assert!(failed.is_err() && fs::read(path.join("b/c")).unwrap() == b"two");
        let error = write_folder(&path, &|_| false, fill("three")).unwrap_err().to_string();
        assert!(error.contains("something else"), "{error}");
        fs::write(folder.path().join("file"), "x").unwrap();
        assert!(write_folder(&folder.path().join("file"), &may, fill("x")).is_err());
        // Of a machine that failed: before the new folder had its name, and after.
        fs::rename(&path, folder.path().join(".a.12.old")).unwrap();
        let failed = write_folder(&path, &may, |_| Err(Error::new(Kind::Data, "no")));
        assert!(failed.is_err() && fs::read(path.join("b/c")).unwrap() == b"two");
        fs::create_dir_all(folder.path().join(".a.12.old/b")).unwrap();
        fs::create_dir_all(folder.path().join(".a.mine.old")).unwrap();
        write_folder(&path, &may, fill("four")).unwrap();
        assert_eq!(names(folder.path()), [".a.mine.old", "a", "file"]);
        fs::remove_dir(folder.path().join(".a.mine.old")).unwrap();
        // Of a process that was killed.
        fs::create_dir_all(folder.path().join(".a.1-2.tmp/b")).unwrap();
        write_folder(&path, &may, fill("four")).unwrap();
        assert_eq!(names(folder.path()), ["a", "file"]);
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
