//! `mcnn eval`, and the rollouts it shares with other verbs.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use mcnn::{
    Result,
    act::Act,
    eval::{Episode, Summary, rollout},
    seed::Seed,
    task::Task,
    vision::EncodedPolicy,
};
use serde::Serialize;

use super::Done;
use crate::{
    actor::Actor,
    args::{Episodes, EvalArgs},
    guard::{self, Watched},
    print,
    progress::Progress,
    tasks,
    video::{Recorded, RecordedPolicy, Recorder},
};

/// What an evaluation came to.
#[derive(Serialize)]
pub struct Evaluated {
    #[serde(flatten)]
    pub summary: Summary,
    /// What the policy is called in the literature.
    pub name: String,
    /// Each episode's return, in the order of the seeds; null where it failed.
    pub returns: Vec<Option<f64>>,
    /// What ended the first episode that failed.
    pub first_failure: Option<String>,
    /// Episodes that would halve the interval of the return.
    pub episodes_to_halve: usize,
    /// The video of --video.
    pub video: Option<Recorded>,
    /// The guard, if one was asked for.
    pub guard: Option<Watched>,
}

pub fn run(args: &EvalArgs) -> Result<Done> {
    let actor = Actor::read(&args.policy)?;
    // Before the episodes are run, so that a video that cannot be made is an error at once.
    let recorder =
        args.video.video.as_deref().map(|path| Recorder::open(path, &args.episodes)).transpose()?;
    let set = guard::set(&args.guard, actor.policy())?;
    let guarded = actor.policy().zip(set).map(|(policy, set)| policy.guarded(set.guard));
    let act: &dyn Act = guarded.as_ref().map_or(actor.act(), |guarded| guarded);
    let task = tasks::named(&args.episodes.task, args.episodes.rollouts.reward)?;
    let encoder = actor.encoder(task.spec(), &args.encoder)?;
    let sighted = encoder.as_ref().map(|encoder| EncodedPolicy::new(encoder, act)).transpose()?;
    let act: &dyn Act = sighted.as_ref().map_or(act, |sighted| sighted);
    let run = episodes(act, task.as_ref(), &args.episodes, "running")?;
    let mut report = evaluated(&actor, task.as_ref(), &run, args.episodes.rollouts.seed());
    report.guard = set.map(|set| set.watched(&run));
    let mut failed = report.summary.failed > 0;
    let recorded = RecordedPolicy { act, policy: actor.policy(), label: None };
    match recorder.map(|recorder| recorder.record(&[recorded], args.episodes.rollouts.seed(), &args.video)) {
        Some(Ok(video)) => report.video = Some(video),
        // The evaluation is reported all the same.
        Some(Err(error)) => {
            eprintln!("error: {error}");
            failed = true;
        }
        None => {}
    }
    let interrupted = report.video.as_ref().is_some_and(|video| video.interrupted);
    let done = Done::new(&report, print::evaluated(&report));
    Ok(Done { exit_code: if interrupted { 130 } else { 0 }, ..done }.failed_if(failed))
}

pub fn evaluated(actor: &Actor, task: &dyn Task, episodes: &[Episode], seed: u64) -> Evaluated {
    Evaluated {
        summary: Summary::new(actor.fingerprint(), task.spec(), episodes, Seed(seed).fork("bootstrap")),
        name: actor.name(),
        returns: episodes.iter().map(|e| e.error.is_none().then_some(e.ret)).collect(),
        first_failure: first_failure(episodes),
        // The width of an interval falls with the square root of the number of episodes.
        episodes_to_halve: 4 * episodes.len(),
        video: None,
        guard: None,
    }
}

/// What ended the first of the episodes that failed.
pub fn first_failure(episodes: &[Episode]) -> Option<String> {
    episodes.iter().find_map(|e| e.error.as_ref().map(|error| format!("seed {}: {error}", e.seed)))
}

/// Runs the episodes asked for, with progress.
pub fn episodes(act: &dyn Act, task: &dyn Task, args: &Episodes, doing: &str) -> Result<Vec<Episode>> {
    let run = args.rollouts.run()?;
    rollout(act, task, &run, &told(doing, run.episodes))
}

/// Progress for whoever runs episodes: to be called as each ends, from any thread.
pub fn told(doing: &str, episodes: usize) -> impl Fn(&Episode) + Sync {
    let progress = Mutex::new((0, Progress::new(doing, 0, episodes as u64)));
    move |episode: &Episode| {
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.0 += 1;
        let done = progress.0;
        progress.1.at(done, &format!("return {:.1}", episode.ret));
    }
}

/// A file's name without its folders and ending, to call a policy by.
pub fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
