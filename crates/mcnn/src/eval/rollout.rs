//! Episodes of anything that acts, on any task, side by side and the same whatever the number of threads.

use crate::{
    act::{Act, Acting, Decision},
    error::{Error, Kind, Result},
    seed::Seed,
    task::{Environment, Outcome, Task},
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
    /// Episodes at once, each with an environment of its own; 0 counts as 1.
    pub threads: usize,
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
    /// Mean weight of the memory over the visited states, where the actor says.
    pub weight: Option<f64>,
    /// Mean and largest distance of the visited states to their memory, where the actor says.
    pub distance: Option<[f64; 2]>,
    /// Time each action took, in microseconds.
    pub latencies: Vec<f32>,
    /// What ended the episode before its time, if anything did; the numbers are those up to there.
    pub error: Option<Error>,
    /// Every step, if asked for.
    pub trace: Option<Trace>,
}

/// An episode step by step. Step t is the state in which action t was taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    /// Where it was, if the task says: one more than steps, the last after the last action.
    pub positions: Vec<[f32; 2]>,
    /// Distance to the memory and its weight, where the actor says.
    pub decisions: Vec<Decision>,
}

/// Runs episodes and gives them in order. An episode whose environment (or actor) fails is reported as such and the
/// others go on, in a fresh environment. `each` hears of every episode as it ends, in no order, from any thread.
///
/// # Errors
/// If the actor and the task are of other widths, no episodes are asked for, or no environment can be started.
pub fn rollout(
    act: &dyn Act,
    task: &dyn Task,
    run: &Run,
    each: &(dyn Fn(&Episode) + Sync),
) -> Result<Vec<Episode>> {
    check(act, task, run.episodes)?;
    let next = AtomicUsize::new(0);
    let done = Mutex::new(vec![Episode::default(); run.episodes]);
    let work = |mut environment: Option<Box<dyn Environment>>| {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= run.episodes {
                return;
            }
            let episode = one(act, task, run, i, &mut environment);
            each(&episode);
            done.lock().unwrap_or_else(PoisonError::into_inner)[i] = episode;
        }
    };
    let first = task.start()?; // a task that cannot start at all is one error, not one an episode
    std::thread::scope(|scope| {
        for _ in 1..run.threads.min(run.episodes) {
            scope.spawn(|| work(None));
        }
        work(Some(first));
    });
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

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

/// Records episodes; seeds as in [`Run`].
///
/// # Errors
/// As [`rollout`], and the first failure of the environment or the actor.
pub fn collect(task: &dyn Task, act: &dyn Act, episodes: usize, first_seed: u64) -> Result<Collected> {
    check(act, task, episodes)?;
    let mut environment = task.start()?;
    let mut all = Collected::default();
    for i in 0..episodes {
        let mut success = None;
        let mut acting = act.start(acting_seed(first_seed, i));
        let seed = first_seed.wrapping_add(i as u64);
        steps(environment.as_mut(), acting.as_mut(), task, seed, &mut |step| {
            if let Step::Acted { observation, action, outcome, .. } = step {
                all.states.extend_from_slice(observation);
                all.actions.extend(action.iter().map(|a| a.clamp(-1.0, 1.0)));
                all.rewards.push(outcome.reward as f32);
                success = outcome.success;
            }
        })?;
        all.ends.push(all.rewards.len());
        all.successes.push(success);
    }
    Ok(all)
}

fn check(act: &dyn Act, task: &dyn Task, episodes: usize) -> Result<()> {
    let spec = task.spec();
    if (act.n_obs(), act.n_act()) != (spec.n_obs, spec.n_act) {
        let widths = |obs, act| format!("observations of {obs} numbers, actions of {act}");
        return Err(Error::new(Kind::Mismatch, "the policy does not fit the task")
            .at(format!("task {}", spec.name))
            .expected(widths(spec.n_obs, spec.n_act))
            .found(widths(act.n_obs(), act.n_act()))
            .next("use the task the demonstrations came from"));
    }
    if episodes == 0 {
        return Err(Error::new(Kind::Settings, "no episodes to run").expected("at least 1"));
    }
    Ok(())
}

fn acting_seed(first_seed: u64, i: usize) -> Seed {
    Seed(first_seed).fork("act").nth(i as u64)
}

/// Episode i, in the environment given or a fresh one; a failed environment is given up.
fn one(
    act: &dyn Act,
    task: &dyn Task,
    run: &Run,
    i: usize,
    kept: &mut Option<Box<dyn Environment>>,
) -> Episode {
    let mut episode = Episode { seed: run.first_seed.wrapping_add(i as u64), ..Episode::default() };
    let mut trace = Trace::default();
    let mut decisions = Vec::new();
    let mut play = || {
        let environment = match kept {
            Some(environment) => environment,
            None => kept.insert(task.start()?),
        };
        let mut acting = act.start(acting_seed(run.first_seed, i));
        let seed = episode.seed;
        steps(environment.as_mut(), acting.as_mut(), task, seed, &mut |step| match step {
            Step::At(position) => trace.positions.extend(position),
            Step::Acted { outcome, decision, micros, .. } => {
                episode.ret += outcome.reward;
                episode.length += 1;
                episode.success = outcome.success;
                episode.goal_steps += usize::from(outcome.goal);
                episode.goal_at_end = outcome.goal;
                episode.latencies.push(micros);
                decisions.push(decision);
            }
        })
    };
    if let Err(error) = play() {
        episode.error = Some(error);
        *kept = None;
    }
    let said = |part: fn(&Decision) -> Option<f32>| decisions.iter().filter_map(part).map(f64::from);
    episode.weight = average(said(|d| d.weight));
    episode.distance =
        average(said(|d| d.distance)).map(|mean| [mean, said(|d| d.distance).fold(0.0, f64::max)]);
    trace.decisions = decisions;
    episode.trace = run.trace.then_some(trace);
    episode
}

fn average(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0), |(sum, n), x| (sum + x, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

/// What an episode tells whoever watches it.
enum Step<'a> {
    /// Where things are, before each action and at the end.
    At(Option<[f32; 2]>),
    /// An action was taken.
    Acted {
        observation: &'a [f32], // the one acted on
        action: &'a [f32],
        outcome: Outcome,
        decision: Decision,
        micros: f32,
    },
}

/// One episode to its end or the task's horizon.
fn steps(
    environment: &mut dyn Environment,
    acting: &mut dyn Acting,
    task: &dyn Task,
    seed: u64,
    watch: &mut dyn FnMut(Step),
) -> Result<()> {
    let spec = task.spec();
    let mut observation = vec![0.0; spec.n_obs];
    let mut next = vec![0.0; spec.n_obs];
    let mut action = vec![0.0; spec.n_act];
    environment.reset(seed, &mut observation)?;
    for t in 0..spec.horizon {
        watch(Step::At(environment.position()));
        let place = || format!("task {}, episode seed {seed}, step {t}", spec.name);
        let start = Instant::now();
        let decision = acting.act(&observation, &mut action).map_err(|e| e.within(place()))?;
        let micros = start.elapsed().as_secs_f32() * 1e6;
        if action.iter().any(|a| a.is_nan()) {
            return Err(Error::new(Kind::Task, "the policy's action is not a number")
                .at(place())
                .expected("numbers in [-1, 1]")
                .found(format!("{action:?}")));
        }
        let outcome = environment.step(&action, &mut next)?;
        watch(Step::Acted { observation: &observation, action: &action, outcome, decision, micros });
        std::mem::swap(&mut observation, &mut next);
        if outcome.done {
            break;
        }
    }
    watch(Step::At(environment.position()));
    Ok(())
}
