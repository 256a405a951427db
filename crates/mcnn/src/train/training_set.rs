//! The training set, its mini-batches, and the sampler of batches.

use super::Distances;
use crate::{
    backbone::{Batch, Horizons},
    data::Demonstrations,
    envelope::{Envelope, Region},
    error::{Error, Kind, Result},
    memory::Codebook,
    seed::Seed,
};

/// The demonstrated steps, and the samples that batches consist of.
///
/// A sample is a window of observations and the actions of its target steps. If the backbone predicts for every observation of
/// a window, windows are inside an episode and start at each of its steps; a target step is constrained by the memory of its
/// own observation. Otherwise a window ends at each step of an episode (before its start, the first observation is repeated);
/// the target steps begin at that step and are constrained by its memory and the future actions of the memory. In free training
/// no memory constrains a target step: its box is that of the network alone.
pub struct TrainingSet {
    pub n: usize, // samples
    n_obs: usize,
    n_act: usize,
    horizons: Horizons,
    steps: Steps,
    memories: Vec<u32>,   // [steps], the retrieved memory of each; empty in free training
    regions: Vec<Region>, // [steps]; the one of all steps in free training
    pairs: Vec<Vec<u32>>, // [steps], the memories that a step is paired with; empty for a backbone that does not see memories
    ends: Vec<usize>,     // [episodes], exclusive
    numbers: Vec<u32>,    // [episodes], in the source
    leaves_out: bool,     // whether a step's memory has an action without the steps of the step's episode
    samples: Vec<Sample>,
}

/// The states and actions of the steps.
enum Steps {
    Memory {
        states: Vec<f32>,  // [steps, n_obs], standardized
        targets: Vec<f32>, // [steps, n_act]
    },
    File(Box<Demonstrations>), // read and standardized when a batch needs them
}

/// A window of steps.
struct Sample {
    step: u32, // the first of the window if every one is predicted, else the last
    episode: u32,
}

impl Sample {
    fn step(&self) -> usize {
        self.step as usize
    }

    fn episode(&self) -> usize {
        self.episode as usize
    }
}

/// A mini-batch or a micro-batch.
#[derive(Debug, Default)]
pub struct MiniBatch {
    pub observations: Vec<f32>, // [rows, window, n_obs]
    pub targets: Vec<f32>,      // [rows, target_steps, n_act]
    pub centers: Vec<f32>,      // [rows, target_steps, n_act]
    pub radii: Vec<f32>,        // [rows, target_steps]
    pub mask: Vec<bool>,        // [rows, target_steps]: which count in a loss
    pub neighbors: Vec<f32>,    // [rows, n_obs + n_act], the memory a row is paired with; empty without pairs
}

impl MiniBatch {
    /// The part that a backbone takes. `count`: demonstrated target steps of the whole batch.
    pub fn batch(&self, count: usize) -> Batch<'_> {
        Batch {
            observations: &self.observations,
            neighbors: &self.neighbors,
            actions: &self.targets,
            mask: &self.mask,
            count,
        }
    }
}

impl TrainingSet {
    /// `through`: which memories constrain the targets; `None` in free training.
    pub fn new(
        train: &Demonstrations,
        codebook: &Codebook,
        envelope: Envelope,
        through: Option<Distances>,
        horizons: Horizons,
    ) -> Self {
        let (memories, regions) = match through {
            None => {
                let alone = Envelope { lambda: f32::INFINITY, ..envelope };
                (Vec::new(), vec![alone.region(0.0)])
            }
            Some(distances) => constraints(train, codebook, envelope, distances),
        };
        let steps = match train.is_streamed() {
            true => Steps::File(Box::new(train.clone())),
            false => Steps::Memory {
                states: codebook.parts().scale.apply_all(&train.states()),
                targets: train.actions().into_owned(),
            },
        };
        let samples: Vec<Sample> = (0..train.n_episodes())
            .flat_map(|episode| {
                let steps = train.episode(episode);
                let last = if horizons.predict_all_steps {
                    steps.end.saturating_sub(horizons.observation).max(steps.start)
                } else {
                    steps.end - 1
                };
                (steps.start..=last).map(move |step| Sample { step: step as u32, episode: episode as u32 })
            })
            .collect();
        Self {
            n: samples.len(),
            n_obs: codebook.n_features(),
            n_act: train.n_act(),
            horizons,
            steps,
            memories,
            regions,
            pairs: Vec::new(),
            ends: train.ends().to_vec(),
            numbers: (0..train.n_episodes()).map(|k| train.number(k)).collect(),
            leaves_out: through == Some(Distances::Loo),
            samples,
        }
    }

