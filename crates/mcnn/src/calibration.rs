//! Calibration of out-of-distribution (OOD) detection: how large the distance from a state to its nearest memory usually is
//! in a new episode, and the threshold above which a state counts as OOD.
//!
//! A calibration stores the distances of whole episodes, each to memories of *other* episodes. Its guarantees are
//! split-conformal and rest on one assumption: the new episode and the n calibration episodes are exchangeable. Steps within
//! an episode need not be exchangeable; therefore each episode has the same weight, however long it is.
//!
//! - The probability that a random state of a new episode is farther than `t` is at most (n s + 1) / (n + 1), where s is the
//!   share of states farther than t, averaged over the calibration episodes (Lee, Barber and Willett, 2024: distribution-free
//!   inference with hierarchical data).
//! - The probability that *any* state of a new episode is farther than the k-th smallest of the episodes' largest distances is
//!   at most 1 - k / (n + 1).
//!
//! Both probabilities are over the calibration episodes and the new episode together. The guarantees hold for episodes that
//! were not used to select the memories ([`OodCalibration::from_new_episodes`]). Leave-one-episode-out calibration
//! ([`OodCalibration::leave_one_episode_out`]) uses the memories' own data: an episode is then compared with the memories of
//! one episode fewer than a new episode is. This makes distances larger, and alarms rarer than the bound, in practice; no
//! theorem states it for all data.

use std::collections::HashSet;

use crate::{
    data::Demonstrations,
    error::{Error, Kind, Result},
    memory::Codebook,
};

/// The distances of the calibration episodes, sorted for lookup.
#[derive(Debug, Clone, PartialEq)]
pub struct OodCalibration {
    episodes: Vec<CalibrationEpisode>,
    states: Vec<(f32, f64)>, // all distances in order, with the cumulative weight; an episode has weight 1 / n
    largest_distances: Vec<f32>, // [n], the largest distance of each episode, in order
    typical: Option<f32>,    // see `typical_distance`; `None` in files of earlier versions
}

/// The episodes of calibration data that do not count, by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Those that coincide with an episode the memories were selected from ([`Codebook::known_episodes`]): their distances are not
    /// those of a new episode.
    pub known: Vec<u32>,
    /// Those that coincide with an earlier episode of the data.
    pub repeated: Vec<u32>,
}

/// One calibration episode.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationEpisode {
    /// The episode's number in its source.
    pub number: u32,
    /// The distances of its states, smallest first.
    pub distances: Vec<f32>,
}

/// The quantile level, in (0, 1], at which a threshold is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OodQuantile {
    /// Of the states' distances, each episode with the same weight.
    States(f64),
    /// Of the episodes' largest distances.
    Episodes(f64),
}

/// The distance above which a state counts as OOD, with a bound on how often that happens in distribution.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Threshold {
    /// The distance, in standardized units.
    pub distance: f32,
    /// Upper bound of the probability that a random state of a new episode ([`OodQuantile::States`]), or any of its states
    /// ([`OodQuantile::Episodes`]), is farther.
    pub probability: f64,
}

