//! The behavior transformer that takes the likeliest bucket. The window may have fewer observations than the network's: attention
//! is causal, and positions count from the first.

use mcnn::{
    Result,
    backbone::{Backbone as _, BackboneSettings as _, Bet, BetSettings, BucketSelection, Network},
    policy::Policy,
};

use super::Layers;
use crate::graph::{Attribute, Graph, Value};

/// Where attention is not allowed: a number that e^x maps to 0, and that stays finite in sums.
const MASKED: f32 = -1e30;

/// The same policy with behavior transformers that take the likeliest bucket; others are unchanged.
///
/// # Errors
/// Those of [`Policy::ensemble`].
pub fn with_likeliest_bucket(policy: Policy) -> Result<Policy> {
    let likeliest = |network: &Network| match network.downcast::<Bet>() {
        Some(bet) => {
            let settings = BetSettings { bucket_selection: BucketSelection::Argmax, ..*bet.settings() };
            settings.load_tensors(&bet.save_tensors())
        }
        None => Ok(network.clone()),
    };
    let members = policy.members().iter().map(likeliest).collect::<Result<Vec<_>>>()?;
    let changed = Policy::ensemble(policy.codebook().clone(), members, policy.acting_settings())?;
    Ok(changed
        .with_calibration(policy.calibration().cloned())
        .with_encoder(policy.encoder().cloned())
        .with_training_record(policy.training_record().clone()))
}

/// g, `[batch, n_act]`, for the last of standardized states, `[batch, steps, n_features]`.
pub fn forward(graph: &mut Graph, scope: &str, bet: &Bet, states: &Value) -> Value {
    let arrays = bet.save_tensors();
    let layers = Layers { arrays: &arrays, scope };
    let name = |part: &str| format!("{scope}/{part}");
    let settings = bet.settings();
    let embedded = layers.linear(graph, "embed", states);
    let steps = steps(graph, &name("steps"), states);
    let positions = layers.constant(graph, "positions");
    let positions = up_to(graph, &name("positions.taken"), &positions, 0, &steps);
    let mut tokens = graph.node("Add", &name("tokens"), &[&embedded, &positions], &[]);
    let mask = mask(graph, &name("mask"), settings.window, &steps);
    for k in 0..settings.layers {
        let is_last = k + 1 == settings.layers;
        let block = format!("blocks.{k}");
        let part = |part: &str| format!("{block}.{part}");
        let normed = normalize(graph, &layers, &part("norm1"), &tokens);
        let [key, value] = ["key", "value"].map(|of| layers.linear(graph, &part(of), &normed));
        // After the last block only the newest token is needed.
        let (query_tokens, mask) = match is_last {
            true => (last(graph, &name(&part("newest")), &normed), None),
            false => (normed, Some(&mask)),
        };
        let query = layers.linear(graph, &part("query"), &query_tokens);
        let size = [settings.heads, settings.width / settings.heads];
        let attended = attend(graph, &name(&part("attention")), [&query, &key, &value], size, mask);
        if is_last {
            tokens = last(graph, &name("newest_token"), &tokens);
        }
        let mixed = layers.linear(graph, &part("mix"), &attended);
        tokens = graph.node("Add", &name(&part("attended")), &[&tokens, &mixed], &[]);
        let normed = normalize(graph, &layers, &part("norm2"), &tokens);
        let hidden = layers.linear(graph, &part("up"), &normed);
        let active = gelu(graph, &name(&part("gelu")), &hidden);
        let down = layers.linear(graph, &part("down"), &active);
        tokens = graph.node("Add", &name(&part("output")), &[&tokens, &down], &[]);
    }
    let normed = normalize(graph, &layers, "norm", &tokens); // [batch, 1, width]
    heads(graph, &layers, bet, &normed)
}

/// Center plus offset of the likeliest bucket.
fn heads(graph: &mut Graph, layers: &Layers, bet: &Bet, token: &Value) -> Value {
    let name = |part: &str| format!("{}/{part}", layers.scope);
    let axis = |axis| Attribute::Int("axis", axis);
    let logits = layers.linear(graph, "logits", token);
    let probabilities = graph.node("Softmax", &name("probabilities"), &[&logits], &[axis(-1)]);
    let bucket = [axis(2), Attribute::Int("keepdims", 0)];
    let bucket = graph.node("ArgMax", &name("bucket.newest"), &[&probabilities], &bucket); // [batch, 1]
    let bucket = graph.reshape(&name("bucket"), &bucket, &[-1]);
    let centers = layers.constant(graph, "centers");
    let center = graph.gather(&name("center"), &centers, &bucket);
    let weights = layers.constant(graph, "offsets.weight");
    let weight = graph.gather(&name("offset.weight"), &weights, &bucket); // [batch, width, n_act]
    let biases = layers.constant(graph, "offsets.bias");
    let bias = graph.gather(&name("offset.bias"), &biases, &bucket);
    let product = graph.node("MatMul", &name("offset.product"), &[token, &weight], &[]);
    let product = graph.reshape(&name("offset"), &product, &[-1, bet.n_act() as i64]);
    let start = graph.node("Add", &name("center_and_bias"), &[&center, &bias], &[]);
    graph.node("Add", &name("output"), &[&start, &product], &[])
}

