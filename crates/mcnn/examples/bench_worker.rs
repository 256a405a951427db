//! Steps a second through the workers, for bench/worker.py: `bench_worker PYTHON ID THREADS LANES EPISODES`. Prints JSON.
//! Actions are random, so that only the environment and the way to it cost anything.

use mcnn::{
    Result,
    act::{Act, Acting, Decision},
    eval::{Run, rollout},
    seed::{Rng, Seed},
    task::{Task as _, gym::Gym},
};
use std::{path::Path, sync::Mutex, time::Instant};

struct Random {
    n_obs: usize,
    n_act: usize,
}

struct Drawing(Rng);

impl Act for Random {
    fn n_obs(&self) -> usize {
        self.n_obs
    }
    fn n_act(&self) -> usize {
        self.n_act
    }
    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(Drawing(seed.rng()))
    }
}

impl Acting for Drawing {
    fn act(&mut self, _: &[f32], action: &mut [f32]) -> Result<Decision> {
        action.fill_with(|| self.0.between(-1.0, 1.0) as f32);
        Ok(Decision::default())
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| arguments[i].parse().expect("a number");
    let task = Gym::new(&arguments[1], Path::new(&arguments[0]))?;
    let act = Random { n_obs: task.spec().n_obs, n_act: task.spec().n_act };
    let (threads, lanes) = (number(2), number(3));
    let run = Run { episodes: number(4), first_seed: 0, threads, lanes, trace: false };
    // Starting processes is not stepping: the clock runs from the end of every thread's first episodes.
    let ends = Mutex::new(Vec::new());
    let all = rollout(&act, &task, &run, &|e| {
        ends.lock().expect("no panics").push((Instant::now(), e.length));
    })?;
    assert!(all.iter().all(|e| e.error.is_none()), "an episode failed: {all:?}");
    let ends = ends.into_inner().expect("no panics");
    let warm = 2 * threads * lanes;
    let steps: usize = ends[warm..].iter().map(|(_, length)| length).sum();
    let seconds = (ends[ends.len() - 1].0 - ends[warm - 1].0).as_secs_f64();
    let ret: f64 = all.iter().map(|e| e.ret).sum();
    println!("{}", serde_json::json!({ "steps_per_second": steps as f64 / seconds, "return": ret }));
    Ok(())
}
