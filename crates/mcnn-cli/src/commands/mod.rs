//! The verbs. Each takes checked arguments and returns a report; none prints a result.

pub mod compare;
pub mod demo;
pub mod eval;
pub mod explain;
pub mod inspect;
pub mod learn;
pub mod make;
pub mod train;

use std::path::Path;

use mcnn::{
    Error, Result,
    data::{ActionRange, Demonstrations, ReadOptions},
    error::Kind,
};

use crate::args::{InputOptions, Output};

/// What a verb came to.
pub trait Report {
    /// One line of JSON.
    fn json(&self) -> String;
    /// The same for people.
    fn text(&self) -> String;
    /// 0 for done, 1 for no, 2 for failed, 130 for interrupted.
    fn exit_code(&self) -> u8 {
        0
    }
}

/// JSON of plain values, which cannot fail.
pub fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("a report is plain values")
}

pub fn read(path: &Path, options: InputOptions) -> Result<Demonstrations> {
    let range = if options.clip_actions { ActionRange::Clip } else { ActionRange::Refuse };
    mcnn::data::read(path, &ReadOptions { range, drop_last: options.d4rl_drop_last })
}

/// Refuses early, before hours of work, what could not be written at the end.
pub fn check_output(output: &Output) -> Result<()> {
    if output.path.is_dir() {
        return Err(Error::io("writing", &output.path, &std::io::ErrorKind::IsADirectory.into()));
    }
    if output.path.exists() && !output.force {
        return Err(Error::new(Kind::File, "the output is already there")
            .at(output.path.display().to_string())
            .next("--force overwrites it"));
    }
    check_folder(&output.path)
}

/// Refuses a path whose folder is not there.
pub fn check_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok(());
    }
    Err(Error::new(Kind::File, "there is no folder to write to")
        .at(folder.display().to_string())
        .next(format!("mkdir -p {}", folder.display())))
}
