//! `mcnn memory`: memories added to a trained policy, taken out, counted, and gone back on.

use std::path::Path;

use mcnn::{
    Error, Result,
    act::Act,
    calibration::OodCalibration,
    error::Kind,
    eval::{Run, rollout},
    file,
    memory::{Codebook, Disagreement},
    policy::Policy,
    vision::EncodedPolicy,
};
use serde::Serialize;

use super::{
    Done,
    eval::{first_failure, stem, told},
    read,
};
use crate::{
    args::{AddArgs, DropArgs, ListArgs, MemoryArgs, MemoryVerb, MoveArgs},
    print, task_encoder, tasks,
    versions::{Version, Versions},
};

/// A change of memories.
#[derive(Serialize)]
pub struct Edited {
    pub file: String,
    #[serde(flatten)]
    pub version: Version,
    pub added: usize,
    /// Memories taken out, or replaced by added ones in the very same state.
    pub dropped: usize,
    /// The number that the first added episode has; null where none was added.
    pub first_episode: Option<u32>,
    /// The calibration of the distances: "kept", "renewed", "lost" or "none" (there was none before).
    pub calibration: &'static str,
}

/// What there is, and what it does.
#[derive(Serialize)]
pub struct Listed {
    pub file: String,
    pub fingerprint: String,
    pub memories: usize,
    /// Changes since training that are in this version.
    pub edits: Vec<String>,
    pub versions: Vec<Version>,
    /// The number of the present version; null where nothing was ever changed.
    pub present: Option<usize>,
    /// States that were counted.
    pub states: Option<usize>,
    /// How often each memory was retrieval; null where nothing was counted.
    pub acted: Option<Vec<u64>>,
    /// Memories that never were.
    pub never: Option<usize>,
    pub most: Vec<Acts>,
    /// Memories whose actions differ from those around them by `disagrees` deviations more than is usual.
    pub disagreeing: usize,
    pub disagrees: f32,
    pub disagree: Vec<Disagrees>,
}

/// One memory, and how often it acted.
#[derive(Serialize)]
pub struct Acts {
    pub memory: usize,
    pub source: String,
    pub acted: u64,
}

/// One memory, and how much it disagrees.
#[derive(Serialize)]
pub struct Disagrees {
    #[serde(flatten)]
    pub disagreement: Disagreement,
    pub source: String,
}

pub fn run(args: &MemoryArgs) -> Result<Done> {
    match &args.verb {
        MemoryVerb::Add(args) => add(args),
        MemoryVerb::Drop(args) => drop(args),
        MemoryVerb::List(args) => list(args),
        MemoryVerb::Move(args) => go(args),
    }
}

/// A policy file's bytes, and the policy in them.
fn open(path: &Path) -> Result<(Vec<u8>, Policy)> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("reading", path, &e))?;
    let policy = file::policy_from_bytes(&bytes).map_err(|e| e.within(path.display()))?;
    Ok((bytes, policy))
}

fn add(args: &AddArgs) -> Result<Done> {
    let path = &args.whose.policy;
    let (bytes, policy) = open(path)?;
    let data = read(&args.input.data, args.input.options)?;
    if let Some(k) = args.episodes.iter().find(|&&k| k >= data.n_episodes()) {
        return Err(Error::new(Kind::Settings, "there is no such episode")
            .at(format!("--episodes {k}"))
            .expected(format!("0 to {}", data.n_episodes() - 1)));
    }
    let wanted = |i: &usize| {
        let (k, step) = (data.episode_of(*i), data.step(*i).step);
        (args.episodes.is_empty() || args.episodes.contains(&k))
            && args.steps.as_ref().is_none_or(|range| range.contains(&step))
    };
    let steps: Vec<usize> = (0..data.n_steps()).filter(wanted).collect();
    let within = |e: Error| e.within(args.input.data.display());
    let (codebook, added) = policy.codebook().with_steps(&data, &steps).map_err(within)?;
    let what = format!(
        "added {} steps of {}, its episode 0 being {} here",
        added.added,
        stem(&args.input.data),
        added.first_episode
    );
    // More memories make no state farther, so that what the calibration promises still holds.
    let calibration = policy.calibration().cloned();
    let kept = if calibration.is_some() { "kept" } else { "none" };
    let edit = Edit { dropped: added.replaced, added: added.added, first_episode: Some(added.first_episode) };
    edit.make(path, (&bytes, policy), codebook, calibration, kept, what)
}

