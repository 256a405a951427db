//! Velocities in the state that repeat the previous action. Where actions are commanded velocities, a network can learn to repeat
//! what it did last instead of what the situation asks for ("copycat": Wen et al., Fighting Copycat Agents in Behavioral Cloning
//! from Observation Histories, NeurIPS 2020).

use super::Demonstrations;

/// The least correlation with the change of another dimension at which a dimension counts as its velocity.
const IS_VELOCITY: f64 = 0.95;

/// The least correlation with the previous action at which a velocity counts as repeating it.
const REPEATS: f64 = 0.85;

/// The least correlation of successive actions at which repeating one is mostly right.
const CONTINUES: f64 = 0.8;

/// Steps that are looked at, evenly spread: enough for a correlation.
const MOST_STEPS: usize = 4096;

/// A velocity that repeats the previous action.
#[derive(Debug, PartialEq)]
pub(super) struct Repeating {
    /// The dimension of the state.
    pub dimension: usize,
    /// Its correlation with the previous action's dimension that it repeats, in size.
    pub correlation: f64,
}

impl Demonstrations {
    /// The dimensions of the state that are velocities of other dimensions and repeat an action's dimension that mostly continues
    /// from step to step.
    pub(super) fn repeating_velocities(&self) -> Vec<Repeating> {
        let steps: Vec<usize> = (0..self.n_episodes()).flat_map(|k| self.episode(k).skip(1)).collect();
        let stride = steps.len().div_ceil(MOST_STEPS).max(1);
        let steps: Vec<usize> = steps.into_iter().step_by(stride).collect();
        // Of each step: the states and actions of the one before and its own.
        let states: Vec<_> = steps.iter().map(|&i| self.states_of(i - 1..i + 1)).collect();
        let actions: Vec<_> = steps.iter().map(|&i| self.actions_of(i - 1..i + 1)).collect();
        let (n_obs, n_act) = (self.n_obs(), self.n_act());
        let column = |value: &dyn Fn(usize) -> f32| centered((0..steps.len()).map(value));
        let before: Vec<Vec<f64>> = (0..n_act).map(|a| column(&|i| actions[i][a])).collect();
        let continues: Vec<bool> = (0..n_act)
            .map(|a| correlation(&before[a], &column(&|i| actions[i][n_act + a])) >= CONTINUES)
            .collect();
        let mut found = Vec::new();
        for dimension in 0..self.n_obs() {
            let values = column(&|i| states[i][n_obs + dimension]);
            let repeated = before.iter().zip(&continues).filter(|(_, continues)| **continues);
            let closest = repeated.map(|(action, _)| correlation(&values, action).abs()).fold(0.0, f64::max);
            let changes = |of: usize| column(&|i| states[i][n_obs + of] - states[i][of]);
            let is_velocity = || {
                let mut others = (0..self.n_obs()).filter(|&of| of != dimension);
                others.any(|of| correlation(&values, &changes(of)) >= IS_VELOCITY)
            };
            if closest >= REPEATS && is_velocity() {
                found.push(Repeating { dimension, correlation: closest });
            }
        }
        found
    }
}

/// Values without their mean, of length 1; all 0 if they do not vary.
fn centered(values: impl Iterator<Item = f32>) -> Vec<f64> {
    let mut values: Vec<f64> = values.map(f64::from).collect();
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    values.iter_mut().for_each(|v| *v -= mean);
    let length = values.iter().map(|v| v * v).sum::<f64>().sqrt();
    let inverse = if length > 0.0 { length.recip() } else { 0.0 };
    values.iter_mut().for_each(|v| *v *= inverse);
    values
}

/// The correlation of two columns of [`centered`].
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        data::{ActionRange, Parts},
        seed::Seed,
    };

    /// A point that follows commanded velocities, which change slowly. The state is its position, its velocity and, as a third
    /// dimension, a target that has nothing to do with either.
    fn driven(noise: f64) -> Demonstrations {
        let (mut states, mut actions) = (Vec::new(), Vec::new());
        let mut rng = Seed(3).rng();
        for _ in 0..4 {
            let (mut x, mut v, mut command) = (rng.normal(), 0.0, 0.0);
            for _ in 0..200 {
                states.extend([x, v, rng.normal()].map(|s| s as f32));
                command = 0.95 * command + 0.05 * rng.normal();
                actions.push(command as f32);
                v = command + noise * rng.normal();
                x += v;
            }
        }
        let ends = (1..=4).map(|k| 200 * k).collect();
        let parts = Parts { n_obs: 3, n_act: 1, states, actions, rewards: None, ends };
        Demonstrations::new(parts, ActionRange::Refuse).unwrap()
    }

    #[test]
    fn a_velocity_that_follows_the_last_command_is_found() {
        let found = driven(0.02).repeating_velocities();
        assert_eq!(found.iter().map(|r| r.dimension).collect::<Vec<_>>(), [1]);
        assert!((REPEATS..1.0).contains(&found[0].correlation), "{found:?}");
        let warnings = driven(0.02).warnings().join("\n");
        assert!(warnings.contains("--ignore-dims 1"), "{warnings}");
    }

    #[test]
    fn a_velocity_of_its_own_a_position_and_a_single_step_are_not() {
        assert_eq!(driven(1.0).repeating_velocities(), []); // follows the command loosely
        let follows = |states: Vec<f32>, actions: Vec<f32>, ends: Vec<usize>| {
            let parts = Parts { n_obs: 1, n_act: 1, states, actions, rewards: None, ends };
            Demonstrations::new(parts, ActionRange::Refuse).unwrap().repeating_velocities()
        };
        // Position control: the state is the previous command, but the velocity of nothing.
        let command: Vec<f32> = (0..100).map(|t| (0.05 * t as f32).sin()).collect();
        let position = [&[0.0], &command[..99]].concat();
        assert_eq!(follows(position, command, vec![100]), []);
        assert_eq!(follows(vec![0.0], vec![0.0], vec![1]), []);
    }
}
