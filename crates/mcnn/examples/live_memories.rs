//! The effect of correcting a trained policy's memories on the task `drive`, and the precision and recall with which
//! `Codebook::disagreements` finds wrong memories. docs/book/src/studies/live-memories.md has the method and the results.
//!
//!     live_memories [DATA...]     further demonstrations in which wrong steps are searched

use mcnn::{
    Result,
    act::Act,
    data::{self, ActionRange, Demonstrations, Parts},
    eval::{Episode, Run, collect, rollout, stats::wilson},
    expert::{Noise, Noisy},
    memory::{Codebook, LearnSettings, SelectionMethod, learn},
    policy::Policy,
    seed::{Rng, Seed},
    task::drive::{Drive, Expert, N_ACT, N_OBS},
    train::{self, TrainSettings},
};

fn main() -> Result<()> {
    corrections()?;
    println!("\n| data | fault | precision | recall | called |\n|---|---|---|---|---|");
    wrong_steps("drive, noise 0.1", &laps(5, 0, 0.1)?)?;
    wrong_steps("drive, no noise", &laps(5, 0, 0.0)?)?;
    for path in std::env::args().skip(1) {
        let data = data::read(path.as_ref(), &Default::default())?;
        let name = std::path::Path::new(&path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        wrong_steps(&name, &data)?;
    }
    Ok(())
}

fn laps(episodes: usize, first_seed: u64, noise: f64) -> Result<Demonstrations> {
    let expert = Noisy::new(Expert, Noise::Correlated { std: noise, kept: 0.5 }, None)?;
    let run = Run { episodes, first_seed, threads: 1, environments_per_worker: 1, trace: false };
    let all = collect(&expert, &Drive::new(), &run, &|_| true)?;
    let parts = Parts {
        n_obs: N_OBS,
        n_act: N_ACT,
        states: all.states,
        actions: all.actions,
        rewards: Some(all.rewards),
        ends: all.ends,
    };
    Demonstrations::new(parts, ActionRange::Refuse)
}

fn drive(act: &dyn Act, seed: u64, episodes: usize) -> Result<Vec<Episode>> {
    let run = Run { episodes, first_seed: seed, threads: 2, environments_per_worker: 1, trace: false };
    rollout(act, &Drive::new(), &run, &|_| ())
}

/// The number of successes, and of trials.
#[derive(Default, Clone, Copy)]
struct Tally(usize, usize);

impl Tally {
    fn add(&mut self, success: bool) {
        self.0 += usize::from(success);
        self.1 += 1;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [low, high] = wilson(self.0, self.1);
        let share = 100.0 * self.0 as f64 / self.1 as f64;
        write!(f, "{} of {} ({share:.0} %, {:.0} to {:.0})", self.0, self.1, 100.0 * low, 100.0 * high)
    }
}

/// The added section of a lap: its name, and its extent in meters before and after the place of the failure.
const CHANGES: [(&str, [f64; 2]); 3] =
    [("60 m", [40.0, 20.0]), ("140 m", [100.0, 40.0]), ("the lap", [f64::INFINITY; 2])];

fn corrections() -> Result<()> {
    const ROADS: u64 = 3000;
    println!(
        "| policy | change | memories added | past the place | success | other roads still driven |\n|---|---|---|---|---|---|"
    );
    let mut totals = [[Tally::default(); 3]; CHANGES.len()];
    for seed in 0..3 {
        let data = laps(5, 0, 0.1)?;
        let settings =
            TrainSettings { steps: 6000, validation_fraction: 0.0, seed: Seed(seed), ..Default::default() };
        let mut run = train::Run::new(&data, learn(&data, &LearnSettings::default())?.codebook, settings)?;
        while run.step().is_some() {}
        let policy = run.policy();
        let before = drive(&policy, ROADS, 60)?;
        let good: Vec<u64> = before.iter().filter(|e| e.success == Some(true)).map(|e| e.seed).collect();
        let mut tallies = [[Tally::default(); 3]; CHANGES.len()];
        let mut sizes: [Vec<f64>; CHANGES.len()] = Default::default();
        for failed in before.iter().filter(|e| e.success != Some(true)) {
            let lap = laps(1, failed.seed, 0.0)?;
            for (k, (_, reach)) in CHANGES.into_iter().enumerate() {
                let steps = section(&lap, failed.ret, reach);
                sizes[k].push(steps.len() as f64);
                let changed = changed(&policy, &lap, &steps)?;
                let again = &drive(&changed, failed.seed, 1)?[0];
                tallies[k][0].add(again.success == Some(true) || again.ret > failed.ret + 30.0);
                tallies[k][1].add(again.success == Some(true));
                let start = failed.seed as usize % good.len().max(1);
                for other in good.iter().cycle().skip(start).take(5.min(good.len())) {
                    tallies[k][2].add(drive(&changed, *other, 1)?[0].success == Some(true));
                }
            }
        }
        for (k, (change, _)) in CHANGES.into_iter().enumerate() {
            let [past, success, others] = tallies[k];
            let size = mcnn::eval::stats::mean(&sizes[k]);
            println!("| {seed} | {change} | {size:.0} | {past} | {success} | {others} |");
            for (total, tally) in totals[k].iter_mut().zip(tallies[k]) {
                *total = Tally(total.0 + tally.0, total.1 + tally.1);
            }
        }
    }
    for (k, (change, _)) in CHANGES.into_iter().enumerate() {
        let [past, success, others] = totals[k];
        println!("| all | {change} | | {past} | {success} | {others} |");
    }
    Ok(())
}

/// The steps of a lap around a place. The reward of a step is its progress in meters.
fn section(lap: &Demonstrations, place: f64, [before, after]: [f64; 2]) -> Vec<usize> {
    let mut along = 0.0;
    let rewards = lap.rewards().expect("laps have rewards");
    (0..lap.n_steps())
        .filter(|&i| {
            along += f64::from(rewards[i]);
            (place - before..place + after).contains(&along)
        })
        .collect()
}

fn changed(policy: &Policy, lap: &Demonstrations, steps: &[usize]) -> Result<Policy> {
    let (codebook, _) = policy.codebook().with_steps(lap, steps)?;
    policy.clone().with_codebook(codebook)
}

/// A fault in the action of a step.
type Fault = fn(&Demonstrations, &mut [f32], &mut Rng);

const FAULTS: [(&str, Fault); 3] = [
    ("random action", |_, action, rng| action.iter_mut().for_each(|a| *a = rng.between(-1.0, 1.0) as f32)),
    ("action of another step", |data, action, rng| {
        action.copy_from_slice(&data.action(rng.below(data.n_steps())));
    }),
    ("first dimension negated", |_, action, _| action[0] = -action[0]),
];

fn wrong_steps(name: &str, data: &Demonstrations) -> Result<()> {
    for (what, fault) in FAULTS {
        let (mut right, mut called, mut wrong) = (0, 0, 0);
        for draw in 0..10 {
            let mut rng = Seed(draw).fork("wrong").rng();
            let faulty: Vec<usize> =
                rng.permutation(data.n_steps()).into_iter().take(data.n_steps() / 20).collect();
            let mut parts = Parts::from(data.clone());
            for &i in &faulty {
                fault(data, &mut parts.actions[i * data.n_act()..][..data.n_act()], &mut rng);
            }
            let steps = Demonstrations::new(parts, ActionRange::Refuse)?;
            let settings = LearnSettings { selection: SelectionMethod::All, ..Default::default() };
            let book = learn(&steps, &settings)?.codebook;
            let found: Vec<usize> = book
                .disagreements()
                .into_iter()
                .filter(|d| d.score > Codebook::DISAGREEMENT_THRESHOLD)
                .filter_map(|d| steps.find(book.source(d.memory)))
                .collect();
            right += found.iter().filter(|i| faulty.contains(i)).count();
            called += found.len();
            wrong += faulty.len();
        }
        let share = |of: usize| right as f64 / of.max(1) as f64;
        println!("| {name} | {what} | {:.2} | {:.2} | {called} of {wrong} |", share(called), share(wrong));
    }
    Ok(())
}
