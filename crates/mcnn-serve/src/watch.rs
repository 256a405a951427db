//! Watching the policy's file, to serve an edited one without a restart.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, SystemTime},
};

use mcnn::error::Result;

use crate::{hub::Hub, live::Served};

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_millis(250);

/// The file of the policy, and how it is read.
pub struct Watched {
    /// The file.
    pub path: PathBuf,
    /// Reads it, with the settings that the server was started with.
    pub load: Box<dyn Fn() -> Result<Served> + Send>,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What tells one content of a file from another without reading it. `None`: no file.
type Stamp = Option<(u64, SystemTime, u64)>;

/// Looks at the file until the server stops, and replaces the policy when it has changed. A file that vanished, is half-written or
/// does not fit leaves the policy as it is; that is said once for each content of the file.
pub(crate) fn watch(hub: &Hub, watched: &Watched) {
    let mut seen = None; // the file may have changed since it was read
    while !hub.is_stopping() {
        std::thread::sleep(INTERVAL);
        let now = stamp(&watched.path);
        if seen == Some(now) {
            continue;
        }
        let place = watched.path.display();
        match now {
            None => hub.say(&format!("{place} has vanished; the policy read before stays in use")),
            Some(_) => reload(hub, watched),
        }
        // The stamp from before the reading: a file that was written to meanwhile is read again.
        seen = Some(now);
    }
}

fn reload(hub: &Hub, watched: &Watched) {
    let place = watched.path.display();
    let before = hub.live.current();
    let replaced = (watched.load)().and_then(|served| {
        if served.fingerprint == before.fingerprint {
            return Ok(None);
        }
        let memories = served.policy.codebook().len();
        let fingerprint = served.fingerprint.clone();
        hub.live.replace(served).map(|continues| Some((memories, fingerprint, continues)))
    });
    match replaced {
        Ok(None) => {}
        Ok(Some((memories, fingerprint, continues))) => {
            hub.metrics.swaps.fetch_add(1, Relaxed);
            let history =
                if continues { "" } else { "; its networks are others, so that sessions start anew" };
            let short = fingerprint.get(..12).unwrap_or(&fingerprint);
            hub.say(&format!("{place} has changed: now {memories} memories, content hash {short}{history}"));
        }
        Err(error) => {
            hub.metrics.failed_swaps.fetch_add(1, Relaxed);
            hub.say(&format!(
                "{place} has changed but cannot be used; the policy read before stays in use: {error}"
            ));
        }
    }
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

fn stamp(path: &std::path::Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), inode(&metadata)))
}
