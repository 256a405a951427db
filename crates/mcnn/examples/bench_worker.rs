//! Steps per second through the workers, for bench/worker.py: `bench_worker PYTHON ID THREADS LANES EPISODES`. Prints JSON.
//! Actions are random, so that only the environment and the communication take time.

use mcnn::{
    Result,
    act::{Act, Acting, Decision},
    eval::{Run, rollout},
    seed::{Rng, Seed},
    task::{Task as _, gym::Gym},
};
use std::{
    collections::HashMap,
    path::Path,
    sync::Mutex,
    sync::atomic::{AtomicUsize, Ordering},
    thread::{self, ThreadId},
    time::Instant,
};

/// Random actions. Records when, after how many actions and in which thread each episode started.
struct Random {
    n_obs: usize,
    n_act: usize,
    acted: AtomicUsize,
    begun: Mutex<Vec<(Instant, usize, ThreadId)>>,
}

struct Drawing<'a> {
    rng: Rng,
    acted: &'a AtomicUsize,
}

impl Act for Random {
    fn n_obs(&self) -> usize {
        self.n_obs
    }
    fn n_act(&self) -> usize {
        self.n_act
    }
    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        let mut begun = self.begun.lock().expect("no panics");
        begun.push((Instant::now(), self.acted.load(Ordering::Relaxed), thread::current().id()));
        Box::new(Drawing { rng: seed.rng(), acted: &self.acted })
    }
}

impl Acting for Drawing<'_> {
    fn act(&mut self, _: &[f32], action: &mut [f32]) -> Result<Decision> {
        self.acted.fetch_add(1, Ordering::Relaxed);
        action.fill_with(|| self.rng.between(-1.0, 1.0) as f32);
        Ok(Decision::default())
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| arguments[i].parse().expect("a number");
    let (threads, lanes, episodes): (usize, usize, usize) = (number(2), number(3), number(4));
    let task = Gym::new(&arguments[1], Path::new(&arguments[0]))?;
    let (n_obs, n_act) = (task.spec().n_obs, task.spec().n_act);
    let act = Random { n_obs, n_act, acted: AtomicUsize::new(0), begun: Mutex::default() };
    let run = Run { episodes, first_seed: 0, threads, environments_per_worker: lanes, trace: false };
    let all = rollout(&act, &task, &run, &|_| ())?;
    assert!(all.iter().all(|e| e.error.is_none()), "an episode failed: {all:?}");
    // Starting processes is not stepping, and at the end lanes stand idle: from when the last thread has begun the
    // second episode of its last lane to when the last episode is begun.
    let begun = act.begun.into_inner().expect("no panics");
    let mut counts = HashMap::new();
    let all_busy = begun.iter().position(|(_, _, thread)| {
        *counts.entry(*thread).or_insert(0) += 1;
        counts.len() == threads && counts.values().all(|&count| count >= 2 * lanes)
    });
    let (from, to) = (begun[all_busy.expect("too few episodes to measure")], begun[episodes - 1]);
    let seconds = (to.0 - from.0).as_secs_f64();
    assert!(seconds > 1.0, "too few episodes to measure: {seconds} s");
    let rate = (to.1 - from.1) as f64 / seconds;
    let ret: f64 = all.iter().map(|e| e.ret).sum();
    println!("{}", serde_json::json!({ "steps_per_second": rate, "return": ret }));
    Ok(())
}
