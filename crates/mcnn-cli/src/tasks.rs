//! Tasks by name. The Adroit tasks run in this process if they are built in; all others run as the library has them.

use mcnn::{
    Result,
    task::{
        self, Task,
        adroit::{Adroit, Rewards},
        drive::Drive,
    },
};

use crate::say::say;

/// The task with this name (see [`task::named`]). Its preparation reports to stderr. The observations and rewards of an Adroit
/// task are the same in this process and in Python; frames are rendered in Python only.
///
/// # Errors
/// If there is no such task, or its simulator cannot be prepared.
pub fn named(name: &str, rewards: Rewards) -> Result<Box<dyn Task>> {
    match Adroit::ALL.into_iter().find(|task| task.name() == name) {
        Some(task) => adroit_task(task, rewards),
        None => in_library(name, rewards),
    }
}

/// The task with this name in a simulator that renders frames, which is never the one in this process.
///
/// # Errors
/// If there is no such task, or its simulator cannot be prepared.
pub fn drawn(name: &str, rewards: Rewards) -> Result<Box<dyn Task>> {
    in_library(name, rewards)
}

/// The task with these observation and action dimensions.
pub fn with_dimensions(n_obs: usize, n_act: usize) -> Option<String> {
    let adroit = Adroit::ALL.into_iter().map(Adroit::spec);
    let mut all = adroit.chain([task::kitchen::spec(), Drive::new().spec().clone()]);
    all.find(|spec| (spec.n_obs, spec.n_act) == (n_obs, n_act)).map(|spec| spec.name)
}

fn in_library(name: &str, rewards: Rewards) -> Result<Box<dyn Task>> {
    task::named(name, rewards, &|line| say(line))
}

#[cfg(feature = "adroit")]
fn adroit_task(task: Adroit, rewards: Rewards) -> Result<Box<dyn Task>> {
    Ok(Box::new(adroit::Hand::new(task, rewards)?))
}

#[cfg(not(feature = "adroit"))]
fn adroit_task(task: Adroit, rewards: Rewards) -> Result<Box<dyn Task>> {
    let name = task.name();
    say(format!(
        "{name} runs in Python; to build it into the program: python/get_mujoco.sh && cargo build --release --features adroit"
    ));
    in_library(name, rewards)
}
