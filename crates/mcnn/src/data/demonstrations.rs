//! Episodes of (state, action) pairs, validated once when they are created.

use std::{borrow::Cow, ops::Range};

use sha2::{Digest, Sha256};

use super::{
    ActionRange, ActionUnits, DimensionNames, Origin, Outside, Parts, Pieces, Units, action_range,
    columns::FileSteps,
    steps::{MemorySteps, Steps},
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

    /// All states: `[n_steps, n_obs]`. Those of a file are read.
    pub fn states(&self) -> Cow<'_, [f32]> {
        self.states_of(0..self.n_steps())
    }

    /// All actions: `[n_steps, n_act]`, each in [-1, 1]. Those of a file are read.
    pub fn actions(&self) -> Cow<'_, [f32]> {
        self.actions_of(0..self.n_steps())
    }

    /// The states of some steps, counted over all episodes: `[steps, n_obs]`.
    pub fn states_of(&self, steps: Range<usize>) -> Cow<'_, [f32]> {
        self.steps.states(steps, self.n_obs)
    }

    /// The actions of some steps, counted over all episodes: `[steps, n_act]`, each in [-1, 1].
    pub fn actions_of(&self, steps: Range<usize>) -> Cow<'_, [f32]> {
        self.steps.actions(steps, self.n_act)
    }

    /// All rewards, where the source had them and the steps are in memory: `[n_steps]`.
    pub fn rewards(&self) -> Option<&[f32]> {
        self.steps.rewards()
    }

    /// All states and all actions, if they are in memory.
    pub fn in_memory(&self) -> Option<[&[f32]; 2]> {
        match &self.steps {
            Steps::Memory(memory) => Some([&memory.states, &memory.actions]),
            Steps::File(_) => None,
        }
    }

    /// Whether the steps are read from a file when they are asked for.
    pub fn is_streamed(&self) -> bool {
        matches!(self.steps, Steps::File(_))
    }

    /// The error of the first step that could not be read from the file, or of a file that was changed since it was opened. Until this
    /// is `Ok`, nothing that was computed from the steps may be used: a step that cannot be read is zeros. Steps in memory have no
    /// errors.
    ///
    /// # Errors
    /// A file that was cut short or changed, and errors of the file system.
    pub fn check_readable(&self) -> Result<()> {
        match &self.steps {
            Steps::Memory(_) => Ok(()),
            Steps::File(file) => file.check_readable(),
        }
    }

    /// Whether a step could not be read: what is computed from now on will not be used.
    pub(crate) fn is_unreadable(&self) -> bool {
        matches!(&self.steps, Steps::File(file) if file.has_failed())
    }

    /// Consecutive ranges of steps, of the size that is best read together: all steps, if they are in memory.
    pub fn pieces(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        self.pieces_of(0..self.n_steps())
    }

    /// The same of a range of steps.
    pub(crate) fn pieces_of(&self, steps: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let (end, most) = (steps.end, self.piece_steps(1));
        steps.step_by(most).map(move |start| start..end.min(start + most))
    }

    /// Calls a function with each of a range of steps, in order, and its state.
    pub(super) fn each_state(&self, steps: Range<usize>, mut f: impl FnMut(usize, &[f32])) {
        for piece in self.pieces_of(steps) {
            let states = self.states_of(piece.clone());
            states.chunks_exact(self.n_obs).zip(piece).for_each(|(state, i)| f(i, state));
        }
    }

    /// Calls a function with the states of each of a range of steps and its next one in the range, in order.
    pub(super) fn each_pair(&self, steps: Range<usize>, mut f: impl FnMut(&[f32], &[f32])) {
        let mut before: Vec<f32> = Vec::with_capacity(self.n_obs);
        self.each_state(steps, |_, state| {
            if !before.is_empty() {
                f(&before, state);
            }
            before.clear();
            before.extend_from_slice(state);
        });
    }

    /// The steps of a piece, or of one `smaller` times as small; all of them, if they are in memory.
    pub(crate) fn piece_steps(&self, smaller: usize) -> usize {
        match &self.steps {
            Steps::Memory(_) => self.n_steps().max(1),
            Steps::File(file) => (file.piece_steps() / smaller).max(1),
        }
    }

    /// Where each episode ends, exclusive.
    pub fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// The state of a step, counted over all episodes.
    pub fn state(&self, i: usize) -> Cow<'_, [f32]> {
        self.states_of(i..i + 1)
    }

    /// The action of a step, counted over all episodes.
    pub fn action(&self, i: usize) -> Cow<'_, [f32]> {
        self.actions_of(i..i + 1)
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

/// The content hash of widths, episode ends, states and actions.
pub(super) struct ContentHash(Sha256);

impl ContentHash {
    /// `widths`: those of an observation and of an action.
    pub fn new(widths: &[usize], ends: &[usize]) -> Self {
        let mut hash = Sha256::new();
        for n in widths.iter().chain([&ends.len()]).chain(ends) {
            hash.update((*n as u64).to_le_bytes());
        }
        Self(hash)
    }

    /// Adds values. In pieces: a buffer of bytes as large as the data would double their memory.
    pub fn add(&mut self, values: &[f32]) {
        const PIECE: usize = 4096;
        let mut bytes = [0; 4 * PIECE];
        for piece in values.chunks(PIECE) {
            let to = bytes.as_chunks_mut::<4>().0;
            to.iter_mut().zip(piece).for_each(|(to, v)| *to = v.to_le_bytes());
            self.0.update(&bytes[..4 * piece.len()]);
        }
    }

    /// The hash as hexadecimal.
    pub fn finish(self) -> String {
        self.0.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}

#[cfg(test)]
mod tests;
