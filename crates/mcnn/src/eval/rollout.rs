//! Rollouts: episodes of any actor on any task, several at a time. The result does not depend on the number of threads and
//! environments.

use super::{collect::Record, episode_run::EpisodeRun};
use crate::{
    act::{Act, Decision},
    error::{Error, Kind, Result},
    seed::Seed,
    task::{Ask, Batch, Reply, Task},
};
use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicUsize, Ordering},
    sync::{Mutex, PoisonError},
};

/// Which episodes to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Number of episodes.
    pub episodes: usize,
    /// Episode i resets the environment with seed `first_seed + i` and starts the actor with
    /// [`acting_seed`] of that seed, so an episode does not depend on those it is evaluated with. (Demonstrations of a task's own
    /// expert use `Seed(first_seed).fork("act").nth(i)`.)
    pub first_seed: u64,
    /// Worker threads, each with its own environments; 0 counts as 1.
    pub threads: usize,
    /// Environments of each worker thread, which are stepped together; 0 counts as 1. For a task that runs in Python, each
    /// worker thread has one process with this many environments.
    pub environments_per_worker: usize,
    /// Keep the position, distance and weight of every step, for plots.
    pub trace: bool,
}

/// The result of one episode.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Episode {
    /// The environment's seed.
    pub seed: u64,
    /// Sum of the rewards.
    pub ret: f64,
    /// Number of steps.
    pub length: usize,
    /// Success by the task's own criterion, where it has one.
    pub success: Option<bool>,
    /// The number of steps after which the goal was reached.
    pub goal_steps: usize,
    /// Whether the goal was reached after the last step.
    pub goal_at_end: bool,
    /// The parts completed: bit k stands for part k of [`Spec::parts`](crate::task::Spec::parts).
    pub parts: u32,
    /// Mean memory weight over the visited states, where the actor reports it.
    pub weight: Option<f64>,
    /// Mean and largest distance of the visited states to their nearest memory, where the actor reports it.
    pub distance: Option<[f64; 2]>,
    /// Steps taken in out-of-distribution states, by the guard's threshold.
    pub ood: usize,
    /// The first such step, or the step at which a guard ended the episode.
    pub first_ood: Option<usize>,
    /// Whether a guard ended the episode.
    pub stopped: bool,
    /// Latency of each action, in microseconds.
    pub latencies: Vec<f32>,
    /// Whether each action was queued: predicted together with an earlier one ([`Decision::queued`]).
    pub queued: Vec<bool>,
    /// The part of each latency that embedding the frame took, in microseconds; empty where no frame is embedded.
    pub encoding: Vec<f32>,
    /// The error that ended the episode early, if any; the other fields cover the steps up to it.
    pub error: Option<Error>,
    /// Every step, if [`Run::trace`] is set.
    pub trace: Option<Trace>,
    /// Whether the task terminated the episode, rather than the horizon truncating it.
    pub terminal: bool,
}

/// An episode step by step. Step t is the state in which action t was taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    /// Positions, where the task reports them: one more than steps, the last after the last action.
    pub positions: Vec<[f32; 2]>,
    /// Distance to the nearest memory and memory weight, where the actor reports them.
    pub decisions: Vec<Decision>,
}

/// Runs episodes and returns them in the order of their seeds; the result does not depend on the number of threads and
/// environments. An episode whose environment or actor fails is returned with the error, and the others continue, in new
/// environments if necessary. Episodes that the failure of another one interrupted are run again from their start. `each` is
/// called at the end of every episode, in any order and from any thread.
///
/// # Errors
/// If the dimensions of the actor and the task differ, no episodes are requested, or no environment can be started.
pub fn rollout(
    act: &dyn Act,
    task: &dyn Task,
    run: &Run,
    each: &(dyn Fn(&Episode) + Sync),
) -> Result<Vec<Episode>> {
    let done = Mutex::new(Vec::new());
    let keep = |i, episode: Episode, _| {
        each(&episode);
        done.lock().unwrap_or_else(PoisonError::into_inner).push((i, episode));
        true
    };
    run_episodes(act, task, run, ActorInput::Observations, None, &|_| true, &keep)?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(i, _)| *i);
    Ok(done.into_iter().map(|(_, episode)| episode).collect())
}

