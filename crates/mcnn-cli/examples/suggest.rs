//! How much suggested demonstrations improve a policy, compared with random ones. `bench/suggest.sh` runs it;
//! docs/book/src/studies/suggest.md has the method and the results.
//!
//!     suggest drive SEEDS PICTURE.svg             learning curves on the built-in task
//!     suggest pen SEEDS PICTURE.svg DATA.hdf5     the same on Adroit's pen (--features adroit)
//!     suggest visited SEEDS                       laps that start in states visited by a policy
//!
//! SEEDS is FROM..TO, the last not included.

#[path = "suggest/curves.rs"]
mod curves;
#[path = "suggest/picture.rs"]
mod picture;
#[path = "suggest/visited.rs"]
mod visited;

use mcnn::{
    Result,
    act::Act,
    data::{ActionRange, Demonstrations, Parts},
    eval::{Run, collect, rollout, stats},
    expert::{Noise, Noisy},
    memory::Codebook,
    policy::Policy,
    seed::Seed,
    task::{
        Task,
        drive::{Drive, Expert, N_ACT, N_OBS},
    },
    train::{self, Lambda, TrainSettings},
};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let seeds = |text: &str| {
        let (from, to) = text.split_once("..").expect("seeds, FROM..TO");
        from.parse().expect("a seed")..to.parse().expect("a seed")
    };
    match args[..] {
        ["drive", n, picture] => curves::drive(seeds(n), picture.as_ref()),
        ["pen", n, picture, data] => curves::pen(seeds(n), picture.as_ref(), data.as_ref()),
        ["visited", n] => visited::visited(seeds(n)),
        _ => panic!("suggest drive SEEDS PICTURE | suggest pen SEEDS PICTURE DATA | suggest visited SEEDS"),
    }
}

/// Demonstrations by the expert of drive, with noise of correlation 0.5, as `mcnn make --noise` adds it.
fn laps(episodes: usize, first_seed: u64, noise: f64) -> Result<Demonstrations> {
    let expert = Noisy::new(Expert, Noise::Correlated { std: noise, kept: 0.5 }, None)?;
    record(&expert, episodes, first_seed)
}

/// Episodes of drive as demonstrations.
fn record(act: &dyn Act, episodes: usize, first_seed: u64) -> Result<Demonstrations> {
    let run = Run { episodes, first_seed, threads: 1, environments_per_worker: 1, trace: false };
    let all = collect(act, &Drive::new(), &run, &|_| true)?;
    let (states, actions, ends) = (all.states, all.actions, all.ends);
    let parts = Parts { n_obs: N_OBS, n_act: N_ACT, states, actions, rewards: None, ends };
    Demonstrations::new(parts, ActionRange::Refuse)
}

fn train(data: &Demonstrations, book: Codebook, lambda: Lambda, seed: u64) -> Result<Policy> {
    let steps = if lambda == Lambda::Value(0.0) { 1 } else { 6000 };
    let settings =
        TrainSettings { steps, lambda, validation_fraction: 0.0, seed: Seed(seed), ..Default::default() };
    let mut run = train::Run::new(data, book, settings)?;
    while run.step().is_some() {}
    Ok(run.policy())
}

/// Evaluates a policy: the mean normalized score (0 for random actions, 100 for the expert) and the success rate in percent.
fn score(act: &dyn Act, task: &dyn Task, first_seed: u64, episodes: usize) -> Result<[f64; 2]> {
    let run = Run { episodes, first_seed, threads: 2, environments_per_worker: 1, trace: false };
    let all = rollout(act, task, &run, &|_| ())?;
    assert!(all.iter().all(|e| e.error.is_none()), "an episode failed");
    let [random, expert] = task.spec().reference.expect("a task with reference scores");
    let returns: Vec<f64> = all.iter().map(|e| e.ret).collect();
    let successes = all.iter().filter(|e| e.success == Some(true)).count();
    Ok([
        100.0 * (stats::mean(&returns) - random) / (expert - random),
        100.0 * successes as f64 / episodes as f64,
    ])
}

/// A mean with its 95 % interval over seeds.
fn cell(m: stats::Estimate) -> String {
    let digits = if m.mean.abs() < 10.0 { 2 } else { 1 };
    format!("{:.digits$} ({:.digits$} to {:.digits$})", m.mean, m.low, m.high)
}
