//! Memories whose actions differ from those of the nearest memories: mislabeled steps, or a demonstrator with several modes of
//! behavior. States and actions alone cannot distinguish the two.

use super::{Codebook, Scaled, choose::parallel_map};

/// How much a memory's action disagrees with those of its neighbors.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Disagreement {
    /// The memory's number in the codebook.
    pub memory: usize,
    /// Root mean square, over the dimensions of the action, of the difference to the median action of the neighbors.
    pub difference: f32,
    /// A robust z-score: how much larger `difference` is than the median `difference` of the neighbors, in standard
    /// deviations over all memories.
    pub score: f32,
}

/// Neighbors compared with.
const NEIGHBORS: usize = 8;
/// The median absolute deviation of a normal distribution, in standard deviations.
const MEDIAN_OF_NORMAL: f32 = 0.6745;
/// The smallest standard deviation of actions in [-1, 1] that is not attributed to rounding.
const ROUNDING: f32 = 1e-6;

impl Codebook {
    /// The score above which a memory is reported as disagreeing.
    pub const DISAGREEMENT_THRESHOLD: f32 = 6.0;

    /// The disagreement of every memory with its eight nearest ones (all others if there are fewer), the largest score first.
    /// All averages are medians, so that a few wrong memories do not affect them.
    pub fn disagreements(&self) -> Vec<Disagreement> {
        let near: Vec<Vec<usize>> = parallel_map(self.len(), |i| {
            let state = Scaled(self.standardized_state(i));
            let near = self.retrieve_many(&state, NEIGHBORS + 1);
            near.into_iter().map(|r| r.memory).filter(|&m| m != i).take(NEIGHBORS).collect()
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
        // Relative to the neighbors: where they disagree among themselves, a disagreement is not unusual.
        let excess: Vec<f32> = near
            .iter()
            .zip(&differences)
            .map(|(near, mine)| {
                mine - median(near.iter().map(|&m| differences[m]).collect()).unwrap_or(*mine)
            })
            .collect();
        let middle = median(excess.clone()).unwrap_or(0.0);
        let absolute = median(excess.iter().map(|x| (x - middle).abs()).collect()).unwrap_or(0.0);
        let deviation = (absolute / MEDIAN_OF_NORMAL).max(ROUNDING);
        let score = |excess: f32| (excess - middle) / deviation;
        let mut all: Vec<Disagreement> = differences
            .into_iter()
            .zip(excess)
            .enumerate()
            .map(|(memory, (difference, excess))| Disagreement { memory, difference, score: score(excess) })
            .collect();
        all.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.memory.cmp(&b.memory)));
        all
    }
}

/// The median; the mean of the middle two of an even number of values; `None` for no values.
fn median(mut values: Vec<f32>) -> Option<f32> {
    values.sort_unstable_by(f32::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { 0.5 * (values[middle - 1] + upper) })
}
