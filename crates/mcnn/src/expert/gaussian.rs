//! A Gaussian policy of two hidden layers, as DAPG (Rajeswaran et al., 2018) trained and D4RL published its experts.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::{
    act::{Act, Acting, Decision},
    data::{Arrays, regular},
    error::{Error, Kind, Result},
    seed::Seed,
};

const WANTED: &str = "w0, b0, w1, b1, w2, b2, log_std, in_shift, in_scale, out_shift and out_scale";
const EPSILON: f64 = 1e-8; // added to the input's scale, as DAPG does

/// A network from an observation to the mean of a Gaussian over actions:
/// `x = (o - in_shift) / (in_scale + 1e-8)`, `tanh(w0 x + b0)`, `tanh(w1 . + b1)`, `(w2 . + b2) out_scale + out_shift`.
/// Its action is the mean, clipped to [-1, 1]; [`Noise::Policy`](super::Noise::Policy) samples from the Gaussian instead.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianPolicy {
    layers: [Layer; 3],
    in_shift: Vec<f64>,
    in_scale: Vec<f64>, // 1e-8 included
    out_shift: Vec<f64>,
    out_scale: Vec<f64>,
    std: Vec<f64>,
}

#[derive(Debug, Clone, PartialEq)]
struct Layer {
    weights: Vec<f64>, // [outputs, inputs]
    biases: Vec<f64>,  // [outputs]
}

impl GaussianPolicy {
    /// Reads an `.npz` with `w0`, `w1`, `w2` (outputs x inputs), `b0`, `b1`, `b2`, `log_std`, `in_shift`, `in_scale`,
    /// `out_shift`, `out_scale`. Of memory it takes what [`data::read`](crate::data::read()) states.
    ///
    /// # Errors
    /// If it is not an `.npz`, an array is missing, or arrays have inconsistent shapes or contain NaN.
    pub fn read(path: &Path) -> Result<Self> {
        Arrays::open(path, regular(path)?, WANTED)
            .and_then(|mut arrays| Self::from_arrays(&mut arrays))
            .map_err(|e| e.within(path.display()))
    }

    fn from_arrays(arrays: &mut Arrays) -> Result<Self> {
        let finite = |name: &str, values: Vec<f32>| {
            if let Some(i) = values.iter().position(|v| !v.is_finite()) {
                return Err(Error::new(Kind::File, "the expert has a value that is not finite")
                    .at(name)
                    .found(format!("{} as number {i}", values[i])));
            }
            Ok(values.into_iter().map(f64::from).collect::<Vec<f64>>())
        };
        let vector = |arrays: &mut Arrays, name: &str, expected: usize| {
            let values = finite(name, arrays.vector(name)?)?;
            if values.len() != expected {
                return Err(other_shape(name, &format!("{expected} values"), &values.len().to_string()));
            }
            Ok(values)
        };
        let (_, n_obs, _) = arrays.table("w0")?;
        let mut inputs = n_obs;
        let mut layers = Vec::with_capacity(3);
        for (weights, biases) in [("w0", "b0"), ("w1", "b1"), ("w2", "b2")] {
            let (outputs, found, values) = arrays.table(weights)?;
            if found != inputs || outputs == 0 || inputs == 0 {
                return Err(other_shape(
                    weights,
                    &format!("rows of {inputs}"),
                    &format!("{outputs} x {found}"),
                ));
            }
            layers
                .push(Layer { weights: finite(weights, values)?, biases: vector(arrays, biases, outputs)? });
            inputs = outputs;
        }
        let n_act = inputs;
        let layers = layers.try_into().expect("three layers were pushed");
        Ok(Self {
            layers,
            in_shift: vector(arrays, "in_shift", n_obs)?,
            in_scale: vector(arrays, "in_scale", n_obs)?.into_iter().map(|s| s + EPSILON).collect(),
            out_shift: vector(arrays, "out_shift", n_act)?,
            out_scale: vector(arrays, "out_scale", n_act)?,
            std: vector(arrays, "log_std", n_act)?.into_iter().map(f64::exp).collect(),
        })
    }

    /// Standard deviations of the Gaussian: `[n_act]`.
    pub fn std(&self) -> &[f64] {
        &self.std
    }

    /// A fingerprint of all parameters: the SHA-256, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        let layers = self.layers.iter().flat_map(|l| [&l.weights, &l.biases]);
        let rest = [&self.in_shift, &self.in_scale, &self.out_shift, &self.out_scale, &self.std];
        let mut digest = Sha256::new();
        for values in layers.chain(rest) {
            values.iter().for_each(|v| digest.update(v.to_le_bytes()));
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The mean action for an observation, before clipping to [-1, 1]: `[n_act]`.
    ///
    /// # Panics
    /// If the observation has not the policy's width.
    pub fn mean(&self, observation: &[f32]) -> Vec<f64> {
        assert_eq!(observation.len(), self.in_shift.len(), "an observation of the policy's width");
        let shifts = self.in_shift.iter().zip(&self.in_scale);
        let mut x: Vec<f64> = observation
            .iter()
            .zip(shifts)
            .map(|(o, (shift, scale))| (f64::from(*o) - shift) / scale)
            .collect();
        for (k, layer) in self.layers.iter().enumerate() {
            x = layer.apply(&x);
            if k < 2 {
                x.iter_mut().for_each(|v| *v = v.tanh());
            }
        }
        for (x, (shift, scale)) in x.iter_mut().zip(self.out_shift.iter().zip(&self.out_scale)) {
            *x = *x * scale + shift;
        }
        x
    }
}

impl Layer {
    fn apply(&self, x: &[f64]) -> Vec<f64> {
        let rows = self.weights.chunks_exact(x.len());
        rows.zip(&self.biases)
            .map(|(row, b)| b + row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>())
            .collect()
    }
}

fn other_shape(name: &str, expected: &str, found: &str) -> Error {
    Error::new(Kind::File, "the expert's arrays do not belong together")
        .at(name)
        .expected(expected)
        .found(found)
}

impl Act for GaussianPolicy {
    fn n_obs(&self) -> usize {
        self.in_shift.len()
    }

    fn n_act(&self) -> usize {
        self.out_shift.len()
    }

    fn start(&self, _seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(MeanActing(self))
    }
}

struct MeanActing<'a>(&'a GaussianPolicy);

impl Acting for MeanActing<'_> {
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Decision> {
        if observation.len() != self.0.n_obs() || observation.iter().any(|o| !o.is_finite()) {
            return Err(Error::new(Kind::Task, "the expert cannot act on this observation")
                .expected(format!("{} finite values", self.0.n_obs()))
                .found(format!("{observation:?}").chars().take(200).collect::<String>()));
        }
        for (a, mean) in action.iter_mut().zip(self.0.mean(observation)) {
            *a = mean.clamp(-1.0, 1.0) as f32;
        }
        Ok(Decision::default())
    }
}
