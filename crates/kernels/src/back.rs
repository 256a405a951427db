//! The way back through a convolution: from the gradient of its output to those of its weights and of its input. Both are
//! sums of products of matrices that lie there already, as the convolution itself is.

use crate::{
    Convolution, Level, Shape, WIDE,
    tile::{Grid, Work},
};

/// Nothing is added to a gradient.
const NO_BIAS: [f32; WIDE] = [0.0; WIDE];

/// What a loss asks of a convolution's numbers, in the order of [`Convolution::numbers_mut`].
#[derive(Debug, Clone, PartialEq)]
pub struct Gradient {
    /// Of the weights.
    pub weights: Vec<f32>,
    /// Of the bias: `[to]`.
    pub bias: Vec<f32>,
}

impl Gradient {
    /// Zeros for a convolution of this shape.
    pub fn zeros(shape: &Shape) -> Self {
        Self { weights: vec![0.0; shape.to * shape.from * shape.taps()], bias: vec![0.0; shape.to] }
    }

    /// Weights and bias, as [`Convolution::numbers_mut`] has them.
    pub fn arrays_mut(&mut self) -> [&mut [f32]; 2] {
        [&mut self.weights, &mut self.bias]
    }
}

impl Convolution {
    /// The gradient of the weights and the bias, for `n` images of `size` (`from`, as in [`run`](Self::run)) and the gradient
    /// of what was computed of them before anything was cut off (`of`, as large as the output). What was in `to` is
    /// overwritten.
    ///
    /// # Panics
    /// Where a slice has another length than that.
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
            let work = Work {
                grid,
                rows: shape.from,
                deep: n,
                left: from,
                left_row: 1,
                left_deep: shape.from,
                right: of,
                right_deep: shape.to,
                second: None,
                bias: &NO_BIAS,
                onto: false,
                add: None,
                relu: false,
                first: 0,
                out_row: WIDE,
            };
            self.level.run(&work, tap);
        }
    }
}

/// Pixels of the input that lie under a tap of the kernel, each with its pixel of the output; none for a tap that only ever
/// lies over the padding.
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

/// From the gradient of a convolution's output to that of its input: what a transposed convolution does.
#[derive(Debug, Clone)]
pub struct Back {
    shape: Shape,
    panels: Vec<f32>, // [from / WIDE, kernel height, kernel width, to, WIDE]
    level: Level,
}

impl Back {
    /// Of a convolution whose input, too, has a multiple of [`WIDE`] channels.
    ///
    /// # Panics
    /// Where it has another number.
    pub fn new(of: &Convolution) -> Self {
        assert!(of.shape.from.is_multiple_of(WIDE), "{:?}", of.shape);
        let mut back = Self { shape: of.shape, panels: vec![0.0; of.panels.len()], level: of.level };
        back.follow(of);
        back
    }

    /// Takes over the convolution's weights, which have changed.
    ///
    /// # Panics
    /// If it is a convolution of another shape.
    pub fn follow(&mut self, of: &Convolution) {
        assert_eq!(of.shape, self.shape);
        let (from, to, taps) = (self.shape.from, self.shape.to, self.shape.taps());
        for (i, row) in of.panels.chunks_exact(WIDE).enumerate() {
            let (panel, tap, c) = (i / (taps * from), i / from % taps, i % from);
            let first = ((c / WIDE * taps + tap) * to + panel * WIDE) * WIDE + c % WIDE;
            row.iter().enumerate().for_each(|(k, &w)| self.panels[first + k * WIDE] = w);
        }
    }

    /// The gradient of `n` images of `size` from that of the output, `of`; it is written to `to`, as large as the input.
    ///
    /// # Panics
    /// Where a slice has another length than that.
    pub fn run(&self, of: &[f32], size: [usize; 2], n: usize, to: &mut [f32]) {
        let shape = &self.shape;
        let out = shape.output(size);
        assert_eq!(of.len(), out[0] * out[1] * n * shape.to, "gradient of the output of {shape:?}");
        assert_eq!(to.len(), size[0] * size[1] * n * shape.from, "gradient of the input of {shape:?}");
        for (p, panel) in self.panels.chunks_exact(shape.taps() * shape.to * WIDE).enumerate() {
            for y in 0..size[0] {
                for x in 0..size[1] {
                    let work = Work {
                        grid: over(shape, out, n, [y, x]),
                        rows: n,
                        deep: shape.to,
                        left: of,
                        left_row: shape.to,
                        left_deep: 1,
                        right: panel,
                        right_deep: WIDE,
                        second: None,
                        bias: &NO_BIAS,
                        onto: false,
                        add: None,
                        relu: false,
                        first: (y * size[1] + x) * n * shape.from + p * WIDE,
                        out_row: shape.from,
                    };
                    self.level.run(&work, to);
                }
            }
        }
    }
}

/// Pixels of the output that a pixel of the input counted in, each with the tap it lay under: as the tap goes on by a
/// stride, the output pixel goes back by one.
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
