//! Matrix products ([`Product`]), and convolutions of batches of small images with their gradients, in `f32`, on one thread.
//!
//! A batch is `[height, width, image, channel]`: the values of one pixel of all images are adjacent. The contribution of one input
//! pixel to one output pixel is then a matrix product on memory as it lies, `[image, channel] x [channel, output channel]`, and a
//! convolution is a sum of such products. Adjacent pixels are rows of one product, so that few images, or one, fill it too.
//! Nothing is copied, and products with the padding are skipped: with 3 x 3 kernels a third of the work on images of 3 x 3
//! pixels, and more on smaller ones.
//!
//! ```
//! use kernels::{Convolution, Shape};
//! let shape = Shape { from: 1, to: 32, kernel: [1, 1], stride: [1, 1], pad: [0, 0] };
//! let double = Convolution::new(shape, &[2.0; 32], &[0.5; 32]);
//! let mut out = [0.0; 64];
//! double.run(&[3.0, -3.0], [1, 1], 2, None, true, &mut out); // two images of one pixel
//! assert_eq!((out[0], out[32]), (6.5, 0.0));
//! ```

mod backward;
mod level;
pub mod oracle;
mod packed;
mod product;
mod tile;

pub use backward::{Gradient, InputGradient};
pub use level::Level;
pub use packed::PackedMatrix;
pub use product::{Matrix, Product};

use std::ops::Range;

use tile::{Patch, ProductSum};

/// Width of a panel: output channels are computed this many at a time, and are a multiple of it.
pub const WIDE: usize = 32;

/// The shape of a convolution; heights come before widths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Channels of the input; 1 or more.
    pub from: usize,
    /// Channels of the output; a multiple of [`WIDE`].
    pub to: usize,
    /// Height and width of the kernel; 1 or more.
    pub kernel: [usize; 2],
    /// Input pixels from one output pixel to the next; 1 or more.
    pub stride: [usize; 2],
    /// Zero padding around the input, in pixels; less than the kernel.
    pub pad: [usize; 2],
}

impl Shape {
    /// Height and width of the output for an input of `size`; 0 if the kernel does not fit.
    pub fn output(&self, size: [usize; 2]) -> [usize; 2] {
        let along = |i: usize| {
            let positions = (size[i] + 2 * self.pad[i] + 1).saturating_sub(self.kernel[i]);
            positions.div_ceil(self.stride[i])
        };
        [along(0), along(1)]
    }

    /// A row of output pixels, in runs that are computed together: the pixels whose kernel lies inside the input horizontally, whose
    /// inputs are at equal strides, are one run; each other pixel is its own.
    fn runs(&self, from: usize, to: usize, n: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let [stride, pad] = [self.stride[1], self.pad[1]];
        let end = (from + pad + stride).saturating_sub(self.kernel[1]) / stride;
        let mut inside = pad.div_ceil(stride)..end.min(to);
        // With several images, inputs of neighboring pixels are at equal strides only if the stride is 1.
        if inside.is_empty() || (n > 1 && stride > 1) {
            inside = 0..0;
        }
        let alone = |x: Range<usize>| x.map(|x| x..x + 1);
        alone(0..inside.start)
            .chain(Some(inside.clone()).filter(|run| !run.is_empty()))
            .chain(alone(inside.end..to))
    }

    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Calls `each` with both indices of every weight: packed, `[to / WIDE, tap, from, WIDE]`, and in `[to, from, tap]`.
    fn positions(&self, mut each: impl FnMut(usize, usize)) {
        let taps = self.taps();
        for out in 0..self.to {
            for c in 0..self.from {
                for tap in 0..taps {
                    let panel = (out / WIDE * taps + tap) * self.from + c;
                    each(panel * WIDE + out % WIDE, (out * self.from + c) * taps + tap);
                }
            }
        }
    }
}

/// A convolution with packed weights.
#[derive(Debug, Clone)]
pub struct Convolution {
    shape: Shape,
    panels: Vec<f32>, // [to / WIDE, kernel height, kernel width, from, WIDE]
    bias: Vec<f32>,   // [to]
    level: Level,
}

