//! The states that a policy visits in closed loop.

use mcnn::{
    Error, Result,
    act::Act,
    data::{ActionRange, Demonstrations, Parts},
    error::Kind,
    eval::collect,
};

use super::eval::{first_failure, told};
use crate::{args::Rollouts, tasks};

/// Those of the episodes asked for, and the seed of each.
pub fn visited(act: &dyn Act, task: Option<&str>, rollouts: &Rollouts) -> Result<(Demonstrations, Vec<u64>)> {
    let Some(task) = task else {
        return Err(Error::new(Kind::Settings, "visited states need a task")
            .at("--visited")
            .expected("--task"));
    };
    let task = tasks::named(task, rollouts.reward)?;
    let run = rollouts.run()?;
    let told = told("running", run.episodes);
    let collected = collect(act, task.as_ref(), &run, &|episode| {
        told(episode);
        true
    })?;
    if let Some(failure) = first_failure(&collected.failed) {
        return Err(Error::new(Kind::Task, "an episode failed, so that not all visited states are known")
            .found(failure));
    }
    let seeds = collected.episodes.iter().map(|e| e.seed).collect();
    let parts = Parts {
        n_obs: task.spec().n_obs,
        n_act: task.spec().n_act,
        states: collected.states,
        actions: collected.actions,
        rewards: None,
        ends: collected.ends,
    };
    Ok((Demonstrations::new(parts, ActionRange::Clip)?, seeds))
}
