//! The frames of a replay buffer: arrays of color frames, read by rows of chunks.

use std::path::{Path, PathBuf};

use super::{Buffer, Entry, METADATA, damaged, metadata::Array, store::Store, values::Stored};
use crate::{
    data::{
        cameras::{Block, Blocks, Camera, CameraFrames, Episodes, ReadBlocks, Rows, select},
        number::half,
        read::{MORE_MEMORY, MOST_OF_A_BLOCK, limit_of_any_codec},
    },
    error::{Error, Kind, Result},
};

/// The cameras of a replay buffer, and the files that they are in.
pub(in crate::data) fn cameras(
    path: &Path,
    length: u64,
    asked: &[String],
    episodes: &Episodes,
) -> Result<(Vec<Camera>, Vec<PathBuf>)> {
    let store = Store::open(path, length)?;
    let mut buffer = Buffer::open(&store);
    let ends = buffer.ends()?;
    // The first row of each episode that is read.
    let first_row = |number: &u32| {
        number.checked_sub(1).and_then(|before| ends.get(before as usize)).copied().unwrap_or(0)
    };
    let first_rows: Vec<usize> = episodes.numbers.iter().map(first_row).collect();
    let n = ends.last().copied().unwrap_or(0) as u64;
    let is_camera = |entry: &&Entry| entry.are_color_frames();
    let there: Vec<&Entry> = buffer.entries.iter().filter(is_camera).collect();
    let names = |entries: &[&Entry]| entries.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>();
    let others: Vec<&Entry> = buffer.entries.iter().filter(|entry| !is_camera(entry)).collect();
    let others_named = names(&others);
    // An array of frames that cannot be read gives its own error.
    if let Some(entry) =
        others.iter().find(|entry| entry.shape.len() == 4 && (asked.is_empty() || asked.contains(&entry.key)))
        && let Err(e) = &entry.array
        && (there.is_empty() || asked.contains(&entry.key))
    {
        return Err(e.clone());
    }
    let mut cameras = Vec::new();
    for at in select(asked, &names(&there), &others_named)? {
        let entry = there[at];
        let array = entry.array.as_ref().map_err(Clone::clone)?.clone();
        if array.shape[0] != n {
            return Err(Error::new(Kind::Data, "frames and episode ends have different numbers of steps")
                .at(&*entry.path)
                .expected(format!("{n} frames, as meta/episode_ends"))
                .found(array.shape[0].to_string()));
        }
        let shape = array.shape[1..].iter().map(|&n| n as usize).collect();
        let frames = Frames {
            path: entry.path.clone(),
            array,
            first_rows: first_rows.clone(),
            episodes: episodes.clone(),
            store: Store::open(path, length)?,
        };
        frames.check()?;
        cameras.push(Camera {
            name: entry.key.clone(),
            shape,
            frames: CameraFrames::Rows(Box::new(Blocks::new(frames))),
        });
    }
    let nodes =
        cameras.iter().map(|camera| format!("data/{}", camera.name)).chain(["meta/episode_ends".into()]);
    let described = nodes.flat_map(|node| METADATA.map(|file| path.join(&node).join(file)));
    let files = match path.is_dir() {
        true => described.filter(|file| file.is_file()).collect(),
        false => vec![path.into()],
    };
    Ok((cameras, files))
}

/// An array of frames.
struct Frames {
    store: Store,
    path: String,
    array: Array,
    episodes: Episodes,
    /// The first row in the array of each episode that is read.
    first_rows: Vec<usize>,
}

impl Frames {
    /// Checks that a row of chunks fits into memory.
    fn check(&self) -> Result<()> {
        let Array { shape, layout, dtype } = &self.array;
        let limit = MOST_OF_A_BLOCK.min(limit_of_any_codec(self.store.length));
        let along = |(&n, &chunk): (&u64, &u64)| n.div_ceil(chunk).max(1).saturating_mul(chunk);
        let row = shape[1..]
            .iter()
            .zip(&layout.chunks[1..])
            .map(along)
            .fold(dtype.size as u64, u64::saturating_mul);
        let bytes = row.saturating_mul(layout.chunks[0]);
        let steps = shape[0] >= 1 << 40 || shape[1..].iter().any(|&side| side > 1 << 16);
        if bytes <= limit && !steps {
            return Ok(());
        }
        Err(Error::new(Kind::File, "chunks of frames that need more memory than they are given")
            .at(&*self.path)
            .expected(format!("at most {limit} bytes together, of the chunks of some steps"))
            .found(format!("{bytes} bytes, of the shape {shape:?} in chunks of {:?}", layout.chunks))
            .next(if bytes <= MOST_OF_A_BLOCK {
                MORE_MEMORY
            } else {
                "write the array again in chunks of fewer steps"
            }))
    }
}

impl ReadBlocks for Frames {
    fn locate(&self, step: usize) -> (Block, usize) {
        let (k, place) = self.episodes.locate(step);
        let row = self.first_rows[k] + place;
        let high = self.array.layout.chunks[0] as usize;
        ([0, row / high], row % high)
    }

    fn load(&mut self, [_, block]: Block) -> Result<Rows> {
        let stored = Stored { store: &self.store, path: &self.path, array: &self.array };
        let (fill, block) = (self.array.layout.fill, block as u64);
        match (self.array.dtype.kind, self.array.dtype.size) {
            ('u', 1) => stored.rows(block, fill.integer() as u8, |[b]| b).map(Rows::Bytes),
            ('f', 2) => {
                stored.rows(block, fill.float() as f32, |b| half(u16::from_le_bytes(b))).map(Rows::Floats)
            }
            ('f', 4) => stored.rows(block, fill.float() as f32, f32::from_le_bytes).map(Rows::Floats),
            ('f', 8) => {
                stored.rows(block, fill.float() as f32, |b| f64::from_le_bytes(b) as f32).map(Rows::Floats)
            }
            _ => Err(damaged("frames of another type".into()).within(&*self.path)),
        }
    }

    fn width(&self) -> usize {
        self.array.shape[1..].iter().product::<u64>() as usize
    }
}
