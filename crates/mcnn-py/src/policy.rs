//! `mcnn.Policy`: acting, explaining, editing memories.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use mcnn::{
    act::Act as _,
    file,
    memory::Codebook,
    policy::{Combine, Guard, Policy, Response, Session},
};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict},
};

use crate::{
    arrays,
    demonstrations::{PyDemonstrations, in_units_of},
    error::{argument, raise},
    memories,
    predict::{State, distances, predict},
    session::PySession,
    understand, workers,
};

/// A policy: memories, networks and the envelope. It never changes, and threads may share it. Made by `train` or `load`.
#[pyclass(frozen, name = "Policy", module = "mcnn")]
pub struct PyPolicy {
    pub policy: Arc<Policy>,
    pub guard: Option<Guard>,
    /// Sessions of a policy without state between two actions, which calls of `predict` use in turn.
    pub idle: Mutex<Vec<Session<'static>>>,
}

impl PyPolicy {
    pub fn new(policy: Policy, guard: Option<Guard>) -> Self {
        Self { policy: Arc::new(policy), guard, idle: Mutex::default() }
    }

    pub fn codebook(&self) -> &Codebook {
        self.policy.codebook()
    }

    /// The same policy with other memories; `what` describes the change.
    fn edited(&self, codebook: Codebook, keeps_calibration: bool, what: String) -> mcnn::Result<Self> {
        let mut record = self.policy.training_record().clone();
        record.edits.push(what);
        let calibration = self.policy.calibration().filter(|_| keeps_calibration).cloned();
        let policy = Policy::clone(&self.policy).with_codebook(codebook)?;
        Ok(Self::new(policy.with_calibration(calibration).with_training_record(record), self.guard))
    }
}

