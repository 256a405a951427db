//! `mcnn memory`: lists, adds, drops and restores the memories of a trained policy.

use std::{collections::HashSet, path::Path};

use mcnn::{
    Error, Result,
    act::Act,
    atomic::Claim,
    calibration::OodCalibration,
    data::regular,
    error::Kind,
    eval::{Run, rollout},
    file,
    memory::{Codebook, Disagreement},
    policy::Policy,
    vision::EncodedPolicy,
};
use serde::Serialize;

use super::{
    Done, claim_in_turn,
    eval::{first_failure, progress_of},
    read_for,
    recordings::read_as_learned,
};
use crate::{
    args::{AddArgs, DropArgs, ListArgs, MemoryArgs, MemoryVerb, RestoreArgs},
    beside::stem,
    print, task_encoder, tasks,
    versions::{Version, Versions, present},
};

/// A change of the memories.
#[derive(Serialize)]
pub struct EditReport {
    pub file: String,
    #[serde(flatten)]
    pub version: Version,
    pub added: usize,
    /// Memories removed, those replaced by added ones of the same state included.
    pub dropped: usize,
    /// Number of the first added episode in the policy; null if none was added.
    pub first_episode: Option<u32>,
    /// The OOD calibration: "kept", "renewed" (repeated without the removed memories), "lost" (no longer valid), or "none"
    /// (there was none before).
    pub calibration: &'static str,
}

/// The memories, their versions and their use.
#[derive(Serialize)]
pub struct ListReport {
    pub file: String,
    pub fingerprint: String,
    pub memories: usize,
    /// Changes since training, in this version.
    pub edits: Vec<String>,
    pub versions: Vec<Version>,
    /// Number of the current version; null if nothing was ever changed.
    pub current_version: Option<usize>,
    /// States for which a memory was retrieved; null without --data or --task.
    pub states: Option<usize>,
    /// Number of retrievals of each memory; null without --data or --task.
    pub retrievals: Option<Vec<u64>>,
    /// Memories that were never retrieved.
    pub never_retrieved: Option<usize>,
    /// The memories retrieved most often, at most --top.
    pub most_retrieved: Vec<Retrieved>,
    /// Memories with a score above `outlier_threshold`.
    pub outlier_count: usize,
    /// Score above which a memory is an outlier, in robust standard deviations over all memories.
    pub outlier_threshold: f32,
    /// The memories whose actions differ most from those of their neighbors, at most --top.
    pub outliers: Vec<Outlier>,
}

/// One memory, and how often it was retrieved.
#[derive(Serialize)]
pub struct Retrieved {
    pub memory: usize,
    pub source: String,
    pub retrievals: u64,
}

/// One memory whose action differs from those of its neighbors.
#[derive(Serialize)]
pub struct Outlier {
    #[serde(flatten)]
    pub disagreement: Disagreement,
    pub source: String,
}

pub fn run(args: &MemoryArgs) -> Result<Done> {
    match &args.verb {
        MemoryVerb::Add(args) => add(args),
        MemoryVerb::Drop(args) => drop(args),
        MemoryVerb::List(args) => list(args),
        MemoryVerb::Restore(args) => restore(args),
    }
}

/// Reads a policy file to change it. As long as the claim lives, no other process changes it: it would change what is read here, and
/// its change would be lost.
fn open_to_change(path: &Path) -> Result<(Claim, Vec<u8>, Policy)> {
    regular(path)?;
    let claim = claim_in_turn(path)?;
    let (bytes, policy) = open(path)?;
    Ok((claim, bytes, policy))
}

/// Reads a policy file: its bytes, and the policy.
fn open(path: &Path) -> Result<(Vec<u8>, Policy)> {
    regular(path)?;
    let bytes = std::fs::read(path).map_err(|e| Error::io("reading", path, &e))?;
    let policy = file::policy_from_bytes(&bytes).map_err(|e| e.within(path.display()))?;
    Ok((bytes, policy))
}