/// Runs the episodes of a run that have these numbers, counted from 0, until `each` returns false; episodes that are running then
/// are completed. Returns those that were run, in the order of `numbers`. An episode is the same whichever others are run.
/// [`Run::episodes`] plays no part.
///
/// # Errors
/// As [`rollout`].
pub fn rollout_numbers(
    act: &dyn Act,
    task: &dyn Task,
    run: &Run,
    numbers: &[usize],
    each: &(dyn Fn(&Episode) -> bool + Sync),
) -> Result<Vec<Episode>> {
    let run = Run { episodes: numbers.iter().max().map_or(0, |last| last + 1), ..*run };
    let done = Mutex::new(HashMap::new());
    let keep = |i: usize, episode: Episode, _: Option<Record>| {
        let go_on = each(&episode);
        done.lock().unwrap_or_else(PoisonError::into_inner).insert(i, episode);
        go_on
    };
    let wanted: HashSet<usize> = numbers.iter().copied().collect();
    run_episodes(act, task, &run, ActorInput::Observations, None, &|i| wanted.contains(&i), &keep)?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(numbers.iter().filter_map(|i| done.remove(i)).collect())
}

/// The input of the actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ActorInput {
    Observations,
    /// The action of the task's own expert (`[n_act]`).
    ExpertActions,
}

/// Takes an episode at its end, with its number and its steps; returns whether to go on. It is called in any order and from any
/// thread.
pub(super) type Keep<'a> = dyn Fn(usize, Episode, Option<Record>) -> bool + Sync + 'a;

/// Runs the `wanted` episodes as [`rollout`] does, with their steps if `record` is given, until `keep` returns false. Episodes that
/// are running then are completed.
pub(super) fn run_episodes(
    act: &dyn Act,
    task: &dyn Task,
    run: &Run,
    input: ActorInput,
    record: Option<Record>,
    wanted: &(dyn Fn(usize) -> bool + Sync),
    keep: &Keep,
) -> Result<()> {
    check(act, task, run.episodes, input)?;
    let threads = run.threads.clamp(1, run.episodes);
    let n_environments = run.environments_per_worker.clamp(1, run.episodes.div_ceil(threads));
    let work =
        Work { act, task, run, input, n_environments, record, wanted, keep, next: AtomicUsize::new(0) };
    let mut first = work.start()?; // if the task cannot start at all, one error for the whole run
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| work.start_and_run());
        }
        work.run_all(first.as_mut(), None);
    });
    Ok(())
}

/// State that the threads share.
struct Work<'a> {
    act: &'a dyn Act,
    task: &'a dyn Task,
    run: &'a Run,
    input: ActorInput,
    n_environments: usize, // of each thread
    record: Option<Record>,
    wanted: &'a (dyn Fn(usize) -> bool + Sync),
    keep: &'a Keep<'a>,
    next: AtomicUsize, // number of the next episode to start
}

