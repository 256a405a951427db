//! Episodes of anything that acts, on any task, side by side and the same whatever the number of threads and lanes.

use super::collect::Record;
use crate::{
    act::{Act, Acting, Decision},
    error::{Error, Kind, Result},
    seed::Seed,
    task::{Ask, Batch, Outcome, Reply, Spec, Task},
};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Which episodes to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// How many.
    pub episodes: usize,
    /// Episode i starts the environment from seed `first_seed + i`, and whatever acts from
    /// `Seed(first_seed).fork("act").nth(i)`.
    pub first_seed: u64,
    /// Threads, each with a batch of environments of its own; 0 counts as 1.
    pub threads: usize,
    /// Episodes at once in each thread, which take their steps together; 0 counts as 1. A task whose environments
    /// are held by other processes has one process a thread.
    pub lanes: usize,
    /// Keep every step's position, distance and weight, for pictures.
    pub trace: bool,
}

/// One episode as it went.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Episode {
    /// The environment's seed.
    pub seed: u64,
    /// Sum of the rewards.
    pub ret: f64,
    /// Steps made.
    pub length: usize,
    /// Success by the task's own rule, where it has one.
    pub success: Option<bool>,
    /// Steps after which the goal held.
    pub goal_steps: usize,
    /// The goal held after the last step.
    pub goal_at_end: bool,
    /// The parts completed: bit k stands for part k of [`Spec::parts`].
    pub parts: u32,
    /// Mean weight of the memory over the visited states, where the actor says.
    pub weight: Option<f64>,
    /// Mean and largest distance of the visited states to their memory, where the actor says.
    pub distance: Option<[f64; 2]>,
    /// Steps taken in states beyond what a guard allows.
    pub ood: usize,
    /// The first of them, or the step at which a guard ended the episode.
    pub first_ood: Option<usize>,
    /// A guard ended the episode.
    pub stopped: bool,
    /// Time each action took, in microseconds.
    pub latencies: Vec<f32>,
    /// What of it went into making an embedding of the frame, action by action; empty where nothing did.
    pub encoding: Vec<f32>,
    /// What ended the episode before its time, if anything did; the numbers are those up to there.
    pub error: Option<Error>,
    /// Every step, if asked for.
    pub trace: Option<Trace>,
    /// The task ended the episode, which was not cut at the horizon.
    pub terminal: bool,
}

/// An episode step by step. Step t is the state in which action t was taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    /// Where it was, if the task says: one more than steps, the last after the last action.
    pub positions: Vec<[f32; 2]>,
    /// Distance to the memory and its weight, where the actor says.
    pub decisions: Vec<Decision>,
}

/// Runs episodes and gives them in order; they do not depend on `threads` and `lanes`. An episode whose environment (or
/// actor) fails is reported as such and the others go on, in environments made anew where need be; those that another
/// one's failure cut off are run again from their start. `each` hears of every episode as it ends, in no order, from
/// any thread.
///
/// # Errors
/// If the actor and the task are of other widths, no episodes are asked for, or no environment can be started.
pub fn rollout(
    act: &dyn Act,
    task: &dyn Task,
    run: &Run,
    each: &(dyn Fn(&Episode) + Sync),
) -> Result<Vec<Episode>> {
    let each = |episode: &Episode| {
        each(episode);
        true
    };
    let done = drive(act, task, run, Shown::Observations, None, &each)?;
    Ok(done.into_iter().map(|(episode, _)| episode).collect())
}

/// What whoever acts is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Observations,
    /// The action of the task's own expert.
    Advice,
}

/// Runs episodes as [`rollout`] does, with their steps where `record` is given, until `each` answers false: those on
/// their way then still come to their end.
pub(super) fn drive(
    act: &dyn Act,
    task: &dyn Task,
    run: &Run,
    shown: Shown,
    record: Option<Record>,
    each: &(dyn Fn(&Episode) -> bool + Sync),
) -> Result<Vec<(Episode, Option<Record>)>> {
    check(act, task, run.episodes, shown)?;
    let threads = run.threads.clamp(1, run.episodes);
    let lanes = run.lanes.clamp(1, run.episodes.div_ceil(threads));
    let done = Mutex::new(Vec::new());
    let work = Work { act, task, run, shown, lanes, record, each, next: AtomicUsize::new(0), done };
    let mut first = work.start()?; // a task that cannot start at all is one error, not one an episode
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| work.start_and_drive());
        }
        work.drive(first.as_mut(), None);
    });
    let mut done = work.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(i, ..)| *i);
    Ok(done.into_iter().map(|(_, episode, record)| (episode, record)).collect())
}

