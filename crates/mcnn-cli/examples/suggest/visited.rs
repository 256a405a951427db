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

/// Numbers of added demonstrations.
const COUNTS: [usize; 3] = [1, 3, 5];
/// How the added demonstrations are chosen.
const WAYS: [&str; 3] = ["random roads", "suggested roads", "from the suggested states"];
/// First seed of the roads whose visited states are the basis of the suggestions.
const VISITED: u64 = 3000;
/// First seed of the roads of the evaluation.
const EVALUATED: u64 = 1000;

/// Measures and prints the success rates before and after the additions, for every seed.
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
        let max_count = COUNTS[COUNTS.len() - 1];
        let found = suggest(policy.codebook(), &states, DemonstrationScope::State, max_count);
        // Demonstrations in the order in which they are added, for each way.
        let mut added: [Vec<Demonstrations>; WAYS.len()] = Default::default();
        for (k, suggestion) in found.iter().enumerate() {
            let road = VISITED + u64::from(suggestion.at.episode);
            added[0].push(laps(1, 200_000 + 100 * seed + k as u64, 0.0)?);
            added[1].push(laps(1, road, 0.0)?);
            let switch_step = suggestion.start.step as usize;
            let switched = SwitchedPolicy { first: &policy, second: &Expert, switch_step };
            added[2].push(record(&switched, 1, road)?);
        }
        for (i, &count) in COUNTS.iter().enumerate() {
            for way in 0..WAYS.len() {
                let mut codebook = policy.codebook().clone();
                for (k, lap) in added[way][..count].iter().enumerate() {
                    let begin = if way == 2 { found[k].start.step as usize } else { 0 };
                    codebook = with_lap(&codebook, lap, begin)?;
                }
                let changed = policy.clone().with_codebook(codebook)?;
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

/// The codebook with the steps of a lap from `begin` on as further memories.
fn with_lap(codebook: &Codebook, lap: &Demonstrations, begin: usize) -> Result<Codebook> {
    let steps: Vec<usize> = (begin..lap.n_steps()).collect();
    Ok(codebook.with_steps(lap, &steps)?.0)
}

/// An actor that switches from one policy to another at step `switch_step`.
struct SwitchedPolicy<'a> {
    first: &'a dyn Act,
    second: &'a dyn Act,
    switch_step: usize,
}

struct SwitchedSession<'a> {
    first: Box<dyn Acting + 'a>,
    second: Box<dyn Acting + 'a>,
    steps_to_switch: usize,
}

impl Act for SwitchedPolicy<'_> {
    fn n_obs(&self) -> usize {
        self.first.n_obs()
    }

    fn n_act(&self) -> usize {
        self.first.n_act()
    }

    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(SwitchedSession {
            first: self.first.start(seed),
            second: self.second.start(seed),
            steps_to_switch: self.switch_step,
        })
    }
}

impl Acting for SwitchedSession<'_> {
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Decision> {
        let acting = if self.steps_to_switch == 0 { &mut self.second } else { &mut self.first };
        self.steps_to_switch = self.steps_to_switch.saturating_sub(1);
        acting.act(observation, action)
    }
}
