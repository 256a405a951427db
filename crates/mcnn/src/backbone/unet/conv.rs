//! Convolutions along time, steps by channels (`[time, channels]`, a step's channels side by side).
//!
//! Three kinds, which differ only in the tap of the kernel that joins an input step to an output step:
//!
//! ```text
//! same   output j from input j + k - kernel / 2             as many steps out as in; kernel odd
//! halve  output j from input 2j + k - 1,   3 taps           stride 2, half as many out
//! double output j from input i with j = 2i + k - 1, 4 taps  transposed, stride 2, twice as many out
//! ```
//!
//! One observation at a time, each tap is a product of its own. A batch is one product of matrices: the outputs are
//! cut into tiles, a tile's window of inputs is a row, and the kernel is written out as a banded matrix from window to
//! tile. Large tiles multiply by more zeros, small ones copy every input into more windows.

use kernels::{Matrix, Product};

use super::super::product::{add_product_apart, widest};

/// How output steps follow from input steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Same,
    Halve,
    Double,
}

/// A convolution and where its numbers lie: weights `[kernel, inputs, outputs]`, biases `[outputs]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv {
    pub kind: Kind,
    pub kernel: usize,
    /// Channels.
    pub inputs: usize,
    pub outputs: usize,
    /// Steps of time that go in.
    pub time: usize,
    /// Where the weights and the biases begin among all numbers.
    pub weight: usize,
    pub bias: usize,
}

/// How a batch's convolution is cut: `count` tiles of `outputs` steps from windows of `inputs` steps each, a window
/// beginning `before` steps ahead of where the tile's own inputs do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tiles {
    pub(super) count: usize,
    pub(super) outputs: usize,
    inputs: usize,
    stride: usize,
    before: usize,
}

impl Conv {
    /// Steps of time that come out.
    pub fn time_out(&self) -> usize {
        match self.kind {
            Kind::Same => self.time,
            Kind::Halve => self.time / 2,
            Kind::Double => self.time * 2,
        }
    }

    /// How many numbers the weights are.
    pub fn weights(&self) -> usize {
        self.kernel * self.inputs * self.outputs
    }

    /// The tap that joins an input step to an output step, if one does.
    fn tap(&self, input: isize, output: isize) -> Option<usize> {
        let k = match self.kind {
            Kind::Same => input - output + self.kernel as isize / 2,
            Kind::Halve => input - 2 * output + 1,
            Kind::Double => output - 2 * input + 1,
        };
        usize::try_from(k).ok().filter(|&k| k < self.kernel)
    }

    /// The convolution of one `x` (`[time, inputs]`), left in `y`. Every output adds its products in the order of the
    /// inputs, so that all machines agree.
    pub fn one(&self, numbers: &[f32], x: &[f32], y: &mut Vec<f32>) {
        let (n, size) = (self.outputs, self.inputs * self.outputs);
        let (weight, bias) = self.parts(numbers);
        y.clear();
        (0..self.time_out()).for_each(|_| y.extend_from_slice(bias));
        // Tap by tap, in one product for all steps that it joins: they come, and go, at equal distances.
        let half = self.kernel / 2;
        for (k, tap) in weight.chunks_exact(size).enumerate() {
            // The first input and output that it joins, and how far it is to the next.
            let ([i, j], [x_step, y_step]) = match (self.kind, k) {
                (Kind::Same, _) => ([k.saturating_sub(half), half.saturating_sub(k)], [1, 1]),
                (Kind::Halve, 0) => ([1, 1], [2, 1]),
                (Kind::Halve, _) => ([k - 1, 0], [2, 1]),
                (Kind::Double, 0) => ([1, 1], [1, 2]),
                (Kind::Double, _) => ([0, k - 1], [1, 2]),
            };
            let of = |all: usize, first: usize, step: usize| all.saturating_sub(first).div_ceil(step);
            let rows = of(self.time, i, x_step).min(of(self.time_out(), j, y_step));
            if rows > 0 {
                let x = (&x[i * self.inputs..], x_step * self.inputs);
                add_product_apart(rows, x, (tap, self.inputs), (&mut y[j * n..], y_step * n));
            }
        }
    }

