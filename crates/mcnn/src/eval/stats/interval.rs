//! Confidence intervals in closed form: Student's t for a mean, Wilson's score interval for a proportion; and when the former
//! is only approximate ("rough").

use serde::Serialize;

use super::mean;

/// The standard normal's 97.5 % quantile.
pub(super) const NORMAL_95: f64 = 1.959963984540054;

/// Runs of a task below which its interval is called rough.
pub const FEW_RUNS: usize = 5;

/// A point estimate with its 95 % confidence interval: of a mean, an interquartile mean, a proportion or a difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The point estimate. (JSON key `mean`, for every statistic.)
    pub mean: f64,
    /// Lower end of the interval; NaN where there is none.
    pub low: f64,
    /// Upper end of the interval; NaN where there is none.
    pub high: f64,
    /// The number of values.
    pub n: usize,
    /// Why the interval may cover the true value clearly less often than in 95 % of cases, if it may.
    pub rough: Option<Rough>,
}

/// Why an interval is rough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rough {
    /// Fewer than [`FEW_RUNS`] runs of a task: correct only for scores that are nearly normal, which so few runs cannot show.
    Few,
    /// Too skewed for the mean of this many values to be nearly normal.
    Skewed,
    /// All values are equal, so the interval has no width.
    Same,
}

impl std::fmt::Display for Rough {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Rough::Few => "rough: few seeds",
            Rough::Skewed => "rough: skewed",
            Rough::Same => "rough: all the same",
        })
    }
}

/// The mean of independent values with Student's 95 % interval, mean +- t(0.975, n - 1) s / sqrt(n), s the sample standard
/// deviation. It is rough where there are fewer values than 25 times
/// their squared skewness (Cochran's rule, Sampling Techniques, 1977), or where all are the same. The interval of fewer than two values is NaN.
pub fn interval(values: &[f64]) -> Estimate {
    let (n, middle) = (values.len() as f64, mean(values));
    let moment = |k: i32| values.iter().map(|x| (x - middle).powi(k)).sum::<f64>() / n;
    let variance = moment(2);
    let same = values.iter().all(|x| *x == values[0]);
    let reach = if values.len() < 2 {
        f64::NAN
    } else if same {
        0.0 // exactly, in spite of rounding in the sum
    } else {
        student(n - 1.0) * (variance / (n - 1.0)).sqrt()
    };
    let skewed = reach > 0.0 && 25.0 * moment(3).powi(2) > n * variance.powi(3);
    Estimate {
        mean: middle,
        low: middle - reach,
        high: middle + reach,
        n: values.len(),
        rough: match (reach == 0.0, skewed) {
            (true, _) => Some(Rough::Same),
            (_, true) => Some(Rough::Skewed),
            _ => None,
        },
    }
}

/// Wilson's 95 % score interval of the proportion `hits / n` (Wilson, 1927); `[0, 1]` if `n` is 0. With p = hits / n and z =
/// 1.96: (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n).
pub fn wilson(hits: usize, n: usize) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    let (share, n, z2) = (hits as f64 / n as f64, n as f64, NORMAL_95 * NORMAL_95);
    let center = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let reach = NORMAL_95 / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    // Exact at the ends, where rounding would leave a trace.
    [if hits == 0 { 0.0 } else { center - reach }, if share == 1.0 { 1.0 } else { center + reach }]
}

/// The 97.5 % quantile of Student's t with `freedom` degrees of freedom, 1 or more and not necessarily whole. Right
/// to six digits.
pub fn student(freedom: f64) -> f64 {
    if freedom > 40.0 {
        // The expansion in 1 / freedom (Abramowitz and Stegun, 26.7.5).
        let (z, z2) = (NORMAL_95, NORMAL_95 * NORMAL_95);
        let terms = [
            (z2 + 1.0) / 4.0,
            ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0,
            (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0,
        ];
        return z * (1.0 + (terms[0] + (terms[1] + terms[2] / freedom) / freedom) / freedom);
    }
    // With t = sqrt(freedom) tan(pi/2 - u^2), the density in u is proportional to u sin(u^2)^(freedom - 1), which is
    // smooth. Sum it (midpoints) from u = 0, t's far end, until 5 % of all is reached.
    const PIECES: usize = 4000;
    let freedom = freedom.max(1.0);
    let width = std::f64::consts::FRAC_PI_2.sqrt() / PIECES as f64;
    let density: Vec<f64> = (0..PIECES)
        .map(|i| (i as f64 + 0.5) * width)
        .map(|u| u * (u * u).sin().powf(freedom - 1.0))
        .collect();
    let mut left = 0.05 * density.iter().sum::<f64>();
    let mut whole = 0;
    while density[whole] < left {
        left -= density[whole];
        whole += 1;
    }
    let u = (whole as f64 + left / density[whole]) * width;
    freedom.sqrt() / (u * u).tan()
}
