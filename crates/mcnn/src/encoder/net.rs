//! The network in training, with the head that foretells: forward and back for one group of frames.

use kernels::{Convolution, Gradient, InputGradient, Shape, WIDE};

use super::footage::Footage;
use crate::{
    seed::Seed,
    vision::{By, Conv, padded, patches, turned},
};

/// Units of the head's hidden layer.
pub(super) const HEAD: usize = 128;
/// Which layer gives the embedding, counted from 0. It has no ReLU, and neither has the last.
const EMBEDS: usize = 4;
const LAST: usize = 6;

/// The layers: the encoder's five, and the head's two.
#[derive(Debug)]
pub(super) struct Net {
    pub conv: Conv,
    pub by: By,
    /// Numbers that are foretold.
    pub outputs: usize,
    pub layers: Vec<Convolution>,
    backs: Vec<InputGradient>, // of every layer but the first
    levels: [[f32; 256]; 3],
}

/// Which frames, and by how many pixels each is shifted down and to the right.
pub(super) type Row = (usize, [isize; 2]);

/// A thread's activations, kept from one group to the next.
#[derive(Debug, Default)]
pub(super) struct Desk {
    padded: Vec<f32>,
    values: [Vec<f32>; LAST + 2], // what goes into each layer, and what comes out of the last
    targets: Vec<f32>,
    slope: Vec<f32>,
    next: Vec<f32>,
}

fn relu(layer: usize) -> bool {
    layer != EMBEDS && layer != LAST
}

impl Net {
    /// With random weights by a seed: normal, by the rule of He et al. (2015) before a ReLU, so that sizes stay before a
    /// sum; biases of zero.
    pub fn new(conv: Conv, by: By, data: &Footage, seed: Seed) -> Self {
        let outputs = match by {
            By::Action => data.n_act,
            By::Reconstruction => quarter(conv.frame()).iter().product::<usize>() * 3,
        };
        let dense = |from, to: usize| Shape {
            from,
            to: to.next_multiple_of(WIDE),
            kernel: [1; 2],
            stride: [1; 2],
            pad: [0; 2],
        };
        let shapes = conv.shapes();
        let head = [dense(shapes[EMBEDS].to, HEAD), dense(HEAD, outputs)];
        let layers: Vec<Convolution> = (shapes.into_iter().chain(head).enumerate())
            .map(|(i, shape)| {
                // What stands there to fill up a multiple of WIDE is zero, and stays so: nothing leads to it or from it.
                let (rows, columns) = match i {
                    EMBEDS => (conv.width(), shape.from),
                    5 => (HEAD, conv.width()),
                    LAST => (outputs, HEAD),
                    _ => (shape.to, shape.from),
                };
                let taps = shape.kernel[0] * shape.kernel[1];
                let std = (if relu(i) { 2.0 } else { 1.0 } / (columns * taps) as f64).sqrt();
                let mut rng = seed.fork("encoder").nth(i as u64).rng();
                let mut weights = vec![0.0; shape.to * shape.from * taps];
                for row in weights.chunks_exact_mut(shape.from * taps).take(rows) {
                    row[..columns * taps].iter_mut().for_each(|w| *w = (std * rng.normal()) as f32);
                }
                Convolution::new(shape, &weights, &vec![0.0; shape.to])
            })
            .collect();
        let backs = layers[1..].iter().map(InputGradient::new).collect();
        Self { conv, by, outputs, layers, backs, levels: data.levels() }
    }

    /// Gradients of all layers, zero.
    pub fn gradients(&self) -> Vec<Gradient> {
        self.layers.iter().map(|layer| Gradient::zeros(&layer.shape())).collect()
    }

    /// Takes note that the weights have changed.
    pub fn follow(&mut self) {
        self.backs.iter_mut().zip(&self.layers[1..]).for_each(|(back, layer)| back.copy_weights(layer));
    }

    /// Height and width of what goes into a layer.
    fn size(&self, layer: usize) -> [usize; 2] {
        match layer {
            0 => self.conv.sizes()[0],
            1..=EMBEDS => self.conv.sizes()[layer - 1],
            _ => [1, 1],
        }
    }

