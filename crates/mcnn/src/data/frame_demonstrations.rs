//! Demonstrations whose observations are frames, in memory: as bytes, a quarter of the memory of floats.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::{ActionRange, FrameFile, Parts, Recording, column::Column, hdf5_write, write};
use crate::error::{Error, Kind, Result};

/// Episodes of frames and actions, validated on construction.
#[derive(Debug, Clone)]
pub struct FrameDemonstrations {
    labels: Parts,
    size: [usize; 2],
    frames: Vec<u8>,
}

impl FrameDemonstrations {
    /// `labels`: actions, rewards and episode ends; its states are ignored. `frames` is `[n_steps, height, width, 3]`, of `size`
    /// (height, width).
    ///
    /// # Errors
    /// As [`Demonstrations::new`](super::Demonstrations::new), and a number of frames other than that of steps.
    pub fn new(labels: Parts, size: [usize; 2], frames: Vec<u8>) -> Result<Self> {
        let labels = FrameFile::check_labels(&labels, ActionRange::Refuse)?;
        let expected = labels.actions.len() / labels.n_act * size[0] * size[1] * 3;
        if frames.len() != expected || frames.is_empty() {
            return Err(Error::new(Kind::Data, "frames and actions have different numbers of steps")
                .at("frames")
                .expected(format!("{expected} bytes, of frames of {} x {} x 3", size[0], size[1]))
                .found(frames.len().to_string()));
        }
        Ok(Self { labels, size, frames })
    }

    /// Actions, rewards and episode ends, without observations.
    pub fn labels(&self) -> &Parts {
        &self.labels
    }

    /// Height and width of a frame.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// All frames: `[n_steps, height, width, 3]`.
    pub fn frames(&self) -> &[u8] {
        &self.frames
    }

    /// Steps in all episodes together.
    pub fn n_steps(&self) -> usize {
        self.labels.actions.len() / self.labels.n_act
    }

    /// SHA-256 over widths, episode ends, frames and actions, as hexadecimal. Rewards are not included.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let widths = [self.size[0], self.size[1], self.labels.n_act, self.labels.ends.len()];
        for n in widths.into_iter().chain(self.labels.ends.iter().copied()) {
            hash.update((n as u64).to_le_bytes());
        }
        hash.update(&self.frames);
        hash.update(self.labels.actions.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Writes an HDF5 file as [`write_hdf5`](super::write_hdf5) does; `observations` has the layout of D4RL's CARLA files:
    /// one row of height x width x 3 values per step, here as bytes.
    ///
    /// # Errors
    /// As [`write_hdf5`](super::write_hdf5).
    pub fn write_hdf5(&self, path: &Path, recording: &Recording) -> Result<()> {
        let frames = Column::bytes(self.size[0] * self.size[1] * 3, &self.frames);
        hdf5_write::write(path, frames, &self.labels, recording)
    }

    /// Writes an uncompressed `.npz`: `frames` (uint8, `[n_steps, height, width, 3]`), `actions` (float32),
    /// `episode_ends` (int64), `rewards` (float32) if there are rewards. Equal demonstrations give equal bytes.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write_npz(&self, path: &Path) -> Result<()> {
        write::write_frames(path, &self.labels, self.size, &self.frames)
    }
}
