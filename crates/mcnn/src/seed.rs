//! Seeds and random numbers. One seed is forked by name for every use, so that adding a use does not change the others.

use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A seed. [`fork`](Seed::fork) derives independent seeds by name; [`rng`](Seed::rng) makes a generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Seed(pub u64);

impl Seed {
    /// An independent seed for a named use.
    pub fn fork(self, name: &str) -> Seed {
        // FNV-1a over the name, mixed with the parent seed.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Seed(mix(self.0 ^ mix(hash)))
    }

    /// An independent seed for the i-th of many uses (episodes, epochs).
    pub fn nth(self, i: u64) -> Seed {
        Seed(mix(self.0.wrapping_add(mix(i ^ 0x9e37_79b9_7f4a_7c15))))
    }

    /// A generator seeded with this seed.
    pub fn rng(self) -> Rng {
        Rng(Xoshiro256PlusPlus::seed_from_u64(self.0))
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): a bijection in which every input bit affects all output bits.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A random number generator (xoshiro256++). Equal seeds give equal sequences on every machine.
#[derive(Debug, Clone)]
pub struct Rng(Xoshiro256PlusPlus);

impl Rng {
    /// Uniform on [0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.0.random()
    }

    /// Uniform on [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform on 0..n.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n as u64) as usize
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        self.0.sample(rand_distr::StandardNormal)
    }

    /// Uniform on the 64-bit numbers.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A random permutation of 0..n.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forks_differ_by_name_and_agree_by_seed() {
        let seed = Seed(7);
        assert_eq!(seed.fork("gas").rng().bits(), seed.fork("gas").rng().bits());
        assert_ne!(seed.fork("gas"), seed.fork("sag"));
        assert_ne!(seed.fork("gas"), Seed(8).fork("gas"));
        assert_ne!(seed.nth(0), seed.nth(1));
        assert_ne!(seed.nth(0), seed);
    }

    #[test]
    fn a_permutation_contains_every_number_once() {
        let mut order = Seed(1).rng().permutation(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
