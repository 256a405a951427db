//! The folder of what is kept between runs: virtual environments, fetched weights.

use std::{env, path::PathBuf};

use crate::error::{Error, Kind, Result};

/// MCNN_HOME, or `mcnn` in XDG_CACHE_HOME, or `.cache/mcnn` at home. It need not exist.
///
/// # Errors
/// If no such variable is set.
pub fn home() -> Result<PathBuf> {
    let folder = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    folder("MCNN_HOME")
        .or_else(|| folder("XDG_CACHE_HOME").map(|f| f.join("mcnn")))
        .or_else(|| folder("HOME").map(|f| f.join(".cache/mcnn")))
        .ok_or_else(|| {
            Error::new(Kind::Settings, "there is no folder to keep things in between runs")
                .next("set MCNN_HOME to a folder")
        })
}
