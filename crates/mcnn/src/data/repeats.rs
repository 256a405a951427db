//! Episodes that (nearly) coincide: recorded twice, saved with other rounding, or cut short. They are no independent evidence, so
//! what leaves out one episode leaves out all that coincide with it.
//!
//! Episodes are compared by their states alone: a copy with other labels has the same distances. Candidates are found by hashes of
//! states on a grid, in time linear in the number of steps, and by the offset between the two episodes at which hashes agree. Only
//! steps that move count, because episodes that rest in one pose have most of their steps in common without being copies.

use std::{collections::HashMap, ops::Range};

use super::{Demonstrations, Scale};

/// Dimensions of the state that a hash depends on, at most. With more, rounding would change too many hashes.
const DIMENSIONS: usize = 4;

/// The width of a cell of the grid, in standard deviations, for each dimension hashed.
const CELL: f32 = 2.5e-3;

/// The largest difference that is attributed to rounding, in standard deviations.
const TOLERANCE: f32 = 4e-3;

/// The share of the moving steps that have to agree within [`TOLERANCE`].
const AGREEING: f64 = 0.9;

/// The share of the sampled hashes that have to agree, where there are no states to compare.
const AGREEING_HASHES: f64 = 0.5;

/// Places looked up for one hash. A state that more episodes have, such as a common start, says little.
const PLACES: usize = 16;

/// Offsets that are verified, those at which most hashes agree first.
const CANDIDATES: usize = 8;

/// The steps whose hashes represent an episode: 16 or more, and every 16th of a long one.
const SAMPLES: usize = 16;

/// What identifies an episode without its states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpisodeRecord {
    /// The number of the episode in its source.
    pub number: u32,
    /// The number of the first episode that it coincides with; its own if there is none.
    pub group: u32,
    /// Its steps.
    pub steps: u32,
    /// A hash of its states and actions, to the bit.
    pub content: u64,
    /// Some of its steps that move: the step, and a hash of its state on a grid.
    pub samples: Vec<[u32; 2]>,
}

/// The groups of coinciding episodes of some demonstrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpisodeGroups {
    first: Vec<usize>, // [n_episodes], the index of the first episode of its group
}

impl EpisodeGroups {
    /// The groups of episodes with these hashes of their observations (`traces`) and of everything (`content`). `coincide`: whether
    /// an episode agrees with an earlier one at an offset.
    fn find(
        traces: &[Vec<u32>],
        content: impl Fn(usize) -> u64,
        coincide: impl Fn(usize, (usize, i64)) -> bool,
    ) -> Self {
        let place = |(k, trace): (usize, &'_ Vec<u32>)| -> Vec<[u32; 3]> {
            moving(trace).map(|t| [trace[t], k as u32, t as u32]).collect()
        };
        let places = Places::new(traces.iter().enumerate().flat_map(place).collect());
        let mut by_content: HashMap<u64, usize> = HashMap::new();
        let mut first: Vec<usize> = Vec::with_capacity(traces.len());
        for (k, trace) in traces.iter().enumerate() {
            let equal = *by_content.entry(content(k)).or_insert(k);
            let is_first = |j: u32| first.get(j as usize) == Some(&(j as usize));
            let found = if equal < k {
                Some(first[equal])
            } else {
                let candidates = places.candidates(trace, is_first);
                candidates.into_iter().find(|&at| coincide(k, at)).map(|(j, _)| j)
            };
            first.push(found.unwrap_or(k));
        }
        Self { first }
    }

    /// The groups of episodes with these hashes of their observations, equal only for equal observations, and of their actions:
    /// episodes whose hashes agree at nine tenths of the moving steps.
    pub(crate) fn of_hashes(traces: &[Vec<u32>], actions: &[u64]) -> Self {
        let content = |k: usize| traces[k].iter().fold(actions[k], |hash, &v| mixed(hash, u64::from(v)));
        let coincide = |k: usize, (j, offset): (usize, i64)| {
            let other = |t: usize| (t as i64 + offset) as usize;
            agree(&traces[k], &traces[j], offset, |t| traces[k][t] == traces[j][other(t)])
        };
        Self::find(traces, content, coincide)
    }

