//! The keys of a zarr store and their bytes: a folder, or a zip of one. All keys are listed when it is opened, so no name that a
//! user or a file gives becomes a path.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{BufReader, Read as _},
    path::{Path, PathBuf},
};

use zip::ZipArchive;

use super::damaged;
use crate::error::{Error, Kind, Result};

/// The most folders inside one another.
const DEEPEST: usize = 32;
/// The files that describe a node.
pub(super) const METADATA: [&str; 3] = [".zgroup", ".zarray", "zarr.json"];

/// An open store.
pub(super) struct Store {
    entries: BTreeMap<String, Entry>,
    zip: Option<RefCell<ZipArchive<BufReader<File>>>>,
    /// Bytes of all files; of a zip, of the zip.
    pub length: u64,
}

/// A file of the store.
struct Entry {
    place: Place,
    length: u64,
}

enum Place {
    File(PathBuf),
    /// Its number in the zip.
    Zip(usize),
    /// A link that leads nowhere, a pipe or a device.
    Elsewhere,
}

impl Store {
    /// Opens a folder, or a zip of `length` bytes.
    pub fn open(path: &Path, length: u64) -> Result<Self> {
        if path.is_dir() { Self::folder(path) } else { Self::zip(path, length) }
    }

    /// Opens a folder.
    pub fn folder(path: &Path) -> Result<Self> {
        let mut store = Self { entries: BTreeMap::new(), zip: None, length: 0 };
        store.walk(path, "", 0, &mut HashSet::new())?;
        Ok(store)
    }

    /// Opens a zip of `length` bytes. The names in it may have a leading folder.
    pub fn zip(path: &Path, length: u64) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io("reading", path, &e))?;
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|e| damaged(e.to_string()))?;
        let name = |i| Some(zip.name_for_index(i)?.ok()?.into_owned());
        let names: Vec<Option<String>> = (0..zip.len()).map(name).collect();
        let root = root(names.iter().flatten().map(String::as_str));
        let mut entries = BTreeMap::new();
        for (i, name) in names.iter().enumerate() {
            if let Some(key) = name.as_deref().and_then(|name| name.strip_prefix(&*root)) {
                entries.insert(key.to_owned(), Entry { place: Place::Zip(i), length: 0 });
            }
        }
        let mut zip = zip;
        for entry in entries.values_mut() {
            let Place::Zip(i) = entry.place else { continue };
            entry.length = zip.by_index_raw(i).map_err(|e| damaged(e.to_string()))?.size();
        }
        Ok(Self { entries, zip: Some(RefCell::new(zip)), length })
    }

    /// Lists a folder. Links are followed, but no folder is listed twice, so that links may form circles.
    fn walk(&mut self, folder: &Path, prefix: &str, depth: usize, seen: &mut HashSet<PathBuf>) -> Result<()> {
        let io = |e| Error::io("reading", folder, &e);
        if depth > DEEPEST || !seen.insert(folder.canonicalize().map_err(io)?) {
            return Ok(());
        }
        for entry in std::fs::read_dir(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let (path, name) = (entry.path(), entry.file_name());
            let Some(name) = name.to_str() else { continue };
            let key = format!("{prefix}{name}");
            let (place, length) = match std::fs::metadata(&path) {
                Ok(about) if about.is_dir() => {
                    self.walk(&path, &format!("{key}/"), depth + 1, seen)?;
                    continue;
                }
                Ok(about) if about.is_file() => (Place::File(path), about.len()),
                _ => (Place::Elsewhere, 0),
            };
            self.length = self.length.saturating_add(length);
            self.entries.insert(key, Entry { place, length });
        }
        Ok(())
    }

    /// The keys that start with `prefix`, each with its rest.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let from = self.entries.range(prefix.to_owned()..);
        from.map_while(move |(key, _)| Some((key.as_str(), key.strip_prefix(prefix)?)))
    }

    /// The files of the keys that start with `prefix`, in a folder.
    pub fn files(&self, prefix: &str) -> Vec<PathBuf> {
        let file = |(key, _)| match self.entries.get(key).map(|entry| &entry.place) {
            Some(Place::File(path)) => Some(path.clone()),
            _ => None,
        };
        self.under(prefix).filter_map(file).collect()
    }

    /// The bytes of a key, if the store has it.
    ///
    /// # Errors
    /// If they cannot be read, or are more than `most`.
    pub fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>> {
        let Some(Entry { place, length }) = self.entries.get(key) else { return Ok(None) };
        let named = |e: Error| e.within(key);
        let too_many = || named(damaged(format!("more than {most} bytes")));
        if *length > most {
            return Err(too_many());
        }
        let mut bytes = Vec::new();
        match (place, &self.zip) {
            (Place::File(path), _) => {
                let file = File::open(path).map_err(|e| Error::io("reading", path, &e))?;
                file.take(most + 1).read_to_end(&mut bytes).map_err(|e| Error::io("reading", path, &e))?;
            }
            (Place::Zip(i), Some(zip)) => {
                let mut zip = zip.borrow_mut();
                let entry = zip.by_index(*i).map_err(|e| named(damaged(e.to_string())))?;
                entry.take(most + 1).read_to_end(&mut bytes).map_err(|e| named(damaged(e.to_string())))?;
            }
            _ => {
                return Err(named(Error::new(
                    Kind::File,
                    "only regular files are read, not pipes or devices",
                )));
            }
        }
        if bytes.len() as u64 > most { Err(too_many()) } else { Ok(Some(bytes)) }
    }
}

