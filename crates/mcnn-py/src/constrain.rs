//! The envelope around actions that something else decides.

use std::sync::Arc;

use mcnn::{
    calibration::OodCalibration,
    envelope::{Activation, Envelope},
    memory::Codebook,
    policy::{ActingSettings, Policy},
};
use numpy::PyArray1;
use pyo3::prelude::*;

use crate::{
    arrays,
    error::{argument, raise},
    memories::{action_units, memories_of},
    session::Action,
    training::{envelope_form, lambda},
};

/// Memories and an envelope, for actions from elsewhere.
#[pyclass(frozen, module = "mcnn._mcnn")]
pub struct Constraint {
    codebook: Arc<Codebook>,
    calibration: Option<OodCalibration>,
    envelope: Envelope,
}

#[pymethods]
impl Constraint {
    #[new]
    fn new(memories: &Bound<'_, PyAny>, lam: &Bound<'_, PyAny>, form: &str) -> PyResult<Self> {
        let (codebook, calibration) = memories_of(memories)?;
        let form = envelope_form(form)?;
        // A policy without a network stands for the distances, from which lambda follows.
        let of_memories = Envelope { lambda: 0.0, ..Envelope::default() };
        let acting = ActingSettings { envelope: of_memories, ..ActingSettings::default() };
        let policy = Policy::ensemble(Codebook::clone(&codebook), Vec::new(), acting).map_err(raise)?;
        let policy = policy.with_calibration(calibration);
        let lambda = lambda(lam)?.for_calibration(policy.calibration()).map_err(raise)?;
        let envelope = Envelope { lambda, amplitude: 1.0, activation: Activation::Clamp, form };
        Ok(Self { codebook, calibration: policy.calibration().cloned(), envelope })
    }

    /// The action of an observation, constrained; both in the data's units.
    fn constrain(
        &self,
        py: Python<'_>,
        obs: &Bound<'_, PyAny>,
        action: &Bound<'_, PyAny>,
    ) -> PyResult<Action> {
        let codebook = &*self.codebook;
        let n_act = codebook.n_act();
        let obs = arrays::observations("obs", obs, codebook.n_obs())?;
        let action = arrays::observations("action", action, n_act)?;
        for (name, rows) in [("obs", &obs), ("action", &action)] {
            if rows.n != 1 {
                return Err(argument(name, "one row", format!("{} rows", rows.n)));
            }
            if let Some(k) = rows.values.iter().position(|v| !v.is_finite()) {
                return Err(argument(name, "finite values", format!("{} in dimension {k}", rows.values[k])));
            }
        }
        let mut state = codebook.scaled_buffer();
        codebook.scale(&obs.values, &mut state);
        let retrieval = codebook.retrieve(&state);
        let region = self.envelope.region(retrieval.distance);
        let units = codebook.units();
        let mut scaled = action.values;
        units.to_scaled(&obs.values, codebook.n_obs(), &mut scaled);
        let mut base = vec![0.0; units.relative_to().len()];
        units.write_base(&obs.values, &mut base);
        let of_memory = codebook.action(retrieval.memory);
        let in_data_units = |of: &dyn Fn(usize) -> f32| -> Vec<f32> {
            (0..n_act).map(|k| units.to_data(k, of(k), &base)).collect()
        };
        let clamped = |k: usize| Activation::Clamp.apply(scaled[k]);
        let constrained = in_data_units(&|k| self.envelope.constrain(region, of_memory[k], clamped(k)));
        // Of an angle, the bounds are on the turn of the action.
        let turns: Vec<f32> = constrained.iter().enumerate().map(|(k, a)| units.turns(k, *a)).collect();
        let turned = |values: Vec<f32>| -> Vec<f32> {
            values.iter().zip(&turns).map(|(v, turns)| v + turns).collect()
        };
        let low = turned(in_data_units(&|k| region.bounds(of_memory[k])[0]));
        let high = turned(in_data_units(&|k| region.bounds(of_memory[k])[1]));
        let constrained = turned(constrained);
        Ok(Action {
            action: PyArray1::from_vec(py, constrained).unbind(),
            low: PyArray1::from_vec(py, low).unbind(),
            high: PyArray1::from_vec(py, high).unbind(),
            distance: retrieval.distance,
            weight: region.weight,
            radius: region.radius,
            memory: retrieval.memory,
            step: codebook.source(retrieval.memory),
            quantile: self.calibration.as_ref().map(|c| c.quantile(retrieval.distance) as f32),
            ood: false,
            stop: false,
            member_std: None,
        })
    }

    /// How actions of the demonstrations are scaled to [-1, 1]; empty if they are used as they are.
    #[getter]
    fn action_units(&self) -> Vec<String> {
        action_units(&self.codebook)
    }

    #[getter]
    fn lam(&self) -> f32 {
        self.envelope.lambda
    }
}
