//! Timings for bench/policy.py: fixed-size gas, training steps and single actions. Prints one line of JSON.
//!
//! `bench_policy gas STATES.f32 DIM MEMORIES` trains the authors' form of the gas on rows of f32.
//! `bench_policy step mlp|diffusion|bet|unet|resmlp|retrieval THREADS STEPS` trains the default network on random states of
//! dimension 45 and actions of dimension 24.
//! `bench_policy act MEMORIES DIM ACTIONS STEPS mlp|diffusion|bet|unet|resmlp|retrieval` acts along a random walk with the default
//! network; the times of unet and resmlp are those of the steps in which it predicts a chunk. `mlp*5` is an ensemble of five networks.
//! `bench_policy file POLICY.safetensors ROWS.f32` acts once on every row, in one episode.
//! `bench_policy read FILE` reads demonstrations.
//! `bench_policy latency ...`, with the same arguments, has the times of all steps but the first.

mod support;

use std::{path::Path, time::Instant};

use mcnn::{
    act::Act as _,
    backbone::{Architecture, BackboneKind},
    data::{ActionRange, Demonstrations, Parts},
    memory::{Amount, Gas, GasSettings, LearnSettings, SelectionMethod, learn},
    seed::Seed,
    train::{Lambda, Run, TrainSettings},
};

fn main() -> mcnn::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |k: usize| args[k].parse::<usize>().expect("a whole number");
    match args[0].as_str() {
        "gas" => gas(&args[1], number(2), number(3)),
        work @ ("act" | "latency") => {
            let sizes = [number(1), number(2), number(3), number(4)];
            act(sizes, architecture(&args[5]), work == "latency")?;
        }
        "step" => step(&args[1], number(2), number(3))?,
        "file" => of_file(args[1].as_ref(), &args[2])?,
        "read" => read_file(args[1].as_ref())?,
        other => panic!("gas, act, latency, step, file or read, not {other:?}"),
    }
    Ok(())
}

/// A backbone and the number of networks.
fn architecture(text: &str) -> (Architecture, usize) {
    let (name, members) = text.split_once('*').unwrap_or((text, "1"));
    let kind = BackboneKind::named(name);
    let kind = kind.unwrap_or_else(|| panic!("mlp, diffusion, bet, unet, resmlp or retrieval, not {name:?}"));
    (kind.default_settings(), members.parse().expect("a number of networks"))
}

/// The mean time of a training step after a tenth of them as warm-up, on `threads` threads of rayon.
fn step(name: &str, threads: usize, steps: usize) -> mcnn::Result<()> {
    let (backbone, members) = architecture(name);
    let mut rng = Seed(3).rng();
    let n = 4000;
    let states: Vec<f32> = (0..n * 45).map(|_| rng.normal() as f32).collect();
    let actions = (0..n * 24).map(|_| rng.between(-1.0, 1.0) as f32).collect();
    let parts = Parts {
        n_obs: 45,
        n_act: 24,
        states,
        actions,
        rewards: None,
        ends: (1..=n / 200).map(|k| 200 * k).collect(),
    };
    let data = Demonstrations::new(parts, ActionRange::Refuse)?;
    let book = learn(
        &data,
        &LearnSettings {
            amount: Amount::Count(400),
            selection: SelectionMethod::Random,
            ..Default::default()
        },
    )?
    .codebook;
    let defaults = backbone.optimizer_defaults();
    let settings = TrainSettings {
        hidden: backbone.default_hidden(),
        backbone,
        lambda: Lambda::Value(0.1),
        members,
        steps: steps as u64,
        batch: defaults.batch,
        optimizer: defaults.optimizer,
        validation_fraction: 0.0,
        ..Default::default()
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| {
        let mut run = Run::new(&data, book, settings)?;
        let warm = steps as u64 / 10;
        while run.steps_taken() < warm {
            run.steps(warm - run.steps_taken());
        }
        let start = Instant::now();
        while run.steps(u64::MAX).is_some() {}
        println!("{{\"ms\":{}}}", start.elapsed().as_secs_f64() * 1e3 / (steps as u64 - warm) as f64);
        Ok(())
    })
}

