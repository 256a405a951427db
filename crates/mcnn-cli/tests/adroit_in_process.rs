//! The Adroit tasks built into the program: they need no Python, and give the numbers of the Python worker.
#![cfg(feature = "adroit")]

mod common;
use common::Bench;

use mcnn::{
    act::{Act, Acting, Decision},
    data::{ActionRange, Demonstrations, Parts, write_npz},
    eval::{Run, collect, rollout},
    file,
    seed::Seed,
    task::{
        Task as _,
        adroit::{Adroit, Rewards},
        gym::Gym,
        python,
    },
};

/// Leans on what it sees, which is enough for demonstrations.
struct Lean(usize, usize);

impl Act for Lean {
    fn n_obs(&self) -> usize {
        self.0
    }
    fn n_act(&self) -> usize {
        self.1
    }
    fn start(&self, _seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(Leaning)
    }
}

struct Leaning;

impl Acting for Leaning {
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> mcnn::Result<Decision> {
        for (i, a) in action.iter_mut().enumerate() {
            *a = (observation[i] - 0.5 * observation[i + 1]).clamp(-1.0, 1.0);
        }
        Ok(Decision::default())
    }
}

#[test]
fn a_policy_is_evaluated_without_python_and_as_in_python() {
    let bench = Bench::new();
    let hand = adroit::Hand::new(Adroit::Pen, Rewards::D4rl).unwrap();
    let (n_obs, n_act) = (hand.spec().n_obs, hand.spec().n_act);
    let all = collect(&hand, &Lean(n_obs, n_act), 3, 7).unwrap();
    let parts = Parts {
        n_obs,
        n_act,
        states: all.states,
        actions: all.actions,
        rewards: Some(all.rewards),
        ends: all.ends,
    };
    let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    write_npz(&bench.path("pen.npz"), &data).unwrap();
    bench.ok("learn pen.npz --by all -o m.safetensors");
    bench.ok("train pen.npz m.safetensors -o p.safetensors --hidden 16 --steps 20");

    let line = "eval p.safetensors --task pen --episodes 4 --seed 900 --json";
    let output = bench.command(line).env("MCNN_PYTHON", "/nowhere").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let returns: Vec<f64> =
        report["returns"].as_array().unwrap().iter().map(|r| r.as_f64().unwrap()).collect();
    assert_eq!(returns.len(), 4);

    let output = bench.command(line).env("MCNN_MUJOCO", "/nowhere").output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && message.contains("python/get_mujoco.sh"), "{message}");

    if !python::ready() {
        common::skipped("a_policy_is_evaluated_without_python_and_as_in_python", "no Python to compare with");
        return;
    }
    let python = python::interpreter(&|line| println!("{line}")).unwrap();
    let (policy, _) = file::read_policy(&bench.path("p.safetensors")).unwrap();
    let run = Run { episodes: 4, first_seed: 900, threads: 2, trace: false };
    let worker = Gym::adroit(Adroit::Pen, Rewards::D4rl, &python);
    let episodes = rollout(&policy, &worker, &run, &|_| ()).unwrap();
    for (mine, other) in returns.iter().zip(episodes) {
        assert!(other.length > 5 && (mine - other.ret).abs() < 1e-9, "{mine}, {}", other.ret);
    }
}
