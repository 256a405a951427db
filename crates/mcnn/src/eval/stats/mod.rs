//! Statistics of results: point estimates with 95 % confidence intervals, marked where an interval is only approximate. All
//! randomness is seeded. The methods, their sources and their measured coverage: docs/book/src/statistics.md.

mod bootstrap;
mod crossed;
mod interval;
mod pairs;
mod runs;

pub use bootstrap::{RESAMPLES, estimate};
pub use crossed::{Crossed, crossed};
pub use interval::{Estimate, FEW_RUNS, Rough, interval, student, wilson};
pub use pairs::{FLIPS, holm, paired, sign_flip};
pub use runs::{Profile, improvement, iqm_of, median_of, optimality_gap, profile};

/// The mean; NaN of an empty slice.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The interquartile mean: of the values left when a quarter (rounded down) is cut off at each end, as in rliable
/// (Agarwal et al., 2021). NaN of an empty slice.
pub fn iqm(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    let cut = values.len() / 4;
    if cut > 0 {
        // What is cut off needs no order, and neither does what is left.
        values.select_nth_unstable_by(cut, f64::total_cmp);
        let high = values.len() - 2 * cut;
        values[cut..].select_nth_unstable_by(high, f64::total_cmp);
    }
    mean(&values[cut..values.len() - cut])
}

/// The median; NaN of an empty slice.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The quantile `q` in [0, 1], with linear interpolation (NumPy's default); NaN of an empty slice.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = q.clamp(0.0, 1.0) * last as f64;
    let (low, share) = (place as usize, place.fract());
    let high = (low + 1).min(last);
    sorted[low] + share * (sorted[high] - sorted[low])
}
