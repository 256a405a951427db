//! What acting without a network costs on demonstrated states: copying the nearest memory, and doing nothing.

use serde::Serialize;

use super::Codebook;
use crate::data::{Demonstrations, DimensionNames};

/// Mean squared errors over states and action dimensions, of actions scaled to [-1, 1]. A policy that is not clearly below all of them
/// has learned little from the data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BaselineErrors {
    /// States.
    pub states: usize,
    /// Of the action of the nearest memory of another episode (1-NN). `None` if a state has no memory of another episode.
    pub copying: Option<f64>,
    /// Of the mean action of the memories, in every state.
    pub mean_action: f64,
    /// Of staying: the state's own values as the action, where dimensions of the action and the state correspond; the others
    /// take the mean action. `None` if none correspond.
    pub state_as_action: Option<f64>,
}

impl BaselineErrors {
    /// Whether doing nothing is better than a method with this error: then the movement, not the position, is what has to be learned.
    pub fn staying_beats(&self, error: Option<f64>) -> bool {
        matches!((self.state_as_action, error), (Some(staying), Some(error)) if staying < error)
    }
}

impl Codebook {
    /// The errors on demonstrated states of the memories' space.
    ///
    /// # Panics
    /// If the data have other dimensions.
    pub fn baseline_errors(&self, data: &Demonstrations) -> BaselineErrors {
        let (n, n_act) = (data.n_steps(), self.n_act());
        let mean = self.mean_action();
        let average = |sum: f64| sum / (n * n_act) as f64;
        let retrieved = self.retrieve_leave_one_episode_out(data);
        let dimensions = self.action_dimensions_in_state(data.names());
        let (mut copying, mut of_mean, mut staying) = (Some(0.0), 0.0, 0.0);
        for steps in data.pieces() {
            let (states, actions) = (data.states_of(steps.clone()), data.actions_of(steps.clone()));
            let rows = states.chunks_exact(data.n_obs()).zip(actions.chunks_exact(n_act));
            for ((state, wanted), retrieved) in rows.zip(&retrieved[steps]) {
                let error = |action: &[f32]| -> f64 {
                    action.iter().zip(wanted).map(|(f, a)| f64::from(f - a).powi(2)).sum()
                };
                copying = copying.zip(*retrieved).map(|(sum, r)| sum + error(self.action(r.memory)));
                of_mean += error(&mean);
                if let Some(dimensions) = &dimensions {
                    staying += error(&self.staying_action(dimensions, &mean, state));
                }
            }
        }
        BaselineErrors {
            states: n,
            copying: copying.map(average),
            mean_action: average(of_mean),
            state_as_action: dimensions.map(|_| average(staying)),
        }
    }

    /// The mean action of the memories, in [-1, 1]: `[n_act]`.
    pub fn mean_action(&self) -> Vec<f32> {
        let n_act = self.n_act();
        let mean = |k: usize| {
            let values = self.parts.actions.iter().skip(k).step_by(n_act);
            (values.map(|&a| f64::from(a)).sum::<f64>() / self.len() as f64) as f32
        };
        (0..n_act).map(mean).collect()
    }

    /// The dimension of the state that corresponds to each of the action, `[n_act]`: the one that it is relative to, or of the same
    /// name; without names, the same number where both have as many dimensions. `None` if none correspond.
    pub fn action_dimensions_in_state(&self, names: &DimensionNames) -> Option<Vec<Option<usize>>> {
        let relative_to = self.units().relative_to();
        let found: Vec<Option<usize>> = match (&names.state_names, &names.action_names) {
            _ if !relative_to.is_empty() => relative_to.to_vec(),
            (Some(states), Some(actions)) => {
                actions.iter().map(|action| states.iter().position(|state| state == action)).collect()
            }
            _ if self.n_obs() == self.n_act() => (0..self.n_act()).map(Some).collect(),
            _ => return None,
        };
        found.iter().any(Option::is_some).then_some(found)
    }

