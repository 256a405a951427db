//! Episodes of (state, action) pairs, validated once when they are created.

use std::{borrow::Cow, ops::Range};

use sha2::{Digest, Sha256};

use super::{
    ActionRange, ActionScale, ActionSettings, ActionUnits, DimensionNames, Origin, Outside, Parts, Pieces,
    RelativeTo, Units, action_range,
};
use crate::{error::Result, seed::Seed};

/// The source of a step: the number of its episode in the source file, and its position in the episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Step {
    /// The episode, counted from 0 in the source file.
    pub episode: u32,
    /// The step in the episode, counted from 0.
    pub step: u32,
}

impl Step {
    /// The episode and step of the `i`-th step of all, where each episode ends at one of `ends`, exclusive.
    pub(super) fn within(ends: &[usize], i: usize) -> Self {
        let episode = ends.partition_point(|&end| end <= i);
        let start = episode.checked_sub(1).map_or(0, |before| ends[before]);
        Self { episode: episode as u32, step: (i - start) as u32 }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.episode, self.step)
    }
}

/// Episodes of states and actions, all finite, at least one step in every episode. Actions are in [-1, 1]; the units
/// ([`ActionUnits`]) say what they are in the data's.
#[derive(Debug, Clone, PartialEq)]
pub struct Demonstrations {
    n_obs: usize,
    n_act: usize,
    states: Vec<f32>,          // [n_steps, n_obs]
    actions: Vec<f32>,         // [n_steps, n_act]
    rewards: Option<Vec<f32>>, // [n_steps]
    ends: Vec<usize>,          // [n_episodes], exclusive, increasing, the last is n_steps
    episode_numbers: Vec<u32>, // [n_episodes], the number of the episode in its source
    margins: Vec<usize>,       // [n_episodes], see `interior`; 0 unless the episode is a piece of a recording
    encoding: Option<String>,  // identifies the encoder, if the states are embeddings
    names: DimensionNames,     // of states and actions; absent in most data
    origin: Origin,            // the keys of the source
    tasks: Vec<String>,        // [n_episodes], texts of tasks; empty if the source has none
    units: ActionUnits,        // of the actions
}

impl From<Demonstrations> for Parts {
    /// The parts of the demonstrations with actions in the data's units, without episode numbers, the encoding and the names of
    /// dimensions.
    fn from(data: Demonstrations) -> Self {
        Self {
            n_obs: data.n_obs,
            n_act: data.n_act,
            actions: data.actions_in_data_units().into_owned(),
            states: data.states,
            rewards: data.rewards,
            ends: data.ends,
        }
    }
}

impl Demonstrations {
    /// Validates the parts.
    ///
    /// # Errors
    /// Empty data, lengths that disagree, empty episodes, values that are NaN, infinite or above 1e30, and actions outside [-1, 1]
    /// unless `range` says to clip them and they are few ([`MOST_CLIPPED`](super::MOST_CLIPPED)).
    pub fn new(parts: Parts, range: ActionRange) -> Result<Self> {
        parts.check_values()?;
        let Parts { n_obs, n_act, states, mut actions, rewards, ends } = parts;
        action_range::apply(&mut actions, n_act, range)?;
        let episode_numbers = (0..ends.len() as u32).collect();
        let margins = vec![0; ends.len()];
        Ok(Self {
            margins,
            n_obs,
            n_act,
            states,
            actions,
            rewards,
            ends,
            episode_numbers,
            encoding: None,
            names: DimensionNames::default(),
            origin: Origin::default(),
            tasks: Vec::new(),
            units: ActionUnits::default(),
        })
    }