#[pymethods]
impl PyPolicy {
    /// Decides actions, with the signature of Stable-Baselines3: returns (action, state).
    ///
    /// obs: [n_obs], or [n, n_obs] for a batch; the action is [n_act] or [n, n_act], float32 in the data's units.
    /// state: None, or the state of the last call; None is returned by policies whose action depends on the newest observation alone. A state
    /// is changed in place. episode_start: whether the observations are the first of an episode, a bool or [n] bools; they start again.
    /// deterministic: random choices of new episodes have seed 0 (True) or a random seed (False); of most policies there are none.
    ///
    /// Raises `mcnn.Error` for another shape or type, NaN or infinity.
    #[pyo3(signature = (obs, state=None, episode_start=None, deterministic=true))]
    fn predict<'py>(
        &self,
        obs: &Bound<'py, PyAny>,
        state: Option<Bound<'py, PyAny>>,
        episode_start: Option<&Bound<'py, PyAny>>,
        deterministic: bool,
    ) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, State>>)> {
        predict(self, obs, state, episode_start, deterministic)
    }

    /// Starts an episode; seed decides everything random in acting.
    #[pyo3(signature = (seed=0))]
    fn session(&self, seed: u64) -> PySession {
        PySession::new(&self.policy, self.guard, seed)
    }

    /// Explains the action for an observation, [n_obs], or for the last of consecutive ones, [n, n_obs]: a dict with the nearest memories,
    /// the weight and radius, and for each dimension of the action the memory's action, the network's output, the bounds and the action, in
    /// the data's units. A notebook shows it as a table.
    fn explain<'py>(&self, py: Python<'py>, obs: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let rows = arrays::observations("obs", obs, self.codebook().n_obs())?;
        if rows.n == 0 {
            return Err(argument("obs", "at least one observation", "none"));
        }
        let explained =
            py.detach(|| self.policy.explain(&rows.values)).map_err(|e| raise(e.within("obs")))?;
        let json = serde_json::to_string(&explained).expect("an explanation is plain values");
        let names = self.codebook().parts().names.action_names.clone();
        py.import("mcnn._explanation")?.call_method1("from_json", (json, names))
    }

    /// The distance of an observation, [n_obs], to its nearest memory, in standardized units: a float; of [n, n_obs] an array [n].
    fn distance<'py>(&self, py: Python<'py>, obs: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        distances(self, py, obs)
    }

    /// The same policy with a guard for out-of-distribution (OOD) states: those whose distance exceeds the given quantile of the
    /// calibration. response: "warn" (report), "hold" (repeat the last action in distribution), "memory" (the memory's action) or "stop"
    /// (also ask for the end of the episode). of: whether quantile is of "states" or of the largest distances of "episodes". Files do not
    /// contain guards. Raises `mcnn.Error` for a policy without a calibration.
    #[pyo3(signature = (response="hold", quantile=0.99, *, of="states"))]
    fn guard(&self, response: &str, quantile: f64, of: &str) -> PyResult<Self> {
        let named = serde_json::from_value(serde_json::Value::String(response.into()));
        let response: Response = named.map_err(|_| {
            argument("response", "\"warn\", \"hold\", \"memory\" or \"stop\"", format!("{response:?}"))
        })?;
        let threshold = understand::threshold(&self.policy, quantile, of)?.distance;
        let policy = self.policy.clone();
        Ok(Self { policy, guard: Some(Guard { response, threshold }), idle: Mutex::default() })
    }

    /// A policy with all steps of further demonstrations as memories; this one is unchanged, and so are the networks. Memories of the same
    /// states are replaced. Raises `mcnn.Error` for other dimensions, or actions beyond the range of the policy's data.
    fn add_memories(&self, py: Python<'_>, demos: &PyDemonstrations) -> PyResult<Self> {
        workers::run(py, || {
            let data = in_units_of(self.codebook(), &demos.data)?;
            let steps: Vec<usize> = (0..data.n_steps()).collect();
            let (codebook, added) = self.codebook().with_steps(&data, &steps)?;
            // Added memories increase no distance, so the calibration stays valid.
            let (n, first) = (added.added, added.first_episode);
            self.edited(codebook, true, format!("added {n} steps; their episode 0 is episode {first} here"))
        })
    }

    /// A policy without the memories of some episodes, or without some memories (by number). The calibration is lost, because distances
    /// increase. Raises `mcnn.Error` if none would be left.
    #[pyo3(signature = (*, episodes=None, memories=None))]
    fn drop_memories(
        &self,
        py: Python<'_>,
        episodes: Option<Vec<u32>>,
        memories: Option<Vec<usize>>,
    ) -> PyResult<Self> {
        let (episodes, memories) = (episodes.unwrap_or_default(), memories.unwrap_or_default());
        let book = self.codebook();
        if episodes.is_empty() && memories.is_empty() {
            return Err(argument("episodes, memories", "what to drop", "nothing"));
        }
        if let Some(m) = memories.iter().find(|m| **m >= book.len()) {
            return Err(argument("memories", format!("0 to {}", book.len() - 1), m.to_string()));
        }
        if let Some(k) = episodes.iter().find(|k| (0..book.len()).all(|m| book.source(m).episode != **k)) {
            return Err(argument("episodes", "episodes that memories are of", k.to_string()));
        }
        workers::run(py, || {
            let is_dropped = |m: usize| memories.contains(&m) || episodes.contains(&book.source(m).episode);
            let n = (0..book.len()).filter(|m| is_dropped(*m)).count();
            let what = format!("dropped {n} memories; the network was trained on them and is unchanged");
            // Removed memories increase distances, so the calibration is not valid.
            self.edited(book.without_memories(is_dropped)?, false, what)
        })
    }

    /// A bound that follows from the memories alone, for the states of demonstrations: distance (of the most isolated state, at (episode,
    /// step)), the bound on the loss of return over episodes of `horizon` steps with rewards in [0, 1], vacuous (whether the bound says nothing),
    /// and region_width (of the permissible region there). action_count: |A| of the theorem (None: n_act).
    #[pyo3(signature = (demos, horizon, *, action_count=None))]
    fn certify<'py>(
        &self,
        py: Python<'py>,
        demos: &PyDemonstrations,
        horizon: u64,
        action_count: Option<u64>,
    ) -> PyResult<Bound<'py, PyDict>> {
        understand::certify(py, &self.policy, demos, horizon, action_count)
    }

    /// The distance above which a state is out of distribution at a quantile of the calibration, and the guarantee that comes with it:
    /// (distance, probability). At most this probability, a random state of a new episode (of="states"), or any of its states
    /// (of="episodes"), is farther. Raises `mcnn.Error` for a policy without a calibration, or a quantile outside (0, 1].
    #[pyo3(signature = (quantile=0.99, *, of="states"))]
    fn threshold(&self, quantile: f64, of: &str) -> PyResult<(f32, f64)> {
        let found = understand::threshold(&self.policy, quantile, of)?;
        Ok((found.distance, found.probability))
    }

    /// The distances that tell usual states from unusual ones: a dict with episodes, the numbers of the calibration episodes, [n] int64, and
    /// distances, for each of them the distances of its states to memories of other episodes, ascending float32. None for memories of a
    /// single episode, and after memories were dropped.
    #[getter]
    fn calibration<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        understand::calibration(py, &self.policy)
    }

    /// The page of `mcnn report` about this policy and demonstrations: memories, distances and actions, step by step. A notebook shows it
    /// inline; `save` writes it. episodes: positions of the demonstrations to show step by step (None: the first four). Raises `mcnn.Error`
    /// for demonstrations of other dimensions.
    #[pyo3(signature = (demos, episodes=None))]
    fn report<'py>(
        &self,
        py: Python<'py>,
        demos: &PyDemonstrations,
        episodes: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let page = understand::report_page(py, &self.policy, demos, episodes)?;
        py.import("mcnn._report")?.getattr("Report")?.call1((page,))
    }

    /// Writes a file that `load` and the program read; returns the SHA-256 of its bytes. A guard is not part of it.
    #[pyo3(signature = (path, *, overwrite=true))]
    fn save(&self, py: Python<'_>, path: PathBuf, overwrite: bool) -> PyResult<String> {
        if !overwrite && path.exists() {
            return Err(argument("path", "a file that does not exist", path.display().to_string()));
        }
        py.detach(|| file::write_policy(&path, &self.policy)).map_err(raise)
    }

    /// The bytes of the file that `save` writes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let bytes = py.detach(|| file::policy_to_bytes(&self.policy));
        PyBytes::new(py, &bytes)
    }

    /// The memories, as `Memories.arrays` gives them.
    #[getter]
    fn memories<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        memories::arrays(py, self.codebook())
    }

    /// The memories as a pandas DataFrame, a row for each: episode, step, the state by the names of its dimensions (or state_0, ...), the
    /// action in the data's units likewise (action_0, ...), and uses: of how many states of the demonstrations it is the nearest memory,
    /// if demonstrations are given.
    #[pyo3(signature = (demos=None))]
    fn memory_frame<'py>(
        &self,
        py: Python<'py>,
        demos: Option<&PyDemonstrations>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let uses = demos.map(|demos| understand::uses(py, &self.policy, demos)).transpose()?;
        let arguments = (self.memories(py)?, self.names(), uses);
        py.import("mcnn._report")?.call_method1("memory_frame", arguments)
    }

    /// How actions of the policy's data are scaled to [-1, 1], a line for each dimension; empty if they are used as they are.
    #[getter]
    fn action_units(&self) -> Vec<String> {
        memories::action_units(self.codebook())
    }

    /// Dimensions of an observation.
    #[getter]
    fn n_obs(&self) -> usize {
        self.codebook().n_obs()
    }

    /// Dimensions of an action.
    #[getter]
    fn n_act(&self) -> usize {
        self.codebook().n_act()
    }

    /// The number of memories.
    #[getter]
    fn n_memories(&self) -> usize {
        self.codebook().len()
    }

    /// Networks that act together.
    #[getter]
    fn members(&self) -> usize {
        self.policy.members().len()
    }

    /// lambda: the decay rate of the memory weight.
    #[getter]
    fn lam(&self) -> f32 {
        self.policy.envelope().lambda
    }

    /// Names of the dimensions of states and of actions: a pair of lists, each None if there are none.
    #[getter]
    fn names(&self) -> (Option<Vec<String>>, Option<Vec<String>>) {
        let names = self.codebook().parts().names.clone();
        (names.state_names, names.action_names)
    }

    /// The method, as the literature names it, with the main settings.
    #[getter]
    fn name(&self) -> String {
        self.policy.name()
    }

    /// Descriptions of the changes of the memories after training.
    #[getter]
    fn edits(&self) -> Vec<String> {
        self.policy.training_record().edits.clone()
    }

    fn __repr__(&self) -> String {
        let guard = match self.guard {
            None => String::new(),
            Some(Guard { response, threshold }) => {
                format!(", guard {} above distance {threshold:.3}", format!("{response:?}").to_lowercase())
            }
        };
        let drawn = match self.policy.acting_settings().combine {
            Combine::Member if self.policy.members().len() > 1 => ", one drawn for every prediction",
            _ => "",
        };
        format!(
            "Policy: {}{drawn}; observations of {}, actions of {} dimensions; {} memories{guard}",
            self.policy.name(),
            self.policy.n_obs(),
            self.policy.n_act(),
            self.codebook().len()
        )
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Pickled<'py>)> {
        let guard = match self.guard {
            None => None,
            Some(guard) => {
                let response = serde_json::to_value(guard.response).expect("a plain value");
                response.as_str().map(|response| (response.to_owned(), guard.threshold))
            }
        };
        Ok((py.import("mcnn._mcnn")?.getattr("_policy_from_bytes")?, (self.to_bytes(py), guard)))
    }
}

/// The bytes of a policy, and its guard.
type Pickled<'py> = (Bound<'py, PyBytes>, Option<(String, f32)>);

/// Reads a policy that `save` or `mcnn train` wrote. Raises `mcnn.Error` if the file is not one.
#[pyfunction]
pub fn load(py: Python<'_>, path: PathBuf) -> PyResult<PyPolicy> {
    workers::run(py, || Ok(PyPolicy::new(file::read_policy(&path)?.0, None)))
}

#[pyfunction]
#[pyo3(signature = (bytes, guard=None))]
pub fn _policy_from_bytes(py: Python<'_>, bytes: &[u8], guard: Option<(String, f32)>) -> PyResult<PyPolicy> {
    let guard = match guard {
        None => None,
        Some((response, threshold)) => {
            let named = serde_json::from_value(serde_json::Value::String(response.clone()));
            let response = named.map_err(|_| argument("guard", "a response of a guard", response))?;
            Some(Guard { response, threshold })
        }
    };
    workers::run(py, || Ok(PyPolicy::new(file::policy_from_bytes(bytes)?, guard)))
}
