//! `mcnn suggest`.

use std::path::Path;

use mcnn::{
    Error, Result,
    certify::{DemonstrationScope, Suggestion, isolation, suggest},
    data::Demonstrations,
    error::Kind,
    file,
    memory::{Codebook, Coverage},
};
use serde::Serialize;

use super::{Done, read, visited::visited};
use crate::{actor::Actor, args::SuggestArgs, print};

/// What to have next.
#[derive(Serialize)]
pub struct Suggested {
    /// The memories' file.
    pub file: String,
    pub fingerprint: String,
    pub memories: usize,
    /// The file of the states looked at; null of visited ones.
    pub data: Option<String>,
    /// Whether the memories were chosen from these states.
    pub own: bool,
    /// "episode" or "state": what becomes known once a suggestion is followed.
    pub known: &'static str,
    pub episodes: usize,
    pub states: usize,
    /// Before any is followed; `max` is d_I.
    pub coverage: Coverage,
    pub suggestions: Vec<Suggests>,
}

/// One suggestion.
#[derive(Serialize)]
pub struct Suggests {
    /// The most isolated state, as EPISODE:STEP.
    pub at: String,
    /// Where to begin.
    pub from: String,
    /// The seed of its episode, of visited states.
    pub seed: Option<u64>,
    /// d_I before it is followed.
    pub distance: f32,
    /// d_I after.
    pub d_i: f32,
    pub memory: Memory,
    /// The dimensions in which the state differs most from that memory, at most three, most first.
    pub differs: Vec<Differs>,
}

/// The nearest of the memories.
#[derive(Serialize)]
pub struct Memory {
    pub memory: usize,
    pub source: String,
    pub distance: f32,
}

/// One dimension, in the data's own units.
#[derive(Serialize)]
pub struct Differs {
    pub dimension: usize,
    pub state: f32,
    pub memory: f32,
    /// Of the squared distance.
    pub share: f32,
}

pub fn run(args: &SuggestArgs) -> Result<Done> {
    let (holding, fingerprint) = file::read_constraint_set(&args.memories)?;
    let book = holding.codebook;
    let (states, seeds) = match &args.data {
        Some(path) => {
            let data = read(path, args.options)?;
            book.check_space(&data).map_err(|e| e.within(path.display()))?;
            (data, Vec::new())
        }
        None if !args.visited => {
            return Err(Error::new(Kind::Settings, "no states to choose from")
                .at("mcnn suggest")
                .expected("DATA before MEMORIES, or --visited --task TASK"));
        }
        None => {
            let actor = actor(args)?;
            let (states, seeds) = visited(&actor, args.task.as_deref(), &args.rollouts, &args.encoder)?;
            // Whoever visits them sees the world as the memories do.
            let encoding = actor.policy().and_then(|p| p.codebook().parts().encoding.clone());
            let states = states.with_encoding(encoding);
            book.check_space(&states).map_err(|e| e.within("the states visited"))?;
            (states, seeds)
        }
    };
    let (known, name) = if args.visited || args.begin {
        (DemonstrationScope::State, "state")
    } else {
        (DemonstrationScope::Episode, "episode")
    };
    let found = suggest(&book, &states, known, args.count as usize);
    let report = Suggested {
        file: args.memories.display().to_string(),
        fingerprint,
        memories: book.len(),
        data: args.data.as_ref().map(|d| d.display().to_string()),
        own: book.check_data(&states).is_ok(),
        known: name,
        episodes: states.n_episodes(),
        states: states.n_steps(),
        coverage: isolation(&book, &states),
        suggestions: found.iter().map(|s| one(s, &book, &states, &seeds)).collect(),
    };
    Ok(Done::new(&report, print::suggested(&report)))
}

/// Who visits the states.
fn actor(args: &SuggestArgs) -> Result<Actor> {
    let path: &Path = args.policy.as_ref().unwrap_or(&args.memories);
    Actor::read(path).map_err(|e| match (&args.policy, file::read_codebook(path)) {
        (None, Ok(_)) => Error::new(Kind::Settings, "memories alone do not act")
            .at(path.display().to_string())
            .next("name a policy in their place, or with --policy"),
        _ => e,
    })
}

fn one(s: &Suggestion, book: &Codebook, states: &Demonstrations, seeds: &[u64]) -> Suggests {
    let nearest = s.nearest.memory;
    let mut scaled = book.scaled_buffer();
    book.scale(states.state(s.row), &mut scaled);
    let parts = book.contributions(&scaled, nearest);
    let whole: f32 = parts.iter().sum();
    let mut order: Vec<usize> = (0..parts.len()).filter(|&k| parts[k] > 0.0).collect();
    order.sort_by(|&a, &b| parts[b].total_cmp(&parts[a]));
    let differs = order.into_iter().take(3).map(|k| Differs {
        dimension: k,
        state: states.state(s.row)[k],
        memory: book.state(nearest)[k],
        share: parts[k] / whole,
    });
    Suggests {
        at: s.at.to_string(),
        from: s.start.to_string(),
        seed: seeds.get(s.at.episode as usize).copied(),
        distance: s.distance,
        d_i: s.remaining,
        memory: Memory {
            memory: nearest,
            source: book.source(nearest).to_string(),
            distance: s.nearest.distance,
        },
        differs: differs.collect(),
    }
}