    /// The index of the first episode that episode `k` coincides with; `k` if there is none before it.
    pub fn first(&self, k: usize) -> usize {
        self.first[k]
    }

    /// The number of groups: of episodes that differ.
    pub fn len(&self) -> usize {
        self.firsts().count()
    }

    /// Always false: demonstrations have an episode.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The first episode of every group, in ascending order.
    pub fn firsts(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.first.len()).filter(|&k| self.first[k] == k)
    }

    /// The groups of two or more episodes, as indices of episodes.
    pub fn repeated(&self) -> Vec<Vec<usize>> {
        let members = |f: usize| (f..self.first.len()).filter(|&k| self.first[k] == f).collect::<Vec<_>>();
        let mut has_copies = vec![false; self.first.len()];
        self.first.iter().enumerate().filter(|(k, f)| *k != **f).for_each(|(_, &f)| has_copies[f] = true);
        self.firsts().filter(|&f| has_copies[f]).map(members).collect()
    }

    /// For every episode the position of its group among the groups.
    pub fn ordinals(&self) -> Vec<usize> {
        let mut place = vec![0; self.first.len()];
        self.firsts().enumerate().for_each(|(i, f)| place[f] = i);
        self.first.iter().map(|&f| place[f]).collect()
    }

    /// Splits the episodes at random, whole groups at a time: the training and the validation episodes, each in ascending order. The
    /// validation set has a fraction of the groups, at least one if the fraction is above 0 and there are two or more.
    pub(crate) fn split(&self, validation_fraction: f64, seed: crate::seed::Seed) -> [Vec<usize>; 2] {
        let n = self.len();
        let n_validation = match validation_fraction > 0.0 && n > 1 {
            true => ((validation_fraction * n as f64).round() as usize).clamp(1, n - 1),
            false => 0,
        };
        let mut is_validation = vec![false; n];
        seed.rng().permutation(n)[..n_validation].iter().for_each(|&i| is_validation[i] = true);
        let group = self.ordinals();
        [false, true]
            .map(|wanted| (0..self.first.len()).filter(|&k| is_validation[group[k]] == wanted).collect())
    }
}

/// The grid on which states are hashed.
struct Grid<'a> {
    scale: &'a Scale,
    dimensions: Vec<(usize, f32, f32)>, // feature, mean, width of a cell
}

impl<'a> Grid<'a> {
    /// The grid in the units of a scale; dimensions that do not vary or are ignored do not count.
    fn new(scale: &'a Scale) -> Self {
        let varies = |&i: &usize| scale.std[i] > 0.0 && scale.std[i].is_finite();
        let all: Vec<usize> = (0..scale.n_features()).filter(varies).collect();
        let count = all.len().min(DIMENSIONS);
        let cell = CELL * count as f32;
        let chosen = (0..count).map(|k| all[k * all.len() / count]);
        Self { dimensions: chosen.map(|i| (i, scale.mean[i], cell * scale.std[i])).collect(), scale }
    }

    fn hash(&self, state: &[f32]) -> u32 {
        let state = self.scale.features(state);
        let cells =
            self.dimensions.iter().map(|&(i, mean, width)| ((state[i] - mean) / width).round() as i64);
        (cells.fold(0, |hash, cell| mixed(hash, cell as u64)) >> 32) as u32
    }

    /// The hashes of consecutive states.
    fn trace(&self, data: &Demonstrations, steps: Range<usize>) -> Vec<u32> {
        let mut trace = Vec::with_capacity(steps.len());
        data.each_state(steps, |_, state| trace.push(self.hash(state)));
        trace
    }
}

