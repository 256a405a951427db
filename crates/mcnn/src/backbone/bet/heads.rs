//! The heads of the transformer in training: bucket logits, and the offset of the true bucket.

use kernels::{Matrix, Product, WIDE};

use super::{
    BetSettings,
    buckets::{focal_loss, nearest},
    layout::Layout,
    shape::{LANES, Shape},
};
use crate::backbone::{Batch, LossFn, product::sum_rows};

/// Buffers of the heads. Here tokens are contiguous, sorted by true bucket, without the added ones.
#[derive(Debug, Default)]
pub(super) struct Heads {
    ranks: Vec<usize>,   // [rows * window]: the sorted index of the token of a row and a step
    buckets: Vec<usize>, // [tokens]
    mask: Vec<bool>,     // [tokens]
    starts: Vec<usize>,  // [buckets + 1]: the first token of each bucket, and the end
    tokens: Vec<f32>,    // [tokens, width]
    token_grad: Vec<f32>,
    logits: Vec<f32>,  // [tokens, buckets], then their gradient
    offsets: Vec<f32>, // [tokens, n_act], then their gradient
    outputs: Vec<f32>, // [rows * window, n_act]
    weights: Vec<f32>, // [rows * window, n_act]
    output_grad: Vec<f32>,
}

/// The network and the shape of a batch.
pub(super) struct Inputs<'a> {
    pub layout: &'a Layout,
    pub settings: &'a BetSettings,
    pub centers: &'a [f32],
    pub parameters: &'a [f32],
    pub shape: Shape,
}

impl Inputs<'_> {
    fn n_act(&self) -> usize {
        self.centers.len() / self.settings.buckets
    }

    /// Rows and steps in the order of their tokens in panels.
    fn rows_and_steps(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Shape { rows, window, .. } = self.shape;
        let group = move |first: usize| {
            let rows = first..rows.min(first + LANES);
            (0..window).flat_map(move |step| rows.clone().map(move |row| (row, step)))
        };
        (0..rows).step_by(LANES).flat_map(group)
    }
}

impl Heads {
    /// The loss of normalized tokens (in panels). Writes its gradient with respect to them to `token_grad`, and that of the
    /// heads' parameters to `grad`.
    pub fn loss_and_grad(
        &mut self,
        inputs: &Inputs,
        batch: &Batch,
        tokens: &[f32],
        product: &mut Product,
        loss_fn: LossFn,
        [token_grad, grad]: [&mut [f32]; 2],
    ) -> f64 {
        self.sort(inputs, batch);
        self.gather(inputs, tokens);
        let classification = self.classification_loss(inputs, batch.count, product, grad);
        self.forward(inputs, product);
        let constrained = loss_fn(&self.outputs, Some(&self.weights), &mut self.output_grad);
        self.offsets_backward(inputs, product, grad);
        self.scatter(inputs, token_grad);
        constrained + classification
    }

    /// Sorts tokens by the buckets of their actions.
    fn sort(&mut self, inputs: &Inputs, batch: &Batch) {
        let found = nearest(batch.actions, inputs.centers, inputs.n_act());
        self.starts.clear();
        self.starts.resize(inputs.settings.buckets + 1, 0);
        found.iter().for_each(|bucket| self.starts[bucket + 1] += 1);
        for bucket in 0..inputs.settings.buckets {
            self.starts[bucket + 1] += self.starts[bucket];
        }
        let mut next = self.starts.clone();
        self.ranks.clear();
        self.buckets.resize(found.len(), 0);
        self.mask.resize(found.len(), false);
        for (bucket, &mask) in found.into_iter().zip(batch.mask) {
            let rank = next[bucket];
            next[bucket] += 1;
            self.ranks.push(rank);
            (self.buckets[rank], self.mask[rank]) = (bucket, mask);
        }
    }

    fn gather(&mut self, inputs: &Inputs, panels: &[f32]) {
        let (shape, width) = (inputs.shape, inputs.shape.width);
        self.tokens.resize(self.ranks.len() * width, 0.0);
        for (row, step) in inputs.rows_and_steps() {
            let to = &mut self.tokens[self.ranks[row * shape.window + step] * width..][..width];
            let from = panels[shape.index(shape.token(row, step), 0)..].iter().step_by(WIDE);
            to.iter_mut().zip(from).for_each(|(to, x)| *to = *x);
        }
    }

