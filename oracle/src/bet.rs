//! The behavior transformer.

use burn::{
    nn::{LayerNorm, Linear},
    tensor::{
        Int, Tensor, TensorData,
        activation::{gelu, log_softmax, softmax},
    },
};
use serde::Serialize;

use crate::{
    dropout::Dropout,
    inputs,
    tensors::{Parameters, Values, device, rows, stored, tensor, values},
};

/// The seed of dropout.
const SEED: u64 = 5;

#[derive(Clone, Copy, Serialize)]
struct Case {
    name: &'static str,
    layers: usize,
    heads: usize,
    width: usize,
    window: usize,
    buckets: usize,
    used: usize, // buckets that the actions of the batch are in
    gamma: f64,
    offset_weight: f64,
    dropout: f64,
    rows: usize,
    n_obs: usize,
    n_act: usize,
}

const BASE: Case = Case {
    name: "small",
    layers: 2,
    heads: 2,
    width: 12,
    window: 4,
    buckets: 6,
    used: 6,
    gamma: 2.0,
    offset_weight: 1000.0,
    dropout: 0.0,
    rows: 5,
    n_obs: 5,
    n_act: 2,
};

fn cases() -> Vec<Case> {
    let one_head =
        Case { layers: 1, heads: 1, width: 7, window: 1, gamma: 0.0, rows: 33, n_obs: 3, n_act: 1, ..BASE };
    let odd =
        Case { heads: 3, width: 45, buckets: 40, offset_weight: 3.0, rows: 16, n_obs: 4, n_act: 3, ..BASE };
    let large = Case {
        layers: 3,
        heads: 6,
        width: 120,
        window: 10,
        buckets: 64,
        rows: 20,
        n_obs: 45,
        n_act: 24,
        ..BASE
    };
    vec![
        BASE,
        Case { name: "small-dropout", dropout: 0.3, ..BASE },
        Case { name: "one-head", ..one_head },
        Case { name: "one-head-dropout", dropout: 0.3, ..one_head },
        Case { name: "odd", ..odd },
        Case { name: "odd-dropout", dropout: 0.3, ..odd },
        Case { name: "large", ..large },
        Case { name: "large-dropout", dropout: 0.3, ..large },
        Case { name: "single", layers: 1, rows: 1, window: 1, ..BASE },
        Case { name: "one-bucket", layers: 1, rows: 50, used: 1, ..BASE },
        Case { name: "two-buckets", layers: 1, rows: 10, used: 2, ..BASE },
        Case { name: "six-buckets", layers: 3, rows: 50, ..BASE },
    ]
}

struct Network {
    embed: Linear,
    positions: Tensor<2>,
    blocks: Vec<Block>,
    norm: LayerNorm,
    logits: Linear,
    offset_weights: Tensor<3>,
    offset_biases: Tensor<2>,
}

struct Block {
    norms: [LayerNorm; 2],
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    up: Linear,
    down: Linear,
}

impl Network {
    fn new(case: &Case, parameters: &mut Parameters) -> Self {
        let width = case.width;
        Self {
            embed: parameters.linear("embed", case.n_obs, width),
            positions: parameters.array("positions", [case.window, width]),
            blocks: (0..case.layers).map(|index| Block::new(index, width, parameters)).collect(),
            norm: parameters.norm("norm", width),
            logits: parameters.linear("logits", width, case.buckets),
            offset_weights: parameters.array("offsets.weight", [case.buckets, width, case.n_act]),
            offset_biases: parameters.array("offsets.bias", [case.buckets, case.n_act]),
        }
    }

    /// The input of the heads, `[rows * window, width]`.
    fn tokens(&self, case: &Case, observations: Tensor<2>) -> Tensor<2> {
        let Case { rows, width, heads, window, layers, .. } = *case;
        let dropout = Dropout::new([rows, width, heads, window, layers], case.dropout, SEED);
        let factors = |factors: Vec<f64>| tensor(factors, [rows * window, width]);
        let tokens = self.embed.forward(observations).reshape([rows, window, width]);
        let tokens = tokens + self.positions.clone().reshape([1, window, width]);
        let mut tokens = tokens.reshape([rows * window, width]) * factors(dropout.embedded());
        for (index, block) in self.blocks.iter().enumerate() {
            let drop = tensor(dropout.weights(index), [rows, heads, window, window]);
            let [attention, perceptron] = dropout.outputs(index).map(factors);
            tokens = tokens.clone() + block.attend(case, tokens, drop) * attention;
            let wide = gelu(block.up.forward(block.norms[1].forward(tokens.clone())));
            tokens = tokens + block.down.forward(wide) * perceptron;
        }
        self.norm.forward(tokens)
    }

    /// The offset of one bucket for each token: `[rows, width]` to `[rows, n_act]`.
    fn offsets(&self, tokens: Tensor<2>, buckets: &[usize]) -> Tensor<2> {
        let ([rows, width], [.., n_act]) = (tokens.dims(), self.offset_weights.dims());
        let index = buckets.iter().map(|bucket| *bucket as i64).collect::<Vec<_>>();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [rows]), &device());
        let weights = self.offset_weights.clone().select(0, index.clone());
        let products = tokens.reshape([rows, 1, width]).matmul(weights).reshape([rows, n_act]);
        products + self.offset_biases.clone().select(0, index)
    }
}

