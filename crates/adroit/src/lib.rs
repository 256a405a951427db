//! The four Adroit hand tasks (door, hammer, pen, relocate) in this process, on MuJoCo: the scenes, observations and
//! rewards of Gymnasium-Robotics 1.4.2, equal for equal seeds, with D4RL's rules ([`mcnn::task::adroit`]).
//!
//! MuJoCo's library is linked when this crate is built, and the scenes are read from the folder that
//! `python/get_mujoco.sh` creates ([`folder`]). The crate only implements [`Task`]; it does not depend on policies.

pub mod folder;
mod rotation;
mod scenes;
pub mod seeding;
mod simulation;

pub use simulation::Simulation;

use mcnn::{
    Error, Result,
    error::Kind,
    task::{
        Environment, Outcome, Spec, Task,
        adroit::{Adroit, Rewards, Rules},
        check_action,
    },
};
use mujoco_rs::wrappers::MjModel;
use std::path::Path;

/// A task with its compiled scene, which can be run in any number of copies, from any number of threads.
///
/// The first instance of a process installs a handler for MuJoCo's messages. A program that also uses MuJoCo itself must create
/// that instance before another thread calls MuJoCo.
#[derive(Debug)]
pub struct Hand {
    task: Adroit,
    rewards: Rewards,
    spec: Spec,
    model: MjModel,
}

impl Hand {
    /// Compiles the scene of a task from the folder of [`folder::find`].
    ///
    /// # Errors
    /// If there is no such folder, it has other versions, or the scene cannot be compiled.
    pub fn new(task: Adroit, rewards: Rewards) -> Result<Self> {
        Self::in_folder(&folder::find()?, task, rewards)
    }

    /// Compiles the scene of a task from a folder with `assets/` and `versions`.
    ///
    /// # Errors
    /// As [`Hand::new`].
    pub fn in_folder(folder: &Path, task: Adroit, rewards: Rewards) -> Result<Self> {
        folder::check(folder)?;
        let model = simulation::compile(&folder::scene(folder, task))?;
        let hand = Self { task, rewards, spec: task.spec_for(rewards), model };
        let simulation = hand.simulate()?;
        let (n_obs, n_act) = (simulation.answer().observation.len(), simulation.n_act());
        if (n_obs, n_act) != (hand.spec.n_obs, hand.spec.n_act) {
            let widths = |obs, act| format!("{obs}-dimensional observations, {act}-dimensional actions");
            return Err(Error::new(Kind::Task, "the scene is not that of the task")
                .at(folder::scene(folder, task).display().to_string())
                .expected(widths(hand.spec.n_obs, hand.spec.n_act))
                .found(widths(n_obs, n_act)));
        }
        Ok(hand)
    }

    /// A copy of the scene in double precision, without D4RL's rules: the results of Gymnasium-Robotics.
    ///
    /// # Errors
    /// If the scene does not have an element that the task needs.
    pub fn simulate(&self) -> Result<Simulation> {
        Simulation::new(self.task, self.model.clone())
    }
}

impl Task for Hand {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn start(&self) -> Result<Box<dyn Environment>> {
        Ok(Box::new(HandEnvironment {
            simulation: self.simulate()?,
            rules: Rules::new(self.task, self.rewards),
            action: vec![0.0; self.spec.n_act],
        }))
    }
}

/// A running copy of a task.
struct HandEnvironment {
    simulation: Simulation,
    rules: Rules,
    action: Vec<f32>, // [n_act], the last action, clipped
}

impl Environment for HandEnvironment {
    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        self.rules.reset();
        write(&self.simulation.reset(seed)?.observation, observation);
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Result<Outcome> {
        check_action(action, &mut self.action)?;
        let answer = self.simulation.step(&self.action)?;
        write(&answer.observation, observation);
        Ok(self.rules.apply(answer))
    }

    fn state(&self) -> Option<(&[f64], &[f64])> {
        Some(self.simulation.state())
    }
}

fn write(from: &[f64], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from as f32;
    }
}
