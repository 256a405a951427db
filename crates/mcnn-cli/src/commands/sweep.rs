//! `mcnn sweep`.

use std::{
    collections::HashMap,
    fs::File,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use mcnn::{Error, Result, data::regular, error::Kind};
use serde::Serialize;

use super::{Done, claim};
use crate::{
    args::SweepArgs,
    interrupt, print,
    progress::Progress,
    say::say,
    sweep::{
        one::{self, Shared},
        plan,
        prepared::Prepared,
        results::{self, Line, Results},
        settings::Settings,
    },
};

/// The results of a sweep.
#[derive(Serialize)]
pub struct SweepReport {
    pub plan: String,
    pub file: String,
    /// The part of the plan, as I/N; null for all of it.
    pub shard: Option<String>,
    /// Runs of the plan, or of the shard.
    pub runs: usize,
    /// Runs that the file had before.
    pub already_done: usize,
    /// Runs completed now, failed ones included.
    pub completed: usize,
    /// Runs still to do.
    pub remaining: usize,
    /// Runs of the plan that failed, now or before.
    pub failed: Vec<Failed>,
    /// With --dry-run: the settings of the runs to do.
    pub planned: Vec<Settings>,
    pub dry_run: bool,
    pub interrupted: bool,
    pub seconds: f64,
}

/// A run that failed.
#[derive(Serialize, Clone)]
pub struct Failed {
    pub settings: Settings,
    pub error: String,
}

pub fn run(args: &SweepArgs) -> Result<Done> {
    let start = Instant::now();
    let _claim = if args.dry_run { None } else { Some(claim(&args.path)?) };
    let runs = plan::read(&args.plan)?;
    let runs = match args.shard {
        Some(shard) => shard.of(runs)?,
        None => runs,
    };
    let prepared = Prepared::read(&args.plan, &runs)?;
    let log = |line: &str| say(line);
    let (results, existing) = if args.dry_run {
        if args.path.exists() {
            regular(&args.path)?;
        }
        let lines =
            File::open(&args.path).map(|file| results::read(&args.path, &file).map(|(lines, _)| lines));
        (None, lines.unwrap_or_else(|_| Ok(Vec::new()))?)
    } else {
        let (results, lines) = Results::open(&args.path, &log)?;
        (Some(results), lines)
    };
    let existing: HashMap<(String, String), Line> = existing.into_iter().map(|l| (l.key(), l)).collect();
    let old = |run: &Settings| existing.get(&prepared.key(run));
    let repeat = |line: &Line| args.retry_failed && line.error.is_some();
    let (done, todo): (Vec<&Settings>, Vec<&Settings>) =
        runs.iter().partition(|run| old(run).is_some_and(|line| !repeat(line)));
    let failed = done
        .iter()
        .filter_map(|run| {
            let error = old(run)?.error.clone()?;
            Some(Failed { settings: (*run).clone(), error })
        })
        .collect();
    let mut report = SweepReport {
        plan: args.plan.display().to_string(),
        file: args.path.display().to_string(),
        shard: args.shard.map(|shard| shard.to_string()),
        runs: runs.len(),
        already_done: done.len(),
        completed: 0,
        remaining: todo.len(),
        failed,
        planned: Vec::new(),
        dry_run: args.dry_run,
        interrupted: false,
        seconds: 0.0,
    };
    if let Some(results) = &results {
        let (completed, failed) = run_parallel(&prepared, &todo, results, args.threads)?;
        report.completed = completed;
        report.remaining -= completed;
        report.failed.extend(failed);
        report.interrupted = report.remaining > 0;
    } else {
        report.planned = todo.into_iter().cloned().collect();
    }
    report.seconds = start.elapsed().as_secs_f64();
    let done = Done::new(&report, print::sweep(&report)).failed_if(!report.failed.is_empty());
    Ok(if report.interrupted { Done { exit_code: 130, ..done } } else { done })
}

/// The runs in groups that may share their training, in the order of the plan.
fn groups<'a>(todo: &[&'a Settings]) -> Vec<Vec<&'a Settings>> {
    let mut groups: Vec<Vec<&Settings>> = Vec::new();
    let mut of_key = HashMap::new();
    for &run in todo {
        let group = *of_key.entry(run.training_key()).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(run);
    }
    groups
}

/// Does the runs, `threads` groups in parallel. Returns how many were completed, and those that failed.
fn run_parallel(
    prepared: &Prepared,
    todo: &[&Settings],
    results: &Results,
    threads: Option<usize>,
) -> Result<(usize, Vec<Failed>)> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = threads.unwrap_or(cores);
    if threads == 0 || threads > 1024 {
        return Err(Error::new(Kind::Settings, "threads out of range")
            .at("--threads")
            .expected("1 to 1024")
            .found(threads.to_string()));
    }
    let shared = Shared::new(prepared.task(), interrupt::flag());
    let (groups, next) = (groups(todo), AtomicUsize::new(0));
    let progress = Mutex::new((0, Vec::new(), Progress::new("runs", 0, todo.len() as u64)));
    let work = || -> Result<()> {
        // Each run has a pool of one thread, so that runs do not wait for each other. Results do not depend on it.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(super::no_threads)?;
        while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut trained = None;
            for run in group {
                let line = pool.install(|| one::run(&shared, prepared.inputs(run), run, &mut trained));
                let Some(line) = line else {
                    return Ok(());
                };
                if let Err(error) = results.append(&line) {
                    shared.stop.store(true, Ordering::Relaxed); // a full disk would fail every later run
                    return Err(error);
                }
                let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
                progress.0 += 1;
                let done = progress.0;
                progress.2.at(done, line.error.as_deref().map_or("done", |_| "failed"));
                progress.1.extend(line.error.map(|error| Failed { settings: line.settings, error }));
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(groups.len())).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a run does not panic"))
    })?;
    let (completed, failed, _) = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((completed as usize, failed))
}