impl<'a> Work<'a> {
    fn start(&self) -> Result<Box<dyn Batch + 'a>> {
        match self.input {
            ActorInput::Observations => self.task.start_many(self.n_environments),
            ActorInput::ExpertActions => self.task.start_with_expert(self.n_environments),
        }
    }

    fn take(&self) -> Option<EpisodeRun<'a>> {
        loop {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            if i >= self.run.episodes {
                return None;
            }
            if (self.wanted)(i) {
                return Some(self.new_run(i));
            }
        }
    }

    fn new_run(&self, i: usize) -> EpisodeRun<'a> {
        let own = EpisodeRun::new(self.act, self.task.spec(), self.run, i, self.record.clone());
        match self.input {
            ActorInput::Observations => own,
            // The noise on an expert's actions follows from the run's first seed, as it always has, so that data of earlier
            // versions can be made again with the same bytes.
            ActorInput::ExpertActions => {
                own.on_expert_actions(self.act.start(Seed(self.run.first_seed).fork("act").nth(i as u64)))
            }
        }
    }

    /// Hands over the result of an episode.
    fn end(&self, episode_run: EpisodeRun, error: Option<Error>) {
        let i = episode_run.i;
        let (episode, record) = episode_run.finish(error, self.run.trace);
        if !(self.keep)(i, episode, record) {
            self.next.store(self.run.episodes, Ordering::Relaxed);
        }
    }

    fn start_and_run(&self) {
        while let Some(episode_run) = self.take() {
            match self.start() {
                Ok(mut batch) => return self.run_all(batch.as_mut(), Some(episode_run)),
                Err(error) => self.end(episode_run, Some(error)),
            }
        }
    }

    /// Runs episodes until none are left. In each round, every environment takes one step.
    fn run_all(&self, batch: &mut dyn Batch, mut taken: Option<EpisodeRun<'a>>) {
        let n_obs = self.task.spec().n_obs;
        let mut running: Vec<Option<EpisodeRun>> =
            (0..self.n_environments).map(|_| taken.take().or_else(|| self.take())).collect();
        let mut observations = vec![0.0; self.n_environments * n_obs];
        let bounds = batch.action_bounds().map(<[_]>::to_vec);
        loop {
            for place in &mut running {
                // An episode that starts here has no observation yet, so it cannot end in this round.
                let error = match place.as_mut().map(EpisodeRun::decide) {
                    None | Some(Ok(false)) => continue,
                    Some(Ok(true)) => None,
                    Some(Err(error)) => Some(error),
                };
                place.take().into_iter().for_each(|episode_run| self.end(episode_run, error.clone()));
                *place = self.take();
            }
            let asks: Vec<(usize, Ask)> = running
                .iter_mut()
                .enumerate()
                .filter_map(|(k, episode_run)| Some((k, episode_run.as_mut()?.ask(bounds.as_deref()))))
                .collect();
            if asks.is_empty() {
                return;
            }
            let replies = batch.ask(&asks, &mut observations[..asks.len() * n_obs]);
            let asked: Vec<usize> = asks.into_iter().map(|(k, _)| k).collect();
            for (row, (k, reply)) in asked.into_iter().zip(replies).enumerate() {
                let Some(mut episode_run) = running[k].take() else {
                    continue;
                };
                let over = match reply {
                    Reply::Good(outcome) => {
                        let observation = &observations[row * n_obs..(row + 1) * n_obs];
                        episode_run.receive(observation, outcome, batch, k).then_some(None)
                    }
                    Reply::Failed(error) => Some(Some(error)),
                    Reply::Lost => {
                        episode_run = self.new_run(episode_run.i);
                        None
                    }
                };
                running[k] = match over {
                    None => Some(episode_run),
                    Some(error) => {
                        self.end(episode_run, error);
                        self.take()
                    }
                };
            }
        }
    }
}

fn check(act: &dyn Act, task: &dyn Task, episodes: usize, input: ActorInput) -> Result<()> {
    let spec = task.spec();
    let n_input = if input == ActorInput::ExpertActions { spec.n_act } else { spec.n_obs };
    if (act.n_obs(), act.n_act()) != (n_input, spec.n_act) {
        let widths = |obs, act| format!("{obs}-dimensional observations, {act}-dimensional actions");
        return Err(Error::new(Kind::Mismatch, "the policy does not fit the task")
            .at(format!("task {}", spec.name))
            .expected(widths(n_input, spec.n_act))
            .found(widths(act.n_obs(), act.n_act()))
            .next("use the task the demonstrations came from"));
    }
    if episodes == 0 {
        return Err(Error::new(Kind::Settings, "no episodes to run").expected("at least 1"));
    }
    Ok(())
}

/// The seed of the actor in the episode with an environment seed.
pub fn acting_seed(episode_seed: u64) -> Seed {
    Seed(episode_seed).fork("act")
}
