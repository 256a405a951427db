//! `mcnn collect`.

use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use mcnn::{
    Error, Result,
    act::Act,
    data::{
        DimensionNames, EpisodeResult, Parts, Recording, StoredEpisode, StoredEpisodes, StoredSteps, Target,
    },
    error::Kind,
    eval::{Collected, Demonstrator, Episode, Run, record_each, stats::mean},
    expert::{Noise, Noisy, TaskExpert},
    task::{Spec, Task},
    vision::{EncodedPolicy, part_of},
};
use serde::Serialize;

use super::{
    Done, claim_demonstrations,
    eval::{first_failure, progress_of},
};
use crate::{
    actor::Actor,
    args::{COLLECTION_SEED, CollectArgs, Output},
    interrupt, print, tasks,
};

/// The episodes recorded.
#[derive(Serialize)]
pub struct CollectReport {
    pub task: String,
    pub file: String,
    /// Who acted.
    pub actor: String,
    /// Fingerprint of the policy or expert network; null for a scripted expert.
    pub policy: Option<String>,
    pub noise: String,
    /// Episodes in the file.
    pub episodes: usize,
    pub steps: usize,
    /// Successful episodes; null if the task defines no success.
    pub successes: Option<usize>,
    pub mean_return: f64,
    /// D4RL-normalized score of the mean return; null if the task has no references.
    pub score: Option<f64>,
    /// Seeds of the first and the last episode.
    pub seeds: [u64; 2],
    /// Episodes that an error ended; they are not in the file.
    pub failed: usize,
    pub first_failure: Option<String>,
    /// Episodes of the file that an earlier, interrupted run recorded.
    pub resumed_from: usize,
    /// Whether Ctrl-C ended the recording; the file has the episodes that were complete.
    pub interrupted: bool,
    pub seconds: f64,
    /// Fingerprint of the demonstrations.
    pub fingerprint: String,
}

pub fn run(args: &CollectArgs) -> Result<Done> {
    let target = target(args)?;
    let _claim = claim_demonstrations(&args.output, target)?;
    let actor = args.actor.as_deref().map(Actor::read).transpose()?;
    let task = tasks::named(&args.episodes.task, &args.episodes.rollouts.settings.options())?;
    if matches!(target, Target::LeRobot | Target::Columns) && task.spec().frame.is_some() {
        return Err(Error::new(Kind::Settings, format!("camera frames are not written as {target}"))
            .at(args.output.path.display().to_string())
            .next("give a name that ends in .hdf5 or .npz"));
    }
    let scripted = TaskExpert { n_act: task.spec().n_act };
    let (act, std): (&dyn Act, _) = match &actor {
        Some(actor) => (actor.act(), actor.std()),
        None => (&scripted, None),
    };
    let encoder = match &actor {
        Some(actor) => actor.encoder(task.spec(), &args.encoder)?,
        None => None,
    };
    let encoded = encoder.as_ref().map(|encoder| EncodedPolicy::new(encoder, act)).transpose()?;
    let act: &dyn Act = encoded.as_ref().map_or(act, |encoded| encoded);
    let noisy = Noisy::new(act, args.noise, std).map_err(|e| e.within("--noise"))?;
    let act: &dyn Act = if args.noise == Noise::None { act } else { &noisy };
    let first_seed = args.episodes.rollouts.seed.unwrap_or(COLLECTION_SEED);
    let run = Run { first_seed, ..args.episodes.rollouts.run()? };
    let start = Instant::now();

    let identity = identity(args, task.spec(), actor.as_ref(), first_seed);
    let stored = open_part(&args.output, &identity, task.spec(), run.episodes)?;
    let resumed_from = stored.episodes().count();
    let who = if actor.is_some() { Demonstrator::Actor } else { Demonstrator::TaskExpert };
    let recorded = record((act, who), task.as_ref(), &run, "collecting", stored, interrupt::flag());
    let (stored, failed) = match recorded {
        Ok(recorded) => recorded,
        Err((stored, error)) => {
            remove_if_empty(stored);
            return Err(error);
        }
    };
    let first_failure = first_failure(&failed);
    if stored.episodes().next().is_none() {
        remove_if_empty(stored);
        return Err(Error::new(Kind::Task, "no episode was completed, so there is nothing to write")
            .found(first_failure.unwrap_or_else(|| "Ctrl-C before the end of the first".into())));
    }
    let mut report = report(args, &stored, task.spec(), actor.as_ref(), first_seed);
    report.failed = failed.len();
    report.first_failure = first_failure;
    report.interrupted = report.episodes + report.failed < run.episodes;
    report.resumed_from = resumed_from;
    report.fingerprint = stored.fingerprint()?;
    report.seconds = start.elapsed().as_secs_f64();
    write(&args.output.path, target, &stored, notes(&report), args.hz).map_err(|e| {
        let part = part_of(&args.output.path);
        e.next(format!("the episodes are in {}; the same command goes on from there", part.display()))
    })?;
    stored.remove()?;
    let exit_code = if report.interrupted { 130 } else { 0 };
    let done = Done { exit_code, ..Done::new(&report, print::collect(&report)) };
    Ok(done.failed_if(report.failed > 0))
}

