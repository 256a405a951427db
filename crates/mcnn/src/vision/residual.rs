//! The forward pass of a residual network. Batch normalization is folded into the convolutions.

use kernels::{Convolution, Shape};

use super::{
    batch::{FoldedBlock, FoldedConvolution, FoldedResNet},
    resnet::{Layer, ResNet},
};
use crate::error::Result;

/// The constant that PyTorch's batch normalization adds to a variance.
const EPSILON: f64 = 1e-5;

/// A residual network with its weights.
#[derive(Debug)]
pub(super) struct Residual {
    resnet: ResNet,
    stem: Convolution,
    blocks: Vec<Convolved>,
}

#[derive(Debug)]
struct Convolved {
    name: String,
    layers: Vec<Convolution>,
    shortcut: Option<Convolution>,
}

/// Preallocated activations of a thread.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    rows: Vec<f32>,
    strips: Vec<f32>,
    block_input: Vec<f32>,
    layer_input: Vec<f32>,
    layer_output: Vec<f32>,
    shortcut: Vec<f32>,
}

/// Receives the output of a layer, for tests: the layer's name, height and width, the number of images, and the activations
/// `[height, width, image, channel]`.
pub type LayerHook<'a> = dyn FnMut(&str, [usize; 2], usize, &[f32]) + 'a;

impl Residual {
    /// Loads the network. `read` returns the values of a tensor by its name and shape.
    ///
    /// # Errors
    /// Those of `read`.
    pub(super) fn new(
        resnet: ResNet,
        mut read: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        let (weights, bias) = folded(&resnet.stem(), &mut read)?;
        let mut blocks = Vec::new();
        for block in resnet.blocks() {
            let mut build = |layer: &Layer| {
                let (weights, bias) = folded(layer, &mut read)?;
                let pad = [layer.kernel / 2; 2];
                let (kernel, stride) = ([layer.kernel; 2], [layer.stride; 2]);
                Ok(Convolution::new(
                    Shape { from: layer.from, to: layer.to, kernel, stride, pad },
                    &weights,
                    &bias,
                ))
            };
            blocks.push(Convolved {
                layers: block.layers.iter().map(&mut build).collect::<Result<_>>()?,
                shortcut: block.shortcut.as_ref().map(&mut build).transpose()?,
                name: block.name,
            });
        }
        let stem = strip_convolution(&resnet.stem(), &weights, &bias);
        Ok(Self { resnet, stem, blocks })
    }

    /// The architecture.
    pub(super) fn resnet(&self) -> ResNet {
        self.resnet
    }

    /// The weights as a device needs them.
    pub(super) fn folded(&self) -> FoldedResNet {
        let plain = |layer: &Convolution| {
            let Shape { from, to, kernel: [kernel, _], stride: [stride, _], .. } = layer.shape();
            let (weights, bias) = (layer.weights(), layer.bias().to_vec());
            FoldedConvolution { from, to, kernel, stride, weights, bias }
        };
        let block = |block: &Convolved| FoldedBlock {
            layers: block.layers.iter().map(plain).collect(),
            shortcut: block.shortcut.as_ref().map(plain),
        };
        let stem = self.resnet.stem();
        let weights = strips_to_kernels(&stem, &self.stem.weights());
        let stem = FoldedConvolution { from: stem.from, weights, ..plain(&self.stem) };
        FoldedResNet { stem, blocks: self.blocks.iter().map(block).collect() }
    }

    /// Bytes of activations that a frame of `size` takes.
    pub(super) fn bytes(size: [usize; 2]) -> usize {
        // The strips, and at most four buffers of the largest activation.
        4 * size[0] * size[1] * (21 / 2 + 3 * 64 / 4)
    }
}

/// A layer's weights and bias with its batch normalization folded in: `w gamma / sqrt(var + eps)` and
/// `beta - mean gamma / sqrt(var + eps)`.
fn folded(
    layer: &Layer,
    read: &mut impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let [mut weights, gamma, beta, mean, variance] = {
        let mut arrays = Vec::with_capacity(5);
        for (name, shape) in layer.tensors() {
            arrays.push(read(&name, &shape)?);
        }
        <[Vec<f32>; 5]>::try_from(arrays).expect("five tensors a layer")
    };
    let mut bias = Vec::with_capacity(layer.to);
    for (i, weights) in weights.chunks_exact_mut(layer.from * layer.kernel * layer.kernel).enumerate() {
        let scale = f64::from(gamma[i]) / (f64::from(variance[i]) + EPSILON).sqrt();
        weights.iter_mut().for_each(|w| *w = (f64::from(*w) * scale) as f32);
        bias.push((f64::from(beta[i]) - f64::from(mean[i]) * scale) as f32);
    }
    Ok((weights, bias))
}

/// The values under one row of the first kernel: seven columns of three channels.
const STRIP: usize = 7 * 3;

/// The first layer as a convolution over strips, each of which is a pixel of `STRIP` channels: three channels are too few for an
/// efficient product.
fn strip_convolution(layer: &Layer, weights: &[f32], bias: &[f32]) -> Convolution {
    let (k, from) = (layer.kernel, layer.from);
    let shape =
        Shape { from: k * from, to: layer.to, kernel: [k, 1], stride: [layer.stride, 1], pad: [k / 2, 0] };
    let mut transposed = Vec::with_capacity(weights.len()); // [to, column, channel, row] of [to, channel, row, column]
    for weights in weights.chunks_exact(from * k * k) {
        for column in 0..k {
            for channel in 0..from {
                transposed.extend((0..k).map(|row| weights[(channel * k + row) * k + column]));
            }
        }
    }
    Convolution::new(shape, &transposed, bias)
}

