//! Horizons of a backbone, and what changes during an episode of it.

use super::{ActingState, Backbone, BucketChoice, Constrain, Neighbors};
use crate::seed::Seed;

/// Which steps around the newest observation a backbone uses and predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizons {
    /// Observations in its input, the newest one included: 1 or more.
    pub observation: usize,
    /// Actions it predicts at once, the newest observation's first: 1 or more.
    pub prediction: usize,
    /// How many of those are executed before it predicts again: 1 to `prediction`.
    pub execution: usize,
    /// Whether it predicts in training for every observation of a window, each from those before it, rather than for the
    /// newest one alone.
    pub predict_all_steps: bool,
    /// Whether training counts the predicted steps beyond the end of an episode, which repeat its last action. A chunk then ends
    /// by holding that action, as in diffusion_policy; if not, what it ends with is arbitrary.
    pub counts_padding: bool,
}

impl Horizons {
    /// One observation in, one action out.
    pub const SINGLE: Horizons = Horizons {
        observation: 1,
        prediction: 1,
        execution: 1,
        predict_all_steps: false,
        counts_padding: false,
    };

    /// Actions predicted in training for a window of observations.
    pub fn target_steps(&self) -> usize {
        if self.predict_all_steps { self.observation } else { self.prediction }
    }
}

/// Replaces `to` by a full window of observations: if there are fewer, the oldest is repeated.
///
/// # Panics
/// If there are none, more than the window has, or of another width.
pub(super) fn fill_window(observations: &[f32], [window, n_obs]: [usize; 2], to: &mut Vec<f32>) {
    let len = observations.len();
    assert!(
        !observations.is_empty() && len.is_multiple_of(n_obs) && len <= window * n_obs,
        "observations of another width or number than the network's"
    );
    to.clear();
    (len / n_obs..window).for_each(|_| to.extend_from_slice(&observations[..n_obs]));
    to.extend_from_slice(observations);
}

/// What changes during an episode of a backbone: the window of observations, buffers, and the random number generator.
/// After the first prediction nothing is allocated.
#[derive(Debug)]
pub struct Episode {
    observations: Vec<f32>, // [1 to window, n_obs], the newest last
    pub(super) state: ActingState,
}

impl Episode {
    /// A new episode. `seed`: of its random choices.
    pub fn new(seed: Seed) -> Self {
        Self { observations: Vec::new(), state: ActingState::new(seed) }
    }

    /// Appends the newest observation (`[n_obs]`, standardized) to the window. Every observation of an episode is given,
    /// whether or not a prediction follows.
    pub fn observe(&mut self, backbone: &dyn Backbone, observation: &[f32]) {
        self.push(observation, backbone.settings().horizons().observation);
    }

    /// Replaces the memories retrieved for the newest observation: the code ([`Backbone::encode_memories`], `[code width]`) and
    /// the action (`[n_act]`) of each, the nearest first. Needed before every prediction of a retrieval-conditioned backbone.
    pub fn set_neighbors<'m>(&mut self, memories: impl Iterator<Item = (&'m [f32], &'m [f32])>) {
        let Neighbors { codes, actions } = &mut self.state.neighbors;
        codes.clear();
        actions.clear();
        for (code, action) in memories {
            codes.extend_from_slice(code);
            actions.extend_from_slice(action);
        }
    }

    /// Predicts the actions from the newest observation on and leaves them as [`network_output`](Self::network_output).
    ///
    /// # Panics
    /// As [`Backbone::predict`].
    pub fn predict(&mut self, backbone: &dyn Backbone, constrain: Constrain) {
        backbone.predict(&self.observations, constrain, &mut self.state);
    }

    /// Grows the buffers as a prediction does, and leaves nothing else of one. For a network that may predict later, where nothing
    /// should be allocated.
    ///
    /// # Panics
    /// As [`Backbone::predict`].
    pub fn prepare(&mut self, backbone: &dyn Backbone, constrain: Constrain) {
        let rng = self.state.rng.clone();
        self.predict(backbone, constrain);
        self.state.rng = rng;
        self.state.output.clear();
    }

    /// The last prediction before it is constrained: `[horizon, n_act]`, empty before the first one.
    pub fn network_output(&self) -> &[f32] {
        &self.state.output
    }

    /// The bucket behind the last prediction; `None` for a backbone without buckets.
    pub fn bucket_choice<'a>(&'a self, backbone: &'a dyn Backbone) -> Option<BucketChoice<'a>> {
        backbone.bucket_choice(&self.state.workspace)
    }

    /// Appends an observation and drops all but the last `window`.
    fn push(&mut self, observation: &[f32], window: usize) {
        let width = observation.len();
        if self.observations.is_empty() {
            self.observations.reserve_exact(window * width);
        }
        if self.observations.len() == window * width {
            self.observations.copy_within(width.., 0);
            self.observations.truncate((window - 1) * width);
        }
        self.observations.extend_from_slice(observation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_has_the_last_observations_newest_last() {
        let mut episode = Episode::new(Seed(0));
        for (k, expected) in
            [vec![0.0, 0.5], vec![0.0, 0.5, 1.0, 1.5], vec![1.0, 1.5, 2.0, 2.5]].iter().enumerate()
        {
            episode.push(&[k as f32, k as f32 + 0.5], 2);
            assert_eq!(&episode.observations, expected);
        }
    }
}
