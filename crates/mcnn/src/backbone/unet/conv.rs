//! Convolutions along time, steps by channels (`[time, channels]`, a step's channels side by side).
//!
//! Three kinds, which differ in the tap k of the kernel between an input step and an output step:
//!
//! ```text
//! plain       output j from input j + k - kernel / 2             stride 1, same length; kernel odd
//! downsample  output j from input 2j + k - 1,   3 taps           stride 2, half the length
//! upsample    output j from input i with j = 2i + k - 1, 4 taps  transposed, stride 2, twice the length
//! ```
//!
//! In acting, each tap is one product of matrices. A batch is one product: the outputs are cut into tiles, the inputs of a tile
//! (its window) are a row, and the kernel is a banded matrix from window to tile. Large tiles multiply more zeros; small tiles
//! copy every input into more windows.

use kernels::{Matrix, Product};

use super::super::product::{add_product_strided, widest};

/// The relation of output steps to input steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Stride 1.
    Plain,
    /// Stride 2.
    Downsample,
    /// Transposed, stride 2.
    Upsample,
}

/// A convolution and the layout of its parameters: weights `[kernel, inputs, outputs]`, biases `[outputs]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv {
    pub kind: Kind,
    pub kernel: usize,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Input steps.
    pub time: usize,
    /// Index of the first weight among the parameters.
    pub weight: usize,
    /// Index of the first bias.
    pub bias: usize,
}

/// The tiles of a convolution: `count` tiles of `outputs` steps, each from a window of `inputs` steps. Windows begin `stride` steps
/// apart, the first one `before` steps before the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tiles {
    pub(super) count: usize,
    pub(super) outputs: usize,
    inputs: usize,
    stride: usize,
    before: usize,
}

impl Conv {
    /// Output steps.
    pub fn time_out(&self) -> usize {
        match self.kind {
            Kind::Plain => self.time,
            Kind::Downsample => self.time / 2,
            Kind::Upsample => self.time * 2,
        }
    }

    /// The number of weights.
    pub fn weights(&self) -> usize {
        self.kernel * self.inputs * self.outputs
    }

    /// The tap between an input step and an output step, if there is one.
    fn tap(&self, input: isize, output: isize) -> Option<usize> {
        let k = match self.kind {
            Kind::Plain => input - output + self.kernel as isize / 2,
            Kind::Downsample => input - 2 * output + 1,
            Kind::Upsample => output - 2 * input + 1,
        };
        usize::try_from(k).ok().filter(|&k| k < self.kernel)
    }

    /// The convolution of one `x` (`[time, inputs]`), with biases, into `y`. The order of additions is fixed, so that all machines
    /// give the same bits.
    pub fn forward_one(&self, parameters: &[f32], x: &[f32], y: &mut Vec<f32>) {
        let (n, size) = (self.outputs, self.inputs * self.outputs);
        let (weight, bias) = self.weights_and_biases(parameters);
        y.clear();
        (0..self.time_out()).for_each(|_| y.extend_from_slice(bias));
        // One product per tap for all pairs of steps that it relates; they are equally spaced.
        let half = self.kernel / 2;
        for (k, tap) in weight.chunks_exact(size).enumerate() {
            // The first input and output step, and the distances to the next.
            let ([i, j], [x_step, y_step]) = match (self.kind, k) {
                (Kind::Plain, _) => ([k.saturating_sub(half), half.saturating_sub(k)], [1, 1]),
                (Kind::Downsample, 0) => ([1, 1], [2, 1]),
                (Kind::Downsample, _) => ([k - 1, 0], [2, 1]),
                (Kind::Upsample, 0) => ([1, 1], [1, 2]),
                (Kind::Upsample, _) => ([0, k - 1], [1, 2]),
            };
            let of = |all: usize, first: usize, step: usize| all.saturating_sub(first).div_ceil(step);
            let rows = of(self.time, i, x_step).min(of(self.time_out(), j, y_step));
            if rows > 0 {
                let x = (&x[i * self.inputs..], x_step * self.inputs);
                add_product_strided(rows, x, (tap, self.inputs), (&mut y[j * n..], y_step * n));
            }
        }
    }

