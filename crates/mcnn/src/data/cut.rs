//! Cutting long recordings into episodes, so that parts of them can validate and calibrate what the others teach.
//!
//! The pieces of one recording are not independent: the states on both sides of a cut follow each other. So a piece has a margin at
//! each end. Its steps are demonstrated steps like all others, but a piece that is left out is measured without them.

use std::ops::Range;

use super::Demonstrations;

/// Blocks that a single recording is cut into.
const BLOCKS: usize = 10;

/// The shortest block, in steps: shorter recordings are not cut into as many.
const SHORTEST_BLOCK: usize = 20;

/// The longest margin, in steps.
const MOST_MARGIN: usize = 50;

/// Pieces of episodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pieces {
    pub ends: Vec<usize>,
    pub margins: Vec<usize>,  // [pieces], 0 of an episode that is not cut
    pub episodes: Vec<usize>, // [pieces], the index of the episode that each is of
}

impl Pieces {
    /// Cuts episodes, given by their ends, into pieces of `steps` steps. What is left of an episode is a piece if it has at least half
    /// as many; else it belongs to the piece before.
    pub fn new(ends: &[usize], steps: usize) -> Self {
        let (mut pieces, mut start) =
            (Self { ends: Vec::new(), margins: Vec::new(), episodes: Vec::new() }, 0);
        for (episode, &end) in ends.iter().enumerate() {
            let n = end - start;
            let count = (n / steps + usize::from(2 * (n % steps) >= steps)).max(1);
            pieces.ends.extend((1..count).map(|i| start + i * steps).chain([end]));
            let margin = if count > 1 { margin(steps) } else { 0 };
            pieces.margins.resize(pieces.ends.len(), margin);
            pieces.episodes.resize(pieces.ends.len(), episode);
            start = end;
        }
        pieces
    }
}

/// The margin at each end of a piece of `steps` steps: a tenth of it, at most 50 steps.
fn margin(steps: usize) -> usize {
    (steps / 10).min(MOST_MARGIN)
}

/// The steps of the blocks that a single recording of `n` steps is cut into: ten blocks, of at least 20 steps. `None` if it is too short
/// for two.
pub(crate) fn block_steps(n: usize) -> Option<usize> {
    let blocks = (n / SHORTEST_BLOCK).min(BLOCKS);
    (blocks > 1).then(|| n / blocks)
}

/// The steps of an episode or a piece without its margins.
pub(crate) fn interior(steps: Range<usize>, margin: usize) -> Range<usize> {
    if steps.len() > 2 * margin { steps.start + margin..steps.end - margin } else { steps }
}

impl Demonstrations {
    /// The same steps in episodes of `steps` steps, numbered anew from 0. What is left at the end of an episode is an episode of its own
    /// if it has at least half as many steps, else it belongs to the one before. Pieces have margins, see
    /// [`interior`](Self::interior).
    ///
    /// # Panics
    /// If `steps` is 0.
    pub fn cut(&self, steps: usize) -> Self {
        self.with_pieces(Pieces::new(self.ends(), steps))
    }

    /// A single recording as contiguous blocks, and the steps of a block: ten blocks, or as many as have 20 steps. Episodes that all
    /// coincide ([`groups`](Self::groups)) are one recording; the longest is taken. `None` if there are two recordings or more, or one
    /// of fewer than 40 steps.
    pub fn blocks(&self) -> Option<(Self, usize)> {
        let one = match self.n_episodes() {
            1 => self.clone(),
            n if self.groups().len() == 1 => {
                let longest = (0..n).rev().max_by_key(|&k| self.episode(k).len())?;
                self.select(&[longest])
            }
            _ => return None,
        };
        let steps = block_steps(one.n_steps())?;
        Some((one.cut(steps), steps))
    }

    /// The steps of episode `k` by which it is measured as a new one: all, or those of a piece of a recording ([`cut`](Self::cut))
    /// without its margins, a tenth of the piece at each end, at most 50 steps. Those are near the steps of the next piece because
    /// they follow them.
    pub fn interior(&self, k: usize) -> Range<usize> {
        interior(self.episode(k), self.margin(k))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ActionRange, Parts, Step};

    fn data(lengths: &[usize]) -> Demonstrations {
        let n: usize = lengths.iter().sum();
        let mut end = 0;
        let parts = Parts {
            n_obs: 1,
            n_act: 1,
            states: (0..n).map(|i| i as f32).collect(),
            actions: vec![0.0; n],
            rewards: Some(vec![1.0; n]),
            ends: lengths
                .iter()
                .map(|steps| {
                    end += steps;
                    end
                })
                .collect(),
        };
        Demonstrations::new(parts, ActionRange::Refuse).unwrap()
    }

    #[test]
    fn episodes_are_cut_into_pieces_and_keep_every_step() {
        let whole = data(&[100, 30, 170]);
        let cut = whole.cut(40);
        // 100: two pieces and half a one; 30 stays; 170: the last 10 steps belong to the piece before.
        assert_eq!(cut.ends(), [40, 80, 100, 130, 170, 210, 250, 300]);
        assert_eq!((&cut.states(), cut.rewards()), (&whole.states(), whole.rewards()));
        assert_eq!(cut.step(85), Step { episode: 2, step: 5 });
        assert_eq!((cut.interior(0), cut.interior(2), cut.interior(3)), (4..36, 84..96, 100..130));
        assert_eq!(cut.select(&[7]).interior(0), 4..46, "a selection keeps the margins");
        assert_eq!(whole.interior(0), 0..100);
        assert_eq!(data(&[7000]).cut(2000).interior(1), 2050..3950);
    }

    #[test]
    fn a_single_recording_has_blocks() {
        let (blocks, steps) = data(&[2405]).blocks().unwrap();
        assert_eq!((blocks.n_episodes(), steps), (10, 240));
        assert_eq!(blocks.episode(9), 2160..2405);
        assert_eq!(data(&[70]).blocks().unwrap().0.ends(), [23, 46, 70]);
        assert!(data(&[39]).blocks().is_none());
        assert!(data(&[100, 100]).blocks().is_none(), "two recordings");
    }
}
