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

use super::{Done, check_output, collect::recorded};
use crate::{args::MakeArgs, print};

/// What was made.
#[derive(Serialize)]
pub struct Made {
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
    check_output(&args.output)?;
    let (path, episodes) = (&args.output.path, args.episodes as usize);
    let (n, steps, successes, fingerprint) = if args.task == "drive" {
        let (data, successes) = laps(episodes, args.noise, args.seed)?;
        write_npz(path, &data)?;
        (data.n_episodes(), data.n_steps(), successes, data.fingerprint())
    } else {
        let film = film(episodes, args.noise, args.seed)?;
        match path.extension() {
            Some(ending) if ending == "npz" => film.footage.write_npz(path)?,
            _ => film.footage.write_hdf5(path, &film.recording)?,
        }
        let footage = &film.footage;
        (footage.labels().ends.len(), footage.n_steps(), film.successes, footage.fingerprint())
    };
    let report = Made {
        task: args.task.clone(),
        file: path.display().to_string(),
        episodes: n,
        steps,
        successes,
        noise: args.noise,
        seed: args.seed,
        fingerprint,
    };
    Ok(Done::new(&report, print::made(&report)))
}

/// Share of the noise carried over from one step to the next: it pushes the car somewhere, and does not just shake it.
const CARRIED: f64 = 0.5;

/// Episodes of `drive` by its expert, and how many of them succeeded.
pub fn laps(episodes: usize, noise: f64, seed: u64) -> Result<(Demonstrations, usize)> {
    let mut all = driven(&Drive::new(), episodes, noise, seed)?;
    let parts = parts(Drive::new().spec(), &mut all);
    Ok((Demonstrations::new(parts, ActionRange::Refuse)?, successes(&all)))
}

/// Episodes of `drive-pixels`.
pub struct Film {
    pub footage: FrameDemonstrations,
    pub recording: Recording,
    pub successes: usize,
}

/// Episodes of `drive-pixels` by its expert: the same as of `drive`, in frames.
pub fn film(episodes: usize, noise: f64, seed: u64) -> Result<Film> {
    let task = DrivePixels::new();
    let mut all = driven(&task, episodes, noise, seed)?;
    let frames = std::mem::take(&mut all.frames);
    let footage = FrameDemonstrations::new(parts(task.spec(), &mut all), [SIDE; 2], frames)?;
    let successes = successes(&all);
    let notes = vec![("task", task.spec().name.clone()), ("noise", noise.to_string())];
    Ok(Film { footage, recording: recorded(all, notes), successes })
}

fn driven(task: &dyn Task, episodes: usize, noise: f64, seed: u64) -> Result<Collected> {
    if !(0.0..=1.0).contains(&noise) {
        return Err(Error::new(Kind::Settings, "a noise out of range")
            .at("--noise")
            .expected("a deviation of 0 to 1, in units of the action")
            .found(noise.to_string()));
    }
    let own = TaskExpert { n_act: task.spec().n_act };
    let expert = Noisy::new(own, Noise::Correlated { std: noise, kept: CARRIED }, None)?;
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
