//! Steps an Adroit task for `bench/simulators.py`, which runs its peers in turn with this program.
//!
//! `bench_adroit TASK ACTIONS`: the name of a task and a file of raw little-endian `f32`, action after action, which are
//! taken in episodes of the task's horizon from seeds 0, 1, 2 and so on. Then each line of standard input names a work,
//! and one line of JSON answers it with `steps`, all steps made, and `seconds`: `ours N` (N threads, each doing all of
//! it), `physics` (MuJoCo alone, and as `rest` the median of the other seconds of a step), `worker` (the Python process of crate mcnn, MCNN_PYTHON), or
//! `answers FILE` (no timing: all observations after steps, as raw `f64`).

use adroit::{Hand, Simulation};
use mcnn::task::{
    Environment, Task,
    adroit::{Adroit, Rewards},
    gym::Gym,
    python,
};
use std::{
    hint::black_box,
    io::{BufRead as _, Write as _},
    sync::Barrier,
    time::{Duration, Instant},
};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, file] = &args[..] else {
        return Err("usage: bench_adroit TASK ACTIONS".into());
    };
    let task = Adroit::ALL.into_iter().find(|t| t.name() == name).ok_or("no such task")?;
    let values: Vec<f32> =
        std::fs::read(file)?.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let actions: Vec<&[f32]> = values.chunks_exact(task.spec().n_act).collect();
    let hand = Hand::new(task, Rewards::D4rl)?;
    let gym = Gym::adroit(task, Rewards::D4rl, &python::interpreter(&|line| eprintln!("{line}"))?);
    // Each is started once and kept, as its peers are.
    let mut alone = hand.start()?;
    let mut worker = gym.start()?;
    let mut simulation = hand.simulate()?;
    for line in std::io::stdin().lock().lines() {
        let work = line?;
        let mut steps = actions.len();
        let mut start = Instant::now();
        match work.split_once(' ').unwrap_or((&work, "")) {
            ("ours", "1") => run(alone.as_mut(), &hand, &actions)?,
            ("ours", "2") => {
                steps *= 2;
                start = both(&hand, &actions)?;
            }
            ("worker", _) => run(worker.as_mut(), &gym, &actions)?,
            ("physics", _) => {
                let (mut physics, mut rest) = (Duration::ZERO, Vec::new());
                walk(&mut simulation, &hand, &actions, |s, action| {
                    let start = Instant::now();
                    s.advance(action);
                    let moved = Instant::now();
                    black_box(s.observe()?);
                    physics += moved - start;
                    rest.push(moved.elapsed());
                    Ok(())
                })?;
                rest.sort_unstable();
                let (seconds, rest) = (physics.as_secs_f64(), rest[rest.len() / 2].as_secs_f64());
                println!(r#"{{"steps":{steps},"seconds":{seconds},"rest":{rest}}}"#);
                continue;
            }
            ("answers", path) => {
                let mut bytes = Vec::new();
                walk(&mut simulation, &hand, &actions, |s, action| {
                    bytes.extend(s.step(action)?.observation.iter().flat_map(|x| x.to_le_bytes()));
                    Ok(())
                })?;
                std::fs::write(path, bytes)?;
            }
            (other, _) => return Err(format!("unknown work {other:?}").into()),
        }
        let seconds = start.elapsed().as_secs_f64();
        println!(r#"{{"steps":{steps},"seconds":{seconds}}}"#);
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// All actions through the task, as an evaluation takes them.
fn run(environment: &mut dyn Environment, task: &dyn Task, actions: &[&[f32]]) -> mcnn::Result<()> {
    let mut observation = vec![0.0; task.spec().n_obs];
    for (seed, episode) in actions.chunks(task.spec().horizon).enumerate() {
        environment.reset(seed as u64, &mut observation)?;
        for action in episode {
            environment.step(action, &mut observation)?;
        }
    }
    Ok(())
}

/// The same on two threads, which start their copies themselves, as an environment belongs to one thread; and when both
/// were ready.
fn both(hand: &Hand, actions: &[&[f32]]) -> mcnn::Result<Instant> {
    let ready = Barrier::new(2);
    let one = || {
        let environment = hand.start();
        ready.wait();
        let start = Instant::now();
        run(environment?.as_mut(), hand, actions)?;
        Ok(start)
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(one);
        let start = one()?;
        let other = other.join().expect("a thread that does not panic");
        Ok(start.min(other?))
    })
}

/// All actions through the bare simulation.
fn walk(
    simulation: &mut Simulation,
    hand: &Hand,
    actions: &[&[f32]],
    mut step: impl FnMut(&mut Simulation, &[f32]) -> mcnn::Result<()>,
) -> mcnn::Result<()> {
    for (seed, episode) in actions.chunks(hand.spec().horizon).enumerate() {
        simulation.reset(seed as u64)?;
        for action in episode {
            step(simulation, action)?;
        }
    }
    Ok(())
}
