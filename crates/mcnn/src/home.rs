//! The folder of files shared between runs: virtual environments and downloaded weights.

use std::{env, path::PathBuf};

use crate::error::{Error, Kind, Result};

/// The folder: MCNN_HOME, or `mcnn` in XDG_CACHE_HOME, or `.cache/mcnn` in HOME. It may not exist.
///
/// # Errors
/// If none of these variables is set.
pub fn home() -> Result<PathBuf> {
    let folder = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    folder("MCNN_HOME")
        .or_else(|| folder("XDG_CACHE_HOME").map(|f| f.join("mcnn")))
        .or_else(|| folder("HOME").map(|f| f.join(".cache/mcnn")))
        .ok_or_else(|| {
            Error::new(Kind::Settings, "there is no folder for downloads and virtual environments")
                .next("set MCNN_HOME to a folder")
        })
}
