//! Temporary files, each beside the file that it will become. A temporary file is locked as long as its process lives, so that one
//! that a killed process left is recognized: it is not locked.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::resolve;
use crate::error::{Error, Kind, Result};

/// The hidden files of this process: temporary files and locks.
static OWN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Ends the process at once, for example at a signal, and leaves none of its temporary files and locks behind.
pub fn exit(code: i32) -> ! {
    let mut list = List::lock();
    for path in std::mem::take(&mut *list.0) {
        remove(&path);
    }
    // Other threads still run. As long as the list is locked, they create no other file.
    std::mem::forget(list);
    std::process::exit(code)
}

/// The locked list of hidden files. A file is created and added under one lock, so that [`exit`] misses none.
pub(super) struct List(MutexGuard<'static, BTreeSet<PathBuf>>);

impl List {
    pub fn lock() -> Self {
        Self(OWN.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn add(&mut self, path: PathBuf) -> Own {
        self.0.insert(path.clone());
        Own(path)
    }
}

/// Removes a hidden file or folder. There is nobody to tell of an error.
fn remove(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

/// A hidden file or folder of this process. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Own(PathBuf);

impl Own {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        List::lock().0.remove(&self.0);
        remove(&self.0); // one that was renamed is gone already
    }
}

/// A temporary file, which is to become an output. Dropping it removes it.
#[derive(Debug)]
pub struct Temporary {
    place: PathBuf,
    own: Own,
    pub(super) file: File,
}

impl Temporary {
    /// Creates an empty temporary file in the folder of an output. If `output` is a symbolic link: of its target.
    ///
    /// # Errors
    /// Of the file system, and if the output is a device or a pipe, which a file would replace.
    pub fn new(output: &Path) -> Result<Self> {
        if fs::metadata(output).is_ok_and(|found| !found.is_file()) {
            return Err(Error::new(Kind::File, "the output is no file")
                .at(output.display().to_string())
                .next("name a file: this output cannot be written to a device, a pipe or a folder"));
        }
        Self::beside(output)
    }

    /// Creates an empty temporary file in the folder of an output, which may be a folder itself, for what does not become the output.
    ///
    /// # Errors
    /// Of the file system.
    pub fn beside(output: &Path) -> Result<Self> {
        resolve(output).and_then(|place| Self::create(&place)).map_err(|e| Error::io("writing", output, &e))
    }

    /// Its path, for whoever writes it.
    pub fn path(&self) -> &Path {
        self.own.path()
    }

    /// Makes it the output: flushed to the disk, then renamed.
    ///
    /// # Errors
    /// Of the file system.
    pub fn persist(self) -> Result<()> {
        let place = self.place.clone();
        self.rename().map_err(|e| Error::io("writing", &place, &e))
    }

    /// Creates a temporary file for `place`, which has no links in it. Those that killed processes left for it are removed.
    pub(super) fn create(place: &Path) -> io::Result<Self> {
        remove_stale(place);
        loop {
            let path = unused(place)?;
            let mut list = List::lock();
            let file = match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue, // left by a process that was killed
                opened => opened?,
            };
            let own = list.add(path);
            drop(list);
            // Some file systems have no locks; nothing is taken for stale there. Before it is locked, the file looks stale, and may
            // be removed by another process.
            let _ = file.lock();
            if is_at(&file, own.path()) {
                return Ok(Self { place: place.to_owned(), own, file });
            }
        }
    }

    pub(super) fn rename(self) -> io::Result<()> {
        // Opened again, because it may have been replaced by whoever wrote it.
        File::open(self.path())?.sync_all()?;
        fs::rename(self.path(), &self.place)?;
        // The new name is durable after a flush of the folder; not all file systems support that.
        if let Some(folder) = self.place.parent() {
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }
}

/// A temporary folder, which is to become an output. Dropping it removes it.
#[derive(Debug)]
pub(super) struct TemporaryFolder {
    own: Own,
    _lock: Option<File>, // some systems do not open folders
}

impl TemporaryFolder {
    /// Creates an empty folder beside `place`, which has no links in it. The output is claimed: no other process replaces it. If one
    /// ended between the two names of a replaced folder, that folder is restored.
    pub fn create(place: &Path) -> io::Result<Self> {
        remove_stale(place);
        restore(place)?;
        loop {
            let path = unused(place)?;
            let mut list = List::lock();
            match fs::create_dir(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                created => created?,
            }
            let own = list.add(path);
            drop(list);
            let lock = File::open(own.path()).ok();
            if lock.as_ref().is_none_or(|lock| lock.lock().is_err() || is_at(lock, own.path())) {
                return Ok(Self { own, _lock: lock });
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.own.path()
    }

    /// Makes it the folder at `place`. One that is there is moved away, and removed when the new one is there.
    pub fn rename(self, place: &Path) -> io::Result<()> {
        sync(self.path())?;
        let before = hidden(place, &format!("{}.old", std::process::id()))?;
        let mut list = List::lock(); // no exit between the two names
        let replaces = fs::symlink_metadata(place).is_ok();
        if replaces {
            fs::rename(place, &before)?;
        }
        if let Err(e) = fs::rename(self.path(), place) {
            if replaces {
                let _ = fs::rename(&before, place); // the error is reported
            }
            return Err(e);
        }
        let before = replaces.then(|| list.add(before)); // removed at the end
        drop(list);
        if let Some(folder) = place.parent() {
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        drop(before);
        Ok(())
    }
}

/// Restores the folder at `place` that a process moved away and did not replace. If there is one at `place`, removes those that were moved.
fn restore(place: &Path) -> io::Result<()> {
    let moved: Vec<PathBuf> = beside(place, &|name| name.strip_suffix(".old").is_some_and(is_number));
    match (fs::symlink_metadata(place).is_ok(), &moved[..]) {
        (true, moved) => moved.iter().for_each(|path| remove(path)),
        (false, [one]) => fs::rename(one, place)?,
        (false, _) => {} // which of several is the newest is not known
    }
    Ok(())
}

/// Flushes all files in a folder.
fn sync(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { sync(&path)? } else { File::open(&path)?.sync_all()? }
    }
    Ok(())
}

/// The path of a hidden file or folder beside `place` that this process has not used yet.
fn unused(place: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    hidden(place, &format!("{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
}

/// The hidden file beside `place` whose name is that of `place` and an ending. Long names are shortened, so that it is not too long
/// where the name of `place` is not.
pub(super) fn hidden(place: &Path, ending: &str) -> io::Result<PathBuf> {
    let mut name = prefix(place)?;
    name.push(ending);
    Ok(place.with_file_name(name))
}

fn prefix(place: &Path) -> io::Result<OsString> {
    const LONGEST: usize = 200; // bytes; file systems allow 255
    let name = place.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut prefix = OsString::from(".");
    if name.len() <= LONGEST {
        prefix.push(name);
    } else {
        let mut hash = DefaultHasher::new();
        name.hash(&mut hash);
        let start: String = name.to_string_lossy().chars().take(LONGEST / 8).collect();
        prefix.push(format!("{start}-{:016x}", hash.finish()));
    }
    prefix.push(".");
    Ok(prefix)
}

/// Removes the temporary files of `place` that killed processes left.
fn remove_stale(place: &Path) {
    let is_temporary = |name: &str| {
        let Some((pid, count)) = name.strip_suffix(".tmp").and_then(|name| name.split_once('-')) else {
            return false;
        };
        is_number(pid) && is_number(count)
    };
    for path in beside(place, &is_temporary) {
        if let Ok(file) = File::open(&path)
            && file.try_lock().is_ok()
        {
            remove(&path);
        }
    }
}

/// The hidden files and folders beside `place` whose endings, as of [`hidden`], are those asked for.
fn beside(place: &Path, is_asked: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let (Ok(prefix), Some(folder)) = (prefix(place), place.parent()) else { return Vec::new() };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let is_one = |name: &OsString| {
        let ending = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
        ending.and_then(|ending| str::from_utf8(ending).ok()).is_some_and(is_asked)
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| is_one(&entry.file_name())).map(|entry| entry.path()).collect()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether an open file is the one at a path: it may have been removed, or replaced by another.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let id = |data: &fs::Metadata| (data.dev(), data.ino());
        matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if id(&a) == id(&b))
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}