/// The median; the larger of the middle two of an even number of values; `None` for no values.
fn upper_median(mut values: Vec<f32>) -> Option<f32> {
    values.sort_unstable_by(f32::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Tolerance for the rounding of summed weights.
const ROUNDING: f64 = 1e-9;

impl OodCalibration {
    /// A calibration from the distances of episodes.
    ///
    /// # Errors
    /// If there is no episode, or the distances of one are empty, negative, not finite or not in ascending order.
    pub fn new(episodes: Vec<CalibrationEpisode>) -> Result<Self> {
        let is_valid = |e: &CalibrationEpisode| {
            e.distances.first().is_some_and(|&d| d >= 0.0)
                && e.distances.is_sorted()
                && e.distances.iter().all(|d| d.is_finite())
        };
        if episodes.is_empty() || !episodes.iter().all(is_valid) {
            return Err(Error::new(Kind::File, "the OOD calibration is invalid")
                .at("calibration")
                .expected("episodes with finite distances of 0 or more, in ascending order"));
        }
        let n = episodes.len() as f64;
        let mut states: Vec<(f32, f64)> = episodes
            .iter()
            .flat_map(|e| e.distances.iter().map(move |&d| (d, 1.0 / (n * e.distances.len() as f64))))
            .collect();
        states.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut sum = 0.0;
        for (_, weight) in &mut states {
            sum += *weight;
            *weight = sum;
        }
        let mut largest_distances: Vec<f32> =
            episodes.iter().filter_map(|e| e.distances.last().copied()).collect();
        largest_distances.sort_by(f32::total_cmp);
        Ok(Self { episodes, states, largest_distances, typical: None })
    }

    /// A calibration on new episodes. Episodes that coincide with one the memories were selected from are left out, and of episodes that
    /// coincide with each other all but the first: the guarantees are about independent episodes. Gives those left out, too.
    ///
    /// # Errors
    /// If the data are in another space than the memories ([`Codebook::check_space`]), or no episode is left.
    pub fn from_new_episodes(codebook: &Codebook, data: &Demonstrations) -> Result<(Self, LeftOut)> {
        let found = Self::of_new_episodes(codebook, data);
        // What follows from steps that could not be read is wrong, an error included.
        data.check_readable().and(found)
    }

    fn of_new_episodes(codebook: &Codebook, data: &Demonstrations) -> Result<(Self, LeftOut)> {
        let known = codebook.known_episodes(data)?;
        let groups = data.groups();
        let which = |wanted: &dyn Fn(usize) -> bool| (0..data.n_episodes()).filter(|&k| wanted(k)).collect();
        let is_known = |k: usize| known[groups.first(k)].is_some() || known[k].is_some();
        let numbers = |which: Vec<usize>| which.into_iter().map(|k| data.number(k)).collect();
        let left_out = LeftOut {
            known: numbers(which(&is_known)),
            repeated: numbers(which(&|k| !is_known(k) && groups.first(k) != k)),
        };
        let left: Vec<usize> = which(&|k| !is_known(k) && groups.first(k) == k);
        if left.is_empty() {
            return Err(Error::new(Kind::Mismatch, "the memories were chosen from these data")
                .expected("other episodes, whose distances to the memories are those of new episodes")
                .found(format!("{} episodes, all of which coincide with episodes of the memories", known.len()))
                .next(
                    "leave the option out: the policy has a calibration that leaves out one episode at a time",
                ));
        }
        let data = data.select(&left);
        let distances = codebook.distances(&data).into_iter().map(Some).collect();
        let calibration = Self::from_distances(codebook, &data, distances)
            .ok_or_else(|| Error::new(Kind::Data, "the calibration data have no usable distances"))?;
        Ok((calibration, left_out))
    }

    /// A calibration on the memories' own data, leave-one-episode-out: each state's distance to the nearest memory of another
    /// episode. Episodes that coincide count as one, the first of them; pieces of a recording are measured without their margins
    /// ([`Demonstrations::interior`]). `None` if all memories and all data are of one episode.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn leave_one_episode_out(codebook: &Codebook, data: &Demonstrations) -> Option<Self> {
        let mut seen = HashSet::new();
        let first: Vec<usize> =
            (0..data.n_episodes()).filter(|&k| seen.insert(codebook.group(data.number(k)))).collect();
        let data = data.select(&first);
        let retrieved = codebook.retrieve_leave_one_episode_out(&data);
        Self::from_distances(codebook, &data, retrieved.into_iter().map(|r| Some(r?.distance)).collect())
    }

    /// A calibration on the episodes that have a distance for every state; `None` if there is none.
    fn from_distances(
        codebook: &Codebook,
        data: &Demonstrations,
        distances: Vec<Option<f32>>,
    ) -> Option<Self> {
        let rests = data.resting(&codebook.parts().scale);
        let (mut episodes, mut moving) = (Vec::new(), Vec::new());
        for k in 0..data.n_episodes() {
            let steps = data.interior(k);
            let found = distances[steps.clone()].iter().copied().collect::<Option<Vec<f32>>>();
            let Some(mut distances) = found else { continue };
            moving.extend(distances.iter().zip(&rests[steps]).filter(|(_, rests)| !**rests).map(|(d, _)| *d));
            distances.sort_by(f32::total_cmp);
            episodes.push(CalibrationEpisode { number: data.number(k), distances });
        }
        let calibration = Self::new(episodes).ok()?;
        Some(calibration.with_typical_distance(upper_median(moving)))
    }

    /// The same calibration with a typical distance, as stored in a file.
    pub(crate) fn with_typical_distance(self, typical: Option<f32>) -> Self {
        Self { typical: typical.filter(|&d| d > 0.0 && d.is_finite()), ..self }
    }

    /// The typical distance as it is stored.
    pub(crate) fn stored_typical_distance(&self) -> Option<f32> {
        self.typical
    }

    /// The distance in whose units lambda is chosen: the median over the steps that move ([`Demonstrations::resting`]). Steps at rest
    /// are as near to other episodes as those rest in one pose, and say nothing about the others. If it is 0, or not known (files of
    /// earlier versions): the median over the distances above 0. `None` if there are none.
    pub fn typical_distance(&self) -> Option<f32> {
        let positive = || self.episodes.iter().flat_map(|e| &e.distances).copied().filter(|&d| d > 0.0);
        self.typical.or_else(|| upper_median(positive().collect()))
    }

    /// The calibration episodes.
    pub fn episodes(&self) -> &[CalibrationEpisode] {
        &self.episodes
    }

    /// The share in [0, 1] of the calibration episodes' states, each episode with the same weight, that are nearer than `d`; 1
    /// if `d` is NaN.
    pub fn quantile(&self, d: f32) -> f64 {
        if d.is_nan() {
            return 1.0;
        }
        let nearer = self.states.partition_point(|s| s.0 < d);
        nearer.checked_sub(1).map_or(0.0, |last| self.states[last].1.min(1.0))
    }

    /// The smallest distance that at least the given share of the calibration states, or episodes, does not exceed.
    ///
    /// # Errors
    /// If the share is not in (0, 1].
    pub fn threshold(&self, quantile: OodQuantile) -> Result<Threshold> {
        let (OodQuantile::States(share) | OodQuantile::Episodes(share)) = quantile;
        if !(share > 0.0 && share <= 1.0) {
            return Err(Error::new(Kind::Settings, "the OOD quantile is out of range")
                .at("--ood-quantile")
                .expected("above 0 and at most 1")
                .found(share.to_string()));
        }
        let n = self.largest_distances.len();
        Ok(match quantile {
            OodQuantile::States(_) => {
                let i = self.states.partition_point(|s| s.1 < share - ROUNDING).min(self.states.len() - 1);
                let distance = self.states[i].0;
                let last = self.states.partition_point(|s| s.0 <= distance) - 1; // the last of equal distances
                let farther = (1.0 - self.states[last].1).max(0.0);
                Threshold { distance, probability: (n as f64 * farther + 1.0) / (n as f64 + 1.0) }
            }
            OodQuantile::Episodes(_) => {
                let k = ((share * n as f64 - ROUNDING).ceil() as usize).clamp(1, n);
                Threshold {
                    distance: self.largest_distances[k - 1],
                    probability: 1.0 - k as f64 / (n as f64 + 1.0),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests;
