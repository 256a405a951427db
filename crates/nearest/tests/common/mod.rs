//! Seeded random numbers for the tests, and equality that treats NaN as equal to NaN.

use nearest::Hit;

/// A small generator (splitmix64), so that the tests need no crate.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// `n` values that tie often: 0, 1 or 2.
    pub fn tied(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.below(3) as f32).collect()
    }

    /// `n` values in [-1, 1), whose sums round.
    pub fn uniform(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0).collect()
    }
}

/// Replaces about half of the rows by copies of others, so that distances tie.
pub fn duplicate(rows: &mut [f32], dim: usize, rng: &mut Rng) {
    let n = rows.len() / dim;
    for _ in 0..n / 2 {
        let (from, to) = (rng.below(n), rng.below(n));
        rows.copy_within(from * dim..(from + 1) * dim, to * dim);
    }
}

/// Asserts that two answers are equal bit for bit, with every NaN alike.
pub fn assert_same(ours: &[Hit], oracle: &[Hit], what: &str) {
    let plain = |hit: &Hit| (hit.index, if hit.d2.is_nan() { f32::NAN.to_bits() } else { hit.d2.to_bits() });
    let (ours, oracle): (Vec<_>, Vec<_>) =
        (ours.iter().map(plain).collect(), oracle.iter().map(plain).collect());
    assert_eq!(ours, oracle, "ours, then the oracle's (index, bits of d2): {what}");
}
