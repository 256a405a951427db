//! Arguments that describe data: whole numbers, names, keys and the scale of actions.

use mcnn::data::{ActionScale, ActionSettings, AngleChoice, DimensionNames, KeyRange, RelativeTo};
use pyo3::{
    exceptions::PyUserWarning,
    prelude::*,
    types::{PyDict, PyString},
};

use crate::error::argument;

/// Names of dimensions as they are given and shown: of states, and of actions.
pub type Names = (Option<Vec<String>>, Option<Vec<String>>);

/// Whole numbers from an iterable.
pub fn whole_numbers(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<i64>> {
    let refuse = || {
        let found = value.get_type().name().map_or_else(|_| "another object".into(), |t| t.to_string());
        argument(name, "whole numbers", found)
    };
    let items = value.try_iter().map_err(|_| refuse())?;
    items.map(|item| item?.extract::<i64>().map_err(|_| refuse())).collect()
}

/// Names from a dict with the keys `states` and `actions`, or from a pair of lists.
pub fn dimension_names(names: Option<&Bound<'_, PyAny>>) -> PyResult<DimensionNames> {
    let Some(names) = names else { return Ok(DimensionNames::default()) };
    let expected = "a pair (names of states, names of actions), or {\"states\": [...], \"actions\": [...]}";
    let refuse = |_| argument("names", expected, "something else");
    let (state_names, action_names): Names = match names.cast::<PyDict>() {
        Ok(dict) => {
            let of = |key: &str| -> PyResult<Option<Vec<String>>> {
                dict.get_item(key)?.map(|list| list.extract()).transpose().map_err(refuse)
            };
            if let Some(key) =
                dict.keys().iter().find(|key| !matches!(key.to_string().as_str(), "states" | "actions"))
            {
                return Err(argument("names", expected, format!("the key {key}")));
            }
            (of("states")?, of("actions")?)
        }
        Err(_) => names.extract().map_err(refuse)?,
    };
    Ok(DimensionNames { state_names, action_names })
}

/// How actions are scaled, from the arguments of Python.
pub fn action_settings(
    scale: Option<&str>,
    relative_to: Option<&Bound<'_, PyAny>>,
    angle: Option<&Bound<'_, PyAny>>,
) -> PyResult<ActionSettings> {
    let scale = match scale {
        None | Some("auto") => ActionScale::Auto,
        Some("none") => ActionScale::None,
        Some("range") => ActionScale::Range,
        Some("quantile") => ActionScale::Quantile,
        Some(other) => {
            return Err(argument(
                "action_scale",
                "None, \"none\", \"range\" or \"quantile\"",
                format!("{other:?}"),
            ));
        }
    };
    let refuse = |_| {
        let expected = "None, \"state\" (the state's dimension of the same name), or a list with a state dimension or None for each \
                        dimension of the action";
        argument("relative_to", expected, relative_to.map_or(String::new(), ToString::to_string))
    };
    let relative_to = match relative_to {
        None => RelativeTo::Absolute,
        Some(text) if text.is_instance_of::<PyString>() => match text.extract::<String>()?.as_str() {
            "state" => RelativeTo::SameName,
            _ => return Err(refuse(())),
        },
        Some(list) => RelativeTo::Dimensions(list.extract().map_err(|_: PyErr| refuse(()))?),
    };
    Ok(ActionSettings { scale, relative_to, angles: angle.map_or(Ok(Vec::new()), angles)? })
}

/// Dimensions of the state that are angles: a text such as "3-5:deg", a number, or a list of those.
fn angles(given: &Bound<'_, PyAny>) -> PyResult<Vec<AngleChoice>> {
    let one = |text: &str| text.parse().map_err(|e: String| argument("angle", e, format!("{text:?}")));
    if let Ok(text) = given.extract::<String>() {
        return text.split(',').map(one).collect();
    }
    if let Ok(dimension) = given.extract::<usize>() {
        return Ok(vec![one(&dimension.to_string())?]);
    }
    given.try_iter()?.map(|item| one(&item?.str()?.to_cow()?)).collect()
}

/// Warns of clipped actions.
pub fn warn_clipped(py: Python<'_>, outside: &mcnn::data::Outside) -> PyResult<()> {
    if outside.all() == 0 { Ok(()) } else { warn(py, &format!("{outside}, clipped to [-1, 1]")) }
}

pub fn warn(py: Python<'_>, text: &str) -> PyResult<()> {
    let text = std::ffi::CString::new(text.replace('\0', " ")).unwrap_or_default();
    PyErr::warn(py, &py.get_type::<PyUserWarning>(), &text, 2)
}

/// Keys from a text or a list of texts.
pub fn keys(name: &str, value: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<KeyRange>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let texts: Vec<String> = match value.extract::<String>() {
        Ok(text) => text.split(',').map(str::to_owned).collect(),
        Err(_) => value
            .extract()
            .map_err(|_| argument(name, "a key, or a list of keys", value.get_type().to_string()))?,
    };
    let parse = |text: String| text.parse().map_err(|e: String| argument(name, e, format!("{text:?}")));
    texts.into_iter().map(parse).collect()
}
