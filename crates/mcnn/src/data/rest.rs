//! Steps at rest: an arm that waits, a pendulum that has been balanced. Their states are those of other episodes at rest, so that
//! distances there say nothing about the distances of states that move.

use super::{Demonstrations, Scale};

/// The share of the root mean square displacement of a step below which a step rests. In recordings of simulators and people no step is
/// between a hundredth and a tenth; those below are at rest.
const RESTING: f64 = 0.05;

impl Demonstrations {
    /// Whether each step rests: `[n_steps]`. A step rests if the state moves from it to the next one (of an episode's last step: from
    /// the one before) by less than a twentieth of the root mean square over all steps, in units of the scale. The step of an episode
    /// of one does not.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn resting(&self, scale: &Scale) -> Vec<bool> {
        let width = scale.n_features();
        let mut buffers = [vec![0.0; width], vec![0.0; width]];
        let mut squared = |a: &[f32], b: &[f32]| -> f64 {
            buffers.iter_mut().zip([a, b]).for_each(|(to, state)| scale.apply(state, to));
            buffers[0].iter().zip(&buffers[1]).map(|(a, b)| f64::from(a - b).powi(2)).sum()
        };
        let mut moved: Vec<Option<f64>> = Vec::with_capacity(self.n_steps());
        for k in 0..self.n_episodes() {
            self.each_pair(self.episode(k), |a, b| moved.push(Some(squared(a, b))));
            // The last step as the one before.
            moved.push(moved.last().copied().flatten().filter(|_| self.episode(k).len() > 1));
        }
        let (sum, n) = moved.iter().flatten().fold((0.0, 0.0), |(sum, n), d| (sum + d, n + 1.0));
        let threshold = RESTING.powi(2) * sum / n;
        moved.into_iter().map(|d| d.is_some_and(|d| d <= threshold)).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::data::{ActionRange, Demonstrations, Parts, Scale};

    #[test]
    fn a_step_rests_if_it_moves_by_a_twentieth_of_the_usual() {
        let parts = Parts {
            n_obs: 1,
            n_act: 1,
            states: vec![0.0, 1.0, 2.0, 2.01, 2.02, 3.0, 7.0, 5.0, 5.0],
            actions: vec![0.0; 9],
            rewards: None,
            ends: vec![6, 7, 9],
        };
        let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
        let scale = Scale::fit(&data);
        let rests = [false, false, true, true, false, false, false, true, true];
        assert_eq!(data.resting(&scale), rests);
    }
}
