//! The frames of a replay buffer: arrays of color frames, read by rows of chunks.

use super::{Buffer, ENDS, Entry, damaged, metadata::Array, store::Store, values::Stored};
use crate::{
    data::{
        cameras::{Block, Camera, Episodes, Found, ReadBlocks, Request, Rows, check_chunks, select},
        number::half,
    },
    error::{Error, Kind, Result},
};

/// The cameras of a replay buffer, and the files that they are in.
pub(in crate::data) fn cameras(request: &Request) -> Result<Found> {
    let &Request { path, length, asked, episodes } = request;
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
        cameras.push(Camera::of_blocks(entry.key.clone(), shape, frames));
    }
    let nodes = cameras.iter().map(|camera| format!("data/{}/", camera.name)).chain([format!("{ENDS}/")]);
    let files = match path.is_dir() {
        true => nodes.flat_map(|node| store.files(&node)).collect(),
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
        if shape[0] >= 1 << 40 || shape[1..].iter().any(|&side| side > 1 << 16) {
            return Err(Error::new(Kind::File, "an array of frames that is too large")
                .at(&*self.path)
                .expected("fewer than 2^40 frames, sides of at most 65,536 pixels")
                .found(format!("the shape {shape:?}")));
        }
        check_chunks(shape, &layout.chunks, dtype.size as u64, self.store.length)
            .map_err(|e| e.within(&*self.path))
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
