//! The layout of a batch in training, and dropout.

use std::ops::Range;

use kernels::WIDE;

use super::BetSettings;
use crate::seed::Seed;

/// Rows that attention processes in one vector.
pub(super) const LANES: usize = 16;

/// The shape of a batch. Tokens are in panels ([`PackedMatrix`](kernels::PackedMatrix)): `[panels, features, WIDE]`. Rows are in groups of
/// [`LANES`]; the tokens of a group are ordered by step of the window, then by row. Rows and tokens of zeros are added until
/// groups and panels are complete. Attention weights are `[heads, groups, pairs, LANES]`. A pair is a step and a step that it
/// attends to, in the order (0, 0), (1, 0), (1, 1), (2, 0) and so on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub width: usize,
    pub heads: usize,
    pub window: usize,
    pub rows: usize, // without the added ones
    pub blocks: usize,
}

impl Shape {
    pub fn new(settings: &BetSettings, rows: usize) -> Self {
        let BetSettings { width, heads, window, layers: blocks, .. } = *settings;
        Self { width, heads, window, rows, blocks }
    }

    pub fn groups(&self) -> usize {
        let groups = self.rows.div_ceil(LANES);
        if (groups * self.window * LANES).is_multiple_of(WIDE) { groups } else { groups + 1 }
    }

    /// Tokens, with the added ones.
    pub fn tokens(&self) -> usize {
        self.groups() * self.window * LANES
    }

    /// The index of the token of a row and a step.
    pub fn token(&self, row: usize, step: usize) -> usize {
        (row / LANES * self.window + step) * LANES + row % LANES
    }

    /// The step of the window of [`LANES`] consecutive tokens, by their index among such runs.
    #[inline(always)]
    pub fn step(&self, run: usize) -> usize {
        run % self.window
    }

    /// Values of all tokens.
    pub fn size(&self) -> usize {
        self.width * self.tokens()
    }

    /// The range of a panel of tokens.
    pub fn panel(&self, panel: usize) -> Range<usize> {
        let size = self.width * WIDE;
        panel * size..(panel + 1) * size
    }

    /// The index of a feature of a token.
    #[inline(always)]
    pub fn index(&self, token: usize, feature: usize) -> usize {
        (token / WIDE * self.width + feature) * WIDE + token % WIDE
    }

    /// Pairs of a step and one that it attends to.
    pub fn pairs(&self) -> usize {
        self.window * (self.window + 1) / 2
    }

    /// Attention weights of a block.
    pub fn attention_weights(&self) -> usize {
        self.heads * self.groups() * self.pairs() * LANES
    }
}

/// Dropout: sets a share of the values to 0 and scales the others so that the mean stays. The mask follows from a seed, so that a
/// resumed run has the same one.
#[derive(Debug, Default)]
pub(super) struct Dropout {
    threshold: u16, // of 65536; values below are dropped
    scale: f32,     // of the values that are not dropped
    bits: Vec<u16>, // of the tokens; then for each block of attention weights, attention outputs and MLP outputs
}

/// The part of a dropout mask for some values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask<'a> {
    pub threshold: u16,
    pub scale: f32,
    pub bits: &'a [u16],
}

impl Dropout {
    /// Samples the masks of a step. `rate`: in [0, 1), rounded to 1 / 65536.
    pub fn sample(&mut self, rate: f64, seed: Seed, shape: &Shape) {
        self.threshold = (rate * 65536.0).round().min(65535.0) as u16;
        self.scale = 1.0 / (1.0 - f32::from(self.threshold) / 65536.0);
        let len = shape.size() + shape.blocks * (shape.attention_weights() + 2 * shape.size());
        self.bits.resize(len.next_multiple_of(4), 0);
        if self.threshold > 0 {
            let mut rng = seed.rng();
            for four in self.bits.as_chunks_mut::<4>().0 {
                let bits = rng.bits();
                *four = [0, 16, 32, 48].map(|at| (bits >> at) as u16);
            }
        }
    }

    fn mask(&self, first: usize, len: usize) -> Mask<'_> {
        Mask { threshold: self.threshold, scale: self.scale, bits: &self.bits[first..first + len] }
    }

    /// The mask of the embedded tokens.
    pub fn tokens(&self, shape: &Shape) -> Mask<'_> {
        self.mask(0, shape.size())
    }

    /// The masks of a block: of its attention weights, of the attention's output and of the MLP's.
    pub fn block(&self, shape: &Shape, block: usize) -> [Mask<'_>; 3] {
        let (size, weights) = (shape.size(), shape.attention_weights());
        let first = size + block * (weights + 2 * size);
        let attended = first + weights;
        [self.mask(first, weights), self.mask(attended, size), self.mask(attended + size, size)]
    }
}

impl<'a> Mask<'a> {
    /// A value after dropout.
    #[inline(always)]
    pub fn apply(&self, bits: u16, x: f32) -> f32 {
        if bits < self.threshold { 0.0 } else { x * self.scale }
    }

    /// The mask of a range of the values.
    pub fn of_range(self, range: Range<usize>) -> Self {
        Self { bits: &self.bits[range], ..self }
    }
}