/// A line that says everything the episodes depend on, except how many there are.
fn identity(args: &CollectArgs, spec: &Spec, actor: Option<&Actor>, first_seed: u64) -> String {
    serde_json::json!({
        "kind": "collect",
        "task": spec.name,
        "reward": args.episodes.rollouts.settings.reward,
        "actor": actor.map(Actor::fingerprint),
        "noise": args.noise.to_string(),
        "first_seed": first_seed,
    })
    .to_string()
}

/// Opens the file of finished episodes beside an output; `--force` begins a new one.
///
/// # Errors
/// If it is of another recording, or cannot be written.
pub fn open_part(output: &Output, identity: &str, spec: &Spec, episodes: usize) -> Result<StoredEpisodes> {
    if output.path.exists() && !output.path.is_file() && !output.path.is_dir() {
        return Err(Error::new(Kind::File, "recordings are written to files, not to pipes or devices")
            .at(output.path.display().to_string()));
    }
    if let Some([height, width]) = spec.frame
        && spec.n_obs != height * width * 3
    {
        return Err(Error::new(
            Kind::Settings,
            "a task with frames and a state, which recordings here do not have together",
        )
        .at(format!("task {}", spec.name))
        .expected("a task whose observation is a frame or a state")
        .next("record it as a LeRobot dataset or a zarr replay buffer, and embed that with `mcnn embed --with-state`"));
    }
    let part = part_of(&output.path);
    if output.force && part.exists() {
        std::fs::remove_file(&part).map_err(|e| Error::io("removing", &part, &e))?;
    }
    let mut stored = StoredEpisodes::open(&part, identity, spec.frame)?;
    stored.truncate(episodes);
    Ok(stored)
}

/// Records the episodes that are not stored yet, until `stop` is set. Returns them with the ones that failed.
pub fn record(
    (act, who): (&dyn Act, Demonstrator),
    task: &dyn Task,
    run: &Run,
    doing: &str,
    stored: StoredEpisodes,
    stop: &AtomicBool,
) -> std::result::Result<(StoredEpisodes, Vec<Episode>), (StoredEpisodes, Error)> {
    let spec = task.spec();
    let missing: Vec<bool> = (0..run.episodes).map(|i| !stored.contains(i)).collect();
    let count = missing.iter().filter(|missing| **missing).count();
    if count == 0 {
        return Ok((stored, Vec::new()));
    }
    let progress = progress_of(doing, count);
    let shared = Mutex::new((stored, Vec::new(), Ok(())));
    let keep = |number: usize, one: Collected| {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (stored, failed, written) = &mut *shared;
        one.episodes.iter().chain(&one.failed).for_each(&progress);
        match store(stored, number, one, spec) {
            Ok(None) => {}
            Ok(Some(episode)) => failed.push((number, episode)),
            Err(error) => *written = Err(error),
        }
        written.is_ok() && !stop.load(Ordering::Relaxed)
    };
    let recorded = record_each(act, task, run, who, &|i| missing[i], &keep);
    let (stored, mut failed, written) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    match recorded.and(written) {
        Ok(()) => {
            failed.sort_by_key(|(number, _)| *number);
            Ok((stored, failed.into_iter().map(|(_, episode)| episode).collect()))
        }
        Err(error) => Err((stored, error)),
    }
}

/// Stores an episode. Returns it if it failed, or if its steps are not valid demonstrations.
fn store(
    stored: &mut StoredEpisodes,
    number: usize,
    mut one: Collected,
    spec: &Spec,
) -> Result<Option<Episode>> {
    let Some(mut episode) = one.episodes.pop() else { return Ok(one.failed.pop()) };
    let result = EpisodeResult {
        number,
        seed: episode.seed,
        success: episode.success,
        terminal: episode.terminal,
        ret: episode.ret,
    };
    let steps = StoredSteps {
        parts: Parts {
            n_obs: spec.n_obs,
            n_act: spec.n_act,
            states: one.states,
            actions: one.actions,
            rewards: Some(one.rewards),
            ends: one.ends,
        },
        frames: one.frames,
        qpos: one.qpos,
        qvel: one.qvel,
        intended: one.intended,
    };
    match stored.append(result, steps) {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == Kind::Data => {
            episode.error = Some(error);
            Ok(Some(episode))
        }
        Err(error) => Err(error),
    }
}

