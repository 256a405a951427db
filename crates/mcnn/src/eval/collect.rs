//! The steps of episodes, recorded as demonstrations are kept.

use super::{
    Episode, Run,
    rollout::{Shown, drive},
};
use crate::{
    act::{Act, Acting},
    error::Result,
    task::{Spec, Task},
};

/// The steps of many episodes one after another, as demonstrations are kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collected {
    /// `[n_steps, n_obs]`: what was seen before each action. Empty of a task whose observations are frames.
    pub states: Vec<f32>,
    /// `[n_steps, height, width, 3]`: the frames, of a task whose observations they are ([`Spec::frame`]).
    pub frames: Vec<u8>,
    /// `[n_steps, width]`: the embeddings that were acted on, of whoever acts on embeddings of frames; empty of all others.
    pub embeddings: Vec<f32>,
    /// `[n_steps, n_act]`: the actions as the task took them, in [-1, 1].
    pub actions: Vec<f32>,
    /// `[n_steps]`.
    pub rewards: Vec<f32>,
    /// For each episode, the number of steps up to and with it.
    pub ends: Vec<usize>,
    /// `[n_steps, n_act]`: the actions as they were meant, before noise; empty where there was none.
    pub intended: Vec<f32>,
    /// Positions of the simulator's joints before each action, as (numbers in a row, rows); `(0, [])` where the task
    /// does not tell.
    pub qpos: (usize, Vec<f32>),
    /// Their velocities, likewise.
    pub qvel: (usize, Vec<f32>),
    /// The episodes above, in the order of their seeds.
    pub episodes: Vec<Episode>,
    /// Episodes that an error ended, or a guard before their first step: no step of them is above.
    pub failed: Vec<Episode>,
}

/// Records the episodes of a run, which do not depend on its threads and lanes. `each` hears of every episode as it
/// ends; once it answers false no more are begun.
///
/// # Errors
/// As [`rollout`](super::rollout()).
pub fn collect(
    act: &dyn Act,
    task: &dyn Task,
    run: &Run,
    each: &(dyn Fn(&Episode) -> bool + Sync),
) -> Result<Collected> {
    gathered(act, task, run, Shown::Observations, each)
}

/// Records the episodes of a run as [`collect`] does, acted by the task's own expert ([`Task::start_advised`]): `act` is
/// shown the expert's action (`[n_act]`) in place of an observation. `expert::Advised` takes it, with noise or without.
///
/// # Errors
/// As [`collect`], and if the task has no expert of its own.
pub fn demonstrate(
    act: &dyn Act,
    task: &dyn Task,
    run: &Run,
    each: &(dyn Fn(&Episode) -> bool + Sync),
) -> Result<Collected> {
    gathered(act, task, run, Shown::Advice, each)
}

fn gathered(
    act: &dyn Act,
    task: &dyn Task,
    run: &Run,
    shown: Shown,
    each: &(dyn Fn(&Episode) -> bool + Sync),
) -> Result<Collected> {
    let mut all = Collected::default();
    for (episode, record) in drive(act, task, run, shown, Some(Record::of(task.spec())), each)? {
        match record {
            Some(record) if episode.error.is_none() && episode.length > 0 => all.add(episode, record),
            _ => all.failed.push(episode),
        }
    }
    Ok(all)
}

impl Collected {
    /// Takes the states out that were acted on: the embeddings, where the observations were frames that were acted on as
    /// these.
    pub fn acted_on(&mut self) -> Vec<f32> {
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
            // The last row belongs to the state after the last action, which demonstrations do not keep.
            all.0 = rows.len() / (steps + 1);
            all.1.extend(&rows[..all.0 * steps]);
        }
        self.ends.push(self.rewards.len());
        self.episodes.push(episode);
    }
}

/// The steps of an episode on its way.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    framed: bool, // observations are frames, which take a quarter of the room as bytes
    states: Vec<f32>,
    frames: Vec<u8>,
    embeddings: Vec<f32>,
    actions: Vec<f32>,
    rewards: Vec<f32>,
    intended: Vec<f32>,
    qpos: Vec<f32>, // a row more than steps
    qvel: Vec<f32>,
}

impl Record {
    fn of(spec: &Spec) -> Self {
        Self { framed: spec.frame.is_some(), ..Self::default() }
    }

    /// A state was reached, the first included.
    pub(super) fn arrived(&mut self, state: Option<(&[f64], &[f64])>) {
        if let Some((qpos, qvel)) = state {
            self.qpos.extend(qpos.iter().map(|&x| x as f32));
            self.qvel.extend(qvel.iter().map(|&x| x as f32));
        }
    }

    /// An action was taken in the state reached last.
    pub(super) fn acted(&mut self, state: &[f32], action: &[f32], acting: &dyn Acting, reward: f64) {
        match self.framed {
            true => self.frames.extend(state.iter().map(|&x| x as u8)),
            false => self.states.extend_from_slice(state),
        }
        self.embeddings.extend_from_slice(acting.embedded_observation().map_or(&[], |seen| seen.embedding));
        self.actions.extend(action.iter().map(|a| a.clamp(-1.0, 1.0)));
        self.intended.extend_from_slice(acting.intended().unwrap_or(&[]));
        self.rewards.push(reward as f32);
    }
}
