//! Tasks by name. The Adroit tasks run in this process if they are built in; all others run as the library has them.

use mcnn::{
    Result,
    task::{
        self, Task, TaskOptions,
        adroit::{Adroit, Rewards},
        drive::Drive,
        pusht,
    },
};

use crate::say::say;

/// The task with this name (see [`task::named`]). Its preparation reports to stderr. The observations and rewards of an Adroit
/// task are the same in this process and in Python; frames are rendered in Python only.
///
/// # Errors
/// If there is no such task, or its simulator cannot be prepared.
pub fn named(name: &str, options: &TaskOptions) -> Result<Box<dyn Task>> {
    match Adroit::ALL.into_iter().find(|task| task.name() == name) {
        Some(task) if options.options.is_empty() => adroit_task(task, options.rewards),
        _ => in_library(name, options),
    }
}

/// The task with this name in a simulator that renders frames, which is never the one in this process.
///
/// # Errors
/// If there is no such task, or its simulator cannot be prepared.
pub fn drawn(name: &str, options: &TaskOptions) -> Result<Box<dyn Task>> {
    in_library(name, options)
}

/// The task with these observation and action dimensions in its default form.
pub fn with_dimensions(n_obs: usize, n_act: usize) -> Option<String> {
    let adroit = Adroit::ALL.into_iter().map(Adroit::spec);
    let pusht = pusht::spec(pusht::Observation::default());
    let mut all = adroit.chain([task::kitchen::spec(), Drive::new().spec().clone(), pusht]);
    all.find(|spec| (spec.n_obs, spec.n_act) == (n_obs, n_act)).map(|spec| spec.name)
}

fn in_library(name: &str, options: &TaskOptions) -> Result<Box<dyn Task>> {
    task::named(name, options, &|line| say(line))
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
    in_library(name, &rewards.into())
}
