//! Embedding a recording of frames, piece by piece. Finished embeddings are kept in a file beside the output, so that an
//! interrupted run can be resumed.

use std::{cell::Cell, io::BufReader, path::Path};

use serde::Serialize;

use super::{
    batch::BatchEmbed,
    encoding::Encoding,
    frames::{Frames, Preset},
    partial_output::{PartialOutput, part_of},
    source::Source,
};
use crate::{
    data::{ActionRange, DimensionNames, FrameFile, write_npz_from},
    error::{Error, Kind, Result},
};

/// The largest and smallest batch, in frames, and the memory that a batch should take.
const MAX_BATCH: usize = 256;
const MIN_BATCH: usize = 32;
const BATCH_BYTES: usize = 64 << 20;

/// The result of embedding a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Embedded {
    /// Frames embedded by an earlier, interrupted run.
    pub resumed_from: usize,
    /// Steps (after the first of an episode) with the same embedding as the step before.
    pub still: usize,
    /// The longest run of one embedding, in steps.
    pub longest_still: usize,
    /// The number of that run's first frame.
    pub still_at: usize,
}

/// Embeds a recording into an `.npz` of demonstrations ([`read`](crate::data::read()) reads it). `watch` is
/// called with the number of finished frames; if it returns false, embedding stops with `None`, and the same call resumes it.
///
/// Memory: the actions and rewards of the whole recording, a piece of its frames, and the activations.
///
/// # Errors
/// Actions outside [-1, 1] (unless `range` clips them), frames that cannot be read, frames of different sizes where the
/// preset does not resize them, embeddings that are not finite, a half-finished file of something else, another process at
/// the same output, a device that fails, and errors of the file system.
pub fn embed(
    source: &mut Source,
    network: &dyn BatchEmbed,
    encoding: &Encoding,
    range: ActionRange,
    output: &Path,
    watch: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Embedded>> {
    let labels = FrameFile::check_labels(&source.labels, range)?;
    let width = encoding.width();
    let states = joined_states(source, encoding)?;
    let names = names(source, encoding);
    names.validate(width, labels.n_act)?;
    let mut identity =
        serde_json::json!({ "source": source.stamp, "frames": source.n, "encoding": encoding });
    // One file is of one device: another rounds differently.
    if let Some(device) = network.device() {
        identity["device"] = device.into();
    }
    // Range, order and size of the frames in a file, which options can change; missing in early versions.
    let mut complete = identity.clone();
    complete["read_as"] = if source.sizes[0].is_some() { source.notes.clone() } else { Vec::new() }.into();
    let part = PartialOutput::open(&part_of(output), [&complete.to_string(), &identity.to_string()], width)?;
    let resumed_from = part.done;
    let current = Cell::new(resumed_from); // index of the current frame
    let mut batcher = Batcher {
        network,
        preset: encoding.preset,
        cameras: vec![Camera::default(); encoding.n_cameras()],
        states: &states,
        n_state: encoding.n_state(),
        rows: Vec::new(),
        part,
    };
    let mut go_on = true;
    let outcome = source.read_frames(resumed_from, &mut |frames| {
        let (steps, bytes) =
            (frames[0].len(), frames.iter().map(|f| 4 * f.size[0] * f.size[1] * 3).sum::<usize>());
        let together = (BATCH_BYTES / bytes.max(1)).clamp(1, MAX_BATCH);
        for first in (0..steps).step_by(together) {
            let which = first..steps.min(first + together);
            let n = which.len();
            batcher.push(frames, which)?;
            current.set(current.get() + n);
            if batcher.is_full() {
                batcher.flush()?;
                go_on = watch(batcher.part.done);
                if !go_on {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    });
    if let Err(e) = outcome {
        if batcher.part.done == 0 {
            let _ = batcher.part.remove(); // nothing to resume; the first error is reported
        }
        return Err(if e.kind() == Kind::Mismatch { e.within(source.name(current.get())) } else { e });
    }
    if !go_on {
        return Ok(None);
    }
    batcher.flush()?;
    watch(batcher.part.done);
    if batcher.part.done != source.n {
        return Err(Error::new(Kind::Data, "the recording ended early")
            .expected(format!("{} frames", source.n))
            .found(batcher.part.done.to_string()));
    }
    let mut part = batcher.part;
    let still = part.still(&labels.ends, width, encoding.n_state())?;
    part.rewind()?;
    let about = serde_json::to_string(encoding).expect("plain values");
    write_npz_from(output, &labels, width, &mut BufReader::new(&part.file), &names, &about)?;
    part.remove()?;
    Ok(Some(Embedded { resumed_from, ..still }))
}

/// The states that are joined with the embeddings: `[n, encoding.n_state()]`.
///
/// # Errors
/// If the recording was opened without those of the encoding.
fn joined_states(source: &Source, encoding: &Encoding) -> Result<Vec<f32>> {
    let found = source.n_state();
    if found != encoding.n_state() || source.cameras.len() != encoding.n_cameras() {
        let text = |cameras, states| format!("{cameras} cameras, states of {states} dimensions");
        return Err(Error::new(
            Kind::Mismatch,
            "an encoding of other cameras or states than the recording's",
        )
        .expected(text(encoding.n_cameras(), encoding.n_state()))
        .found(text(source.cameras.len(), found)));
    }
    Ok(if found == 0 { Vec::new() } else { source.labels.states.clone() })
}

/// The names of the dimensions: those of the states after numbered ones of the embeddings, if the states have names.
fn names(source: &Source, encoding: &Encoding) -> DimensionNames {
    let action_names = source.names.action_names.clone();
    let own = source.names.state_names.as_ref().filter(|names| names.len() == encoding.n_state());
    let state_names = own.filter(|own| !own.is_empty()).map(|own| {
        let embedding = 0..encoding.width() - encoding.n_state();
        embedding.map(|i| format!("embedding:{i}")).chain(own.iter().cloned()).collect()
    });
    DimensionNames { state_names, action_names }
}

/// The frames of a camera that wait for the network.
#[derive(Default, Clone)]
struct Camera {
    size: Option<[usize; 2]>, // of a preprocessed frame
    batch: Vec<f32>,          // [n, height, width, 3]
    embeddings: Vec<f32>,     // [n, width]
}

impl Camera {
    /// Values of a preprocessed frame.
    fn frame_len(&self) -> usize {
        self.size.map_or(1, |[height, width]| height * width * 3)
    }
}

/// The network, and the batch of steps that waits for it.
struct Batcher<'a> {
    network: &'a dyn BatchEmbed,
    preset: Preset,
    cameras: Vec<Camera>,
    states: &'a [f32], // [steps, n_state]
    n_state: usize,
    rows: Vec<f32>, // embeddings and states: [n, width]
    part: PartialOutput,
}

impl Batcher<'_> {
    /// Preprocesses the frames of some steps of every camera and adds them to the batch.
    fn push(&mut self, frames: &[Frames], which: std::ops::Range<usize>) -> Result<()> {
        let text = |[height, width]: [usize; 2]| format!("{height} x {width}");
        for (camera, frames) in self.cameras.iter_mut().zip(frames) {
            let size = self.preset.output(frames.size);
            if let Some(frame) = self.network.design().frame()
                && size != frame
            {
                return Err(Error::new(
                    Kind::Mismatch,
                    "frames of another size than the encoder was trained on",
                )
                .expected(format!("{} pixels", text(frame)))
                .found(text(size))
                .next(format!("train one with --preset {}:{}x{}", self.preset, frame[0], frame[1])));
            }
            let expected = *camera.size.get_or_insert(size);
            if size != expected {
                return Err(Error::new(Kind::Mismatch, "frames of different sizes")
                    .expected(format!("{} pixels, as the frames before", text(expected)))
                    .found(text(size))
                    .next(format!("--preset {}:HEIGHTxWIDTH resizes them to one size", self.preset)));
            }
            self.preset.apply(frames, which.clone(), &mut camera.batch);
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        let step = self.cameras.iter().map(Camera::frame_len).sum::<usize>();
        let waiting = self.cameras.iter().map(|camera| camera.batch.len()).sum::<usize>();
        waiting >= step * (BATCH_BYTES / 4 / step).clamp(MIN_BATCH, MAX_BATCH)
    }

    /// Embeds the batch and writes the embeddings, with the states.
    fn flush(&mut self) -> Result<()> {
        let width = self.network.design().width();
        for camera in &mut self.cameras {
            let Some(size) = camera.size else { return Ok(()) };
            camera.embeddings.resize(camera.batch.len() / camera.frame_len() * width, 0.0);
            self.network.embed_batch(&camera.batch, size, &mut camera.embeddings)?;
            camera.batch.clear();
            if let Some(bad) = camera.embeddings.iter().position(|v| !v.is_finite()) {
                return Err(Error::new(Kind::Data, "an embedding that is NaN or infinite")
                    .at(format!("frame {}", self.part.done + bad / width))
                    .next("these weights do not suit these frames: try another preset"));
            }
        }
        self.rows.clear();
        for i in 0..self.cameras[0].embeddings.len() / width {
            for camera in &self.cameras {
                self.rows.extend_from_slice(&camera.embeddings[i * width..][..width]);
            }
            let step = self.part.done + i;
            self.rows.extend_from_slice(&self.states[step * self.n_state..(step + 1) * self.n_state]);
        }
        self.part.append(&self.rows, width * self.cameras.len() + self.n_state)
    }
}
