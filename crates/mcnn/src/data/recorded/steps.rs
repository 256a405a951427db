//! The steps that are left of those in a spool.

use std::{borrow::Cow, ops::Range};

use super::spool::{Floats, Spool};
use crate::data::raw::RawSteps;

/// Bytes of states or actions that are read together.
const PIECE: usize = if cfg!(test) { 100 } else { 1 << 20 };

/// Steps of a spool: of each episode every so many of a range.
#[derive(Debug)]
pub(super) struct Steps<S> {
    pub spool: S,
    pub starts: [usize; 2], // where states and actions begin in the files
    pub widths: [usize; 2],
    pub kept: Vec<Range<usize>>, // [n_episodes]
    pub every: usize,
    pub ends: Vec<usize>, // of what is left
}

impl<S: std::ops::Deref<Target = Spool>> Steps<S> {
    pub fn new(spool: S, starts: [usize; 2], widths: [usize; 2], ends: &[usize]) -> Self {
        let kept = std::iter::once(&0).chain(ends).zip(ends).map(|(from, to)| *from..*to).collect();
        Self { spool, starts, widths, kept, every: 1, ends: ends.to_vec() }
    }

    /// The same without others than these of each episode.
    pub fn keep(self, kept: Vec<Range<usize>>, every: usize) -> Self {
        let ends = kept.iter().scan(0, |end, steps| {
            *end += steps.len().div_ceil(every);
            Some(*end)
        });
        Self { ends: ends.collect(), kept, every, ..self }
    }

    pub fn n_steps(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The rows of the files that a range of steps is of: of each episode's part, with the rows after its steps that are left out.
    fn rows(&self, steps: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let first = self.ends.partition_point(|end| *end <= steps.start);
        let part = move |k: usize| {
            let start = k.checked_sub(1).map_or(0, |before| self.ends[before]);
            let (from, to) = (steps.start.max(start), steps.end.min(self.ends[k]));
            let row = |step: usize| (self.kept[k].start + (step - start) * self.every).min(self.kept[k].end);
            (from < to).then(|| row(from)..row(to))
        };
        (first..self.ends.len()).map_while(part)
    }

    /// The values of a range of steps in a file of `width` values a row from `start` on.
    fn values(&self, from: &Floats, start: usize, width: usize, steps: Range<usize>) -> Vec<f32> {
        let mut values = Vec::with_capacity(steps.len() * width);
        for rows in self.rows(steps) {
            if self.every == 1 {
                self.spool.read(from, start + rows.start * width, rows.len() * width, &mut values);
                continue;
            }
            let mut all = Vec::new();
            self.spool.read(from, start + rows.start * width, rows.len() * width, &mut all);
            all.chunks(self.every * width).for_each(|group| values.extend_from_slice(&group[..width]));
        }
        values
    }

    /// The rewards of a range of steps, each the sum of its own and of those up to the next step: `[steps]`; empty if there are none.
    pub fn rewards(&self, steps: Range<usize>) -> Vec<f32> {
        let Some(from) = self.spool.rewards() else { return Vec::new() };
        let mut rewards = Vec::with_capacity(steps.len());
        for rows in self.rows(steps) {
            let mut all = Vec::new();
            self.spool.read(from, rows.start, rows.len(), &mut all);
            // In 64 bits, so that a sum is rounded once.
            let sum = |group: &[f32]| group.iter().map(|&r| f64::from(r)).sum::<f64>() as f32;
            rewards.extend(all.chunks(self.every).map(sum));
        }
        rewards
    }
}

impl<S: std::ops::Deref<Target = Spool>> RawSteps for Steps<S> {
    fn widths(&self) -> [usize; 2] {
        self.widths
    }

    fn pieces(&self) -> Vec<Range<usize>> {
        let row = 4 * self.widths[0].max(self.widths[1]) * self.every;
        let (n, piece) = (self.n_steps(), (PIECE / row).max(1));
        (0..n).step_by(piece).map(|start| start..n.min(start + piece)).collect()
    }

    fn raw_states(&self, steps: Range<usize>) -> Cow<'_, [f32]> {
        Cow::Owned(self.values(self.spool.states(), self.starts[0], self.widths[0], steps))
    }

    fn raw_actions(&self, steps: Range<usize>) -> Cow<'_, [f32]> {
        Cow::Owned(self.values(self.spool.actions(), self.starts[1], self.widths[1], steps))
    }
}
