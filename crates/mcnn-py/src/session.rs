//! `mcnn.Session`, an episode of a policy, and `mcnn.Action`, what it decides.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcnn::{
    data::Step,
    policy::{Guard, Policy, Session},
    seed::Seed,
};
use numpy::PyArray1;
use pyo3::prelude::*;

use crate::{
    arrays,
    error::{argument, raise},
    memories::action_units,
};

/// Locks; what a panic of another thread left behind is used.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts an episode.
pub fn start(policy: &Arc<Policy>, guard: Option<Guard>, seed: u64) -> Session<'static> {
    let session = Session::shared(policy.clone(), Seed(seed));
    match guard {
        Some(guard) => session.guarded(guard),
        None => session,
    }
}

/// One episode of a policy. Threads may share it; they act one after the other.
#[pyclass(frozen, name = "Session", module = "mcnn")]
pub struct PySession {
    session: Mutex<Session<'static>>,
    policy: Arc<Policy>,
    guard: Option<Guard>,
    seed: u64,
}

impl PySession {
    pub fn new(policy: &Arc<Policy>, guard: Option<Guard>, seed: u64) -> Self {
        let session = Mutex::new(start(policy, guard, seed));
        Self { session, policy: policy.clone(), guard, seed }
    }
}

#[pymethods]
impl PySession {
    /// Decides the action for an observation, [n_obs]. Raises `mcnn.Error` for another shape, NaN or infinity.
    fn act(&self, py: Python<'_>, obs: &Bound<'_, PyAny>) -> PyResult<Action> {
        let rows = arrays::observations("obs", obs, self.policy.codebook().n_obs())?;
        if rows.n != 1 {
            return Err(argument("obs", "one observation", format!("{} observations", rows.n)));
        }
        let mut action = vec![0.0; self.policy.codebook().n_act()];
        let (constrained, region) = py
            .detach(|| {
                let mut session = lock(&self.session);
                let constrained = session.act(&rows.values, &mut action).map_err(|e| e.within("obs"));
                constrained.map(|constrained| (constrained, session.permissible_region()))
            })
            .map_err(raise)?;
        let bounds = |i: usize| region.iter().map(|bounds| bounds[i]).collect();
        Ok(Action {
            action: PyArray1::from_vec(py, action).unbind(),
            low: PyArray1::from_vec(py, bounds(0)).unbind(),
            high: PyArray1::from_vec(py, bounds(1)).unbind(),
            distance: constrained.retrieval.distance,
            weight: constrained.region.weight,
            radius: constrained.region.radius,
            memory: constrained.retrieval.memory,
            step: constrained.source,
            quantile: constrained.quantile,
            ood: constrained.ood,
            stop: constrained.stop,
            member_std: constrained.member_std,
        })
    }

    /// Starts the next episode, with a seed of everything random in acting (None: the seed of the session).
    #[pyo3(signature = (seed=None))]
    fn reset(&self, py: Python<'_>, seed: Option<u64>) {
        let session = start(&self.policy, self.guard, seed.unwrap_or(self.seed));
        py.detach(|| *lock(&self.session) = session);
    }

    /// As `Policy.action_units`.
    #[getter]
    fn action_units(&self) -> Vec<String> {
        action_units(self.policy.codebook())
    }

    fn __repr__(&self) -> String {
        format!("Session of {}", self.policy.name())
    }
}

/// An action and how it was decided. action, low, high: [n_act] float32 in the data's units; low and high bound the permissible region.
#[pyclass(frozen, module = "mcnn")]
pub struct Action {
    /// The action: [n_act] float32, in the data's units.
    #[pyo3(get)]
    pub action: Py<PyArray1<f32>>,
    /// The lower bounds of the permissible region: [n_act] float32.
    #[pyo3(get)]
    pub low: Py<PyArray1<f32>>,
    /// The upper bounds of the permissible region: [n_act] float32.
    #[pyo3(get)]
    pub high: Py<PyArray1<f32>>,
    /// The distance to the nearest memory, in standardized units.
    #[pyo3(get)]
    pub distance: f32,
    /// The memory weight, in [0, 1].
    #[pyo3(get)]
    pub weight: f32,
    /// Half the width of the permissible region, of actions in [-1, 1].
    #[pyo3(get)]
    pub radius: f32,
    /// The number of the nearest memory.
    #[pyo3(get)]
    pub memory: usize,
    pub step: Step,
    /// The share in [0, 1] of calibration states that are nearer to their memories; None without a calibration.
    #[pyo3(get)]
    pub quantile: Option<f32>,
    /// Whether the state is out of distribution according to the guard.
    #[pyo3(get)]
    pub ood: bool,
    /// Whether the guard requests the end of the episode before this action.
    #[pyo3(get)]
    pub stop: bool,
    /// The disagreement of the networks, in [0, 1]; None if one acts alone.
    #[pyo3(get)]
    pub member_std: Option<f32>,
}

#[pymethods]
impl Action {
    /// The demonstrated step of the memory: (episode, step).
    #[getter]
    fn source(&self) -> (u32, u32) {
        (self.step.episode, self.step.step)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let ood = if self.ood { ", OOD" } else { "" };
        format!(
            "Action(action={}, distance={:.4}, weight={:.4}, radius={:.4}, memory={}, source={}{ood})",
            self.action.bind(py),
            self.distance,
            self.weight,
            self.radius,
            self.memory,
            self.step
        )
    }
}