    /// The same training set, every step paired with the `count` nearest memories of other episodes, or as many as there are.
    ///
    /// # Errors
    /// If all memories are of one episode.
    pub fn with_pairs(self, train: &Demonstrations, codebook: &Codebook, count: usize) -> Result<Self> {
        let pairs = codebook.retrieve_many_leave_one_episode_out(train, count).into_iter();
        let pairs: Vec<Vec<u32>> =
            pairs.map(|found| found.into_iter().map(|r| r.memory as u32).collect()).collect();
        if pairs.iter().any(Vec::is_empty) {
            return Err(Error::new(Kind::Data, "all memories are of one episode")
                .expected("memories of two episodes or more: a network that sees memories is trained with those of others")
                .next("add demonstrations, or choose another backbone"));
        }
        Ok(Self { pairs, ..self })
    }

    /// The samples of all episodes but those of a fold. `folds`: the fold of every episode.
    pub fn samples_without_fold(&self, fold: usize, folds: &[usize]) -> Vec<u32> {
        (0..self.n).filter(|&i| folds[self.samples[i].episode()] != fold).map(|i| i as u32).collect()
    }

    /// Whether a step could not be read from its file.
    pub fn is_unreadable(&self) -> bool {
        matches!(&self.steps, Steps::File(data) if data.is_unreadable())
    }

    /// The error of the first step that could not be read from its file, or of a file that was changed.
    pub fn check_readable(&self) -> Result<()> {
        match &self.steps {
            Steps::Memory { .. } => Ok(()),
            Steps::File(data) => data.check_readable(),
        }
    }

    /// Appends the standardized state of a step.
    fn append_state(&self, codebook: &Codebook, step: usize, to: &mut Vec<f32>) {
        match &self.steps {
            Steps::Memory { states, .. } => to.extend_from_slice(&states[step * self.n_obs..][..self.n_obs]),
            Steps::File(data) => {
                let start = to.len();
                to.resize(start + self.n_obs, 0.0);
                codebook.parts().scale.apply(&data.state(step), &mut to[start..]);
            }
        }
    }

    /// Appends the action of a step.
    fn append_target(&self, step: usize, to: &mut Vec<f32>) {
        match &self.steps {
            Steps::Memory { targets, .. } => {
                to.extend_from_slice(&targets[step * self.n_act..][..self.n_act])
            }
            Steps::File(data) => to.extend_from_slice(&data.action(step)),
        }
    }

    /// The region of a step.
    fn region(&self, step: usize) -> Region {
        self.regions[if self.memories.is_empty() { 0 } else { step }]
    }

    /// The share of steps with zero gradient: those with radius 0.
    pub fn zero_gradient_share(&self) -> f64 {
        self.regions.iter().filter(|r| r.radius == 0.0).count() as f64 / self.regions.len() as f64
    }

    /// Episodes shorter than the observation or the prediction horizon, and all episodes.
    pub fn short_episodes(&self) -> [usize; 2] {
        let least = self.horizons.observation.max(self.horizons.prediction);
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        [starts.zip(&self.ends).filter(|(start, end)| *end - start < least).count(), self.ends.len()]
    }

    /// Target steps of some samples that count in a loss.
    pub fn count(&self, which: &[usize]) -> usize {
        let steps = self.horizons.target_steps();
        if self.horizons.counts_padding {
            return which.len() * steps;
        }
        let demonstrated =
            |&i: &usize| steps.min(self.ends[self.samples[i].episode()] - self.samples[i].step());
        which.iter().map(demonstrated).sum()
    }

