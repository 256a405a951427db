//! The residual MLP over a chunk of actions. The first layer is linear, so its sums over the noisy chunk, the sinusoids of the step and the
//! states are computed apart.

use mcnn::backbone::{Backbone as _, ResMlp};

use super::{Layers, bet::normalize};
use crate::graph::{Graph, Value};

/// The output, `[batch, horizon, n_act]`, for a noisy chunk of that shape, the sinusoids of the step and the standardized states of a
/// window, `[batch, window, n_features]`.
pub fn forward(
    graph: &mut Graph,
    scope: &str,
    network: &ResMlp,
    [noisy, embedding, states]: [&Value; 3],
) -> Value {
    let arrays = network.save_tensors();
    let layers = Layers { arrays: &arrays, scope };
    let name = |part: &str| format!("{scope}/{part}");
    let (n_act, settings) = (network.n_act(), network.settings());
    let (chunk, observed) = (settings.horizon * n_act, settings.window * network.n_obs());
    let noisy = graph.reshape(&name("chunk"), noisy, &[-1, chunk as i64]);
    let states = graph.reshape(&name("observed"), states, &[-1, observed as i64]);
    let factor = graph.scalar(&name("observed.factor"), network.observation_factor());
    let states = graph.node("Mul", &name("observed.scaled"), &[&states, &factor], &[]);
    let (shape, weight) = layers.array("input.weight");
    let width = shape[1];
    let (of_chunk, rest) = weight.split_at(chunk * width);
    let (of_time, of_states) = rest.split_at(network.n_sinusoids() * width);
    let mut x = layers.constant(graph, "input.bias");
    for (of, part, rows) in
        [("chunk", &noisy, of_chunk), ("time", embedding, of_time), ("states", &states, of_states)]
    {
        let weight = graph.constant(&name(&format!("input.weight.{of}")), &[rows.len() / width, width], rows);
        let product = graph.node("MatMul", &name(&format!("input.{of}")), &[part, &weight], &[]);
        x = graph.node("Add", &name(&format!("input.with_{of}")), &[&x, &product], &[]);
    }
    for k in 0..network.n_blocks() {
        let part = |part: &str| format!("block.{k}.{part}");
        let hidden = normalize(graph, &layers, &part("norm"), &x);
        let hidden = graph.mish(&name(&part("norm.active")), &hidden);
        let hidden = layers.linear(graph, &part("first"), &hidden);
        let hidden = graph.mish(&name(&part("first.active")), &hidden);
        let hidden = layers.linear(graph, &part("second"), &hidden);
        x = graph.node("Add", &name(&format!("block.{k}")), &[&x, &hidden], &[]);
    }
    let x = graph.mish(&name("active"), &x);
    let output = layers.linear(graph, "output", &x);
    graph.reshape(&name("output.chunk"), &output, &[-1, settings.horizon as i64, n_act as i64])
}
