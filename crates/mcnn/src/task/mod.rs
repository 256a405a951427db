//! Tasks: environments with observations and actions. The built-in `drive`, and any Gymnasium environment in a worker process.

pub mod adroit;
mod batch;
pub mod drive;
pub mod gym;
pub mod kitchen;
mod progress_file;
pub mod pusht;
pub mod python;
pub mod racing;
mod watchdog;
pub mod worker;

pub use batch::{Ask, Batch, Reply};

use crate::error::{Error, Kind, Result};
use adroit::{Adroit, Rewards};

/// The task of a name: `drive`, `drive-pixels`, an Adroit task by D4RL's rules (`door`, `hammer`, `pen`, `relocate`),
/// `kitchen`, `carracing`, `pusht`, or `gym:ID` for anything `gymnasium.make(ID)` makes. All but the first two run in Python;
/// where that is prepared first, `progress` is called with a line of text.
///
/// # Errors
/// If there is no such task or it has no such option, Python cannot be had, or the environment of `gym:ID` cannot be made or
/// used.
pub fn named(name: &str, options: &TaskOptions, progress: &dyn Fn(&str)) -> Result<Box<dyn Task>> {
    let TaskOptions { rewards, options } = options;
    if name == "pusht" {
        let observation = pusht::Observation::of(options)?;
        return Ok(Box::new(gym::Gym::pusht(observation, &python::interpreter_with_pusht(progress)?)));
    }
    if let Some(id) = name.strip_prefix("gym:").filter(|id| !id.is_empty()) {
        let python = match () {
            () if python::in_box2d(id) => python::interpreter_with_box2d(progress)?,
            () if python::in_pusht(id) => python::interpreter_with_pusht(progress)?,
            () => python::interpreter(progress)?,
        };
        return Ok(Box::new(gym::Gym::with_options(id, options, &python)?));
    }
    if let Some((key, value)) = options.iter().next() {
        return Err(Error::new(Kind::Settings, "this task has no options")
            .at(format!("task {name}"))
            .expected("pusht or gym:ID, which have some")
            .found(option_text(key, value)));
    }
    if name == "drive" {
        return Ok(Box::new(drive::Drive::new()));
    }
    if name == "drive-pixels" {
        return Ok(Box::new(drive::DrivePixels::new()));
    }
    if let Some(adroit) = Adroit::ALL.into_iter().find(|task| task.name() == name) {
        let python = python::interpreter(progress)?;
        return Ok(Box::new(gym::Gym::adroit(adroit, *rewards, &python)));
    }
    if name == "kitchen" {
        return Ok(Box::new(gym::Gym::kitchen(&python::interpreter(progress)?)));
    }
    if name == "carracing" {
        return Ok(Box::new(gym::Gym::racing(&python::interpreter_with_box2d(progress)?)));
    }
    Err(Error::new(Kind::Settings, "there is no such task")
        .expected(
            "drive, drive-pixels, door, hammer, pen, relocate, kitchen, carracing, pusht, or gym:ID for a Gymnasium environment",
        )
        .found(name))
}

/// What a task is made with, beside its name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskOptions {
    /// The rewards of an Adroit task; the others have only one kind.
    pub rewards: Rewards,
    /// Of `pusht`: [`pusht::Observation::of`]. Of `gym:ID`: keyword arguments of `gymnasium.make`. The other tasks have none.
    pub options: serde_json::Map<String, serde_json::Value>,
}

impl From<Rewards> for TaskOptions {
    fn from(rewards: Rewards) -> Self {
        Self { rewards, ..Self::default() }
    }
}

/// The name of a task with its options in parentheses, so that results of different ones are not confused.
pub fn name_with_options(name: &str, options: &serde_json::Map<String, serde_json::Value>) -> String {
    if options.is_empty() {
        return name.to_owned();
    }
    let options: Vec<String> = options.iter().map(|(key, value)| option_text(key, value)).collect();
    format!("{name} ({})", options.join(", "))
}

/// An option as it is written in the command line.
fn option_text(key: &str, value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => format!("{key}={text}"),
        value => format!("{key}={value}"),
    }
}