fn drop(args: &DropArgs) -> Result<Done> {
    let path = &args.whose.policy;
    let (bytes, policy) = open(path)?;
    let book = policy.codebook();
    if let Some(m) = args.memories.iter().find(|&&m| m >= book.len()) {
        return Err(Error::new(Kind::Settings, "there is no such memory")
            .at(format!("--memories {m}"))
            .expected(format!("0 to {}", book.len() - 1)));
    }
    if let Some(k) = args.episodes.iter().find(|&&k| (0..book.len()).all(|m| book.source(m).episode != k)) {
        return Err(Error::new(Kind::Settings, "no memory is of this episode").at(format!("--episodes {k}")));
    }
    let out = |m: usize| args.memories.contains(&m) || args.episodes.contains(&book.source(m).episode);
    let dropped = (0..book.len()).filter(|&m| out(m)).count();
    let codebook = book.without_memories(out)?;
    // What was taken out made states nearer, and the calibration with them: it no longer holds.
    let (calibration, kept) = match &args.data {
        Some(data) => {
            let data = read(data, args.options)?;
            book.check_data(&data)?;
            let calibration = OodCalibration::leave_one_episode_out(&codebook, &data);
            let kept = if calibration.is_some() { "renewed" } else { "lost" };
            (calibration, kept)
        }
        None => (None, if policy.calibration().is_some() { "lost" } else { "none" }),
    };
    let list = |n: &[String]| n.join(", ");
    let episodes: Vec<String> = args.episodes.iter().map(u32::to_string).collect();
    let memories: Vec<String> = args.memories.iter().map(usize::to_string).collect();
    let named = match (episodes.is_empty(), memories.is_empty()) {
        (false, true) => format!("episode {}", list(&episodes)),
        (true, _) => format!("memories {}", list(&memories)),
        _ => format!("episode {}, and memories {}", list(&episodes), list(&memories)),
    };
    let what = format!("dropped {named}; the network's weights still saw them");
    Edit { dropped, added: 0, first_episode: None }.make(
        path,
        (&bytes, policy),
        codebook,
        calibration,
        kept,
        what,
    )
}

struct Edit {
    added: usize,
    dropped: usize,
    first_episode: Option<u32>,
}

impl Edit {
    /// Makes a version of the policy with other memories.
    fn make(
        self,
        path: &Path,
        (bytes, policy): (&[u8], Policy),
        codebook: Codebook,
        calibration: Option<OodCalibration>,
        kept: &'static str,
        what: String,
    ) -> Result<Done> {
        let (before, after) = (policy.codebook().len(), codebook.len());
        let mut origin = policy.training_record().clone();
        origin.edits.push(what.clone());
        let policy =
            policy.with_codebook(codebook)?.with_calibration(calibration).with_training_record(origin);
        let made = file::policy_to_bytes(&policy);
        let version = Versions::of(path)?.advance((bytes, before), (&made, after), what)?;
        let Self { added, dropped, first_episode } = self;
        let file = path.display().to_string();
        let report = Edited { file, version, added, dropped, first_episode, calibration: kept };
        Ok(Done::new(&report, print::edited(&report)))
    }
}

