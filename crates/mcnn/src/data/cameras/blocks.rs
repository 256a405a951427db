//! Frames that are stored in blocks: chunks of an array, or row groups of a file. A block is read once if steps come in order.

use std::ops::Range;

use super::{ReadRows, Rows};
use crate::{
    data::read::{MORE_MEMORY, MOST_OF_A_BLOCK, limit_of_any_codec},
    error::{Error, Kind, Result},
};

/// The number of a block: the file or episode, and the block in it.
pub(in crate::data) type Block = [usize; 2];

/// Checks that a row of chunks fits into memory: of frames of this shape in chunks, with `size` bytes a value, in a file of `length` bytes.
///
/// # Errors
/// If it does not.
pub(in crate::data) fn check_chunks(shape: &[u64], chunk: &[u64], size: u64, length: u64) -> Result<()> {
    let limit = MOST_OF_A_BLOCK.min(limit_of_any_codec(length));
    let along = |(&n, &chunk): (&u64, &u64)| n.div_ceil(chunk.max(1)).max(1).saturating_mul(chunk);
    let row = shape[1..].iter().zip(&chunk[1..]).map(along).fold(size, u64::saturating_mul);
    let bytes = row.saturating_mul(chunk[0]);
    if bytes <= limit {
        return Ok(());
    }
    Err(Error::new(Kind::File, "chunks of frames that need more memory than they are given")
        .expected(format!("at most {limit} bytes together, of the chunks of some steps"))
        .found(format!("{bytes} bytes, of the shape {shape:?} in chunks of {chunk:?}"))
        .next(if bytes <= MOST_OF_A_BLOCK {
            MORE_MEMORY
        } else {
            "write the array again in chunks of fewer steps"
        }))
}

/// A store of frames in blocks.
pub(in crate::data) trait ReadBlocks: Send {
    /// The block that has a step's frame, and its position in the block.
    fn locate(&self, step: usize) -> (Block, usize);

    /// The frames of a block.
    ///
    /// # Errors
    /// As [`ReadRows::rows`].
    fn load(&mut self, block: Block) -> Result<Rows>;

    /// Values of a frame; of a picture, any number.
    fn width(&self) -> usize;
}

/// The frames of a store, of which one block is in memory.
pub(in crate::data) struct Blocks<R> {
    store: R,
    current: Option<(Block, Rows)>,
}

impl<R: ReadBlocks> Blocks<R> {
    pub fn new(store: R) -> Self {
        Self { store, current: None }
    }
}

impl<R: ReadBlocks> ReadRows for Blocks<R> {
    fn rows(&mut self, steps: Range<usize>) -> Result<Rows> {
        let mut found: Option<Rows> = None;
        for step in steps {
            let (block, at) = self.store.locate(step);
            if self.current.as_ref().is_none_or(|(current, _)| *current != block) {
                self.current = None; // before the next needs its memory
                self.current = Some((block, self.store.load(block)?));
            }
            let Some((_, rows)) = &self.current else { continue };
            let width = self.store.width();
            match found.get_or_insert_with(|| rows.none()) {
                Rows::Bytes(to) => rows.append_bytes(at * width..(at + 1) * width, to),
                Rows::Floats(to) => rows.append_floats(at * width..(at + 1) * width, to),
                Rows::Pictures(to) => rows.append_picture(at, to),
            }
        }
        Ok(found.unwrap_or(Rows::Bytes(Vec::new())))
    }
}

impl Rows {
    /// No frames of the same kind.
    fn none(&self) -> Self {
        match self {
            Self::Bytes(_) => Self::Bytes(Vec::new()),
            Self::Floats(_) => Self::Floats(Vec::new()),
            Self::Pictures(_) => Self::Pictures(Vec::new()),
        }
    }

    fn append_bytes(&self, values: Range<usize>, to: &mut Vec<u8>) {
        if let Self::Bytes(from) = self {
            to.extend_from_slice(from.get(values).unwrap_or_default());
        }
    }

    fn append_floats(&self, values: Range<usize>, to: &mut Vec<f32>) {
        if let Self::Floats(from) = self {
            to.extend_from_slice(from.get(values).unwrap_or_default());
        }
    }

    fn append_picture(&self, at: usize, to: &mut Vec<Vec<u8>>) {
        if let Self::Pictures(from) = self {
            to.extend(from.get(at).cloned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two numbers a frame, in blocks of three frames; counts what is loaded.
    struct Threes(Vec<Block>);

    impl ReadBlocks for Threes {
        fn locate(&self, step: usize) -> (Block, usize) {
            ([0, step / 3], step % 3)
        }

        fn load(&mut self, block: Block) -> Result<Rows> {
            self.0.push(block);
            Ok(Rows::Bytes((0..6).map(|i| (6 * block[1] + i) as u8).collect()))
        }

        fn width(&self) -> usize {
            2
        }
    }

    #[test]
    fn a_block_is_loaded_once_for_steps_in_order() {
        let mut blocks = Blocks::new(Threes(Vec::new()));
        assert_eq!(blocks.rows(1..4).unwrap(), Rows::Bytes(vec![2, 3, 4, 5, 6, 7]));
        assert_eq!(blocks.rows(4..7).unwrap(), Rows::Bytes(vec![8, 9, 10, 11, 12, 13]));
        assert_eq!(blocks.store.0, [[0, 0], [0, 1], [0, 2]]);
    }
}
