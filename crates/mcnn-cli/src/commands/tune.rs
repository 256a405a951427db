//! `mcnn tune`: races settings of acting and writes the policy with the best.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use mcnn::{
    Error, Result,
    act::Act,
    error::Kind,
    eval::{Episode, Run, race::Stage, rollout_numbers},
    file,
    policy::Policy,
    task::{Spec, Task},
    vision::{EncodedPolicy, Encoder},
};

use super::{Done, claim_output};
use crate::{
    args::{Output, TuneArgs},
    interrupt, print,
    progress::Progress,
    task_encoder, tasks,
    tune::{
        candidates::{Candidate, candidates},
        field::Field,
        outcomes::{Line, Origin, Outcomes},
        report::TuneReport,
        typed,
    },
};

pub fn run(args: &TuneArgs) -> Result<Done> {
    let start = Instant::now();
    let output = args.path.as_ref().map(|path| Output { path: path.clone(), force: args.force });
    let _claim = output.as_ref().map(claim_output).transpose()?;
    let (policy, fingerprint) = file::read_policy(&args.policy)?;
    let all = candidates(&policy, &args.candidates)?;
    let mut report = TuneReport::new(&fingerprint, args.budget as usize, &all);
    if let Some(task) = &args.task {
        let output = output.as_ref().expect("--task requires an output");
        let run = args.run()?;
        let task = tasks::named(task, &args.task_settings.options())?;
        let encoder = task_encoder::for_policy(&policy, task.spec(), &args.encoder.weights)?;
        let origin = Origin {
            policy: fingerprint,
            task: task.spec().name.clone(),
            reward: args.task_settings.reward,
            first_tuning_seed: run.first_seed,
        };
        let simulation =
            Simulation { policy: &policy, all: &all, task: task.as_ref(), encoder: encoder.as_ref(), run };
        let (field, stopped) = simulation.race(&output.path, &origin, &mut report)?;
        report.task = Some(origin.task);
        report.interrupted = stopped;
        report.fill(&field, task.spec(), args.accept_uncertain)?;
    } else if let Some(path) = &args.results {
        let field = typed_in(path, &all, args.budget as usize)?;
        report.results = Some(path.display().to_string());
        report.fill(&field, &spec_of_typed(&policy), args.accept_uncertain)?;
    } else if let Some(folder) = &args.write_candidates {
        report.written = write_candidates(folder, &policy, &all, args.force)?;
    }
    if let (Some(chosen), Some(output)) = (report.chosen, &output) {
        report.fingerprint = Some(file::write_policy(&output.path, &all[chosen].policy(&policy)?)?);
        report.file = Some(output.path.display().to_string());
    }
    report.seconds = start.elapsed().as_secs_f64();
    let done = Done::new(&report, print::tune(&report)).failed_if(report.failed > 0);
    Ok(if report.interrupted { Done { exit_code: 130, ..done } } else { done })
}

/// What episodes are run with.
struct Simulation<'a> {
    policy: &'a Policy,
    all: &'a [Candidate],
    task: &'a dyn Task,
    encoder: Option<&'a Encoder>,
    run: Run,
}

