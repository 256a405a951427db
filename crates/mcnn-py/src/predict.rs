//! `Policy.predict`: single observations and batches, with the signature of Stable-Baselines3.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::{Arc, Mutex},
};

use mcnn::policy::{Guard, Policy, Response, Session};
use numpy::{PyArray1, PyArrayMethods as _};
use pyo3::prelude::*;

use crate::{
    arrays,
    error::{argument, raise},
    policy::PyPolicy,
    session::{lock, start},
};

/// The episodes of a batch between two calls of `Policy.predict`.
#[pyclass(frozen, module = "mcnn")]
pub struct State {
    sessions: Mutex<Vec<Session<'static>>>,
    policy: Arc<Policy>,
    guard: Option<Guard>,
}

/// The actions of observations, and the state to be given back with the next ones.
pub fn predict<'py>(
    policy: &PyPolicy,
    obs: &Bound<'py, PyAny>,
    state: Option<Bound<'py, PyAny>>,
    episode_start: Option<&Bound<'py, PyAny>>,
    deterministic: bool,
) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, State>>)> {
    let py = obs.py();
    let (n_obs, n_act) = (policy.codebook().n_obs(), policy.codebook().n_act());
    let rows = arrays::observations("obs", obs, n_obs)?;
    let mut actions = vec![0.0; rows.n * n_act];
    let state = if has_state(policy) {
        Some(episodes(policy, py, state, episode_start, rows.n, deterministic)?)
    } else {
        None
    };
    let mut act = |session: &mut Session, row: usize| {
        let to = &mut actions[row * n_act..][..n_act];
        let done = session.act(&rows.values[row * n_obs..][..n_obs], to);
        done.map(|_| ())
            .map_err(|e| e.within(if rows.is_single { "obs".into() } else { format!("obs, row {row}") }))
    };
    match &state {
        Some(state) => {
            let sessions = &state.get().sessions;
            py.detach(|| {
                let mut sessions = lock(sessions);
                sessions.iter_mut().enumerate().try_for_each(|(row, session)| act(session, row))
            })
        }
        None => py.detach(|| {
            let mut session =
                lock(&policy.idle).pop().unwrap_or_else(|| start(&policy.policy, policy.guard, 0));
            let done = (0..rows.n).try_for_each(|row| act(&mut session, row));
            lock(&policy.idle).push(session);
            done
        }),
    }
    .map_err(raise)?;
    let actions = PyArray1::from_vec(py, actions);
    let actions = match rows.is_single {
        true => actions.into_any(),
        false => actions.reshape([rows.n, n_act])?.into_any(),
    };
    Ok((actions, state))
}

/// The distances of observations to their nearest memories: a float of one, an array of several.
pub fn distances<'py>(
    policy: &PyPolicy,
    py: Python<'py>,
    obs: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let n_obs = policy.codebook().n_obs();
    let rows = arrays::observations("obs", obs, n_obs)?;
    if let Some(i) = rows.values.iter().position(|v| !v.is_finite()) {
        return Err(argument("obs", "finite values", format!("{} in row {}", rows.values[i], i / n_obs)));
    }
    let distances: Vec<f32> = py.detach(|| {
        let mut buffer = policy.codebook().scaled_buffer();
        let mut of = |row: &[f32]| {
            policy.codebook().scale(row, &mut buffer);
            policy.codebook().retrieve(&buffer).distance
        };
        rows.values.chunks_exact(n_obs).map(&mut of).collect()
    });
    match rows.is_single {
        true => Ok(distances[0].into_pyobject(py)?.into_any()),
        false => Ok(PyArray1::from_vec(py, distances).into_any()),
    }
}

/// Whether an action depends on earlier observations or on chance.
fn has_state(policy: &PyPolicy) -> bool {
    let horizons = policy.policy.horizons();
    let holds = policy.guard.is_some_and(|guard| guard.response == Response::Hold);
    horizons.observation > 1 || horizons.prediction > 1 || policy.policy.is_stochastic() || holds
}

/// The episodes of a batch of `n`: those given or new ones, started again where an episode starts.
fn episodes<'py>(
    policy: &PyPolicy,
    py: Python<'py>,
    state: Option<Bound<'py, PyAny>>,
    episode_start: Option<&Bound<'py, PyAny>>,
    n: usize,
    deterministic: bool,
) -> PyResult<Bound<'py, State>> {
    // Equal seeds in equal rows: an action does not depend on the place in a batch.
    let seed = || if deterministic { 0 } else { RandomState::new().build_hasher().finish() };
    let fresh = || start(&policy.policy, policy.guard, seed());
    let Some(state) = state else {
        let sessions = Mutex::new((0..n).map(|_| fresh()).collect());
        return Bound::new(py, State { sessions, policy: policy.policy.clone(), guard: policy.guard });
    };
    let expected = format!("None, or the state that this policy gave for {n} observations");
    let state = state
        .cast_into::<State>()
        .map_err(|e| argument("state", &expected, e.into_inner().get_type().to_string()))?;
    let given = state.get();
    if !Arc::ptr_eq(&given.policy, &policy.policy) || given.guard != policy.guard {
        return Err(argument("state", expected, "the state of another policy"));
    }
    let starts: Vec<bool> = match episode_start {
        None => Vec::new(),
        Some(starts) => match starts.extract::<bool>() {
            Ok(start) => vec![start; n],
            Err(_) => arrays::array("episode_start", starts)?.values.iter().map(|v| *v != 0.0).collect(),
        },
    };
    if !starts.is_empty() && starts.len() != n {
        return Err(argument(
            "episode_start",
            format!("one for each of {n} observations"),
            starts.len().to_string(),
        ));
    }
    let found = py.detach(|| {
        let mut sessions = lock(&given.sessions);
        if sessions.len() == n {
            let restarted = sessions.iter_mut().zip(&starts).filter(|(_, start)| **start);
            restarted.for_each(|(session, _)| *session = fresh());
        }
        sessions.len()
    });
    if found == n { Ok(state) } else { Err(argument("state", expected, format!("one for {found}"))) }
}
