//! Memories whose actions differ from those of the memories around them: mislabelled steps, or a demonstrator who had two
//! ways. A state and an action cannot tell which.

use super::{Codebook, Scaled, choose::parallel_map};

/// How far a memory is from agreeing with its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Disagreement {
    /// The memory's number in the codebook.
    pub memory: usize,
    /// Root mean square, over the action's dimensions, of its difference to the median action of its neighbours.
    pub difference: f32,
    /// The same difference in units of what is usual: that of the median memory, as if differences were normal.
    pub score: f32,
}

/// Neighbours asked.
const NEIGHBOURS: usize = 8;
/// The median of the absolute value of a standard normal number: what turns a median into a deviation.
const MEDIAN_OF_NORMAL: f32 = 0.6745;

impl Codebook {
    /// The score above which a memory is called a disagreement.
    pub const DISAGREES: f32 = 6.0;

    /// How much every memory disagrees with its eight nearest (all, where there are fewer), most first. The median of the
    /// neighbours, and of the memories, so that a few wrong ones move neither.
    pub fn disagreements(&self) -> Vec<Disagreement> {
        let differences: Vec<f32> = parallel_map(self.len(), |i| {
            let state = Scaled(self.scaled[i * self.n_obs()..][..self.n_obs()].to_vec());
            let near = self.recall_many(&state, NEIGHBOURS + 1);
            let near: Vec<usize> =
                near.into_iter().map(|r| r.memory).filter(|&m| m != i).take(NEIGHBOURS).collect();
            if near.is_empty() {
                return 0.0;
            }
            let squares = self.action(i).iter().enumerate().map(|(k, &mine)| {
                let middle = median(near.iter().map(|&m| self.action(m)[k]).collect());
                (mine - middle).powi(2)
            });
            (squares.sum::<f32>() / self.n_act() as f32).sqrt()
        });
        let usual = median(differences.clone()) / MEDIAN_OF_NORMAL;
        let score = |d: f32| if d == 0.0 { 0.0 } else { d / usual };
        let mut all: Vec<Disagreement> = differences
            .into_iter()
            .enumerate()
            .map(|(memory, difference)| Disagreement { memory, difference, score: score(difference) })
            .collect();
        all.sort_by(|a, b| b.difference.total_cmp(&a.difference).then(a.memory.cmp(&b.memory)));
        all
    }
}

/// The middle of some numbers, at least one; the mean of both where two are.
fn median(mut values: Vec<f32>) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { 0.5 * (values[middle - 1] + values[middle]) }
}
