//! The backward pass of a convolution: from the gradient of its output to those of its parameters and of its input. Both are sums
//! of matrix products on memory as it lies, like the forward pass.

use crate::{
    Convolution, Level, Shape, WIDE,
    tile::{Grid, ProductSum},
};

/// Gradients have no bias.
const NO_BIAS: [f32; WIDE] = [0.0; WIDE];

/// The gradient of a loss with respect to a convolution's parameters, in the order of [`Convolution::parameters_mut`].
#[derive(Debug, Clone, PartialEq)]
pub struct Gradient {
    /// Of the weights, packed as [`Convolution`] has them.
    pub weights: Vec<f32>,
    /// Of the bias: `[to]`.
    pub bias: Vec<f32>,
}

impl Gradient {
    /// A gradient of zeros for a convolution of this shape.
    pub fn zeros(shape: &Shape) -> Self {
        Self { weights: vec![0.0; shape.to * shape.from * shape.taps()], bias: vec![0.0; shape.to] }
    }

    /// The gradients of weights and bias, in the order of [`Convolution::parameters_mut`].
    pub fn arrays_mut(&mut self) -> [&mut [f32]; 2] {
        [&mut self.weights, &mut self.bias]
    }
}

impl Convolution {
    /// Computes the gradient of the parameters, and overwrites `to` with it. `from`: `n` images of `size`, as in
    /// [`run`](Self::run). `of`: `[height, width, n, to]`, the gradient of the output before the ReLU.
    ///
    /// # Panics
    /// If a slice has another length than that.
    pub fn gradient(&self, from: &[f32], size: [usize; 2], n: usize, of: &[f32], to: &mut Gradient) {
        let shape = &self.shape;
        let out = shape.output(size);
        assert_eq!(from.len(), size[0] * size[1] * n * shape.from, "input of {shape:?}");
        assert_eq!(of.len(), out[0] * out[1] * n * shape.to, "gradient of the output of {shape:?}");
        assert_eq!(to.weights.len(), self.panels.len(), "gradient of the weights of {shape:?}");
        to.bias.fill(0.0);
        for of in of.chunks_exact(shape.to) {
            to.bias.iter_mut().zip(of).for_each(|(sum, v)| *sum += v);
        }
        if n == 0 {
            return to.weights.fill(0.0);
        }
        for (i, tap) in to.weights.chunks_exact_mut(shape.from * WIDE).enumerate() {
            let (panel, tap_of) = (i / shape.taps(), i % shape.taps());
            let tap_of = [tap_of / shape.kernel[1], tap_of % shape.kernel[1]];
            let Some(mut grid) = under(shape, size, out, n, tap_of) else {
                tap.fill(0.0);
                continue;
            };
            grid.right += panel * WIDE;
            let work = ProductSum {
                grid,
                rows: shape.from,
                depth: n,
                left: from,
                left_row_stride: 1,
                left_depth_stride: shape.from,
                right: of,
                right_row_stride: shape.to,
                second: None,
                bias: &NO_BIAS,
                accumulate: false,
                add: None,
                relu: false,
                first: 0,
                out_row_stride: WIDE,
            };
            self.level.run(&work, tap);
        }
    }
}

/// The input pixels under a tap of the kernel, each with its output pixel; `None` for a tap that only ever lies on the padding.
fn under(shape: &Shape, size: [usize; 2], out: [usize; 2], n: usize, tap: [usize; 2]) -> Option<Grid> {
    let (mut first, mut count) = ([0; 2], [0; 2]);
    for i in 0..2 {
        first[i] = shape.pad[i].saturating_sub(tap[i]).div_ceil(shape.stride[i]);
        let end = (size[i] + shape.pad[i]).saturating_sub(tap[i]).div_ceil(shape.stride[i]).min(out[i]);
        count[i] = end.checked_sub(first[i]).filter(|&count| count > 0)?;
    }
    let at = [0, 1].map(|i| first[i] * shape.stride[i] + tap[i] - shape.pad[i]);
    let (left, right) = (n * shape.from, n * shape.to);
    Some(Grid {
        count,
        left: (at[0] * size[1] + at[1]) * left,
        left_step: [shape.stride[0] * size[1] * left, shape.stride[1] * left],
        right: (first[0] * out[1] + first[1]) * right,
        right_step: [out[1] * right, right],
        backwards: false,
    })
}

