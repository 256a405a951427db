//! Tasks: observations out, actions in. The built-in `drive`, and any Gymnasium environment through a worker.

use crate::error::Result;

/// What a task is, before any copy of it runs.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Spec {
    /// The task's name as given to `--task`.
    pub name: String,
    /// Numbers in an observation.
    pub n_obs: usize,
    /// Numbers in an action, each in [-1, 1].
    pub n_act: usize,
    /// Steps after which an episode is cut.
    pub horizon: usize,
    /// Mean returns of a random and of an expert policy, for the score 100 (R - random) / (expert - random).
    pub reference: Option<[f64; 2]>,
}

/// A task that can be run in many copies at once.
pub trait Task: Sync {
    /// What the task is.
    fn spec(&self) -> &Spec;
    /// A fresh copy to run episodes in, on one thread.
    ///
    /// # Errors
    /// If the simulator cannot be started.
    fn start(&self) -> Result<Box<dyn Environment>>;
}

/// One running copy of a task.
pub trait Environment {
    /// Starts the episode that belongs to `seed` and writes its first observation (`[n_obs]`).
    ///
    /// # Errors
    /// If the simulator failed.
    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()>;

    /// Acts (`[n_act]`, each in [-1, 1]) and writes the next observation (`[n_obs]`).
    ///
    /// # Errors
    /// If the simulator failed.
    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Result<Outcome>;

    /// The position of whatever moves, for pictures: a point in the plane, where the task has one.
    fn position(&self) -> Option<[f32; 2]> {
        None
    }
}

/// What a step brought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Reward of this step.
    pub reward: f64,
    /// The episode is over (not counting the horizon, which the caller keeps).
    pub done: bool,
    /// The episode counts as a success from this step on, by the task's own rule.
    pub success: bool,
}
