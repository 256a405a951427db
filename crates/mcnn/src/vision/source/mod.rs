//! Recordings of frames: one file, or a folder of pictures with a list of the actions.

mod csv;
mod folder;
mod one_file;
mod picture;
mod tub;
mod udacity;

use std::path::Path;

use super::frames::Frames;
use crate::{data::Parts, error::Result};

pub use one_file::{Layout, Range};

/// Properties of a recording that a reader cannot always detect.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceOptions {
    /// Height and width of frames that lie flat in a row; by default they are square.
    pub size: Option<[usize; 2]>,
    /// The order of a frame's dimensions.
    pub layout: Option<Layout>,
    /// The value of white.
    pub range: Option<Range>,
    /// The array or dataset of one file that has the frames; by default the one that is there. Others are left out.
    pub key: Option<String>,
    /// Which columns of a folder's list are the actions, in order; by default all that are neither the frame nor one of
    /// the known names.
    pub actions: Vec<String>,
}

/// A recording of frames, opened.
pub struct Source {
    /// Actions, rewards and episode ends. The states are empty, and `n_obs` is 1.
    pub labels: Parts,
    /// Names of the dimensions of the actions, where one file has them.
    pub action_names: Option<Vec<String>>,
    /// Number of frames.
    pub n: usize,
    /// Height and width of all frames, if known before they are read: for one file, not for a folder.
    pub size: Option<[usize; 2]>,
    /// What was recognized, as short texts.
    pub notes: Vec<String>,
    /// What was skipped, as sentences that name the file.
    pub warnings: Vec<String>,
    /// Identifies the source by sizes and modification times.
    pub stamp: String,
    frames: Box<dyn ReadFrames>,
}

/// A reader of frames.
trait ReadFrames: Send {
    /// Reads frames from number `from` on, in pieces of one frame size, until the end or until `each` returns false.
    fn read_frames(&mut self, from: usize, each: &mut dyn FnMut(Frames) -> Result<bool>) -> Result<()>;

    /// The name of a frame for error messages.
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

    /// Reads the frames from number `from` on, in order, in pieces of one frame size, until the end or until `each` returns false.
    ///
    /// # Errors
    /// Frames that cannot be read or are outside their range, by name; those of `each`.
    pub fn read_frames(&mut self, from: usize, each: &mut dyn FnMut(Frames) -> Result<bool>) -> Result<()> {
        self.frames.read_frames(from, each)
    }

    /// The name of a frame for messages: its file, or its number in the one file.
    pub fn name(&self, frame: usize) -> String {
        self.frames.name(frame)
    }
}

/// Size and modification time of a file, for [`Source::stamp`].
fn stamp(path: &Path) -> Result<String> {
    let about = std::fs::metadata(path).map_err(|e| crate::Error::io("reading", path, &e))?;
    let time = about.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    Ok(format!("{} bytes at {}", about.len(), time.map_or(0, |t| t.as_nanos())))
}
