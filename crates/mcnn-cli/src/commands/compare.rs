//! `mcnn compare`.

use mcnn::{
    Result,
    act::Act,
    eval::{Comparison, compare},
    seed::Seed,
    vision::EncodedPolicy,
};
use serde::Serialize;

use super::{
    Done,
    eval::{Evaluated, episodes, evaluated, stem},
};
use crate::{actor::Actor, args::CompareArgs, print, tasks};

/// What a comparison came to.
#[derive(Serialize)]
pub struct Compared {
    /// Each policy, in the order given.
    pub policies: Vec<Evaluated>,
    /// The files' names, in the same order.
    pub files: Vec<String>,
    /// Each policy less each later one, on the same episodes.
    pub differences: Vec<Comparison>,
}

pub fn run(args: &CompareArgs) -> Result<Done> {
    let actors = args.policies.iter().map(|p| Actor::read(p)).collect::<Result<Vec<_>>>()?;
    let files: Vec<String> = args.policies.iter().map(|p| stem(p)).collect();
    let task = tasks::named(&args.episodes.task, args.episodes.rollouts.reward)?;
    let mut runs = Vec::new();
    for (actor, name) in actors.iter().zip(&files) {
        let encoder = actor.encoder(task.spec(), &args.encoder).map_err(|e| e.within(name))?;
        let sighted = encoder.as_ref().map(|encoder| EncodedPolicy::new(encoder, actor.act())).transpose()?;
        let act: &dyn Act = sighted.as_ref().map_or(actor.act(), |sighted| sighted);
        runs.push((name.clone(), episodes(act, task.as_ref(), &args.episodes, name)?));
    }
    let named: Vec<(&str, &[_])> = runs.iter().map(|(name, run)| (name.as_str(), run.as_slice())).collect();
    let differences = compare(&named, task.spec(), Seed(args.episodes.rollouts.seed()).fork("bootstrap"))?;
    let policies = actors
        .iter()
        .zip(&runs)
        .map(|(actor, (_, run))| evaluated(actor, task.as_ref(), run, args.episodes.rollouts.seed()))
        .collect();
    let report = Compared { policies, files, differences };
    let failed = report.policies.iter().any(|p| p.summary.failed > 0);
    Ok(Done::new(&report, print::compared(&report)).failed_if(failed))
}