    fn weights_and_biases<'a>(&self, parameters: &'a [f32]) -> (&'a [f32], &'a [f32]) {
        (&parameters[self.weight..][..self.weights()], &parameters[self.bias..][..self.outputs])
    }

    /// The tiles of least estimated work.
    pub(super) fn tiles(&self) -> Tiles {
        let cut = |outputs: usize| {
            let time_out = self.time_out();
            if outputs == time_out {
                return Tiles { count: 1, outputs, inputs: self.time, stride: self.time, before: 0 };
            }
            let count = time_out / outputs;
            let (stride, before, inputs) = match self.kind {
                Kind::Plain => (outputs, self.kernel / 2, outputs + self.kernel - 1),
                Kind::Downsample => (2 * outputs, 1, 2 * outputs + 1),
                Kind::Upsample => (outputs / 2, 1, outputs / 2 + 2),
            };
            Tiles { count, outputs, inputs, stride, before }
        };
        // A product of matrices does about 25 multiplications per cycle, three times (forward, gradients of weights and inputs).
        // Windows are copied, and their gradients added, at about one value per cycle.
        let work = |tiles: &Tiles| {
            let window = tiles.count * tiles.inputs * self.inputs;
            let copied = if tiles.count == 1 { 0 } else { window };
            3 * window * tiles.outputs * self.outputs / 25 + 4 * copied
        };
        (1..=self.time_out())
            .filter(|&q| self.time_out().is_multiple_of(q) && (self.kind != Kind::Upsample || q % 2 == 0))
            .map(cut)
            .min_by_key(work)
            .expect("at least one step")
    }

    /// Input step, output step and tap of every pair of steps of a tile that are related.
    fn taps(&self, tiles: Tiles) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        (0..tiles.inputs).flat_map(move |i| {
            (0..tiles.outputs).filter_map(move |j| {
                let k = self.tap(i as isize - tiles.before as isize, j as isize)?;
                Some((i, j, k))
            })
        })
    }

    /// The banded matrix from window to tile: `[tile inputs * inputs, tile outputs * outputs]`.
    fn banded(&self, parameters: &[f32], tiles: Tiles) -> Vec<f32> {
        let (c, o) = (self.inputs, self.outputs);
        let (weight, _) = self.weights_and_biases(parameters);
        let wide = tiles.outputs * o;
        let mut matrix = vec![0.0; tiles.inputs * c * wide];
        for (i, j, k) in self.taps(tiles) {
            for (row, from) in weight[k * c * o..][..c * o].chunks_exact(o).enumerate() {
                matrix[(i * c + row) * wide + j * o..][..o].copy_from_slice(from);
            }
        }
        matrix
    }

    /// For every window of a row: the index of its first copied value among the windows, and the range of inputs copied.
    fn copies(&self, tiles: Tiles) -> Vec<(usize, std::ops::Range<usize>)> {
        let c = self.inputs;
        (0..tiles.count)
            .map(|tile| {
                let (from, to) = (tile * tiles.stride, tile * tiles.stride + tiles.inputs);
                let first = from.max(tiles.before);
                let last = to.min(self.time + tiles.before);
                let inputs = (first - tiles.before) * c..(last - tiles.before) * c;
                ((tile * tiles.inputs + first - from) * c, inputs)
            })
            .collect()
    }

    /// The convolution of a batch (`x`: `[batch, time, inputs]`) without the biases, and the windows, which
    /// [`backward`](Self::backward) takes.
    pub fn forward(&self, parameters: &[f32], x: &[f32], product: &mut Product) -> (Vec<f32>, Vec<f32>) {
        let tiles = self.tiles();
        let batch = x.len() / (self.time * self.inputs);
        let windows = if tiles.count == 1 {
            x.to_vec()
        } else {
            let (width, copies) = (tiles.count * tiles.inputs * self.inputs, self.copies(tiles));
            let mut windows = vec![0.0; batch * width];
            for (row, x) in windows.chunks_exact_mut(width).zip(x.chunks_exact(self.time * self.inputs)) {
                for (at, inputs) in &copies {
                    row[*at..][..inputs.len()].copy_from_slice(&x[inputs.clone()]);
                }
            }
            windows
        };
        let [rows, deep, wide] = self.sizes(tiles, batch);
        let banded = self.banded(parameters, tiles);
        let mut y = vec![0.0; rows * wide];
        product.set(Matrix::new(&windows, [rows, deep]), Matrix::new(&banded, [deep, wide]), &mut y);
        (y, windows)
    }

    /// Windows of a batch, values of a window, and values of a tile.
    fn sizes(&self, tiles: Tiles, batch: usize) -> [usize; 3] {
        [batch * tiles.count, tiles.inputs * self.inputs, tiles.outputs * self.outputs]
    }

    /// The backward pass: from the gradient with respect to the outputs (`dy`: `[batch, time_out, outputs]`), adds that of the
    /// weights to `grad` (laid out as the parameters are). Returns that with respect to the inputs if `needs_input_grad`. The
    /// gradient of the biases is the caller's.
    pub fn backward(
        &self,
        parameters: &[f32],
        windows: &[f32],
        dy: &[f32],
        grad: &mut [f32],
        needs_input_grad: bool,
        product: &mut Product,
    ) -> Option<Vec<f32>> {
        let tiles = self.tiles();
        let (c, o) = (self.inputs, self.outputs);
        let batch = dy.len() / (self.time_out() * o);
        let [rows, deep, wide] = self.sizes(tiles, batch);
        let mut banded = vec![0.0; deep * wide];
        let dy = Matrix::new(dy, [rows, wide]);
        product.set(Matrix::new(windows, [rows, deep]).transposed(), dy, &mut banded);
        add_banded(self, tiles, &banded, &mut grad[self.weight..][..self.weights()]);
        if !needs_input_grad {
            return None;
        }
        let banded = self.banded(parameters, tiles);
        let mut windows = vec![0.0; rows * deep];
        product.set(dy, Matrix::new(&banded, [deep, wide]).transposed(), &mut windows);
        if tiles.count == 1 {
            return Some(windows);
        }
        let (width, copies) = (tiles.count * deep, self.copies(tiles));
        let mut dx = vec![0.0; batch * self.time * c];
        for (row, dx) in windows.chunks_exact(width).zip(dx.chunks_exact_mut(self.time * c)) {
            for (at, inputs) in &copies {
                let from = &row[*at..][..inputs.len()];
                dx[inputs.clone()].iter_mut().zip(from).for_each(|(a, b)| *a += b);
            }
        }
        Some(dx)
    }
}

widest! {
    /// Adds the gradient of a banded matrix to that of the weights.
    fn add_banded<'a>(conv: &'a Conv, tiles: Tiles, banded: &'a [f32], grad: &'a mut [f32]) {
        let (c, o) = (conv.inputs, conv.outputs);
        let wide = tiles.outputs * o;
        for (i, j, k) in conv.taps(tiles) {
            let weight = &mut grad[k * c * o..][..c * o];
            for (row, to) in weight.chunks_exact_mut(o).enumerate() {
                let from = &banded[(i * c + row) * wide + j * o..][..o];
                to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
            }
        }
    }
}