fn add(args: &AddArgs) -> Result<Done> {
    let path = &args.file.policy;
    let (_claim, bytes, policy) = open_to_change(path)?;
    let data = read_for(&args.input.data, &args.input.options, policy.codebook())?;
    if let Some(k) = args.episodes.iter().find(|&&k| k >= data.n_episodes()) {
        return Err(Error::new(Kind::Settings, "there is no such episode")
            .at(format!("--episodes {k}"))
            .expected(format!("0 to {}", data.n_episodes() - 1)));
    }
    let selected = |i: &usize| {
        let (k, step) = (data.episode_of(*i), data.step(*i).step);
        (args.episodes.is_empty() || args.episodes.contains(&k))
            && args.steps.as_ref().is_none_or(|range| range.contains(&step))
    };
    let steps: Vec<usize> = (0..data.n_steps()).filter(selected).collect();
    let within = |e: Error| e.within(args.input.data.display());
    let (codebook, added) = policy.codebook().with_steps(&data, &steps).map_err(within)?;
    let what = format!(
        "added {} steps of {}; its episode 0 is episode {} here",
        added.added,
        stem(&args.input.data),
        added.first_episode
    );
    // Added memories increase no distance, so the calibration stays valid.
    let calibration = policy.calibration().cloned();
    let calibration_change = if calibration.is_some() { "kept" } else { "none" };
    let edit = Edit { dropped: added.replaced, added: added.added, first_episode: Some(added.first_episode) };
    edit.write(path, (&bytes, policy), codebook, calibration, calibration_change, what)
}

fn drop(args: &DropArgs) -> Result<Done> {
    let path = &args.file.policy;
    let (_claim, bytes, policy) = open_to_change(path)?;
    let book = policy.codebook();
    if let Some(m) = args.memories.iter().find(|&&m| m >= book.len()) {
        return Err(Error::new(Kind::Settings, "there is no such memory")
            .at(format!("--memories {m}"))
            .expected(format!("0 to {}", book.len() - 1)));
    }
    let episodes: HashSet<u32> = (0..book.len()).map(|m| book.source(m).episode).collect();
    if let Some(k) = args.episodes.iter().find(|&k| !episodes.contains(k)) {
        return Err(Error::new(Kind::Settings, "no memory is of this episode").at(format!("--episodes {k}")));
    }
    // Sets, because both the memories and those to drop may be many.
    let of_number: HashSet<usize> = args.memories.iter().copied().collect();
    let of_episode: HashSet<u32> = args.episodes.iter().copied().collect();
    let is_dropped = |m: usize| of_number.contains(&m) || of_episode.contains(&book.source(m).episode);
    let dropped = (0..book.len()).filter(|&m| is_dropped(m)).count();
    let codebook = book.without_memories(is_dropped)?;
    // Removed memories increase distances, so the old calibration is not valid.
    let (calibration, calibration_change) = match &args.data {
        Some(data) => {
            let data = read_as_learned(data, &args.options, book)?;
            book.check_data(&data)?;
            let codebook = codebook.clone().with_records_of(&data)?;
            let calibration = OodCalibration::leave_one_episode_out(&codebook, &data);
            let change = if calibration.is_some() { "renewed" } else { "lost" };
            (calibration, change)
        }
        None => (None, if policy.calibration().is_some() { "lost" } else { "none" }),
    };
    let list = |names: &[String]| names.join(", ");
    let episodes: Vec<String> = args.episodes.iter().map(u32::to_string).collect();
    let memories: Vec<String> = args.memories.iter().map(usize::to_string).collect();
    let named = match (episodes.is_empty(), memories.is_empty()) {
        (false, true) => format!("episode {}", list(&episodes)),
        (true, _) => format!("memories {}", list(&memories)),
        _ => format!("episode {}, and memories {}", list(&episodes), list(&memories)),
    };
    let what = format!("dropped {named}; the network was trained on them and is unchanged");
    Edit { dropped, added: 0, first_episode: None }.write(
        path,
        (&bytes, policy),
        codebook,
        calibration,
        calibration_change,
        what,
    )
}

/// The numbers of a change of the memories.
struct Edit {
    added: usize,
    dropped: usize,
    first_episode: Option<u32>,
}

impl Edit {
    /// Writes the policy with another codebook as a new version; `what` describes the change.
    fn write(
        self,
        path: &Path,
        (bytes, policy): (&[u8], Policy),
        codebook: Codebook,
        calibration: Option<OodCalibration>,
        calibration_change: &'static str,
        what: String,
    ) -> Result<Done> {
        let (before, after) = (policy.codebook().len(), codebook.len());
        let mut record = policy.training_record().clone();
        record.edits.push(what.clone());
        let policy =
            policy.with_codebook(codebook)?.with_calibration(calibration).with_training_record(record);
        let new_bytes = file::policy_to_bytes(&policy);
        let version = Versions::of(path)?.advance((bytes, before), (&new_bytes, after), what)?;
        let Self { added, dropped, first_episode } = self;
        let file = path.display().to_string();
        let report =
            EditReport { file, version, added, dropped, first_episode, calibration: calibration_change };
        Ok(Done::new(&report, print::memory_edit(&report)))
    }
}

