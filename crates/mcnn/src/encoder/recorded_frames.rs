//! The training set of an encoder: recorded frames with the demonstrated actions, in memory.

use std::ops::Range;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::{
    data::{
        ActionRange, ActionSettings, ActionUnits, DimensionNames, EpisodeGroups, FrameFile, Pieces,
        block_steps, interior, mixed,
    },
    error::{Error, Kind, Result},
    vision::{Frames, Preset, Size, Source},
};

/// Recorded frames of one size, as bytes, with the demonstrated actions. With several cameras, the frames of a step follow one
/// another, each with the step's action: one encoder serves all cameras.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedFrames {
    /// The preprocessing. Frames are resized already, but not normalized.
    pub preset: Preset,
    /// Height and width in pixels.
    pub size: [usize; 2],
    /// The number of cameras.
    pub cameras: usize,
    /// Frames: `[n, height, width, 3]`, 0 to 255.
    pub frames: Vec<u8>,
    /// Dimension of an action.
    pub n_act: usize,
    /// Actions: `[n, n_act]`.
    pub actions: Vec<f32>,
    /// The end of each episode (exclusive), as an index of frames.
    pub ends: Vec<usize>,
    /// The frames at each end of an episode that do not validate: `[episodes]`, 0 unless the episode is a piece of a recording.
    pub margins: Vec<usize>,
}

