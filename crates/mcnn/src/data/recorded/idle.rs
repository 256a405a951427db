//! Pauses at the start and the end of episodes.

use std::ops::Range;

use super::Recorded;

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

impl Recorded {
    /// Drops pauses of more than `longest` steps at the start and at the end of each episode, all but one step, with their rewards. A
    /// pause is a run of steps whose state and action are those of the episode's first (or last) step, within [`IDLE_TOLERANCE`].
    #[must_use]
    pub fn drop_idle(self, longest: usize) -> (Self, Idle) {
        let parts = &self.parts;
        let tolerances = [(&parts.states, parts.n_obs), (&parts.actions, parts.n_act)]
            .map(|(values, width)| tolerances(values, width));
        let equal = |a: usize, b: usize| {
            [(&parts.states, &tolerances[0]), (&parts.actions, &tolerances[1])].iter().all(
                |(values, most)| {
                    let row = |i: usize| &values[i * most.len()..][..most.len()];
                    row(a).iter().zip(row(b)).zip(*most).all(|((a, b), most)| (a - b).abs() <= *most)
                },
            )
        };
        let mut idle = Idle::default();
        let kept = |steps: Range<usize>| {
            let Range { mut start, mut end } = steps.clone();
            let leading = steps.clone().take_while(|&i| equal(i, steps.start)).count();
            if leading > longest.max(1) {
                start += leading - 1;
            }
            let trailing = (start..end).rev().take_while(|&i| equal(i, end - 1)).count();
            if trailing > longest.max(1) {
                end -= trailing - 1;
            }
            start..end
        };
        let mut groups: Vec<Vec<Range<usize>>> = Vec::new();
        for steps in self.episodes() {
            let all = steps.len();
            let rest = kept(steps);
            idle.episodes += usize::from(rest.len() < all);
            idle.steps += all - rest.len();
            groups.push(rest.map(|i| i..i + 1).collect());
        }
        if idle.steps == 0 { (self, idle) } else { (self.take(&groups), idle) }
    }
}

/// The tolerance of each dimension.
fn tolerances(values: &[f32], width: usize) -> Vec<f32> {
    let mut limits = vec![[f32::INFINITY, f32::NEG_INFINITY]; width];
    for row in values.chunks_exact(width) {
        for (limit, &v) in limits.iter_mut().zip(row) {
            *limit = [limit[0].min(v), limit[1].max(v)];
        }
    }
    limits.into_iter().map(|[low, high]| IDLE_TOLERANCE * (high - low)).collect()
}
