//! Chains of linear layers in training: forward and back, a batch at a time, in products of matrices.
//!
//! A network's numbers lie in one array; a chain knows where its own begin, layer by layer, the weights `[in, out]` row by
//! row and then the biases.

use std::ops::Range;

use kernels::{Matrix, Product};

use super::{Layers, mish::mish_with_slope, product::vectors};

/// What the output of every layer but the last goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bend {
    Relu,
    Mish,
}

/// Where a chain's numbers lie, and what they do.
#[derive(Debug, Clone)]
pub struct Chain {
    widths: Vec<usize>,
    places: Vec<usize>, // of each layer's weights
    bend: Bend,
}

/// What a forward pass leaves for the way back, and room for it. It grows once.
#[derive(Debug, Default)]
pub struct ChainRoom {
    /// The input `[rows, widths[0]]`, to be filled by the caller, then what each layer made of it.
    pub values: Vec<Vec<f32>>,
    /// The slope of the loss by the output, `[rows, outputs]`, to be filled by the caller; after the way back that by what
    /// the first layer adds up, `[rows, widths[1]]`.
    pub delta: Vec<f32>,
    slopes: Vec<Vec<f32>>, // of Mish, after each layer but the last
    before: Vec<f32>,
    product: Product,
}

impl Chain {
    /// A chain of layers, whose numbers are put at the end of others.
    pub fn new(layers: &Layers, bend: Bend, numbers: &mut Vec<f32>) -> Self {
        let mut places = Vec::new();
        for (weight, bias) in layers.iter() {
            places.push(numbers.len());
            numbers.extend_from_slice(weight);
            numbers.extend_from_slice(bias);
        }
        Self { widths: layers.widths().to_vec(), places, bend }
    }

    /// The layers of given numbers.
    pub fn layers(&self, numbers: &[f32]) -> Layers {
        let layer = |k: usize| (numbers[self.weight(k)].to_vec(), numbers[self.bias(k)].to_vec());
        Layers::new(self.widths.clone(), (0..self.places.len()).map(layer).collect())
            .expect("a chain's own layers fit")
    }

    /// Where a layer's weights lie.
    pub fn weight(&self, k: usize) -> Range<usize> {
        self.places[k]..self.places[k] + self.widths[k] * self.widths[k + 1]
    }

    fn bias(&self, k: usize) -> Range<usize> {
        let end = self.weight(k).end;
        end..end + self.widths[k + 1]
    }

    /// Where all weights lie, not the biases.
    pub fn weights(&self) -> Vec<Range<usize>> {
        (0..self.places.len()).map(|k| self.weight(k)).collect()
    }

    /// What the chain makes of its input: the last of the room's values, `[rows, outputs]`.
    pub fn forward(&self, numbers: &[f32], room: &mut ChainRoom) {
        let (n, rows) = (self.places.len(), room.values[0].len() / self.widths[0]);
        room.values.resize_with(n + 1, Vec::new);
        room.slopes.resize_with(n - 1, Vec::new);
        for k in 0..n {
            let (inputs, outputs) = room.values.split_at_mut(k + 1);
            let output = &mut outputs[0];
            output.resize(rows * self.widths[k + 1], 0.0);
            let left = Matrix::new(&inputs[k], [rows, self.widths[k]]);
            let right = Matrix::new(&numbers[self.weight(k)], [self.widths[k], self.widths[k + 1]]);
            let hidden = k + 1 < n;
            let relu = hidden && self.bend == Bend::Relu;
            room.product.linear(left, right, &numbers[self.bias(k)], relu, output);
            if hidden && self.bend == Bend::Mish {
                room.slopes[k].resize(output.len(), 0.0);
                mish_with_slope(output, &mut room.slopes[k]);
            }
        }
    }

    /// The way back from the room's `delta`: sets the gradient of the chain's numbers, which lies as they do.
    pub fn back(&self, numbers: &[f32], room: &mut ChainRoom, gradient: &mut [f32]) {
        let rows = room.values[0].len() / self.widths[0];
        for k in (0..self.places.len()).rev() {
            let [inputs, outputs] = [self.widths[k], self.widths[k + 1]];
            let input = Matrix::new(&room.values[k], [rows, inputs]);
            let delta = Matrix::new(&room.delta, [rows, outputs]);
            room.product.set(input.turned(), delta, &mut gradient[self.weight(k)]);
            add_rows(&room.delta, &mut gradient[self.bias(k)]);
            if k == 0 {
                return;
            }
            room.before.resize(rows * inputs, 0.0);
            let weight = Matrix::new(&numbers[self.weight(k)], [inputs, outputs]);
            room.product.set(delta, weight.turned(), &mut room.before);
            let slopes = room.before.iter_mut();
            match self.bend {
                Bend::Relu => vectors(|| {
                    slopes.zip(&room.values[k]).for_each(|(d, v)| *d = if *v > 0.0 { *d } else { 0.0 });
                }),
                Bend::Mish => vectors(|| slopes.zip(&room.slopes[k - 1]).for_each(|(d, s)| *d *= s)),
            }
            std::mem::swap(&mut room.delta, &mut room.before);
        }
    }
}

/// Sets a row to the sum of rows.
fn add_rows(rows: &[f32], sum: &mut [f32]) {
    sum.fill(0.0);
    vectors(|| {
        for row in rows.chunks_exact(sum.len()) {
            sum.iter_mut().zip(row).for_each(|(s, x)| *s += x);
        }
    });
}
