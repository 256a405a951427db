//! The states that a policy visits in closed loop.

use mcnn::{
    Error, Result,
    act::Act,
    data::{ActionRange, ActionUnits, Demonstrations, Parts},
    error::Kind,
    eval::collect,
    vision::{EncodedPolicy, Encoder},
};

use super::eval::{first_failure, progress_of};
use crate::{
    actor::Actor,
    args::{Rollouts, TaskEncoderArgs},
    tasks,
};

/// Runs the episodes and returns the visited states (as episodes of demonstrations) and the seed of each episode.
pub fn visited(
    actor: &Actor,
    task: Option<&str>,
    rollouts: &Rollouts,
    given: &TaskEncoderArgs,
) -> Result<(Demonstrations, Vec<u64>)> {
    let Some(task) = task else {
        return Err(Error::new(Kind::Settings, "visited states need a task")
            .at("--visited")
            .expected("--task"));
    };
    let task = tasks::named(task, &rollouts.settings.options())?;
    let run = rollouts.run()?;
    let progress = progress_of("running", run.episodes);
    let encoder = actor.encoder(task.spec(), given)?;
    let encoded = encoder.as_ref().map(|encoder| EncodedPolicy::new(encoder, actor.act())).transpose()?;
    let act: &dyn Act = encoded.as_ref().map_or(actor.act(), |encoded| encoded);
    let mut collected = collect(act, task.as_ref(), &run, &|episode| {
        progress(episode);
        true
    })?;
    if let Some(failure) = first_failure(&collected.failed) {
        return Err(
            Error::new(Kind::Task, "an episode failed, so not all visited states are known").found(failure)
        );
    }
    let seeds = collected.episodes.iter().map(|e| e.seed).collect();
    let units = actor.policy().map_or_else(ActionUnits::default, |p| p.codebook().units().clone());
    let parts = Parts {
        n_obs: encoder.as_ref().map_or(task.spec().n_obs, Encoder::width),
        n_act: task.spec().n_act,
        states: collected.take_policy_states(),
        actions: collected.actions,
        rewards: None,
        ends: collected.ends,
    };
    Ok((as_demonstrations(parts, units)?, seeds))
}

/// The steps that an actor took, as demonstrations in its units. An amplitude above 1 allows actions outside [-1, 1], which the
/// tasks clip.
///
/// # Errors
/// As [`Demonstrations::new`].
pub fn as_demonstrations(mut parts: Parts, units: ActionUnits) -> Result<Demonstrations> {
    units.to_scaled(&parts.states, parts.n_obs, &mut parts.actions);
    parts.actions.iter_mut().for_each(|a| *a = a.clamp(-1.0, 1.0));
    Ok(Demonstrations::new(parts, ActionRange::Refuse)?.with_units(units))
}
