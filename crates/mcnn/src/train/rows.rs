//! The training rows, and the order in which they are trained on.

use super::Distances;
use crate::{
    backbone::{Batch, Horizons},
    data::Demonstrations,
    envelope::{Envelope, Region},
    memory::Codebook,
    seed::Seed,
};

/// The training steps, and the samples of them that batches are made of.
///
/// A sample is a window of observations and a demonstrated action for each of its places. Where every observation of a window
/// is proposed for, windows lie wholly inside an episode and start at each of its steps, and a place is held by the memory
/// of its own observation; else a window ends on each step of an episode, repeating the first where it would begin before it,
/// and its places, from the step itself on, are held by the memory of that step and the actions that followed it.
pub struct Rows {
    pub n: usize, // samples
    n_obs: usize,
    n_act: usize,
    horizons: Horizons,
    states: Vec<f32>,     // [steps, n_obs], standardized
    targets: Vec<f32>,    // [steps, n_act]
    memories: Vec<usize>, // [steps], what holds each
    regions: Vec<Region>, // [steps]
    ends: Vec<usize>,     // [episodes], exclusive
    samples: Vec<Sample>,
}

/// A window of steps.
struct Sample {
    step: usize, // the first of the window where every one is proposed for, else the last
    episode: usize,
}

/// A batch of rows, or a part of one.
#[derive(Debug, Default)]
pub struct Gathered {
    pub observations: Vec<f32>, // [batch, window, n_obs]
    pub targets: Vec<f32>,      // [batch, places, n_act]
    pub centers: Vec<f32>,      // [batch, places, n_act]
    pub radii: Vec<f32>,        // [batch, places]
    pub real: Vec<bool>,        // [batch, places]: not beyond the end of the episode
}

impl Gathered {
    /// The same as the batch, or a part of a batch with `count` demonstrated places, that a network is trained on.
    pub fn batch(&self, count: usize) -> Batch<'_> {
        Batch { observations: &self.observations, actions: &self.targets, mask: &self.real, count }
    }
}

impl Rows {
    pub fn new(
        train: &Demonstrations,
        codebook: &Codebook,
        envelope: Envelope,
        distances: Distances,
        horizons: Horizons,
    ) -> Self {
        let elsewhere = match distances {
            Distances::Paper => Vec::new(),
            Distances::Loo => codebook.retrieve_leave_one_episode_out(train),
        };
        let rows = codebook.map_states(train, |i, state| {
            let retrieval = elsewhere.get(i).copied().flatten().unwrap_or_else(|| codebook.retrieve(state));
            (state.values().to_vec(), retrieval.memory, envelope.region(retrieval.distance))
        });
        let samples: Vec<Sample> = (0..train.n_episodes())
            .flat_map(|episode| {
                let steps = train.episode(episode);
                let last = if horizons.predict_all_steps {
                    steps.end.saturating_sub(horizons.observation).max(steps.start)
                } else {
                    steps.end - 1
                };
                (steps.start..=last).map(move |step| Sample { step, episode })
            })
            .collect();
        Self {
            n: samples.len(),
            n_obs: train.n_obs(),
            n_act: train.n_act(),
            horizons,
            states: rows.iter().flat_map(|r| &r.0).copied().collect(),
            targets: train.actions().to_vec(),
            memories: rows.iter().map(|r| r.1).collect(),
            regions: rows.iter().map(|r| r.2).collect(),
            ends: train.ends().to_vec(),
            samples,
        }
    }

    /// The share of steps that train nothing, because their memory decides alone.
    pub fn zero_gradient_share(&self) -> f64 {
        self.regions.iter().filter(|r| r.radius == 0.0).count() as f64 / self.regions.len() as f64
    }

    /// Episodes shorter than what is looked back on or proposed ahead, of all.
    pub fn short(&self) -> [usize; 2] {
        let least = self.horizons.observation.max(self.horizons.prediction);
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        [starts.zip(&self.ends).filter(|(start, end)| *end - start < least).count(), self.ends.len()]
    }

    /// The places of some samples that were demonstrated.
    pub fn count(&self, which: &[usize]) -> usize {
        let places = self.horizons.target_steps();
        let real = |&i: &usize| places.min(self.ends[self.samples[i].episode] - self.samples[i].step);
        which.iter().map(real).sum()
    }

