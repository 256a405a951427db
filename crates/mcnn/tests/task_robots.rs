//! Gymnasium-Robotics' scenes: kitchen and Fetch as tasks, pictures, and scenes put where a recording had them.
#![cfg(unix)]

use crate::workers::{demonstrations, interpreter, script, skipped};
use hdf5_reader::Hdf5File;
use mcnn::{
    act::{Act, Acting, Decision},
    data::{Demonstrations, ReadOptions, read},
    error::Result,
    eval::{Run, Summary, rollout},
    seed::Seed,
    task::{Environment, Recorded, Task, adroit::Adroit, gym::Gym, kitchen},
};
use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

/// The rewards, parts and observations that plain Gymnasium gives, the reset's first.
fn plain_kitchen(python: &Path, seed: u64, actions: &[Vec<f32>]) -> Vec<(f64, u32, Vec<f32>)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../python/tests/kitchen_values.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let asked = serde_json::json!({ "seed": seed, "actions": actions });
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
}

fn actions(data: &Demonstrations, episode: usize) -> Vec<Vec<f32>> {
    data.episode(episode).map(|i| data.action(i).into_owned()).collect()
}

#[test]
fn kitchen_steps_as_plain_gymnasium_does_and_repeats_what_people_did() {
    let Some(python) = interpreter() else { return };
    let name = "kitchen_steps_as_plain_gymnasium_does_and_repeats_what_people_did";
    let Some(path) = demonstrations(name, "kitchen-complete-v2.hdf5") else { return };
    let data = read(&path, &ReadOptions::default()).unwrap();
    let task = Gym::kitchen(&python);
    assert_eq!((task.spec().n_obs, task.spec().n_act), (data.n_obs(), data.n_act()));
    let mut env = task.start().unwrap();
    let mut o = [0.0; 59];
    let mut completed = 0;
    for episode in 0..4 {
        let mut expected = plain_kitchen(&python, 7, &actions(&data, episode)).into_iter();
        env.reset(7, &mut o).unwrap();
        assert_eq!(expected.next().unwrap().2, o);
        let (mut ret, mut last) = (0.0, None);
        for (action, (reward, bits, observation)) in actions(&data, episode).into_iter().zip(expected) {
            let outcome = env.step(&action, &mut o).unwrap();
            assert_eq!((outcome.reward, outcome.parts, &o[..]), (reward, bits, &observation[..]));
            ret += outcome.reward;
            assert_eq!(f64::from(outcome.parts.count_ones()), ret);
            let all = ret == 4.0;
            assert_eq!((outcome.done, outcome.success, outcome.goal), (all, Some(all), all));
            last = Some(outcome);
            if all {
                break;
            }
        }
        completed += last.unwrap().parts.count_ones();
    }
    // All four in each of them, on the machine this was written on; the noise is another than the recordings'.
    assert!(completed >= 12, "{completed} of 16 parts");
}

/// Plays back one demonstration, independently of the observations.
struct Replay(Vec<Vec<f32>>);

impl Act for Replay {
    fn n_obs(&self) -> usize {
        59
    }
    fn n_act(&self) -> usize {
        9
    }
    fn start(&self, _: Seed) -> Box<dyn Acting + '_> {
        Box::new(Replaying(self.0.iter()))
    }
}

struct Replaying<'a>(std::slice::Iter<'a, Vec<f32>>);

impl Acting for Replaying<'_> {
    fn act(&mut self, _: &[f32], action: &mut [f32]) -> Result<Decision> {
        action.copy_from_slice(self.0.next().map_or(&[0.0; 9][..], |action| action));
        Ok(Decision::default())
    }
}

#[test]
fn a_summary_of_kitchen_has_the_share_of_each_part() {
    let Some(python) = interpreter() else { return };
    let name = "a_summary_of_kitchen_has_the_share_of_each_part";
    let Some(path) = demonstrations(name, "kitchen-complete-v2.hdf5") else { return };
    let data = read(&path, &ReadOptions::default()).unwrap();
    let task = Gym::kitchen(&python);
    // The first half of a demonstration: some parts, not all.
    let half = actions(&data, 0)[..110].to_vec();
    let run = Run { episodes: 2, first_seed: 0, threads: 1, environments_per_worker: 2, trace: false };
    let all = rollout(&Replay(half), &task, &run, &|_| ()).unwrap();
    let summary = Summary::new("half", task.spec(), &all, Seed(0));
    let parts = summary.parts.unwrap();
    assert!(parts.iter().map(|p| p.name.as_str()).eq(kitchen::PARTS));
    let shares: f64 = parts.iter().map(|p| p.share.share).sum();
    assert!(summary.ret.mean > 0.0 && summary.ret.mean < 4.0, "{:?}", summary.ret);
    assert!((shares - summary.ret.mean).abs() < 1e-9);
    assert_eq!((summary.success.unwrap().share, all[0].length), (0.0, 280));
    assert_eq!(summary.score.unwrap().mean, 25.0 * summary.ret.mean);
}

