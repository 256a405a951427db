//! `mcnn make`: demonstrations of the built-in task by its scripted expert.

use std::sync::atomic::AtomicBool;

use mcnn::{
    Error, Result,
    act::Act,
    data::{ActionRange, Demonstrations, FrameDemonstrations, Parts, Recording},
    error::Kind,
    eval::{Collected, Demonstrator, Run, demonstrate},
    expert::{Noise, Noisy, TaskExpert},
    task::{
        Spec, Task,
        drive::{Drive, DrivePixels, SIDE},
    },
};
use serde::Serialize;

use super::{
    Done, claim_output,
    collect::{metadata, open_part, record, remove_if_empty},
    eval::first_failure,
};
use crate::{args::MakeArgs, print};

/// The demonstrations generated.
#[derive(Serialize)]
pub struct MakeReport {
    pub task: String,
    pub file: String,
    pub episodes: usize,
    pub steps: usize,
    pub successes: usize,
    pub noise: f64,
    pub seed: u64,
    pub fingerprint: String,
}

pub fn run(args: &MakeArgs) -> Result<Done> {
    let _claim = claim_output(&args.output)?;
    let task: &dyn Task = if args.task == "drive" { &Drive::new() } else { &DrivePixels::new() };
    let expert = expert(task, args.noise)?;
    let run = rollouts(args.episodes as usize, args.seed);
    let path = &args.output.path;
    let identity = serde_json::json!({
        "kind": "make", "task": args.task, "noise": args.noise, "first_seed": args.seed,
    });
    let stored = open_part(&args.output, &identity.to_string(), task.spec(), run.episodes)?;
    let not_stopped = AtomicBool::new(false);
    let who = (&expert as &dyn Act, Demonstrator::TaskExpert);
    let recorded = record(who, task, &run, "generating", stored, &not_stopped);
    let (stored, failed) = recorded.map_err(|(stored, error)| {
        remove_if_empty(stored);
        error
    })?;
    if let Some(failure) = first_failure(&failed) {
        return Err(Error::new(Kind::Task, "an episode failed").found(failure));
    }
    let report = MakeReport {
        task: args.task.clone(),
        file: path.display().to_string(),
        episodes: stored.episodes().count(),
        steps: stored.episodes().map(|e| e.steps).sum(),
        successes: stored.episodes().filter(|e| e.success == Some(true)).count(),
        noise: args.noise,
        seed: args.seed,
        fingerprint: stored.fingerprint()?,
    };
    match task.spec().frame.is_some() && path.extension().is_none_or(|ending| ending != "npz") {
        true => stored.write_hdf5(path, notes(task, args.noise))?,
        false => stored.write_npz(path)?,
    }
    stored.remove()?;
    Ok(Done::new(&report, print::make(&report)))
}

/// Correlation of the noise from one step to the next. Correlated noise drives the car off its course; white noise averages out.
const NOISE_CORRELATION: f64 = 0.5;

/// Generates episodes of `drive` by its scripted expert. Returns them and the number of successes.
pub fn laps(episodes: usize, noise: f64, seed: u64) -> Result<(Demonstrations, usize)> {
    let task = Drive::new();
    let mut all = demonstrate(&expert(&task, noise)?, &task, &rollouts(episodes, seed), &|_| true)?;
    let parts = parts(task.spec(), &mut all);
    Ok((Demonstrations::new(parts, ActionRange::Refuse)?, successes(&all)))
}

/// Episodes of `drive-pixels`.
pub struct PixelLaps {
    pub frames: FrameDemonstrations,
    pub recording: Recording,
}

/// Generates episodes of `drive-pixels` by its scripted expert: the same episodes as of `drive`, as frames.
pub fn pixel_laps(episodes: usize, noise: f64, seed: u64) -> Result<PixelLaps> {
    let task = DrivePixels::new();
    let mut all = demonstrate(&expert(&task, noise)?, &task, &rollouts(episodes, seed), &|_| true)?;
    let pixels = std::mem::take(&mut all.frames);
    let frames = FrameDemonstrations::new(parts(task.spec(), &mut all), [SIDE; 2], pixels)?;
    Ok(PixelLaps { frames, recording: metadata(all, notes(&task, noise)) })
}

/// The metadata written beside frames.
fn notes(task: &dyn Task, noise: f64) -> Vec<(&'static str, String)> {
    vec![("task", task.spec().name.clone()), ("noise", noise.to_string())]
}

/// The task's scripted expert with noise on its actions.
fn expert(task: &dyn Task, noise: f64) -> Result<Noisy<TaskExpert>> {
    if !(0.0..=1.0).contains(&noise) {
        return Err(Error::new(Kind::Settings, "noise out of range")
            .at("--noise")
            .expected("a standard deviation of 0 to 1, in units of the action")
            .found(noise.to_string()));
    }
    let own = TaskExpert { n_act: task.spec().n_act };
    Noisy::new(own, Noise::Correlated { std: noise, kept: NOISE_CORRELATION }, None)
}

fn rollouts(episodes: usize, seed: u64) -> Run {
    Run { episodes, first_seed: seed, threads: 1, environments_per_worker: 1, trace: false }
}

/// Moves the steps out of the collected episodes.
fn parts(spec: &Spec, collected: &mut Collected) -> Parts {
    Parts {
        n_obs: spec.n_obs,
        n_act: spec.n_act,
        states: std::mem::take(&mut collected.states),
        actions: std::mem::take(&mut collected.actions),
        rewards: Some(std::mem::take(&mut collected.rewards)),
        ends: std::mem::take(&mut collected.ends),
    }
}

fn successes(collected: &Collected) -> usize {
    collected.episodes.iter().filter(|e| e.success == Some(true)).count()
}