fn gas(path: &str, dim: usize, memories: usize) {
    let rows = floats(path);
    let start = Instant::now();
    let mut gas = Gas::new(&rows, dim, GasSettings::fixed(memories, 1), &mut Seed(0).rng());
    gas.train(&rows, Seed(1));
    let seconds = start.elapsed().as_secs_f64();
    // The mean distance from a row to its nearest node measures the quality of the result.
    let table = nearest::Table::from_rows(gas.nodes(), dim);
    let hits = table.nearest_many(&rows, 2);
    let distance = hits.iter().map(|h| f64::from(h.d2.sqrt())).sum::<f64>() / hits.len() as f64;
    let (nodes, [_, most]) = (gas.len(), support::memory());
    println!(
        "{{\"seconds\":{seconds},\"nodes\":{nodes},\"mean_distance\":{distance},\"most_memory\":{most}}}"
    );
}

/// Acts with a policy from a file: the mean microseconds of an action, and the sum of all actions.
fn of_file(policy: &Path, rows: &str) -> mcnn::Result<()> {
    let (policy, _) = mcnn::file::read_policy(policy)?;
    let rows = floats(rows);
    let mut session = policy.session();
    let mut action = vec![0.0; policy.n_act()];
    let mut check = 0.0_f64;
    let start = Instant::now();
    for row in rows.chunks_exact(policy.n_obs()) {
        session.act(row, &mut action)?;
        check += action.iter().map(|&a| f64::from(a)).sum::<f64>();
    }
    let us = start.elapsed().as_secs_f64() * 1e6 * policy.n_obs() as f64 / rows.len() as f64;
    println!("{{\"us\":{us},\"check\":{check}}}");
    Ok(())
}

fn read_file(path: &Path) -> mcnn::Result<()> {
    let start = Instant::now();
    let data = mcnn::data::read(path, &mcnn::data::ReadOptions::default())?;
    println!("{{\"seconds\":{},\"steps\":{}}}", start.elapsed().as_secs_f64(), data.n_steps());
    Ok(())
}

/// The values of a file of f32.
fn floats(path: &str) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("the rows");
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// The times of single actions. `all`: of every step but the first; else of those that predict.
fn act(
    [memories, n_obs, n_act, steps]: [usize; 4],
    (backbone, members): (Architecture, usize),
    all: bool,
) -> mcnn::Result<()> {
    let mut rng = Seed(3).rng();
    // As many states as memories, in episodes of 200 steps of a random walk: neighbors in time are near.
    let mut at = vec![0.0_f64; n_obs];
    let mut walk = |rng: &mut mcnn::seed::Rng, i: usize| -> Vec<f32> {
        if i.is_multiple_of(200) {
            at.iter_mut().for_each(|a| *a = 2.0 * rng.normal());
        }
        at.iter_mut().for_each(|a| *a += 0.1 * rng.normal());
        at.iter().map(|&a| a as f32).collect()
    };
    let states: Vec<f32> = (0..memories).flat_map(|i| walk(&mut rng, i)).collect();
    let actions = (0..memories * n_act).map(|_| rng.between(-1.0, 1.0) as f32).collect();
    let parts = Parts { n_obs, n_act, states, actions, rewards: None, ends: vec![memories / 2, memories] };
    let data = Demonstrations::new(parts, ActionRange::Refuse)?;
    let settings = LearnSettings {
        amount: Amount::Count(memories),
        selection: SelectionMethod::All,
        ..Default::default()
    };
    let book = learn(&data, &settings)?.codebook;
    let settings = TrainSettings {
        hidden: backbone.default_hidden(),
        backbone,
        lambda: Lambda::Value(0.1),
        members,
        steps: 1,
        validation_fraction: 0.0,
        ..Default::default()
    };
    let mut run = Run::new(&data, book, settings)?;
    run.step();
    let policy = run.policy();
    let mut session = policy.session();
    let mut action = vec![0.0; n_act];
    let mut times = Vec::with_capacity(steps);
    let mut check = 0.0_f64;
    for i in 0..steps {
        let state = walk(&mut rng, i);
        let start = Instant::now();
        let constrained = session.act(&state, &mut action)?;
        let time = start.elapsed().as_secs_f64() * 1e6;
        if if all { i > 0 } else { constrained.chunk_step == 0 } {
            times.push(time);
        }
        check += action.iter().map(|&a| f64::from(a)).sum::<f64>();
    }
    times.sort_by(f64::total_cmp);
    let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize];
    println!(
        "{{\"p50\":{},\"p99\":{},\"p999\":{},\"max\":{},\"check\":{check}}}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    Ok(())
}
