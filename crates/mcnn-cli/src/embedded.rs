//! What the Python package shares with the program, without a command line: pages, suggestions and the runs of a sweep. Texts are
//! those of the program's files and of `--json`.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use mcnn::{
    Error, Result, atomic::Claim, certify::DemonstrationScope, data::Demonstrations, error::Kind, file,
    memory::Codebook, policy::Policy,
};

pub use crate::report::build::uses;
use crate::{
    commands::{claim, no_threads, suggest::search},
    report::{
        build::{self, Labels, SHOWN, Source},
        html,
    },
    sweep::{
        one::{self, Shared},
        plan,
        prepared::Prepared,
        results::{self, Line, Results},
        settings::Settings,
    },
};

/// The page of `mcnn report` about a policy, as HTML. `data`: in the units of the policy's actions. `episodes`: positions of the episodes
/// to show; if it is empty, the first ones.
///
/// # Errors
/// Data of another space, a position out of range, and those of [`Policy::explain`].
pub fn report_page(policy: &Policy, data: &Demonstrations, episodes: &[usize]) -> Result<String> {
    policy.codebook().check_space(data)?;
    let n = data.n_episodes();
    if let Some(k) = episodes.iter().find(|k| **k >= n) {
        return Err(Error::new(Kind::Settings, "there is no such episode")
            .at("episodes")
            .expected(format!("0 to {}", n - 1))
            .found(k.to_string()));
    }
    let shown = if episodes.is_empty() { (0..n.min(SHOWN)).collect() } else { episodes.to_vec() };
    let names = policy.codebook().parts().names.clone().or(data.names());
    let labels = Labels {
        file: String::new(),
        fingerprint: file::fingerprint(&file::policy_to_bytes(policy)),
        data: format!("of {n} episodes (fingerprint {:.12})", data.fingerprint()),
        names,
        task: None,
    };
    let source = Source { policy, data, visited: None, shown: [shown, Vec::new()] };
    Ok(html(&build::page(&source, labels, Vec::new(), Vec::new())?))
}

/// The demonstrations that would reduce d_I most, as JSON with the keys of `mcnn suggest`.
///
/// # Errors
/// Data of another space.
pub fn suggestions(
    codebook: &Codebook,
    data: &Demonstrations,
    scope: DemonstrationScope,
    count: usize,
) -> Result<String> {
    codebook.check_space(data)?;
    let found = search(codebook, data, &[], scope, count);
    Ok(serde_json::to_string(&found).expect("suggestions are plain values"))
}

/// A plan and its file of results, which this process alone writes.
pub struct SweepFile {
    results: Results,
    runs: Vec<Settings>,
    keys: Vec<(String, String)>,
    known: HashSet<(String, String)>,
    /// The error of each run with a result, `None` of those that did not fail.
    errors: HashMap<(String, String), Option<String>>,
    path: PathBuf,
    _claim: Claim,
}

impl SweepFile {
    /// Reads the plan and its data, checks that they fit the task, and opens the results, which may exist.
    ///
    /// # Errors
    /// As `mcnn sweep`.
    pub fn open(plan: &Path, path: &Path) -> Result<Self> {
        let claim = claim(path)?;
        let runs = plan::read(plan)?;
        let prepared = Prepared::read(plan, &runs)?;
        let (file, lines) = Results::open(path, &|line| crate::say::say(line))?;
        let keys: Vec<_> = runs.iter().map(|run| prepared.key(run)).collect();
        let known = keys.iter().cloned().collect();
        let errors = lines.into_iter().map(|line| (line.key(), line.error)).collect();
        Ok(Self { results: file, runs, keys, known, errors, path: path.into(), _claim: claim })
    }

    /// The runs of the plan, as JSON of their settings.
    pub fn runs(&self) -> Vec<String> {
        self.runs.iter().map(Settings::key).collect()
    }

    /// Positions of the runs without a result, and of those that failed if `retry_failed`.
    pub fn todo(&self, retry_failed: bool) -> Vec<usize> {
        let is_todo = |key| match self.errors.get(key) {
            None => true,
            Some(error) => retry_failed && error.is_some(),
        };
        (0..self.runs.len()).filter(|i| is_todo(&self.keys[*i])).collect()
    }

    /// Appends the result of a run, as [`run_of_plan`] gives it. A result that the file has already is left out. Returns the error of
    /// the run, if it failed.
    ///
    /// # Errors
    /// If it is not a result of a run of the plan on the same data, or the file cannot be written.
    pub fn append(&mut self, text: &str) -> Result<Option<String>> {
        let refuse = |found: String| {
            Error::new(Kind::File, "this is not a result of the plan").found(found).next(
                "the plan and its data must be the same on all machines, and must not change while the sweep runs",
            )
        };
        let line: Line = serde_json::from_str(text).map_err(|e| refuse(e.to_string()))?;
        let key = line.key();
        if !self.known.contains(&key) {
            return Err(refuse(format!("{} on data {:.12}", key.0, key.1)));
        }
        if text.contains('\n') {
            return Err(refuse("several lines".into()));
        }
        if self.errors.get(&key).is_none_or(Option::is_some) {
            self.results.append_text(text)?;
            self.errors.insert(key, line.error.clone());
        }
        Ok(line.error)
    }

    /// The results of the plan's runs, as JSON, in the order of the plan.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn lines(&self) -> Result<Vec<String>> {
        let lines = texts(&self.path)?;
        let mut texts: HashMap<_, _> = lines.into_iter().map(|(line, text)| (line.key(), text)).collect();
        Ok(self.keys.iter().filter_map(|key| texts.remove(key)).collect())
    }
}

/// The complete lines of a file of results, and their text.
fn texts(path: &Path) -> Result<Vec<(Line, String)>> {
    let file = File::open(path).map_err(|e| Error::io("reading", path, &e))?;
    Ok(results::read_texts(path, &file)?.0)
}

/// The results in a file, as JSON; the last one of a run with several.
///
/// # Errors
/// If the file cannot be read, or a line is not a result.
pub fn results(path: &Path) -> Result<Vec<String>> {
    let json = |(line, _)| serde_json::to_string(&line).expect("results are plain values");
    Ok(texts(path)?.into_iter().map(json).collect())
}

/// Makes one run of a plan on one thread. `settings`: the run, as [`SweepFile::runs`] gives it. Returns its line of results, or none if
/// `stop` was set before its end.
///
/// # Errors
/// If the plan has no such run, and those of reading its data. The error of a run that fails is part of its line.
pub fn run_of_plan(plan: &Path, settings: &str, stop: &AtomicBool) -> Result<Option<String>> {
    let run = plan::read(plan)?.into_iter().find(|run| run.key() == settings).ok_or_else(|| {
        Error::new(Kind::Mismatch, "the plan has no such run")
            .at(plan.display().to_string())
            .found(settings.to_owned())
            .next("the plan must be the same on all machines, and must not change while the sweep runs")
    })?;
    let prepared = Prepared::read(plan, std::slice::from_ref(&run))?;
    let shared = Shared::new(prepared.task(), stop);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(no_threads)?;
    let line = pool.install(|| one::run(&shared, prepared.inputs(&run), &run, &mut None));
    Ok(line.map(|line| serde_json::to_string(&line).expect("results are plain values")))
}