/// Moves the gripper straight to where it is wanted.
struct Reach;

impl Act for Reach {
    fn n_obs(&self) -> usize {
        16
    }
    fn n_act(&self) -> usize {
        4
    }
    fn start(&self, _: Seed) -> Box<dyn Acting + '_> {
        Box::new(Self)
    }
}

impl Acting for Reach {
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Decision> {
        let (achieved, desired) = (&observation[..3], &observation[3..6]);
        for k in 0..3 {
            action[k] = (10.0 * (desired[k] - achieved[k])).clamp(-1.0, 1.0);
        }
        action[3] = 0.0;
        Ok(Decision::default())
    }
}

#[test]
fn fetch_reaches_by_its_goals_and_its_scenes_have_the_documented_order() {
    let Some(python) = interpreter() else { return };
    let task = Gym::new("FetchReach-v4", &python).unwrap();
    let run = Run { episodes: 6, first_seed: 0, threads: 1, environments_per_worker: 3, trace: false };
    let all = rollout(&Reach, &task, &run, &|_| ()).unwrap();
    for e in &all {
        assert_eq!((e.length, e.success, e.goal_at_end, &e.error), (50, Some(true), true, &None));
        assert!(e.ret > -30.0 && e.ret < 0.0, "-1 a step away from the goal: {}", e.ret);
    }
    for (id, n_obs, object) in
        [("FetchReach-v4", 16, false), ("FetchPush-v4", 31, true), ("FetchPickAndPlace-v4", 31, true)]
    {
        let task = Gym::new(id, &python).unwrap();
        assert_eq!((task.spec().n_obs, task.spec().n_act, task.spec().horizon), (n_obs, 4, 50), "{id}");
        let mut env = task.start().unwrap();
        let (mut first, mut o) = (vec![0.0; n_obs], vec![0.0; n_obs]);
        env.reset(1, &mut first).unwrap();
        assert_eq!(env.step(&[0.5; 4], &mut o).unwrap().success, Some(false), "{id}");
        // The achieved goal is the gripper's place or the object's; the desired one stays.
        let achieved = if object { 9..12 } else { 6..9 };
        assert_eq!((&o[..3], &o[3..6]), (&o[achieved], &first[3..6]), "{id}");
        env.reset(2, &mut o).unwrap();
        assert_ne!(o[3..6], first[3..6], "{id}");
    }
}

/// All values of a table of `infos`.
fn infos(path: &Path, key: &str) -> Vec<f32> {
    let file = Hdf5File::open(path).unwrap();
    let bytes = file.dataset(&format!("/infos/{key}")).unwrap().read_native_bytes().unwrap();
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_ne_bytes(*b)).collect()
}