/// One more value in a hash (the finalizer of SplitMix64).
pub(crate) fn mixed(hash: u64, value: u64) -> u64 {
    let mut z = (hash ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The steps of a trace that move, the first included.
fn moving(trace: &[u32]) -> impl Iterator<Item = usize> + '_ {
    (0..trace.len()).filter(|&t| t == 0 || trace[t] != trace[t - 1])
}

/// The hash of an episode's states and actions, to the bit.
fn content(data: &Demonstrations, k: usize) -> u64 {
    let steps = data.episode(k);
    let mut hash = steps.len() as u64;
    // + 0.0 turns -0 into 0.
    let mut add = |values: &[f32]| {
        hash = values.iter().fold(hash, |hash, v| mixed(hash, u64::from((v + 0.0).to_bits())));
    };
    data.pieces_of(steps.clone()).for_each(|piece| add(&data.states_of(piece)));
    data.pieces_of(steps).for_each(|piece| add(&data.actions_of(piece)));
    hash
}

/// Where hashes of known episodes are.
struct Places(Vec<[u32; 3]>); // hash, episode, step; sorted

impl Places {
    fn new(mut places: Vec<[u32; 3]>) -> Self {
        places.sort_unstable();
        Self(places)
    }

    /// The known episodes, and the offsets to them, at which two or more hashes of a trace agree: the step of the known episode minus
    /// that of the trace. `is_known`: whether to compare with an episode.
    fn candidates(&self, trace: &[u32], is_known: impl Fn(u32) -> bool) -> Vec<(usize, i64)> {
        let mut votes: HashMap<(u32, i64), u32> = HashMap::new();
        for t in moving(trace) {
            let from = self.0.partition_point(|place| place[0] < trace[t]);
            let same = self.0[from..].iter().take_while(|place| place[0] == trace[t]).take(PLACES);
            for &[_, episode, step] in same.filter(|place| is_known(place[1])) {
                *votes.entry((episode, i64::from(step) - t as i64)).or_default() += 1;
            }
        }
        let mut found: Vec<_> = votes.into_iter().filter(|(_, votes)| *votes > 1).collect();
        found.sort_unstable_by_key(|&((episode, offset), votes)| (std::cmp::Reverse(votes), episode, offset));
        found.truncate(CANDIDATES);
        found.into_iter().map(|((episode, offset), _)| (episode as usize, offset)).collect()
    }
}

/// The steps of an episode of `steps` steps that have a counterpart in one of `known` steps, `offset` steps later. Empty if they are
/// less than half of the shorter episode.
fn overlap(steps: usize, known: usize, offset: i64) -> Range<usize> {
    let start = (-offset).max(0) as usize;
    let end = (known as i64 - offset).clamp(0, steps as i64) as usize;
    if 2 * end.saturating_sub(start) < steps.min(known) { 0..0 } else { start..end }
}

/// Whether most steps of a trace, of those that move, agree with a known one `offset` steps later. `is_near`: whether a step does.
fn agree(trace: &[u32], known: &[u32], offset: i64, is_near: impl Fn(usize) -> bool) -> bool {
    let moves = |trace: &[u32], t: usize| t == 0 || trace[t] != trace[t - 1];
    let there = |t: usize| (t as i64 + offset) as usize;
    let steps = overlap(trace.len(), known.len(), offset);
    let moving: Vec<usize> = steps.filter(|&t| moves(trace, t) || moves(known, there(t))).collect();
    let near = moving.iter().filter(|&&t| is_near(t)).count();
    moving.len() > 1 && near as f64 >= AGREEING * moving.len() as f64
}

impl Demonstrations {
    /// The groups of episodes that (nearly) coincide in their states: copies, also with other rounding (up to 0.004 standard
    /// deviations), cut short at an end, or with other actions. Episodes in which nothing moves coincide if they are equal to the bit.
    pub fn groups(&self) -> EpisodeGroups {
        let scale = Scale::fit(self);
        let grid = Grid::new(&scale);
        let traces: Vec<Vec<u32>> =
            (0..self.n_episodes()).map(|k| grid.trace(self, self.episode(k))).collect();
        EpisodeGroups::find(&traces, |k| content(self, k), |k, at| self.coincide(k, at, &traces, &scale))
    }

    /// Whether the states of episode `k` are those of episode `j`, `offset` steps later.
    fn coincide(&self, k: usize, (j, offset): (usize, i64), traces: &[Vec<u32>], scale: &Scale) -> bool {
        let (mine, other) = (self.episode(k), self.episode(j));
        let is_near = |t: usize| {
            let steps = [mine.start + t, other.start + (t as i64 + offset) as usize];
            let states = steps.map(|step| self.state(step));
            let [a, b] = states.each_ref().map(|state| scale.features(state));
            let differ = |i: usize| (a[i] - b[i]).abs() > TOLERANCE * scale.std[i];
            !(0..scale.n_features()).any(|i| scale.std[i] > 0.0 && differ(i))
        };
        agree(&traces[k], &traces[j], offset, is_near)
    }

    /// What identifies the episodes, for [`KnownEpisodes`]. `scale`: the units of the grid.
    pub(crate) fn records(&self, scale: &Scale) -> Vec<EpisodeRecord> {
        let (grid, groups) = (Grid::new(scale), self.groups());
        let record = |k: usize| {
            let trace = grid.trace(self, self.episode(k));
            let steps: Vec<usize> = moving(&trace).collect();
            let stride = (steps.len() / SAMPLES).clamp(1, SAMPLES);
            EpisodeRecord {
                number: self.number(k),
                group: self.number(groups.first(k)),
                steps: trace.len() as u32,
                content: content(self, k),
                samples: steps.into_iter().step_by(stride).map(|t| [t as u32, trace[t]]).collect(),
            }
        };
        (0..self.n_episodes()).map(record).collect()
    }
}

/// Episodes of which only the records are known.
pub(crate) struct KnownEpisodes<'a> {
    records: &'a [EpisodeRecord],
    grid: Grid<'a>,
    places: Places,
    by_content: HashMap<u64, usize>,
}

