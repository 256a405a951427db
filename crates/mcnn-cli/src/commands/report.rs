//! `mcnn report`.

use std::path::{Path, PathBuf};

use mcnn::{
    Error, Result,
    act::Act,
    atomic::{self, Claim},
    data::{Demonstrations, Parts, Step},
    error::Kind,
    eval::{Collected, Run, collect},
    file,
    policy::Policy,
    vision::EncodedPolicy,
};
use serde::Serialize;

use super::{
    Done, claim_output,
    eval::{first_failure, progress_of},
    names,
    recordings::read_as_learned,
    visited::as_demonstrations,
};
use crate::{
    args::{Output, ReportArgs},
    plot, print,
    report::{
        Page,
        build::{self, Labels, SHOWN, Source},
        html,
    },
    run_folder::{Logged, RunFolder},
    task_encoder, tasks,
};

/// The page written.
#[derive(Serialize)]
pub struct PageReport {
    pub file: String,
    pub bytes: usize,
    /// Fingerprint of the policy.
    pub fingerprint: String,
    pub memories: usize,
    pub memories_drawn: usize,
    /// States of the data.
    pub states: usize,
    /// States visited in closed loop.
    pub visited_states: usize,
    /// The episodes shown step by step.
    pub episodes: Vec<ShownEpisode>,
    /// Points of the training curve.
    pub loss_points: usize,
    /// Figures written.
    pub plots: Vec<String>,
    /// What the page leaves out, and why.
    pub notes: Vec<String>,
}

/// An episode shown step by step.
#[derive(Serialize)]
pub struct ShownEpisode {
    /// Whether it is a rollout of the policy; else it is an episode of the data.
    pub visited: bool,
    pub number: u32,
    /// Steps on the page.
    pub steps: usize,
    /// Steps of the episode.
    pub length: usize,
}

/// The figures of `--plots`.
const PLOTS: [&str; 3] = ["codebook", "coverage", "episode"];

/// The files of a figure.
fn files(folder: &Path, name: &str) -> [PathBuf; 2] {
    ["svg", "png"].map(|ending| folder.join(format!("{name}.{ending}")))
}

pub fn run(args: &ReportArgs) -> Result<Done> {
    let _claims = claims(args)?;
    let (policy, fingerprint) = file::read_policy(&args.policy)?;
    let policy = args.knobs.apply(policy)?;
    let codebook = policy.codebook();
    let data = read_as_learned(&args.data, &args.options, policy.codebook())?;
    codebook.check_space(&data).map_err(|e| e.within(args.data.display()))?;
    let widths = [codebook.n_obs(), codebook.n_act()];
    let names = names(&args.names, widths, &[&codebook.parts().names, data.names()])?;
    let mut notes = Vec::new();
    let visited = args.task.as_deref().map(|task| visit(args, &policy, task, &mut notes)).transpose()?;
    let wanted = wanted(args, &data, visited.as_ref())?;

    let losses = losses(&args.policy, &policy, &mut notes);
    let labels = Labels {
        file: args.policy.display().to_string(),
        fingerprint: fingerprint.clone(),
        data: args.data.display().to_string(),
        names,
        task: args.task.clone(),
    };
    let source = Source { policy: &policy, data: &data, visited: visited.as_ref(), shown: wanted };
    let page = build::page(&source, labels, losses, notes)?;
    let text = html(&page);
    atomic::write(&args.output.path, text.as_bytes())?;
    let plots = pictures(args, &page)?;
    let report = PageReport {
        file: args.output.path.display().to_string(),
        bytes: text.len(),
        fingerprint,
        memories: codebook.len(),
        memories_drawn: page.map.memories.len(),
        states: data.n_steps(),
        visited_states: visited.as_ref().map_or(0, |(v, _)| v.n_steps()),
        episodes: page
            .episodes
            .iter()
            .map(|e| ShownEpisode {
                visited: e.visited,
                number: e.number,
                steps: e.steps.len(),
                length: e.length,
            })
            .collect(),
        loss_points: page.losses.len(),
        plots,
        notes: page.notes,
    };
    Ok(Done::new(&report, print::report(&report)))
}

/// Claims all outputs.
fn claims(args: &ReportArgs) -> Result<Vec<Claim>> {
    let mut claims = vec![claim_output(&args.output)?];
    if let Some(folder) = &args.plots {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("creating the folder", folder, &e))?;
        for path in PLOTS.iter().flat_map(|name| files(folder, name)) {
            claims.push(claim_output(&Output { path, force: args.output.force })?);
        }
    }
    Ok(claims)
}

