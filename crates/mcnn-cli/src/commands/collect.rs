//! `mcnn collect`.

use std::{sync::atomic::Ordering, time::Instant};

use mcnn::{
    Error, Result,
    act::Act,
    data::{
        ActionRange, Demonstrations, DimensionNames, FrameDemonstrations, Parts, Recording, write_hdf5,
        write_npz,
    },
    error::Kind,
    eval::{Collected, Episode, Run, collect, demonstrate, stats::mean},
    expert::{Noise, Noisy, TaskExpert},
    task::Spec,
    vision::EncodedPolicy,
};
use serde::Serialize;

use super::{
    Done, claim_output,
    eval::{first_failure, progress_of},
};
use crate::{
    actor::Actor,
    args::{COLLECTION, CollectArgs},
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
    /// Whether Ctrl-C ended the recording; the file has the episodes that were complete.
    pub interrupted: bool,
    pub seconds: f64,
    /// Fingerprint of the demonstrations.
    pub fingerprint: String,
}

pub fn run(args: &CollectArgs) -> Result<Done> {
    let _claim = claim_output(&args.output)?;
    let actor = args.actor.as_deref().map(Actor::read).transpose()?;
    let task = tasks::named(&args.episodes.task, args.episodes.rollouts.reward)?;
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
    let first_seed = args.episodes.rollouts.seed.unwrap_or(COLLECTION);
    let run = Run { first_seed, ..args.episodes.rollouts.run()? };
    let flag = interrupt::flag();
    let start = Instant::now();
    let progress = progress_of("collecting", run.episodes);
    let each = |episode: &Episode| {
        progress(episode);
        !flag.load(Ordering::Relaxed)
    };
    let mut all = match actor {
        Some(_) => collect(act, task.as_ref(), &run, &each)?,
        None => demonstrate(act, task.as_ref(), &run, &each)?,
    };
    drop(progress);
    let first_failure = first_failure(&all.failed);
    if all.episodes.is_empty() {
        return Err(Error::new(Kind::Task, "no episode was completed, so there is nothing to write")
            .found(first_failure.unwrap_or_else(|| "Ctrl-C before the end of the first".into())));
    }
    let parts = Parts {
        n_obs: task.spec().n_obs,
        n_act: task.spec().n_act,
        states: std::mem::take(&mut all.states),
        actions: std::mem::take(&mut all.actions),
        rewards: Some(std::mem::take(&mut all.rewards)),
        ends: std::mem::take(&mut all.ends),
    };
    let frames = std::mem::take(&mut all.frames);
    let mut report = report(args, &all, task.spec(), actor.as_ref(), first_seed);
    report.steps = parts.actions.len() / parts.n_act;
    report.first_failure = first_failure;
    report.seconds = start.elapsed().as_secs_f64();
    let recording = recording(&report, all);
    let (path, npz) = (&args.output.path, args.output.path.extension().is_some_and(|e| e == "npz"));
    // The constructors check the data and compute the fingerprint that a reader of the file will compute.
    match task.spec().frame {
        Some(size) => {
            let footage = FrameDemonstrations::new(parts, size, frames)?;
            report.fingerprint = footage.fingerprint();
            if npz { footage.write_npz(path)? } else { footage.write_hdf5(path, &recording)? }
        }
        None => {
            let data = Demonstrations::new(parts, ActionRange::Refuse)?;
            report.fingerprint = data.fingerprint();
            if npz { write_npz(path, &data)? } else { write_hdf5(path, &data.into(), &recording)? }
        }
    }
    let exit_code = if report.interrupted { 130 } else { 0 };
    let done = Done { exit_code, ..Done::new(&report, print::collect(&report)) };
    Ok(done.failed_if(report.failed > 0))
}

/// The report, without `steps`, `first_failure`, `seconds` and `fingerprint`.
fn report(
    args: &CollectArgs,
    all: &Collected,
    spec: &Spec,
    actor: Option<&Actor>,
    first: u64,
) -> CollectReport {
    let returns: Vec<f64> = all.episodes.iter().map(|e| e.ret).collect();
    let mean_return = mean(&returns);
    let requested = args.episodes.rollouts.episodes as usize;
    CollectReport {
        task: spec.name.clone(),
        file: args.output.path.display().to_string(),
        actor: actor.map_or("scripted expert".into(), Actor::name),
        policy: actor.map(Actor::fingerprint),
        noise: args.noise.to_string(),
        episodes: all.episodes.len(),
        steps: 0,
        successes: all.episodes.iter().map(|e| e.success.map(usize::from)).sum(),
        mean_return,
        score: spec.reference.map(|[random, expert]| 100.0 * (mean_return - random) / (expert - random)),
        seeds: [first, first.wrapping_add(requested as u64 - 1)],
        failed: all.failed.len(),
        first_failure: None,
        interrupted: all.episodes.len() + all.failed.len() < requested,
        seconds: 0.0,
        fingerprint: String::new(),
    }
}

/// The metadata written beside the demonstrations.
fn recording(report: &CollectReport, all: Collected) -> Recording {
    let notes = [
        ("task", report.task.clone()),
        ("actor", report.actor.clone()),
        ("policy", report.policy.clone().unwrap_or_default()),
        ("noise", report.noise.clone()),
        ("writer", concat!("mcnn ", env!("CARGO_PKG_VERSION")).into()),
    ];
    metadata(all, notes.to_vec())
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