impl Block {
    fn new(index: usize, width: usize, parameters: &mut Parameters) -> Self {
        let name = |part: &str| format!("blocks.{index}.{part}");
        let norms = ["norm1", "norm2"].map(|part| parameters.norm(&name(part), width));
        let [query, key, value, output] =
            ["query", "key", "value", "mix"].map(|part| parameters.linear(&name(part), width, width));
        let up = parameters.linear(&name("up"), width, 4 * width);
        let down = parameters.linear(&name("down"), 4 * width, width);
        Self { norms, query, key, value, output, up, down }
    }

    /// Causal attention. `drop`: factors of its weights, `[rows, heads, window, window]`.
    fn attend(&self, case: &Case, tokens: Tensor<2>, drop: Tensor<4>) -> Tensor<2> {
        let Case { rows, width, heads, window, .. } = *case;
        let tokens = self.norms[0].forward(tokens);
        let by_head = |layer: &Linear| {
            layer.forward(tokens.clone()).reshape([rows, window, heads, width / heads]).swap_dims(1, 2)
        };
        let later = (0..window * window).map(|i| if i % window > i / window { -1e9 } else { 0.0 });
        let scale = 1.0 / ((width / heads) as f64).sqrt();
        let scores = by_head(&self.query).matmul(by_head(&self.key).transpose()) * scale;
        let weights = softmax(scores + tensor(later, [1, 1, window, window]), 3) * drop;
        let mixed = weights.matmul(by_head(&self.value)).swap_dims(1, 2);
        self.output.forward(mixed.reshape([rows * window, width]))
    }
}

/// The index of the nearest center for each action.
fn nearest(actions: &[f32], centers: &[f32], n_act: usize) -> Vec<usize> {
    let distance = |action: &[f32], center: &[f32]| {
        action.iter().zip(center).map(|(a, c)| (f64::from(*a) - f64::from(*c)).powi(2)).sum::<f64>()
    };
    let bucket = |action: &[f32]| {
        let distances = centers.chunks(n_act).map(|center| distance(action, center));
        distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).expect("a bucket").0
    };
    actions.chunks(n_act).map(bucket).collect()
}

/// Outputs, loss and gradient of a training step, and the logits and offsets of all buckets where nothing is dropped.
///
/// The loss is the mean focal loss over the steps that were demonstrated, `-(1 - p)^gamma log p`, and `offset_weight` times
/// the mean squared difference of the outputs to 0.7 times the actions.
pub fn bet() -> Values {
    let mut found = Values::default();
    for case in cases() {
        let Case { name, window, n_obs, n_act, buckets, .. } = case;
        let steps = case.rows * window;
        let input = |array: &str, count| inputs::normal(&format!("{name}/{array}"), count);
        let centers = inputs::parameters(name, "centers", &[buckets, n_act]);
        let actions = inputs::actions(name, &centers, case.used, steps, n_act);
        let chosen = nearest(&actions, &centers, n_act);
        let mut parameters = Parameters::new(name);
        let network = Network::new(&case, &mut parameters);
        let tokens = network.tokens(&case, rows(&input("observations", steps * n_obs), n_obs));
        let logits = network.logits.forward(tokens.clone());
        let center = chosen.iter().flat_map(|bucket| &centers[bucket * n_act..][..n_act]);
        let center = tensor(center.map(|value| f64::from(*value)), [steps, n_act]);
        let outputs = network.offsets(tokens.clone(), &chosen) + center;

        let real = inputs::real(steps);
        let count = real.iter().filter(|real| **real).count() as f64;
        let share = tensor(real.iter().map(|real| if *real { 1.0 / count } else { 0.0 }), [steps, 1]);
        let hot = (0..steps * buckets).map(|i| if chosen[i / buckets] == i % buckets { 1.0 } else { 0.0 });
        let hot = tensor(hot, [steps, buckets]);
        let log_p = (log_softmax(logits.clone(), 1) * hot.clone()).sum_dim(1);
        let others = (softmax(logits.clone(), 1) * (hot * -1.0 + 1.0)).sum_dim(1);
        let focal = log_p * others.powf_scalar(case.gamma) * -1.0;
        let errors = (outputs.clone() - rows(&actions, n_act) * 0.7).square();
        let squares = errors.mean_dim(1) * case.offset_weight;
        let loss = ((focal + squares) * share).sum();
        let gradients = loss.backward();

        if case.dropout == 0.0 && steps <= 200 && buckets <= 6 {
            let offset = |bucket| network.offsets(tokens.clone(), &vec![bucket; steps]);
            let offsets = Tensor::cat((0..buckets).map(offset).collect(), 1);
            found.array(name, "logits", &stored(values(logits)));
            found.array(name, "offsets", &stored(values(offsets)));
        }
        found.array(name, "outputs", &stored(values(outputs)));
        found.array(name, "loss", &stored(values(loss)));
        found.array(name, "gradient", &parameters.gradient(&gradients));
        found.case(&case);
    }
    found
}
