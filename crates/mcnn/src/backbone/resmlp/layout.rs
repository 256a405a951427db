//! Where the arrays of a residual MLP lie in its flat array of parameters.

use std::ops::Range;

use kernels::{Matrix, Product};

use super::{ResMlpSettings, TIME};
use crate::backbone::product::{add_product, sum_rows};

/// A linear layer, `y = x W + b`: weights `[inputs, outputs]` row by row, then biases.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Linear {
    pub start: usize,
    pub inputs: usize,
    pub outputs: usize,
}

/// A residual block: layer norm, Mish, a linear layer, Mish, a linear layer; its output is added to its input.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    pub scale: Range<usize>,
    pub shift: Range<usize>,
    pub first: Linear,
    pub second: Linear,
}

/// All layers of a network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    pub n_obs: usize,
    pub n_act: usize,
    pub width: usize,
    /// From the noisy chunk, the sinusoids of the diffusion step and the window of observations, in this order.
    pub input: Linear,
    pub blocks: Vec<Block>,
    /// After Mish, to the chunk.
    pub output: Linear,
    pub len: usize,
}

/// An array of parameters, by its name in a file.
pub(super) struct Array {
    pub name: String,
    pub shape: Vec<usize>,
    pub range: Range<usize>,
}

impl Linear {
    fn after(start: &mut usize, inputs: usize, outputs: usize) -> Self {
        let linear = Self { start: *start, inputs, outputs };
        *start += (inputs + 1) * outputs;
        linear
    }

    pub fn weight(&self) -> Range<usize> {
        self.start..self.start + self.inputs * self.outputs
    }

    pub fn bias(&self) -> Range<usize> {
        let end = self.weight().end;
        end..end + self.outputs
    }

    fn arrays(&self, name: &str) -> [Array; 2] {
        let array =
            |part: &str, shape: Vec<usize>, range| Array { name: format!("{name}.{part}"), shape, range };
        [
            array("weight", vec![self.inputs, self.outputs], self.weight()),
            array("bias", vec![self.outputs], self.bias()),
        ]
    }

    /// Writes the output for one input, `[inputs]`.
    pub fn forward_one(&self, parameters: &[f32], x: &[f32], y: &mut Vec<f32>) {
        y.clear();
        y.extend_from_slice(&parameters[self.bias()]);
        add_product(x, self.inputs, &parameters[self.weight()], y);
    }

    /// Writes the output for a batch, `[rows, inputs]`.
    pub fn forward(&self, parameters: &[f32], x: &[f32], y: &mut Vec<f32>, product: &mut Product) {
        let rows = x.len() / self.inputs;
        y.resize(rows * self.outputs, 0.0);
        let weight = Matrix::new(&parameters[self.weight()], [self.inputs, self.outputs]);
        product.linear(Matrix::new(x, [rows, self.inputs]), weight, &parameters[self.bias()], false, y);
    }

    /// Overwrites the layer's gradient, from the gradient of its output `[rows, outputs]` and its input.
    pub fn gradient(&self, x: &[f32], delta: &[f32], grad: &mut [f32], product: &mut Product) {
        let rows = x.len() / self.inputs;
        let of_output = Matrix::new(delta, [rows, self.outputs]);
        let x = Matrix::new(x, [rows, self.inputs]).transposed();
        product.set(x, of_output, &mut grad[self.weight()]);
        sum_rows(delta, &mut grad[self.bias()]);
    }

    /// Writes the gradient of the input, `[rows, inputs]`, from that of the output.
    pub fn backward(&self, parameters: &[f32], delta: &[f32], before: &mut Vec<f32>, product: &mut Product) {
        let rows = delta.len() / self.outputs;
        before.resize(rows * self.inputs, 0.0);
        let weight = Matrix::new(&parameters[self.weight()], [self.inputs, self.outputs]).transposed();
        product.set(Matrix::new(delta, [rows, self.outputs]), weight, before);
    }
}

impl Layout {
    /// `blocks`: their number.
    pub fn new(n_obs: usize, [width, blocks]: [usize; 2], n_act: usize, settings: &ResMlpSettings) -> Self {
        let chunk = settings.horizon * n_act;
        let mut len = 0;
        let input = Linear::after(&mut len, chunk + TIME + settings.window * n_obs, width);
        let block = |len: &mut usize| {
            let norm = *len;
            *len += 2 * width;
            Block {
                scale: norm..norm + width,
                shift: norm + width..norm + 2 * width,
                first: Linear::after(len, width, width),
                second: Linear::after(len, width, width),
            }
        };
        let blocks = (0..blocks).map(|_| block(&mut len)).collect();
        let output = Linear::after(&mut len, width, chunk);
        Self { n_obs, n_act, width, input, blocks, output, len }
    }

    /// All arrays, in the order of the parameters.
    pub fn arrays(&self) -> Vec<Array> {
        let mut arrays = Vec::from(self.input.arrays("input"));
        for (k, block) in self.blocks.iter().enumerate() {
            for (part, range) in [("scale", &block.scale), ("shift", &block.shift)] {
                let name = format!("block.{k}.norm.{part}");
                arrays.push(Array { name, shape: vec![self.width], range: range.clone() });
            }
            arrays.extend(block.first.arrays(&format!("block.{k}.first")));
            arrays.extend(block.second.arrays(&format!("block.{k}.second")));
        }
        arrays.extend(self.output.arrays("output"));
        arrays
    }

    /// All linear layers, in order.
    pub fn linears(&self) -> impl Iterator<Item = &Linear> {
        let of_blocks = self.blocks.iter().flat_map(|block| [&block.first, &block.second]);
        std::iter::once(&self.input).chain(of_blocks).chain([&self.output])
    }
}
