//! `mcnn eval`, and the rollouts it shares with `mcnn compare`.

use std::{num::NonZero, path::Path};

use mcnn::{
    Error, Result,
    act::Act,
    error::Kind,
    eval::{Episode, Run, Summary, rollout},
    file,
    policy::Policy,
    seed::Seed,
    task::Task,
};
use serde::Serialize;

use super::Done;
use crate::{
    args::{Episodes, EvalArgs},
    print,
    progress::Progress,
    tasks,
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
}

pub fn run(args: &EvalArgs) -> Result<Done> {
    let (policy, fingerprint) = file::read_policy(&args.policy)?;
    let task = task(&args.episodes)?;
    let episodes = episodes(&policy, task.as_ref(), &args.episodes, "running")?;
    let report = evaluated(&policy, fingerprint, task.as_ref(), &episodes, args.episodes.seed);
    Ok(Done::new(&report, print::evaluated(&report)).failed_if(report.summary.failed > 0))
}

pub fn evaluated(
    policy: &Policy,
    print: String,
    task: &dyn Task,
    episodes: &[Episode],
    seed: u64,
) -> Evaluated {
    let failure =
        episodes.iter().find_map(|e| e.error.as_ref().map(|error| format!("seed {}: {error}", e.seed)));
    Evaluated {
        summary: Summary::new(print, task.spec(), episodes, Seed(seed).fork("bootstrap")),
        name: policy.name(),
        returns: episodes.iter().map(|e| e.error.is_none().then_some(e.ret)).collect(),
        first_failure: failure,
        // The width of an interval falls with the square root of the number of episodes.
        episodes_to_halve: 4 * episodes.len(),
    }
}

/// The task asked for; what its preparation says goes to stderr.
pub fn task(args: &Episodes) -> Result<Box<dyn Task>> {
    tasks::named(&args.task, args.reward)
}

/// Runs the episodes asked for, with progress.
pub fn episodes(act: &dyn Act, task: &dyn Task, args: &Episodes, doing: &str) -> Result<Vec<Episode>> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let run = Run {
        episodes: args.episodes as usize,
        first_seed: args.seed,
        threads: args.threads.unwrap_or(cores),
        trace: false,
    };
    if run.threads == 0 || run.threads > 1024 {
        return Err(Error::new(Kind::Settings, "threads out of range")
            .at("--threads")
            .expected("1 to 1024")
            .found(run.threads.to_string()));
    }
    let progress = std::sync::Mutex::new((0, Progress::new(doing, 0, run.episodes as u64)));
    let each = |episode: &Episode| {
        let mut progress = progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        progress.0 += 1;
        let done = progress.0;
        progress.1.at(done, &format!("return {:.1}", episode.ret));
    };
    rollout(act, task, &run, &each)
}

/// A file's name without its folders and ending, to call a policy by.
pub fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