    /// Replaces the contents of a mini-batch by some samples. `codebook`: that of [`new`](Self::new). `seed` decides which memory
    /// each row is paired with.
    pub fn gather(&self, codebook: &Codebook, which: &[usize], seed: Seed, batch: &mut MiniBatch) {
        let mut rng = seed.rng();
        let mut memory_action = vec![0.0; self.n_act];
        batch.neighbors.clear();
        let Horizons { observation: window, predict_all_steps, .. } = self.horizons;
        batch.observations.clear();
        for values in [&mut batch.targets, &mut batch.centers, &mut batch.radii] {
            values.clear();
        }
        batch.mask.clear();
        for &i in which {
            let (step, episode) = (self.samples[i].step(), self.samples[i].episode());
            let start = if episode == 0 { 0 } else { self.ends[episode - 1] };
            let last = self.ends[episode] - 1;
            for k in 0..window {
                let at = if predict_all_steps {
                    (step + k).min(last)
                } else {
                    (step + k + 1).saturating_sub(window).max(start)
                };
                self.append_state(codebook, at, &mut batch.observations);
            }
            if let Some(pairs) = self.pairs.get(step) {
                let memory = pairs[rng.below(pairs.len())] as usize;
                codebook.action_without(memory, 0, self.numbers[episode], &mut memory_action);
                codebook.append_standardized_state(memory, &mut batch.neighbors);
                batch.neighbors.extend_from_slice(&memory_action);
            }
            for k in 0..self.horizons.target_steps() {
                let at = (step + k).min(last);
                let (retrieved_at, chunk_step) = if predict_all_steps { (at, 0) } else { (step, k) };
                let region = self.region(retrieved_at);
                self.append_target(at, &mut batch.targets);
                match self.memories.get(retrieved_at) {
                    Some(&memory) => {
                        let memory = memory as usize;
                        if self.leaves_out {
                            let number = self.numbers[episode];
                            codebook.action_without(memory, chunk_step, number, &mut memory_action);
                        } else {
                            memory_action.copy_from_slice(codebook.action_after(memory, chunk_step));
                        }
                        batch.centers.extend(memory_action.iter().map(|&a| region.center(a)));
                    }
                    None => batch.centers.resize(batch.targets.len(), 0.0),
                }
                batch.radii.push(region.radius);
                batch.mask.push(step + k <= last || self.horizons.counts_padding);
            }
        }
    }
}

/// The memory of every step, and the box around its action.
fn constraints(
    train: &Demonstrations,
    codebook: &Codebook,
    envelope: Envelope,
    distances: Distances,
) -> (Vec<u32>, Vec<Region>) {
    let retrieved = match distances {
        Distances::Paper => codebook.retrieve_each(train),
        Distances::Loo => {
            let others = codebook.retrieve_leave_one_episode_out(train);
            let fallback = if others.contains(&None) { codebook.retrieve_each(train) } else { Vec::new() };
            others.into_iter().enumerate().map(|(i, other)| other.unwrap_or_else(|| fallback[i])).collect()
        }
    };
    retrieved.iter().map(|r| (r.memory as u32, envelope.region(r.distance))).unzip()
}

/// Samples batches: every epoch is a new permutation, and batches continue from one epoch into the next. A batch is a function
/// of the seed and the step, so a resumed run needs no state of the sampler.
pub struct BatchSampler {
    samples: Samples,
    seed: Seed,
    epoch: u64,
    permutation: Vec<u32>,
}

/// The samples to draw from, at least one.
pub enum Samples {
    /// So many, from the first on.
    All(usize),
    /// Those of these numbers.
    Some(Vec<u32>),
}

impl Samples {
    fn len(&self) -> usize {
        match self {
            Self::All(n) => *n,
            Self::Some(which) => which.len(),
        }
    }

    fn get(&self, k: u32) -> usize {
        match self {
            Self::All(_) => k as usize,
            Self::Some(which) => which[k as usize] as usize,
        }
    }
}

/// The order of an epoch.
fn permutation(n: usize, seed: Seed, epoch: u64) -> Vec<u32> {
    seed.nth(epoch).rng().permutation(n).into_iter().map(|k| k as u32).collect()
}

impl BatchSampler {
    /// Draws in an order that the seed says.
    pub fn new(samples: Samples, seed: Seed) -> Self {
        Self { seed, epoch: 0, permutation: permutation(samples.len(), seed, 0), samples }
    }

