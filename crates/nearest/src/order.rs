//! Which way a copy is gone through that does not fit the nearer caches.
//!
//! What a pass read last is still in the second-level cache when the next begins, and what it read first is not. A pass
//! that begins where the last one ended finds it there; one that goes the same way again drives it out before it comes to
//! it. So a thread goes forwards and backwards in turn. What other work reads between two searches is taken off the gain;
//! where it fills the cache nothing is gained, and nothing lost.
//!
//! What it buys, one query straight after another on rows without structure, with a second-level cache of 2 MB: on
//! 10,000 x 512 155 us where going forwards always took 199, on 100,000 x 45 130 us where it took 182.

use std::cell::Cell;
use std::ops::Range;

/// A copy of fewer bytes stays in the cache whichever way it is gone through.
const LARGE: usize = 1 << 20;

/// The way from one end to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Forwards,
    Backwards,
}

impl Way {
    /// The way to go through so many bytes now: the other one than this thread's last where they are many.
    #[inline(always)]
    pub(crate) fn next(bytes: usize) -> Way {
        thread_local! {
            static NEXT: Cell<Way> = const { Cell::new(Way::Forwards) };
        }
        if bytes < LARGE {
            return Way::Forwards;
        }
        NEXT.replace(match NEXT.get() {
            Way::Forwards => Way::Backwards,
            Way::Backwards => Way::Forwards,
        })
    }

    /// A range in runs of `length`, in the order of this way; the last to come is what is left.
    #[inline(always)]
    pub(crate) fn runs(self, range: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> {
        (0..range.len()).step_by(length).map(move |done| {
            let run = length.min(range.len() - done);
            match self {
                Way::Forwards => range.start + done..range.start + done + run,
                Way::Backwards => range.end - done - run..range.end - done,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_come_by_everything_once() {
        for (range, length) in [(0..0, 4), (3..4, 4), (0..8, 4), (5..12, 4), (2..9, 1)] {
            let forwards: Vec<usize> = Way::Forwards.runs(range.clone(), length).flatten().collect();
            assert_eq!(forwards, range.clone().collect::<Vec<_>>());
            let mut runs: Vec<_> = Way::Backwards.runs(range.clone(), length).collect();
            assert!(runs.iter().rev().skip(1).all(|run| run.len() == length), "{runs:?}");
            runs.reverse();
            assert_eq!(runs.into_iter().flatten().collect::<Vec<_>>(), forwards);
        }
    }

    #[test]
    fn a_thread_turns_where_there_is_much() {
        let ways = [LARGE, 9, LARGE - 1, LARGE, LARGE].map(Way::next);
        let (f, b) = (Way::Forwards, Way::Backwards);
        assert_eq!(ways, [f, f, f, b, f]);
    }
}
