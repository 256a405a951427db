//! `mcnn eval`, and the rollouts that it shares with other verbs.

use std::sync::{Mutex, PoisonError};

use mcnn::{
    Result,
    act::Act,
    eval::{Episode, Summary, rollout},
    seed::Seed,
    task::Task,
    vision::EncodedPolicy,
};
use serde::Serialize;

use super::{Done, claim};
use crate::{
    actor::Actor,
    args::{Episodes, EvalArgs},
    guard::{self, GuardReport},
    print,
    progress::Progress,
    say::say,
    tasks,
    video::{Recorded, RecordedPolicy, Recorder},
};

/// The results of an evaluation.
#[derive(Serialize)]
pub struct EvalReport {
    #[serde(flatten)]
    pub summary: Summary,
    /// The policy's method, as the literature names it, and its main settings.
    pub name: String,
    /// Each episode's return, in the order of the seeds; null where it failed.
    pub returns: Vec<Option<f64>>,
    /// The seed and the error of the first failed episode.
    pub first_failure: Option<String>,
    /// Episodes that would halve the width of the return's interval.
    pub episodes_to_halve: usize,
    /// The video; null without --video.
    pub video: Option<Recorded>,
    /// The OOD guard; null without --guard.
    pub guard: Option<GuardReport>,
}

pub fn run(args: &EvalArgs) -> Result<Done> {
    let _claim = args.video.video.as_deref().map(claim).transpose()?;
    let actor = Actor::read(&args.policy)?.with_knobs(&args.knobs)?;
    // Fail before the episodes are run if the video cannot be recorded.
    let recorder =
        args.video.video.as_deref().map(|path| Recorder::open(path, &args.episodes)).transpose()?;
    let guard = guard::calibrated(&args.guard, actor.policy())?;
    let guarded = actor.policy().zip(guard).map(|(policy, guard)| policy.guarded(guard.guard));
    let act: &dyn Act = guarded.as_ref().map_or(actor.act(), |guarded| guarded);
    let task = tasks::named(&args.episodes.task, &args.episodes.rollouts.settings.options())?;
    let encoder = actor.encoder(task.spec(), &args.encoder)?;
    let encoded = encoder.as_ref().map(|encoder| EncodedPolicy::new(encoder, act)).transpose()?;
    let act: &dyn Act = encoded.as_ref().map_or(act, |encoded| encoded);
    let run = episodes(act, task.as_ref(), &args.episodes, "running")?;
    let mut report = evaluated(&actor, task.as_ref(), &run, args.episodes.rollouts.seed());
    report.guard = guard.map(|guard| guard.report(&run));
    let mut failed = report.summary.failed > 0;
    let recorded = RecordedPolicy { act, policy: actor.policy(), label: None };
    match recorder.map(|recorder| recorder.record(&[recorded], args.episodes.rollouts.seed(), &args.video)) {
        Some(Ok(video)) => report.video = Some(video),
        // The evaluation is reported even if its video failed.
        Some(Err(error)) => {
            say(format!("error: {error}"));
            failed = true;
        }
        None => {}
    }
    let interrupted = report.video.as_ref().is_some_and(|video| video.interrupted);
    let done = Done::new(&report, print::eval(&report));
    Ok(Done { exit_code: if interrupted { 130 } else { 0 }, ..done }.failed_if(failed))
}

/// The report of some episodes, whose seeds start at `seed`; without a video or a guard.
pub fn evaluated(actor: &Actor, task: &dyn Task, episodes: &[Episode], seed: u64) -> EvalReport {
    EvalReport {
        summary: Summary::new(actor.fingerprint(), task.spec(), episodes, Seed(seed).fork("bootstrap")),
        name: actor.name(),
        returns: episodes.iter().map(|e| e.error.is_none().then_some(e.ret)).collect(),
        first_failure: first_failure(episodes),
        // The width of an interval is proportional to the inverse square root of the number of episodes.
        episodes_to_halve: 4 * episodes.len(),
        video: None,
        guard: None,
    }
}

/// The seed and the error of the first failed episode.
pub fn first_failure(episodes: &[Episode]) -> Option<String> {
    episodes.iter().find_map(|e| e.error.as_ref().map(|error| format!("seed {}: {error}", e.seed)))
}

/// Runs the episodes, with progress on stderr under the title `title`.
pub fn episodes(act: &dyn Act, task: &dyn Task, args: &Episodes, title: &str) -> Result<Vec<Episode>> {
    let run = args.rollouts.run()?;
    rollout(act, task, &run, &progress_of(title, run.episodes))
}

/// A callback that reports the progress of `episodes` episodes; it is called after each, from any thread.
pub fn progress_of(title: &str, episodes: usize) -> impl Fn(&Episode) + Sync {
    let progress = Mutex::new((0, Progress::new(title, 0, episodes as u64)));
    move |episode: &Episode| {
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.0 += 1;
        let done = progress.0;
        progress.1.at(done, &format!("return {:.1}", episode.ret));
    }
}