/// The folder in a zip that the store is in: where the metadata with the shortest path are. Empty if at the top.
fn root<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let of = |name: &'a str| METADATA.iter().find_map(|file| name.strip_suffix(file));
    let folders = names.filter_map(of).filter(|folder| folder.is_empty() || folder.ends_with('/'));
    folders.min_by_key(|folder| (folder.matches('/').count(), *folder)).unwrap_or_default().to_owned()
}

/// Whether a folder is a zarr store.
pub(in crate::data) fn is_folder(path: &Path) -> bool {
    let here = METADATA.iter().any(|file| path.join(file).is_file());
    here || METADATA[1..].iter().any(|file| path.join("meta/episode_ends").join(file).is_file())
}

/// Whether a zip with these names is a zarr store.
pub(in crate::data) fn is_zip<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    names.any(|name| METADATA.iter().any(|file| name == *file || name.ends_with(&format!("/{file}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_where_the_metadata_with_the_shortest_path_are() {
        let root = |names: &[&str]| root(names.iter().copied());
        assert_eq!(root(&["a/b/.zarray", "a/.zgroup", "a/c/.zgroup"]), "a/");
        assert_eq!(root(&["data/x/zarr.json", "zarr.json"]), "");
        assert_eq!(root(&["other.txt", "not.zgroup"]), "");
        assert!(is_zip(["x.txt", "a/zarr.json"].into_iter()) && !is_zip(["a.zgroup"].into_iter()));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_circles_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        std::fs::create_dir_all(path.join("data/x")).unwrap();
        std::fs::write(folder.path().join("elsewhere"), b"12345").unwrap();
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), path.join("data/x/0")).unwrap();
        std::os::unix::fs::symlink(&path, path.join("data/circle")).unwrap();
        std::os::unix::fs::symlink(path.join("nothing"), path.join("data/x/1")).unwrap();
        let store = Store::folder(&path).unwrap();
        assert_eq!(store.under("data/").map(|(_, rest)| rest).collect::<Vec<_>>(), ["x/0", "x/1"]);
        assert_eq!((store.length, store.get("data/x/0", 5).unwrap().unwrap()), (5, b"12345".to_vec()));
        assert!(store.get("data/x/0", 4).unwrap_err().to_string().contains("data/x/0"));
        assert!(store.get("data/x/1", 4).unwrap_err().to_string().contains("data/x/1"));
        assert_eq!(store.get("data/x/2", 4), Ok(None));
    }
}
