//! The extension module of the Python package `mcnn`. Documentation comments here are the docstrings; the types are in
//! `python/mcnn/_mcnn.pyi`.
#![deny(unsafe_code)]

mod arrays;
mod constrain;
mod demonstrations;
mod error;
mod memories;
mod options;
mod policy;
mod predict;
mod session;
mod statistics;
mod sweep;
mod training;
mod understand;
mod views;
mod workers;

use pyo3::prelude::*;

#[pymodule]
mod _mcnn {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::{
        constrain::Constraint,
        demonstrations::{PyDemonstrations, read},
        error::Error,
        memories::{_memories_from_bytes, PyMemories, learn},
        policy::{_policy_from_bytes, PyPolicy, load},
        predict::State,
        session::{Action, PySession},
        statistics::{corrected, mean_interval, paired_difference},
        sweep::{StopFlag, SweepFile, sweep_run},
        training::Trainer,
        understand::_suggest,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }

    /// Runs the program `mcnn` with its arguments, the first its name, and returns its exit code. It takes over the process: it
    /// handles signals, and ends the process when it is interrupted.
    #[pyfunction]
    fn run_program(py: Python<'_>, arguments: Vec<std::ffi::OsString>) -> u8 {
        py.detach(|| mcnn_cli::run(arguments))
    }
}
