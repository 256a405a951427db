//! The training rows, and the order in which they are trained on.

use super::Distances;
use crate::{data::Demonstrations, envelope::Envelope, memory::Codebook, seed::Seed};

/// The training rows, ready to be gathered into batches.
pub struct Rows {
    pub n: usize,
    pub states: Vec<f32>,  // [n, n_obs], standardised
    pub targets: Vec<f32>, // [n, n_act]
    pub anchors: Vec<f32>, // [n, n_act]
    pub radii: Vec<f32>,   // [n]
}

impl Rows {
    pub fn new(
        train: &Demonstrations,
        codebook: &Codebook,
        envelope: Envelope,
        distances: Distances,
    ) -> Self {
        let elsewhere = match distances {
            Distances::Paper => Vec::new(),
            Distances::Loo => codebook.elsewhere(train),
        };
        let rows = codebook.map_states(train, |i, state| {
            let recalled = elsewhere.get(i).copied().flatten().unwrap_or_else(|| codebook.recall(state));
            let region = envelope.region(recalled.distance);
            let anchor =
                codebook.action(recalled.memory).iter().map(|&a| region.anchor(a)).collect::<Vec<_>>();
            (state.values().to_vec(), anchor, region.radius)
        });
        Self {
            n: train.n_steps(),
            states: rows.iter().flat_map(|r| &r.0).copied().collect(),
            targets: train.actions().to_vec(),
            anchors: rows.iter().flat_map(|r| &r.1).copied().collect(),
            radii: rows.iter().map(|r| r.2).collect(),
        }
    }
}

/// Some of `n` rows, one after the other.
pub fn gather(from: &[f32], n: usize, which: &[usize]) -> Vec<f32> {
    let width = from.len() / n;
    let mut values = Vec::with_capacity(which.len() * width);
    which.iter().for_each(|&i| values.extend_from_slice(&from[i * width..][..width]));
    values
}

/// The order in which rows are trained on: every epoch a new permutation, batches running on from one epoch into the
/// next. A function of the seed and the position alone, so a resumed run needs no state of it.
pub struct Order {
    n: usize,
    seed: Seed,
    epoch: u64,
    permutation: Vec<usize>,
}

impl Order {
    pub fn new(n: usize, seed: Seed) -> Self {
        Self { n, seed, epoch: 0, permutation: seed.nth(0).rng().permutation(n) }
    }

    pub fn batch(&mut self, step: u64, batch: usize) -> Vec<usize> {
        let start = step * batch as u64;
        (start..start + batch as u64)
            .map(|position| {
                let epoch = position / self.n as u64;
                if epoch != self.epoch {
                    self.epoch = epoch;
                    self.permutation = self.seed.nth(epoch).rng().permutation(self.n);
                }
                self.permutation[(position % self.n as u64) as usize]
            })
            .collect()
    }
}