    fn scatter(&self, inputs: &Inputs, panels: &mut [f32]) {
        let (shape, width) = (inputs.shape, inputs.shape.width);
        panels.fill(0.0);
        for (row, step) in inputs.rows_and_steps() {
            let from = &self.token_grad[self.ranks[row * shape.window + step] * width..][..width];
            let to = panels[shape.index(shape.token(row, step), 0)..].iter_mut().step_by(WIDE);
            to.zip(from).for_each(|(to, x)| *to = *x);
        }
    }

    /// The focal loss of the bucket logits. Sets the gradients of their layer and of the tokens.
    fn classification_loss(
        &mut self,
        inputs: &Inputs,
        count: usize,
        product: &mut Product,
        grad: &mut [f32],
    ) -> f64 {
        let (layer, n) = (&inputs.layout.logits, self.ranks.len());
        let weight = Matrix::new(&inputs.parameters[layer.weight.clone()], layer.ends);
        let tokens = Matrix::new(&self.tokens, [n, inputs.shape.width]);
        self.logits.resize(n * inputs.settings.buckets, 0.0);
        product.linear(tokens, weight, &inputs.parameters[layer.bias.clone()], false, &mut self.logits);
        let loss = focal_loss(&mut self.logits, &self.buckets, &self.mask, inputs.settings.gamma, count);
        let logits = Matrix::new(&self.logits, [n, inputs.settings.buckets]);
        product.set(tokens.transposed(), logits, &mut grad[layer.weight.clone()]);
        sum_rows(&self.logits, &mut grad[layer.bias.clone()]);
        self.token_grad.resize(self.tokens.len(), 0.0);
        product.set(logits, weight.transposed(), &mut self.token_grad);
        loss
    }

    /// Outputs: the center of each token's bucket plus its offset.
    fn forward(&mut self, inputs: &Inputs, product: &mut Product) {
        let (width, n_act, n) = (inputs.shape.width, inputs.n_act(), self.ranks.len());
        for all in [&mut self.offsets, &mut self.outputs, &mut self.output_grad] {
            all.resize(n * n_act, 0.0);
        }
        self.weights.clear();
        self.weights.resize(n * n_act, inputs.settings.offset_weight);
        let [weights, biases] = inputs.layout.offsets.clone().map(|range| &inputs.parameters[range]);
        let layers = weights.chunks_exact(width * n_act).zip(biases.chunks_exact(n_act));
        for (own, (weight, bias)) in self.starts.windows(2).zip(layers).filter(|(own, _)| own[0] < own[1]) {
            let tokens = Matrix::new(&self.tokens[own[0] * width..own[1] * width], [own[1] - own[0], width]);
            let offsets = &mut self.offsets[own[0] * n_act..own[1] * n_act];
            product.linear(tokens, Matrix::new(weight, [width, n_act]), bias, false, offsets);
        }
        for (output, rank) in self.outputs.chunks_exact_mut(n_act).zip(&self.ranks) {
            let offset = self.offsets[rank * n_act..].iter();
            let both = offset.zip(&inputs.centers[self.buckets[*rank] * n_act..]);
            output.iter_mut().zip(both).for_each(|(output, (offset, center))| *output = offset + center);
        }
    }

    /// From the gradient with respect to the outputs to that of the offsets' layers. Adds to that of the tokens.
    fn offsets_backward(&mut self, inputs: &Inputs, product: &mut Product, grad: &mut [f32]) {
        let (width, n_act) = (inputs.shape.width, inputs.n_act());
        for (from, rank) in self.output_grad.chunks_exact(n_act).zip(&self.ranks) {
            self.offsets[rank * n_act..][..n_act].copy_from_slice(from);
        }
        let [weights, biases] = inputs.layout.offsets.clone();
        let (size, parameters) = (width * n_act, &inputs.parameters[weights.clone()]);
        for (bucket, own) in self.starts.windows(2).enumerate() {
            let weight_grad = &mut grad[weights.clone()][bucket * size..][..size];
            if own[0] == own[1] {
                weight_grad.fill(0.0);
                grad[biases.clone()][bucket * n_act..][..n_act].fill(0.0);
                continue;
            }
            let (n, own_tokens) = (own[1] - own[0], own[0] * width..own[1] * width);
            let offset_grad = &self.offsets[own[0] * n_act..own[1] * n_act];
            let offsets = Matrix::new(offset_grad, [n, n_act]);
            let tokens = Matrix::new(&self.tokens[own_tokens.clone()], [n, width]);
            product.set(tokens.transposed(), offsets, weight_grad);
            let weight = Matrix::new(&parameters[bucket * size..][..size], [width, n_act]);
            product.add(offsets, weight.transposed(), &mut self.token_grad[own_tokens]);
            sum_rows(offset_grad, &mut grad[biases.clone()][bucket * n_act..][..n_act]);
        }
    }
}
