//! The networks by a tensor library with automatic gradients: outputs, losses and gradients that Burn computed in f64, stored
//! beside this file. The crate `oracle/` writes them; its README.md says how.

pub mod inputs;
mod tests;

use std::collections::BTreeMap;

use safetensors::SafeTensors;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Architecture, Arrays, Backbone, BetSettings, Diffusion, DiffusionSettings, Mlp, Net, Network,
    PredictionType,
};
use crate::seed::Seed;

/// The values of one file.
pub struct Oracle {
    cases: String,
    arrays: BTreeMap<String, Vec<f32>>,
}

/// An MLP and the rows of its batch.
#[derive(Deserialize)]
pub struct MlpCase {
    pub name: String,
    pub widths: Vec<usize>,
    pub rows: usize,
}

/// A diffusion network and the rows of its batch.
#[derive(Deserialize)]
pub struct DiffusionCase {
    pub name: String,
    pub hidden: Vec<usize>,
    pub rows: usize,
    pub steps: usize,
    pub prediction: PredictionType,
    pub n_obs: usize,
    pub n_act: usize,
}

/// A behavior transformer and the rows of its batch.
#[derive(Debug, Clone, Deserialize)]
pub struct BetCase {
    pub name: String,
    pub layers: usize,
    pub heads: usize,
    pub width: usize,
    pub window: usize,
    pub buckets: usize,
    pub used: usize,
    pub gamma: f32,
    pub offset_weight: f32,
    pub dropout: f64,
    pub rows: usize,
    pub n_obs: usize,
    pub n_act: usize,
}

impl Oracle {
    pub fn mlp() -> Self {
        Self::read(include_bytes!("mlp.safetensors"))
    }

    pub fn diffusion() -> Self {
        Self::read(include_bytes!("diffusion.safetensors"))
    }

    pub fn bet() -> Self {
        Self::read(include_bytes!("bet.safetensors"))
    }

    fn read(bytes: &[u8]) -> Self {
        let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
        let cases = header.metadata().as_ref().unwrap()["cases"].clone();
        let file = SafeTensors::deserialize(bytes).unwrap();
        let values =
            |bytes: &[u8]| bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
        let arrays = file.iter().map(|(name, array)| (name.to_string(), values(array.data()))).collect();
        Self { cases, arrays }
    }

    pub fn cases<T: DeserializeOwned>(&self) -> Vec<T> {
        serde_json::from_str(&self.cases).unwrap()
    }

    /// An array of a case. `None` where the case does not have it.
    pub fn get(&self, case: &str, name: &str) -> Option<&[f32]> {
        self.arrays.get(&format!("{case}/{name}")).map(Vec::as_slice)
    }

    /// An array that every case has.
    pub fn array(&self, case: &str, name: &str) -> &[f32] {
        self.get(case, name).unwrap_or_else(|| panic!("{case} has no {name}"))
    }

    /// Compares a gradient of `net` with the stored one, array by array: each value differs by at most `tolerance` times the
    /// largest of its array, or times `floor` of the largest of all arrays where that is more.
    pub fn compare_gradient(&self, case: &str, net: &Net, gradient: &[f32], tolerance: f32, floor: f32) {
        let mut stored = self.array(case, "gradient");
        let mut arrays = Vec::new(); // name, condensed values, stored values, largest of the stored gradient
        for (name, (_, values)) in net.network_of(gradient).save_tensors() {
            if name == "centers" {
                continue; // not trained
            }
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let found = inputs::condense(&values);
            let (expected, rest) = stored.split_at(found.len());
            arrays.push((name, found, expected, largest_of(expected, values.len())));
            stored = rest;
        }
        assert!(stored.is_empty(), "{case}: {} values too many", stored.len());
        let most = arrays.iter().fold(0.0_f32, |most, array| most.max(array.3));
        for (name, found, expected, largest) in arrays {
            compare(
                &found,
                expected,
                tolerance * largest.max(floor * most),
                &format!("{case}, gradient of {name}"),
            );
        }
    }
}

impl MlpCase {
    pub fn network(&self) -> Network {
        network(&self.name, &Mlp::random(&self.widths, Seed(0)))
    }
}

impl DiffusionCase {
    pub fn settings(&self) -> DiffusionSettings {
        DiffusionSettings { steps: self.steps, prediction: self.prediction, ..Default::default() }
    }

    pub fn network(&self) -> Diffusion {
        let random = Diffusion::random(self.n_obs, &self.hidden, self.n_act, self.settings(), Seed(0));
        network(&self.name, &random).downcast::<Diffusion>().expect("a diffusion network").clone()
    }

    /// The diffusion step of each row, counted from 0.
    pub fn diffusion_steps(&self) -> Vec<usize> {
        inputs::integers(&format!("{}/steps", self.name), self.rows, self.steps)
    }

    /// `[rows, width]`: observations, actions, noise, or the gradient of the loss with respect to the clean actions.
    pub fn input(&self, array: &str, width: usize) -> Vec<f32> {
        inputs::normal(&format!("{}/{array}", self.name), self.rows * width)
    }
}

impl BetCase {
    pub fn settings(&self) -> BetSettings {
        BetSettings {
            layers: self.layers,
            heads: self.heads,
            width: self.width,
            window: self.window,
            buckets: self.buckets,
            dropout: self.dropout,
            gamma: self.gamma,
            offset_weight: self.offset_weight,
            ..Default::default()
        }
    }

    pub fn network(&self, settings: BetSettings) -> Network {
        let (architecture, centers) = (Architecture::from(settings), self.centers());
        network(&self.name, &*architecture.random(self.n_obs, &[], self.n_act, &centers, Seed(0)))
    }

    /// `[buckets, n_act]`.
    pub fn centers(&self) -> Vec<f32> {
        inputs::parameters(&self.name, "centers", &[self.buckets, self.n_act])
    }

    /// `[rows, window, n_obs]`.
    pub fn observations(&self) -> Vec<f32> {
        inputs::normal(&format!("{}/observations", self.name), self.rows * self.window * self.n_obs)
    }

    /// `[rows, window, n_act]`.
    pub fn actions(&self) -> Vec<f32> {
        inputs::actions(&self.name, &self.centers(), self.used, self.rows * self.window, self.n_act)
    }
}

/// The network of a case: the arrays of a random one of the same shape, with the parameters of the case.
fn network(case: &str, random: &dyn Backbone) -> Network {
    let mut arrays: Arrays = random.save_tensors();
    for (name, (shape, values)) in &mut arrays {
        *values = inputs::parameters(case, name, shape);
    }
    random.settings().load_tensors(&arrays).unwrap()
}

/// Compares values that may differ by `tolerance`.
pub fn compare(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance, "{what} {index}: found {a}, expected {b} within {tolerance}");
    }
}

/// The largest absolute value.
pub fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

/// The largest absolute value of an array of `count` values, from its stored form ([`inputs::condense`]).
fn largest_of(stored: &[f32], count: usize) -> f32 {
    if count <= 1000 { largest(stored) } else { stored[stored.len() - 1] }
}
