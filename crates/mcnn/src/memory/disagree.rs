//! Memories whose actions differ from those of the memories around them: mislabeled steps, or a demonstrator who had two
//! ways. A state and an action cannot tell which.

use super::{Codebook, Scaled, choose::parallel_map};

/// How far a memory is from agreeing with its neighbors.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Disagreement {
    /// The memory's number in the codebook.
    pub memory: usize,
    /// Root mean square, over the action's dimensions, of its difference to the median action of its neighbors.
    pub difference: f32,
    /// How much larger that is than its neighbors' own (their median), in deviations of what is usual among all memories.
    pub score: f32,
}

/// Neighbors asked.
const NEIGHBOURS: usize = 8;
/// The median distance of a normal number from its mean, in deviations: what turns the one into the other.
const MEDIAN_OF_NORMAL: f32 = 0.6745;
/// Actions in [-1, 1] that differ by less are the same: so little is no deviation to measure by.
const ROUNDING: f32 = 1e-6;

impl Codebook {
    /// The score above which a memory is called a disagreement.
    pub const DISAGREEMENT_THRESHOLD: f32 = 6.0;

    /// How much every memory disagrees with its eight nearest (all, where there are fewer), most first. All middles are medians,
    /// so that a few wrong memories move none.
    pub fn disagreements(&self) -> Vec<Disagreement> {
        let near: Vec<Vec<usize>> = parallel_map(self.len(), |i| {
            let state = Scaled(self.scaled[i * self.n_obs()..][..self.n_obs()].to_vec());
            let near = self.retrieve_many(&state, NEIGHBOURS + 1);
            near.into_iter().map(|r| r.memory).filter(|&m| m != i).take(NEIGHBOURS).collect()
        });
        let differences: Vec<f32> = near
            .iter()
            .enumerate()
            .map(|(i, near)| {
                let squares = self.action(i).iter().enumerate().map(|(k, &mine)| {
                    let theirs = near.iter().map(|&m| self.action(m)[k]);
                    (mine - median(theirs.collect()).unwrap_or(mine)).powi(2)
                });
                (squares.sum::<f32>() / self.n_act() as f32).sqrt()
            })
            .collect();
        // Where the neighbors disagree with each other, to disagree is usual.
        let more: Vec<f32> = near
            .iter()
            .zip(&differences)
            .map(|(near, mine)| {
                mine - median(near.iter().map(|&m| differences[m]).collect()).unwrap_or(*mine)
            })
            .collect();
        let middle = median(more.clone()).unwrap_or(0.0);
        let away = median(more.iter().map(|x| (x - middle).abs()).collect()).unwrap_or(0.0);
        let deviation = (away / MEDIAN_OF_NORMAL).max(ROUNDING);
        let score = |more: f32| (more - middle) / deviation;
        let mut all: Vec<Disagreement> = differences
            .into_iter()
            .zip(more)
            .enumerate()
            .map(|(memory, (difference, more))| Disagreement { memory, difference, score: score(more) })
            .collect();
        all.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.memory.cmp(&b.memory)));
        all
    }
}

/// The middle of some numbers, the mean of both where two are; `None` of none.
fn median(mut values: Vec<f32>) -> Option<f32> {
    values.sort_unstable_by(f32::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { 0.5 * (values[middle - 1] + upper) })
}
