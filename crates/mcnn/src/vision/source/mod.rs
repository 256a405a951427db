//! Recordings of frames: robot data with cameras, one file of frames, or a folder of pictures with a list of the actions.

mod cameras;
mod csv;
mod folder;
mod one_file;
mod picture;
mod pixels;
mod tub;
mod udacity;

use std::path::{Path, PathBuf};

use super::frames::Frames;
use crate::{
    data::{DimensionNames, Parts, Selection, has_cameras},
    error::Result,
};

pub use pixels::{Layout, Range};

/// Properties of a recording that a reader cannot always detect, and what is read of it.
#[derive(Debug, Clone, Default)]
pub struct SourceOptions {
    /// Height and width of frames that lie flat in a row; by default they are square.
    pub size: Option<[usize; 2]>,
    /// The order of a frame's dimensions.
    pub layout: Option<Layout>,
    /// The value of white.
    pub range: Option<Range>,
    /// The cameras, in this order: arrays, datasets or features that have the frames. By default all that are there; of one file
    /// (D4RL's HDF5, `.npz`) it is one.
    pub cameras: Vec<String>,
    /// Whether the states are read as well ([`Source::labels`]): those of `selection`.
    pub with_state: bool,
    /// The keys of states and actions, and the episodes.
    pub selection: Selection,
    /// Which columns of a folder's list are the actions, in order; by default all that are neither the frame nor one of
    /// the known names.
    pub actions: Vec<String>,
    /// Finds the program ffmpeg, which decodes videos; by default the one on the PATH. It is called if there are videos.
    pub ffmpeg: Option<fn() -> Result<PathBuf>>,
}

/// A recording of frames, opened.
pub struct Source {
    /// Actions, rewards, episode ends, and the states if they were asked for. Else `n_obs` is 1, and the states mean nothing.
    pub labels: Parts,
    /// Names of the dimensions of states and actions, where the source has them.
    pub names: DimensionNames,
    /// Number of steps. Each has a frame of every camera.
    pub n: usize,
    /// The names of the cameras.
    pub cameras: Vec<String>,
    /// Height and width of all frames of each camera, if known before they are read; not of a folder of pictures.
    pub sizes: Vec<Option<[usize; 2]>>,
    /// The keys of the states; empty if they were not asked for.
    pub state_keys: Vec<String>,
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
    /// Reads frames from step `from` on, in pieces, until the end or until `each` returns false. A piece has the frames of some
    /// steps of each camera; the frames of a camera in it have one size.
    fn read_frames(&mut self, from: usize, each: &mut dyn FnMut(&[Frames]) -> Result<bool>) -> Result<()>;

    /// The name of a step's frame for error messages.
    fn name(&self, frame: usize) -> String;
}

impl Source {
    /// Opens a recording: a LeRobot dataset, a replay buffer in zarr or robomimic's HDF5, with one camera or several; D4RL's HDF5 or
    /// an `.npz` of frames; or a folder of pictures: a donkeycar tub, a log of Udacity's simulator, or pictures with a CSV.
    ///
    /// # Errors
    /// What cannot be read or is none of these; frames of another shape than color frames; a row without its picture; a video that is
    /// missing or shorter than its episodes.
    pub fn open(path: &Path, options: &SourceOptions) -> Result<Self> {
        if has_cameras(path)? {
            cameras::open(path, options)
        } else if path.is_dir() {
            folder::open(path, options)
        } else {
            one_file::open(path, options)
        }
    }

    /// Reads the frames from step `from` on, in order, in pieces, until the end or until `each` returns false. `each` receives the
    /// frames of some steps, of each camera; the frames of a camera have one size in a piece.
    ///
    /// # Errors
    /// Frames that cannot be read or are outside their range, by name; those of `each`.
    pub fn read_frames(
        &mut self,
        from: usize,
        each: &mut dyn FnMut(&[Frames]) -> Result<bool>,
    ) -> Result<()> {
        self.frames.read_frames(from, each)
    }

    /// The name of a step's frame for messages: its file, or its number in the one file.
    pub fn name(&self, frame: usize) -> String {
        self.frames.name(frame)
    }

    /// The dimensions of the states that are joined with the embeddings; 0 without states.
    pub fn n_state(&self) -> usize {
        if self.state_keys.is_empty() { 0 } else { self.labels.n_obs }
    }
}

/// Size and modification time of a file, for [`Source::stamp`].
fn stamp(path: &Path) -> Result<String> {
    let about = std::fs::metadata(path).map_err(|e| crate::Error::io("reading", path, &e))?;
    let time = about.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    Ok(format!("{} bytes at {}", about.len(), time.map_or(0, |t| t.as_nanos())))
}
