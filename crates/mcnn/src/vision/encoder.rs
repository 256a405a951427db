//! Forward pass of the small convolutional network.

use kernels::{Convolution, WIDE};

use super::{conv::Conv, residual::LayerHook};
use crate::error::Result;

/// Values under the first kernel: three rows of three pixels of three channels.
const PATCH: usize = 3 * ROW;
const ROW: usize = 3 * 3;

/// The small network with its weights.
#[derive(Debug)]
pub(super) struct Encoder {
    conv: Conv,
    layers: Vec<Convolution>,
}

/// Preallocated activations of a thread.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    padded: Vec<f32>,
    input: Vec<f32>,  // of the current layer: [height, width, image, channel]
    output: Vec<f32>, // of the current layer
}

impl Encoder {
    /// Loads the network. `read` returns the values of a tensor by its name and shape.
    pub(super) fn new(conv: Conv, mut read: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>) -> Result<Self> {
        let mut layers = Vec::with_capacity(5);
        for (tensors, shape) in conv.tensors().chunks_exact(2).zip(conv.shapes()) {
            let mut weights = read(&tensors[0].0, &tensors[0].1)?;
            let mut bias = read(&tensors[1].0, &tensors[1].1)?;
            if layers.is_empty() {
                weights = transposed(&weights, 3, ROW);
            }
            weights.resize(shape.to * (weights.len() / bias.len()), 0.0);
            bias.resize(shape.to, 0.0);
            layers.push(Convolution::new(shape, &weights, &bias));
        }
        Ok(Self { conv, layers })
    }

    /// The architecture.
    pub(super) fn conv(&self) -> Conv {
        self.conv
    }

    /// Bytes of activations that a frame takes.
    pub(super) fn bytes(&self) -> usize {
        let [[height, width], ..] = self.conv.sizes();
        4 * height * width * (PATCH + 4 * 3 + 2 * Conv::CHANNELS[0])
    }
}

/// The weights of the first layer transposed from `[to, outer, inner]` to `[to, inner, outer]`. In files, channels come before
/// the pixels of the kernel, in patches after them.
pub(crate) fn transposed(weights: &[f32], outer: usize, inner: usize) -> Vec<f32> {
    let of = |weights: &[f32]| {
        let weights = weights.to_vec();
        (0..inner)
            .flat_map(move |i| (0..outer).map(move |o| (o, i)))
            .map(move |(o, i)| weights[o * inner + i])
    };
    weights.chunks_exact(outer * inner).flat_map(of).collect()
}

/// Height and width of a frame with the zero padding of the first kernel.
pub(crate) fn padded(frame: [usize; 2]) -> [usize; 2] {
    frame.map(|side| 2 * side.div_ceil(2) + 1)
}

/// im2col of the first convolution: the patches under its kernel, `[height / 2, width / 2, n, PATCH]` (halves rounded up), of
/// zero-padded frames, `[n, padded height, padded width, 3]`.
pub(crate) fn patches(from: &[f32], frame: [usize; 2], n: usize, to: &mut Vec<f32>) {
    let [height, width] = frame.map(|side| side.div_ceil(2));
    let line = padded(frame)[1] * 3;
    to.resize(height * width * n * PATCH, 0.0);
    let mut patches = to.as_chunks_mut::<PATCH>().0.iter_mut();
    for y in 0..height {
        for x in 0..width {
            for (image, patch) in from.chunks_exact(padded(frame)[0] * line).zip(&mut patches) {
                for (k, row) in patch.as_chunks_mut::<ROW>().0.iter_mut().enumerate() {
                    *row = *image[(2 * y + k) * line + 6 * x..]
                        .first_chunk()
                        .expect("the padding covers the kernel");
                }
            }
        }
    }
}

impl Workspace {
    /// Embeds a group of frames.
    pub(super) fn pass(
        &mut self,
        net: &Encoder,
        frames: &[f32],
        size: [usize; 2],
        to: &mut [f32],
        hook: &mut LayerHook,
    ) {
        assert_eq!(size, net.conv.frame(), "frames for {}", net.conv);
        let (line, inner) = (size[1] * 3, padded(size)[1] * 3);
        let n = frames.len() / (size[0] * line);
        self.padded.clear();
        self.padded.resize(n * padded(size)[0] * inner, 0.0);
        for (to, from) in
            self.padded.chunks_exact_mut(padded(size)[0] * inner).zip(frames.chunks_exact(size[0] * line))
        {
            for (to, from) in to.chunks_exact_mut(inner).skip(1).zip(from.chunks_exact(line)) {
                to[3..][..line].copy_from_slice(from);
            }
        }
        patches(&self.padded, size, n, &mut self.input);
        let mut size = net.conv.sizes()[0];
        for (i, layer) in net.layers.iter().enumerate() {
            let out = layer.shape().output(size);
            self.output.resize(out[0] * out[1] * n * layer.shape().to, 0.0);
            layer.run(&self.input, size, n, None, i + 1 < net.layers.len(), &mut self.output);
            std::mem::swap(&mut self.input, &mut self.output);
            size = out;
            hook(["conv1", "conv2", "conv3", "conv4", "linear"][i], size, n, &self.input);
        }
        let width = net.conv.width();
        let rows = self.input.chunks_exact(width.next_multiple_of(WIDE));
        to.chunks_exact_mut(width).zip(rows).for_each(|(to, row)| to.copy_from_slice(&row[..width]));
    }
}
