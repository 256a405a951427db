//! Stacks of linear layers in training: forward and backward over a batch, as products of matrices.
//!
//! The parameters of a network are one flat array. A stack knows where its own begin: layer by layer the weights `[in, out]`
//! row by row, then the biases.

use std::ops::Range;

use kernels::{Matrix, Product};

use super::{
    Layers,
    mish::mish_with_derivative,
    product::{sum_rows, vectors},
};

/// The activation after every layer but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HiddenActivation {
    Relu,
    Mish,
}

/// The layout of a stack's parameters, and its activation.
#[derive(Debug, Clone)]
pub struct LayerStack {
    widths: Vec<usize>,
    offsets: Vec<usize>, // of each layer's weights
    activation: HiddenActivation,
}

/// Activations of a forward pass that the backward pass needs, and buffers. They grow once.
#[derive(Debug, Default)]
pub struct StackWorkspace {
    /// The input `[rows, widths[0]]`, which the caller writes, then the output of each layer after its activation.
    pub values: Vec<Vec<f32>>,
    /// The gradient with respect to the output, `[rows, outputs]`, which the caller writes. After the backward pass: with
    /// respect to the sums of the first layer, `[rows, widths[1]]`.
    pub delta: Vec<f32>,
    derivatives: Vec<Vec<f32>>, // of Mish, after each layer but the last
    before: Vec<f32>,
    product: Product,
}

impl LayerStack {
    /// A stack of layers. Their parameters are appended to `parameters`.
    pub fn new(layers: &Layers, activation: HiddenActivation, parameters: &mut Vec<f32>) -> Self {
        let mut offsets = Vec::new();
        for (weight, bias) in layers.iter() {
            offsets.push(parameters.len());
            parameters.extend_from_slice(weight);
            parameters.extend_from_slice(bias);
        }
        Self { widths: layers.widths().to_vec(), offsets, activation }
    }

    /// The layers of given parameters.
    pub fn layers(&self, parameters: &[f32]) -> Layers {
        let layer = |k: usize| (parameters[self.weight(k)].to_vec(), parameters[self.bias(k)].to_vec());
        Layers::new(self.widths.clone(), (0..self.offsets.len()).map(layer).collect())
            .expect("a stack's own layers fit")
    }

    /// The number of layers.
    pub fn n_layers(&self) -> usize {
        self.offsets.len()
    }

    /// Inputs and outputs of a layer.
    pub fn ends(&self, k: usize) -> [usize; 2] {
        [self.widths[k], self.widths[k + 1]]
    }

    /// The range of a layer's weights.
    pub fn weight(&self, k: usize) -> Range<usize> {
        self.offsets[k]..self.offsets[k] + self.widths[k] * self.widths[k + 1]
    }

    fn bias(&self, k: usize) -> Range<usize> {
        let end = self.weight(k).end;
        end..end + self.widths[k + 1]
    }

    /// The ranges of all weights, without the biases.
    pub fn weights(&self) -> Vec<Range<usize>> {
        (0..self.offsets.len()).map(|k| self.weight(k)).collect()
    }

    /// The forward pass. The output `[rows, outputs]` is the last of the workspace's values.
    pub fn forward(&self, parameters: &[f32], workspace: &mut StackWorkspace) {
        let (n, rows) = (self.offsets.len(), workspace.values[0].len() / self.widths[0]);
        workspace.values.resize_with(n + 1, Vec::new);
        workspace.derivatives.resize_with(n - 1, Vec::new);
        for k in 0..n {
            let (inputs, outputs) = workspace.values.split_at_mut(k + 1);
            let output = &mut outputs[0];
            output.resize(rows * self.widths[k + 1], 0.0);
            let left = Matrix::new(&inputs[k], [rows, self.widths[k]]);
            let right = Matrix::new(&parameters[self.weight(k)], [self.widths[k], self.widths[k + 1]]);
            let hidden = k + 1 < n;
            let relu = hidden && self.activation == HiddenActivation::Relu;
            workspace.product.linear(left, right, &parameters[self.bias(k)], relu, output);
            if hidden && self.activation == HiddenActivation::Mish {
                workspace.derivatives[k].resize(output.len(), 0.0);
                mish_with_derivative(output, &mut workspace.derivatives[k]);
            }
        }
    }

    /// The backward pass from the workspace's `delta`. Overwrites the stack's ranges of `grad`, which is laid out as the
    /// parameters are.
    pub fn backward(&self, parameters: &[f32], workspace: &mut StackWorkspace, grad: &mut [f32]) {
        let rows = workspace.values[0].len() / self.widths[0];
        for k in (0..self.offsets.len()).rev() {
            let [inputs, outputs] = self.ends(k);
            let input = Matrix::new(&workspace.values[k], [rows, inputs]);
            let delta = Matrix::new(&workspace.delta, [rows, outputs]);
            workspace.product.set(input.transposed(), delta, &mut grad[self.weight(k)]);
            sum_rows(&workspace.delta, &mut grad[self.bias(k)]);
            if k > 0 {
                self.step_back(k, parameters, workspace);
            }
        }
    }

    /// Takes the workspace's `delta` from the sums of layer `k`, above 0, to those of the layer before it.
    pub fn step_back(&self, k: usize, parameters: &[f32], workspace: &mut StackWorkspace) {
        let [inputs, outputs] = self.ends(k);
        let rows = workspace.delta.len() / outputs;
        let delta = Matrix::new(&workspace.delta, [rows, outputs]);
        workspace.before.resize(rows * inputs, 0.0);
        let weight = Matrix::new(&parameters[self.weight(k)], [inputs, outputs]);
        workspace.product.set(delta, weight.transposed(), &mut workspace.before);
        let before = workspace.before.iter_mut();
        match self.activation {
            HiddenActivation::Relu => vectors(|| {
                before.zip(&workspace.values[k]).for_each(|(d, v)| *d = if *v > 0.0 { *d } else { 0.0 });
            }),
            HiddenActivation::Mish => vectors(|| {
                before.zip(&workspace.derivatives[k - 1]).for_each(|(d, s)| *d *= s);
            }),
        }
        std::mem::swap(&mut workspace.delta, &mut workspace.before);
    }
}
