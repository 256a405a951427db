//! Recording the steps of rollouts as demonstrations.

use std::sync::{Mutex, PoisonError};

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
    /// `[n_steps, n_obs]`: the observation before each action; of a task with frames what follows the frame.
    pub states: Vec<f32>,
    /// `[n_steps, height, width, 3]`: the frames, for a task whose observations are frames ([`Spec::frame`]).
    pub frames: Vec<u8>,
    /// `[n_steps, width]`: the embeddings of the observations, for an actor that embeds frames; otherwise empty.
    pub embeddings: Vec<f32>,
    /// `[n_steps, n_act]`: the actions as the task took them, in [-1, 1], or in the data's units of an actor that acts in those
    /// ([`Act::acts_in_data_units`]).
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
    record_all(act, task, run, Demonstrator::Actor, each)
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
    record_all(act, task, run, Demonstrator::TaskExpert, each)
}

/// Who acts in episodes that are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demonstrator {
    /// An actor, as in [`collect`].
    Actor,
    /// The task's own expert, as in [`demonstrate`].
    TaskExpert,
}

/// Records the `wanted` episodes of a run, by their numbers in it, as [`collect`] or [`demonstrate`] do, and hands over each at its
/// end, with its number, so that memory does not grow with their number. `keep` is called in any order and from any thread; after it
/// returns false, no more episodes are started.
///
/// # Errors
/// As [`collect`] or [`demonstrate`].
pub fn record_each(
    act: &dyn Act,
    task: &dyn Task,
    run: &Run,
    who: Demonstrator,
    wanted: &(dyn Fn(usize) -> bool + Sync),
    keep: &(dyn Fn(usize, Collected) -> bool + Sync),
) -> Result<()> {
    let input = match who {
        Demonstrator::Actor => ActorInput::Observations,
        Demonstrator::TaskExpert => ActorInput::ExpertActions,
    };
    let keep = |i, episode, record| keep(i, Collected::of(episode, record));
    run_episodes(act, task, run, input, Some(Record::of(task.spec(), act)), wanted, &keep)
}

fn record_all(
    act: &dyn Act,
    task: &dyn Task,
    run: &Run,
    who: Demonstrator,
    each: &(dyn Fn(&Episode) -> bool + Sync),
) -> Result<Collected> {
    let done = Mutex::new(Vec::new());
    let keep = |i, one: Collected| {
        let go_on = one.episodes.iter().chain(&one.failed).all(each);
        done.lock().unwrap_or_else(PoisonError::into_inner).push((i, one));
        go_on
    };
    record_each(act, task, run, who, &|_| true, &keep)?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(i, _)| *i);
    let mut all = Collected::default();
    done.into_iter().for_each(|(_, one)| all.append(one));
    Ok(all)
}

impl Collected {
    /// Moves out the states of the policy: the embeddings, where the actor embeds frames, and otherwise the observations.
    pub fn take_policy_states(&mut self) -> Vec<f32> {
        std::mem::take(if self.embeddings.is_empty() { &mut self.states } else { &mut self.embeddings })
    }

    /// One episode.
    fn of(episode: Episode, record: Option<Record>) -> Self {
        let Some(record) = record.filter(|_| episode.error.is_none() && episode.length > 0) else {
            return Self { failed: vec![episode], ..Self::default() };
        };
        let steps = record.rewards.len();
        // The last row belongs to the state after the last action, which is not part of demonstrations.
        let without_last = |mut rows: Vec<f32>| {
            let width = rows.len() / (steps + 1);
            rows.truncate(width * steps);
            (width, rows)
        };
        Self {
            states: record.states,
            frames: record.frames,
            embeddings: record.embeddings,
            actions: record.actions,
            rewards: record.rewards,
            ends: vec![steps],
            intended: record.intended,
            qpos: without_last(record.qpos),
            qvel: without_last(record.qvel),
            episodes: vec![episode],
            failed: Vec::new(),
        }
    }

    /// Appends later episodes.
    fn append(&mut self, mut later: Self) {
        let steps = self.rewards.len();
        self.states.append(&mut later.states);
        self.frames.append(&mut later.frames);
        self.embeddings.append(&mut later.embeddings);
        self.actions.append(&mut later.actions);
        self.rewards.append(&mut later.rewards);
        self.intended.append(&mut later.intended);
        self.ends.extend(later.ends.iter().map(|end| steps + end));
        for (all, mut rows) in [(&mut self.qpos, later.qpos), (&mut self.qvel, later.qvel)] {
            all.0 = all.0.max(rows.0); // 0 of episodes that failed
            all.1.append(&mut rows.1);
        }
        self.episodes.append(&mut later.episodes);
        self.failed.append(&mut later.failed);
    }
}

/// The steps of a running episode.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    frame: usize, // values of the frame that observations begin with, stored as bytes: a quarter of the memory of f32
    in_data_units: bool, // actions are in the units of the actor's data, not in [-1, 1]
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
    fn of(spec: &Spec, act: &dyn Act) -> Self {
        Self {
            frame: spec.frame.map_or(0, |[height, width]| height * width * 3),
            in_data_units: act.acts_in_data_units(),
            ..Self::default()
        }
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
        let (frame, state) = state.split_at(self.frame.min(state.len()));
        self.frames.extend(frame.iter().map(|&x| x as u8));
        self.states.extend_from_slice(state);
        self.embeddings.extend_from_slice(
            acting.embedded_observation().map_or(&[], |observation| observation.embedding),
        );
        let limit = if self.in_data_units { f32::INFINITY } else { 1.0 };
        self.actions.extend(action.iter().map(|a| a.clamp(-limit, limit)));
        self.intended.extend_from_slice(acting.intended().unwrap_or(&[]));
        self.rewards.push(reward as f32);
    }
}
