//! Episodes of (state, action) pairs, validated once when they are created.

mod access;
mod select;

use std::{borrow::Cow, ops::Range};

use super::{
    ActionRange, ActionUnits, DimensionNames, Origin, Outside, Parts, Units, action_range,
    columns::FileSteps,
    content_hash::ContentHash,
    steps::{MemorySteps, Steps},
};
use crate::error::Result;

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
///
/// They are in memory, or in a file of columns that is read where steps are asked for ([`stream`](super::stream)).
#[derive(Debug, Clone)]
pub struct Demonstrations {
    n_obs: usize,
    n_act: usize,
    steps: Steps,
    ends: Vec<usize>,          // [n_episodes], exclusive, increasing, the last is n_steps
    episode_numbers: Vec<u32>, // [n_episodes], the number of the episode in its source
    margins: Vec<usize>,       // [n_episodes], see `interior`; 0 unless the episode is a piece of a recording
    encoding: Option<String>,  // identifies the encoder, if the states are embeddings
    names: DimensionNames,     // of states and actions; absent in most data
    origin: Origin,            // the keys of the source
    tasks: Vec<String>,        // [n_episodes], texts of tasks; empty if the source has none
    units: ActionUnits,        // of the actions
}

impl PartialEq for Demonstrations {
    fn eq(&self, other: &Self) -> bool {
        let about = |data: &Self| (data.n_obs, data.n_act, data.n_steps());
        let episodes = |data: &Self| {
            (data.ends.clone(), data.episode_numbers.clone(), data.margins.clone(), data.tasks.clone())
        };
        let source = |data: &Self| {
            (data.encoding.clone(), data.names.clone(), data.origin.clone(), data.units.clone())
        };
        about(self) == about(other)
            && episodes(self) == episodes(other)
            && source(self) == source(other)
            && self.rewards() == other.rewards()
            && self.pieces().all(|steps| {
                self.states_of(steps.clone()) == other.states_of(steps.clone())
                    && self.actions_of(steps.clone()) == other.actions_of(steps)
            })
    }
}

impl From<Demonstrations> for Parts {
    /// The parts of the demonstrations with actions in the data's units, without episode numbers, the encoding and the names of
    /// dimensions.
    fn from(data: Demonstrations) -> Self {
        let actions = data.actions_in_data_units().into_owned();
        let MemorySteps { states, rewards, .. } = data.steps.into_memory();
        Self { n_obs: data.n_obs, n_act: data.n_act, actions, states, rewards, ends: data.ends }
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
        Ok(Self::of_steps([n_obs, n_act], Steps::Memory(MemorySteps { states, actions, rewards }), ends))
    }

    /// Demonstrations whose steps are read from a file, which has checked them.
    pub(super) fn in_file(
        widths: [usize; 2],
        steps: FileSteps,
        ends: Vec<usize>,
        units: ActionUnits,
    ) -> Self {
        Self { units, ..Self::of_steps(widths, Steps::File(steps), ends) }
    }

    /// Demonstrations of valid steps, with actions as they are.
    fn of_steps([n_obs, n_act]: [usize; 2], steps: Steps, ends: Vec<usize>) -> Self {
        Self {
            n_obs,
            n_act,
            steps,
            episode_numbers: (0..ends.len() as u32).collect(),
            margins: vec![0; ends.len()],
            ends,
            encoding: None,
            names: DimensionNames::default(),
            origin: Origin::default(),
            tasks: Vec::new(),
            units: ActionUnits::default(),
        }
    }

    /// Validates parts with actions in the data's units, and scales the actions to [-1, 1]
    /// ([`ActionScale::Auto`](super::ActionScale::Auto) does not where `range` says to clip). Returns the number of scaled actions
    /// that were outside and are clipped: with [`ActionRange::Clip`], or beyond the quantiles of
    /// [`ActionScale::Quantile`](super::ActionScale::Quantile).
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
        let (units, range) = units.of(&parts, names, range)?;
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
        self.units.action_to_data(&self.action(i), &self.state(i))
    }

    /// All actions in the data's units: `[n_steps, n_act]`.
    pub fn actions_in_data_units(&self) -> Cow<'_, [f32]> {
        match self.units.is_identity() {
            true => self.actions(),
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
        self.ends.last().copied().unwrap_or(0)
    }

    /// The number of episodes.
    pub fn n_episodes(&self) -> usize {
        self.ends.len()
    }

    /// Where each episode ends, exclusive.
    pub fn ends(&self) -> &[usize] {
        &self.ends
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

    /// SHA-256 over widths, episode ends, states and scaled actions, as hexadecimal: a content hash that does not depend on
    /// the file's format. Rewards and names are not included, because training does not use them.
    pub fn fingerprint(&self) -> String {
        let hash = || {
            let mut hash = ContentHash::new(&[self.n_obs, self.n_act], &self.ends);
            self.pieces().for_each(|steps| hash.add(&self.states_of(steps)));
            self.pieces().for_each(|steps| hash.add(&self.actions_of(steps)));
            hash.finish()
        };
        match &self.steps {
            Steps::Memory(_) => hash(),
            Steps::File(file) => file.fingerprint(&self.ends, hash),
        }
    }
}

#[cfg(test)]
mod tests;
