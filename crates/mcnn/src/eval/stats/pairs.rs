//! Paired comparison of two actors on the same episodes: the mean difference, a sign-flip test, and Holm's correction for
//! multiple comparisons.

use super::{Estimate, interval};
use crate::seed::Seed;

/// Random sign patterns where there are too many to try all.
pub const FLIPS: usize = 20_000;
/// Pairs up to which all sign patterns are tried.
const ALL_UP_TO: usize = 14;

/// The mean of `a - b` over pairs, with Student's interval of the differences.
///
/// # Panics
/// If there are not as many `a` as `b`.
pub fn paired(a: &[f64], b: &[f64]) -> Estimate {
    interval(&differences(a, b))
}

/// The two-sided p-value of the sign-flip test: were the two alike, each pair could as well have come out the other
/// way round, so every pattern of signs of the differences is equally likely; p is the share of patterns whose sum is
/// at least as far from 0 as the one found. All patterns are tried up to 14 pairs that differ, else 20,000 random
/// ones and the one found. It makes no assumption about the distribution of the differences. 1 where no pair differs.
///
/// # Panics
/// If there are not as many `a` as `b`.
pub fn sign_flip(a: &[f64], b: &[f64], seed: Seed) -> f64 {
    let differences: Vec<f64> = differences(a, b).into_iter().filter(|d| *d != 0.0).collect();
    let sum: f64 = differences.iter().sum();
    let reach = sum.abs() - 1e-12 * differences.iter().map(|d| d.abs()).sum::<f64>(); // sums of other orders round otherwise
    if differences.len() <= ALL_UP_TO {
        let patterns = 1_u32 << differences.len();
        let far = (0..patterns)
            .filter(|pattern| {
                let signed = |(i, d): (usize, &f64)| if pattern >> i & 1 == 1 { -d } else { *d };
                differences.iter().enumerate().map(signed).sum::<f64>().abs() >= reach
            })
            .count();
        return far as f64 / f64::from(patterns);
    }
    let mut rng = seed.fork("sign flip").rng();
    let far = (0..FLIPS)
        .filter(|_| {
            let flipped: f64 = differences
                .chunks(64)
                .map(|chunk| {
                    let bits = rng.bits();
                    let signed = |(i, d): (usize, &f64)| if bits >> i & 1 == 1 { -d } else { *d };
                    chunk.iter().enumerate().map(signed).sum::<f64>()
                })
                .sum();
            flipped.abs() >= reach
        })
        .count();
    (far + 1) as f64 / (FLIPS + 1) as f64
}

/// Holm's step-down correction (1979) of the p-values of several comparisons: a comparison whose corrected value is
/// at most 0.05 is one that fewer than 5 in 100 such families would show by chance anywhere. In the order given.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&i, &j| p[i].total_cmp(&p[j]));
    let (mut corrected, mut least) = (vec![0.0; p.len()], 0.0_f64);
    for (place, &i) in order.iter().enumerate() {
        least = least.max((p[i] * (p.len() - place) as f64).min(1.0));
        corrected[i] = least;
    }
    corrected
}

fn differences(a: &[f64], b: &[f64]) -> Vec<f64> {
    assert_eq!(a.len(), b.len(), "pairs need as many of the one as of the other");
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}
