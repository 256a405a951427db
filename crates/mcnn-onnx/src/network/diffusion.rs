//! The diffusion network over one action. The first layer is linear, so its sums over the noisy action, the embedded step and the state are
//! computed apart.

use mcnn::backbone::{Backbone as _, Diffusion};

use super::Layers;
use crate::graph::{Graph, Value};

/// The output, `[batch, n_act]`, for noisy actions, `[batch, n_act]`, the sinusoids of the step and standardized states, `[batch, n_features]`.
pub fn forward(
    graph: &mut Graph,
    scope: &str,
    network: &Diffusion,
    [noisy, embedding, states]: [&Value; 3],
) -> Value {
    let arrays = network.save_tensors();
    let layers = Layers { arrays: &arrays, scope };
    let name = |part: &str| format!("{scope}/{part}");
    let hidden = layers.linear(graph, "time.0", embedding);
    let hidden = graph.mish(&name("time.active"), &hidden);
    let time = layers.linear(graph, "time.1", &hidden);
    let (shape, weight) = layers.array("0.weight");
    let (_, bias) = layers.array("0.bias");
    let width = shape[1];
    let [n_act, n_obs] = [network.n_act(), network.n_obs()];
    let (of_action, rest) = weight.split_at(n_act * width);
    let (of_time, of_state) = rest.split_at((shape[0] - n_act - n_obs) * width);
    let mut part = |of: &str, x: &Value, rows: &[f32]| {
        let weight = graph.constant(&name(&format!("0.weight.{of}")), &[rows.len() / width, width], rows);
        graph.node("MatMul", &name(&format!("0.{of}")), &[x, &weight], &[])
    };
    let parts =
        [part("action", noisy, of_action), part("time", &time, of_time), part("state", states, of_state)];
    let bias = graph.constant(&name("0.bias"), &[width], bias);
    let mut x = bias;
    for (of, add) in ["with_action", "with_time", "with_state"].iter().zip(&parts) {
        x = graph.node("Add", &name(&format!("0.{of}")), &[&x, add], &[]);
    }
    layers.stack(graph, 1, x, &|graph, name, x| graph.mish(name, x))
}
