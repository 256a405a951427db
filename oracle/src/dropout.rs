//! Which values a training step of the behavior transformer drops: the order in which `mcnn` draws them
//! (crates/mcnn/src/backbone/bet/shape.rs), written down a second time.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Tokens side by side in a panel.
const WIDE: usize = 32;

/// Rows side by side in a group.
const LANES: usize = 16;

pub struct Dropout {
    threshold: u16,
    drawn: Vec<u16>,
    rows: usize,
    width: usize,
    heads: usize,
    window: usize,
}

impl Dropout {
    pub fn new([rows, width, heads, window, blocks]: [usize; 5], share: f64, seed: u64) -> Self {
        let threshold = (share * 65_536.0).round() as u16;
        let mut new = Self { threshold, drawn: Vec::new(), rows, width, heads, window };
        let count = new.block(blocks).0;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        while new.drawn.len() < count {
            let bits = rng.next_u64();
            new.drawn.extend([0, 16, 32, 48].map(|shift| (bits >> shift) as u16));
        }
        new
    }

    fn groups(&self) -> usize {
        let groups = self.rows.div_ceil(LANES);
        if groups * self.window * LANES % WIDE == 0 { groups } else { groups + 1 }
    }

    fn values(&self) -> usize {
        self.width * self.groups() * self.window * LANES
    }

    /// Where the draws of a block begin: of its attention's weights, of the output of attention, of that of the perceptron.
    fn block(&self, block: usize) -> (usize, usize, usize) {
        let weights = self.heads * self.groups() * self.window * (self.window + 1) / 2 * LANES;
        let first = self.values() + block * (weights + 2 * self.values());
        (first, first + weights, first + weights + self.values())
    }

    fn factor(&self, index: usize) -> f64 {
        let kept = 1.0 / (1.0 - f64::from(self.threshold) / 65_536.0);
        if self.drawn[index] < self.threshold { 0.0 } else { kept }
    }

    /// Factors for tokens, `[rows * window, width]`, from the draws that begin at `first`.
    fn tokens(&self, first: usize) -> Vec<f64> {
        let factor = |index: usize| {
            let (row, place) = (index / self.width / self.window, index / self.width % self.window);
            let token = (row / LANES * self.window + place) * LANES + row % LANES;
            self.factor(first + (token / WIDE * self.width + index % self.width) * WIDE + token % WIDE)
        };
        (0..self.rows * self.window * self.width).map(factor).collect()
    }

    /// Factors for the tokens before the first block.
    pub fn embedded(&self) -> Vec<f64> {
        self.tokens(0)
    }

    /// Factors for the output of attention and that of the perceptron.
    pub fn outputs(&self, block: usize) -> [Vec<f64>; 2] {
        let (_, attention, perceptron) = self.block(block);
        [self.tokens(attention), self.tokens(perceptron)]
    }

    /// Factors for the weights of attention, `[rows, heads, window, window]`.
    pub fn weights(&self, block: usize) -> Vec<f64> {
        let (first, window) = (self.block(block).0, self.window);
        let factor = |index: usize| {
            let (key, query) = (index % window, index / window % window);
            let (head, row) = (index / window / window % self.heads, index / window / window / self.heads);
            let group = head * self.groups() + row / LANES;
            let pair = group * (window * (window + 1) / 2) + query * (query + 1) / 2 + key;
            if key > query { 0.0 } else { self.factor(first + pair * LANES + row % LANES) }
        };
        (0..self.rows * self.heads * window * window).map(factor).collect()
    }
}
