//! Claims: at any time, one process writes an output.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::Path,
};

use super::{
    resolve,
    temporary::{List, Own, Temporary, hidden, is_at},
};
use crate::error::{Error, Kind, Result};

/// The claim of a process to an output, from before the work to its end. It is a locked, hidden file beside the output, which is
/// removed with the claim. One that a killed process left is not locked, and is taken over.
#[derive(Debug)]
#[must_use = "the output is claimed only as long as this lives"]
pub struct Claim {
    _lock: Option<(Own, File)>, // removed, then unlocked; none of a device
}

impl Claim {
    /// Claims the output at `path`, and checks that it can be written: that its name is not too long, and that its folder exists,
    /// permits it and has some space. A device or pipe is not claimed.
    ///
    /// # Errors
    /// If it cannot be written, or another process has claimed it.
    pub fn new(path: &Path) -> Result<Self> {
        Self::lock(path, false, &mut |_| Err(claimed(path)))
    }

    /// The same of a folder, which may be there already.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn folder(path: &Path) -> Result<Self> {
        Self::lock(path, true, &mut |_| Err(claimed(path)))
    }

    /// The same; where another process has claimed the output, `waiting` is called and its end awaited.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn wait(path: &Path, waiting: &dyn Fn()) -> Result<Self> {
        Self::lock(path, false, &mut |lock| {
            waiting();
            lock.lock().map_err(|e| Error::io("locking", path, &e))
        })
    }

    fn lock(path: &Path, is_folder: bool, locked: &mut dyn FnMut(&File) -> Result<()>) -> Result<Self> {
        let io = |e: io::Error| Error::io("writing", path, &e);
        let place = resolve(path).map_err(io)?;
        match fs::metadata(&place) {
            Ok(found) if found.is_dir() && is_folder => {}
            Ok(found) if found.is_dir() => return Err(io(io::ErrorKind::IsADirectory.into())),
            Ok(found) if !found.is_file() => return Ok(Self { _lock: None }),
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io(e)), // its name is too long, say
            _ => {}
        }
        let lock = hidden(&place, "lock").map_err(io)?;
        loop {
            let mut list = List::lock();
            let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock);
            let file = opened.map_err(io)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    drop(list); // for as long as it waits
                    locked(&file)?;
                    list = List::lock();
                }
                // Some file systems have no locks; there, processes are on their own.
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            // Another process may have ended, and removed the file, between the two calls.
            if is_at(&file, &lock) {
                let claim = Self { _lock: Some((list.add(lock), file)) };
                drop(list);
                check_space(&place).map_err(io)?;
                return Ok(claim);
            }
        }
    }
}

fn claimed(path: &Path) -> Error {
    Error::new(Kind::File, "another process is writing this output")
        .at(path.display().to_string())
        .next("wait for it, or choose another output")
}

/// Checks that a file can be written at `place`: writes a temporary one and removes it.
fn check_space(place: &Path) -> io::Result<()> {
    let mut temporary = Temporary::create(place)?;
    temporary.file.write_all(&[0; 4096])?;
    temporary.file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<_> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_output_has_one_claim_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let claim = Claim::new(&path).unwrap();
        assert_eq!(names(folder.path()), [".a.lock"]);
        let refused = Claim::new(&path).unwrap_err().to_string();
        assert!(refused.contains("another process") && refused.contains("wait for it"), "{refused}");
        super::super::write(&path, b"one").unwrap(); // by its owner
        let waited = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                Claim::wait(&path, &|| waited.store(true, std::sync::atomic::Ordering::SeqCst)).unwrap()
            });
            while !waited.load(std::sync::atomic::Ordering::SeqCst) {
                std::thread::yield_now();
            }
            drop(claim);
            let claim = other.join().unwrap();
            assert!(Claim::new(&path).is_err(), "the one that waited has it now");
            drop(claim);
        });
        assert_eq!(names(folder.path()), ["a"]);
        drop(Claim::new(&path).unwrap());
    }

    #[test]
    fn a_claim_of_a_killed_process_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".a.lock"), b"").unwrap();
        drop(Claim::new(&folder.path().join("a")).unwrap());
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn an_output_that_cannot_be_written_is_not_claimed() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| Claim::new(path).unwrap_err().to_string();
        assert!(refused(folder.path()).contains("name a file, not a folder"));
        assert!(refused(&folder.path().join("none/a")).contains("check the path"));
        assert!(refused(&folder.path().join("a".repeat(256))).contains("choose a shorter name"));
        let long = folder.path().join("a".repeat(255)); // the longest name there is
        drop(Claim::new(&long).unwrap());
        super::super::write(&long, b"one").unwrap();
        assert_eq!(names(folder.path()), ["a".repeat(255)]);
        #[cfg(target_os = "linux")]
        {
            assert!(refused(Path::new("/proc/a")).contains("writing failed"), "a folder without permission");
            drop(Claim::new(Path::new("/dev/null")).unwrap());
        }
    }
}
