//! The network in training, an encoder and a prediction head: forward and backward pass of one group of frames.

use kernels::{Convolution, Gradient, InputGradient, Shape, WIDE};

use super::recorded_frames::RecordedFrames;
use crate::{
    seed::Seed,
    vision::{Conv, Objective, padded, patches, transposed},
};

/// Units of the head's hidden layer.
pub(super) const HEAD: usize = 128;
/// The index of the layer whose output is the embedding. It has no ReLU, and neither has the last layer.
const EMBEDDING: usize = 4;
const LAST: usize = 6;

/// The parameters: the five layers of the encoder and the two of the head.
#[derive(Debug)]
pub(super) struct Net {
    pub conv: Conv,
    pub objective: Objective,
    /// Dimension of the prediction.
    pub outputs: usize,
    pub layers: Vec<Convolution>,
    input_gradients: Vec<InputGradient>, // of every layer but the first
    levels: [[f32; 256]; 3],             // the network's input by channel and byte
}

/// The index of a frame, and its shift in pixels down and to the right.
pub(super) type Row = (usize, [isize; 2]);

/// Preallocated buffers of a thread.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    padded: Vec<f32>,
    activations: [Vec<f32>; LAST + 2], // the input of each layer, then the output of the last
    targets: Vec<f32>,
    grad: Vec<f32>,       // with respect to the output of the current layer
    input_grad: Vec<f32>, // with respect to its input
}

fn has_relu(layer: usize) -> bool {
    layer != EMBEDDING && layer != LAST
}

impl Net {
    /// A network with random weights: normal with variance 2 / fan-in before a ReLU (He et al., 2015) and 1 / fan-in
    /// elsewhere; biases are zero.
    pub fn new(conv: Conv, objective: Objective, data: &RecordedFrames, seed: Seed) -> Self {
        let outputs = match objective {
            Objective::Action => data.n_act,
            Objective::Reconstruction => quarter(conv.frame()).iter().product::<usize>() * 3,
        };
        let linear = |from, to: usize| Shape {
            from,
            to: to.next_multiple_of(WIDE),
            kernel: [1; 2],
            stride: [1; 2],
            pad: [0; 2],
        };
        let shapes = conv.shapes();
        let head = [linear(shapes[EMBEDDING].to, HEAD), linear(HEAD, outputs)];
        let layers: Vec<Convolution> = (shapes.into_iter().chain(head).enumerate())
            .map(|(i, shape)| {
                // Padding to a multiple of WIDE is zero and stays zero: its gradient is zero.
                let (rows, columns) = match i {
                    EMBEDDING => (conv.width(), shape.from),
                    5 => (HEAD, conv.width()),
                    LAST => (outputs, HEAD),
                    _ => (shape.to, shape.from),
                };
                let taps = shape.kernel[0] * shape.kernel[1];
                let std = (if has_relu(i) { 2.0 } else { 1.0 } / (columns * taps) as f64).sqrt();
                let mut rng = seed.fork("encoder").nth(i as u64).rng();
                let mut weights = vec![0.0; shape.to * shape.from * taps];
                for row in weights.chunks_exact_mut(shape.from * taps).take(rows) {
                    row[..columns * taps].iter_mut().for_each(|w| *w = (std * rng.normal()) as f32);
                }
                Convolution::new(shape, &weights, &vec![0.0; shape.to])
            })
            .collect();
        let input_gradients = layers[1..].iter().map(InputGradient::new).collect();
        Self { conv, objective, outputs, layers, input_gradients, levels: data.levels() }
    }

    /// Gradients of all layers, zero.
    pub fn gradients(&self) -> Vec<Gradient> {
        self.layers.iter().map(|layer| Gradient::zeros(&layer.shape())).collect()
    }

    /// Updates the backward pass after a change of the weights.
    pub fn update_backward(&mut self) {
        let layers = self.input_gradients.iter_mut().zip(&self.layers[1..]);
        layers.for_each(|(input_gradient, layer)| input_gradient.copy_weights(layer));
    }

    /// Height and width of a layer's input.
    fn size(&self, layer: usize) -> [usize; 2] {
        match layer {
            0 => self.conv.sizes()[0],
            1..=EMBEDDING => self.conv.sizes()[layer - 1],
            _ => [1, 1],
        }
    }

    /// The encoder's tensors in the layout of its file, with every embedding dimension standardized: minus `mean`, divided by `std`.
    pub fn tensors(&self, mean: &[f64], std: &[f64]) -> Vec<Vec<f32>> {
        let mut tensors = Vec::new();
        for (i, layer) in self.layers[..=EMBEDDING].iter().enumerate() {
            let (mut weights, mut bias) = (layer.weights(), layer.bias().to_vec());
            if i == 0 {
                weights = transposed(&weights, 9, 3);
            }
            if i == EMBEDDING {
                let row = weights.len() / bias.len();
                bias.truncate(self.conv.width());
                weights.truncate(bias.len() * row);
                for ((w, b), (mean, std)) in
                    weights.chunks_exact_mut(row).zip(&mut bias).zip(mean.iter().zip(std))
                {
                    w.iter_mut().for_each(|w| *w = (f64::from(*w) / std) as f32);
                    *b = ((f64::from(*b) - mean) / std) as f32;
                }
            }
            tensors.extend([weights, bias]);
        }
        tensors
    }
}

/// Height and width of a frame at a quarter of its resolution, rounded up.
fn quarter(frame: [usize; 2]) -> [usize; 2] {
    frame.map(|side| side.div_ceil(4))
}

impl Workspace {
    /// The embeddings of frames: `[rows, width rounded up to a multiple of WIDE]`.
    pub fn embed(&mut self, net: &Net, data: &RecordedFrames, rows: &[Row]) -> &[f32] {
        self.load_input(net, data, rows);
        self.forward(net, rows.len(), EMBEDDING);
        &self.activations[EMBEDDING + 1]
    }

