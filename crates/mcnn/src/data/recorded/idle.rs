//! Pauses at the start and the end of episodes.

use std::ops::Range;

use super::Recorded;
use crate::data::{raw::RawSteps, several::ranges};

/// Steps are idle if no dimension of state and action differs by more than this share of its range over all data.
pub const IDLE_TOLERANCE: f32 = 1e-3;

/// Pauses that were dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Idle {
    /// Episodes with a pause that was dropped.
    pub episodes: usize,
    /// Steps that were dropped.
    pub steps: usize,
}

impl Idle {
    /// What was dropped of each episode.
    pub(super) fn between(all: &[Range<usize>], kept: &[Range<usize>]) -> Self {
        let dropped = || all.iter().zip(kept).map(|(all, kept)| all.len() - kept.len());
        Self { episodes: dropped().filter(|&steps| steps > 0).count(), steps: dropped().sum() }
    }
}

impl Recorded {
    /// Drops pauses of more than `longest` steps at the start and at the end of each episode, all but one step, with their rewards. A
    /// pause is a run of steps whose state and action are those of the episode's first (or last) step, within [`IDLE_TOLERANCE`].
    #[must_use]
    pub fn drop_idle(self, longest: usize) -> (Self, Idle) {
        let all: Vec<Range<usize>> = self.episodes().collect();
        let kept = without_pauses(&self.parts, &all, longest);
        let idle = Idle::between(&all, &kept);
        let groups: Vec<Vec<Range<usize>>> =
            kept.into_iter().map(|steps| steps.map(|i| i..i + 1).collect()).collect();
        if idle.steps == 0 { (self, idle) } else { (self.take(&groups), idle) }
    }
}

/// The steps of each episode without its pauses of more than `longest` steps.
pub(super) fn without_pauses(
    steps: &dyn RawSteps,
    episodes: &[Range<usize>],
    longest: usize,
) -> Vec<Range<usize>> {
    let tolerances = ranges(steps)
        .map(|ranges| ranges.into_iter().map(|range| IDLE_TOLERANCE * range).collect::<Vec<f32>>());
    let near = |a: &[f32], b: &[f32], most: &[f32]| {
        a.iter().zip(b).zip(most).all(|((a, b), most)| (a - b).abs() <= *most)
    };
    let equal = |a: usize, b: usize| {
        let [states, others] = [a, b].map(|i| steps.raw_states(i..i + 1));
        near(&states, &others, &tolerances[0]) && {
            let [actions, others] = [a, b].map(|i| steps.raw_actions(i..i + 1));
            near(&actions, &others, &tolerances[1])
        }
    };
    let one = |episode: &Range<usize>| {
        let Range { mut start, mut end } = *episode;
        let leading = episode.clone().take_while(|&i| equal(i, episode.start)).count();
        if leading > longest.max(1) {
            start += leading - 1;
        }
        let trailing = (start..end).rev().take_while(|&i| equal(i, end - 1)).count();
        if trailing > longest.max(1) {
            end -= trailing - 1;
        }
        start..end
    };
    episodes.iter().map(one).collect()
}
