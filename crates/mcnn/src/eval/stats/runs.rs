//! Several runs of several tasks as one number, as in rliable (Agarwal et al., Deep Reinforcement Learning at the Edge
//! of the Statistical Precipice, 2021). Scores are `[tasks][runs]`; runs of a task are resampled within it.

use super::{Estimate, FEW_RUNS, Rough, estimate, interval::NORMAL_95, iqm, mean, median};
use crate::seed::Seed;

/// The interquartile mean over all runs of all tasks.
pub fn iqm_of(tasks: &[Vec<f64>], resamples: usize, seed: Seed) -> Estimate {
    estimate(tasks, |tasks| iqm(&tasks.concat()), resamples, seed)
}

/// The median of the tasks' means.
pub fn median_of(tasks: &[Vec<f64>], resamples: usize, seed: Seed) -> Estimate {
    let statistic = |tasks: &[Vec<f64>]| median(&tasks.iter().map(|runs| mean(runs)).collect::<Vec<_>>());
    estimate(tasks, statistic, resamples, seed)
}

/// The optimality gap: the mean amount by which runs are below `goal`; 0 for a run above it.
pub fn optimality_gap(tasks: &[Vec<f64>], goal: f64, resamples: usize, seed: Seed) -> Estimate {
    let statistic = |tasks: &[Vec<f64>]| {
        let short: Vec<f64> = tasks.iter().flatten().map(|score| goal - score.min(goal)).collect();
        mean(&short)
    };
    let gap = estimate(tasks, statistic, resamples, seed);
    Estimate { low: gap.low.max(0.0), ..gap }
}

/// A performance profile at one score.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Profile {
    /// The score.
    pub tau: f64,
    /// Share of all runs above it, with its own (pointwise) interval within [0, 1].
    pub share: Estimate,
}

/// The share of all runs above each score of `taus`.
pub fn profile(tasks: &[Vec<f64>], taus: &[f64], resamples: usize, seed: Seed) -> Vec<Profile> {
    let at = |&tau: &f64| {
        let above = |runs: &[Vec<f64>]| {
            mean(&runs.iter().flatten().map(|score| f64::from(u8::from(*score > tau))).collect::<Vec<_>>())
        };
        Profile { tau, share: within_one(estimate(tasks, above, resamples, seed)) }
    };
    taus.iter().map(at).collect()
}

/// The probability that a run of `a` scores more than a run of `b` on a task chosen at random, equal scores counting
/// half (Mann and Whitney's statistic as a share, averaged over the tasks). Both have the same tasks in the same order.
///
/// The interval is Newcombe's (Statistics in Medicine, 2006, method 5), Wilson's idea for this statistic: the values
/// from which the one found is less than 1.96 of the standard errors that they themselves would have, by Hanley and
/// McNeil. (A bootstrap interval would have no width if, in a few runs, one side always won.) It is rough where a task has fewer than
/// [`FEW_RUNS`] runs of either, and NaN where it has none.
///
/// # Panics
/// If they have not the same number of tasks.
pub fn improvement(a: &[Vec<f64>], b: &[Vec<f64>]) -> Estimate {
    assert_eq!(a.len(), b.len(), "both need the same tasks");
    let pairs = || a.iter().zip(b);
    let found = mean(&pairs().map(|(a, b)| share_above(a, b)).collect::<Vec<_>>());
    let variance = |p: f64| {
        let of = |(a, b): (&Vec<f64>, &Vec<f64>)| {
            let (m, n) = (a.len() as f64, b.len() as f64);
            let shared = (1.0 - p) / (2.0 - p) + p / (1.0 + p);
            p * (1.0 - p) * (1.0 + ((m + n) / 2.0 - 1.0) * shared) / (m * n)
        };
        pairs().map(of).sum::<f64>() / (a.len() as f64).powi(2)
    };
    // Between the one found and an end of [0, 1], where is the distance just 1.96 standard errors?
    let end = |mut outside: f64| {
        let mut inside = found;
        for _ in 0..60 {
            let middle = (inside + outside) / 2.0;
            let within = (middle - found).abs() <= NORMAL_95 * variance(middle).sqrt();
            *(if within { &mut inside } else { &mut outside }) = middle;
        }
        inside
    };
    let fewest = pairs().map(|(a, b)| a.len().min(b.len())).min().unwrap_or(0);
    Estimate {
        mean: found,
        low: if fewest == 0 { f64::NAN } else { end(0.0) },
        high: if fewest == 0 { f64::NAN } else { end(1.0) },
        n: pairs().map(|(a, b)| a.len() + b.len()).sum(),
        rough: (fewest < FEW_RUNS).then_some(Rough::Few),
    }
}

/// Share of the pairs in which a is above b, equal ones counting half.
fn share_above(a: &[f64], b: &[f64]) -> f64 {
    let mut sorted = b.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let twice: usize =
        a.iter().map(|x| sorted.partition_point(|y| y < x) + sorted.partition_point(|y| y <= x)).sum();
    twice as f64 / (2 * a.len() * b.len()) as f64
}

fn within_one(share: Estimate) -> Estimate {
    // `max` and `min` would make a number of a NaN.
    Estimate { low: share.low.clamp(0.0, 1.0), high: share.high.clamp(0.0, 1.0), ..share }
}
