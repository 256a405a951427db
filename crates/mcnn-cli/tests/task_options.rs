//! Options of tasks, and tasks that Python registers when a module is imported.

use std::process::Output;

use crate::common::{Bench, skipped};
use mcnn::{
    data::{Parts, Recording, write_hdf5},
    task::python,
};

const TASK: &str = "gym:fake_environments/Fake-spaced-v0";

/// With `d.hdf5` and `p.safetensors`, a policy that fits the environments of python/tests/fake_environments.py; or why not.
fn with_fakes(test: &str) -> Option<Bench> {
    if !python::ready() {
        skipped(test, "no Python packages");
        return None;
    }
    let bench = Bench::new();
    let states = (0..160).map(|i| (i * i % 23) as f32).collect();
    let actions = (0..80).map(|i| (i % 7) as f32 / 10.0).collect();
    let parts = Parts { n_obs: 4, n_act: 2, states, actions, rewards: None, ends: vec![20, 40] };
    let recording = Recording { terminals: vec![false, false], ..Recording::default() };
    write_hdf5(&bench.path("d.hdf5"), &parts, &recording).unwrap();
    bench.ok("train d.hdf5 -o p.safetensors --hidden 4 --steps 3 --members 1 --validation-fraction 0");
    Some(bench)
}

/// Runs the program where Python finds the environments.
fn run(bench: &Bench, line: &str) -> Output {
    let fakes = concat!(env!("CARGO_MANIFEST_DIR"), "/../../python/tests");
    bench.command(line).env("PYTHONPATH", fakes).output().unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_task_without_options_refuses_them_and_an_option_needs_a_key_and_a_value() {
    let bench = Bench::with_policy();
    for verb in ["eval p.safetensors", "compare p.safetensors p.safetensors", "collect -o c.npz"] {
        let message = bench.refused(&format!("{verb} --task drive --task-option obs_type=state"));
        assert!(message.contains("no options") && message.contains("obs_type=state"), "{message}");
    }
    for wrong in ["obs_type", "=state"] {
        let message = bench.refused(&format!("eval p.safetensors --task drive --task-option {wrong}"));
        assert!(message.contains("KEY=VALUE"), "{message}");
    }
    let message = bench.refused("eval p.safetensors --task pusht --task-option observation=pixels");
    assert!(message.contains("observation=pixels") && message.contains("observation=keypoint"), "{message}");
}

#[test]
fn every_verb_with_a_task_hands_its_options_to_the_environment() {
    let Some(bench) = with_fakes("task_options") else { return };
    let rest = "--episodes 2 --threads 1";
    let verbs = [
        "eval p.safetensors {} --json",
        "compare p.safetensors p.safetensors {}",
        "collect --policy p.safetensors {} -o c.npz --force",
        "memory list p.safetensors {}",
        "report p.safetensors --data d.hdf5 {} -o r.html --force",
        "suggest p.safetensors --visited {}",
        "certify p.safetensors --data d.hdf5 --horizon 9 --visited {}",
    ];
    for verb in verbs {
        let line = verb.replace("{}", &format!("--task {TASK} {rest}"));
        let output = run(&bench, &line);
        assert!(output.status.success(), "{line}: {}", error(&output));
        // This kind of environment raises an error at the third step, so the option has arrived.
        let output = run(&bench, &format!("{line} --task-option kind=raises"));
        let text = format!("{}{}", error(&output), String::from_utf8_lossy(&output.stdout));
        assert!(text.contains("the moon is in the wrong house"), "{line}: {text}");
    }
    let line = format!("eval p.safetensors --task {TASK} {rest} --json --task-option kind=prints");
    let output = run(&bench, &line);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["task"], format!("{TASK} (kind=prints)"));
    // A value is JSON where it can be: this is no text, which the environment would call a wrong kind.
    let output = run(&bench, &format!("eval p.safetensors --task {TASK} --task-option kind=[1]"));
    assert!(error(&output).contains("'list' object"), "{}", error(&output));
}

#[test]
fn a_plan_has_options_of_its_task() {
    let Some(bench) = with_fakes("task_options") else { return };
    let plan = |kind: &str| {
        format!(
            "task = \"{TASK}\"\ntask_options = {{ kind = \"{kind}\" }}\ndata = [\"d.hdf5\"]\nlambda = [0]\nseed = [0]\nepisodes = 2\n"
        )
    };
    for (kind, code) in [("plain", 0), ("raises", 2)] {
        std::fs::write(bench.path("plan.toml"), plan(kind)).unwrap();
        let output = run(&bench, "sweep plan.toml -o r.jsonl");
        assert_eq!(output.status.code(), Some(code), "{}", error(&output));
    }
    let table = bench.json("table r.jsonl");
    let tasks: Vec<&str> =
        table["columns"].as_array().unwrap().iter().map(|c| c["task"].as_str().unwrap()).collect();
    assert_eq!(tasks, [format!("{TASK} (kind=plain)"), format!("{TASK} (kind=raises)")]);
}

#[test]
fn a_replay_that_cannot_be_says_so_without_a_traceback() {
    let Some(bench) = with_fakes("task_options") else { return };
    let output = run(&bench, &format!("replay d.hdf5 --episode 0 --task {TASK} --video v.gif"));
    let text = error(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("Fake cannot restore a recorded state") && text.contains("--from-seed"), "{text}");
    assert!(!text.contains("Traceback"), "{text}");
}