/// What the threads share.
struct Work<'a> {
    act: &'a dyn Act,
    task: &'a dyn Task,
    run: &'a Run,
    shown: Shown,
    lanes: usize,
    record: Option<Record>,
    each: &'a (dyn Fn(&Episode) -> bool + Sync),
    next: AtomicUsize, // the episode that nobody has taken yet
    done: Mutex<Vec<(usize, Episode, Option<Record>)>>,
}

impl<'a> Work<'a> {
    fn start(&self) -> Result<Box<dyn Batch + 'a>> {
        match self.shown {
            Shown::Observations => self.task.start_many(self.lanes),
            Shown::Advice => self.task.start_advised(self.lanes),
        }
    }

    fn take(&self) -> Option<Lane<'a>> {
        let i = self.next.fetch_add(1, Ordering::Relaxed);
        (i < self.run.episodes).then(|| self.lane(i))
    }

    fn lane(&self, i: usize) -> Lane<'a> {
        let advice = match self.shown {
            Shown::Observations => None,
            Shown::Advice => Some(vec![0.0; self.task.spec().n_act]),
        };
        Lane { advice, ..Lane::new(self.act, self.task.spec(), self.run, i, self.record.clone()) }
    }

    /// A lane's episode is over.
    fn end(&self, lane: Lane, error: Option<Error>) {
        let i = lane.i;
        let (episode, record) = lane.over(error, self.run.trace);
        if !(self.each)(&episode) {
            self.next.store(self.run.episodes, Ordering::Relaxed);
        }
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push((i, episode, record));
    }

    fn start_and_drive(&self) {
        while let Some(lane) = self.take() {
            match self.start() {
                Ok(mut batch) => return self.drive(batch.as_mut(), Some(lane)),
                Err(error) => self.end(lane, Some(error)),
            }
        }
    }

    /// Runs episodes side by side until there are none left: in every round each lane has one action taken.
    fn drive(&self, batch: &mut dyn Batch, mut taken: Option<Lane<'a>>) {
        let n_obs = self.task.spec().n_obs;
        let mut lanes: Vec<Option<Lane>> =
            (0..self.lanes).map(|_| taken.take().or_else(|| self.take())).collect();
        let mut observations = vec![0.0; self.lanes * n_obs];
        loop {
            for place in &mut lanes {
                // The lane after one that ended here has no observation yet, and cannot end.
                let error = match place.as_mut().map(Lane::decide) {
                    None | Some(Ok(false)) => continue,
                    Some(Ok(true)) => None,
                    Some(Err(error)) => Some(error),
                };
                place.take().into_iter().for_each(|lane| self.end(lane, error.clone()));
                *place = self.take();
            }
            let asks: Vec<(usize, Ask)> =
                lanes.iter().enumerate().filter_map(|(k, lane)| Some((k, lane.as_ref()?.ask()))).collect();
            if asks.is_empty() {
                return;
            }
            let replies = batch.ask(&asks, &mut observations[..asks.len() * n_obs]);
            let asked: Vec<usize> = asks.into_iter().map(|(k, _)| k).collect();
            for (row, (k, reply)) in asked.into_iter().zip(replies).enumerate() {
                let Some(mut lane) = lanes[k].take() else {
                    continue;
                };
                let over = match reply {
                    Reply::Good(outcome) => {
                        let observation = &observations[row * n_obs..(row + 1) * n_obs];
                        lane.hear(observation, outcome, batch, k).then_some(None)
                    }
                    Reply::Failed(error) => Some(Some(error)),
                    Reply::Lost => {
                        lane = self.lane(lane.i);
                        None
                    }
                };
                lanes[k] = match over {
                    None => Some(lane),
                    Some(error) => {
                        self.end(lane, error);
                        self.take()
                    }
                };
            }
        }
    }
}

/// One episode on its way.
struct Lane<'a> {
    i: usize,
    spec: &'a Spec,
    acting: Box<dyn Acting + 'a>,
    begun: bool,              // there is an observation to act on
    observation: Vec<f32>,    // [n_obs]
    advice: Option<Vec<f32>>, // [n_act], where that is shown
    action: Vec<f32>,         // [n_act]
    decision: Decision,       // that led to the action
    episode: Episode,         // so far
    trace: Trace,
    record: Option<Record>,
}

impl<'a> Lane<'a> {
    fn new(act: &'a dyn Act, spec: &'a Spec, run: &Run, i: usize, record: Option<Record>) -> Self {
        Self {
            i,
            spec,
            acting: act.start(acting_seed(run.first_seed, i)),
            begun: false,
            observation: vec![0.0; spec.n_obs],
            advice: None,
            action: vec![0.0; spec.n_act],
            decision: Decision::default(),
            episode: Episode { seed: run.first_seed.wrapping_add(i as u64), ..Episode::default() },
            trace: Trace::default(),
            record,
        }
    }

