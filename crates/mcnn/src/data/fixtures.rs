//! Datasets that other libraries wrote (`tests/fixtures`), for tests.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use super::Arrays;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The contents of a zip, in a folder of its own.
pub(super) fn unpacked(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    zip::ZipArchive::new(File::open(path(name)).unwrap()).unwrap().extract(folder.path()).unwrap();
    folder
}

/// An array of an `.npz` of values that other libraries read: its width and its values.
pub(super) fn expected(name: &str, key: &str) -> (usize, Vec<f32>) {
    let path = path(name);
    let length = std::fs::metadata(&path).unwrap().len();
    let mut arrays = Arrays::open(&path, length, "expected values").unwrap();
    match arrays.table(key) {
        Ok((_, width, values)) => (width, values),
        Err(_) => (1, arrays.vector(key).unwrap()),
    }
}
