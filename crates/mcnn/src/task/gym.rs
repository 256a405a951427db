//! Any Gymnasium environment as a task, and the Adroit tasks by D4RL's rules.

use super::{
    Environment, Outcome, Spec, Task,
    adroit::{Adroit, Rewards, Rules},
    check_action,
    worker::Worker,
};
use crate::error::{Error, Kind, Result};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The horizon of an environment that does not say one.
pub const HORIZON: usize = 1000;

/// A task whose copies are Python processes.
#[derive(Debug)]
pub struct Gym {
    spec: Spec,
    id: String, // as gymnasium.make takes it
    adroit: Option<(Adroit, Rewards)>,
    python: PathBuf,
    first: Mutex<Option<Worker>>, // the one that told the spec, for the first who starts
}

impl Gym {
    /// The environment that `gymnasium.make(id)` makes, under a Python interpreter that has gymnasium. Success is the
    /// `success` or `is_success` that its steps report, once it was true.
    ///
    /// # Errors
    /// If the environment cannot be made, or its spaces are not real numbers.
    pub fn new(id: &str, python: &Path) -> Result<Self> {
        let worker = Worker::start(python, id)?;
        let hello = worker.hello();
        let spec = Spec {
            name: format!("gym:{id}"),
            n_obs: hello.n_obs,
            n_act: hello.n_act,
            horizon: hello.horizon.unwrap_or(HORIZON),
            reference: None,
            parts: Vec::new(),
        };
        Ok(Self {
            spec,
            id: id.to_owned(),
            adroit: None,
            python: python.to_owned(),
            first: Mutex::new(Some(worker)),
        })
    }

    /// An Adroit task by D4RL's rules.
    pub fn adroit(task: Adroit, rewards: Rewards, python: &Path) -> Self {
        Self {
            spec: task.spec(),
            id: task.id().to_owned(),
            adroit: Some((task, rewards)),
            python: python.to_owned(),
            first: Mutex::new(None),
        }
    }
}

impl Task for Gym {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn start(&self) -> Result<Box<dyn Environment>> {
        let kept = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let worker = match kept {
            Some(worker) => worker,
            None => Worker::start(&self.python, &self.id)?,
        };
        let hello = worker.hello();
        if (hello.n_obs, hello.n_act) != (self.spec.n_obs, self.spec.n_act) {
            let widths = |obs, act| format!("{obs} numbers in an observation, {act} in an action");
            return Err(Error::new(Kind::Task, "the environment is not the one that was expected")
                .at(self.spec.name.clone())
                .expected(widths(self.spec.n_obs, self.spec.n_act))
                .found(widths(hello.n_obs, hello.n_act)));
        }
        Ok(Box::new(Copy {
            worker,
            rules: self.adroit.map(|(task, rewards)| Rules::new(task, rewards)),
            success: None,
            action: vec![0.0; self.spec.n_act],
        }))
    }
}

/// One running copy.
struct Copy {
    worker: Worker,
    rules: Option<Rules>,
    success: Option<bool>, // so far in the episode
    action: Vec<f32>,      // [n_act], scratch
}

impl Environment for Copy {
    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        let answer = self.worker.reset(seed)?;
        if let Some(rules) = &mut self.rules {
            rules.reset();
        }
        self.success = answer.success;
        write(&answer.observation, observation);
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Result<Outcome> {
        check_action(action, &mut self.action)?;
        let answer = self.worker.step(&self.action)?;
        write(&answer.observation, observation);
        if let Some(rules) = &mut self.rules {
            return Ok(rules.apply(&answer));
        }
        if let Some(now) = answer.success {
            self.success = Some(self.success.unwrap_or(false) || now);
        }
        Ok(Outcome {
            reward: answer.reward,
            done: answer.done,
            success: self.success,
            goal: answer.success.unwrap_or(false),
            parts: 0,
        })
    }
}

fn write(from: &[f64], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from as f32;
    }
}
