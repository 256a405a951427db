//! `mcnn make`.

use mcnn::{
    Error, Result,
    data::{ActionRange, Demonstrations, FrameDemonstrations, Parts, Recording, write_npz},
    error::Kind,
    eval::{Collected, Run, demonstrate},
    expert::{Noise, Noisy, TaskExpert},
    task::{
        Spec, Task,
        drive::{Drive, DrivePixels, SIDE},
    },
};
use serde::Serialize;

use super::{Done, claim_output, collect::metadata};
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
    let (path, episodes) = (&args.output.path, args.episodes as usize);
    let (n, steps, successes, fingerprint) = if args.task == "drive" {
        let (data, successes) = laps(episodes, args.noise, args.seed)?;
        write_npz(path, &data)?;
        (data.n_episodes(), data.n_steps(), successes, data.fingerprint())
    } else {
        let laps = pixel_laps(episodes, args.noise, args.seed)?;
        match path.extension() {
            Some(ending) if ending == "npz" => laps.frames.write_npz(path)?,
            _ => laps.frames.write_hdf5(path, &laps.recording)?,
        }
        let frames = &laps.frames;
        (frames.labels().ends.len(), frames.n_steps(), laps.successes, frames.fingerprint())
    };
    let report = MakeReport {
        task: args.task.clone(),
        file: path.display().to_string(),
        episodes: n,
        steps,
        successes,
        noise: args.noise,
        seed: args.seed,
        fingerprint,
    };
    Ok(Done::new(&report, print::make(&report)))
}

/// Correlation of the noise from one step to the next. Correlated noise drives the car off its course; white noise averages out.
const NOISE_CORRELATION: f64 = 0.5;

/// Generates episodes of `drive` by its scripted expert. Returns them and the number of successes.
pub fn laps(episodes: usize, noise: f64, seed: u64) -> Result<(Demonstrations, usize)> {
    let mut all = rollouts(&Drive::new(), episodes, noise, seed)?;
    let parts = parts(Drive::new().spec(), &mut all);
    Ok((Demonstrations::new(parts, ActionRange::Refuse)?, successes(&all)))
}

/// Episodes of `drive-pixels`.
pub struct PixelLaps {
    pub frames: FrameDemonstrations,
    pub recording: Recording,
    pub successes: usize,
}

/// Generates episodes of `drive-pixels` by its scripted expert: the same episodes as of `drive`, as frames.
pub fn pixel_laps(episodes: usize, noise: f64, seed: u64) -> Result<PixelLaps> {
    let task = DrivePixels::new();
    let mut all = rollouts(&task, episodes, noise, seed)?;
    let pixels = std::mem::take(&mut all.frames);
    let frames = FrameDemonstrations::new(parts(task.spec(), &mut all), [SIDE; 2], pixels)?;
    let successes = successes(&all);
    let notes = vec![("task", task.spec().name.clone()), ("noise", noise.to_string())];
    Ok(PixelLaps { frames, recording: metadata(all, notes), successes })
}

fn rollouts(task: &dyn Task, episodes: usize, noise: f64, seed: u64) -> Result<Collected> {
    if !(0.0..=1.0).contains(&noise) {
        return Err(Error::new(Kind::Settings, "noise out of range")
            .at("--noise")
            .expected("a standard deviation of 0 to 1, in units of the action")
            .found(noise.to_string()));
    }
    let own = TaskExpert { n_act: task.spec().n_act };
    let expert = Noisy::new(own, Noise::Correlated { std: noise, kept: NOISE_CORRELATION }, None)?;
    let run = Run { episodes, first_seed: seed, threads: 1, environments_per_worker: 1, trace: false };
    demonstrate(&expert, task, &run, &|_| true)
}

fn parts(spec: &Spec, all: &mut Collected) -> Parts {
    Parts {
        n_obs: spec.n_obs,
        n_act: spec.n_act,
        states: std::mem::take(&mut all.states),
        actions: std::mem::take(&mut all.actions),
        rewards: Some(std::mem::take(&mut all.rewards)),
        ends: std::mem::take(&mut all.ends),
    }
}

fn successes(all: &Collected) -> usize {
    all.episodes.iter().filter(|e| e.success == Some(true)).count()
}