/// The specification of a task.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Spec {
    /// The task's name as given to `--task`, with options in parentheses.
    pub name: String,
    /// The dimensions of an observation.
    pub n_obs: usize,
    /// Height and width of the observation, if it is a frame: height x width x 3 integers from 0 to 255,
    /// row by row from the top left, red, green, blue. If `n_obs` is more, a state follows the frame. `None` of a task whose
    /// observation is a state alone.
    pub frame: Option<[usize; 2]>,
    /// The dimensions of an action, each in [-1, 1].
    pub n_act: usize,
    /// The number of steps after which an episode is truncated.
    pub horizon: usize,
    /// Mean returns of a random and of an expert policy, for the score 100 (R - random) / (expert - random).
    pub reference: Option<[f64; 2]>,
    /// Names of the subtasks that an episode can complete (four in FrankaKitchen); empty for most tasks.
    pub parts: Vec<String>,
}

/// A task that can be run in many copies at once.
pub trait Task: Sync {
    /// The specification.
    fn spec(&self) -> &Spec;
    /// A new environment to run episodes in, on one thread.
    ///
    /// # Errors
    /// If the simulator cannot be started.
    fn start(&self) -> Result<Box<dyn Environment>>;

    /// `n` new environments (0 counts as 1) that are stepped together on one thread; some may be created only at their first
    /// reset.
    ///
    /// # Errors
    /// If the simulator cannot be started.
    fn start_many(&self, n: usize) -> Result<Box<dyn Batch + '_>> {
        Ok(Box::new(batch::Singles::new(n, Box::new(|| self.start()))?))
    }

    /// As [`start_many`](Task::start_many), with the task's own expert ([`Batch::expert_action`]), which may make them slower.
    /// The expert may use privileged state that no observation contains.
    ///
    /// # Errors
    /// If the task has no expert of its own, or the simulator cannot be started.
    fn start_with_expert(&self, _n: usize) -> Result<Box<dyn Batch + '_>> {
        Err(no_expert(self.spec()))
    }

    /// A new environment that can render pictures ([`Environment::picture`]), which may make it slower.
    ///
    /// # Errors
    /// As [`start`](Task::start), and if the simulator cannot render on this machine.
    fn start_with_pictures(&self) -> Result<Box<dyn Environment>> {
        self.start()
    }
}

fn no_expert(spec: &Spec) -> Error {
    Error::new(Kind::Settings, "this task has no expert of its own")
        .at(spec.name.clone())
        .expected("an expert's .npz or a policy from `mcnn train`")
        .next("--policy names one")
}

/// One environment of a task.
pub trait Environment {
    /// Starts the episode of `seed` and writes its first observation (`[n_obs]`).
    ///
    /// # Errors
    /// If the simulator failed.
    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()>;

    /// Takes a step with an action (`[n_act]`, each in [-1, 1]) and writes the next observation (`[n_obs]`).
    ///
    /// # Errors
    /// If the simulator failed.
    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Result<Outcome>;

    /// The limits of the task's actions in its own units ([`Batch::action_bounds`]).
    fn action_bounds(&self) -> Option<&[[f32; 2]]> {
        None
    }

    /// The position of the agent, for plots: a point in the plane, where the task has one.
    fn position(&self) -> Option<[f32; 2]> {
        None
    }

    /// Writes the action of the task's own expert in the present state (`[n_act]`, each in [-1, 1]). Returns whether there is one;
    /// it is called if [`Task::start_with_expert`] started the environment.
    fn expert_action(&self, _action: &mut [f32]) -> bool {
        false
    }

    /// The present joint positions and velocities, for recordings, where the task has them.
    fn state(&self) -> Option<(&[f64], &[f64])> {
        None
    }

    /// Renders a picture of the present scene, if [`Task::start_with_pictures`] started the environment.
    ///
    /// # Errors
    /// If the task has no pictures, or the simulator failed.
    fn picture(&mut self) -> Result<Picture> {
        Err(Error::new(Kind::Task, "this task renders no pictures"))
    }

    /// Restores a recorded state and writes the observation that the simulator computes for it.
    ///
    /// # Errors
    /// If the task cannot restore a state, the recording lacks the data for it, or the simulator failed.
    fn restore_state(&mut self, _recorded: &Recorded, _observation: &mut [f32]) -> Result<()> {
        Err(Error::new(Kind::Task, "this task cannot restore a recorded state"))
    }
}

/// An RGB picture: three bytes per pixel, row by row from the top left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `[height, width, 3]`.
    pub rgb: Vec<u8>,
}

/// The recorded state of one step; the joints only where the recording has them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recorded<'a> {
    /// `[n_obs]`.
    pub observation: &'a [f32],
    /// Positions of the simulator's joints.
    pub qpos: Option<&'a [f32]>,
    /// Velocities of the simulator's joints.
    pub qvel: Option<&'a [f32]>,
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Reward of this step.
    pub reward: f64,
    /// Whether the episode has ended (the horizon is the caller's responsibility).
    pub done: bool,
    /// Whether the episode so far is a success by the task's own criterion; `None` if the task has none.
    pub success: Option<bool>,
    /// Whether the goal is reached in the present state (false if the task has none).
    pub goal: bool,
    /// The subtasks completed so far in the episode: bit k for subtask k of [`Spec::parts`].
    pub parts: u32,
}

