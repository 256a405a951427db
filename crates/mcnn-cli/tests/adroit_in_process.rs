//! The Adroit tasks built into the program: they need no Python, and give the results of the Python worker.
#![cfg(feature = "adroit")]

use crate::common::{self, Bench};

use mcnn::{
    act::{Act, Acting, Decision},
    data::{ActionRange, Demonstrations, Parts, Selection, read_parts, read_simulator, write_npz},
    eval::{Run, collect, rollout},
    file,
    seed::Seed,
    task::{
        Recorded, Task as _,
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
    let run = Run { episodes: 3, first_seed: 7, threads: 1, environments_per_worker: 1, trace: false };
    let all = collect(&Lean(n_obs, n_act), &hand, &run, &|_| true).unwrap();
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
    bench.ok("learn pen.npz --selection all -o m.safetensors");
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
    let run = Run { episodes: 4, first_seed: 900, threads: 2, environments_per_worker: 1, trace: false };
    let worker = Gym::adroit(Adroit::Pen, Rewards::D4rl, &python);
    let episodes = rollout(&policy, &worker, &run, &|_| ()).unwrap();
    for (mine, other) in returns.iter().zip(episodes) {
        assert!(other.length > 5 && (mine - other.ret).abs() < 1e-9, "{mine}, {}", other.ret);
    }
}

#[test]
fn what_is_collected_from_an_expert_can_be_put_back_step_by_step() {
    let name = "what_is_collected_from_an_expert_can_be_put_back_step_by_step";
    let Some(shared) = common::shared(name) else { return };
    let bench = Bench::new();
    let expert = shared.join("experts/relocate.npz").display().to_string();
    let line =
        format!("collect --task relocate --policy {expert} --noise policy --episodes 2 --seed 31 -o r.hdf5");
    let collected = bench.json(&line);
    assert_eq!((collected["episodes"].as_u64(), collected["steps"].as_u64()), (Some(2), Some(400)));
    if !python::ready() {
        return common::skipped(name, "no Python to put it back in");
    }
    let python = python::interpreter(&|line| println!("{line}")).unwrap();
    let (_, parts) = read_parts(&bench.path("r.hdf5"), &Selection::default()).unwrap();
    let simulator = read_simulator(&bench.path("r.hdf5")).unwrap();
    let (Some((nq, qpos)), Some((nv, qvel))) = (simulator.qpos, simulator.qvel) else { panic!("no joints") };
    let mut environment = Gym::adroit(Adroit::Relocate, Rewards::D4rl, &python).start().unwrap();
    let mut observation = vec![0.0; parts.n_obs];
    environment.reset(0, &mut observation).unwrap();
    for row in [0, 1, 77, 199, 200, 399] {
        let recorded = Recorded {
            observation: &parts.states[row * parts.n_obs..(row + 1) * parts.n_obs],
            qpos: Some(&qpos[row * nq..(row + 1) * nq]),
            qvel: Some(&qvel[row * nv..(row + 1) * nv]),
        };
        environment.restore_state(&recorded, &mut observation).unwrap();
        for (k, (a, b)) in observation.iter().zip(recorded.observation).enumerate() {
            assert!((a - b).abs() < 1e-5, "row {row}, number {k}: {a} for {b}");
        }
    }
    // The expert's own noise is around what it meant.
    let text = bench.ok(&line.replace("r.hdf5", "s.hdf5"));
    assert!(text.contains("noise policy") && text.contains("mean score"), "{text}");
}
