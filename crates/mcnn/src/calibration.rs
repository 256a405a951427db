//! How far is far: the distance of a state to its nearest memory, among those that states of new episodes have.
//!
//! A calibration keeps the distances of whole calibration episodes, each to memories of *other* episodes. What it says of a new
//! episode is split-conformal and supposes one thing: that the new episode and the calibration episodes are exchangeable
//! (drawn alike, in any order as likely). Steps within an episode need not be; therefore the episodes are counted, not the
//! steps, each as much as another however long it is.
//!
//! - A state taken at random from a new episode is farther than the distance `t` with a chance of at most
//!   (n s + 1) / (n + 1), s being the mean share of a calibration episode's states that are farther than t
//!   (Lee, Barber and Willett, 2024: prediction for hierarchical data).
//! - A new episode *ever* goes farther than the k-th smallest of the n episodes' largest distances with a chance of at
//!   most 1 - k / (n + 1).
//!
//! Both are of a chance over calibration and new episode together. They are exact of episodes that had no part in choosing
//! the memories ([`OodCalibration::from_new_episodes`]). Leaving one episode out at a time ([`OodCalibration::leave_one_episode_out`]) makes do with the memories'
//! own data: an episode is then measured against the memories of one episode fewer than a new one is, which makes for
//! larger distances, and so for fewer alarms than are promised; but no theorem says so of every data.

use crate::{
    data::Demonstrations,
    error::{Error, Kind, Result},
    memory::Codebook,
};

/// Distances of calibration episodes, ready to be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct OodCalibration {
    episodes: Vec<CalibrationEpisode>,
    states: Vec<(f32, f64)>, // all distances in order, each with the weight of those up to and with it; an episode weighs 1 / n
    farthest: Vec<f32>,      // [n], the episodes' largest distances in order
}

/// One calibration episode.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationEpisode {
    /// The episode's number in its source.
    pub number: u32,
    /// The distances of its states, smallest first.
    pub distances: Vec<f32>,
}

/// OodQuantile what: a share in (0, 1] of what calibration episodes show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OodQuantile {
    /// Farther than this share of their states, each episode counting alike.
    States(f64),
    /// Farther than this share of the episodes ever go.
    Episodes(f64),
}

/// A distance beyond which a state is far, and how often a state (an episode) of the calibrated kind would be.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Threshold {
    /// Standardized distance.
    pub distance: f32,
    /// The chance is at most this: that a random state of a new episode is farther, or that a new episode ever is.
    pub probability: f64,
}

/// Weights are sums of many small ones: so much of rounding is allowed.
const ROUNDING: f64 = 1e-9;

impl OodCalibration {
    /// A calibration of given episodes.
    ///
    /// # Errors
    /// If there is no episode, one has no distances, or distances are not numbers of 0 or more, smallest first.
    pub fn new(episodes: Vec<CalibrationEpisode>) -> Result<Self> {
        let good = |e: &CalibrationEpisode| {
            e.distances.first().is_some_and(|&d| d >= 0.0)
                && e.distances.is_sorted()
                && e.distances.iter().all(|d| d.is_finite())
        };
        if episodes.is_empty() || !episodes.iter().all(good) {
            return Err(Error::new(Kind::File, "a calibration that cannot be used")
                .at("calibration")
                .expected("episodes of finite distances, smallest first"));
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
        let mut farthest: Vec<f32> = episodes.iter().filter_map(|e| e.distances.last().copied()).collect();
        farthest.sort_by(f32::total_cmp);
        Ok(Self { episodes, states, farthest })
    }

    /// From episodes that had no part in choosing the memories.
    ///
    /// # Errors
    /// If the widths differ.
    pub fn from_new_episodes(codebook: &Codebook, data: &Demonstrations) -> Result<Self> {
        codebook.check_space(data)?;
        let distances = codebook.distances(data).into_iter().map(Some).collect();
        Self::of(data, distances).ok_or_else(|| Error::new(Kind::Data, "no distances to calibrate on"))
    }

    /// From the memories' own data: each state's distance to the nearest memory of another episode. `None` where all
    /// memories come from one episode and there is no other.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn leave_one_episode_out(codebook: &Codebook, data: &Demonstrations) -> Option<Self> {
        Self::of(
            data,
            codebook.retrieve_leave_one_episode_out(data).into_iter().map(|r| Some(r?.distance)).collect(),
        )
    }

    /// Of the episodes that have a distance for every state.
    fn of(data: &Demonstrations, distances: Vec<Option<f32>>) -> Option<Self> {
        let episode = |k: usize| {
            let mut distances = distances[data.episode(k)].iter().copied().collect::<Option<Vec<f32>>>()?;
            distances.sort_by(f32::total_cmp);
            Some(CalibrationEpisode { number: data.number(k), distances })
        };
        Self::new((0..data.n_episodes()).filter_map(episode).collect()).ok()
    }

    /// The calibration episodes.
    pub fn episodes(&self) -> &[CalibrationEpisode] {
        &self.episodes
    }

    /// The share in [0, 1] of the calibration episodes' states, each episode counting alike, that are nearer than `d`; 1 of
    /// what is no number.
    pub fn quantile(&self, d: f32) -> f64 {
        if d.is_nan() {
            return 1.0;
        }
        let nearer = self.states.partition_point(|s| s.0 < d);
        nearer.checked_sub(1).map_or(0.0, |last| self.states[last].1.min(1.0))
    }

    /// The smallest distance beyond which a state is farther than a share of what calibration episodes show.
    ///
    /// # Errors
    /// If the share is not in (0, 1].
    pub fn threshold(&self, beyond: OodQuantile) -> Result<Threshold> {
        let (OodQuantile::States(share) | OodQuantile::Episodes(share)) = beyond;
        if !(share > 0.0 && share <= 1.0) {
            return Err(Error::new(Kind::Settings, "a share of the calibration out of range")
                .at("--ood-quantile")
                .expected("above 0 and at most 1")
                .found(share.to_string()));
        }
        let n = self.farthest.len();
        Ok(match beyond {
            OodQuantile::States(_) => {
                let i = self.states.partition_point(|s| s.1 < share - ROUNDING).min(self.states.len() - 1);
                let distance = self.states[i].0;
                let last = self.states.partition_point(|s| s.0 <= distance) - 1; // the last of equals
                let farther = (1.0 - self.states[last].1).max(0.0);
                Threshold { distance, probability: (n as f64 * farther + 1.0) / (n as f64 + 1.0) }
            }
            OodQuantile::Episodes(_) => {
                let k = ((share * n as f64 - ROUNDING).ceil() as usize).clamp(1, n);
                Threshold { distance: self.farthest[k - 1], probability: 1.0 - k as f64 / (n as f64 + 1.0) }
            }
        })
    }
}

#[cfg(test)]
mod tests;
