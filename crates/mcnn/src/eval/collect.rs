//! Recording the steps of rollouts as demonstrations.

use super::{
    Episode, Run,
    rollout::{ActorInput, run_episodes},
};
use crate::{
    act::{Act, Acting},
    error::Result,
    task::{Spec, Task},
};

/// The steps of several episodes, concatenated as in [`Demonstrations`](crate::data::Demonstrations).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collected {
    /// `[n_steps, n_obs]`: the observation before each action. Empty for a task whose observations are frames.
    pub states: Vec<f32>,
    /// `[n_steps, height, width, 3]`: the frames, for a task whose observations are frames ([`Spec::frame`]).
    pub frames: Vec<u8>,
    /// `[n_steps, width]`: the embeddings of the observations, for an actor that embeds frames; otherwise empty.
    pub embeddings: Vec<f32>,
    /// `[n_steps, n_act]`: the actions as the task took them, in [-1, 1].
    pub actions: Vec<f32>,
    /// `[n_steps]`.
    pub rewards: Vec<f32>,
    /// For each episode, the number of steps up to and with it.
    pub ends: Vec<usize>,
    /// `[n_steps, n_act]`: the actions before exploration noise; empty where there is no noise.
    pub intended: Vec<f32>,
    /// Joint positions before each action, as (width, rows `[n_steps, width]`); `(0, [])` where the task does not report
    /// them.
    pub qpos: (usize, Vec<f32>),
    /// Joint velocities, likewise.
    pub qvel: (usize, Vec<f32>),
    /// The episodes above, in the order of their seeds.
    pub episodes: Vec<Episode>,
    /// Episodes that an error ended, or that a guard ended before their first step; their steps are left out.
    pub failed: Vec<Episode>,
}

/// Records the episodes of a run. The result does not depend on the number of threads and environments. `each` is called at the
/// end of every episode; after it returns false, no more episodes are started.
///
/// # Errors
/// As [`rollout`](super::rollout()).
pub fn collect(
    act: &dyn Act,
    task: &dyn Task,
    run: &Run,
    each: &(dyn Fn(&Episode) -> bool + Sync),
) -> Result<Collected> {
    record_episodes(act, task, run, ActorInput::Observations, each)
}

/// Records the episodes of a run as [`collect`] does, with the task's own expert ([`Task::start_with_expert`]): `act` gets the
/// expert's action (`[n_act]`) in place of an observation. [`TaskExpert`](crate::expert::TaskExpert) returns it as it is;
/// [`Noisy`](crate::expert::Noisy) adds noise.
///
/// # Errors
/// As [`collect`], and if the task has no expert of its own.
pub fn demonstrate(
    act: &dyn Act,
    task: &dyn Task,
    run: &Run,
    each: &(dyn Fn(&Episode) -> bool + Sync),
) -> Result<Collected> {
    record_episodes(act, task, run, ActorInput::ExpertActions, each)
}

fn record_episodes(
    act: &dyn Act,
    task: &dyn Task,
    run: &Run,
    input: ActorInput,
    each: &(dyn Fn(&Episode) -> bool + Sync),
) -> Result<Collected> {
    let mut all = Collected::default();
    for (episode, record) in run_episodes(act, task, run, None, input, Some(Record::of(task.spec())), each)? {
        match record {
            Some(record) if episode.error.is_none() && episode.length > 0 => all.add(episode, record),
            _ => all.failed.push(episode),
        }
    }
    Ok(all)
}

impl Collected {
    /// Moves out the states of the policy: the embeddings, where the actor embeds frames, and otherwise the observations.
    pub fn take_policy_states(&mut self) -> Vec<f32> {
        std::mem::take(if self.embeddings.is_empty() { &mut self.states } else { &mut self.embeddings })
    }

    fn add(&mut self, episode: Episode, record: Record) {
        let steps = record.rewards.len();
        self.states.extend(record.states);
        self.frames.extend(record.frames);
        self.embeddings.extend(record.embeddings);
        self.actions.extend(record.actions);
        self.rewards.extend(record.rewards);
        self.intended.extend(record.intended);
        for (all, rows) in [(&mut self.qpos, record.qpos), (&mut self.qvel, record.qvel)] {
            // The last row belongs to the state after the last action, which is not part of demonstrations.
            all.0 = rows.len() / (steps + 1);
            all.1.extend(&rows[..all.0 * steps]);
        }
        self.ends.push(self.rewards.len());
        self.episodes.push(episode);
    }
}

/// The steps of a running episode.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    framed: bool, // observations are frames, stored as bytes: a quarter of the memory of f32
    states: Vec<f32>,
    frames: Vec<u8>,
    embeddings: Vec<f32>,
    actions: Vec<f32>,
    rewards: Vec<f32>,
    intended: Vec<f32>,
    qpos: Vec<f32>, // one row more than steps
    qvel: Vec<f32>,
}

impl Record {
    fn of(spec: &Spec) -> Self {
        Self { framed: spec.frame.is_some(), ..Self::default() }
    }

    /// Records the simulator's state after a reset or a step.
    pub(super) fn arrived(&mut self, state: Option<(&[f64], &[f64])>) {
        if let Some((qpos, qvel)) = state {
            self.qpos.extend(qpos.iter().map(|&x| x as f32));
            self.qvel.extend(qvel.iter().map(|&x| x as f32));
        }
    }

    /// Records a step: the observation, the action and the reward.
    pub(super) fn acted(&mut self, state: &[f32], action: &[f32], acting: &dyn Acting, reward: f64) {
        match self.framed {
            true => self.frames.extend(state.iter().map(|&x| x as u8)),
            false => self.states.extend_from_slice(state),
        }
        self.embeddings.extend_from_slice(
            acting.embedded_observation().map_or(&[], |observation| observation.embedding),
        );
        self.actions.extend(action.iter().map(|a| a.clamp(-1.0, 1.0)));
        self.intended.extend_from_slice(acting.intended().unwrap_or(&[]));
        self.rewards.push(reward as f32);
    }
}
