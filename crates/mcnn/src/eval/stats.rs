//! The statistics that results are reported with. No number without its interval; all randomness is seeded.

use crate::seed::Seed;
use serde::Serialize;

/// Resamples of a bootstrap.
pub const RESAMPLES: usize = 5000;
const NORMAL_95: f64 = 1.959963984540054; // the standard normal's 97.5 % quantile

/// The mean; NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The interquartile mean: of the values left when a quarter (rounded down) is cut off at each end, as in rliable
/// (Agarwal et al., 2021). NaN of nothing.
pub fn iqm(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let cut = values.len() / 4;
    mean(&sorted[cut..values.len() - cut])
}

/// The quantile `q` in [0, 1], straight between neighbours (numpy's default); NaN of nothing.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    quantile_of_sorted(&sorted, q)
}

fn quantile_of_sorted(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = q.clamp(0.0, 1.0) * last as f64;
    let (low, share) = (place as usize, place.fract());
    let high = (low + 1).min(last);
    sorted[low] + share * (sorted[high] - sorted[low])
}

/// The 95 % percentile bootstrap interval of a statistic of all groups' values together. Values are drawn within
/// their own group (stratified: runs of one task stay with that task); give one group for the plain bootstrap.
/// `[NaN, NaN]` where there are fewer than two values.
pub fn bootstrap(groups: &[&[f64]], statistic: impl Fn(&[f64]) -> f64, seed: Seed) -> [f64; 2] {
    let n = groups.iter().map(|group| group.len()).sum();
    if n < 2 {
        return [f64::NAN; 2];
    }
    let mut rng = seed.fork("bootstrap").rng();
    let mut drawn = Vec::with_capacity(n);
    let mut found: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            drawn.clear();
            for group in groups {
                drawn.extend((0..group.len()).map(|_| group[rng.below(group.len())]));
            }
            statistic(&drawn)
        })
        .collect();
    found.sort_unstable_by(f64::total_cmp);
    [0.025, 0.975].map(|q| quantile_of_sorted(&found, q))
}

/// Wilson's 95 % score interval of a share of `n`; `[0, 1]` where `n` is 0.
pub fn wilson(hits: usize, n: usize) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    let (share, n, z2) = (hits as f64 / n as f64, n as f64, NORMAL_95 * NORMAL_95);
    let centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let reach = NORMAL_95 / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    // Exact at the ends, where rounding would leave a trace.
    [if hits == 0 { 0.0 } else { centre - reach }, if share == 1.0 { 1.0 } else { centre + reach }]
}

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// How many values.
    pub n: usize,
}

/// The mean of `a - b` over pairs, with the bootstrap interval of the differences.
///
/// # Panics
/// If there are not as many `a` as `b`.
pub fn paired(a: &[f64], b: &[f64], seed: Seed) -> Mean {
    assert_eq!(a.len(), b.len(), "pairs need as many of the one as of the other");
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let [low, high] = bootstrap(&[&differences], mean, seed);
    Mean { mean: mean(&differences), low, high, n: differences.len() }
}