fn largest_gap(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn adroit_scenes_are_put_where_recordings_had_them_and_a_reset_leaves_no_trace() {
    let Some(python) = interpreter() else { return };
    let name = "adroit_scenes_are_put_where_recordings_had_them_and_a_reset_leaves_no_trace";
    for (adroit, file) in [
        (Adroit::Door, "door-human-v1.hdf5"),
        (Adroit::Door, "door-expert25-v1.hdf5"),
        (Adroit::Hammer, "hammer-expert25-v1.hdf5"),
        (Adroit::Pen, "pen-expert25-v1.hdf5"),
        (Adroit::Relocate, "relocate-expert25-v1.hdf5"),
    ] {
        let Some(path) = demonstrations(name, file) else { continue };
        let data = read(&path, &ReadOptions::default()).unwrap();
        let (qpos, qvel) = (infos(&path, "qpos"), infos(&path, "qvel"));
        let (nq, nv) = (qpos.len() / data.n_steps(), qvel.len() / data.n_steps());
        let task = Gym::adroit(adroit, Default::default(), &python);
        let mut env = task.start().unwrap();
        let mut o = vec![0.0; data.n_obs()];
        let mut first = o.clone();
        env.reset(3, &mut first).unwrap();
        let starts = (0..data.n_episodes()).map(|k| data.episode(k).start);
        for i in starts.chain((0..data.n_steps()).step_by(61)) {
            let recorded = Recorded {
                observation: &data.state(i),
                qpos: Some(&qpos[i * nq..][..nq]),
                qvel: Some(&qvel[i * nv..][..nv]),
            };
            env.restore_state(&recorded, &mut o).unwrap();
            // The last value of the hammer's observation, the force on the nail, depends on the past of the simulation.
            let gap = largest_gap(&o[..o.len().min(45)], &data.state(i));
            assert!(gap < 1e-5, "{file}, step {}: {gap}", data.step(i));
        }
        // What is put can act, and the next episode is as if nothing had been.
        assert_eq!(env.step(&data.action(0), &mut o).unwrap().success, Some(false));
        env.reset(3, &mut o).unwrap();
        assert_eq!(o, first, "{file}");
        let bare = Recorded { observation: &data.state(0), qpos: None, qvel: None };
        let text = env.restore_state(&bare, &mut o).unwrap_err().to_string();
        assert!(text.contains("infos/qpos") && text.contains("has 0 and 0"), "{text}");
    }
}

#[test]
fn kitchen_is_put_where_its_observation_says_up_to_its_noise() {
    let Some(python) = interpreter() else { return };
    let name = "kitchen_is_put_where_its_observation_says_up_to_its_noise";
    let Some(path) = demonstrations(name, "kitchen-complete-v2.hdf5") else { return };
    let data = read(&path, &ReadOptions::default()).unwrap();
    let task = Gym::kitchen(&python);
    let mut env = task.start().unwrap();
    let mut o = [0.0; 59];
    for i in (0..data.n_steps()).step_by(101) {
        let state = data.state(i);
        env.restore_state(&Recorded { observation: &state, qpos: None, qvel: None }, &mut o).unwrap();
        let gaps = [largest_gap(&o[..18], &state[..18]), largest_gap(&o[18..], &state[18..])];
        assert!(gaps[0] < 1.01e-3 && gaps[1] < 5.1e-5, "step {i}: robot {}, objects {}", gaps[0], gaps[1]);
    }
    let mut fetch = Gym::new("FetchReach-v4", &python).unwrap().start().unwrap();
    let refused = fetch.restore_state(&Recorded { observation: &[0.0; 16], qpos: None, qvel: None }, &mut o);
    assert!(refused.unwrap_err().to_string().contains("cannot restore a recorded state"));
}

/// A running copy that draws, or a printed reason why there is none.
fn drawing(task: &Gym, name: &str) -> Option<Box<dyn Environment>> {
    match task.start_with_pictures() {
        Err(e) if e.what().starts_with("no pictures can be rendered") => {
            skipped(name, &e.to_string());
            None
        }
        other => Some(other.unwrap()),
    }
}

#[test]
fn mujoco_scenes_are_drawn_as_they_are() {
    let Some(python) = interpreter() else { return };
    let name = "mujoco_scenes_are_drawn_as_they_are";
    let task = Gym::adroit(Adroit::Hammer, Default::default(), &python);
    let Some(mut env) = drawing(&task, name) else { return };
    let mut o = [0.0; 46];
    env.reset(1, &mut o).unwrap();
    let first = env.picture().unwrap();
    assert_eq!((first.width, first.height, first.rgb.len()), (480, 480, 480 * 480 * 3));
    assert_eq!(env.picture().unwrap(), first);
    env.reset(2, &mut o).unwrap(); // the board is elsewhere
    let second = env.picture().unwrap();
    let differ = first.rgb.iter().zip(&second.rgb).filter(|(a, b)| a != b).count();
    assert!((100..first.rgb.len() / 2).contains(&differ), "{differ} bytes differ");
    env.reset(1, &mut o).unwrap();
    assert_eq!(env.picture().unwrap(), first);
}

#[test]
fn a_machine_that_cannot_draw_says_what_to_install() {
    let Some(python) = interpreter() else { return };
    // A platform that PyOpenGL knows for neither EGL nor OSMesa, and no display.
    let (_folder, python) = script(&format!(
        "unset DISPLAY WAYLAND_DISPLAY MUJOCO_GL; PYOPENGL_PLATFORM=none exec '{}' \"$@\"",
        python.display()
    ));
    let task = Gym::adroit(Adroit::Door, Default::default(), &python);
    let text = task.start_with_pictures().err().unwrap().to_string();
    assert!(text.contains("no pictures can be rendered") && text.contains("libosmesa6"), "{text}");
    assert!(task.start().is_ok(), "only pictures need OpenGL");
}
