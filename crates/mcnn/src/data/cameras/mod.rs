//! Recordings of camera frames in the formats of robot data: LeRobot, zarr and robomimic. Actions, rewards, states and episodes are in
//! memory; frames are read step by step, so that memory does not grow with their number.
//!
//! The formats give [`Rows`]: pixels, or pictures as they are stored. Videos are given as [`Clip`]s. Decoding pictures and videos is not
//! done here.

mod blocks;
mod select;

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    DimensionNames, Format, Origin, Parts, Selection, foreign, lerobot, minari,
    read::{load, recognize},
    robomimic, zarr,
};
use crate::error::{Error, Result};
use blocks::Blocks;
pub(super) use blocks::{Block, ReadBlocks, check_chunks};
pub(super) use select::select;

/// Frames as they are stored, one after another.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// Unsigned bytes.
    Bytes(Vec<u8>),
    /// Floats; those of 64 bits were rounded to 32.
    Floats(Vec<f32>),
    /// Pictures, each a file of PNG or JPEG.
    Pictures(Vec<Vec<u8>>),
}

/// A reader of the frames of one camera.
pub trait ReadRows: Send {
    /// The frames of some steps, at least one. It is fastest for steps in increasing order.
    ///
    /// # Errors
    /// Damaged files, and frames that do not fit the memory limit.
    fn rows(&mut self, steps: Range<usize>) -> Result<Rows>;
}

/// Steps of an episode in a video.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// The file of the video.
    pub file: PathBuf,
    /// The steps of the recording, counted over all episodes.
    pub steps: Range<usize>,
    /// The number of the episode in the source.
    pub episode: u32,
    /// The presentation time of each step's frame in seconds.
    pub times: Vec<f64>,
}

/// Where the frames of a camera are.
pub enum CameraFrames {
    /// Pixels, or pictures.
    Rows(Box<dyn ReadRows>),
    /// Videos: the clips of all episodes in order.
    Video(Vec<Clip>),
}

/// A camera of a recording.
pub struct Camera {
    /// Its key in the source.
    pub name: String,
    /// The shape of a frame, as the source says.
    pub shape: Vec<usize>,
    /// Its frames, one for each step.
    pub frames: CameraFrames,
}

impl Camera {
    /// A camera whose frames are stored in blocks.
    pub(super) fn of_blocks(name: String, shape: Vec<usize>, store: impl ReadBlocks + 'static) -> Self {
        Self { name, shape, frames: CameraFrames::Rows(Box::new(Blocks::new(store))) }
    }
}

/// What is asked of a reader of cameras.
pub(super) struct Request<'a> {
    pub path: &'a Path,
    /// The bytes of the file; 0 of a folder.
    pub length: u64,
    /// The keys of the cameras; empty for all.
    pub asked: &'a [String],
    pub episodes: &'a Episodes,
}

/// The cameras of a recording, and the files that they are in.
pub(super) type Found = (Vec<Camera>, Vec<PathBuf>);

/// A recording of the frames of one camera or several, opened.
pub struct CameraRecording {
    /// Actions, rewards and episode ends; states, if they were asked for (else a dimension of zeros).
    pub labels: Parts,
    /// Names of the dimensions, where the source has them.
    pub names: DimensionNames,
    /// The keys of states and actions, and the frame rate.
    pub origin: Origin,
    /// The cameras, in the order asked for.
    pub cameras: Vec<Camera>,
    /// The format.
    pub format: Format,
    /// What a user should know of how the source was read.
    pub notes: Vec<String>,
    /// The numbers of the episodes in the source, in order.
    pub episodes: Vec<u32>,
    /// Files whose size or time of change tells that the recording changed.
    pub files: Vec<PathBuf>,
}

/// Whether a path is a recording that [`CameraRecording::open`] opens, and not one of [`FrameFile`](super::FrameFile) or a folder of pictures.
///
/// # Errors
/// A path that does not exist, and a version of a format that is not read.
pub fn has_cameras(path: &Path) -> Result<bool> {
    if path.is_dir() {
        let lerobot = lerobot::recognize(path).map_err(|e| e.within(path.display()))?;
        return Ok(lerobot.is_some() || minari::recognize(path).is_some() || zarr::is_folder(path));
    }
    let (format, _) = recognize(path)?;
    Ok(!matches!(format, Format::D4rl | Format::Npz))
}

impl CameraRecording {
    /// Opens a LeRobot dataset, a replay buffer in zarr or robomimic's HDF5. `cameras` are keys of the source; if there are none, all
    /// cameras are taken, in the order of their names.
    ///
    /// # Errors
    /// As [`read`](super::read()), of everything but the frames; a key that is no camera; a source without cameras.
    pub fn open(path: &Path, cameras: &[String], selection: &Selection) -> Result<Self> {
        let named = |e: Error| e.within(path.display());
        // Before the file is read, which may be large.
        let (format, length) = recognize(path)?;
        let reader = match format {
            Format::Zarr => zarr::cameras,
            Format::Robomimic => robomimic::cameras,
            Format::LeRobotV2 | Format::LeRobotV3 => lerobot::cameras,
            _ => return Err(named(foreign::frames_of(format))),
        };
        let (_, source) = load(path, selection)?;
        if let Some(e) = source.beyond {
            return Err(e);
        }
        let episodes = Episodes::new(source.episode_numbers, &source.parts.ends);
        let request = Request { path, length, asked: cameras, episodes: &episodes };
        let (cameras, files) = reader(&request).map_err(named)?;
        let (labels, names, origin, notes) = (source.parts, source.names, source.origin, source.notes);
        Ok(Self { labels, names, origin, cameras, format, notes, episodes: episodes.numbers, files })
    }
}

/// The episodes that are read: their numbers in the source, and the steps of each.
#[derive(Clone)]
pub(super) struct Episodes {
    pub numbers: Vec<u32>,
    starts: Vec<usize>,
    end: usize,
}

impl Episodes {
    fn new(numbers: Vec<u32>, ends: &[usize]) -> Self {
        let starts = std::iter::once(0).chain(ends.iter().copied()).take(ends.len()).collect();
        Self { numbers, starts, end: ends.last().copied().unwrap_or(0) }
    }

    /// The steps of an episode, by its position.
    pub fn steps(&self, k: usize) -> Range<usize> {
        self.starts[k]..self.starts.get(k + 1).copied().unwrap_or(self.end)
    }

    /// The position of the episode of a step, and the step's place in it.
    pub fn locate(&self, step: usize) -> (usize, usize) {
        let k = self.starts.partition_point(|start| *start <= step).saturating_sub(1);
        (k, step - self.starts[k])
    }
}
