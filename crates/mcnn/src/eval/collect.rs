//! The steps of episodes, recorded as demonstrations are kept.

use super::rollout::{acting_seed, check, decide};
use crate::{act::Act, error::Result, task::Task};

/// The steps of many episodes one after another, as demonstrations are kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collected {
    /// `[n_steps, n_obs]`: what was seen before each action.
    pub states: Vec<f32>,
    /// `[n_steps, n_act]`: the actions as the task took them, in [-1, 1].
    pub actions: Vec<f32>,
    /// `[n_steps]`.
    pub rewards: Vec<f32>,
    /// For each episode, the number of steps up to and with it.
    pub ends: Vec<usize>,
    /// For each episode, success by the task's own rule.
    pub successes: Vec<Option<bool>>,
}

/// Records episodes; seeds as in [`Run`](super::Run).
///
/// # Errors
/// As [`rollout`](super::rollout), and the first failure of the environment or the actor.
pub fn collect(task: &dyn Task, act: &dyn Act, episodes: usize, first_seed: u64) -> Result<Collected> {
    check(act, task, episodes)?;
    let spec = task.spec();
    let mut environment = task.start()?;
    let mut all = Collected::default();
    let mut observation = vec![0.0; spec.n_obs];
    let mut action = vec![0.0; spec.n_act];
    for i in 0..episodes {
        let seed = first_seed.wrapping_add(i as u64);
        let mut acting = act.start(acting_seed(first_seed, i));
        let mut success = None;
        environment.reset(seed, &mut observation)?;
        for t in 0..spec.horizon {
            decide(acting.as_mut(), &observation, &mut action, (spec, seed, t))?;
            all.states.extend_from_slice(&observation);
            all.actions.extend(action.iter().map(|a| a.clamp(-1.0, 1.0)));
            let outcome = environment.step(&action, &mut observation)?;
            all.rewards.push(outcome.reward as f32);
            success = outcome.success;
            if outcome.done {
                break;
            }
        }
        all.ends.push(all.rewards.len());
        all.successes.push(success);
    }
    Ok(all)
}
