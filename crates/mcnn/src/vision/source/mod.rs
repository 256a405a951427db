//! Recordings of frames: one file of them all, or a folder of pictures with a list of what was done.

mod csv;
mod folder;
mod one_file;
mod picture;

use std::path::Path;

use super::frames::Frames;
use crate::{data::Parts, error::Result};

pub use one_file::{Layout, Range};

/// What a reader cannot always know by looking.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceOptions {
    /// Height and width of frames that lie flat in a row; by default they are square.
    pub size: Option<[usize; 2]>,
    /// In which order a frame's numbers lie.
    pub layout: Option<Layout>,
    /// What white is.
    pub range: Option<Range>,
    /// Which columns of a folder's list are the actions, in order; by default all that are neither the frame nor one of
    /// the known names.
    pub actions: Vec<String>,
}

/// A recording of frames, opened.
pub struct Source {
    /// What was done: a recording without observations, whose width is given as 1.
    pub labels: Parts,
    /// Names of the dimensions of the actions, where one file has them.
    pub action_names: Option<Vec<String>>,
    /// Frames.
    pub n: usize,
    /// Height and width of all frames, where that is known before they are read: of one file, not of a folder.
    pub size: Option<[usize; 2]>,
    /// What was recognized, in a few words for people each.
    pub notes: Vec<String>,
    /// A text that changes with the source: its sizes and times, not its every byte.
    pub stamp: String,
    frames: Box<dyn Play>,
}

/// What gives the frames.
trait Play: Send {
    /// Frames from number `from` on, in pieces of one size each, until there are no more or `each` answers false.
    fn play(&mut self, from: usize, each: &mut dyn FnMut(Frames) -> Result<bool>) -> Result<()>;

    /// What a frame is called in an error.
    fn name(&self, frame: usize) -> String;
}

impl Source {
    /// Opens D4RL's HDF5 or an `.npz` of frames, or a folder of pictures: a donkeycar tub, a log of Udacity's simulator,
    /// or pictures with a CSV.
    ///
    /// # Errors
    /// What cannot be read or is none of these; frames of another shape than color frames; a row without its picture.
    pub fn open(path: &Path, options: &SourceOptions) -> Result<Self> {
        if path.is_dir() { folder::open(path, options) } else { one_file::open(path, options) }
    }

    /// The frames from number `from` on, in order, in pieces of one size each, until there are no more or `each` answers
    /// false.
    ///
    /// # Errors
    /// Frames that cannot be read or are outside their range, by name; those of `each`.
    pub fn play(&mut self, from: usize, each: &mut dyn FnMut(Frames) -> Result<bool>) -> Result<()> {
        self.frames.play(from, each)
    }

    /// What a frame is called, for people: its file, or its number in the one file.
    pub fn name(&self, frame: usize) -> String {
        self.frames.name(frame)
    }
}

/// Size and time of a file: what [`Source::stamp`] is made of.
fn stamp(path: &Path) -> Result<String> {
    let about = std::fs::metadata(path).map_err(|e| crate::Error::io("reading", path, &e))?;
    let time = about.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    Ok(format!("{} bytes at {}", about.len(), time.map_or(0, |t| t.as_nanos())))
}
