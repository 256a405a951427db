//! Demonstrations of some episodes, of pieces of episodes, and of those of two sources.

use std::ops::Range;

use super::Demonstrations;
use crate::{data::Pieces, seed::Seed};

impl Demonstrations {
    /// A selection of episodes, in the order of `which`. They keep their numbers in the source.
    ///
    /// # Panics
    /// If `which` is empty or has an index out of range.
    pub fn select(&self, which: &[usize]) -> Self {
        assert!(!which.is_empty(), "a selection of no episodes");
        let mut part = self.empty();
        for &k in which {
            part.push(self, self.episode(k), k);
        }
        part
    }

    /// The demonstrations without the last step of every episode, as in D4RL's `qlearning_dataset`. Episodes keep their
    /// numbers; episodes of one step are dropped. `None` if no step is left.
    pub fn drop_last(&self) -> Option<Self> {
        let mut part = self.empty();
        for k in 0..self.n_episodes() {
            let Range { start, end } = self.episode(k);
            if end - start > 1 {
                part.push(self, start..end - 1, k);
            }
        }
        (!part.ends.is_empty()).then_some(part)
    }

    /// Demonstrations without episodes, with the same dimensions, encoding and names.
    fn empty(&self) -> Self {
        Self {
            n_obs: self.n_obs,
            n_act: self.n_act,
            steps: self.steps.empty(),
            ends: Vec::new(),
            episode_numbers: Vec::new(),
            margins: Vec::new(),
            encoding: self.encoding.clone(),
            names: self.names.clone(),
            origin: self.origin.clone(),
            tasks: Vec::new(),
            units: self.units.clone(),
        }
    }

    /// Appends steps of episode `k` of `from` as one episode.
    fn push(&mut self, from: &Self, steps: Range<usize>, k: usize) {
        self.ends.push(self.n_steps() + steps.len());
        self.steps.push(&from.steps, steps, [self.n_obs, self.n_act]);
        self.episode_numbers.push(from.episode_numbers[k]);
        self.margins.push(from.margins[k]);
        self.tasks.extend(from.tasks.get(k).cloned());
    }

    /// The same steps in pieces of the episodes, numbered anew from 0.
    pub(in crate::data) fn with_pieces(&self, Pieces { ends, margins, episodes }: Pieces) -> Self {
        let tasks = episodes.iter().filter_map(|&k| self.tasks.get(k)).cloned().collect();
        let episode_numbers = (0..ends.len() as u32).collect();
        Self { ends, margins, tasks, episode_numbers, ..self.clone() }
    }

    /// The steps at each end of episode `k` that follow, or are followed by, steps of another episode.
    pub(in crate::data) fn margin(&self, k: usize) -> usize {
        self.margins[k]
    }

    /// Appends the episodes of other data of the same dimensions, without their tasks. Rewards are dropped if either has none.
    pub(in crate::data) fn extend(&mut self, other: &Self) {
        if self.rewards().is_some() != other.rewards().is_some() {
            self.steps.drop_rewards();
        }
        for k in 0..other.n_episodes() {
            self.push(other, other.episode(k), k);
        }
        self.tasks.clear();
    }

    /// Splits whole episodes at random into a training set and a validation set. Episodes that (nearly) coincide stay together and count
    /// as one ([`groups`](Self::groups)): the validation set has a fraction of the distinct episodes, at least one if the fraction is
    /// above 0 and there are two or more. Both keep the order of the source.
    pub fn split(&self, validation_fraction: f64, seed: Seed) -> (Self, Option<Self>) {
        if validation_fraction <= 0.0 || self.n_episodes() < 2 {
            return (self.clone(), None);
        }
        let [training, validation] = self.groups().split(validation_fraction, seed);
        if validation.is_empty() {
            return (self.clone(), None);
        }
        (self.select(&training), Some(self.select(&validation)))
    }
}