/// The weights of [`strip_convolution`] as they were: `[to, channel, row, column]` of `[to, column, channel, row]`.
fn strips_to_kernels(layer: &Layer, transposed: &[f32]) -> Vec<f32> {
    let (k, from) = (layer.kernel, layer.from);
    let mut weights = Vec::with_capacity(transposed.len());
    for transposed in transposed.chunks_exact(from * k * k) {
        for channel in 0..from {
            for row in 0..k {
                weights.extend((0..k).map(|column| transposed[(column * from + channel) * k + row]));
            }
        }
    }
    weights
}

impl Workspace {
    /// Embeds a group of frames.
    pub(super) fn pass(
        &mut self,
        net: &Residual,
        frames: &[f32],
        size: [usize; 2],
        to: &mut [f32],
        hook: &mut LayerHook,
    ) {
        let n = frames.len() / (size[0] * size[1] * 3);
        let size = self.strips(&net.resnet.stem(), frames, size, n);
        let mut size = run(&net.stem, &self.strips, size, n, None, true, &mut self.layer_input);
        hook("conv1", size, n, &self.layer_input);
        size = max_pool(&self.layer_input, size, n * net.stem.shape().to, &mut self.block_input);
        hook("maxpool", size, n, &self.block_input);
        for block in &net.blocks {
            let mut out = size;
            for (k, layer) in block.layers.iter().enumerate() {
                let from = if k == 0 { &self.block_input } else { &self.layer_input };
                let last = k + 1 == block.layers.len();
                let add = match &block.shortcut {
                    _ if !last => None,
                    Some(shortcut) => {
                        run(shortcut, &self.block_input, size, n, None, false, &mut self.shortcut);
                        Some(&self.shortcut[..])
                    }
                    None => Some(&self.block_input[..]),
                };
                out = run(layer, from, out, n, add, true, &mut self.layer_output);
                std::mem::swap(&mut self.layer_input, &mut self.layer_output);
            }
            std::mem::swap(&mut self.block_input, &mut self.layer_input);
            size = out;
            hook(&block.name, size, n, &self.block_input);
        }
        average_pool(&self.block_input, n * net.resnet.width(), to);
    }

    /// Fills the strips: `[height, output width, image, STRIP]` of frames `[image, height, width, channel]`.
    fn strips(&mut self, stem: &Layer, frames: &[f32], [height, width]: [usize; 2], n: usize) -> [usize; 2] {
        let (out, step) = (width.div_ceil(stem.stride), stem.stride * stem.from);
        let (side, line) = (stem.kernel / 2 * stem.from, width * stem.from);
        self.strips.resize(height * out * n * STRIP, 0.0);
        // One row of every image, zero-padded on both sides, of which each strip is a slice.
        let padded = line + 2 * side + step;
        self.rows.clear();
        self.rows.resize(n * padded, 0.0);
        let mut strips = self.strips.as_chunks_mut::<STRIP>().0.iter_mut();
        for y in 0..height {
            for (row, image) in self.rows.chunks_exact_mut(padded).zip(frames.chunks_exact(height * line)) {
                row[side..][..line].copy_from_slice(&image[y * line..][..line]);
            }
            for x in 0..out {
                for (row, strip) in self.rows.chunks_exact(padded).zip(&mut strips) {
                    *strip = *row[x * step..].first_chunk().expect("the padding covers the kernel");
                }
            }
        }
        [height, out]
    }
}

/// Runs a convolution; `to` is resized to its output. Returns height and width of the output.
fn run(
    layer: &Convolution,
    from: &[f32],
    size: [usize; 2],
    n: usize,
    add: Option<&[f32]>,
    relu: bool,
    to: &mut Vec<f32>,
) -> [usize; 2] {
    let out = layer.shape().output(size);
    to.resize(out[0] * out[1] * n * layer.shape().to, 0.0);
    layer.run(from, size, n, add, relu, to);
    out
}

/// Max pooling of 3 x 3 pixels with stride 2; a pixel has `each` values.
fn max_pool(from: &[f32], [height, width]: [usize; 2], each: usize, to: &mut Vec<f32>) -> [usize; 2] {
    let out = [height.div_ceil(2), width.div_ceil(2)];
    to.resize(out[0] * out[1] * each, 0.0);
    for (i, to) in to.chunks_exact_mut(each).enumerate() {
        let (y, x) = (i / out[1] * 2, i % out[1] * 2);
        to.copy_from_slice(&from[(y * width + x) * each..][..each]);
        for iy in y.saturating_sub(1)..(y + 2).min(height) {
            for ix in x.saturating_sub(1)..(x + 2).min(width) {
                let from = &from[(iy * width + ix) * each..][..each];
                // NaN is propagated: no comparison with it is true.
                to.iter_mut()
                    .zip(from)
                    .for_each(|(to, &v)| *to = if v > *to || v.is_nan() { v } else { *to });
            }
        }
    }
    out
}

/// Global average pooling; a pixel has `each` values.
fn average_pool(from: &[f32], each: usize, to: &mut [f32]) {
    let pixels = from.len() / each;
    to.fill(0.0);
    for pixel in from.chunks_exact(each) {
        to.iter_mut().zip(pixel).for_each(|(to, v)| *to += v);
    }
    to.iter_mut().for_each(|to| *to /= pixels as f32);
}
