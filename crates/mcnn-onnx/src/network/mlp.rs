//! The perceptron: linear layers with ReLU between them.

use mcnn::backbone::{Backbone as _, Mlp};

use super::{Layers, relu};
use crate::graph::{Graph, Value};

/// g, `[batch, n_act]`, of standardized states, `[batch, n_features]`.
pub fn forward(graph: &mut Graph, scope: &str, mlp: &Mlp, states: &Value) -> Value {
    Layers { arrays: &mlp.save_tensors(), scope }.stack(graph, 0, states.clone(), &relu)
}
