//! Understanding a policy: its calibration, certificates, the page about it, and suggestions of demonstrations.

use mcnn::{
    calibration::{OodQuantile, Threshold},
    certify::{Bound as TheoremBound, DemonstrationScope, isolation},
    policy::Policy,
};
use numpy::PyArray1;
use pyo3::{prelude::*, types::PyDict};

use crate::{
    demonstrations::{PyDemonstrations, in_units_of},
    error::{argument, raise},
    memories::memories_of,
    options::whole_numbers,
    workers,
};

/// The bound of a policy for demonstrations.
pub fn certify<'py>(
    py: Python<'py>,
    policy: &Policy,
    demos: &PyDemonstrations,
    horizon: u64,
    action_count: Option<u64>,
) -> PyResult<Bound<'py, PyDict>> {
    let codebook = policy.codebook();
    let actions = action_count.unwrap_or(codebook.n_act() as u64);
    let (coverage, bound) = workers::run(py, || {
        let data = in_units_of(codebook, &demos.data)?;
        codebook.check_space(&data)?;
        Ok((isolation(codebook, &data), TheoremBound::new(policy.envelope(), horizon, actions)?))
    })?;
    let found = PyDict::new(py);
    found.set_item("distance", coverage.max)?;
    found.set_item("at", (coverage.isolated.episode, coverage.isolated.step))?;
    found.set_item("median_distance", coverage.median)?;
    found.set_item("p95_distance", coverage.p95)?;
    found.set_item("bound", bound.at(coverage.max))?;
    found.set_item("vacuous", bound.is_vacuous(coverage.max))?;
    found.set_item("region_width", bound.width(coverage.max))?;
    found.set_item("informative_below", bound.informative_below())?;
    found.set_item("horizon", horizon)?;
    found.set_item("action_count", actions)?;
    Ok(found)
}

/// The threshold of a policy's calibration.
pub fn threshold(policy: &Policy, quantile: f64, of: &str) -> PyResult<Threshold> {
    let quantile = match of {
        "states" => OodQuantile::States(quantile),
        "episodes" => OodQuantile::Episodes(quantile),
        other => return Err(argument("of", "\"states\" or \"episodes\"", format!("{other:?}"))),
    };
    let calibration = policy.calibration().ok_or_else(|| {
        argument(
            "the policy",
            "an OOD calibration",
            "none: memories of a single episode, or memories were dropped",
        )
    })?;
    calibration.threshold(quantile).map_err(raise)
}

/// The distances of a policy's calibration.
pub fn calibration<'py>(py: Python<'py>, policy: &Policy) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Some(calibration) = policy.calibration() else { return Ok(None) };
    let episodes = calibration.episodes();
    let numbers = episodes.iter().map(|episode| i64::from(episode.number)).collect();
    let distances: Vec<_> =
        episodes.iter().map(|episode| PyArray1::from_slice(py, &episode.distances)).collect();
    let found = PyDict::new(py);
    found.set_item("episodes", PyArray1::<i64>::from_vec(py, numbers))?;
    found.set_item("distances", distances)?;
    Ok(Some(found))
}

/// The page about a policy, as HTML.
pub fn report_page(
    py: Python<'_>,
    policy: &Policy,
    demos: &PyDemonstrations,
    episodes: Option<&Bound<'_, PyAny>>,
) -> PyResult<String> {
    let numbers = episodes.map(|given| whole_numbers("episodes", given)).transpose()?.unwrap_or_default();
    let n = demos.data.n_episodes();
    let place = |k: i64| {
        usize::try_from(k).map_err(|_| argument("episodes", format!("0 to {}", n - 1), k.to_string()))
    };
    let shown = numbers.into_iter().map(place).collect::<PyResult<Vec<usize>>>()?;
    workers::run(py, || {
        let data = in_units_of(policy.codebook(), &demos.data)?;
        mcnn_cli::embedded::report_page(policy, &data, &shown)
    })
}

/// Suggestions as JSON, for `mcnn.suggest`.
#[pyfunction]
pub fn _suggest(
    py: Python<'_>,
    demos: &PyDemonstrations,
    memories: &Bound<'_, PyAny>,
    count: usize,
    start_states: bool,
) -> PyResult<String> {
    let (codebook, _) = memories_of(memories)?;
    if count == 0 {
        return Err(argument("count", "1 or more", "0"));
    }
    let scope = if start_states { DemonstrationScope::State } else { DemonstrationScope::Episode };
    workers::run(py, || {
        let data = in_units_of(&codebook, &demos.data)?;
        mcnn_cli::embedded::suggestions(&codebook, &data, scope, count)
    })
}

/// Of how many states of demonstrations each memory is the nearest.
pub fn uses<'py>(
    py: Python<'py>,
    policy: &Policy,
    demos: &PyDemonstrations,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let codebook = policy.codebook();
    let counts = workers::run(py, || {
        codebook.check_space(&demos.data)?;
        Ok(mcnn_cli::embedded::uses(codebook, &demos.data))
    })?;
    Ok(PyArray1::from_vec(py, counts.into_iter().map(i64::from).collect()))
}
