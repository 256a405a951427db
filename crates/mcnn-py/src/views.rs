//! Arrays of numpy that share the memory of demonstrations.
//!
//! A [`Column`] has numpy's attribute `__array_interface__`. The array that numpy makes of it refers to the column, which keeps the
//! demonstrations alive, and is read-only.

use std::sync::Arc;

use mcnn::data::Demonstrations;
use pyo3::{prelude::*, types::PyDict};

/// Which values are shared.
#[derive(Clone, Copy)]
pub enum View {
    States,
    Actions,
    Rewards,
}

#[pyclass(frozen, module = "mcnn._mcnn")]
pub struct Column {
    data: Arc<Demonstrations>,
    view: View,
}

impl Column {
    /// The array of some values of the demonstrations.
    pub fn view<'py>(py: Python<'py>, data: &Arc<Demonstrations>, view: View) -> PyResult<Bound<'py, PyAny>> {
        let column = Bound::new(py, Self { data: data.clone(), view })?;
        py.import("numpy")?.call_method1("asarray", (column,))
    }
}

#[pymethods]
impl Column {
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let data = &self.data;
        // Views share memory, so there are none of steps that stay in their file. Python has no such.
        let [states, actions] = data.in_memory().unwrap_or_default();
        let (values, width) = match self.view {
            View::States => (states, Some(data.n_obs())),
            View::Actions => (actions, Some(data.n_act())),
            View::Rewards => (data.rewards().unwrap_or_default(), None),
        };
        let is_read_only = true;
        let interface = PyDict::new(py);
        match width {
            Some(width) => interface.set_item("shape", (values.len() / width, width))?,
            None => interface.set_item("shape", (values.len(),))?,
        }
        interface.set_item("typestr", if cfg!(target_endian = "big") { ">f4" } else { "<f4" })?;
        interface.set_item("data", (values.as_ptr() as usize, is_read_only))?;
        interface.set_item("version", 3)?;
        Ok(interface)
    }
}