    /// Validates parts with actions in the data's units, and scales the actions to [-1, 1] ([`ActionScale::Auto`] does not where
    /// `range` says to clip). Returns the number of scaled actions that
    /// were outside and are clipped: with [`ActionRange::Clip`], or beyond the quantiles of [`ActionScale::Quantile`].
    ///
    /// # Errors
    /// As [`new`](Self::new), of the scaled actions, and as [`ActionUnits::fit`].
    pub fn scaled(
        mut parts: Parts,
        names: &DimensionNames,
        units: &Units,
        range: ActionRange,
    ) -> Result<(Self, Outside)> {
        parts.check_values()?;
        let (units, range) = match units {
            Units::Given(units) => (units.clone(), range),
            Units::Fitted(settings) => {
                let is_relative = settings.relative_to != RelativeTo::Absolute;
                let settings = match (settings.scale, range) {
                    // Who clips outliers wants the rest as it is.
                    (ActionScale::Auto, ActionRange::Clip) if !is_relative => {
                        &ActionSettings { scale: ActionScale::None, ..settings.clone() }
                    }
                    _ => settings,
                };
                let clips = settings.scale == ActionScale::Quantile;
                let range = if clips { ActionRange::Clip } else { range };
                (ActionUnits::fit(&parts, names, settings)?, range)
            }
        };
        units.to_scaled(&parts.states, parts.n_obs, &mut parts.actions);
        let outside = Outside::count(&parts.actions, parts.n_act);
        Ok((Self { units, ..Self::new(parts, range)? }, outside))
    }

    /// The same data, whose actions in [-1, 1] have these units.
    ///
    /// # Panics
    /// If the units have other dimensions.
    pub fn with_units(self, units: ActionUnits) -> Self {
        let widths = [units.scales()[0].len(), units.relative_to().len()];
        assert!(widths.iter().all(|n| *n == 0 || *n == self.n_act), "units of other dimensions");
        Self { units, ..self }
    }

    /// The units of the actions.
    pub fn units(&self) -> &ActionUnits {
        &self.units
    }

    /// The action of a step in the data's units: `[n_act]`.
    pub fn action_in_data_units(&self, i: usize) -> Vec<f32> {
        self.units.action_to_data(self.action(i), self.state(i))
    }

