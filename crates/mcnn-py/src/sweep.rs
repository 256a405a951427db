//! The runs of a sweep, for `mcnn.sweep`.

use std::{
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use mcnn_cli::embedded::{SweepFile as File, run_of_plan};
use pyo3::prelude::*;

use crate::{error::raise, session::lock, workers};

/// A plan and its file of results.
#[pyclass(frozen, module = "mcnn._mcnn")]
pub struct SweepFile {
    file: Mutex<File>,
}

#[pymethods]
impl SweepFile {
    #[new]
    fn new(py: Python<'_>, plan: PathBuf, results: PathBuf) -> PyResult<Self> {
        Ok(Self { file: Mutex::new(workers::run(py, || File::open(&plan, &results))?) })
    }

    /// The runs of the plan: their settings as JSON.
    fn runs(&self, py: Python<'_>) -> Vec<String> {
        py.detach(|| lock(&self.file).runs())
    }

    /// Positions of the runs to do.
    fn todo(&self, py: Python<'_>, retry_failed: bool) -> Vec<usize> {
        py.detach(|| lock(&self.file).todo(retry_failed))
    }

    /// Appends a result; returns the error of the run, if it failed.
    fn append(&self, py: Python<'_>, line: &str) -> PyResult<Option<String>> {
        py.detach(|| lock(&self.file).append(line)).map_err(raise)
    }

    /// The results of the runs of the plan, as JSON.
    fn lines(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        py.detach(|| lock(&self.file).lines()).map_err(raise)
    }
}

/// Set when a sweep of this process is to end.
#[pyclass(frozen, module = "mcnn._mcnn")]
pub struct StopFlag {
    flag: AtomicBool,
}

#[pymethods]
impl StopFlag {
    #[new]
    fn new() -> Self {
        Self { flag: AtomicBool::new(false) }
    }

    fn set(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }
}

/// Makes a run of a plan; returns its line of results, or None if it was stopped.
#[pyfunction]
pub fn sweep_run(py: Python<'_>, plan: PathBuf, settings: &str, stop: &StopFlag) -> PyResult<Option<String>> {
    py.detach(|| run_of_plan(&plan, settings, &stop.flag)).map_err(raise)
}
