//! `mcnn results`.

use mcnn::{Result, atomic};
use serde::Serialize;

use super::{Done, claim_output};
use crate::{
    args::{MergeArgs, ResultsArgs, ResultsVerb},
    print,
    say::say,
    sweep::{merge, plan, settings::Settings},
};

/// Results of several files as one.
#[derive(Serialize)]
pub struct MergeReport {
    pub plan: String,
    pub file: String,
    pub merged: Vec<MergedFile>,
    /// Runs of the plan.
    pub runs: usize,
    /// Runs with a result, failed ones included.
    pub completed: usize,
    /// Runs that failed.
    pub failed: usize,
    /// Results that were in several files, and are in the merged one once.
    pub repeated: usize,
    /// Runs of the plan without a result.
    pub missing: Vec<Settings>,
}

/// A file that was merged.
#[derive(Serialize)]
pub struct MergedFile {
    pub file: String,
    pub runs: usize,
}

pub fn run(args: &ResultsArgs) -> Result<Done> {
    match &args.verb {
        ResultsVerb::Merge(args) => merge(args),
    }
}

fn merge(args: &MergeArgs) -> Result<Done> {
    let _claim = claim_output(&args.output)?;
    let plan = plan::read(&args.plan)?;
    let merged = merge::merge(&plan, &args.results, &|line| say(line))?;
    let text: String = merged.lines.iter().flat_map(|(_, line)| [line, "\n"]).collect();
    atomic::write(&args.output.path, text.as_bytes())?;
    let files = args.results.iter().zip(merged.counts);
    let report = MergeReport {
        plan: args.plan.display().to_string(),
        file: args.output.path.display().to_string(),
        merged: files.map(|(path, runs)| MergedFile { file: path.display().to_string(), runs }).collect(),
        runs: plan.len(),
        completed: merged.lines.len(),
        failed: merged.lines.iter().filter(|(line, _)| line.error.is_some()).count(),
        repeated: merged.repeated,
        missing: merged.missing,
    };
    Ok(Done::new(&report, print::merge(&report)))
}
