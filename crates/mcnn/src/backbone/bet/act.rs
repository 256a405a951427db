//! The behavior transformer as it acts: one window, in plain numbers.
//!
//! The keys and values of earlier steps cannot be kept from one action to the next: once the window is full it slides, so
//! every observation moves to another position, and with it changes all that is computed of it. The whole window is computed
//! anew. Of the last block only what the newest observation needs is, and of the offsets only those of the chosen bucket.

use super::{
    Bet, BucketSelection, Layer, Norm,
    buckets::{largest, softmax},
    gelu::gelu,
};
use crate::{
    backbone::{
        plain::sum,
        product::{add_product, widest},
    },
    seed::Rng,
};

/// Buffers that grow once, and what was chosen last.
#[derive(Debug, Default)]
pub struct ActBuffers {
    pub(super) tokens: Vec<f32>, // [n, width], n the observations there are
    pub(super) normed: Vec<f32>, // [n, width]
    pub(super) keys: Vec<f32>,   // [n, width]
    pub(super) values: Vec<f32>, // [n, width]
    pub(super) queries: Vec<f32>,
    pub(super) mixed: Vec<f32>,
    pub(super) wide: Vec<f32>,    // [n, 4 * width]
    pub(super) scores: Vec<f32>,  // of one query and head: [n]
    pub(super) chances: Vec<f32>, // [buckets]
    bucket: usize,
}

impl ActBuffers {
    /// The bucket of the last prediction and the probabilities of all; `None` before the first one.
    pub fn chosen(&self) -> Option<(usize, &[f32])> {
        (!self.chances.is_empty()).then_some((self.bucket, &self.chances[..]))
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
        work: &mut ActBuffers,
        proposal: &mut Vec<f32>,
    ) {
        look(self, observations, work);
        work.bucket = match self.settings.bucket_selection {
            BucketSelection::Argmax => largest(work.chances.iter().copied()),
            BucketSelection::Sample => draw(&work.chances, rng),
        };
        let (n_act, width) = (self.n_act(), self.settings.width);
        let place = work.bucket * n_act;
        proposal.clear();
        proposal.extend(
            self.centers[place..].iter().zip(&self.offsets.biases[place..]).take(n_act).map(|(c, b)| c + b),
        );
        add_product(&work.normed, width, &self.offsets.weights[place * width..][..width * n_act], proposal);
    }

    /// Leaves the newest token, normed, and the buckets' probabilities.
    #[inline(always)]
    fn look(&self, observations: &[f32], work: &mut ActBuffers) {
        let (width, n_obs) = (self.settings.width, self.n_obs());
        let n = observations.len() / n_obs;
        assert!(
            observations.len() == n * n_obs && (1..=self.settings.window).contains(&n),
            "{} numbers, for observations of {n_obs} and a window of {}",
            observations.len(),
            self.settings.window
        );
        let ActBuffers { tokens, normed, keys, values, queries, mixed, wide, scores, chances, .. } = work;
        tokens.clear();
        tokens.extend_from_slice(&self.positions[..n * width]);
        add_linear(observations, &self.embed, tokens);
        for (k, block) in self.blocks.iter().enumerate() {
            // The first place whose token is still wanted after this block.
            let first = if k + 1 == self.blocks.len() { n - 1 } else { 0 };
            normalize(tokens, &block.norms[0], normed);
            linear(normed, &block.key, keys);
            linear(normed, &block.value, values);
            linear(&normed[first * width..], &block.query, queries);
            mixed.clear();
            mixed.resize(queries.len(), 0.0);
            let rows = queries.chunks_exact(width).zip(mixed.chunks_exact_mut(width));
            for (last, (query, mixed)) in (first..n).zip(rows) {
                attend(query, keys, values, last + 1, self.settings.heads, scores, mixed);
            }
            let tokens = &mut tokens[first * width..];
            add_linear(mixed, &block.mix, tokens);
            normalize(tokens, &block.norms[1], normed);
            linear(normed, &block.up, wide);
            gelu(wide);
            add_linear(wide, &block.down, tokens);
        }
        normalize(&tokens[(n - 1) * width..], &self.norm, normed);
        linear(normed, &self.logits, chances);
        softmax(chances);
    }
}

widest! {
    /// See [`Bet::look`].
    fn look<'a>(bet: &'a Bet, observations: &'a [f32], work: &'a mut ActBuffers) {
        bet.look(observations, work)
    }
}

/// Attention of one query (`[width]`) to the first `n` keys, head by head: the values' mean by weight is added to `mixed`.
#[inline(always)]
fn attend(
    query: &[f32],
    keys: &[f32],
    values: &[f32],
    n: usize,
    heads: usize,
    scores: &mut Vec<f32>,
    mixed: &mut [f32],
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
        let mixed = &mut mixed[head..head + size];
        for (score, value) in scores.iter().zip(values.chunks_exact(width)) {
            mixed.iter_mut().zip(&value[of(value)]).for_each(|(m, v)| *m += score * v);
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
        let numbers = token.iter().zip(&norm.scale).zip(&norm.shift);
        normed.extend(numbers.map(|((x, scale), shift)| (x - mean) * inverse * scale + shift));
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

/// A place drawn by its probability; where rounding leaves none, or a probability is no number, the likeliest.
pub(super) fn draw(chances: &[f32], rng: &mut Rng) -> usize {
    let mut left = rng.uniform() as f32;
    for (k, chance) in chances.iter().enumerate() {
        left -= chance;
        if left < 0.0 {
            return k;
        }
    }
    largest(chances.iter().copied())
}