impl<'a> KnownEpisodes<'a> {
    /// `scale`: that of the records.
    pub fn new(records: &'a [EpisodeRecord], scale: &'a Scale) -> Self {
        let place = |(k, record): (usize, &'a EpisodeRecord)| {
            record.samples.iter().map(move |&[step, hash]| [hash, k as u32, step])
        };
        Self {
            grid: Grid::new(scale),
            places: Places::new(records.iter().enumerate().flat_map(place).collect()),
            by_content: records.iter().enumerate().rev().map(|(k, r)| (r.content, k)).collect(),
            records,
        }
    }

    /// The first known episode that episode `k` of `data` coincides with.
    pub fn find(&self, data: &Demonstrations, k: usize) -> Option<&'a EpisodeRecord> {
        if let Some(&equal) = self.by_content.get(&content(data, k)) {
            return Some(&self.records[equal]);
        }
        let trace = self.grid.trace(data, data.episode(k));
        let agrees = |&(j, offset): &(usize, i64)| {
            let record = &self.records[j];
            let steps = overlap(trace.len(), record.steps as usize, offset);
            let here =
                |step: u32| usize::try_from(i64::from(step) - offset).ok().filter(|t| steps.contains(t));
            let compared = record.samples.iter().filter_map(|&[step, hash]| Some(trace[here(step)?] == hash));
            let (all, agree) = compared.fold((0, 0), |(all, agree), same| (all + 1, agree + u32::from(same)));
            agree > 1 && f64::from(agree) >= AGREEING_HASHES * f64::from(all)
        };
        self.places.candidates(&trace, |_| true).into_iter().find(agrees).map(|(j, _)| &self.records[j])
    }

    /// The hash of a state, as in the records.
    pub fn hash(scale: &'a Scale) -> impl Fn(&[f32]) -> u32 + 'a {
        let grid = Grid::new(scale);
        move |state| grid.hash(state)
    }
}

#[cfg(test)]
mod tests;