    /// The action of staying in a state, scaled as actions in [-1, 1] are (it may be outside): the state's own values in the dimensions
    /// of [`action_dimensions_in_state`](Self::action_dimensions_in_state), the mean action in the others.
    pub fn staying_action(&self, dimensions: &[Option<usize>], mean: &[f32], state: &[f32]) -> Vec<f32> {
        let mut action = self.units().action_to_data(mean, state);
        for (k, (to, from)) in action.iter_mut().zip(dimensions).enumerate() {
            // A dimension that never varies has no error, and no scale to measure one.
            let varies = self.units().length_to_data(k, 1.0) > 0.0;
            *to = from.filter(|_| varies).map_or(*to, |k| state[k]);
        }
        self.units().to_scaled(state, self.n_obs(), &mut action);
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        data::{ActionRange, ActionSettings, Parts, RelativeTo, Units},
        memory::{LearnSettings, learn},
        seed::Seed,
    };

    /// Two arms whose targets are 0.1 ahead of two of three positions, and an episode of each.
    fn parts() -> Parts {
        let state = |i: usize| [0.2 * i as f32, (0.3 * i as f32).sin() * 40.0, 7.0 + (i % 3) as f32];
        let states: Vec<f32> = (0..40).flat_map(state).collect();
        let actions = (0..40).flat_map(|i| [state(i)[1] + 0.1 * (i % 5) as f32, state(i)[0] - 0.2]).collect();
        Parts { n_obs: 3, n_act: 2, states, actions, rewards: None, ends: vec![20, 40] }
    }

    fn names() -> DimensionNames {
        let list = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect());
        DimensionNames { state_names: list(&["a", "b", "c"]), action_names: list(&["b", "a"]) }
    }

    fn errors(relative_to: RelativeTo, names: DimensionNames) -> (BaselineErrors, Demonstrations) {
        let settings = ActionSettings { relative_to, ..ActionSettings::default() };
        let units = Units::Fitted(settings);
        let (data, _) = Demonstrations::scaled(parts(), &names, &units, ActionRange::Refuse).unwrap();
        let data = data.with_names(names).unwrap();
        let codebook = learn(&data, &LearnSettings::for_policy(&data, Seed(0))).unwrap().codebook;
        (codebook.baseline_errors(&data), data)
    }

    #[test]
    fn the_errors_are_those_of_naive_loops() {
        let (found, data) = errors(RelativeTo::Absolute, names());
        let scale = crate::data::Scale::fit(&data);
        let scaled = |i: usize| {
            let mut out = vec![0.0; 3];
            scale.apply(&data.state(i), &mut out);
            out
        };
        let squares =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        let [_, half] = data.units().scales();
        let (mut copying, mut staying, mut mean) = (0.0, 0.0, 0.0);
        let average: Vec<f32> =
            (0..2).map(|k| (0..40).map(|i| data.action(i)[k]).sum::<f32>() / 40.0).collect();
        for i in 0..40 {
            let others = (0..40).filter(|j| (j < &20) != (i < 20));
            let near = others
                .min_by(|&a, &b| squares(&scaled(a), &scaled(i)).total_cmp(&squares(&scaled(b), &scaled(i))));
            copying += squares(&data.action(near.unwrap()), &data.action(i));
            mean += squares(&average, &data.action(i));
            let raw = data.action_in_data_units(i);
            for (k, from) in [1, 0].into_iter().enumerate() {
                staying += f64::from((raw[k] - data.state(i)[from]) / half[k]).powi(2);
            }
        }
        for (found, known) in [
            (found.copying.unwrap(), copying),
            (found.mean_action, mean),
            (found.state_as_action.unwrap(), staying),
        ] {
            assert!((found - known / 80.0).abs() < 1e-6 * (1.0 + known), "{found} {}", known / 80.0);
        }
        assert!(found.staying_beats(found.copying) && !found.staying_beats(None), "{found:?}");
        assert_eq!(found.states, 40);
    }

    #[test]
    fn relative_actions_are_compared_with_no_movement() {
        let (found, data) = errors(RelativeTo::SameName, names());
        let still: f64 = (0..40)
            .flat_map(|i| data.action(i).to_vec().into_iter().enumerate().collect::<Vec<_>>())
            .map(|(k, a)| {
                let [center, half] = data.units().scales();
                let zero = if half[k] > 0.0 { -center[k] / half[k] } else { 0.0 };
                f64::from(zero - a).powi(2)
            })
            .sum();
        // The second action is always 0.2 behind, which has no error.
        let found = found.state_as_action.unwrap();
        assert!((found - still / 80.0).abs() < 1e-6, "{found} {still}");
        let (unnamed, _) = errors(RelativeTo::Absolute, DimensionNames::default());
        assert_eq!(unnamed.state_as_action, None);
    }
}
