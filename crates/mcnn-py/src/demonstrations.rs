//! `mcnn.Demonstrations`, and reading them from files.

use std::{path::PathBuf, sync::Arc};

use mcnn::{
    data::{
        ActionRange, Demonstrations, Parts, ReadOptions, ReadResult, Selection, Units, read_with_notes,
        write_npz,
    },
    memory::Codebook,
};
use numpy::PyArray1;
use pyo3::{
    exceptions::PyIndexError,
    prelude::*,
    types::{PyDict, PySlice},
};

use crate::{
    arrays,
    error::{argument, raise},
    options::{Names, action_settings, dimension_names, keys, warn, warn_clipped, whole_numbers},
    views::{Column, View},
    workers,
};

/// Episodes of states and actions, read-only. `len` is the number of episodes; `demos[2:5]`, `demos[[0, 3]]` and `demos[1]` are
/// selections, which keep the episodes' numbers.
///
/// states: [n_steps, n_obs]. actions: [n_steps, n_act], in any units. episode_ends: where each episode ends (exclusive), increasing, the
/// last n_steps. rewards: [n_steps]. names: {"states": [...], "actions": [...]} or a pair of lists.
/// action_scale: None (actions in [-1, 1] as they are, others by their range), "range", "quantile" (1 % and 99 %, clipped) or "none".
/// relative_to: None, "state" (learn actions as differences to the state's dimension of the same name), or a list with a state
/// dimension or None for each action dimension. angle: dimensions of the state that are angles and wrap, such as "3-5:deg" or
/// [3, "yaw:rad"]; without a unit, degrees if a value is beyond 2 pi. clip_actions: clip a few actions outside [-1, 1] instead of scaling.
///
/// Raises `mcnn.Error` for lengths that disagree, empty episodes, and values that are NaN, infinite or above 1e30.
#[pyclass(frozen, name = "Demonstrations", module = "mcnn")]
pub struct PyDemonstrations {
    pub data: Arc<Demonstrations>,
}

impl From<Demonstrations> for PyDemonstrations {
    fn from(data: Demonstrations) -> Self {
        Self { data: Arc::new(data) }
    }
}

#[pymethods]
impl PyDemonstrations {
    #[new]
    #[pyo3(signature = (states, actions, episode_ends, rewards=None, names=None, *, action_scale=None, relative_to=None, angle=None, clip_actions=false))]
    #[allow(clippy::too_many_arguments)] // the arguments of a Python function
    fn new(
        py: Python<'_>,
        states: &Bound<'_, PyAny>,
        actions: &Bound<'_, PyAny>,
        episode_ends: &Bound<'_, PyAny>,
        rewards: Option<&Bound<'_, PyAny>>,
        names: Option<&Bound<'_, PyAny>>,
        action_scale: Option<&str>,
        relative_to: Option<&Bound<'_, PyAny>>,
        angle: Option<&Bound<'_, PyAny>>,
        clip_actions: bool,
    ) -> PyResult<Self> {
        let (states, n_obs) = arrays::table("states", states)?;
        let (actions, n_act) = arrays::table("actions", actions)?;
        let rewards = rewards.map(|rewards| arrays::array("rewards", rewards)).transpose()?;
        let rewards = rewards.map(|array| array.values);
        let ends: Vec<i64> = whole_numbers("episode_ends", episode_ends)?;
        let ends = ends.into_iter().map(|end| usize::try_from(end).unwrap_or(0)).collect();
        let names = dimension_names(names)?;
        let units = Units::Fitted(action_settings(action_scale, relative_to, angle)?);
        let range = if clip_actions { ActionRange::Clip } else { ActionRange::Refuse };
        let parts = Parts { n_obs, n_act, states, actions, rewards, ends };
        let made = workers::run(py, || {
            let (data, outside) = Demonstrations::scaled(parts, &names, &units, range)?;
            Ok((data.with_names(names)?, outside))
        });
        let (data, outside) = made?;
        warn_clipped(py, &outside)?;
        Ok(data.into())
    }