/// The gradient of a convolution's input from that of its output: a transposed convolution.
#[derive(Debug, Clone)]
pub struct InputGradient {
    shape: Shape,
    panels: Vec<f32>, // [from / WIDE, kernel height, kernel width, to, WIDE]
    level: Level,
}

impl InputGradient {
    /// For a convolution whose input channels, too, are a multiple of [`WIDE`].
    ///
    /// # Panics
    /// If they are not.
    pub fn new(of: &Convolution) -> Self {
        assert!(of.shape.from.is_multiple_of(WIDE), "{:?}", of.shape);
        let mut gradient = Self { shape: of.shape, panels: vec![0.0; of.panels.len()], level: of.level };
        gradient.copy_weights(of);
        gradient
    }

    /// Copies the convolution's weights, after they have changed.
    ///
    /// # Panics
    /// If the convolution has another shape.
    pub fn copy_weights(&mut self, of: &Convolution) {
        assert_eq!(of.shape, self.shape);
        let (from, to, taps) = (self.shape.from, self.shape.to, self.shape.taps());
        for (i, row) in of.panels.chunks_exact(WIDE).enumerate() {
            let (panel, tap, c) = (i / (taps * from), i / from % taps, i % from);
            let first = ((c / WIDE * taps + tap) * to + panel * WIDE) * WIDE + c % WIDE;
            row.iter().enumerate().for_each(|(k, &w)| self.panels[first + k * WIDE] = w);
        }
    }

    /// Writes the gradient of the input to `to`, `[size[0], size[1], n, from]`. `of`: `[height, width, n, to]`, the gradient of the
    /// output before the ReLU.
    ///
    /// # Panics
    /// If a slice has another length than that.
    pub fn run(&self, of: &[f32], size: [usize; 2], n: usize, to: &mut [f32]) {
        let shape = &self.shape;
        let out = shape.output(size);
        assert_eq!(of.len(), out[0] * out[1] * n * shape.to, "gradient of the output of {shape:?}");
        assert_eq!(to.len(), size[0] * size[1] * n * shape.from, "gradient of the input of {shape:?}");
        for (p, panel) in self.panels.chunks_exact(shape.taps() * shape.to * WIDE).enumerate() {
            for y in 0..size[0] {
                for x in 0..size[1] {
                    let work = ProductSum {
                        grid: over(shape, out, n, [y, x]),
                        rows: n,
                        depth: shape.to,
                        left: of,
                        left_row_stride: shape.to,
                        left_depth_stride: 1,
                        right: panel,
                        right_row_stride: WIDE,
                        second: None,
                        bias: &NO_BIAS,
                        accumulate: false,
                        add: None,
                        relu: false,
                        first: (y * size[1] + x) * n * shape.from + p * WIDE,
                        out_row_stride: shape.from,
                    };
                    self.level.run(&work, to);
                }
            }
        }
    }
}

/// The output pixels that an input pixel contributes to, each with its tap of the kernel: as the tap moves on by a stride, the
/// output pixel moves back by one.
fn over(shape: &Shape, out: [usize; 2], n: usize, pixel: [usize; 2]) -> Grid {
    let (mut first, mut count, mut at) = ([0; 2], [0; 2], [0; 2]);
    for i in 0..2 {
        let (padded, stride) = (pixel[i] + shape.pad[i], shape.stride[i]);
        let beyond = padded.saturating_sub(stride * out[i].saturating_sub(1));
        first[i] = if beyond == 0 { padded % stride } else { beyond };
        let end = shape.kernel[i].min(padded + 1);
        count[i] = if out[i] == 0 { 0 } else { end.saturating_sub(first[i]).div_ceil(stride) };
        at[i] = padded.saturating_sub(first[i]) / stride;
    }
    let (left, right) = (n * shape.to, shape.to * WIDE);
    Grid {
        count,
        left: (at[0] * out[1] + at[1]) * left,
        left_step: [out[1] * left, left],
        right: (first[0] * shape.kernel[1] + first[1]) * right,
        right_step: [shape.stride[0] * shape.kernel[1] * right, shape.stride[1] * right],
        backwards: true,
    }
}
