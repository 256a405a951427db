//! Step by step against plain Gymnasium on the same MuJoCo, and whole episodes against the worker of crate mcnn.
//! Runs where the Python packages are already there, or MCNN_TEST_WORKER=1 lets them be installed.

use adroit::Hand;
use mcnn::{
    act::{Act, Acting, Decision},
    eval::{Episode, Run, rollout},
    seed::Seed,
    task::{
        Task,
        adroit::{Adroit, Rewards, Rules},
        gym::Gym,
        python,
    },
};
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

/// The results differ in the last bit of sums and angles (at most 2e-15 observed). One different bit in a contact would grow far
/// beyond this tolerance within an episode.
const TOLERANCE: f64 = 1e-12;

/// Reports a skipped test on the standard error, since the test runner captures the output of passing tests.
fn skipped(why: &str) {
    let _ = std::io::stderr().write_all(format!("SKIPPED (against_gymnasium): {why}\n").as_bytes());
}

fn interpreter() -> Option<PathBuf> {
    let wanted = std::env::var("MCNN_TEST_WORKER").is_ok_and(|v| v == "1");
    if !wanted && !python::ready() {
        skipped("no Python packages; MCNN_TEST_WORKER=1 installs them");
        return None;
    }
    Some(python::interpreter(&|line| println!("{line}")).unwrap())
}

/// The expert networks beside the checkout.
fn experts() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder =
        std::env::var_os("MCNN_SHARED").map_or(beside, |s| PathBuf::from(s).join("data")).join("experts");
    if folder.is_dir() {
        return Some(folder);
    }
    skipped(&format!("expert actions: no networks in {}", folder.display()));
    None
}

/// The values of a trajectory file, read in order.
struct Values(std::vec::IntoIter<f64>);

impl Values {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let values: Vec<f64> =
            bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
        Self(values.into_iter())
    }

    fn take(&mut self, n: usize) -> Vec<f64> {
        let taken: Vec<f64> = self.0.by_ref().take(n).collect();
        assert_eq!(taken.len(), n, "the file ends too early");
        taken
    }
}

fn gap(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |m, d| if d.is_nan() { f64::INFINITY } else { d.max(m) })
}

/// The largest differences over the episodes of a file, and the successes in them.
#[derive(Debug, Default)]
struct Compared {
    episodes: usize,
    observation: f64,
    reward: f64,
    steps_with_goal: usize,
    successes: usize,
}

fn compare(task: Adroit, file: &Path) -> Compared {
    let hand = Hand::new(task, Rewards::D4rl).unwrap();
    let mut simulation = hand.simulate().unwrap();
    let mut values = Values::read(file);
    let mut seen = Compared::default();
    let spec = task.spec();
    while let Some(seed) = values.0.next() {
        let first = simulation.reset(seed as u64).unwrap();
        let gap_at_reset = gap(&first.observation, &values.take(spec.n_obs));
        assert!(gap_at_reset < TOLERANCE, "{task:?}, seed {seed}, reset: {gap_at_reset}");
        assert_eq!(first.success, None);
        let mut rules = [Rewards::Gymnasium, Rewards::D4rl].map(|rewards| Rules::new(task, rewards));
        let mut success = None;
        for t in 0..spec.horizon {
            let place = || format!("{task:?}, seed {seed}, step {t}");
            let action: Vec<f32> = values.take(spec.n_act).iter().map(|&a| a as f32).collect();
            let answer = simulation.step(&action).unwrap().clone();
            seen.observation = seen.observation.max(gap(&answer.observation, &values.take(spec.n_obs)));
            let outcomes = rules.each_mut().map(|rules| rules.apply(&answer));
            seen.reward = seen.reward.max(gap(&outcomes.map(|o| o.reward), &values.take(2)));
            assert!(seen.observation < TOLERANCE && seen.reward < TOLERANCE, "{}: {seen:?}", place());
            assert_eq!(answer.success, Some(values.take(1)[0] == 1.0), "{}", place());
            seen.steps_with_goal += usize::from(outcomes[1].goal);
            success = outcomes[1].success;
            let (qpos, qvel) = simulation.state();
            let gaps = [gap(qpos, &values.take(qpos.len())), gap(qvel, &values.take(qvel.len()))];
            // The same library from the same initial state: bit-identical.
            assert_eq!(gaps, [0.0; 2], "{}", place());
        }
        seen.successes += usize::from(success == Some(true));
        seen.episodes += 1;
    }
    seen
}

#[test]
fn every_step_of_whole_episodes_is_gymnasiums_and_experts_succeed() {
    let Some(python) = interpreter() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../python/tests/adroit_trajectories.py");
    let experts = experts();
    let made = Command::new(python).arg(script).arg(folder.path()).args(&experts).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for task in Adroit::ALL {
        for kind in ["random", "smooth", "expert"] {
            if kind == "expert" && experts.is_none() {
                continue;
            }
            let seen = compare(task, &folder.path().join(format!("{}-{kind}.f64", task.name())));
            println!("{} {kind}: {seen:?}", task.name());
            assert_eq!(seen.episodes, 10);
            if kind == "expert" {
                assert!(seen.successes >= 5 && seen.steps_with_goal > 100, "{task:?}: {seen:?}");
            }
        }
    }
}

/// An actor that depends on the step and on the observation, so that differences are amplified.
struct Sway {
    n_obs: usize,
    n_act: usize,
}

struct Swaying(usize);

impl Act for Sway {
    fn n_obs(&self) -> usize {
        self.n_obs
    }
    fn n_act(&self) -> usize {
        self.n_act
    }
    fn start(&self, _seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(Swaying(0))
    }
}

impl Acting for Swaying {
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> mcnn::Result<Decision> {
        self.0 += 1;
        for (i, a) in action.iter_mut().enumerate() {
            // Sums of halves and products only: no function that libraries round differently.
            let wave = ((7 * i + self.0) % 33) as f32 / 16.0 - 1.0;
            *a = 0.75 * wave + 0.25 * observation[i % observation.len()];
        }
        Ok(Decision::default())
    }
}

fn episodes(task: &dyn Task, threads: usize) -> Vec<Episode> {
    let act = Sway { n_obs: task.spec().n_obs, n_act: task.spec().n_act };
    let run =
        Run { episodes: 4, first_seed: u64::MAX - 1, threads, environments_per_worker: 1, trace: false };
    let mut episodes = rollout(&act, task, &run, &|_| ()).unwrap();
    for episode in &mut episodes {
        assert_eq!(episode.error, None);
        episode.latencies.clear();
    }
    episodes
}

#[test]
fn returns_are_the_workers_and_do_not_depend_on_the_number_of_threads() {
    let python = interpreter();
    for task in Adroit::ALL {
        for rewards in [Rewards::D4rl, Rewards::Gymnasium] {
            let hand = Hand::new(task, rewards).unwrap();
            let alone = episodes(&hand, 1);
            assert_eq!(alone, episodes(&hand, 3), "{task:?}");
            let Some(python) = &python else { continue };
            let driven = episodes(&Gym::adroit(task, rewards, python), 2);
            for (mine, other) in alone.iter().zip(&driven) {
                assert_eq!((mine.seed, mine.length, mine.success), (other.seed, other.length, other.success));
                assert!((mine.ret - other.ret).abs() < 1e-9, "{task:?}, {}: {}", mine.ret, other.ret);
            }
        }
    }
}

#[test]
fn a_simulation_can_be_handed_to_another_thread() {
    fn sends<T: Send>() {}
    fn shares<T: Send + Sync>() {}
    sends::<adroit::Simulation>();
    shares::<Hand>();
}