    /// Demonstrations from an iterable of episodes: pairs (states [n, n_obs], actions [n, n_act]), or triples with rewards [n]. Further
    /// arguments are those of the class.
    #[staticmethod]
    #[pyo3(signature = (episodes, names=None, **options))]
    fn from_episodes<'py>(
        episodes: &Bound<'py, PyAny>,
        names: Option<&Bound<'py, PyAny>>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let joined = episodes.py().import("mcnn._data")?.getattr("join_episodes")?;
        joined.call((episodes, names), options)
    }

    /// All states, [n_steps, n_obs] float32: a read-only view without a copy, which keeps the data alive.
    #[getter]
    fn states<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Column::view(py, &self.data, View::States)
    }

    /// All actions as they are learned, in [-1, 1], [n_steps, n_act] float32: a read-only view without a copy.
    #[getter]
    fn actions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Column::view(py, &self.data, View::Actions)
    }

    /// All rewards, [n_steps] float32, as a read-only view; None if there are none.
    #[getter]
    fn rewards<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.data.rewards().map(|_| Column::view(py, &self.data, View::Rewards)).transpose()
    }

    /// A copy of all actions in the units of the data, [n_steps, n_act] float32.
    #[getter]
    fn actions_in_data_units<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let values = PyArray1::from_vec(py, self.data.actions_in_data_units().into_owned());
        values.call_method1("reshape", ((self.data.n_steps(), self.data.n_act()),))
    }

    /// Where each episode ends, exclusive: [n_episodes] int64.
    #[getter]
    fn episode_ends<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_vec(py, self.data.ends().iter().map(|end| *end as i64).collect())
    }

    /// The number of each episode in its source: [n_episodes] int64.
    #[getter]
    fn episode_numbers<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_vec(py, (0..self.data.n_episodes()).map(|k| i64::from(self.data.number(k))).collect())
    }

    /// Names of the dimensions of states and of actions: a pair of lists, each None if there are none.
    #[getter]
    fn names(&self) -> Names {
        let names = self.data.names().clone();
        (names.state_names, names.action_names)
    }

    /// Dimensions of a state.
    #[getter]
    fn n_obs(&self) -> usize {
        self.data.n_obs()
    }

    /// Dimensions of an action.
    #[getter]
    fn n_act(&self) -> usize {
        self.data.n_act()
    }

    /// Steps of all episodes.
    #[getter]
    fn n_steps(&self) -> usize {
        self.data.n_steps()
    }

    /// How actions are scaled to [-1, 1], a line for each dimension; empty if they are used as they are.
    #[getter]
    fn action_units(&self) -> Vec<String> {
        self.data.units().describe(self.data.names())
    }

    /// A content hash: SHA-256 of widths, episode ends, states and actions.
    #[getter]
    fn fingerprint(&self, py: Python<'_>) -> String {
        py.detach(|| self.data.fingerprint())
    }

    /// Writes an .npz that `read` and `numpy.load` open: states, actions in the data's units, episode_ends, and rewards and names if
    /// there are any. Raises `mcnn.Error` if it cannot be written.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| write_npz(&path, &self.data)).map_err(raise)
    }

    fn __len__(&self) -> usize {
        self.data.n_episodes()
    }

    fn __getitem__(&self, which: &Bound<'_, PyAny>) -> PyResult<Self> {
        let n = self.data.n_episodes() as i64;
        let numbers = if let Ok(slice) = which.cast::<PySlice>() {
            let found = slice.indices(n as isize)?;
            (0..found.slicelength).map(|i| (found.start + i as isize * found.step) as i64).collect()
        } else if let Ok(number) = which.extract::<i64>() {
            vec![number]
        } else {
            whole_numbers("the episodes", which)?
        };
        let index = |k: i64| {
            let at = if k < 0 { k + n } else { k };
            (0..n).contains(&at).then_some(at as usize).ok_or_else(|| {
                PyIndexError::new_err(format!("there is no episode {k}: the demonstrations have {n}"))
            })
        };
        let numbers = numbers.into_iter().map(index).collect::<PyResult<Vec<usize>>>()?;
        if numbers.is_empty() {
            return Err(argument("the episodes", "at least one episode", "none"));
        }
        Ok(self.data.select(&numbers).into())
    }

    fn __repr__(&self) -> String {
        let data = &self.data;
        let lengths: Vec<usize> = (0..data.n_episodes()).map(|k| data.episode(k).len()).collect();
        let (min, max) = (lengths.iter().min().unwrap_or(&0), lengths.iter().max().unwrap_or(&0));
        let each = if min == max { format!("{min} each") } else { format!("{min} to {max} each") };
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        let mut lines = vec![
            format!(
                "Demonstrations: {} episode{}, {} steps ({each})",
                lengths.len(),
                plural(lengths.len()),
                data.n_steps()
            ),
            format!(
                "  states: {} dimension{}{}",
                data.n_obs(),
                plural(data.n_obs()),
                listed(&data.names().state_names)
            ),
            format!(
                "  actions: {} dimension{}{}",
                data.n_act(),
                plural(data.n_act()),
                listed(&data.names().action_names)
            ),
        ];
        lines.extend(data.units().describe(data.names()).into_iter().map(|line| format!("    {line}")));
        if let Some(rewards) = data.rewards() {
            let of = |k: usize| rewards[data.episode(k)].iter().map(|r| f64::from(*r)).sum::<f64>();
            let returns: Vec<f64> = (0..data.n_episodes()).map(of).collect();
            let mean = returns.iter().sum::<f64>() / returns.len() as f64;
            lines.push(format!("  returns: mean {mean:.2}"));
        }
        lines.join("\n")
    }
}

