//! Learning curves: episodes selected from a pool by suggestion, compared with random ones.

use std::{ops::Range, path::Path};

use mcnn::{
    Result,
    certify::{DemonstrationScope, suggest},
    data::Demonstrations,
    eval::stats::{interval, paired},
    memory::{Amount, Codebook, LearnSettings, SelectionMethod, learn},
    seed::Seed,
    task::{Task, drive::Drive},
    train::Lambda,
};

use super::{cell, laps, picture, score, train};

/// Numbers of episodes.
const SIZES: [usize; 6] = [1, 2, 3, 5, 8, 12];
const POOL: usize = 25;
const METHODS: [&str; 2] = ["MCNN", "1-NN"];
/// How the episodes after the first are selected.
const ARMS: [&str; 2] = ["random", "suggested"];

/// The measurements at one size, by arm: `[seed]`.
#[derive(Default)]
pub struct Point {
    pub d_i: [Vec<f64>; 2],
    pub score: [[Vec<f64>; 2]; 2], // of each method
    pub success: [[Vec<f64>; 2]; 2],
}

impl Point {
    /// Copies the last measurement of the random arm to the suggested arm.
    fn repeat(&mut self) {
        let again = |values: &mut [Vec<f64>; 2]| values[1].push(values[0][values[0].len() - 1]);
        again(&mut self.d_i);
        self.score.iter_mut().chain(&mut self.success).for_each(again);
    }
}

/// The settings of a task.
struct Setting<'a> {
    task: &'a dyn Task,
    pool: &'a Demonstrations,
    /// The states of which d_I is measured.
    unseen: &'a Demonstrations,
    /// The memories of MCNN.
    memories: LearnSettings,
    episodes: usize,
}

pub fn drive(seeds: Range<u64>, path: &Path) -> Result<()> {
    let unseen = laps(25, 900_000, 0.1)?;
    let mut points: Vec<Point> = SIZES.iter().map(|_| Point::default()).collect();
    for seed in seeds {
        let pool = laps(POOL, 100_000 + 100 * seed, 0.1)?;
        let memories = LearnSettings { seed: Seed(seed), ..Default::default() };
        let setting = Setting { task: &Drive::new(), pool: &pool, unseen: &unseen, memories, episodes: 100 };
        curve(&setting, seed, &mut points)?;
    }
    report("drive", &points, path)
}

#[cfg(feature = "adroit")]
pub fn pen(seeds: Range<u64>, path: &Path, data: &Path) -> Result<()> {
    use mcnn::task::adroit::{Adroit, Rewards};
    let pool = mcnn::data::read(data, &Default::default())?;
    let task = adroit::Hand::new(Adroit::Pen, Rewards::D4rl)?;
    let mut points: Vec<Point> = SIZES.iter().map(|_| Point::default()).collect();
    for seed in seeds {
        let memories =
            LearnSettings { selection: SelectionMethod::All, smooth_neighbors: 10, ..Default::default() };
        let setting = Setting { task: &task, pool: &pool, unseen: &pool, memories, episodes: 100 };
        curve(&setting, seed, &mut points)?;
    }
    report("pen", &points, path)
}

#[cfg(not(feature = "adroit"))]
pub fn pen(_: Range<u64>, _: &Path, _: &Path) -> Result<()> {
    panic!("pen needs --features adroit");
}

fn curve(s: &Setting, seed: u64, points: &mut [Point]) -> Result<()> {
    let random = Seed(seed).fork("pool").rng().permutation(s.pool.n_episodes());
    // Distances are comparable only in one scale, that of the whole pool.
    let all = LearnSettings {
        selection: SelectionMethod::All,
        smooth_neighbors: s.memories.smooth_neighbors,
        ..Default::default()
    };
    let scale = learn(s.pool, &all)?.codebook.parts().scale.clone();
    let mut suggested = vec![random[0]];
    for (&size, point) in SIZES.iter().zip(points) {
        extend(s.pool, &mut suggested, size)?;
        for (arm, order) in [&random[..size], &suggested].into_iter().enumerate() {
            if arm == 1 && order == &random[..size] {
                point.repeat(); // the first episode is the same
                continue;
            }
            let data = s.pool.select(order);
            let whole = learn(&data, &all)?.codebook;
            let mut parts = whole.parts().clone();
            parts.scale = scale.clone();
            point.d_i[arm].push(Codebook::new(parts)?.coverage(s.unseen).max.into());
            let chosen = learn(&data, &s.memories)?.codebook;
            let books = [(chosen, Lambda::Auto), (whole, Lambda::Value(0.0))];
            for (method, (book, lambda)) in books.into_iter().enumerate() {
                let policy = train(&data, book, lambda, seed)?;
                let [score, success] = score(&policy, s.task, 1000, s.episodes)?;
                point.score[method][arm].push(score);
                point.success[method][arm].push(success);
                let (d_i, method, arm) = (point.d_i[arm].last().unwrap(), METHODS[method], ARMS[arm]);
                println!("{seed}\t{size}\t{arm}\t{method}\t{d_i:.4}\t{score:.2}\t{success:.0}\t{order:?}");
            }
        }
    }
    Ok(())
}

/// Extends a selection to `size` episodes, as suggested by the memories of the episodes already selected.
fn extend(pool: &Demonstrations, taken: &mut Vec<usize>, size: usize) -> Result<()> {
    let count = size - taken.len();
    let amount = Amount::Fraction(1.0);
    let book = learn(
        &pool.select(taken),
        &LearnSettings { selection: SelectionMethod::All, amount, ..Default::default() },
    )?
    .codebook;
    let left: Vec<usize> = (0..pool.n_episodes()).filter(|k| !taken.contains(k)).collect();
    if count > 0 {
        let rest = pool.select(&left);
        let found = suggest(&book, &rest, DemonstrationScope::Episode, count);
        taken.extend(found.iter().map(|s| left[rest.episode_of(s.row)]));
    }
    assert_eq!(taken.len(), size, "the pool has enough unknown episodes");
    Ok(())
}

fn report(task: &str, points: &[Point], path: &Path) -> Result<()> {
    println!("\n| episodes | what | random | suggested | suggested minus random |\n|---|---|---|---|---|");
    for (size, p) in SIZES.iter().zip(points) {
        let rows = [("d_I", &p.d_i)].into_iter().chain((0..2).flat_map(|m| {
            [
                (["MCNN, score", "1-NN, score"][m], &p.score[m]),
                (["MCNN, success %", "1-NN, success %"][m], &p.success[m]),
            ]
        }));
        for (what, [random, suggested]) in rows {
            let difference = cell(paired(suggested, random));
            println!(
                "| {size} | {what} | {} | {} | {difference} |",
                cell(interval(random)),
                cell(interval(suggested))
            );
        }
    }
    mcnn::atomic::write(path, picture::svg(task, &SIZES, points, &METHODS, &ARMS).as_bytes())
}