impl Simulation<'_> {
    /// Runs the race to its end or to Ctrl-C, from the outcomes in the file beside the output on. Returns the outcomes, and
    /// whether it was interrupted.
    fn race(&self, output: &Path, origin: &Origin, report: &mut TuneReport) -> Result<(Field, bool)> {
        let mut field = Field::new(self.all.len(), report.budget)?;
        let path = Outcomes::beside(output);
        report.results = Some(path.display().to_string());
        let (outcomes, lines) = Outcomes::open(&path, origin)?;
        for line in lines {
            // Outcomes of settings that are no candidates now are left in the file.
            if let Some(candidate) = self.all.iter().position(|c| c.settings == line.settings) {
                field.add(candidate, line.episode, line.outcome()).map_err(|e| e.within(path.display()))?;
                report.already_done += 1;
            }
        }
        let stop = interrupt::flag();
        let mut stopped = false;
        while !stopped {
            let standing = field.standing();
            let stage = match standing.stage {
                Stage::Round(i) => format!("round {}", i + 1),
                Stage::Check => "fresh episodes".into(),
                Stage::Over => break,
            };
            let mut todo: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for request in &standing.next {
                todo.entry(request.candidate).or_default().push(request.episode);
            }
            let progress = Mutex::new((0, Progress::new(&stage, 0, standing.next.len() as u64)));
            for (candidate, numbers) in todo {
                let done = self.episodes(candidate, &numbers, (&outcomes, origin), stop, &progress)?;
                for line in done.iter().map(|e| Line::new(origin, self.all[candidate].settings, e).as_read())
                {
                    field.add(candidate, line.episode, line.outcome())?;
                }
                if stop.load(Ordering::Relaxed) {
                    stopped = true;
                    break;
                }
            }
        }
        // Ctrl-C after the last episode has interrupted nothing.
        let over = field.standing().stage == Stage::Over;
        Ok((field, stopped && !over))
    }

    /// Runs episodes of a candidate, appending each to the file when it is over.
    fn episodes(
        &self,
        candidate: usize,
        numbers: &[usize],
        (outcomes, origin): (&Outcomes, &Origin),
        stop: &AtomicBool,
        progress: &Mutex<(u64, Progress)>,
    ) -> Result<Vec<Episode>> {
        let policy = self.all[candidate].policy(self.policy)?;
        let encoded = self.encoder.map(|encoder| EncodedPolicy::new(encoder, &policy)).transpose()?;
        let act: &dyn Act = encoded.as_ref().map_or(&policy, |encoded| encoded);
        let fault = Mutex::new(None);
        let each = |episode: &Episode| {
            let line = Line::new(origin, self.all[candidate].settings, episode);
            if let Err(error) = outcomes.append(&line) {
                fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                return false; // a full disk would fail every later episode
            }
            let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            progress.0 += 1;
            let done = progress.0;
            progress.1.at(done, &format!("candidate {candidate}, return {:.1}", episode.ret));
            !stop.load(Ordering::Relaxed)
        };
        let done = rollout_numbers(act, self.task, &self.run, numbers, &each)?;
        match fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(done),
        }
    }
}

/// The race with the outcomes of a file that a person wrote.
fn typed_in(path: &Path, all: &[Candidate], budget: usize) -> Result<Field> {
    let mut field = Field::new(all.len(), budget)?;
    for typed in typed::read(path)? {
        let episode = Episode {
            seed: typed.of.episode as u64,
            ret: typed.value,
            success: typed.success,
            ..Episode::default()
        };
        field.add(typed.of.candidate, typed.of.episode, episode).map_err(|e| {
            let next = "correct the line; `mcnn tune POLICY --list` numbers the candidates";
            e.within(format!("{}: line {}", path.display(), typed.line)).next(next)
        })?;
    }
    Ok(field)
}

/// Outcomes that were typed in are of no task with references.
fn spec_of_typed(policy: &Policy) -> Spec {
    Spec {
        name: "typed outcomes".into(),
        n_obs: policy.n_obs(),
        frame: None,
        n_act: policy.n_act(),
        horizon: 0,
        reference: None,
        parts: Vec::new(),
    }
}

/// Writes every candidate as a policy file. Returns the files.
fn write_candidates(folder: &Path, policy: &Policy, all: &[Candidate], force: bool) -> Result<Vec<String>> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io("creating the folder", folder, &e))?;
    let files: Vec<_> = (0..all.len()).map(|i| folder.join(format!("candidate-{i}.safetensors"))).collect();
    if let Some(file) = files.iter().find(|file| file.exists() && !force) {
        return Err(Error::new(Kind::File, "the output exists already")
            .at(file.display().to_string())
            .next("--force overwrites it"));
    }
    for (file, candidate) in files.iter().zip(all) {
        file::write_policy(file, &candidate.policy(policy)?)?;
    }
    Ok(files.iter().map(|file| file.display().to_string()).collect())
}
