//! The retrieval-conditioned network: the mean over the retrieved memories of clamp(a_j + F(x, x - s_j, a_j), -1, 1).

use mcnn::backbone::{Backbone as _, RetrievalMlp};

use super::{Layers, relu};
use crate::graph::{Attribute, Graph, Value};

/// g, `[batch, n_act]`, of standardized states, `[batch, n_features]`, and the retrieved memories' states, `[batch, k, n_features]`, and
/// actions, `[batch, k, n_act]`.
pub fn forward(
    graph: &mut Graph,
    scope: &str,
    network: &RetrievalMlp,
    states: &Value,
    [near_states, near_actions]: &[Value; 2],
) -> Value {
    let name = |part: &str| format!("{scope}/{part}");
    let state = graph.unsqueeze(&name("state"), states, 1);
    let offsets = graph.node("Sub", &name("offsets"), &[&state, near_states], &[]);
    let copies = graph.node("Shape", &name("shape"), &[near_states], &[]);
    let copies = graph.node("Expand", &name("states"), &[&state, &copies], &[]);
    let inputs = [&copies, &offsets, near_actions];
    let input = graph.node("Concat", &name("input"), &inputs, &[Attribute::Int("axis", 2)]);
    let layers = Layers { arrays: &network.save_tensors(), scope };
    let difference = layers.stack(graph, 0, input, &relu);
    let predictions = graph.node("Add", &name("predictions"), &[near_actions, &difference], &[]);
    let clamped = graph.clamp(&name("predictions.clamped"), &predictions);
    let over = [Attribute::Ints("axes", vec![1]), Attribute::Int("keepdims", 0)];
    graph.node("ReduceMean", &name("output"), &[&clamped], &over)
}
