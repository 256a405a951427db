//! `mcnn suggest`: the demonstrations that would reduce d_I most.

use std::path::Path;

use mcnn::{
    Error, Result,
    certify::{DemonstrationScope, Suggestion, isolation, suggest},
    data::Demonstrations,
    error::Kind,
    file,
    memory::{BatchSearchStats, Codebook, Coverage},
};
use serde::Serialize;

use super::{Done, read_for, visited::visited};
use crate::{actor::Actor, args::SuggestArgs, device, print};

/// The suggestions.
#[derive(Serialize)]
pub struct SuggestReport {
    /// The memories' file.
    pub file: String,
    pub fingerprint: String,
    /// The demonstrations searched; null for visited states.
    pub data: Option<String>,
    #[serde(flatten)]
    pub found: Suggestions,
    /// What was searched on a GPU; null without one.
    pub gpu: Option<BatchSearchStats>,
}

/// What to demonstrate next.
#[derive(Serialize)]
pub struct Suggestions {
    pub memories: usize,
    /// Whether the memories were chosen from these demonstrations.
    pub is_training_data: bool,
    /// What is suggested: "episode" or "state".
    pub unit: &'static str,
    pub episodes: usize,
    pub states: usize,
    /// Distances of the states to their nearest memories; the largest one is d_I.
    pub coverage: Coverage,
    pub suggestions: Vec<SuggestionReport>,
}

/// One suggestion.
#[derive(Serialize)]
pub struct SuggestionReport {
    /// The most isolated state, as EPISODE:STEP.
    pub at: String,
    /// The state from which to start a demonstration, as EPISODE:STEP.
    pub start: String,
    /// Of visited states: the seed of the episode.
    pub seed: Option<u64>,
    /// d_I before the suggestion is followed: the distance of the state.
    pub d_i_before: f32,
    /// d_I once it is followed.
    pub d_i_after: f32,
    /// The memory nearest to the state.
    pub memory: NearestMemory,
    /// The dimensions in which the state differs most from that memory, at most three, in descending order.
    pub largest_differences: Vec<Difference>,
}

/// The memory nearest to a state.
#[derive(Serialize)]
pub struct NearestMemory {
    pub memory: usize,
    pub source: String,
    pub distance: f32,
}

/// One state dimension, in the data's own units.
#[derive(Serialize)]
pub struct Difference {
    pub dimension: usize,
    pub state: f32,
    pub memory: f32,
    /// The dimension's share of the squared distance.
    pub share: f32,
}

pub fn run(args: &SuggestArgs) -> Result<Done> {
    device::choose(args.device.device)?;
    let (constraint, fingerprint) = file::read_constraint_set(&args.memories)?;
    let book = constraint.codebook;
    let (states, seeds) = match &args.data {
        Some(path) => {
            let data = read_for(path, &args.options, &book)?;
            book.check_space(&data).map_err(|e| e.within(path.display()))?;
            (data, Vec::new())
        }
        None if !args.visited => {
            return Err(Error::new(Kind::Settings, "no states to search")
                .at("mcnn suggest")
                .expected("DATA before MEMORIES, or --visited --task TASK"));
        }
        None => {
            let actor = actor(args)?;
            let (states, seeds) = visited(&actor, args.task.as_deref(), &args.rollouts, &args.encoder)?;
            // A policy's visited states are embeddings by its own encoder.
            let encoding = actor.policy().and_then(|p| p.codebook().parts().encoding.clone());
            let states = states.with_encoding(encoding);
            book.check_space(&states).map_err(|e| e.within("the states visited"))?;
            (states, seeds)
        }
    };
    let scope = if args.visited || args.start_states {
        DemonstrationScope::State
    } else {
        DemonstrationScope::Episode
    };
    let report = SuggestReport {
        file: args.memories.display().to_string(),
        fingerprint,
        data: args.data.as_ref().map(|d| d.display().to_string()),
        found: search(&book, &states, &seeds, scope, args.count as usize),
        gpu: device::stats(),
    };
    Ok(Done::new(&report, print::suggest(&report) + &print::gpu(report.gpu.as_ref())))
}

/// Searches states for demonstrations to suggest. `seeds`: of the episodes, if they were visited in closed loop.
pub fn search(
    book: &Codebook,
    states: &Demonstrations,
    seeds: &[u64],
    scope: DemonstrationScope,
    count: usize,
) -> Suggestions {
    let found = suggest(book, states, scope, count);
    Suggestions {
        memories: book.len(),
        is_training_data: book.check_data(states).is_ok(),
        unit: match scope {
            DemonstrationScope::Episode => "episode",
            DemonstrationScope::State => "state",
        },
        episodes: states.n_episodes(),
        states: states.n_steps(),
        coverage: isolation(book, states),
        suggestions: found.iter().map(|found| suggestion(found, book, states, seeds)).collect(),
    }
}

/// The policy or expert that visits the states.
fn actor(args: &SuggestArgs) -> Result<Actor> {
    let path: &Path = args.policy.as_ref().unwrap_or(&args.memories);
    Actor::read(path).map_err(|e| match (&args.policy, file::read_codebook(path)) {
        (None, Ok(_)) => Error::new(Kind::Settings, "memories alone do not act")
            .at(path.display().to_string())
            .next("name a policy instead, or give one with --policy"),
        _ => e,
    })
}

/// The report of one suggestion.
fn suggestion(
    suggestion: &Suggestion,
    book: &Codebook,
    states: &Demonstrations,
    seeds: &[u64],
) -> SuggestionReport {
    let nearest = suggestion.nearest.memory;
    let mut scaled = book.scaled_buffer();
    book.scale(&states.state(suggestion.row), &mut scaled);
    let parts = book.contributions(&scaled, nearest);
    let total: f32 = parts.iter().sum(); // the squared distance
    let mut order: Vec<usize> = (0..parts.len()).filter(|&k| parts[k] > 0.0).collect();
    order.sort_by(|&a, &b| parts[b].total_cmp(&parts[a]));
    let differences = order.into_iter().take(3).map(|k| Difference {
        dimension: k,
        state: states.state(suggestion.row)[k],
        memory: book.state(nearest)[k],
        share: parts[k] / total,
    });
    SuggestionReport {
        at: suggestion.at.to_string(),
        start: suggestion.start.to_string(),
        seed: seeds.get(suggestion.at.episode as usize).copied(),
        d_i_before: suggestion.distance,
        d_i_after: suggestion.remaining,
        memory: NearestMemory {
            memory: nearest,
            source: book.source(nearest).to_string(),
            distance: suggestion.nearest.distance,
        },
        largest_differences: differences.collect(),
    }
}
