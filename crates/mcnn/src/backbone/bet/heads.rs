//! The heads of the transformer in training: logits of buckets, and the offset of the true one.

use kernels::{Matrix, Product, WIDE};

use super::{
    BetSettings,
    buckets::{focal, nearest},
    layout::Layout,
    shape::{LANES, Shape},
};
use crate::backbone::{Batch, LossFn};

/// Buffers of the heads. Here tokens lie one after the other, those of a bucket together, and only those with a meaning.
#[derive(Debug, Default)]
pub(super) struct Heads {
    ranks: Vec<usize>,   // [rows * window]: which of these the token of a row and a place is
    buckets: Vec<usize>, // [tokens]
    real: Vec<bool>,     // [tokens]
    starts: Vec<usize>,  // where the tokens of each bucket begin, and the end
    tokens: Vec<f32>,    // [tokens, width]
    slopes: Vec<f32>,    // as many
    logits: Vec<f32>,    // [tokens, buckets], then their slopes
    offsets: Vec<f32>,   // [tokens, n_act], then their slopes
    proposals: Vec<f32>, // [rows * window, n_act]
    weights: Vec<f32>,   // as many
    held_back: Vec<f32>, // as many: the slopes of proposals
}

/// What the heads work on.
pub(super) struct Work<'a> {
    pub layout: &'a Layout,
    pub settings: &'a BetSettings,
    pub centers: &'a [f32],
    pub numbers: &'a [f32],
    pub shape: Shape,
}

impl Work<'_> {
    fn n_act(&self) -> usize {
        self.centers.len() / self.settings.buckets
    }

    /// Rows and places, in the order in which panels have them.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Shape { rows, window, .. } = self.shape;
        let group = move |first: usize| {
            let rows = first..rows.min(first + LANES);
            (0..window).flat_map(move |place| rows.clone().map(move |row| (row, place)))
        };
        (0..rows).step_by(LANES).flat_map(group)
    }
}

impl Heads {
    /// From tokens (in panels, normed) to the loss and, in `slopes`, its slopes by them; sets the gradients of the heads.
    pub fn run(
        &mut self,
        work: &Work,
        batch: &Batch,
        tokens: &[f32],
        product: &mut Product,
        hold: LossFn,
        [slopes, gradient]: [&mut [f32]; 2],
    ) -> f64 {
        self.sort(work, batch);
        self.gather(work, tokens);
        let own = self.guess(work, batch.count, product, gradient);
        self.propose(work, product);
        let held = hold(&self.proposals, Some(&self.weights), &mut self.held_back);
        self.learn(work, product, gradient);
        self.scatter(work, slopes);
        held + own
    }

    /// Sorts tokens by the buckets of their actions.
    fn sort(&mut self, work: &Work, batch: &Batch) {
        let found = nearest(batch.actions, work.centers, work.n_act());
        self.starts.clear();
        self.starts.resize(work.settings.buckets + 1, 0);
        found.iter().for_each(|bucket| self.starts[bucket + 1] += 1);
        for bucket in 0..work.settings.buckets {
            self.starts[bucket + 1] += self.starts[bucket];
        }
        let mut next = self.starts.clone();
        self.ranks.clear();
        self.buckets.resize(found.len(), 0);
        self.real.resize(found.len(), false);
        for (bucket, &real) in found.into_iter().zip(batch.real) {
            let rank = next[bucket];
            next[bucket] += 1;
            self.ranks.push(rank);
            (self.buckets[rank], self.real[rank]) = (bucket, real);
        }
    }

    fn gather(&mut self, work: &Work, panels: &[f32]) {
        let (shape, width) = (work.shape, work.shape.width);
        self.tokens.resize(self.ranks.len() * width, 0.0);
        for (row, place) in work.places() {
            let to = &mut self.tokens[self.ranks[row * shape.window + place] * width..][..width];
            let from = panels[shape.at(shape.token(row, place), 0)..].iter().step_by(WIDE);
            to.iter_mut().zip(from).for_each(|(to, x)| *to = *x);
        }
    }

    fn scatter(&self, work: &Work, panels: &mut [f32]) {
        let (shape, width) = (work.shape, work.shape.width);
        panels.fill(0.0);
        for (row, place) in work.places() {
            let from = &self.slopes[self.ranks[row * shape.window + place] * width..][..width];
            let to = panels[shape.at(shape.token(row, place), 0)..].iter_mut().step_by(WIDE);
            to.zip(from).for_each(|(to, x)| *to = *x);
        }
    }

