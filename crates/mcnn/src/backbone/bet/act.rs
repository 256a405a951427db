//! The behavior transformer in acting: one window at a time.
//!
//! Keys and values cannot be cached from one action to the next. Once the window is full it slides, so every observation gets
//! another position embedding, and all activations change. The last block runs for the newest observation alone, and of the
//! offsets only those of the selected bucket are computed.

use super::{
    Bet, BucketSelection, Layer, Norm,
    buckets::{largest, softmax},
    gelu::gelu,
};
use crate::{
    backbone::{
        layers::clear_and_reserve,
        math::sum,
        product::{add_product, widest},
    },
    seed::Rng,
};

/// Buffers of acting, and the last selected bucket. `n`: observations in the window.
#[derive(Debug, Default)]
pub struct ActBuffers {
    pub(super) tokens: Vec<f32>, // [n, width]
    pub(super) normed: Vec<f32>, // [n, width]
    pub(super) keys: Vec<f32>,   // [n, width]
    pub(super) values: Vec<f32>, // [n, width]
    pub(super) queries: Vec<f32>,
    pub(super) attended: Vec<f32>,
    pub(super) hidden: Vec<f32>,        // [n, 4 * width]
    pub(super) scores: Vec<f32>,        // of one query and head: [n]
    pub(super) probabilities: Vec<f32>, // [buckets]
    bucket: usize,
}

impl ActBuffers {
    /// The bucket of the last prediction and the probabilities of all; `None` before the first one.
    pub fn selected(&self) -> Option<(usize, &[f32])> {
        (!self.probabilities.is_empty()).then_some((self.bucket, &self.probabilities[..]))
    }
}

impl Bet {
    /// Predicts an action (`[n_act]`, not constrained) for the newest of the observations of a window: `[n, n_obs]`, oldest
    /// first, n from 1 to the window's length.
    ///
    /// # Panics
    /// If the length of the observations is another.
    pub(super) fn forward(
        &self,
        observations: &[f32],
        rng: &mut Rng,
        buffers: &mut ActBuffers,
        output: &mut Vec<f32>,
    ) {
        encode(self, observations, buffers);
        buffers.bucket = match self.settings.bucket_selection {
            BucketSelection::Argmax => largest(buffers.probabilities.iter().copied()),
            BucketSelection::Sample => sample(&buffers.probabilities, rng),
        };
        let (n_act, width) = (self.n_act(), self.settings.width);
        let start = buffers.bucket * n_act;
        output.clear();
        output.extend(
            self.centers[start..].iter().zip(&self.offsets.biases[start..]).take(n_act).map(|(c, b)| c + b),
        );
        add_product(&buffers.normed, width, &self.offsets.weights[start * width..][..width * n_act], output);
    }

    /// Computes the normalized token of the newest observation, and the probabilities of the buckets.
    #[inline(always)]
    fn encode(&self, observations: &[f32], buffers: &mut ActBuffers) {
        let (width, n_obs) = (self.settings.width, self.n_obs());
        let n = observations.len() / n_obs;
        assert!(
            observations.len() == n * n_obs && (1..=self.settings.window).contains(&n),
            "{} values, for observations of width {n_obs} and a window of {}",
            observations.len(),
            self.settings.window
        );
        let ActBuffers {
            tokens, normed, keys, values, queries, attended, hidden, scores, probabilities, ..
        } = buffers;
        // For a whole window, although the first ones are shorter.
        let whole = self.settings.window * width;
        clear_and_reserve(
            whole,
            [&mut *tokens, &mut *normed, &mut *keys, &mut *values, &mut *queries, &mut *attended],
        );
        clear_and_reserve(4 * whole, [&mut *hidden]);
        clear_and_reserve(self.settings.window, [&mut *scores]);
        tokens.extend_from_slice(&self.positions[..n * width]);
        add_linear(observations, &self.embed, tokens);
        for (k, block) in self.blocks.iter().enumerate() {
            // The first step whose token is needed after this block.
            let first = if k + 1 == self.blocks.len() { n - 1 } else { 0 };
            normalize(tokens, &block.norms[0], normed);
            linear(normed, &block.key, keys);
            linear(normed, &block.value, values);
            linear(&normed[first * width..], &block.query, queries);
            attended.clear();
            attended.resize(queries.len(), 0.0);
            let rows = queries.chunks_exact(width).zip(attended.chunks_exact_mut(width));
            for (last, (query, attended)) in (first..n).zip(rows) {
                attend(query, keys, values, last + 1, self.settings.heads, scores, attended);
            }
            let tokens = &mut tokens[first * width..];
            add_linear(attended, &block.out_proj, tokens);
            normalize(tokens, &block.norms[1], normed);
            linear(normed, &block.up, hidden);
            gelu(hidden);
            add_linear(hidden, &block.down, tokens);
        }
        normalize(&tokens[(n - 1) * width..], &self.norm, normed);
        linear(normed, &self.logits, probabilities);
        softmax(probabilities);
    }
}

