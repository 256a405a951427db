//! The statistics of evaluations.

use mcnn::{
    eval::stats::{holm, interval, paired, sign_flip},
    seed::Seed,
};
use pyo3::prelude::*;

use crate::error::argument;

/// The mean of values, and its 95 % interval (NaN of one value).
#[pyfunction]
pub fn mean_interval(values: Vec<f64>) -> PyResult<(f64, f64, f64)> {
    check("values", &values)?;
    let found = interval(&values);
    Ok((found.mean, found.low, found.high))
}

/// The mean of the differences of pairs, its 95 % interval, and the p-value of the sign-flip test.
#[pyfunction]
#[pyo3(signature = (a, b, seed=0))]
pub fn paired_difference(
    py: Python<'_>,
    a: Vec<f64>,
    b: Vec<f64>,
    seed: u64,
) -> PyResult<(f64, f64, f64, f64)> {
    check("a", &a)?;
    check("b", &b)?;
    if a.len() != b.len() {
        return Err(argument("a, b", "as many values of each", format!("{} and {}", a.len(), b.len())));
    }
    let found = paired(&a, &b);
    Ok((found.mean, found.low, found.high, py.detach(|| sign_flip(&a, &b, Seed(seed)))))
}

/// p-values corrected for their number (Holm).
#[pyfunction]
pub fn corrected(p: Vec<f64>) -> Vec<f64> {
    holm(&p)
}

fn check(name: &str, values: &[f64]) -> PyResult<()> {
    if values.is_empty() || !values.iter().all(|v| v.is_finite()) {
        return Err(argument(name, "one finite number or more", format!("{} values", values.len())));
    }
    Ok(())
}