    /// The loss of the buckets' logits, its gradient, and the slopes of tokens.
    fn guess(&mut self, work: &Work, count: usize, product: &mut Product, gradient: &mut [f32]) -> f64 {
        let (layer, n) = (&work.layout.logits, self.ranks.len());
        let weight = Matrix::new(&work.numbers[layer.weight.clone()], layer.ends);
        let tokens = Matrix::new(&self.tokens, [n, work.shape.width]);
        self.logits.resize(n * work.settings.buckets, 0.0);
        product.linear(tokens, weight, &work.numbers[layer.bias.clone()], false, &mut self.logits);
        let loss = focal(&mut self.logits, &self.buckets, &self.real, work.settings.gamma, count);
        let logits = Matrix::new(&self.logits, [n, work.settings.buckets]);
        product.set(tokens.turned(), logits, &mut gradient[layer.weight.clone()]);
        sum_rows(&self.logits, &mut gradient[layer.bias.clone()]);
        self.slopes.resize(self.tokens.len(), 0.0);
        product.set(logits, weight.turned(), &mut self.slopes);
        loss
    }

    /// Proposals: the center of each token's bucket, and its offset.
    fn propose(&mut self, work: &Work, product: &mut Product) {
        let (width, n_act, n) = (work.shape.width, work.n_act(), self.ranks.len());
        for all in [&mut self.offsets, &mut self.proposals, &mut self.held_back] {
            all.resize(n * n_act, 0.0);
        }
        self.weights.clear();
        self.weights.resize(n * n_act, work.settings.offset_weight);
        let [weights, biases] = work.layout.offsets.clone().map(|place| &work.numbers[place]);
        let layers = weights.chunks_exact(width * n_act).zip(biases.chunks_exact(n_act));
        for (own, (weight, bias)) in self.starts.windows(2).zip(layers).filter(|(own, _)| own[0] < own[1]) {
            let tokens = Matrix::new(&self.tokens[own[0] * width..own[1] * width], [own[1] - own[0], width]);
            let offsets = &mut self.offsets[own[0] * n_act..own[1] * n_act];
            product.linear(tokens, Matrix::new(weight, [width, n_act]), bias, false, offsets);
        }
        for (proposal, rank) in self.proposals.chunks_exact_mut(n_act).zip(&self.ranks) {
            let offset = self.offsets[rank * n_act..].iter();
            let both = offset.zip(&work.centers[self.buckets[*rank] * n_act..]);
            proposal.iter_mut().zip(both).for_each(|(p, (o, c))| *p = o + c);
        }
    }

    /// From the slopes of proposals to the offsets' gradients; adds to the slopes of tokens.
    fn learn(&mut self, work: &Work, product: &mut Product, gradient: &mut [f32]) {
        let (width, n_act) = (work.shape.width, work.n_act());
        for (from, rank) in self.held_back.chunks_exact(n_act).zip(&self.ranks) {
            self.offsets[rank * n_act..][..n_act].copy_from_slice(from);
        }
        let [weights, biases] = work.layout.offsets.clone();
        let (size, numbers) = (width * n_act, &work.numbers[weights.clone()]);
        for (bucket, own) in self.starts.windows(2).enumerate() {
            let of_weight = &mut gradient[weights.clone()][bucket * size..][..size];
            if own[0] == own[1] {
                of_weight.fill(0.0);
                gradient[biases.clone()][bucket * n_act..][..n_act].fill(0.0);
                continue;
            }
            let (n, own_tokens) = (own[1] - own[0], own[0] * width..own[1] * width);
            let slopes = &self.offsets[own[0] * n_act..own[1] * n_act];
            let offsets = Matrix::new(slopes, [n, n_act]);
            let tokens = Matrix::new(&self.tokens[own_tokens.clone()], [n, width]);
            product.set(tokens.turned(), offsets, of_weight);
            let weight = Matrix::new(&numbers[bucket * size..][..size], [width, n_act]);
            product.add(offsets, weight.turned(), &mut self.slopes[own_tokens]);
            sum_rows(slopes, &mut gradient[biases.clone()][bucket * n_act..][..n_act]);
        }
    }
}

/// The sum of rows of numbers, as wide as `out`.
fn sum_rows(rows: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for row in rows.chunks_exact(out.len()) {
        out.iter_mut().zip(row).for_each(|(out, x)| *out += x);
    }
}
