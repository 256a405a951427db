//! `mcnn make`.

use mcnn::{
    Error, Result,
    data::{ActionRange, Demonstrations, Parts, write_npz},
    error::Kind,
    eval::{Run, collect},
    expert::{Noise, Noisy},
    task::drive::{Drive, Expert},
};
use serde::Serialize;

use super::{Done, check_output};
use crate::{args::MakeArgs, print};

/// What was made.
#[derive(Serialize)]
pub struct Made {
    pub task: &'static str,
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
    let (data, successes) = laps(args.episodes as usize, args.noise, args.seed)?;
    write_npz(&args.output.path, &data)?;
    let report = Made {
        task: "drive",
        file: args.output.path.display().to_string(),
        episodes: data.n_episodes(),
        steps: data.n_steps(),
        successes,
        noise: args.noise,
        seed: args.seed,
        fingerprint: data.fingerprint(),
    };
    Ok(Done::new(&report, print::made(&report)))
}

/// Share of the noise carried over from one step to the next: it pushes the car somewhere, and does not just shake it.
const CARRIED: f64 = 0.5;

/// Episodes of `drive` by its expert, and how many of them succeeded.
pub fn laps(episodes: usize, noise: f64, seed: u64) -> Result<(Demonstrations, usize)> {
    if !(0.0..=1.0).contains(&noise) {
        return Err(Error::new(Kind::Settings, "a noise out of range")
            .at("--noise")
            .expected("a deviation of 0 to 1, in units of the action")
            .found(noise.to_string()));
    }
    let expert = Noisy::new(Expert, Noise::Correlated { std: noise, kept: CARRIED }, None)?;
    let task = Drive::new();
    let run = Run { episodes, first_seed: seed, threads: 1, lanes: 1, trace: false };
    let all = collect(&expert, &task, &run, &|_| true)?;
    let spec = mcnn::task::Task::spec(&task);
    let parts = Parts {
        n_obs: spec.n_obs,
        n_act: spec.n_act,
        states: all.states,
        actions: all.actions,
        rewards: Some(all.rewards),
        ends: all.ends,
    };
    let successes = all.episodes.iter().filter(|e| e.success == Some(true)).count();
    Ok((Demonstrations::new(parts, ActionRange::Refuse)?, successes))
}
