//! `mcnn compare`: paired comparison of policies on the same episodes of a task.

use mcnn::{
    Result,
    act::Act,
    eval::{Comparison, compare},
    seed::Seed,
    vision::EncodedPolicy,
};
use serde::Serialize;

use super::{
    Done, claim,
    eval::{EvalReport, episodes, evaluated},
};
use crate::{
    actor::Actor,
    args::CompareArgs,
    beside::stem,
    print,
    say::say,
    tasks,
    video::{Label, Recorded, RecordedPolicy, Recorder},
};

/// The results of a comparison.
#[derive(Serialize)]
pub struct CompareReport {
    /// The results of each policy, in the order given.
    pub policies: Vec<EvalReport>,
    /// The files' names without extension, in the same order.
    pub files: Vec<String>,
    /// Paired differences: each policy minus each later one, on the same episodes.
    pub differences: Vec<Comparison>,
    /// The video of --video: the policies side by side.
    pub video: Option<Recorded>,
}

pub fn run(args: &CompareArgs) -> Result<Done> {
    let _claim = args.video.video.as_deref().map(claim).transpose()?;
    let actors = args.policies.iter().map(|p| Actor::read(p)).collect::<Result<Vec<_>>>()?;
    let files: Vec<String> = args.policies.iter().map(|p| stem(p)).collect();
    // Fail before the episodes are run if the video cannot be recorded.
    let recorder =
        args.video.video.as_deref().map(|path| Recorder::open(path, &args.episodes)).transpose()?;
    let task = tasks::named(&args.episodes.task, &args.episodes.rollouts.settings.options())?;
    let encoders = actors
        .iter()
        .zip(&files)
        .map(|(actor, name)| actor.encoder(task.spec(), &args.encoder).map_err(|e| e.within(name)))
        .collect::<Result<Vec<_>>>()?;
    let encoded = actors
        .iter()
        .zip(&encoders)
        .map(|(actor, encoder)| encoder.as_ref().map(|e| EncodedPolicy::new(e, actor.act())).transpose())
        .collect::<Result<Vec<_>>>()?;
    let acts: Vec<&dyn Act> = actors
        .iter()
        .zip(&encoded)
        .map(|(actor, encoded)| encoded.as_ref().map_or(actor.act(), |encoded| encoded as &dyn Act))
        .collect();
    let mut runs = Vec::new();
    for (act, name) in acts.iter().zip(&files) {
        runs.push((name.clone(), episodes(*act, task.as_ref(), &args.episodes, name)?));
    }
    let named: Vec<(&str, &[_])> = runs.iter().map(|(name, run)| (name.as_str(), run.as_slice())).collect();
    let differences = compare(&named, task.spec(), Seed(args.episodes.rollouts.seed()).fork("bootstrap"))?;
    let policies = actors
        .iter()
        .zip(&runs)
        .map(|(actor, (_, run))| evaluated(actor, task.as_ref(), run, args.episodes.rollouts.seed()))
        .collect();
    let mut report = CompareReport { policies, files, differences, video: None };
    let mut failed = report.policies.iter().any(|p| p.summary.failed > 0);
    if let Some(recorder) = recorder {
        let recorded: Vec<RecordedPolicy> = actors
            .iter()
            .zip(&acts)
            .zip(&report.files)
            .map(|((actor, act), file)| RecordedPolicy {
                act: *act,
                policy: actor.policy(),
                label: Some(label(&actor.name(), file)),
            })
            .collect();
        match recorder.record(&recorded, args.episodes.rollouts.seed(), &args.video) {
            Ok(video) => report.video = Some(video),
            // The comparison is reported even if its video failed.
            Err(error) => {
                say(format!("error: {error}"));
                failed = true;
            }
        }
    }
    let interrupted = report.video.as_ref().is_some_and(|video| video.interrupted);
    let done = Done::new(&report, print::compare(&report));
    Ok(Done { exit_code: if interrupted { 130 } else { 0 }, ..done }.failed_if(failed))
}

/// The caption above a policy's frames: the method, and below it the file's name and the settings.
fn label(name: &str, file: &str) -> Label {
    let (title, settings) = name.split_once(", ").unwrap_or((name, ""));
    let detail = if settings.is_empty() { file.into() } else { format!("{file}: {settings}") };
    Label { title: title.into(), detail }
}