/// What a simulator returns for a reset or a step, before the task's own rules are applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The observation `[n_obs]`, in the simulator's precision; all values are finite.
    pub observation: Vec<f64>,
    /// The reward (0 for a reset); finite.
    pub reward: f64,
    /// Whether the simulator terminated or truncated the episode.
    pub done: bool,
    /// Whether the goal is reached in the present state, where the simulator reports it.
    pub success: Option<bool>,
}

/// Clips an action to [-1, 1] and writes it to `usable` (`[n_act]`). For implementations of [`Environment`].
///
/// # Errors
/// If its length is not that of `usable`, or it contains NaN.
pub fn check_action(action: &[f32], usable: &mut [f32]) -> Result<()> {
    let found = if action.len() != usable.len() {
        format!("{} values", action.len())
    } else if let Some(i) = action.iter().position(|a| a.is_nan()) {
        format!("NaN as number {i}")
    } else {
        for (to, from) in usable.iter_mut().zip(action) {
            *to = from.clamp(-1.0, 1.0);
        }
        return Ok(());
    };
    Err(Error::new(Kind::Mismatch, "the action cannot be used")
        .expected(format!("{} values in [-1, 1]", usable.len()))
        .found(found))
}

/// Converts an action in the task's own units to the one in [-1, 1] that stands for it, clipped to the task's limits.
pub fn scale_action(bounds: Option<&[[f32; 2]]>, action: &[f32], scaled: &mut [f32]) {
    for (k, (to, &from)) in scaled.iter_mut().zip(action).enumerate() {
        let [low, high] = bounds.map_or([-1.0, 1.0], |bounds| bounds[k].map(f64::from));
        let (center, half) = (low / 2.0 + high / 2.0, high / 2.0 - low / 2.0);
        let place = if half > 0.0 { (f64::from(from) - center) / half } else { 0.0 };
        *to = place.clamp(-1.0, 1.0) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_in_the_tasks_units_become_those_that_stand_for_them() {
        let mut scaled = [9.0; 4];
        let bounds = [[0.0, 512.0], [0.0, 512.0], [-2.0, 2.0], [3.0, 3.0]];
        scale_action(Some(&bounds), &[0.0, 384.0, -5.0, 3.0], &mut scaled);
        assert_eq!(scaled, [-1.0, 0.5, -1.0, 0.0]);
        scale_action(None, &[0.25, 2.0, f32::NAN, -0.5], &mut scaled);
        assert_eq!(scaled[..2], [0.25, 1.0]);
        assert!(scaled[2].is_nan(), "an invalid action stays one");
    }

    #[test]
    fn an_unknown_task_lists_the_known_ones() {
        for name in ["dor", "gym:", ""] {
            let error =
                named(name, &TaskOptions::default(), &|_| ()).err().expect("no such task").to_string();
            let known = [
                "drive",
                "drive-pixels",
                "door",
                "hammer",
                "pen",
                "relocate",
                "kitchen",
                "carracing",
                "pusht",
                "gym:ID",
            ];
            assert!(known.iter().all(|k| error.contains(k)) && error.contains(name), "{error}");
        }
    }

    #[test]
    fn options_of_a_task_that_has_none_are_refused() {
        let options = TaskOptions {
            options: serde_json::from_str(r#"{"obs_type": "state"}"#).unwrap(),
            ..TaskOptions::default()
        };
        for name in ["drive", "drive-pixels", "door", "kitchen", "carracing"] {
            let error = named(name, &options, &|_| ()).err().expect("no options").to_string();
            assert!(error.contains(name) && error.contains("obs_type=state"), "{error}");
        }
    }

    #[test]
    fn actions_are_clipped_and_refused_when_nan_or_of_another_length() {
        let mut usable = [0.0; 2];
        check_action(&[f32::INFINITY, -3.0], &mut usable).unwrap();
        assert_eq!(usable, [1.0, -1.0]);
        let nan = check_action(&[0.0, f32::NAN], &mut usable).unwrap_err();
        assert!(nan.to_string().contains("NaN as number 1"), "{nan}");
        let short = check_action(&[0.0], &mut usable).unwrap_err().to_string();
        assert!(short.contains("2 values") && short.contains("1 values"), "{short}");
    }
}
