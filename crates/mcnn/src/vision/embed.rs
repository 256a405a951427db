//! Embedding a recording of frames, piece by piece. Finished embeddings are kept in a file beside the output, so that an
//! interrupted run can be resumed.

use std::{
    cell::Cell,
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    frames::{Frames, Preset},
    network::{Design, Network},
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

/// What defines the space of embeddings: embeddings can be compared only if these are equal. Stored with them, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoding {
    /// The network.
    pub network: Design,
    /// The SHA-256 of the file of weights, or `random:SEED`.
    pub weights: String,
    /// The preprocessing of frames.
    pub preset: Preset,
    /// Height and width of the recorded frames, if all have one size that is known before they are read. Missing in embeddings
    /// of early versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
}

impl Encoding {
    /// Parses the JSON of an encoding, as stored with embeddings.
    ///
    /// # Errors
    /// If the text is no encoding, or of a network that is not known here.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| {
            Error::new(Kind::File, "an encoding that cannot be read")
                .expected("JSON with network, weights and preset, as `mcnn embed` writes it")
                .found(format!("{} ({e})", text.chars().take(200).collect::<String>()))
        })
    }
}

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

/// The file of the finished embeddings, beside the output: a line that identifies the run, then the embeddings.
pub fn part_of(output: &Path) -> PathBuf {
    // Without a slash at the end, which would make it a file in the folder.
    let mut name = output.components().collect::<PathBuf>().into_os_string();
    name.push(".part");
    name.into()
}

