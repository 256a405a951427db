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

/// Numbers of selected episodes.
const SIZES: [usize; 6] = [1, 2, 3, 5, 8, 12];
/// Episodes of the pool.
const POOL: usize = 25;
const METHODS: [&str; 2] = ["MCNN", "1-NN"];
/// How the episodes after the first one are selected.
const ARMS: [&str; 2] = ["random", "suggested"];

/// The measurements at one size, by arm: `[seed]`.
#[derive(Default)]
pub struct Point {
    pub d_i: [Vec<f64>; 2],
    pub score: [[Vec<f64>; 2]; 2],   // by method, then by arm; normalized
    pub success: [[Vec<f64>; 2]; 2], // by method, then by arm; percent
}

impl Point {
    /// Copies the last measurement of the random arm to the suggested arm.
    fn copy_random_to_suggested(&mut self) {
        let copy = |values: &mut [Vec<f64>; 2]| values[1].push(values[0][values[0].len() - 1]);
        copy(&mut self.d_i);
        self.score.iter_mut().chain(&mut self.success).for_each(copy);
    }
}

/// The settings of a task.
struct Setting<'a> {
    task: &'a dyn Task,
    pool: &'a Demonstrations,
    /// The states over which d_I is measured.
    unseen: &'a Demonstrations,
    /// Selection of MCNN's memories.
    memories: LearnSettings,
    /// Episodes of an evaluation.
    episodes: usize,
}

/// The learning curves on `drive`; the plot is written to `path`.
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

/// The learning curves on pen, with the episodes of `data` as the pool; the plot is written to `path`.
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

/// Measures both arms at all sizes with one seed.
fn curve(setting: &Setting, seed: u64, points: &mut [Point]) -> Result<()> {
    let random = Seed(seed).fork("pool").rng().permutation(setting.pool.n_episodes());
    // Distances are comparable only with one standardization: that of the whole pool.
    let all = LearnSettings {
        selection: SelectionMethod::All,
        smooth_neighbors: setting.memories.smooth_neighbors,
        ..Default::default()
    };
    let scale = learn(setting.pool, &all)?.codebook.parts().scale.clone();
    let mut suggested = vec![random[0]];
    for (&size, point) in SIZES.iter().zip(points) {
        extend(setting.pool, &mut suggested, size)?;
        for (arm, order) in [&random[..size], &suggested].into_iter().enumerate() {
            if arm == 1 && order == &random[..size] {
                point.copy_random_to_suggested(); // both arms start with the same episode
                continue;
            }
            let data = setting.pool.select(order);
            let whole = learn(&data, &all)?.codebook;
            let mut parts = whole.parts().clone();
            parts.scale = scale.clone();
            point.d_i[arm].push(Codebook::new(parts)?.coverage(setting.unseen).max.into());
            let chosen = learn(&data, &setting.memories)?.codebook;
            let codebooks = [(chosen, Lambda::Auto), (whole, Lambda::Value(0.0))];
            for (method, (codebook, lambda)) in codebooks.into_iter().enumerate() {
                let policy = train(&data, codebook, lambda, seed)?;
                let [score, success] = score(&policy, setting.task, 1000, setting.episodes)?;
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
fn extend(pool: &Demonstrations, selected: &mut Vec<usize>, size: usize) -> Result<()> {
    let count = size - selected.len();
    let amount = Amount::Fraction(1.0);
    let codebook = learn(
        &pool.select(selected),
        &LearnSettings { selection: SelectionMethod::All, amount, ..Default::default() },
    )?
    .codebook;
    let remaining: Vec<usize> = (0..pool.n_episodes()).filter(|k| !selected.contains(k)).collect();
    if count > 0 {
        let rest = pool.select(&remaining);
        let found = suggest(&codebook, &rest, DemonstrationScope::Episode, count);
        selected.extend(found.iter().map(|s| remaining[rest.episode_of(s.row)]));
    }
    assert_eq!(selected.len(), size, "the pool has enough unselected episodes");
    Ok(())
}

/// Prints the table and writes the plot.
fn report(task: &str, points: &[Point], path: &Path) -> Result<()> {
    println!("\n| episodes | what | random | suggested | suggested minus random |\n|---|---|---|---|---|");
    for (size, point) in SIZES.iter().zip(points) {
        let rows = [("d_I", &point.d_i)].into_iter().chain((0..2).flat_map(|m| {
            [
                (["MCNN, score", "1-NN, score"][m], &point.score[m]),
                (["MCNN, success %", "1-NN, success %"][m], &point.success[m]),
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
