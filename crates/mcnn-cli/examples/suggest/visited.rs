//! Demonstrations suggested by the states that a policy visits, added to its memories, compared with laps on random roads.

use std::ops::Range;

use mcnn::{
    Result,
    act::{Act, Acting, Decision},
    certify::{DemonstrationScope, suggest},
    data::Demonstrations,
    eval::stats::{interval, paired},
    memory::{Codebook, LearnSettings, learn},
    seed::Seed,
    task::drive::{Drive, Expert},
    train::Lambda,
};

use super::{cell, laps, record, score, train};

/// Laps added.
const COUNTS: [usize; 3] = [1, 3, 5];
const WAYS: [&str; 3] = ["random roads", "suggested roads", "from the suggested states"];
/// First seeds of the roads whose visited states are used for suggestions, and of the roads of the evaluation.
const VISITED: u64 = 3000;
const EVALUATED: u64 = 1000;

pub fn visited(seeds: Range<u64>) -> Result<()> {
    let mut before = Vec::new();
    let mut after: [[Vec<f64>; WAYS.len()]; COUNTS.len()] = Default::default();
    for seed in seeds {
        let data = laps(5, 100_000 + 100 * seed, 0.1)?;
        let settings = LearnSettings { seed: Seed(seed), ..Default::default() };
        let policy = train(&data, learn(&data, &settings)?.codebook, Lambda::Auto, seed)?;
        let evaluate = |act: &dyn Act| score(act, &Drive::new(), EVALUATED, 200);
        before.push(evaluate(&policy)?[1]);
        let states = record(&policy, 60, VISITED)?;
        let most = COUNTS[COUNTS.len() - 1];
        let found = suggest(policy.codebook(), &states, DemonstrationScope::State, most);
        // Demonstrations in the order in which they are added, for each way.
        let mut added: [Vec<Demonstrations>; WAYS.len()] = Default::default();
        for (k, suggestion) in found.iter().enumerate() {
            let road = VISITED + u64::from(suggestion.at.episode);
            added[0].push(laps(1, 200_000 + 100 * seed + k as u64, 0.0)?);
            added[1].push(laps(1, road, 0.0)?);
            let at = suggestion.start.step as usize;
            added[2].push(record(&Relay { first: &policy, then: &Expert, at }, 1, road)?);
        }
        for (i, &count) in COUNTS.iter().enumerate() {
            for way in 0..WAYS.len() {
                let mut book = policy.codebook().clone();
                for (k, lap) in added[way][..count].iter().enumerate() {
                    let begin = if way == 2 { found[k].start.step as usize } else { 0 };
                    book = with(&book, lap, begin)?;
                }
                let changed = policy.clone().with_codebook(book)?;
                after[i][way].push(evaluate(&changed)?[1]);
                let (success, way) = (after[i][way].last().unwrap(), WAYS[way]);
                println!("{seed}\t{count}\t{way}\t{:.1}\t{success:.1}", before.last().unwrap());
            }
        }
    }
    println!("\nbefore: {}\n", cell(interval(&before)));
    println!("| added | by | success % | minus before | minus random roads |\n|---|---|---|---|---|");
    for (count, ways) in COUNTS.iter().zip(&after) {
        for (way, success) in WAYS.iter().zip(ways) {
            println!(
                "| {count} | {way} | {} | {} | {} |",
                cell(interval(success)),
                cell(paired(success, &before)),
                if way == &WAYS[0] { "-".into() } else { cell(paired(success, &ways[0])) }
            );
        }
    }
    Ok(())
}

/// The memories with the steps of a lap from `begin` on.
fn with(book: &Codebook, lap: &Demonstrations, begin: usize) -> Result<Codebook> {
    let steps: Vec<usize> = (begin..lap.n_steps()).collect();
    Ok(book.with_steps(lap, &steps)?.0)
}

/// One policy acts up to a step, another from there on.
struct Relay<'a> {
    first: &'a dyn Act,
    then: &'a dyn Act,
    at: usize,
}

struct Baton<'a> {
    first: Box<dyn Acting + 'a>,
    then: Box<dyn Acting + 'a>,
    left: usize, // steps left to the first
}

impl Act for Relay<'_> {
    fn n_obs(&self) -> usize {
        self.first.n_obs()
    }

    fn n_act(&self) -> usize {
        self.first.n_act()
    }

    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(Baton { first: self.first.start(seed), then: self.then.start(seed), left: self.at })
    }
}

impl Acting for Baton<'_> {
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Decision> {
        let acting = if self.left == 0 { &mut self.then } else { &mut self.first };
        self.left = self.left.saturating_sub(1);
        acting.act(observation, action)
    }
}
