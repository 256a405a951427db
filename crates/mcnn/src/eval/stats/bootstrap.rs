//! The stratified bootstrap (Efron, 1979; stratified by task as in rliable, Agarwal et al., 2021).

use super::{Estimate, FEW_RUNS, Rough, interval::student, mean};
use crate::seed::Seed;

/// Resamples of a bootstrap.
pub const RESAMPLES: usize = 5000;

/// A statistic of several tasks' runs (`[tasks][runs]`) with its 95 % interval: Student's, with the standard error that
/// the bootstrap finds. Runs are drawn within their own task (stratified, as in rliable); in every draw each task
/// misses one run at random, which makes the variance of a mean unbiased (Hesterberg's bootknife, 2004). The degrees
/// of freedom are those of all runs less one a task. `resamples` is [`RESAMPLES`] for what is reported.
///
/// The interval is NaN where a task has fewer than two runs, and rough where one has fewer than [`FEW_RUNS`].
pub fn estimate(
    tasks: &[Vec<f64>],
    statistic: impl Fn(&[Vec<f64>]) -> f64,
    resamples: usize,
    seed: Seed,
) -> Estimate {
    let found = statistic(tasks);
    let n = tasks.iter().map(Vec::len).sum();
    let fewest = tasks.iter().map(Vec::len).min().unwrap_or(0);
    let reach = if fewest < 2 {
        f64::NAN
    } else {
        student((n - tasks.len()) as f64) * standard_error(tasks, statistic, resamples, seed)
    };
    Estimate {
        mean: found,
        low: found - reach,
        high: found + reach,
        n,
        rough: (fewest < FEW_RUNS).then_some(Rough::Few),
    }
}

fn standard_error(
    tasks: &[Vec<f64>],
    statistic: impl Fn(&[Vec<f64>]) -> f64,
    resamples: usize,
    seed: Seed,
) -> f64 {
    let mut rng = seed.fork("bootstrap").rng();
    let mut drawn = tasks.to_vec();
    let found: Vec<f64> = (0..resamples)
        .map(|_| {
            for (to, from) in drawn.iter_mut().zip(tasks) {
                let missing = rng.below(from.len());
                for x in to {
                    let i = rng.below(from.len() - 1);
                    *x = from[i + usize::from(i >= missing)];
                }
            }
            statistic(&drawn)
        })
        .collect();
    let middle = mean(&found);
    let variance = found.iter().map(|x| (x - middle).powi(2)).sum::<f64>() / found.len() as f64;
    variance.sqrt()
}