/// Names in brackets, the first of them if they are many.
fn listed(names: &Option<Vec<String>>) -> String {
    match names {
        None => String::new(),
        Some(names) if names.len() <= 8 => format!(" ({})", names.join(", ")),
        Some(names) => format!(" ({}, ...)", names[..8].join(", ")),
    }
}

/// Reads demonstrations from a file or folder: .npz with states, actions and episode_ends, HDF5 as of D4RL or robomimic, a replay buffer
/// in zarr, an MCAP recording of ROS 2, or a LeRobot or Minari dataset. The format is recognized by its content.
///
/// state, action: keys of the arrays that make up the state and the action, such as "obs/pos" or ["a", "b:0-6"]. episodes: numbers of the
/// episodes to read. task, filter_key: only episodes of this task, or of this list in the file. hz: the rate that a recording of ROS 2
/// (MCAP) becomes; gap: the silence of a topic, in seconds, that ends an episode of it. The others as in `Demonstrations`.
/// What a user should know of the file is a UserWarning. Raises `mcnn.Error` for files that cannot be used.
#[pyfunction]
#[pyo3(signature = (path, state=None, action=None, episodes=None, action_scale=None, relative_to=None, *, angle=None, task=None, filter_key=None, hz=None, gap=None, clip_actions=false))]
#[allow(clippy::too_many_arguments)] // the arguments of a Python function
pub fn read(
    py: Python<'_>,
    path: PathBuf,
    state: Option<&Bound<'_, PyAny>>,
    action: Option<&Bound<'_, PyAny>>,
    episodes: Option<&Bound<'_, PyAny>>,
    action_scale: Option<&str>,
    relative_to: Option<&Bound<'_, PyAny>>,
    angle: Option<&Bound<'_, PyAny>>,
    task: Option<String>,
    filter_key: Option<String>,
    hz: Option<f64>,
    gap: Option<f64>,
    clip_actions: bool,
) -> PyResult<PyDemonstrations> {
    let mut ranges = Vec::new();
    if let Some(episodes) = episodes {
        for k in whole_numbers("episodes", episodes)? {
            let k = u32::try_from(k)
                .map_err(|_| argument("episodes", "numbers of episodes, counted from 0", k.to_string()))?;
            ranges.push(k..=k);
        }
        if ranges.is_empty() {
            return Err(argument("episodes", "at least one episode, or None for all", "none"));
        }
    }
    let options = ReadOptions {
        selection: Selection {
            state: keys("state", state)?,
            action: keys("action", action)?,
            episodes: ranges,
            task,
            filter: filter_key,
            hz,
            gap,
            ..Selection::default()
        },
        units: Units::Fitted(action_settings(action_scale, relative_to, angle)?),
        range: if clip_actions { ActionRange::Clip } else { ActionRange::Refuse },
        drop_last: false,
    };
    let ReadResult { data, outside, notes } = workers::run(py, || read_with_notes(&path, &options))?;
    for note in notes {
        warn(py, &format!("{}: {note}", path.display()))?;
    }
    warn_clipped(py, &outside)?;
    Ok(data.into())
}

/// Data whose actions have the units of some memories: the same, or a copy in those units.
///
/// # Errors
/// Actions outside the range of the units.
pub fn in_units_of(codebook: &Codebook, data: &Arc<Demonstrations>) -> mcnn::Result<Arc<Demonstrations>> {
    let units = &codebook.parts().units;
    let is_same_width = (data.n_obs(), data.n_act()) == (codebook.n_obs(), codebook.n_act());
    if data.units() == units || !is_same_width {
        return Ok(data.clone());
    }
    let parts = Parts::from(Demonstrations::clone(data));
    let given = Units::Given(units.clone());
    let (scaled, _) = Demonstrations::scaled(parts, data.names(), &given, ActionRange::Refuse)?;
    let numbers = (0..data.n_episodes()).map(|k| data.number(k)).collect();
    let scaled = scaled.with_episodes(numbers, data.tasks().to_vec()).with_origin(data.origin().clone());
    let scaled = scaled.with_encoding(data.encoding().map(str::to_owned)).with_names(data.names().clone())?;
    Ok(Arc::new(scaled))
}