/// Embeds a recording into an `.npz` of demonstrations ([`read`](crate::data::read()) reads it). `watch` is
/// called with the number of finished frames; if it returns false, embedding stops with `None`, and the same call resumes it.
///
/// Memory: the actions and rewards of the whole recording, a piece of its frames, and the activations.
///
/// # Errors
/// Actions outside [-1, 1] (unless `range` clips them), frames that cannot be read, frames of different sizes where the
/// preset does not resize them, embeddings that are not finite, a half-finished file of something else, another process at
/// the same output, and errors of the file system.
pub fn embed(
    source: &mut Source,
    network: &Network,
    encoding: &Encoding,
    range: ActionRange,
    output: &Path,
    watch: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Embedded>> {
    let labels = FrameFile::check_labels(&source.labels, range)?;
    let names = DimensionNames { state_names: None, action_names: source.action_names.clone() };
    names.validate(network.width(), labels.n_act)?;
    let identity = serde_json::json!({ "source": source.stamp, "frames": source.n, "encoding": encoding });
    // Range, order and size of the frames in a file, which options can change; missing in early versions.
    let mut complete = identity.clone();
    complete["read_as"] = if source.size.is_some() { source.notes.clone() } else { Vec::new() }.into();
    let width = network.width();
    let part = Part::open(&part_of(output), [&complete.to_string(), &identity.to_string()], width)?;
    let resumed_from = part.done;
    let current = Cell::new(resumed_from); // index of the current frame
    let mut batcher = Batcher {
        network,
        preset: encoding.preset,
        size: None,
        batch: Vec::new(),
        embeddings: Vec::new(),
        part,
    };
    let mut go_on = true;
    let outcome = source.read_frames(resumed_from, &mut |frames| {
        let bytes = 4 * frames.size[0] * frames.size[1] * 3;
        for first in (0..frames.len()).step_by((BATCH_BYTES / bytes).clamp(1, MAX_BATCH)) {
            let which = first..frames.len().min(first + (BATCH_BYTES / bytes).clamp(1, MAX_BATCH));
            let n = which.len();
            batcher.push(&frames, which)?;
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
        return Err(if e.kind() == Kind::Mismatch { e.at(source.name(current.get())) } else { e });
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
    let still = part.still(&labels.ends, width)?;
    part.rewind()?;
    let about = serde_json::to_string(encoding).expect("plain values");
    write_npz_from(output, &labels, width, &mut BufReader::new(&part.file), &names, &about)?;
    part.remove()?;
    Ok(Some(Embedded { resumed_from, ..still }))
}

/// The network, and the batch of frames that waits for it.
struct Batcher<'a> {
    network: &'a Network,
    preset: Preset,
    size: Option<[usize; 2]>, // of a preprocessed frame
    batch: Vec<f32>,          // [n, height, width, 3]
    embeddings: Vec<f32>,     // [n, width]
    part: Part,
}

impl Batcher<'_> {
    /// Preprocesses frames and adds them to the batch.
    fn push(&mut self, frames: &Frames, which: std::ops::Range<usize>) -> Result<()> {
        let size = self.preset.output(frames.size);
        if let Some(frame) = self.network.design().frame()
            && size != frame
        {
            return Err(Error::new(Kind::Mismatch, "frames of another size than the encoder was trained on")
                .expected(format!("{} x {} pixels", frame[0], frame[1]))
                .found(format!("{} x {}", size[0], size[1]))
                .next(format!("train one with --preset {}:{}x{}", self.preset, frame[0], frame[1])));
        }
        let expected = *self.size.get_or_insert(size);
        if size != expected {
            return Err(Error::new(Kind::Mismatch, "frames of different sizes")
                .expected(format!("{} x {} pixels, as the frames before", expected[0], expected[1]))
                .found(format!("{} x {}", size[0], size[1]))
                .next(format!("--preset {}:HEIGHTxWIDTH resizes them to one size", self.preset)));
        }
        self.preset.apply(frames, which, &mut self.batch);
        Ok(())
    }

    /// Values of a preprocessed frame.
    fn frame_len(&self) -> usize {
        self.size.map_or(1, |[height, width]| height * width * 3)
    }

    fn is_full(&self) -> bool {
        self.batch.len()
            >= self.frame_len() * (BATCH_BYTES / 4 / self.frame_len()).clamp(MIN_BATCH, MAX_BATCH)
    }

    /// Embeds the batch and writes the embeddings.
    fn flush(&mut self) -> Result<()> {
        let Some(size) = self.size else { return Ok(()) };
        let width = self.network.width();
        self.embeddings.resize(self.batch.len() / self.frame_len() * width, 0.0);
        self.network.embed(&self.batch, size, &mut self.embeddings);
        self.batch.clear();
        if let Some(bad) = self.embeddings.iter().position(|v| !v.is_finite()) {
            return Err(Error::new(Kind::Data, "an embedding that is NaN or infinite")
                .at(format!("frame {}", self.part.done + bad / width))
                .next("these weights do not suit these frames: try another preset"));
        }
        self.part.append(&self.embeddings, width)
    }
}

/// The file of the finished embeddings of an interrupted run.
struct Part {
    path: PathBuf,
    file: File,
    head: u64,   // bytes before the embeddings
    done: usize, // finished embeddings
}

impl Part {
    /// Opens the file of an interrupted run, or creates it. `early`: the identity that early versions wrote.
    fn open(path: &Path, [identity, early]: [&str; 2], width: usize) -> Result<Self> {
        let io = |e| Error::io("writing", path, &e);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        file.try_lock().map_err(|e| {
            Error::new(Kind::File, "another process embeds into this output")
                .at(path.display().to_string())
                .found(e.to_string())
                .next("wait for it, or choose another output")
        })?;
        let length = file.metadata().map_err(io)?.len();
        let mut found = Vec::new();
        let mut start = BufReader::new(&file);
        std::io::Read::take(&mut start, 1 << 16).read_until(b'\n', &mut found).map_err(io)?;
        let lines = [identity, early].map(|identity| format!("{identity}\n"));
        if length > 0 && lines.iter().all(|line| found != line.as_bytes()) {
            return Err(Error::new(Kind::Mismatch, "an interrupted run embedded something else")
                .at(path.display().to_string())
                .expected(identity)
                .found(String::from_utf8_lossy(&found).trim_end().chars().take(400).collect::<String>())
                .next("--force starts a new run; or give the options of the interrupted run"));
        }
        if length == 0 {
            file.write_all(lines[0].as_bytes()).map_err(io)?;
        }
        let head = if length == 0 { lines[0].len() } else { found.len() } as u64;
        // An interruption can leave an incomplete row.
        let row = 4 * width as u64;
        let done = length.saturating_sub(head) / row;
        file.set_len(head + done * row).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        Ok(Self { path: path.to_owned(), file, head, done: done as usize })
    }

    fn append(&mut self, rows: &[f32], width: usize) -> Result<()> {
        let bytes: Vec<u8> = rows.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.file.write_all(&bytes).map_err(|e| Error::io("writing", &self.path, &e))?;
        self.done += rows.len() / width;
        Ok(())
    }

    /// Seeks to the first embedding.
    fn rewind(&mut self) -> Result<()> {
        self.file.seek(SeekFrom::Start(self.head)).map_err(|e| Error::io("reading", &self.path, &e))?;
        Ok(())
    }

    /// Counts repeated embeddings.
    fn still(&mut self, ends: &[usize], width: usize) -> Result<Embedded> {
        self.rewind()?;
        let mut rows = BufReader::new(&self.file);
        let (mut last, mut row) = (vec![0; 4 * width], vec![0; 4 * width]);
        let mut found = Embedded { resumed_from: 0, still: 0, longest_still: 1, still_at: 0 };
        let (mut first, mut episode) = (0, 0);
        for i in 0..self.done {
            std::io::Read::read_exact(&mut rows, &mut row)
                .map_err(|e| Error::io("reading", &self.path, &e))?;
            let begins = i == 0 || ends[episode] == i;
            if i > 0 && begins {
                episode += 1;
            }
            if begins || row != last {
                first = i;
            } else {
                found.still += 1;
                if i + 1 - first > found.longest_still {
                    (found.longest_still, found.still_at) = (i + 1 - first, first);
                }
            }
            std::mem::swap(&mut last, &mut row);
        }
        Ok(found)
    }

    fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|e| Error::io("removing", &self.path, &e))
    }
}
