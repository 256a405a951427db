//! The direction of a pass over a quantized copy that exceeds the second-level cache.
//!
//! After a pass, the cache contains what was read last. A pass in the opposite direction begins there and hits the cache; one
//! in the same direction evicts it before reaching it. So each thread alternates. Other work between two searches reduces
//! the gain, in the worst case to zero.
//!
//! Measured with one query straight after another on rows without structure and a second-level cache of 2 MB: on
//! 10,000 x 512, 155 us alternating and 199 us always forwards; on 100,000 x 45, 130 us and 182 us.

use std::cell::Cell;
use std::ops::Range;

/// Bytes from which passes alternate: smaller copies stay in the cache in either direction.
const ALTERNATE_FROM: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forwards,
    Backwards,
}

impl Direction {
    /// The direction of this thread's next pass over `bytes` bytes: opposite to its last one if they are many, else forwards.
    #[inline(always)]
    pub(crate) fn next(bytes: usize) -> Direction {
        thread_local! {
            static NEXT: Cell<Direction> = const { Cell::new(Direction::Forwards) };
        }
        if bytes < ALTERNATE_FROM {
            return Direction::Forwards;
        }
        NEXT.replace(match NEXT.get() {
            Direction::Forwards => Direction::Backwards,
            Direction::Backwards => Direction::Forwards,
        })
    }

    /// A range in chunks of `length`, in this direction; only the last chunk may be shorter.
    #[inline(always)]
    pub(crate) fn chunks(self, range: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> {
        (0..range.len()).step_by(length).map(move |done| {
            let chunk = length.min(range.len() - done);
            match self {
                Direction::Forwards => range.start + done..range.start + done + chunk,
                Direction::Backwards => range.end - done - chunk..range.end - done,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_cover_a_range_once() {
        for (range, length) in [(0..0, 4), (3..4, 4), (0..8, 4), (5..12, 4), (2..9, 1)] {
            let forwards: Vec<usize> = Direction::Forwards.chunks(range.clone(), length).flatten().collect();
            assert_eq!(forwards, range.clone().collect::<Vec<_>>());
            let mut chunks: Vec<_> = Direction::Backwards.chunks(range.clone(), length).collect();
            assert!(chunks.iter().rev().skip(1).all(|chunk| chunk.len() == length), "{chunks:?}");
            chunks.reverse();
            assert_eq!(chunks.into_iter().flatten().collect::<Vec<_>>(), forwards);
        }
    }

    #[test]
    fn passes_over_large_copies_alternate() {
        let found =
            [ALTERNATE_FROM, 9, ALTERNATE_FROM - 1, ALTERNATE_FROM, ALTERNATE_FROM].map(Direction::next);
        let (f, b) = (Direction::Forwards, Direction::Backwards);
        assert_eq!(found, [f, f, f, b, f]);
    }
}
