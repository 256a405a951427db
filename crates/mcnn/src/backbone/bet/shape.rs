//! How a batch lies while it is trained on, and what is dropped of it.

use std::ops::Range;

use kernels::WIDE;

use super::BetSettings;
use crate::seed::Seed;

/// Rows that attention goes through side by side.
pub(super) const LANES: usize = 16;

/// Tokens lie in panels ([`Panels`](kernels::Panels)): `[panels, numbers of a token, WIDE]`. In a group are [`LANES`] rows, side by
/// side, and their tokens lie one place of the window after the other; rows and tokens without a meaning are added until groups
/// and panels are whole. Weights of attention lie as `[heads, groups, pairs, LANES]`; a pair is a place and one that it sees,
/// `(place, seen)` in the order (0, 0), (1, 0), (1, 1), (2, 0) and so on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub width: usize,
    pub heads: usize,
    pub window: usize,
    pub rows: usize, // those with a meaning
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

    /// Tokens, those without a meaning included.
    pub fn tokens(&self) -> usize {
        self.groups() * self.window * LANES
    }

    /// Which token is that of a row and a place.
    pub fn token(&self, row: usize, place: usize) -> usize {
        (row / LANES * self.window + place) * LANES + row % LANES
    }

    /// The place of the window that some [`LANES`] tokens are at, by which of them they are.
    #[inline(always)]
    pub fn place(&self, lanes: usize) -> usize {
        lanes % self.window
    }

    /// Numbers that all tokens have.
    pub fn numbers(&self) -> usize {
        self.width * self.tokens()
    }

    /// Where the numbers of a panel of tokens lie.
    pub fn panel(&self, panel: usize) -> Range<usize> {
        let size = self.width * WIDE;
        panel * size..(panel + 1) * size
    }

    /// Where a number of a token lies.
    #[inline(always)]
    pub fn at(&self, token: usize, number: usize) -> usize {
        (token / WIDE * self.width + number) * WIDE + token % WIDE
    }

    /// Pairs of a place and one that it sees.
    pub fn pairs(&self) -> usize {
        self.window * (self.window + 1) / 2
    }

    /// Weights that attention has in a block.
    pub fn chances(&self) -> usize {
        self.heads * self.groups() * self.pairs() * LANES
    }
}

/// Sets a share of numbers to 0 and makes the others larger by as much, so that their mean stays. Drawn from a seed, so that a
/// resumed run draws what an unbroken one does.
#[derive(Debug, Default)]
pub(super) struct Dropout {
    below: u16,      // of 65536, what is dropped
    kept: f32,       // what the others are multiplied by
    drawn: Vec<u16>, // tokens; of each block chances, what is mixed, what the perceptron says
}

/// What is dropped of some numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask<'a> {
    pub below: u16,
    pub kept: f32,
    pub drawn: &'a [u16],
}

impl Dropout {
    /// NoiseSample what a step drops. `share`: 0 up to but not 1, rounded to 1 / 65536.
    pub fn draw(&mut self, share: f64, seed: Seed, shape: &Shape) {
        self.below = (share * 65536.0).round().min(65535.0) as u16;
        self.kept = 1.0 / (1.0 - f32::from(self.below) / 65536.0);
        let count = shape.numbers() + shape.blocks * (shape.chances() + 2 * shape.numbers());
        self.drawn.resize(count.next_multiple_of(4), 0);
        if self.below > 0 {
            let mut rng = seed.rng();
            for drawn in self.drawn.as_chunks_mut::<4>().0 {
                let bits = rng.bits();
                *drawn = [0, 16, 32, 48].map(|at| (bits >> at) as u16);
            }
        }
    }

    fn mask(&self, first: usize, count: usize) -> Mask<'_> {
        Mask { below: self.below, kept: self.kept, drawn: &self.drawn[first..first + count] }
    }

    /// Of the tokens at the start.
    pub fn tokens(&self, shape: &Shape) -> Mask<'_> {
        self.mask(0, shape.numbers())
    }

    /// Of a block: of the weights of attention, of what is mixed by them, and of what the perceptron says.
    pub fn block(&self, shape: &Shape, block: usize) -> [Mask<'_>; 3] {
        let (numbers, chances) = (shape.numbers(), shape.chances());
        let first = numbers + block * (chances + 2 * numbers);
        let mixed = first + chances;
        [self.mask(first, chances), self.mask(mixed, numbers), self.mask(mixed + numbers, numbers)]
    }
}

impl<'a> Mask<'a> {
    /// A number, or 0.
    #[inline(always)]
    pub fn of(&self, drawn: u16, x: f32) -> f32 {
        if drawn < self.below { 0.0 } else { x * self.kept }
    }

    /// Of some of the numbers.
    pub fn of_range(self, range: Range<usize>) -> Self {
        Self { drawn: &self.drawn[range], ..self }
    }
}