    pub fn batch(&mut self, step: u64, batch: usize) -> Vec<usize> {
        let start = step * batch as u64;
        (start..start + batch as u64)
            .map(|position| {
                let n = self.samples.len();
                let epoch = position / n as u64;
                if epoch != self.epoch {
                    self.epoch = epoch;
                    self.permutation = permutation(n, self.seed, epoch);
                }
                self.samples.get(self.permutation[(position % n as u64) as usize])
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        data::{ActionRange, Parts},
        memory::{LearnSettings, SelectionMethod, learn},
    };

    /// Mini-batches of one sample each. Episodes have 2 and 5 steps; a state is ten times its step, an action a tenth of it.
    fn one_by_one(horizons: Horizons, distances: Distances) -> (TrainingSet, Vec<MiniBatch>) {
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
        let envelope = Envelope { lambda: 1.0, ..Envelope::default() };
        let set = TrainingSet::new(&data, &book, envelope, Some(distances), horizons);
        let scale = book.parts().scale.clone();
        let batches = (0..set.n)
            .map(|i| {
                let mut batch = MiniBatch::default();
                set.gather(&book, &[i], Seed(0), &mut batch);
                assert_eq!(set.count(&[i]), batch.mask.iter().filter(|mask| **mask).count());
                let back = |v: &f32| ((v * scale.std[0] + scale.mean[0]) / 10.0).round();
                batch.observations = batch.observations.iter().map(back).collect(); // back to the index of the step
                batch.targets.iter_mut().for_each(|a| *a = (*a * 10.0).round());
                batch
            })
            .collect();
        (set, batches)
    }

    #[test]
    fn windows_whose_every_step_is_predicted_never_cross_episodes() {
        let horizons = Horizons { observation: 3, predict_all_steps: true, ..Horizons::SINGLE };
        let (set, batches) = one_by_one(horizons, Distances::Paper);
        let seen: Vec<&[f32]> = batches.iter().map(|b| &b.observations[..]).collect();
        assert_eq!(seen, [[0.0, 1.0, 1.0], [2.0, 3.0, 4.0], [3.0, 4.0, 5.0], [4.0, 5.0, 6.0]]);
        assert_eq!(batches[0].mask, [true, true, false], "the step beyond the end is masked");
        assert!(batches[1..].iter().all(|b| b.mask == [true; 3]));
        assert!(batches.iter().all(|b| b.targets == b.observations), "each step has its own action");
        // Every step is a memory at distance 0: its box is the memory action.
        for batch in &batches {
            for (center, target) in batch.centers.iter().zip(&batch.targets) {
                assert!((10.0 * center - target).abs() < 1e-5);
            }
            assert_eq!(batch.radii, [0.0; 3]);
        }
        assert_eq!((set.short_episodes(), set.zero_gradient_share()), ([1, 2], 1.0));
    }

    #[test]
    fn chunks_are_constrained_by_the_future_actions_of_the_memory_of_the_newest_observation() {
        let horizons = Horizons { observation: 2, prediction: 3, execution: 2, ..Horizons::SINGLE };
        let (set, batches) = one_by_one(horizons, Distances::Loo);
        assert_eq!(set.n, 7);
        let seen: Vec<&[f32]> = batches.iter().map(|b| &b.observations[..]).collect();
        assert_eq!(
            seen,
            [[0.0, 0.0], [0.0, 1.0], [2.0, 2.0], [2.0, 3.0], [3.0, 4.0], [4.0, 5.0], [5.0, 6.0]]
        );
        let wanted: Vec<&[f32]> = batches.iter().map(|b| &b.targets[..]).collect();
        assert_eq!(wanted[..3], [[0.0, 1.0, 1.0], [1.0, 1.0, 1.0], [2.0, 3.0, 4.0]]);
        assert_eq!(wanted[5], [5.0, 6.0, 6.0]);
        assert_eq!(batches[5].mask, [true, true, false]);
        let (padded, same) = one_by_one(Horizons { counts_padding: true, ..horizons }, Distances::Loo);
        assert!(same.iter().all(|b| b.mask == [true; 3]), "the action that is held counts");
        assert_eq!((padded.count(&[0, 5]), set.count(&[0, 5])), (6, 4));
        // The memory of step 1 is step 2, the nearest one of the other episode. Its future actions have the same weight.
        let MiniBatch { centers, radii, .. } = &batches[1];
        let weight = 1.0 - radii[0];
        assert!(weight > 0.1 && radii.iter().all(|r| *r == radii[0]));
        for (center, memory_action) in centers.iter().zip([0.2, 0.3, 0.4]) {
            assert!((center - weight * memory_action).abs() < 1e-6);
        }
    }
}
