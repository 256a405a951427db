//! `mcnn compare`.

use mcnn::{
    Result,
    eval::{Comparison, compare},
    file,
    seed::Seed,
};
use serde::Serialize;

use super::{
    Done,
    eval::{Evaluated, episodes, evaluated, stem, task},
};
use crate::{args::CompareArgs, print};

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
    let policies = args.policies.iter().map(|p| file::read_policy(p)).collect::<Result<Vec<_>>>()?;
    let files: Vec<String> = args.policies.iter().map(|p| stem(p)).collect();
    let task = task(&args.episodes)?;
    let mut runs = Vec::new();
    for ((policy, _), name) in policies.iter().zip(&files) {
        runs.push((name.clone(), episodes(policy, task.as_ref(), &args.episodes, name)?));
    }
    let named: Vec<(&str, &[_])> = runs.iter().map(|(name, run)| (name.as_str(), run.as_slice())).collect();
    let differences = compare(&named, task.spec(), Seed(args.episodes.seed).fork("bootstrap"))?;
    let policies = policies
        .into_iter()
        .zip(&runs)
        .map(|((policy, print), (_, run))| evaluated(&policy, print, task.as_ref(), run, args.episodes.seed))
        .collect();
    let report = Compared { policies, files, differences };
    let failed = report.policies.iter().any(|p| p.summary.failed > 0);
    Ok(Done::new(&report, print::compared(&report)).failed_if(failed))
}
