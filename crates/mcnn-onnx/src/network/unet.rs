//! The U-Net over a chunk of actions: the layers of [`mcnn::backbone::Unet`], by channels first: `[batch, channels, time]`.

use mcnn::backbone::{Arrays, Backbone as _, Unet};

use super::Layers;
use crate::graph::{Attribute, Graph, Value};

/// The output, `[batch, horizon, n_act]`, for a noisy chunk of that shape, the sinusoids of the step and the standardized states of a
/// window, `[batch, window, n_features]`.
pub fn forward(
    graph: &mut Graph,
    scope: &str,
    unet: &Unet,
    [noisy, embedding, states]: [&Value; 3],
) -> Value {
    let arrays = unet.save_tensors();
    let chunk = graph.transpose(&format!("{scope}/chunk"), noisy, &[0, 2, 1]);
    let mut net = Net {
        arrays: &arrays,
        scope,
        groups: unet.settings().groups,
        film: Value::clone(&chunk),
        first_scale: 0,
    };
    net.film = net.condition(graph, unet, embedding, states);
    let output = net.stages(graph, unet, chunk);
    graph.transpose(&format!("{scope}/output"), &output, &[0, 2, 1])
}

struct Net<'a> {
    arrays: &'a Arrays,
    scope: &'a str,
    groups: usize,
    film: Value,        // scales and shifts of all residuals: [batch, film]
    first_scale: usize, // of the next residual
}

/// The relation of output steps to input steps.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Plain,
    Downsample,
    Upsample,
}

