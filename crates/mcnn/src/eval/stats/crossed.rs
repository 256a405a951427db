//! The mean return of a method that was trained with several seeds, every run evaluated on the same episodes: a two-way
//! (runs x episodes) analysis of variance, and the interval that allows for both sources of variance.

use serde::Serialize;

use super::{Estimate, FEW_RUNS, Rough, interval, mean, student};

/// The mean over runs and episodes, and where its uncertainty comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Crossed {
    /// The mean with its interval; `n` counts the runs.
    pub mean: Estimate,
    /// Episodes of each run.
    pub episodes: usize,
    /// Share of the mean's variance that is due to the runs' differing in general: more runs would lower it, more
    /// episodes would not. NaN for one run.
    pub by_runs: f64,
    /// Share that is due to the episodes' differing for all runs alike: more episodes would lower it, more runs would
    /// not. What is left of the two shares, either would lower. NaN for one run.
    pub by_episodes: f64,
    /// Runs that would halve the interval, with as many episodes; none if no number would.
    pub runs_to_halve: Option<usize>,
    /// Episodes that would halve the interval, with as many runs; none if no number would.
    pub episodes_to_halve: Option<usize>,
}

/// The mean of the returns `[runs][episodes]` of runs on the same episodes. Runs and episodes are crossed: the variance
/// of the mean is (M_runs + M_episodes - M_rest) / (runs episodes) of the two-way analysis of variance's mean squares.
/// Student's quantile is that of each part's degrees of freedom, weighted by the parts as Cochran and Cox do (1950):
/// Satterthwaite's degrees of freedom are too large when a few runs happen to be close together. For a single run, the interval
/// covers its episodes only, and is marked as rough.
///
/// # Panics
/// If there are no runs or no episodes, or the runs have not the same number of episodes.
pub fn crossed(returns: &[Vec<f64>]) -> Crossed {
    let (runs, episodes) = (returns.len(), returns.first().map_or(0, Vec::len));
    assert!(runs > 0 && episodes > 0, "no returns to sum up");
    assert!(returns.iter().all(|r| r.len() == episodes), "every run needs the same episodes");
    let of_runs: Vec<f64> = returns.iter().map(|r| mean(r)).collect();
    let of_episodes: Vec<f64> =
        (0..episodes).map(|e| mean(&returns.iter().map(|r| r[e]).collect::<Vec<_>>())).collect();
    let rough = (runs < FEW_RUNS).then_some(Rough::Few);
    if runs == 1 || episodes == 1 {
        let along = if runs == 1 { interval(&of_episodes) } else { interval(&of_runs) };
        return Crossed {
            mean: Estimate { n: runs, rough: rough.or(along.rough), ..along },
            episodes,
            by_runs: f64::NAN,
            by_episodes: f64::NAN,
            runs_to_halve: (episodes == 1).then_some(4 * runs),
            episodes_to_halve: (runs == 1).then_some(4 * episodes),
        };
    }
    let (s, e, middle) = (runs as f64, episodes as f64, mean(&of_runs));
    let squares = |values: &[f64]| values.iter().map(|x| (x - middle).powi(2)).sum::<f64>();
    let rest: f64 = returns
        .iter()
        .zip(&of_runs)
        .flat_map(|(run, r)| run.iter().zip(&of_episodes).map(move |(x, e)| (x - r - e + middle).powi(2)))
        .sum();
    // The variance of the mean from each source alone, and its degrees of freedom.
    let freedom = [s - 1.0, e - 1.0, (s - 1.0) * (e - 1.0)];
    let parts = [
        squares(&of_runs) / freedom[0] / s,
        squares(&of_episodes) / freedom[1] / e,
        rest / freedom[2] / (s * e),
    ];
    let (runs_alone, episodes_alone) = ((parts[0] - parts[2]).max(0.0), (parts[1] - parts[2]).max(0.0));
    let variance = runs_alone + episodes_alone + parts[2];
    let shares = [runs_alone, episodes_alone, parts[2]].map(|part| part / variance);
    let quantile: f64 = shares.iter().zip(freedom).map(|(share, freedom)| share * student(freedom)).sum();
    let reach = if variance > 0.0 { quantile * variance.sqrt() } else { 0.0 };
    // The rest is of the single run on the single episode: more of either lowers it.
    let to_halve = |n: usize, lowered: f64, stays: f64| {
        let target = variance / 4.0 - stays;
        (variance > 0.0 && target > 0.0).then(|| (n as f64 * lowered / target).ceil() as usize)
    };
    Crossed {
        mean: Estimate { mean: middle, low: middle - reach, high: middle + reach, n: runs, rough },
        episodes,
        by_runs: shares[0],
        by_episodes: shares[1],
        runs_to_halve: to_halve(runs, runs_alone + parts[2], episodes_alone),
        episodes_to_halve: to_halve(episodes, episodes_alone + parts[2], runs_alone),
    }
}
