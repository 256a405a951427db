//! Burn's tensors in f64, the parameters of a network by name, and the file of stored values.

use std::{collections::BTreeMap, path::Path};

use burn::{
    module::{Param, ParamId},
    nn::{LayerNorm, LayerNormConfig, Linear},
    tensor::{DType, Device, Gradients, Tensor, TensorData},
};
use safetensors::{Dtype, tensor::TensorView};
use serde::Serialize;

use crate::inputs;

/// The processor, with automatic gradients.
pub fn device() -> Device {
    Device::flex().autodiff()
}

/// A constant.
pub fn tensor<const D: usize>(values: impl IntoIterator<Item = f64>, shape: [usize; D]) -> Tensor<D> {
    let data = TensorData::new(values.into_iter().collect::<Vec<f64>>(), shape);
    Tensor::from_data(data, (&device(), DType::F64))
}

/// A constant of f32 values in rows.
pub fn rows(values: &[f32], width: usize) -> Tensor<2> {
    tensor(values.iter().map(|value| f64::from(*value)), [values.len() / width, width])
}

/// The values of a tensor.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().try_into_vec::<f64>().expect("tensors of f64")
}

/// The parameters of a network: drawn by their names ([`inputs::parameters`]), with their gradients afterwards.
pub struct Parameters {
    case: String,
    gradients: BTreeMap<String, Box<dyn Fn(&Gradients) -> Vec<f64>>>,
}

impl Parameters {
    pub fn new(case: &str) -> Self {
        Self { case: case.into(), gradients: BTreeMap::new() }
    }

    pub fn array<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<D> {
        let values = inputs::parameters(&self.case, name, &shape);
        let array = tensor(values.into_iter().map(f64::from), shape).require_grad();
        let own = array.clone();
        let gradient = move |all: &Gradients| values_of(own.grad(all), own.dims().iter().product());
        self.gradients.insert(name.into(), Box::new(gradient));
        array
    }

    pub fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Linear {
        let weight = self.array(&format!("{name}.weight"), [inputs, outputs]);
        let bias = self.array(&format!("{name}.bias"), [outputs]);
        Linear { weight: param(weight), bias: Some(param(bias)) }
    }

    pub fn norm(&mut self, name: &str, width: usize) -> LayerNorm {
        let mut norm = LayerNormConfig::new(width).init(&device());
        norm.gamma = param(self.array(&format!("{name}.scale"), [width]));
        norm.beta = Some(param(self.array(&format!("{name}.shift"), [width])));
        norm
    }

    /// The gradient of every array, condensed, in the order of their names.
    pub fn gradient(&self, all: &Gradients) -> Vec<f32> {
        self.gradients.values().flat_map(|gradient| inputs::condense(&gradient(all))).collect()
    }
}

fn values_of<const D: usize>(gradient: Option<Tensor<D>>, count: usize) -> Vec<f64> {
    gradient.map_or_else(|| vec![0.0; count], values)
}

fn param<const D: usize>(array: Tensor<D>) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), array)
}

/// What one file has: its cases, as JSON in the metadata, and arrays named `CASE/ARRAY`.
#[derive(Default)]
pub struct Values {
    cases: Vec<serde_json::Value>,
    arrays: BTreeMap<String, Vec<u8>>,
}

impl Values {
    pub fn case(&mut self, case: &impl Serialize) {
        self.cases.push(serde_json::to_value(case).expect("a case is JSON"));
    }

    pub fn array(&mut self, case: &str, name: &str, values: &[f32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.arrays.insert(format!("{case}/{name}"), bytes);
    }

    pub fn write(&self, path: &Path) {
        let cases = serde_json::to_string(&self.cases).expect("cases are JSON");
        let view = |bytes| TensorView::new(Dtype::F32, vec![Vec::len(bytes) / 4], bytes).expect("f32 values");
        let arrays = self.arrays.iter().map(|(name, bytes)| (name, view(bytes)));
        let metadata = [("cases".to_string(), cases)].into();
        safetensors::serialize_to_file(arrays, Some(metadata), path).expect("a file beside the tests");
        println!("{}", path.display());
    }
}

/// f64 values as they are stored.
pub fn stored(values: Vec<f64>) -> Vec<f32> {
    values.into_iter().map(|value| value as f32).collect()
}