impl Net<'_> {
    fn name(&self, part: &str) -> String {
        format!("{}/{part}", self.scope)
    }

    /// Scales and shifts of all residuals, from the step and the observations.
    fn condition(&self, graph: &mut Graph, unet: &Unet, embedding: &Value, states: &Value) -> Value {
        let layers = Layers { arrays: self.arrays, scope: self.scope };
        // Convolutions with one tap are linear layers.
        let linear = |graph: &mut Graph, name: &str, x: &Value| {
            let (shape, weight) = layers.array(&format!("{name}.weight"));
            let (_, bias) = layers.array(&format!("{name}.bias"));
            graph.linear(&self.name(name), x, (&shape[1..], weight), bias)
        };
        let hidden = linear(graph, "time.0", embedding);
        let hidden = graph.mish(&self.name("time.0.active"), &hidden);
        let time = linear(graph, "time.1", &hidden);
        let time = graph.mish(&self.name("time.active"), &time);
        let waves = unet.channels()[0];
        let (shape, weight) = layers.array("film.weight");
        let (_, bias) = layers.array("film.bias");
        let (of_time, of_states) = weight.split_at(waves * shape[2]);
        let of_time = graph.constant(&self.name("film.weight.time"), &[waves, shape[2]], of_time);
        let of_time = graph.node("MatMul", &self.name("film.time"), &[&time, &of_time], &[]);
        let observed = shape[1] - waves;
        let states = graph.reshape(&self.name("observed"), states, &[-1, observed as i64]);
        let states = graph.mish(&self.name("observed.active"), &states);
        let of_states =
            graph.linear(&self.name("film.states"), &states, (&[observed, shape[2]], of_states), bias);
        graph.node("Add", &self.name("film"), &[&of_states, &of_time], &[])
    }

    /// The stages in their order: encoder, middle, decoder, end.
    fn stages(&mut self, graph: &mut Graph, unet: &Unet, chunk: Value) -> Value {
        let depth = unet.channels().len() - 1;
        let mut x = chunk;
        let mut skips = Vec::new();
        for k in 0..=depth {
            x = self.residual(graph, &format!("down.{k}.0"), x);
            x = self.residual(graph, &format!("down.{k}.1"), x);
            skips.push(x.clone());
            if k < depth {
                x = self.conv(graph, &format!("down.{k}.halve"), &x, Kind::Downsample);
            }
        }
        for k in 0..2 {
            x = self.residual(graph, &format!("middle.{k}"), x);
        }
        // The skip connection of the finest level is not used.
        for k in (0..depth).rev() {
            let joined = self.name(&format!("up.{k}.joined"));
            x = graph.node("Concat", &joined, &[&x, &skips[k + 1]], &[Attribute::Int("axis", 1)]);
            x = self.residual(graph, &format!("up.{k}.0"), x);
            x = self.residual(graph, &format!("up.{k}.1"), x);
            x = self.conv(graph, &format!("up.{k}.double"), &x, Kind::Upsample);
        }
        x = self.block(graph, "end.0", &x);
        self.conv(graph, "end.1", &x, Kind::Plain)
    }

    /// Two blocks with FiLM between them, and a shortcut.
    fn residual(&mut self, graph: &mut Graph, name: &str, x: Value) -> Value {
        let first = self.block(graph, &format!("{name}.first"), &x);
        let channels = self.arrays[&format!("{name}.first.bias")].0[0];
        let mut film = |of: &str, first: usize| {
            let of = self.name(&format!("{name}.{of}"));
            let bounds = [first, first + channels].map(|at| at as i64);
            let row = graph.slice(&format!("{of}.row"), &self.film, 1, bounds);
            graph.unsqueeze(&of, &row, 2)
        };
        let scale = film("scale", self.first_scale);
        let shift = film("shift", self.first_scale + channels);
        self.first_scale += 2 * channels;
        let scaled = graph.node("Mul", &self.name(&format!("{name}.scaled")), &[&first, &scale], &[]);
        let shifted = graph.node("Add", &self.name(&format!("{name}.shifted")), &[&scaled, &shift], &[]);
        let second = self.block(graph, &format!("{name}.second"), &shifted);
        let around = format!("{name}.around");
        let shortcut = match self.arrays.contains_key(&format!("{around}.weight")) {
            true => self.conv(graph, &around, &x, Kind::Plain),
            false => x,
        };
        graph.node("Add", &self.name(name), &[&second, &shortcut], &[])
    }

    /// A convolution, group norm and Mish.
    fn block(&self, graph: &mut Graph, name: &str, x: &Value) -> Value {
        let x = self.conv(graph, name, x, Kind::Plain);
        let channels = self.arrays[&format!("{name}.bias")].0[0];
        let part = |part: &str| self.name(&format!("{name}.{part}"));
        let by_group = graph.reshape(&part("by_group"), &x, &[0, self.groups as i64, -1]);
        let one = graph.constant(&part("one"), &[self.groups], &vec![1.0; self.groups]);
        let zero = graph.constant(&part("zero"), &[self.groups], &vec![0.0; self.groups]);
        let attributes = [Attribute::Float("epsilon", 1e-5)];
        let normed =
            graph.node("InstanceNormalization", &part("normed"), &[&by_group, &one, &zero], &attributes);
        let normed = graph.reshape(&part("by_channel"), &normed, &[0, channels as i64, -1]);
        let [gamma, beta] = ["gamma", "beta"]
            .map(|of| graph.constant(&part(of), &[channels, 1], &self.arrays[&format!("{name}.{of}")].1));
        let scaled = graph.node("Mul", &part("scaled"), &[&normed, &gamma], &[]);
        let shifted = graph.node("Add", &part("shifted"), &[&scaled, &beta], &[]);
        graph.mish(&part("active"), &shifted)
    }

    fn conv(&self, graph: &mut Graph, name: &str, x: &Value, kind: Kind) -> Value {
        let (shape, weight) = &self.arrays[&format!("{name}.weight")];
        let (_, bias) = &self.arrays[&format!("{name}.bias")];
        let &[kernel, inputs, outputs] = &shape[..] else { unreachable!("a kernel has three axes") };
        let (op, stride, pad, sizes) = match kind {
            Kind::Plain => ("Conv", 1, kernel / 2, [outputs, inputs, kernel]),
            Kind::Downsample => ("Conv", 2, 1, [outputs, inputs, kernel]),
            Kind::Upsample => ("ConvTranspose", 2, 1, [inputs, outputs, kernel]),
        };
        let weight = weight_by_channel(weight, [kernel, inputs, outputs], kind == Kind::Upsample);
        let weight = graph.constant(&self.name(&format!("{name}.weight")), &sizes, &weight);
        let bias = graph.constant(&self.name(&format!("{name}.bias")), &[outputs], bias);
        let attributes = [
            Attribute::Ints("kernel_shape", vec![kernel as i64]),
            Attribute::Ints("pads", vec![pad as i64; 2]),
            Attribute::Ints("strides", vec![stride]),
        ];
        graph.node(op, &self.name(&format!("{name}.conv")), &[x, &weight, &bias], &attributes)
    }
}

/// A kernel as ONNX has it, from `[kernel, inputs, outputs]`: `[outputs, inputs, kernel]`, or `[inputs, outputs, kernel]` if transposed.
fn weight_by_channel(weight: &[f32], [kernel, inputs, outputs]: [usize; 3], transposed: bool) -> Vec<f32> {
    let at = |i: usize, o: usize, k: usize| weight[(k * inputs + i) * outputs + o];
    let [outer, inner] = if transposed { [inputs, outputs] } else { [outputs, inputs] };
    let mut to = Vec::with_capacity(weight.len());
    for a in 0..outer {
        for b in 0..inner {
            let [i, o] = if transposed { [a, b] } else { [b, a] };
            to.extend((0..kernel).map(|k| at(i, o, k)));
        }
    }
    to
}