/// Runs the task. Returns the visited states as demonstrations, and the rollouts.
fn visit(
    args: &ReportArgs,
    policy: &Policy,
    task: &str,
    notes: &mut Vec<String>,
) -> Result<(Demonstrations, Collected)> {
    let task = tasks::named(task, &args.rollouts.settings.options())?;
    let encoder = task_encoder::for_policy(policy, task.spec(), &args.encoder.weights)?;
    let encoded = encoder.as_ref().map(|encoder| EncodedPolicy::new(encoder, policy)).transpose()?;
    let act: &dyn Act = encoded.as_ref().map_or(policy, |encoded| encoded);
    let run = Run { trace: true, ..args.rollouts.run()? };
    let progress = progress_of("running", run.episodes);
    let mut all = collect(act, task.as_ref(), &run, &|episode| {
        progress(episode);
        true
    })?;
    if let Some(failure) = first_failure(&all.failed) {
        if all.episodes.is_empty() {
            return Err(Error::new(Kind::Task, "every episode failed").found(failure));
        }
        notes.push(format!(
            "{} of {} episodes failed and are left out: {failure}",
            all.failed.len(),
            run.episodes
        ));
    }
    let parts = Parts {
        n_obs: policy.codebook().n_obs(),
        n_act: policy.codebook().n_act(),
        states: all.take_policy_states(),
        actions: std::mem::take(&mut all.actions),
        rewards: None,
        ends: std::mem::take(&mut all.ends),
    };
    Ok((as_demonstrations(parts, policy.codebook().units().clone())?, all))
}

/// The episodes to show, as positions in the data and in the rollouts.
fn wanted(
    args: &ReportArgs,
    data: &Demonstrations,
    visited: Option<&(Demonstrations, Collected)>,
) -> Result<[Vec<usize>; 2]> {
    let run = visited.map_or(0, |(v, _)| v.n_episodes());
    if args.show_episodes.is_empty() {
        return Ok([data.n_episodes(), run].map(|n| (0..n.min(SHOWN)).collect()));
    }
    let at = |k: usize| {
        let start = u32::try_from(k).ok().and_then(|episode| data.find(Step { episode, step: 0 }));
        start.map(|i| data.episode_of(i))
    };
    if let Some(k) = args.show_episodes.iter().find(|&&k| at(k).is_none() && k >= run) {
        return Err(Error::new(Kind::Settings, "there is no such episode")
            .at(format!("--show-episodes {k}"))
            .expected(format!("0 to {}", data.n_episodes().max(run) - 1)));
    }
    let mut named = args.show_episodes.clone();
    named.sort_unstable();
    named.dedup();
    let of_data = named.iter().filter_map(|&k| at(k)).collect();
    Ok([of_data, named.into_iter().filter(|&k| k < run).collect()])
}

fn losses(path: &Path, policy: &Policy, notes: &mut Vec<String>) -> Vec<Logged> {
    let folder = RunFolder::beside(path);
    if folder.check_owner().is_err() {
        notes.push(format!("No training curve: {} belongs to another policy.", folder.path().display()));
        return Vec::new();
    }
    let losses = folder.logged();
    match losses.last() {
        None => notes.push(format!("No training curve: there is no log in {}.", folder.path().display())),
        Some(last) if last.step != policy.training_record().steps => notes.push(format!(
            "The training log ends at step {}, but the policy was trained for {}: it may be another run's.",
            last.step,
            policy.training_record().steps
        )),
        Some(_) => {}
    }
    losses
}

fn pictures(args: &ReportArgs, page: &Page) -> Result<Vec<String>> {
    let Some(folder) = &args.plots else { return Ok(Vec::new()) };
    let drawn = [
        plot::report::codebook(&page.map, page.episodes.first()),
        plot::report::coverage(&page.coverage, page.about.far),
        plot::report::episode(page.episodes.first(), page.about.far),
    ];
    let mut paths = Vec::new();
    for (name, picture) in PLOTS.iter().zip(drawn) {
        for path in files(folder, name) {
            plot::write(&path, &picture)?;
            paths.push(path.display().to_string());
        }
    }
    Ok(paths)
}