    /// Puts some samples into a batch, one after the other, in place of those that were in it. `codebook`: the memories the
    /// rows were made with.
    pub fn gather(&self, codebook: &Codebook, which: &[usize], batch: &mut Gathered) {
        let Horizons { observation: window, predict_all_steps: every, .. } = self.horizons;
        batch.observations.clear();
        for values in [&mut batch.targets, &mut batch.centers, &mut batch.radii] {
            values.clear();
        }
        batch.real.clear();
        for &i in which {
            let Sample { step, episode } = self.samples[i];
            let start = if episode == 0 { 0 } else { self.ends[episode - 1] };
            let last = self.ends[episode] - 1;
            for k in 0..window {
                let at = if every {
                    (step + k).min(last)
                } else {
                    (step + k + 1).saturating_sub(window).max(start)
                };
                batch.observations.extend_from_slice(&self.states[at * self.n_obs..][..self.n_obs]);
            }
            for k in 0..self.horizons.target_steps() {
                let at = (step + k).min(last);
                let (holder, ahead) = if every { (at, 0) } else { (step, k) };
                let region = self.regions[holder];
                batch.targets.extend_from_slice(&self.targets[at * self.n_act..][..self.n_act]);
                let memory_action = codebook.action_after(self.memories[holder], ahead);
                batch.centers.extend(memory_action.iter().map(|&a| region.center(a)));
                batch.radii.push(region.radius);
                batch.real.push(step + k <= last);
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        data::{ActionRange, Parts},
        envelope::Activation,
        memory::{LearnSettings, SelectionMethod, learn},
    };

    /// Episodes of 2 and 5 steps; a state is ten times its step, and an action a tenth of it.
    fn gathered(horizons: Horizons, distances: Distances) -> (Rows, Vec<Gathered>) {
        let parts = Parts {
            n_obs: 1,
            n_act: 1,
            states: (0..7).map(|i| 10.0 * i as f32).collect(),
            actions: (0..7).map(|i| 0.1 * i as f32).collect(),
            rewards: None,
            ends: vec![2, 7],
        };
        let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
        let all = LearnSettings { selection: SelectionMethod::All, ..Default::default() };
        let book =
            learn(&data, &all).unwrap().codebook.with_future_actions(&data, horizons.prediction).unwrap();
        let envelope = Envelope { lambda: 1.0, amplitude: 1.0, activation: Activation::Clamp };
        let rows = Rows::new(&data, &book, envelope, distances, horizons);
        let scale = book.parts().scale.clone();
        let batches = (0..rows.n)
            .map(|i| {
                let mut batch = Gathered::default();
                rows.gather(&book, &[i], &mut batch);
                assert_eq!(rows.count(&[i]), batch.real.iter().filter(|real| **real).count());
                let back = |v: &f32| ((v * scale.std[0] + scale.mean[0]) / 10.0).round();
                batch.observations = batch.observations.iter().map(back).collect(); // the steps' numbers again
                batch.targets.iter_mut().for_each(|a| *a = (*a * 10.0).round());
                batch
            })
            .collect();
        (rows, batches)
    }

    #[test]
    fn windows_that_are_proposed_for_throughout_never_cross_episodes() {
        let horizons = Horizons { observation: 3, prediction: 1, execution: 1, predict_all_steps: true };
        let (rows, batches) = gathered(horizons, Distances::Paper);
        let seen: Vec<&[f32]> = batches.iter().map(|b| &b.observations[..]).collect();
        assert_eq!(seen, [[0.0, 1.0, 1.0], [2.0, 3.0, 4.0], [3.0, 4.0, 5.0], [4.0, 5.0, 6.0]]);
        assert_eq!(batches[0].real, [true, true, false], "the place beyond the end counts nothing");
        assert!(batches[1..].iter().all(|b| b.real == [true; 3]));
        assert!(batches.iter().all(|b| b.targets == b.observations), "each place has its own action");
        // Every step is a memory, at distance 0: each place is held by its own, and the network decides nothing.
        for batch in &batches {
            for (center, target) in batch.centers.iter().zip(&batch.targets) {
                assert!((10.0 * center - target).abs() < 1e-5);
            }
            assert_eq!(batch.radii, [0.0; 3]);
        }
        assert_eq!((rows.short(), rows.zero_gradient_share()), ([1, 2], 1.0));
    }

    #[test]
    fn proposals_ahead_are_held_by_what_followed_the_memory_of_the_newest_observation() {
        let horizons = Horizons { observation: 2, prediction: 3, execution: 2, predict_all_steps: false };
        let (rows, batches) = gathered(horizons, Distances::Loo);
        assert_eq!(rows.n, 7);
        let seen: Vec<&[f32]> = batches.iter().map(|b| &b.observations[..]).collect();
        assert_eq!(
            seen,
            [[0.0, 0.0], [0.0, 1.0], [2.0, 2.0], [2.0, 3.0], [3.0, 4.0], [4.0, 5.0], [5.0, 6.0]]
        );
        let wanted: Vec<&[f32]> = batches.iter().map(|b| &b.targets[..]).collect();
        assert_eq!(wanted[..3], [[0.0, 1.0, 1.0], [1.0, 1.0, 1.0], [2.0, 3.0, 4.0]]);
        assert_eq!(wanted[5], [5.0, 6.0, 6.0]);
        assert_eq!(batches[5].real, [true, true, false]);
        // Step 1 is held by step 2, the nearest of the other episode, and by what followed that, at one distance.
        let Gathered { centers, radii, .. } = &batches[1];
        let weight = 1.0 - radii[0];
        assert!(weight > 0.1 && radii.iter().all(|r| *r == radii[0]));
        for (center, memory_action) in centers.iter().zip([0.2, 0.3, 0.4]) {
            assert!((center - weight * memory_action).abs() < 1e-6);
        }
    }
}