    /// All actions in the data's units: `[n_steps, n_act]`.
    pub fn actions_in_data_units(&self) -> Cow<'_, [f32]> {
        match self.units.is_identity() {
            true => Cow::Borrowed(&self.actions),
            false => (0..self.n_steps()).flat_map(|i| self.action_in_data_units(i)).collect(),
        }
    }

    /// The same data with the keys of their source.
    pub fn with_origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// The same data with the numbers of the episodes in their source and the texts of their tasks (or no texts).
    ///
    /// # Panics
    /// If there is not one for each episode.
    pub fn with_episodes(self, episode_numbers: Vec<u32>, tasks: Vec<String>) -> Self {
        assert_eq!(episode_numbers.len(), self.n_episodes(), "a number for each episode");
        assert!(tasks.is_empty() || tasks.len() == self.n_episodes(), "a task for each episode");
        Self { episode_numbers, tasks, ..self }
    }

    /// The keys that the states and actions were read from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The text of each episode's task: `[n_episodes]`; empty if the source has none.
    pub fn tasks(&self) -> &[String] {
        &self.tasks
    }

    /// The same data with `encoding`, which identifies the encoder of the states, as JSON.
    pub fn with_encoding(self, encoding: Option<String>) -> Self {
        Self { encoding, ..self }
    }

    /// The same data with these names of dimensions, in place of those it had.
    ///
    /// # Errors
    /// As [`DimensionNames::validate`].
    pub fn with_names(self, names: DimensionNames) -> Result<Self> {
        names.validate(self.n_obs, self.n_act)?;
        Ok(Self { names, ..self })
    }

    /// Names of the dimensions of states and actions, where the source has them.
    pub fn names(&self) -> &DimensionNames {
        &self.names
    }

    /// The encoder of the states (network, weights, preset), as JSON; `None` if the states are not embeddings. States can be
    /// compared only if their encodings are equal.
    pub fn encoding(&self) -> Option<&str> {
        self.encoding.as_deref()
    }

    /// The dimensions of a state.
    pub fn n_obs(&self) -> usize {
        self.n_obs
    }

    /// The dimensions of an action.
    pub fn n_act(&self) -> usize {
        self.n_act
    }

    /// The number of steps of all episodes.
    pub fn n_steps(&self) -> usize {
        self.states.len() / self.n_obs
    }

    /// The number of episodes.
    pub fn n_episodes(&self) -> usize {
        self.ends.len()
    }

    /// All states: `[n_steps, n_obs]`.
    pub fn states(&self) -> &[f32] {
        &self.states
    }

    /// All actions: `[n_steps, n_act]`, each in [-1, 1].
    pub fn actions(&self) -> &[f32] {
        &self.actions
    }

    /// All rewards, where the source had them: `[n_steps]`.
    pub fn rewards(&self) -> Option<&[f32]> {
        self.rewards.as_deref()
    }

    /// Where each episode ends, exclusive.
    pub fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// The state of a step, counted over all episodes.
    pub fn state(&self, i: usize) -> &[f32] {
        &self.states[i * self.n_obs..][..self.n_obs]
    }

    /// The action of a step, counted over all episodes.
    pub fn action(&self, i: usize) -> &[f32] {
        &self.actions[i * self.n_act..][..self.n_act]
    }

    /// The steps of episode `k` (its number in the source may differ, see [`number`](Self::number)).
    pub fn episode(&self, k: usize) -> Range<usize> {
        let start = if k == 0 { 0 } else { self.ends[k - 1] };
        start..self.ends[k]
    }

    /// The number of episode `k` in its source.
    pub fn number(&self, k: usize) -> u32 {
        self.episode_numbers[k]
    }

    /// The index of the episode that contains step `i`.
    pub fn episode_of(&self, i: usize) -> usize {
        self.ends.partition_point(|&end| end <= i)
    }

    /// The source of a step.
    pub fn step(&self, i: usize) -> Step {
        let k = self.episode_of(i);
        Step { episode: self.episode_numbers[k], step: (i - self.episode(k).start) as u32 }
    }

    /// The index of the step with this source, counted over all episodes; `None` if it was not selected.
    pub fn find(&self, step: Step) -> Option<usize> {
        let k = self.episode_numbers.iter().position(|&n| n == step.episode)?;
        let range = self.episode(k);
        let i = range.start + step.step as usize;
        range.contains(&i).then_some(i)
    }

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
            states: Vec::new(),
            actions: Vec::new(),
            rewards: self.rewards.as_ref().map(|_| Vec::new()),
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
        let Range { start, end } = steps;
        self.states.extend_from_slice(&from.states[start * self.n_obs..end * self.n_obs]);
        self.actions.extend_from_slice(&from.actions[start * self.n_act..end * self.n_act]);
        if let (Some(to), Some(from)) = (&mut self.rewards, &from.rewards) {
            to.extend_from_slice(&from[start..end]);
        }
        self.ends.push(self.states.len() / self.n_obs);
        self.episode_numbers.push(from.episode_numbers[k]);
        self.margins.push(from.margins[k]);
        self.tasks.extend(from.tasks.get(k).cloned());
    }

    /// The same steps in pieces of the episodes, numbered anew from 0.
    pub(super) fn with_pieces(&self, Pieces { ends, margins, episodes }: Pieces) -> Self {
        let tasks = episodes.iter().filter_map(|&k| self.tasks.get(k)).cloned().collect();
        let episode_numbers = (0..ends.len() as u32).collect();
        Self { ends, margins, tasks, episode_numbers, ..self.clone() }
    }

    /// The steps at each end of episode `k` that follow, or are followed by, steps of another episode.
    pub(super) fn margin(&self, k: usize) -> usize {
        self.margins[k]
    }

    /// Appends the episodes of other data of the same dimensions, without their tasks. Rewards are dropped if either has none.
    pub(super) fn extend(&mut self, other: &Self) {
        if self.rewards.is_some() != other.rewards.is_some() {
            self.rewards = None;
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

    /// SHA-256 over widths, episode ends, states and scaled actions, as hexadecimal: a content hash that does not depend on
    /// the file's format. Rewards and names are not included, because training does not use them.
    pub fn fingerprint(&self) -> String {
        fingerprint([self.n_obs, self.n_act], &self.ends, [&self.states, &self.actions])
    }
}

/// The fingerprint of widths, episode ends, states and actions.
pub(super) fn fingerprint(widths: [usize; 2], ends: &[usize], values: [&[f32]; 2]) -> String {
    let mut hash = Sha256::new();
    for n in widths.into_iter().chain([ends.len()]).chain(ends.iter().copied()) {
        hash.update((n as u64).to_le_bytes());
    }
    const PIECE: usize = 4096;
    // In pieces: a buffer of bytes as large as the data would double its memory.
    let mut bytes = [0; 4 * PIECE];
    for piece in values.into_iter().flat_map(|values| values.chunks(PIECE)) {
        let to = bytes.as_chunks_mut::<4>().0;
        to.iter_mut().zip(piece).for_each(|(to, v)| *to = v.to_le_bytes());
        hash.update(&bytes[..4 * piece.len()]);
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