    /// Has the action chosen, unless the episode has not begun; says whether a guard ends it here.
    fn decide(&mut self) -> Result<bool> {
        if !self.begun {
            return Ok(false);
        }
        let place = (self.spec, self.episode.seed, self.episode.length);
        let shown = self.advice.as_ref().unwrap_or(&self.observation);
        let (decision, micros) = decide(self.acting.as_mut(), shown, &mut self.action, place)?;
        self.decision = decision;
        let episode = &mut self.episode;
        episode.latencies.push(micros);
        episode.encoding.extend(self.acting.embedded_observation().map(|seen| seen.micros));
        if decision.ood {
            episode.first_ood.get_or_insert(episode.length);
        }
        episode.stopped = decision.stop;
        Ok(decision.stop)
    }

    fn ask(&self) -> Ask<'_> {
        if self.begun { Ask::Step(&self.action) } else { Ask::Reset(self.episode.seed) }
    }

    /// Takes the answer in, and says whether the episode is over.
    fn hear(
        &mut self,
        observation: &[f32],
        outcome: Option<Outcome>,
        batch: &dyn Batch,
        copy: usize,
    ) -> bool {
        self.begun = true;
        if let Some(record) = &mut self.record {
            if let Some(outcome) = &outcome {
                record.acted(&self.observation, &self.action, self.acting.as_ref(), outcome.reward);
            }
            record.arrived(batch.state(copy));
        }
        self.observation.copy_from_slice(observation);
        if let Some(advice) = &mut self.advice
            && !batch.advice(copy, advice)
        {
            advice.fill(f32::NAN); // nobody acts on that, should anybody be asked to
        }
        self.trace.positions.extend(batch.position(copy));
        let Some(outcome) = outcome else {
            return self.spec.horizon == 0;
        };
        let episode = &mut self.episode;
        episode.ret += outcome.reward;
        episode.length += 1;
        episode.ood += usize::from(self.decision.ood);
        episode.success = outcome.success;
        episode.goal_steps += usize::from(outcome.goal);
        episode.goal_at_end = outcome.goal;
        episode.parts = outcome.parts;
        episode.terminal = outcome.done;
        self.trace.decisions.push(self.decision);
        outcome.done || episode.length >= self.spec.horizon
    }

    fn over(self, error: Option<Error>, keep_trace: bool) -> (Episode, Option<Record>) {
        let decisions = &self.trace.decisions;
        let said = |part: fn(&Decision) -> Option<f32>| decisions.iter().filter_map(part).map(f64::from);
        let mut episode = self.episode;
        // Without that of an action which was never taken.
        episode.latencies.truncate(episode.length);
        episode.encoding.truncate(episode.length);
        episode.error = error;
        episode.weight = average(said(|d| d.weight));
        episode.distance =
            average(said(|d| d.distance)).map(|mean| [mean, said(|d| d.distance).fold(0.0, f64::max)]);
        episode.trace = keep_trace.then_some(self.trace);
        (episode, self.record)
    }
}

/// Has an action chosen, and gives how it came about and the microseconds it took. `place`: the task, the episode's
/// seed and the step, for reports.
fn decide(
    acting: &mut dyn Acting,
    observation: &[f32],
    action: &mut [f32],
    place: (&Spec, u64, usize),
) -> Result<(Decision, f32)> {
    let place = || format!("task {}, episode seed {}, step {}", place.0.name, place.1, place.2);
    let start = Instant::now();
    let decision = acting.act(observation, action).map_err(|e| e.within(place()))?;
    let micros = start.elapsed().as_secs_f32() * 1e6;
    if action.iter().any(|a| a.is_nan()) {
        return Err(Error::new(Kind::Task, "the policy's action is not a number")
            .at(place())
            .expected("numbers in [-1, 1]")
            .found(format!("{action:?}")));
    }
    Ok((decision, micros))
}

fn check(act: &dyn Act, task: &dyn Task, episodes: usize, shown: Shown) -> Result<()> {
    let spec = task.spec();
    let n_shown = if shown == Shown::Advice { spec.n_act } else { spec.n_obs };
    if (act.n_obs(), act.n_act()) != (n_shown, spec.n_act) {
        let widths = |obs, act| format!("observations of {obs} numbers, actions of {act}");
        return Err(Error::new(Kind::Mismatch, "the policy does not fit the task")
            .at(format!("task {}", spec.name))
            .expected(widths(n_shown, spec.n_act))
            .found(widths(act.n_obs(), act.n_act()))
            .next("use the task the demonstrations came from"));
    }
    if episodes == 0 {
        return Err(Error::new(Kind::Settings, "no episodes to run").expected("at least 1"));
    }
    Ok(())
}

/// The seed of whatever acts in episode i of a run from `first_seed`.
pub fn acting_seed(first_seed: u64, i: usize) -> Seed {
    Seed(first_seed).fork("act").nth(i as u64)
}

fn average(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0), |(sum, n), x| (sum + x, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}