impl RecordedFrames {
    /// Reads a recording. Pixels of other types are rounded to bytes. `watch` receives the number of frames read so far and
    /// returns false to stop; the result is then `None`.
    ///
    /// # Errors
    /// Actions that are not finite, frames that cannot be read, of different sizes, or more than fit
    /// in memory.
    pub fn read(
        source: &mut Source,
        preset: Preset,
        range: ActionRange,
        watch: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Option<Self>> {
        let mut labels = FrameFile::check_labels(&source.labels, range)?;
        // The encoder predicts actions in [-1, 1].
        let units = ActionUnits::fit(&labels, &DimensionNames::default(), &ActionSettings::default())?;
        units.to_scaled(&[], 1, &mut labels.actions);
        let resize_only = Preset { normalize: false, ..preset };
        let (mut size, mut frames, mut pixels) = (None, Vec::<u8>::new(), Vec::new());
        let cameras = source.cameras.len();
        let (n, mut go_on) = (source.n.saturating_mul(cameras), true);
        source.read_frames(0, &mut |found| {
            for (i, found) in (0..found[0].len()).flat_map(|i| found.iter().map(move |found| (i, found))) {
                pixels.clear();
                let frame_size = resize_only.apply(found, i..i + 1, &mut pixels);
                let first = *size.get_or_insert(frame_size);
                if frame_size != first {
                    return Err(Error::new(Kind::Mismatch, "frames of different sizes")
                        .expected(format!("{} x {} pixels, as the frames before", first[0], first[1]))
                        .found(format!("{} x {}", frame_size[0], frame_size[1]))
                        .next("--preset normalized:HEIGHTxWIDTH resizes them to one size"));
                }
                if frames.is_empty() {
                    frames.try_reserve_exact(n.saturating_mul(pixels.len())).map_err(|e| {
                        Error::new(Kind::Data, "more frames than fit in memory")
                            .found(format!("{n} frames of {} x {}: {e}", frame_size[0], frame_size[1]))
                            .next("--preset normalized:48x48 makes them smaller")
                    })?;
                }
                frames.extend(pixels.iter().map(|v| (v * 255.0).round() as u8));
            }
            go_on = watch(frames.len() / pixels.len().max(1) / cameras);
            Ok(go_on)
        })?;
        if !go_on {
            return Ok(None);
        }
        let size = size.unwrap_or([0, 0]);
        if frames.len() != n * size[0] * size[1] * 3 || frames.is_empty() {
            return Err(Error::new(Kind::Data, "the recording ended early").expected(format!("{n} frames")));
        }
        let n_act = labels.n_act;
        let actions = labels.actions.chunks_exact(n_act).flat_map(|row| row.repeat(cameras)).collect();
        let ends: Vec<usize> = labels.ends.iter().map(|end| end * cameras).collect();
        let margins = vec![0; ends.len()];
        Ok(Some(Self { preset, size, cameras, frames, n_act, actions, ends, margins }))
    }

    /// The number of frames.
    pub fn len(&self) -> usize {
        self.actions.len() / self.n_act.max(1)
    }

    /// Whether there are no frames.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// SHA-256 over sizes, episode ends, frames and actions, as hexadecimal.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let sizes = [self.size[0], self.size[1], self.n_act, self.ends.len()];
        sizes.iter().chain(&self.ends).for_each(|&n| hash.update((n as u64).to_le_bytes()));
        hash.update(&self.frames);
        self.actions.iter().for_each(|v| hash.update(v.to_le_bytes()));
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The network's input for each value of a byte, by channel: the normalization of the preset.
    pub(super) fn levels(&self) -> [[f32; 256]; 3] {
        let pixels = (0..256).flat_map(|v| [v as f32; 3]).collect();
        let all = Frames { size: [1, 256], pixels, full: 255.0, bytes: true };
        let mut out = Vec::new();
        Preset { size: Size::Own, ..self.preset }.apply(&all, 0..1, &mut out);
        std::array::from_fn(|c| std::array::from_fn(|v| out[3 * v + c]))
    }

    /// Cuts the episodes into pieces of `steps` steps, as [`Demonstrations::cut`](crate::data::Demonstrations::cut).
    ///
    /// # Panics
    /// If `steps` is 0.
    pub fn cut(&mut self, steps: usize) {
        let Pieces { ends, margins, .. } = Pieces::new(&self.ends, steps.saturating_mul(self.cameras));
        (self.ends, self.margins) = (ends, margins);
    }

    /// Cuts a single recording into contiguous blocks, as [`Demonstrations::blocks`](crate::data::Demonstrations::blocks), and gives
    /// their number of frames. `None`, and nothing changes, if there are two recordings or more, or too few frames.
    pub fn cut_into_blocks(&mut self) -> Option<usize> {
        if self.groups().len() > 1 {
            return None;
        }
        let longest = (0..self.ends.len()).rev().max_by_key(|&k| self.episode(k).len())?;
        let rows = self.episode(longest);
        let steps = block_steps(rows.len() / self.cameras)?;
        let frame = self.frames.len() / self.len();
        self.frames.truncate(rows.end * frame);
        self.frames.drain(..rows.start * frame);
        self.actions.truncate(rows.end * self.n_act);
        self.actions.drain(..rows.start * self.n_act);
        self.ends = vec![rows.len()];
        self.cut(steps);
        Some(steps)
    }

    /// The frames of episode `k`, as indices.
    fn episode(&self, k: usize) -> Range<usize> {
        let start = if k == 0 { 0 } else { self.ends[k - 1] };
        start..self.ends[k]
    }

    /// The groups of episodes that coincide: copies, also with some frames missing at an end.
    pub fn groups(&self) -> EpisodeGroups {
        let frame = self.frames.len() / self.len();
        let word = |bytes: &[u8]| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        };
        let hash = |row: usize| {
            let pixels = self.frames[row * frame..][..frame].chunks(8);
            (pixels.fold(0, |hash, bytes| mixed(hash, word(bytes))) >> 32) as u32
        };
        let hashes: Vec<u32> = (0..self.len()).into_par_iter().map(hash).collect();
        let traces: Vec<Vec<u32>> = (0..self.ends.len()).map(|k| hashes[self.episode(k)].to_vec()).collect();
        let of_actions = |k: usize| {
            let Range { start, end } = self.episode(k);
            let values = &self.actions[start * self.n_act..end * self.n_act];
            values.iter().fold(0, |hash, v| mixed(hash, u64::from((v + 0.0).to_bits())))
        };
        let actions: Vec<u64> = (0..self.ends.len()).map(of_actions).collect();
        EpisodeGroups::of_hashes(&traces, &actions)
    }

    /// The frames of the training episodes and of the validation episodes, as indices. The split is that of
    /// [`Demonstrations::split`](crate::data::Demonstrations::split), so that a policy trained on embeddings with the encoder's
    /// seed is validated on frames that the encoder was not trained on. Margins of pieces do not validate.
    pub(super) fn split(&self, validation_fraction: f64, seed: crate::seed::Seed) -> [Vec<usize>; 2] {
        if validation_fraction <= 0.0 || self.ends.len() < 2 {
            return [(0..self.len()).collect(), Vec::new()];
        }
        let [training, validation] = self.groups().split(validation_fraction, seed);
        let inner = |&k: &usize| interior(self.episode(k), self.margins[k]);
        [
            training.iter().flat_map(|&k| self.episode(k)).collect(),
            validation.iter().flat_map(inner).collect(),
        ]
    }
}