/// The number of observations, `[1]`.
fn steps(graph: &mut Graph, name: &str, states: &Value) -> Value {
    let shape = graph.node("Shape", &format!("{name}.shape"), &[states], &[]);
    graph.slice(name, &shape, 0, [1, 2])
}

/// The entries of an axis up to a computed one.
fn up_to(graph: &mut Graph, name: &str, value: &Value, axis: i64, end: &Value) -> Value {
    let first = graph.integers(&format!("{name}.first"), &[0]);
    let axis = graph.integers(&format!("{name}.axis"), &[axis]);
    graph.node("Slice", name, &[value, &first, end, &axis], &[])
}

/// The causal mask, `[steps, steps]`: added to the scores.
fn mask(graph: &mut Graph, name: &str, window: usize, steps: &Value) -> Value {
    let entry = |i: usize| if i % window > i / window { MASKED } else { 0.0 };
    let all: Vec<f32> = (0..window * window).map(entry).collect();
    let all = graph.constant(&format!("{name}.all"), &[window, window], &all);
    let rows = up_to(graph, &format!("{name}.rows"), &all, 0, steps);
    up_to(graph, name, &rows, 1, steps)
}

/// The last of the tokens, `[batch, 1, width]`.
fn last(graph: &mut Graph, name: &str, tokens: &Value) -> Value {
    graph.slice(name, tokens, 1, [-1, i64::MAX])
}

/// Layer normalization, with the arrays `NORM.scale` and `NORM.shift`.
pub(super) fn normalize(graph: &mut Graph, layers: &Layers, norm: &str, tokens: &Value) -> Value {
    let [scale, shift] = ["scale", "shift"].map(|of| layers.constant(graph, &format!("{norm}.{of}")));
    let attributes = [Attribute::Int("axis", -1), Attribute::Float("epsilon", 1e-5)];
    let name = format!("{}/{norm}", layers.scope);
    graph.node("LayerNormalization", &name, &[tokens, &scale, &shift], &attributes)
}

/// Attention of queries to keys, head by head: `[batch, queries, width]`.
fn attend(
    graph: &mut Graph,
    name: &str,
    [query, key, value]: [&Value; 3],
    [heads, size]: [usize; 2],
    mask: Option<&Value>,
) -> Value {
    let part = |part: &str| format!("{name}.{part}");
    let mut by_head = |of: &str, x: &Value, order: &[i64]| {
        let split = graph.reshape(&part(&format!("{of}.split")), x, &[0, 0, heads as i64, size as i64]);
        graph.transpose(&part(of), &split, order)
    };
    let query = by_head("query", query, &[0, 2, 1, 3]);
    let key = by_head("key", key, &[0, 2, 3, 1]);
    let value = by_head("value", value, &[0, 2, 1, 3]);
    let products = graph.node("MatMul", &part("products"), &[&query, &key], &[]);
    let scale = graph.scalar(&part("scale"), 1.0 / (size as f32).sqrt());
    let mut scores = graph.node("Mul", &part("scores"), &[&products, &scale], &[]);
    if let Some(mask) = mask {
        scores = graph.node("Add", &part("scores.masked"), &[&scores, mask], &[]);
    }
    let weights = graph.node("Softmax", &part("weights"), &[&scores], &[Attribute::Int("axis", -1)]);
    let attended = graph.node("MatMul", &part("by_head"), &[&weights, &value], &[]);
    let attended = graph.transpose(&part("by_token"), &attended, &[0, 2, 1, 3]);
    graph.reshape(name, &attended, &[0, 0, (heads * size) as i64])
}

/// GELU: x Phi(x).
fn gelu(graph: &mut Graph, name: &str, x: &Value) -> Value {
    let part = |part: &str| format!("{name}.{part}");
    let constants = [("scale", std::f32::consts::FRAC_1_SQRT_2), ("one", 1.0), ("half", 0.5)];
    let [scale, one, half] = constants.map(|(of, value)| graph.scalar(&part(of), value));
    let scaled = graph.node("Mul", &part("scaled"), &[x, &scale], &[]);
    let erf = graph.node("Erf", &part("erf"), &[&scaled], &[]);
    let twice = graph.node("Add", &part("twice_phi"), &[&erf, &one], &[]);
    let phi = graph.node("Mul", &part("phi"), &[&twice, &half], &[]);
    graph.node("Mul", name, &[x, &phi], &[])
}