    fn parts<'a>(&self, numbers: &'a [f32]) -> (&'a [f32], &'a [f32]) {
        (&numbers[self.weight..][..self.weights()], &numbers[self.bias..][..self.outputs])
    }

    /// The cut of least work: multiplications, and numbers copied.
    pub(super) fn tiles(&self) -> Tiles {
        let cut = |outputs: usize| {
            let time_out = self.time_out();
            if outputs == time_out {
                return Tiles { count: 1, outputs, inputs: self.time, stride: self.time, before: 0 };
            }
            let count = time_out / outputs;
            let (stride, before, inputs) = match self.kind {
                Kind::Same => (outputs, self.kernel / 2, outputs + self.kernel - 1),
                Kind::Halve => (2 * outputs, 1, 2 * outputs + 1),
                Kind::Double => (outputs / 2, 1, outputs / 2 + 2),
            };
            Tiles { count, outputs, inputs, stride, before }
        };
        // A product of matrices takes some 25 multiplications a cycle, three times (forward, and back to weights and
        // inputs); a window is copied into, and added back from, at about a number a cycle.
        let work = |tiles: &Tiles| {
            let window = tiles.count * tiles.inputs * self.inputs;
            let copied = if tiles.count == 1 { 0 } else { window };
            3 * window * tiles.outputs * self.outputs / 25 + 4 * copied
        };
        (1..=self.time_out())
            .filter(|&q| self.time_out().is_multiple_of(q) && (self.kind != Kind::Double || q % 2 == 0))
            .map(cut)
            .min_by_key(work)
            .expect("at least one step")
    }

    /// For every pair of a tile's steps that a tap joins: input, output and tap.
    fn joined(&self, tiles: Tiles) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        (0..tiles.inputs).flat_map(move |i| {
            (0..tiles.outputs).filter_map(move |j| {
                let k = self.tap(i as isize - tiles.before as isize, j as isize)?;
                Some((i, j, k))
            })
        })
    }

    /// The kernel from window to tile: `[tile inputs * inputs, tile outputs * outputs]`.
    fn banded(&self, numbers: &[f32], tiles: Tiles) -> Vec<f32> {
        let (c, o) = (self.inputs, self.outputs);
        let (weight, _) = self.parts(numbers);
        let wide = tiles.outputs * o;
        let mut matrix = vec![0.0; tiles.inputs * c * wide];
        for (i, j, k) in self.joined(tiles) {
            for (row, from) in weight[k * c * o..][..c * o].chunks_exact(o).enumerate() {
                matrix[(i * c + row) * wide + j * o..][..o].copy_from_slice(from);
            }
        }
        matrix
    }

    /// For every window of a batch's row that copies inputs: where it lies among the windows, and the inputs.
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

    /// The convolution of a batch (`x`: `[batch, time, inputs]`), without the biases, and the windows it was made from,
    /// which [`back`](Self::back) asks for.
    pub fn batch(&self, numbers: &[f32], x: &[f32], product: &mut Product) -> (Vec<f32>, Vec<f32>) {
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
        let banded = self.banded(numbers, tiles);
        let mut y = vec![0.0; rows * wide];
        product.set(Matrix::new(&windows, [rows, deep]), Matrix::new(&banded, [deep, wide]), &mut y);
        (y, windows)
    }

    /// Windows of a batch, the numbers of one, and those of the tile that it makes.
    fn sizes(&self, tiles: Tiles, batch: usize) -> [usize; 3] {
        [batch * tiles.count, tiles.inputs * self.inputs, tiles.outputs * self.outputs]
    }

    /// The way back: from the gradient of the outputs (`dy`: `[batch, time_out, outputs]`), adds that of the weights to
    /// `gradient` (laid out as the numbers are) and, where it is asked for, answers with that of the inputs. The biases'
    /// is left to the caller.
    pub fn back(
        &self,
        numbers: &[f32],
        windows: &[f32],
        dy: &[f32],
        gradient: &mut [f32],
        inputs_too: bool,
        product: &mut Product,
    ) -> Option<Vec<f32>> {
        let tiles = self.tiles();
        let (c, o) = (self.inputs, self.outputs);
        let batch = dy.len() / (self.time_out() * o);
        let [rows, deep, wide] = self.sizes(tiles, batch);
        let mut banded = vec![0.0; deep * wide];
        let dy = Matrix::new(dy, [rows, wide]);
        product.set(Matrix::new(windows, [rows, deep]).turned(), dy, &mut banded);
        add_banded(self, tiles, &banded, &mut gradient[self.weight..][..self.weights()]);
        if !inputs_too {
            return None;
        }
        let banded = self.banded(numbers, tiles);
        let mut windows = vec![0.0; rows * deep];
        product.set(dy, Matrix::new(&banded, [deep, wide]).turned(), &mut windows);
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
    /// Adds the gradient of a banded kernel to that of the weights it was made of.
    fn add_banded<'a>(conv: &'a Conv, tiles: Tiles, banded: &'a [f32], gradient: &'a mut [f32]) {
        let (c, o) = (conv.inputs, conv.outputs);
        let wide = tiles.outputs * o;
        for (i, j, k) in conv.joined(tiles) {
            let weight = &mut gradient[k * c * o..][..c * o];
            for (row, to) in weight.chunks_exact_mut(o).enumerate() {
                let from = &banded[(i * c + row) * wide + j * o..][..o];
                to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
            }
        }
    }
}