fn list(args: &ListArgs) -> Result<Done> {
    let path = &args.whose.policy;
    let (bytes, policy) = open(path)?;
    let book = policy.codebook();
    let acted = match (&args.data, &args.task) {
        (Some(data), _) => {
            let data = read(data, args.options)?;
            book.check_space(&data)?;
            Some(count(book.len(), book.map_states(&data, |_, state| book.retrieve(state).memory)))
        }
        (None, Some(task)) => {
            let task = tasks::named(task, args.rollouts.reward)?;
            let encoder = task_encoder::of(&policy, task.spec(), &args.encoder.weights)?;
            let sighted = encoder.as_ref().map(|encoder| EncodedPolicy::new(encoder, &policy)).transpose()?;
            let act: &dyn Act = sighted.as_ref().map_or(&policy, |sighted| sighted);
            let run = Run { trace: true, ..args.rollouts.run()? };
            let episodes = rollout(act, task.as_ref(), &run, &told("running", run.episodes))?;
            if let Some(failure) = first_failure(&episodes) {
                return Err(Error::new(Kind::Task, "an episode failed").found(failure));
            }
            let decisions = episodes.iter().filter_map(|e| e.trace.as_ref()).flat_map(|t| &t.decisions);
            Some(count(book.len(), decisions.filter_map(|d| d.memory)))
        }
        (None, None) => None,
    };
    let mut order: Vec<usize> = (0..book.len()).collect();
    if let Some(acted) = &acted {
        order.sort_by_key(|&m| std::cmp::Reverse(acted[m]));
    }
    let all = book.disagreements();
    let versions = Versions::of(path)?;
    let fingerprint = file::fingerprint(&bytes);
    let source = |m: usize| book.source(m).to_string();
    let disagreeing = all.iter().filter(|d| d.score > Codebook::DISAGREEMENT_THRESHOLD);
    let report = Listed {
        file: path.display().to_string(),
        memories: book.len(),
        edits: policy.training_record().edits.clone(),
        present: versions.present(&fingerprint).map(|v| v.version),
        versions: versions.all().to_vec(),
        fingerprint,
        states: acted.as_ref().map(|a| a.iter().sum::<u64>() as usize),
        never: acted.as_ref().map(|a| a.iter().filter(|&&n| n == 0).count()),
        most: acted
            .iter()
            .flat_map(|a| {
                order.iter().take(args.top).map(|&m| Acts { memory: m, source: source(m), acted: a[m] })
            })
            .collect(),
        acted,
        disagreeing: disagreeing.clone().count(),
        disagrees: Codebook::DISAGREEMENT_THRESHOLD,
        disagree: disagreeing
            .take(args.top)
            .map(|d| Disagrees { disagreement: *d, source: source(d.memory) })
            .collect(),
    };
    Ok(Done::new(&report, print::listed(&report)))
}

fn count(memories: usize, retrieval: impl IntoIterator<Item = usize>) -> Vec<u64> {
    let mut acted = vec![0; memories];
    retrieval.into_iter().for_each(|m| acted[m] += 1);
    acted
}

fn go(args: &MoveArgs) -> Result<Done> {
    let path = &args.whose.policy;
    let (bytes, policy) = open(path)?;
    let mut versions = Versions::of(path)?;
    let error = |what: &str| Error::new(Kind::Settings, what).at(path.display().to_string());
    if versions.all().is_empty() {
        return Err(error("there is one version only").next("`mcnn memory add` and `drop` make others"));
    }
    let to = match (args.to, versions.present(&file::fingerprint(&bytes))) {
        (Some(to), _) => to,
        (None, Some(Version { from: Some(from), .. })) => *from,
        (None, Some(first)) => {
            return Err(error("this version was made from no other")
                .found(format!("version {}", first.version))
                .next("--to names the one to go to"));
        }
        (None, None) => {
            return Err(error("the file is none of its versions: it was made anew since")
                .next("--to names the one to go to; the present file becomes a version, too"));
        }
    };
    let Some(version) = versions.all().iter().find(|v| v.version == to).cloned() else {
        return Err(error("there is no such version")
            .at(format!("--to {to}"))
            .expected(format!("0 to {}", versions.all().len() - 1)));
    };
    let there = versions.bytes(&version)?;
    let calibration = file::policy_from_bytes(&there)?.calibration().map_or("none", |_| "kept");
    versions.go((&bytes, policy.codebook().len()), &there)?;
    let file = path.display().to_string();
    let report = Edited { file, version, added: 0, dropped: 0, first_episode: None, calibration };
    Ok(Done::new(&report, print::edited(&report)))
}
