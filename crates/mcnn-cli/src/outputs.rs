//! The files that this process writes, for the message where its results cannot be printed.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// Paths with the time of their last change before this process wrote them; `None` of a file that was not there.
static NOTED: Mutex<Vec<(PathBuf, Option<SystemTime>)>> = Mutex::new(Vec::new());

fn noted() -> MutexGuard<'static, Vec<(PathBuf, Option<SystemTime>)>> {
    NOTED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn changed(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|about| about.modified()).ok()
}

/// Notes a file that is going to be written.
pub fn note(path: &Path) {
    let mut noted = noted();
    if noted.iter().all(|(known, _)| known != path) {
        noted.push((path.to_path_buf(), changed(path)));
    }
}

/// The files that were noted and have been written since.
pub fn written() -> Vec<String> {
    let noted = noted();
    let new = noted.iter().filter(|(path, before)| changed(path).is_some_and(|now| Some(now) != *before));
    new.map(|(path, _)| path.display().to_string()).collect()
}
