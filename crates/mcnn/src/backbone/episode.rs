//! What a backbone looks back on and how far it proposes ahead, and what changes in an episode of it.

use super::{
    bet::{Chosen, Workspace},
    unet::Scratch,
};
use crate::seed::{Rng, Seed};

/// Which steps around the newest observation a backbone looks at and proposes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizons {
    /// Observations it looks at, the newest one included: 1 or more.
    pub observation: usize,
    /// Actions it proposes at once, the newest observation's first: 1 or more.
    pub prediction: usize,
    /// How many of those are acted on before it is asked again: 1 to `horizon`.
    pub execution: usize,
    /// Whether training has it propose for every observation of a window, each from those before it, rather than for the
    /// newest one alone.
    pub predict_all_steps: bool,
}

impl Horizons {
    /// One observation in, one action out.
    pub const SINGLE: Horizons =
        Horizons { observation: 1, prediction: 1, execution: 1, predict_all_steps: false };

    /// Actions proposed in training for a window of observations.
    pub fn target_steps(&self) -> usize {
        if self.predict_all_steps { self.observation } else { self.prediction }
    }
}

/// What changes in an episode of a backbone: the observations it looks back on, buffers that grow once, and the random
/// numbers it draws.
#[derive(Debug)]
pub struct Episode {
    pub(super) rng: Rng,
    pub(super) seen: Vec<f32>, // [up to window, n_obs], the newest last
    pub(super) buffers: (Vec<f32>, Vec<f32>),
    pub(super) noisy: Vec<f32>,
    pub(super) fixed: Vec<f32>,
    pub(super) bet: Workspace,
    pub(super) chunk: Scratch,
}

impl Episode {
    /// A new episode. `seed` decides whatever is random in it.
    pub fn new(seed: Seed) -> Self {
        Self {
            rng: seed.rng(),
            seen: Vec::new(),
            buffers: Default::default(),
            noisy: Vec::new(),
            fixed: Vec::new(),
            bet: Workspace::default(),
            chunk: Scratch::default(),
        }
    }

    /// What was proposed last, before it was held: `[horizon, n_act]`, or nothing where nothing proposes.
    pub fn proposal(&self) -> &[f32] {
        &self.buffers.1
    }

    /// The bucket chosen last, and how likely each was; `None` for a backbone that has none.
    pub fn chosen(&self) -> Option<Chosen<'_>> {
        self.bet.chosen()
    }

    /// Appends an observation and forgets all but the last `window`.
    pub(super) fn see(&mut self, observation: &[f32], window: usize) {
        if self.seen.len() == window * observation.len() {
            self.seen.copy_within(observation.len().., 0);
            self.seen.truncate((window - 1) * observation.len());
        }
        self.seen.extend_from_slice(observation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_observations_are_kept_newest_last() {
        let mut episode = Episode::new(Seed(0));
        for (k, expected) in
            [vec![0.0, 0.5], vec![0.0, 0.5, 1.0, 1.5], vec![1.0, 1.5, 2.0, 2.5]].iter().enumerate()
        {
            episode.see(&[k as f32, k as f32 + 0.5], 2);
            assert_eq!(&episode.seen, expected);
        }
    }
}