widest! {
    /// See [`Bet::encode`].
    fn encode<'a>(bet: &'a Bet, observations: &'a [f32], buffers: &'a mut ActBuffers) {
        bet.encode(observations, buffers)
    }
}

/// Attention of one query (`[width]`) to the first `n` keys, head by head. Adds the weighted mean of the values to `attended`.
#[inline(always)]
fn attend(
    query: &[f32],
    keys: &[f32],
    values: &[f32],
    n: usize,
    heads: usize,
    scores: &mut Vec<f32>,
    attended: &mut [f32],
) {
    let width = query.len();
    let size = width / heads;
    let scale = 1.0 / (size as f32).sqrt();
    for head in (0..width).step_by(size) {
        let of = |row: &[f32]| head..head + row.len() / heads;
        let query = &query[of(query)];
        scores.clear();
        scores.extend(
            keys.chunks_exact(width).take(n).map(|key| scale * sum(query, &key[of(key)], |q, k| q * k)),
        );
        softmax(scores);
        let attended = &mut attended[head..head + size];
        for (score, value) in scores.iter().zip(values.chunks_exact(width)) {
            attended.iter_mut().zip(&value[of(value)]).for_each(|(m, v)| *m += score * v);
        }
    }
}

/// Layer normalization of every token.
#[inline(always)]
fn normalize(tokens: &[f32], norm: &Norm, normed: &mut Vec<f32>) {
    let width = norm.scale.len();
    normed.clear();
    for token in tokens.chunks_exact(width) {
        let mean = sum(token, token, |x, _| x) / width as f32;
        let variance = sum(token, token, |x, _| (x - mean) * (x - mean)) / width as f32;
        let inverse = 1.0 / (variance + 1e-5).sqrt();
        let values = token.iter().zip(&norm.scale).zip(&norm.shift);
        normed.extend(values.map(|((x, scale), shift)| (x - mean) * inverse * scale + shift));
    }
}

/// `x W + b`, row by row.
fn linear(x: &[f32], layer: &Layer, out: &mut Vec<f32>) {
    let [inputs, outputs] = layer.weight.ends();
    out.clear();
    out.resize(x.len() / inputs * outputs, 0.0);
    add_linear(x, layer, out);
}

/// Adds `x W + b`, row by row.
fn add_linear(x: &[f32], layer: &Layer, out: &mut [f32]) {
    for row in out.chunks_exact_mut(layer.bias.len()) {
        row.iter_mut().zip(&layer.bias).for_each(|(o, b)| *o += b);
    }
    layer.weight.add_product(x, out);
}

/// Samples an index by its probability. The likeliest, if rounding leaves none or a probability is NaN.
pub(super) fn sample(probabilities: &[f32], rng: &mut Rng) -> usize {
    let mut left = rng.uniform() as f32;
    for (k, probability) in probabilities.iter().enumerate() {
        left -= probability;
        if left < 0.0 {
            return k;
        }
    }
    largest(probabilities.iter().copied())
}