    /// The prediction targets of frames: `[rows, outputs]`.
    pub fn targets(&mut self, net: &Net, data: &RecordedFrames, rows: &[Row]) -> &[f32] {
        self.load_input(net, data, rows);
        self.load_targets(net, data, rows);
        &self.targets
    }

    /// The sum of the squared prediction errors.
    pub fn squared_error(&mut self, net: &Net, data: &RecordedFrames, rows: &[Row]) -> f64 {
        self.load_input(net, data, rows);
        self.forward(net, rows.len(), LAST);
        self.load_targets(net, data, rows);
        self.output_error(net, 0.0)
    }

    /// Returns the sum of the squared prediction errors; adds the gradients of `scale` times that sum to `grad`.
    pub fn loss_and_grad(
        &mut self,
        net: &Net,
        data: &RecordedFrames,
        rows: &[Row],
        scale: f32,
        grad: &mut [Gradient],
    ) -> f64 {
        self.load_input(net, data, rows);
        self.forward(net, rows.len(), LAST);
        self.load_targets(net, data, rows);
        let error = self.output_error(net, 2.0 * scale);
        for i in (0..=LAST).rev() {
            if has_relu(i) {
                let output = &self.activations[i + 1];
                self.grad.iter_mut().zip(output).for_each(|(g, &v)| *g = if v > 0.0 { *g } else { 0.0 });
            }
            let (input, size, n) = (&self.activations[i], net.size(i), rows.len());
            net.layers[i].gradient(input, size, n, &self.grad, &mut grad[i]);
            if i > 0 {
                self.input_grad.resize(input.len(), 0.0);
                net.input_gradients[i - 1].run(&self.grad, size, n, &mut self.input_grad);
                std::mem::swap(&mut self.grad, &mut self.input_grad);
            }
        }
        error
    }

    /// Fills the input of the first layer: frames normalized, shifted with replicated edges, zero-padded, then cut into patches.
    fn load_input(&mut self, net: &Net, data: &RecordedFrames, rows: &[Row]) {
        let ([height, width], levels) = (data.size, &net.levels);
        let [outer, line] = padded(data.size);
        self.padded.clear();
        self.padded.resize(rows.len() * outer * line * 3, 0.0);
        for (&(row, shift), to) in rows.iter().zip(self.padded.chunks_exact_mut(outer * line * 3)) {
            let frame = &data.frames[row * height * width * 3..][..height * width * 3];
            let shifted = |i: usize, shift: isize, side: usize| i.saturating_add_signed(-shift).min(side - 1);
            for y in 0..height {
                let from = &frame[shifted(y, shift[0], height) * width * 3..][..width * 3];
                let to = to[((y + 1) * line + 1) * 3..].as_chunks_mut::<3>().0;
                for (x, to) in to.iter_mut().take(width).enumerate() {
                    let pixel = &from[shifted(x, shift[1], width) * 3..][..3];
                    *to = std::array::from_fn(|c| levels[c][usize::from(pixel[c])]);
                }
            }
        }
        patches(&self.padded, data.size, rows.len(), &mut self.activations[0]);
    }

    /// The forward pass of `n` frames, up to layer `last`.
    fn forward(&mut self, net: &Net, n: usize, last: usize) {
        for (i, layer) in net.layers[..=last].iter().enumerate() {
            let size = net.size(i);
            let [height, width] = layer.shape().output(size);
            let (from, to) = self.activations.split_at_mut(i + 1);
            to[0].resize(height * width * n * layer.shape().to, 0.0);
            layer.run(&from[i], size, n, None, has_relu(i), &mut to[0]);
        }
    }

    /// Fills the prediction targets. The targets of reconstruction are read from the padded input, so they are shifted as well.
    fn load_targets(&mut self, net: &Net, data: &RecordedFrames, rows: &[Row]) {
        self.targets.clear();
        if net.objective == Objective::Action {
            let action = |&(row, _): &Row| &data.actions[row * data.n_act..][..data.n_act];
            return rows.iter().map(action).for_each(|action| self.targets.extend_from_slice(action));
        }
        // Means of 4 x 4 pixels, of fewer at an edge.
        let [height, width] = data.size;
        let [outer, line] = padded(data.size);
        for frame in self.padded.chunks_exact(outer * line * 3) {
            for y in (0..height).step_by(4) {
                for x in (0..width).step_by(4) {
                    let (rows, columns) = ((height - y).min(4), (width - x).min(4));
                    for c in 0..3 {
                        let row = |dy| &frame[((y + dy + 1) * line + x + 1) * 3..];
                        let sum: f32 =
                            (0..rows).map(|dy| (0..columns).map(|dx| row(dy)[3 * dx + c]).sum::<f32>()).sum();
                        self.targets.push(sum / (rows * columns) as f32);
                    }
                }
            }
        }
    }

    /// Returns the sum of the squared prediction errors; sets `grad` to the errors times `scale`.
    fn output_error(&mut self, net: &Net, scale: f32) -> f64 {
        let output = &self.activations[LAST + 1];
        let width = net.outputs.next_multiple_of(WIDE);
        self.grad.clear();
        self.grad.resize(output.len(), 0.0);
        let mut sum = 0.0;
        for ((output, grad), target) in output
            .chunks_exact(width)
            .zip(self.grad.chunks_exact_mut(width))
            .zip(self.targets.chunks_exact(net.outputs))
        {
            for ((output, grad), target) in output.iter().zip(grad).zip(target) {
                let error = output - target;
                sum += f64::from(error).powi(2);
                *grad = error * scale;
            }
        }
        sum
    }
}
