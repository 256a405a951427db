//! `mcnn.Memories`: the memories chosen from demonstrations.

use std::{path::PathBuf, sync::Arc};

use mcnn::{
    calibration::{CalibrationEpisode, OodCalibration},
    file,
    memory::{Amount, Codebook, LearnSettings, SelectionMethod, learn as choose},
    seed::Seed,
};
use numpy::{PyArray1, PyArrayMethods as _};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict},
};

use crate::{
    demonstrations::PyDemonstrations,
    error::{argument, raise},
    policy::PyPolicy,
    workers,
};

/// Memories: demonstrated states with their actions. Made by `learn`, or read by `Memories.load`.
#[pyclass(frozen, name = "Memories", module = "mcnn")]
pub struct PyMemories {
    pub codebook: Arc<Codebook>,
    /// Distances of the data that the memories were chosen from; `None` for memories from a file.
    pub calibration: Option<OodCalibration>,
}

#[pymethods]
impl PyMemories {
    /// Reads memories that `save` or `mcnn learn` wrote. Raises `mcnn.Error` if the file is not one.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let codebook = workers::run(py, || file::read_codebook(&path))?;
        Ok(Self { codebook: Arc::new(codebook), calibration: None })
    }

    /// Writes a file that `mcnn train` reads; returns the SHA-256 of its bytes.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<String> {
        py.detach(|| file::write_codebook(&path, &self.codebook)).map_err(raise)
    }

    /// Copies: states [n, n_obs], actions [n, n_act] in [-1, 1], actions_in_data_units [n, n_act], and the demonstrated step of each
    /// memory: episodes [n], steps [n].
    fn arrays<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        arrays(py, &self.codebook)
    }

    /// Dimensions of a state.
    #[getter]
    fn n_obs(&self) -> usize {
        self.codebook.n_obs()
    }

    /// Dimensions of an action.
    #[getter]
    fn n_act(&self) -> usize {
        self.codebook.n_act()
    }

    fn __len__(&self) -> usize {
        self.codebook.len()
    }

    fn __repr__(&self) -> String {
        let parts = self.codebook.parts();
        format!(
            "Memories: {} of {} states, by {}; states of {}, actions of {} dimensions",
            self.codebook.len(),
            parts.n_states,
            parts.selection,
            self.codebook.n_obs(),
            self.codebook.n_act()
        )
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Pickled<'py>)> {
        let distances = self.calibration.as_ref().map(|calibration| {
            calibration.episodes().iter().map(|e| (e.number, e.distances.clone())).collect()
        });
        let bytes = PyBytes::new(py, &file::codebook_to_bytes(&self.codebook));
        Ok((py.import("mcnn._mcnn")?.getattr("_memories_from_bytes")?, (bytes, distances)))
    }
}

/// The bytes of memories, and the distances of their data.
type Pickled<'py> = (Bound<'py, PyBytes>, Distances);

/// The distances of calibration episodes, with the numbers of the episodes.
type Distances = Option<Vec<(u32, Vec<f32>)>>;

#[pyfunction]
pub fn _memories_from_bytes(py: Python<'_>, bytes: &[u8], distances: Distances) -> PyResult<PyMemories> {
    let codebook = workers::run(py, || file::codebook_from_bytes(bytes))?;
    let episode = |(number, distances)| CalibrationEpisode { number, distances };
    let calibration = distances.map(|all| OodCalibration::new(all.into_iter().map(episode).collect()));
    Ok(PyMemories { codebook: Arc::new(codebook), calibration: calibration.transpose().map_err(raise)? })
}

/// The memories of an argument, with the distances of their data.
pub fn memories_of(memories: &Bound<'_, PyAny>) -> PyResult<(Arc<Codebook>, Option<OodCalibration>)> {
    if let Ok(policy) = memories.cast::<PyPolicy>() {
        let policy = &policy.get().policy;
        Ok((Arc::new(policy.codebook().clone()), policy.calibration().cloned()))
    } else if let Ok(memories) = memories.cast::<PyMemories>() {
        Ok((memories.get().codebook.clone(), memories.get().calibration.clone()))
    } else {
        Err(argument("memories", "Memories or a Policy", memories.get_type().to_string()))
    }
}

