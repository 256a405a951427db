//! The training set of an encoder: recorded frames with the demonstrated actions, in memory.

use sha2::{Digest as _, Sha256};

use crate::{
    data::{ActionRange, ActionSettings, ActionUnits, DimensionNames, FrameFile},
    error::{Error, Kind, Result},
    vision::{Frames, Preset, Size, Source},
};

/// Recorded frames of one size, as bytes, with the demonstrated actions.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedFrames {
    /// The preprocessing. Frames are resized already, but not normalized.
    pub preset: Preset,
    /// Height and width in pixels.
    pub size: [usize; 2],
    /// Frames: `[n, height, width, 3]`, 0 to 255.
    pub frames: Vec<u8>,
    /// Dimension of an action.
    pub n_act: usize,
    /// Actions: `[n, n_act]`.
    pub actions: Vec<f32>,
    /// The end of each episode (exclusive), as an index of frames.
    pub ends: Vec<usize>,
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
        let (n, mut go_on) = (source.n, true);
        source.read_frames(0, &mut |found| {
            for i in 0..found.len() {
                pixels.clear();
                let frame_size = resize_only.apply(&found, i..i + 1, &mut pixels);
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
            go_on = watch(frames.len() / pixels.len().max(1));
            Ok(go_on)
        })?;
        if !go_on {
            return Ok(None);
        }
        let size = size.unwrap_or([0, 0]);
        if frames.len() != n * size[0] * size[1] * 3 || frames.is_empty() {
            return Err(Error::new(Kind::Data, "the recording ended early").expected(format!("{n} frames")));
        }
        let (n_act, actions, ends) = (labels.n_act, labels.actions, labels.ends);
        Ok(Some(Self { preset, size, frames, n_act, actions, ends }))
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

    /// The frames of the training episodes and of the validation episodes, as indices. The split is that of
    /// [`Demonstrations::split`](crate::data::Demonstrations::split), so that a policy trained on embeddings with the encoder's
    /// seed is validated on frames that the encoder was not trained on.
    pub(super) fn split(&self, validation_fraction: f64, seed: crate::seed::Seed) -> [Vec<usize>; 2] {
        let n = self.ends.len();
        let n_validation = match validation_fraction > 0.0 && n > 1 {
            true => ((validation_fraction * n as f64).round() as usize).clamp(1, n - 1),
            false => 0,
        };
        let mut order = seed.rng().permutation(n);
        let (validation, training) = order.split_at_mut(n_validation);
        [training, validation].map(|episodes| {
            episodes.sort_unstable();
            let start = |i: usize| if i == 0 { 0 } else { self.ends[i - 1] };
            episodes.iter().flat_map(|&i| start(i)..self.ends[i]).collect()
        })
    }
}
