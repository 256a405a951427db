//! Arrays of Python as f32, with errors that name the argument.

use numpy::{Element, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::{prelude::*, types::PyString};

use crate::error::argument;

/// An array: its values, row by row, and its shape.
pub struct Array {
    pub values: Vec<f32>,
    pub shape: Vec<usize>,
}

/// Observations: rows of `n_obs` values.
pub struct Rows {
    pub values: Vec<f32>,
    pub n: usize,
    /// Whether one observation was given without an axis for the batch.
    pub is_single: bool,
}

/// Copies anything that numpy takes for an array of numbers. `name`: of the argument.
pub fn array(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Array> {
    if let Ok(array) = value.cast::<PyArrayDyn<f32>>() {
        return copy(name, array);
    }
    if let Ok(array) = value.cast::<PyArrayDyn<f64>>() {
        return copy(name, array);
    }
    let numpy = value.py().import("numpy")?;
    let refuse = |found: String| argument(name, "an array of numbers", found);
    let described = || value.get_type().name().map_or_else(|_| "another object".into(), |t| t.to_string());
    if value.is_none() || value.is_instance_of::<PyString>() {
        return Err(refuse(described()));
    }
    let found = numpy
        .call_method1("asarray", (value,))
        .map_err(|e| refuse(format!("{}, of which numpy says: {}", described(), e.value(value.py()))))?;
    let dtype = found.getattr("dtype")?;
    let kind: String = dtype.getattr("kind")?.extract()?;
    if !["b", "i", "u", "f"].contains(&kind.as_str()) {
        return Err(refuse(format!("an array of {dtype}")));
    }
    let converted = found.call_method1("astype", ("float64",))?;
    match converted.cast::<PyArrayDyn<f64>>() {
        Ok(array) => copy(name, array),
        Err(_) => Err(refuse(format!("an array of {dtype} that does not convert to floats"))),
    }
}

/// Copies an array as f32. Values that 32 bits cannot hold become infinite, which is refused later with their place.
fn copy<T: Element + Copy + ToF32>(name: &str, array: &Bound<'_, PyArrayDyn<T>>) -> PyResult<Array> {
    let shape = array.shape().to_vec();
    let view = array
        .try_readonly()
        .map_err(|e| argument(name, "an array that nothing else is writing", e.to_string()))?;
    // Memory in another order is contiguous, too.
    let values = match view.as_slice() {
        Ok(values) if array.is_c_contiguous() => values.iter().map(|v| v.to_f32()).collect(),
        _ => view.as_array().iter().map(|v| v.to_f32()).collect(),
    };
    Ok(Array { values, shape })
}

/// Floats that become f32.
trait ToF32 {
    fn to_f32(self) -> f32;
}

impl ToF32 for f32 {
    fn to_f32(self) -> f32 {
        self
    }
}

impl ToF32 for f64 {
    fn to_f32(self) -> f32 {
        self as f32
    }
}

/// Copies observations: `[n_obs]` or `[n, n_obs]`.
pub fn observations(name: &str, value: &Bound<'_, PyAny>, n_obs: usize) -> PyResult<Rows> {
    let Array { values, shape } = array(name, value)?;
    match shape[..] {
        [width] if width == n_obs => Ok(Rows { values, n: 1, is_single: true }),
        [n, width] if width == n_obs => Ok(Rows { values, n, is_single: false }),
        _ => Err(argument(
            name,
            format!("an array of shape [{n_obs}], or [n, {n_obs}] for n observations"),
            format!("shape {shape:?}"),
        )),
    }
}

/// Copies a table: `[n, width]`; `[n]` is a table of width 1.
pub fn table(name: &str, value: &Bound<'_, PyAny>) -> PyResult<(Vec<f32>, usize)> {
    let Array { values, shape } = array(name, value)?;
    match shape[..] {
        [_] => Ok((values, 1)),
        [_, width] => Ok((values, width)),
        _ => Err(argument(name, "an array of shape [steps, dimensions]", format!("shape {shape:?}"))),
    }
}