    /// The encoder's tensors as its file has them, each dimension of the embedding less `mean` and divided by `std`.
    pub fn tensors(&self, mean: &[f64], std: &[f64]) -> Vec<Vec<f32>> {
        let mut tensors = Vec::new();
        for (i, layer) in self.layers[..=EMBEDS].iter().enumerate() {
            let (mut weights, mut bias) = (layer.weights(), layer.bias().to_vec());
            if i == 0 {
                weights = turned(&weights, 9, 3);
            }
            if i == EMBEDS {
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

/// Height and width of a frame at a quarter of its sides.
fn quarter(frame: [usize; 2]) -> [usize; 2] {
    frame.map(|side| side.div_ceil(4))
}

impl Desk {
    /// The embeddings of frames: `[rows, a multiple of WIDE]`.
    pub fn embed(&mut self, net: &Net, data: &Footage, rows: &[Row]) -> &[f32] {
        self.look(net, data, rows);
        self.forward(net, rows.len(), EMBEDS);
        &self.values[EMBEDS + 1]
    }

    /// What is to be foretold of frames: `[rows, outputs]`.
    pub fn targets(&mut self, net: &Net, data: &Footage, rows: &[Row]) -> &[f32] {
        self.look(net, data, rows);
        self.aim(net, data, rows);
        &self.targets
    }

    /// The sum of the squared errors of what is foretold.
    pub fn error(&mut self, net: &Net, data: &Footage, rows: &[Row]) -> f64 {
        self.look(net, data, rows);
        self.forward(net, rows.len(), LAST);
        self.aim(net, data, rows);
        self.slope(net, 0.0)
    }

    /// The same, and the gradients of `scale` times that sum.
    pub fn learn(&mut self, net: &Net, data: &Footage, rows: &[Row], scale: f32, to: &mut [Gradient]) -> f64 {
        self.look(net, data, rows);
        self.forward(net, rows.len(), LAST);
        self.aim(net, data, rows);
        let error = self.slope(net, 2.0 * scale);
        for i in (0..=LAST).rev() {
            if relu(i) {
                let made = &self.values[i + 1];
                self.slope.iter_mut().zip(made).for_each(|(g, &v)| *g = if v > 0.0 { *g } else { 0.0 });
            }
            let (from, size, n) = (&self.values[i], net.size(i), rows.len());
            net.layers[i].gradient(from, size, n, &self.slope, &mut to[i]);
            if i > 0 {
                self.next.resize(from.len(), 0.0);
                net.backs[i - 1].run(&self.slope, size, n, &mut self.next);
                std::mem::swap(&mut self.slope, &mut self.next);
            }
        }
        error
    }

    /// Frames as the network takes them: shifted, with their edges repeated beyond them, then with zeros around them.
    fn look(&mut self, net: &Net, data: &Footage, rows: &[Row]) {
        let ([height, width], levels) = (data.size, &net.levels);
        let [outer, line] = padded(data.size);
        self.padded.clear();
        self.padded.resize(rows.len() * outer * line * 3, 0.0);
        for (&(row, shift), to) in rows.iter().zip(self.padded.chunks_exact_mut(outer * line * 3)) {
            let frame = &data.frames[row * height * width * 3..][..height * width * 3];
            let at = |i: usize, shift: isize, side: usize| i.saturating_add_signed(-shift).min(side - 1);
            for y in 0..height {
                let from = &frame[at(y, shift[0], height) * width * 3..][..width * 3];
                let to = to[((y + 1) * line + 1) * 3..].as_chunks_mut::<3>().0;
                for (x, to) in to.iter_mut().take(width).enumerate() {
                    let pixel = &from[at(x, shift[1], width) * 3..][..3];
                    *to = std::array::from_fn(|c| levels[c][usize::from(pixel[c])]);
                }
            }
        }
        patches(&self.padded, data.size, rows.len(), &mut self.values[0]);
    }

    /// Up to a layer.
    fn forward(&mut self, net: &Net, n: usize, last: usize) {
        for (i, layer) in net.layers[..=last].iter().enumerate() {
            let size = net.size(i);
            let [height, width] = layer.shape().output(size);
            let (from, to) = self.values.split_at_mut(i + 1);
            to[0].resize(height * width * n * layer.shape().to, 0.0);
            layer.run(&from[i], size, n, None, relu(i), &mut to[0]);
        }
    }

    fn aim(&mut self, net: &Net, data: &Footage, rows: &[Row]) {
        self.targets.clear();
        if net.by == By::Action {
            let action = |&(row, _): &Row| &data.actions[row * data.n_act..][..data.n_act];
            return rows.iter().map(action).for_each(|action| self.targets.extend_from_slice(action));
        }
        // Means of four by four pixels, of fewer at an edge.
        let [height, width] = data.size;
        let [outer, line] = padded(data.size);
        for frame in self.padded.chunks_exact(outer * line * 3) {
            for y in (0..height).step_by(4) {
                for x in (0..width).step_by(4) {
                    let (high, wide) = ((height - y).min(4), (width - x).min(4));
                    for c in 0..3 {
                        let row = |dy| &frame[((y + dy + 1) * line + x + 1) * 3..];
                        let sum: f32 =
                            (0..high).map(|dy| (0..wide).map(|dx| row(dy)[3 * dx + c]).sum::<f32>()).sum();
                        self.targets.push(sum / (high * wide) as f32);
                    }
                }
            }
        }
    }

    /// The sum of the squared errors; leaves the errors times `scale` behind.
    fn slope(&mut self, net: &Net, scale: f32) -> f64 {
        let made = &self.values[LAST + 1];
        let width = net.outputs.next_multiple_of(WIDE);
        self.slope.clear();
        self.slope.resize(made.len(), 0.0);
        let mut sum = 0.0;
        for ((made, slope), target) in made
            .chunks_exact(width)
            .zip(self.slope.chunks_exact_mut(width))
            .zip(self.targets.chunks_exact(net.outputs))
        {
            for ((made, slope), target) in made.iter().zip(slope).zip(target) {
                let error = made - target;
                sum += f64::from(error).powi(2);
                *slope = error * scale;
            }
        }
        sum
    }
}