/// The memories as arrays.
pub fn arrays<'py>(py: Python<'py>, codebook: &Codebook) -> PyResult<Bound<'py, PyDict>> {
    let (n, n_obs, n_act) = (codebook.len(), codebook.n_obs(), codebook.n_act());
    let parts = codebook.parts();
    let in_data_units: Vec<f32> =
        (0..n).flat_map(|m| parts.units.action_to_data(codebook.action(m), codebook.state(m))).collect();
    let table = |values: Vec<f32>, width: usize| PyArray1::from_vec(py, values).reshape([n, width]);
    let numbers = |of: fn(&mcnn::data::Step) -> u32| {
        PyArray1::from_vec(py, parts.sources.iter().map(|s| i64::from(of(s))).collect())
    };
    let arrays = PyDict::new(py);
    arrays.set_item("states", table(parts.states.clone(), n_obs)?)?;
    arrays.set_item("actions", table(parts.actions.clone(), n_act)?)?;
    arrays.set_item("actions_in_data_units", table(in_data_units, n_act)?)?;
    arrays.set_item("episodes", numbers(|s| s.episode))?;
    arrays.set_item("steps", numbers(|s| s.step))?;
    Ok(arrays)
}

/// Chooses memories from demonstrations, as `mcnn learn` does.
///
/// fraction: of the states, above 0 and at most 1 (None: 0.1). count: their number, instead. selection: gas, gas-fixed, random, kmeans,
/// kcenter or all. smooth_neighbors: training steps averaged into a memory's action. ignore: dimensions of the state that distances
/// and networks ignore. epochs: passes of gas, gas-fixed and kmeans (None: 10; gas-fixed 1). Raises `mcnn.Error` for settings out of range.
#[pyfunction]
#[pyo3(signature = (demos, fraction=None, *, count=None, selection="gas", smooth_neighbors=1, ignore=None, epochs=None, seed=0))]
#[allow(clippy::too_many_arguments)] // the arguments of a Python function
pub fn learn(
    py: Python<'_>,
    demos: &PyDemonstrations,
    fraction: Option<f64>,
    count: Option<usize>,
    selection: &str,
    smooth_neighbors: usize,
    ignore: Option<Vec<usize>>,
    epochs: Option<usize>,
    seed: u64,
) -> PyResult<PyMemories> {
    if fraction.is_some() && count.is_some() {
        return Err(argument("fraction, count", "one of the two", "both"));
    }
    let named = serde_json::from_value(serde_json::Value::String(selection.into()));
    let selection: SelectionMethod = named.map_err(|_| {
        argument("selection", "gas, gas-fixed, random, kmeans, kcenter or all", format!("{selection:?}"))
    })?;
    let settings = LearnSettings {
        amount: count.map_or(Amount::Fraction(fraction.unwrap_or(0.1)), Amount::Count),
        selection,
        epochs: epochs.unwrap_or(if selection == SelectionMethod::GasFixed { 1 } else { 10 }),
        smooth_neighbors,
        ignore: ignore.unwrap_or_default(),
        seed: Seed(seed),
    };
    let data = &demos.data;
    workers::run(py, || {
        let codebook = choose(data, &settings)?.codebook;
        let calibration = OodCalibration::leave_one_episode_out(&codebook, data);
        Ok(PyMemories { codebook: Arc::new(codebook), calibration })
    })
}

/// How actions are scaled, a line for each dimension; empty if they are used as they are.
pub fn action_units(codebook: &Codebook) -> Vec<String> {
    let parts = codebook.parts();
    parts.units.describe(&parts.names)
}
