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

use mcnn::{
    Error, Result,
    data::{Demonstrations, regular},
    error::Kind,
    task::Task,
    vision::Encoder,
};
use serde::Serialize;

use super::{
    Done, claim,
    recordings::{Recordings, read_to_learn},
};
use crate::{
    args::{EpisodeArgs, SweepArgs},
    interrupt, print,
    progress::Progress,
    say::say,
    sweep::{
        one::{self, Shared},
        plan,
        results::{self, Line, Results},
        settings::Settings,
    },
    task_encoder, tasks,
};

/// The results of a sweep.
#[derive(Serialize)]
pub struct SweepReport {
    pub plan: String,
    pub file: String,
    /// Runs of the plan.
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
    let data = data(args, &runs)?;
    let task =
        tasks::named(&runs[0].task, &runs[0].task_options()).map_err(|e| e.within(args.plan.display()))?;
    let encoders = encoders(args, task.as_ref(), &runs, &data)?;
    let log = |line: &str| say(line);
    if args.path.exists() {
        regular(&args.path)?;
    }
    let (results, existing) = if args.dry_run {
        let lines =
            File::open(&args.path).map(|file| results::read(&args.path, &file).map(|(lines, _)| lines));
        (None, lines.unwrap_or_else(|_| Ok(Vec::new()))?)
    } else {
        let (results, lines) = Results::open(&args.path, &log)?;
        (Some(results), lines)
    };
    let existing: HashMap<(String, String), Line> = existing.into_iter().map(|l| (l.key(), l)).collect();
    let old = |run: &Settings| existing.get(&(run.key(), data[&run.data].1.clone()));
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
        let shared = Shared::new(task.as_ref(), interrupt::flag());
        let (completed, failed) = run_parallel(&shared, &todo, (&data, &encoders), results, args.threads)?;
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

type Data = HashMap<String, (Demonstrations, String)>;

/// Reads every data file of the plan once. Values are the demonstrations and their fingerprint, by file.
fn data(args: &SweepArgs, runs: &[Settings]) -> Result<Data> {
    let mut all = Data::new();
    for (i, run) in runs.iter().enumerate() {
        if !all.contains_key(&run.data) {
            let place = || format!("{}: data, {:?}", args.plan.display(), runs[i].data);
            let (file, everything) = ([run.file(&args.plan)], EpisodeArgs::default());
            let Recordings { data, warnings } =
                read_to_learn(&file, &run.input(), &everything, &run.units(), None)
                    .map_err(|e| e.within(place()))?;
            warnings.iter().for_each(|warning| say(format!("warning: {}: {warning}", file[0].display())));
            let print = data.fingerprint();
            all.insert(run.data.clone(), (data, print));
        }
    }
    Ok(all)
}

/// The encoder of the policies of each data file; `None` for plain states.
type Encoders = HashMap<String, Option<Encoder>>;

/// Finds the encoder of each data file, and checks that the data fit the task.
fn encoders(args: &SweepArgs, task: &dyn Task, runs: &[Settings], data: &Data) -> Result<Encoders> {
    let spec = task.spec();
    let mut encoders = Encoders::new();
    for run in runs {
        if encoders.contains_key(&run.data) {
            continue;
        }
        let data = &data[&run.data].0;
        let place = |e: Error| e.within(format!("data, {:?}", run.data));
        let encoder =
            task_encoder::for_states(data.encoding(), data.n_obs(), None, spec, &run.weights(&args.plan)?)
                .map_err(place)?;
        let n_obs = encoder.as_ref().map_or(spec.n_obs, Encoder::width);
        if (data.n_obs(), data.n_act()) != (n_obs, spec.n_act) {
            let widths = |obs, act| format!("{obs}-dimensional observations, {act}-dimensional actions");
            return Err(Error::new(Kind::Mismatch, "the demonstrations do not fit the task")
                .at(format!("task {:?}, data {:?}", spec.name, run.data))
                .expected(widths(n_obs, spec.n_act))
                .found(widths(data.n_obs(), data.n_act()))
                .next("name the task the demonstrations came from"));
        }
        encoders.insert(run.data.clone(), encoder);
    }
    Ok(encoders)
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
    shared: &Shared,
    todo: &[&Settings],
    (data, encoders): (&Data, &Encoders),
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
    let (groups, next) = (groups(todo), AtomicUsize::new(0));
    let progress = Mutex::new((0, Vec::new(), Progress::new("runs", 0, todo.len() as u64)));
    let work = || -> Result<()> {
        // Each run has a pool of one thread, so that runs do not wait for each other. Results do not depend on it.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(super::no_threads)?;
        while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut trained = None;
            for run in group {
                let data = (&data[&run.data].0, encoders[&run.data].as_ref());
                let Some(line) = pool.install(|| one::run(shared, data, run, &mut trained)) else {
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