fn list(args: &ListArgs) -> Result<Done> {
    let path = &args.file.policy;
    let (bytes, policy) = open(path)?;
    let book = policy.codebook();
    let retrievals = match (&args.data, &args.task) {
        (Some(data), _) => {
            let data = read_as_learned(data, &args.options, book)?;
            book.check_space(&data)?;
            Some(count(book.len(), book.map_states(&data, |_, state| book.retrieve(state).memory)))
        }
        (None, Some(task)) => {
            let task = tasks::named(task, &args.rollouts.settings.options())?;
            let encoder = task_encoder::for_policy(&policy, task.spec(), &args.encoder.weights)?;
            let encoded = encoder.as_ref().map(|encoder| EncodedPolicy::new(encoder, &policy)).transpose()?;
            let act: &dyn Act = encoded.as_ref().map_or(&policy, |encoded| encoded);
            let run = Run { trace: true, ..args.rollouts.run()? };
            let episodes = rollout(act, task.as_ref(), &run, &progress_of("running", run.episodes))?;
            if let Some(failure) = first_failure(&episodes) {
                return Err(Error::new(Kind::Task, "an episode failed").found(failure));
            }
            let decisions = episodes.iter().filter_map(|e| e.trace.as_ref()).flat_map(|t| &t.decisions);
            Some(count(book.len(), decisions.filter_map(|d| d.memory)))
        }
        (None, None) => None,
    };
    let mut order: Vec<usize> = (0..book.len()).collect();
    if let Some(counts) = &retrievals {
        order.sort_by_key(|&m| std::cmp::Reverse(counts[m]));
    }
    let disagreements = book.disagreements();
    let versions = Versions::listed(path)?;
    let fingerprint = file::fingerprint(&bytes);
    let source = |m: usize| book.source(m).to_string();
    let outliers = disagreements.iter().filter(|d| d.score > Codebook::DISAGREEMENT_THRESHOLD);
    let report = ListReport {
        file: path.display().to_string(),
        memories: book.len(),
        edits: policy.training_record().edits.clone(),
        current_version: present(&versions, &fingerprint).map(|v| v.version),
        versions,
        fingerprint,
        states: retrievals.as_ref().map(|counts| counts.iter().sum::<u64>() as usize),
        never_retrieved: retrievals.as_ref().map(|counts| counts.iter().filter(|&&n| n == 0).count()),
        most_retrieved: retrievals
            .iter()
            .flat_map(|counts| {
                let top = order.iter().take(args.top);
                top.map(|&m| Retrieved { memory: m, source: source(m), retrievals: counts[m] })
            })
            .collect(),
        retrievals,
        outlier_count: outliers.clone().count(),
        outlier_threshold: Codebook::DISAGREEMENT_THRESHOLD,
        outliers: outliers
            .take(args.top)
            .map(|d| Outlier { disagreement: *d, source: source(d.memory) })
            .collect(),
    };
    Ok(Done::new(&report, print::memory_list(&report)))
}

/// How often each of `memories` memories is among those retrieved.
fn count(memories: usize, retrieved: impl IntoIterator<Item = usize>) -> Vec<u64> {
    let mut counts = vec![0; memories];
    retrieved.into_iter().for_each(|m| counts[m] += 1);
    counts
}

fn restore(args: &RestoreArgs) -> Result<Done> {
    let path = &args.file.policy;
    let (_claim, bytes, policy) = open_to_change(path)?;
    let mut versions = Versions::of(path)?;
    let error = |what: &str| Error::new(Kind::Settings, what).at(path.display().to_string());
    if versions.all().is_empty() {
        let next = versions.earlier_name();
        let next = next.unwrap_or_else(|| "`mcnn memory add` and `drop` make others".into());
        return Err(error("the policy has one version only").next(next));
    }
    let to = match (args.to, versions.present(&file::fingerprint(&bytes))) {
        (Some(to), _) => to,
        (None, Some(Version { from: Some(from), .. })) => *from,
        (None, Some(first)) => {
            return Err(error("this version has no predecessor")
                .found(format!("version {}", first.version))
                .next("name the version to restore with --to"));
        }
        (None, None) => {
            return Err(error("the file is not one of its versions: it has been overwritten").next(
                "name the version to restore with --to; the current file is stored as a version, too",
            ));
        }
    };
    let Some(version) = versions.all().iter().find(|v| v.version == to).cloned() else {
        return Err(error("there is no such version")
            .at(format!("--to {to}"))
            .expected(format!("0 to {}", versions.all().len() - 1)));
    };
    let restored = versions.bytes(&version)?;
    let calibration = file::policy_from_bytes(&restored)?.calibration().map_or("none", |_| "kept");
    versions.go((&bytes, policy.codebook().len()), &restored)?;
    let file = path.display().to_string();
    let report = EditReport { file, version, added: 0, dropped: 0, first_episode: None, calibration };
    Ok(Done::new(&report, print::memory_edit(&report)))
}