/// Removes the file of finished episodes if there are none.
pub fn remove_if_empty(stored: StoredEpisodes) {
    if stored.episodes().next().is_none() {
        let _ = stored.remove(); // the error that is returned says more
    }
}

/// The format that is written: by the name of the output, D4RL's HDF5 for an ending that says none. Without an ending it is LeRobot's only
/// where a rate or a slash says so, because a plain name has always been an HDF5 file.
///
/// # Errors
/// LeRobot's without a frame rate.
fn target(args: &CollectArgs) -> Result<Target> {
    let is_plain = args.hz.is_none() && !args.output.path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let target = match Target::of(&args.output.path) {
        Err(_) => Target::D4rl,
        Ok(Target::LeRobot) if is_plain => Target::D4rl,
        Ok(target) => target,
    };
    match (target, args.hz) {
        (Target::LeRobot | Target::Columns, Some(hz)) if hz.is_finite() && hz > 0.0 => Ok(target),
        (Target::LeRobot, hz) => Err(Error::new(Kind::Settings, "LeRobot's format needs the frame rate")
            .at(args.output.path.display().to_string())
            .expected("--hz RATE, above 0, in steps per second")
            .found(hz.map_or("none".into(), |hz| hz.to_string()))
            .next("give --hz, or a name that ends in .hdf5 or .npz")),
        (_, Some(_)) => Err(Error::new(Kind::Settings, "the output has no place for a frame rate")
            .at("--hz")
            .next("leave the option out (it is to be above 0), or give an output without an ending, or one that ends in .mcnn")),
        _ => Ok(target),
    }
}

/// Writes the recording.
fn write(
    path: &Path,
    target: Target,
    stored: &StoredEpisodes,
    notes: Vec<(&'static str, String)>,
    hz: Option<f64>,
) -> Result<()> {
    let task = notes.first().map_or("", |(_, task)| task).to_owned();
    match target {
        Target::Npz => stored.write_npz(path),
        Target::D4rl => stored.write_hdf5(path, notes),
        Target::LeRobot => stored.write_lerobot(path, hz.unwrap_or_default(), &task),
        Target::Columns => stored.write_columns(path, hz, &task),
    }
}

/// The report, without `failed`, `first_failure`, `resumed_from`, `interrupted`, `seconds` and `fingerprint`.
fn report(
    args: &CollectArgs,
    stored: &StoredEpisodes,
    spec: &Spec,
    actor: Option<&Actor>,
    first: u64,
) -> CollectReport {
    let returns: Vec<f64> = stored.episodes().map(StoredEpisode::ret).collect();
    let mean_return = mean(&returns);
    let requested = u64::from(args.episodes.rollouts.episodes);
    CollectReport {
        task: spec.name.clone(),
        file: args.output.path.display().to_string(),
        actor: actor.map_or("scripted expert".into(), Actor::name),
        policy: actor.map(Actor::fingerprint),
        noise: args.noise.to_string(),
        episodes: returns.len(),
        steps: stored.episodes().map(|e| e.steps).sum(),
        successes: stored.episodes().map(|e| e.success.map(usize::from)).sum(),
        mean_return,
        score: spec.reference.map(|[random, expert]| 100.0 * (mean_return - random) / (expert - random)),
        seeds: [first, first.wrapping_add(requested - 1)],
        failed: 0,
        first_failure: None,
        resumed_from: 0,
        interrupted: false,
        seconds: 0.0,
        fingerprint: String::new(),
    }
}

/// The metadata written beside the demonstrations.
fn notes(report: &CollectReport) -> Vec<(&'static str, String)> {
    vec![
        ("task", report.task.clone()),
        ("actor", report.actor.clone()),
        ("policy", report.policy.clone().unwrap_or_default()),
        ("noise", report.noise.clone()),
        ("writer", concat!("mcnn ", env!("CARGO_PKG_VERSION")).into()),
    ]
}

/// The simulator states, intended actions, seeds and notes that a file in D4RL's layout has beside the demonstrations.
pub fn metadata(all: Collected, notes: Vec<(&'static str, String)>) -> Recording {
    let n_act = all.intended.len() / all.episodes.iter().map(|e| e.length).sum::<usize>().max(1);
    let tables = [("qpos", all.qpos), ("qvel", all.qvel), ("action_mean", (n_act, all.intended))];
    Recording {
        terminals: all.episodes.iter().map(|e| e.terminal).collect(),
        infos: tables
            .into_iter()
            .filter(|(_, (width, _))| *width > 0)
            .map(|(n, (w, rows))| (n, w, rows))
            .collect(),
        episodes: all.episodes.iter().map(|e| (e.seed, e.success)).collect(),
        names: DimensionNames::default(),
        notes,
    }
}