impl Convolution {
    /// Packs weights `[to, from, kernel height, kernel width]`, with a bias `[to]`.
    ///
    /// # Panics
    /// If the shape is out of range, or the lengths do not fit it.
    pub fn new(shape: Shape, weights: &[f32], bias: &[f32]) -> Self {
        let Shape { from, to, kernel: [height, width], stride, pad } = shape;
        assert!(from > 0 && to > 0 && to.is_multiple_of(WIDE), "{shape:?}");
        assert!(height > pad[0] && width > pad[1] && stride[0] > 0 && stride[1] > 0, "{shape:?}");
        let taps = height * width;
        assert_eq!((weights.len(), bias.len()), (to * from * taps, to), "weights and bias of {shape:?}");
        let mut panels = vec![0.0; weights.len()];
        shape.positions(|panel, usual| panels[panel] = weights[usual]);
        Self { shape, panels, bias: bias.to_vec(), level: Level::best() }
    }

    /// The same convolution on another level of the processor, for tests and measurements.
    pub fn on(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// Its shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Convolves `n` images of `size`, adds the bias and `add`, and applies a ReLU if `relu`. NaN stays NaN.
    ///
    /// `from`: `[size[0], size[1], n, from]`. `to`, overwritten, and `add`: `[height, width, n, to]`, of [`Shape::output`].
    ///
    /// # Panics
    /// If a slice has another length than that.
    pub fn run(
        &self,
        from: &[f32],
        size: [usize; 2],
        n: usize,
        add: Option<&[f32]>,
        relu: bool,
        to: &mut [f32],
    ) {
        let [height, width] = self.shape.output(size);
        assert_eq!(from.len(), size[0] * size[1] * n * self.shape.from, "input of {:?}", self.shape);
        assert_eq!(to.len(), height * width * n * self.shape.to, "output of {:?}", self.shape);
        assert!(add.is_none_or(|add| add.len() == to.len()), "what is added, of {:?}", self.shape);
        let panel_len = self.panels.len() / (self.shape.to / WIDE);
        // The sums of a single row are few: two panels at once hide the latency of multiply-adds.
        let group = if n == 1 { 2 } else { 1 };
        // Pixels in the inner loop, so that a panel's weights stay in the cache.
        for (p, panels) in self.panels.chunks(group * panel_len).enumerate() {
            for y in 0..height {
                for x in self.shape.runs(size[1], width, n) {
                    let rows = n * x.len();
                    let together = if rows == 1 { panels.len() } else { panel_len };
                    for (q, panels) in panels.chunks(together).enumerate() {
                        let channel = (p * group + q) * WIDE;
                        let work = ProductSum {
                            grid: Patch::at(&self.shape, size, [y, x.start]).grid(&self.shape, n),
                            rows,
                            depth: self.shape.from,
                            left: from,
                            left_row_stride: self.shape.from * if n == 1 { self.shape.stride[1] } else { 1 },
                            left_depth_stride: 1,
                            right: panels,
                            right_row_stride: WIDE,
                            second: (panels.len() > panel_len).then_some(panel_len),
                            bias: &self.bias[channel..],
                            accumulate: false,
                            add,
                            relu,
                            first: (y * width + x.start) * n * self.shape.to + channel,
                            out_row_stride: self.shape.to,
                        };
                        self.level.run(&work, to);
                    }
                }
            }
        }
    }

    /// The weights, `[to, from, kernel height, kernel width]`.
    pub fn weights(&self) -> Vec<f32> {
        let mut weights = vec![0.0; self.panels.len()];
        self.shape.positions(|panel, usual| weights[usual] = self.panels[panel]);
        weights
    }

    /// The bias, `[to]`.
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// The parameters: packed weights, in the order of [`Gradient::weights`], and bias.
    pub fn parameters_mut(&mut self) -> [&mut [f32]; 2] {
        [&mut self.panels, &mut self.bias]
    }
}
