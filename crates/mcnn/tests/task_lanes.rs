//! Rollouts in Python environments: the same on any number of threads and lanes, even if other lanes fail.
#![cfg(unix)]

use crate::workers::{interpreter, with_fakes};
use mcnn::{
    act::{Act, Acting, Decision},
    error::{Error, Kind, Result},
    eval::{Episode, Run, rollout},
    seed::{Rng, Seed},
    task::{Task, adroit::Adroit, gym::Gym, worker::Limits},
};
use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Random actions, moved by what it sees, so that another observation or another order of drawing would show.
struct Wander {
    n_obs: usize,
    n_act: usize,
    fails: bool, // on the first number's being 2, for seeds that end in 5
}

struct Wandering {
    rng: Rng,
    fails: bool,
}

impl Wander {
    fn on(task: &dyn Task) -> Self {
        Self { n_obs: task.spec().n_obs, n_act: task.spec().n_act, fails: false }
    }
}

impl Act for Wander {
    fn n_obs(&self) -> usize {
        self.n_obs
    }
    fn n_act(&self) -> usize {
        self.n_act
    }
    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(Wandering { rng: seed.rng(), fails: self.fails })
    }
}

impl Acting for Wandering {
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Decision> {
        let sum: f32 = observation.iter().sum();
        if self.fails && observation[1] == 2.0 && self.rng.uniform() < 0.5 {
            return Err(Error::new(Kind::Data, "I would rather not"));
        }
        for a in action.iter_mut() {
            *a = (self.rng.between(-1.0, 1.0) as f32 + 0.5 * sum.sin()).clamp(-1.0, 1.0);
        }
        Ok(Decision { distance: Some(sum.abs()), weight: Some(action[0].abs()), ..Decision::default() })
    }
}

fn run(act: &dyn Act, task: &dyn Task, episodes: usize, threads: usize, lanes: usize) -> Vec<Episode> {
    let run = Run { episodes, first_seed: 30, threads, environments_per_worker: lanes, trace: true };
    let heard = AtomicUsize::new(0);
    let each = |_: &Episode| _ = heard.fetch_add(1, Ordering::Relaxed);
    let all = rollout(act, task, &run, &each).unwrap();
    assert_eq!(heard.into_inner(), episodes);
    // Everything but the times.
    all.into_iter().map(|e| Episode { latencies: Vec::new(), ..e }).collect()
}

fn fake(kind: &str, python: &Path) -> Gym {
    let limits = Limits { start: Duration::from_secs(100), step: Duration::from_millis(1500) };
    Gym::new(&format!("fake_environments:Fake-{kind}-v0"), python).unwrap().within(limits)
}

#[test]
fn real_environments_give_the_same_episodes_on_any_number_of_threads_and_lanes() {
    let Some(python) = interpreter() else {
        return;
    };
    let tasks: [(Gym, usize); 5] = [
        (Gym::new("Pendulum-v1", &python).unwrap(), 9),
        (Gym::new("FetchReach-v4", &python).unwrap(), 5),
        (Gym::new("FetchPickAndPlace-v4", &python).unwrap(), 5),
        (Gym::adroit(Adroit::Relocate, Default::default(), &python), 4),
        (Gym::kitchen(&python), 3),
    ];
    for (task, episodes) in &tasks {
        let act = Wander::on(task);
        let one = run(&act, task, *episodes, 1, 1);
        assert!(one.iter().all(|e| e.error.is_none() && e.length > 0), "{:?}", one[0].error);
        assert_ne!(one[0].distance, one[1].distance); // the seed counts
        for (threads, lanes) in [(1, 3), (2, 2)] {
            let many = run(&act, task, *episodes, threads, lanes);
            assert_eq!(one, many, "{}: {threads} threads, {lanes} lanes", task.spec().name);
        }
    }
}

#[test]
fn what_fails_in_one_lane_ends_only_its_episode() {
    let Some((_folder, python)) = with_fakes() else {
        return;
    };
    let plain = fake("plain", &python);
    let act = Wander::on(&plain);
    let undisturbed = run(&act, &plain, 12, 1, 1);
    for (kind, reason) in [
        ("raises", "the moon is in the wrong house"),
        ("nan", "NaN as number 3"),
        ("wide", "changed its width"),
        ("exits", "last words"),
        ("hangs", "did not answer within 1.5 s"),
    ] {
        let task = fake(&format!("{kind}-on-3"), &python);
        let shapes: &[_] = if kind == "hangs" { &[(2, 4)] } else { &[(1, 1), (1, 4), (2, 3), (1, 12)] };
        for &(threads, lanes) in shapes {
            let all = run(&act, &task, 12, threads, lanes);
            for (e, plain) in all.iter().zip(&undisturbed) {
                let place = format!("{kind}, seed {}, {threads} threads, {lanes} lanes", e.seed);
                if e.seed % 10 == 3 {
                    let text = e.error.as_ref().expect(&place).to_string();
                    let step = format!("episode seed {}, step 3", e.seed);
                    assert!(text.contains(reason) && text.contains(&step), "{place}: {text}");
                    assert_eq!(e.length, 2, "{place}");
                } else {
                    assert_eq!(e, plain, "{place}");
                }
            }
        }
    }
}

#[test]
fn a_policy_that_fails_in_one_lane_ends_only_its_episode() {
    let Some((_folder, python)) = with_fakes() else {
        return;
    };
    let plain = fake("plain", &python);
    let act = Wander { fails: true, ..Wander::on(&plain) };
    let one = run(&act, &plain, 16, 1, 1);
    let failed = one.iter().filter(|e| e.error.is_some()).count();
    assert!((1..16).contains(&failed), "{failed}");
    for e in one.iter().filter_map(|e| Some((e, e.error.as_ref()?.to_string()))) {
        assert!(e.1.contains("I would rather not") && e.1.contains(&format!("seed {}, step 2", e.0.seed)));
    }
    for (threads, lanes) in [(1, 4), (3, 2)] {
        assert_eq!(run(&act, &plain, 16, threads, lanes), one);
    }
}
