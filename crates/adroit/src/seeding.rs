//! The random numbers of `gymnasium.utils.seeding.np_random(seed)`, which is NumPy's `Generator(PCG64(SeedSequence(seed)))`,
//! as far as the resets of these tasks rng on it. Sources: O'Neill, "PCG" (2014), and NumPy's documentation of both parts.

use std::ops::Range;

const MULTIPLIER: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;

/// A 128-bit generator that gives 64 bits a step (PCG XSL RR 128/64).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pcg64 {
    state: u128,
    increment: u128, // odd
}

impl Pcg64 {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        let [a, b, c, d] = spread(seed).map(u128::from);
        let (start, increment) = (a << 64 | b, (c << 64 | d) << 1 | 1);
        let mut rng = Self { state: increment.wrapping_add(start), increment };
        rng.advance();
        rng
    }

    fn advance(&mut self) {
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.advance();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    /// The next number, uniform in a range.
    pub fn uniform(&mut self, range: Range<f64>) -> f64 {
        let unit = (self.bits() >> 11) as f64 / (1u64 << 53) as f64;
        range.start + (range.end - range.start) * unit
    }
}

/// Four words in which every bit of the seed counts: `SeedSequence(seed).generate_state(4, uint64)`.
fn spread(seed: u64) -> [u64; 4] {
    let mut hash = Hash { constant: 0x43b0_d7e5, factor: 0x931e_8875 };
    let mut pool = [seed as u32, (seed >> 32) as u32, 0, 0].map(|word| hash.of(word));
    for from in 0..4 {
        for to in (0..4).filter(|&to| to != from) {
            let (x, y) = (pool[to], hash.of(pool[from]));
            let mixed = x.wrapping_mul(0xca01_f9dd).wrapping_sub(y.wrapping_mul(0x4973_f715));
            pool[to] = mixed ^ mixed >> 16;
        }
    }
    let mut hash = Hash { constant: 0x8b51_f9dd, factor: 0x58f3_8ded };
    let words = [0, 1, 2, 3, 0, 1, 2, 3].map(|i: usize| u64::from(hash.of(pool[i])));
    [0, 2, 4, 6].map(|i| words[i] | words[i + 1] << 32)
}

/// Hashes words one after another, each in its own way.
struct Hash {
    constant: u32,
    factor: u32,
}

impl Hash {
    fn of(&mut self, word: u32) -> u32 {
        let word = word ^ self.constant;
        self.constant = self.constant.wrapping_mul(self.factor);
        let word = word.wrapping_mul(self.constant);
        word ^ word >> 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By NumPy 2.4.6: the seed, uniform(-0.3, -0.2), uniform(0.1, 0.25), uniform(-1, 1), and the bits of the first two.
    #[rustfmt::skip]
    const VALUES: [(u64, [f64; 3], [u64; 2]); 10] = [
        (0, [-0.2363038312678546, 0.14046800706458054, -0.9180529521276106], [0xa30febcfd9c2825f, 0x4510bdf882d9d721]),
        (1, [-0.24881783752997433, 0.2425695544488903, -0.7116807745607325], [0x8306bdf37922e4ff, 0xf35196bbc152a866]),
        (42, [-0.22260439514440367, 0.16583176596280785, 0.7171958398227649], [0xc621fbcd16d92688, 0x705a5661a791ffc1]),
        (2147483648, [-0.2097131576822701, 0.10826918718787665, 0.9334569492828346], [0xe722628e2338f3e1, 0xe1cdcee3e2d9434]),
        (4294967295, [-0.2748056431955003, 0.1328598694430285, -0.42543055912965966], [0x407f5fa930d8fd9f, 0x3814b22eb9684802]),
        (4294967296, [-0.21102612087218658, 0.18357070753093396, 0.6018161737839443], [0xe3c5ebe285ac1625, 0x8ea09968fe31dbcc]),
        (4294967301, [-0.2225795819626119, 0.17060840247821396, 0.39176068868422975], [0xc6323ec321deb8d1, 0x78814821c73a0583]),
        (123456789012345678, [-0.2972972513931871, 0.2224432981768329, 0.20283994002395178], [0x6eb45f8c176452d, 0xd0f84b1339cfaccc]),
        (9223372036854775808, [-0.21886556214803132, 0.18946789547542237, 0.7365181540192307], [0xcfb443e389167cfd, 0x98b11eb7647f71b8]),
        (18446744073709551615, [-0.2319973321038307, 0.22679676378437114, -0.9851938368014799], [0xae163a7a8c47568f, 0xd86659f5f3382359]),
    ];

    #[test]
    fn the_numbers_are_numpys_bit_by_bit() {
        for (seed, uniform, bits) in VALUES {
            let mut rng = Pcg64::new(seed);
            assert_eq!([rng.bits(), rng.bits()], bits, "{seed}");
            let mut rng = Pcg64::new(seed);
            let mine = [rng.uniform(-0.3..-0.2), rng.uniform(0.1..0.25), rng.uniform(-1.0..1.0)];
            assert_eq!(mine, uniform, "{seed}");
        }
    }

    /// `acc = (31 acc + bits) mod 2^64` over the first four `random_raw` of the seeds `k * 0x9E3779B97F4A7C15 mod 2^64`.
    #[test]
    fn ten_thousand_seeds_give_numpys_numbers() {
        let mut sum = 0u64;
        for k in 0..10_000u64 {
            let mut rng = Pcg64::new(k.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            for _ in 0..4 {
                sum = sum.wrapping_mul(31).wrapping_add(rng.bits());
            }
        }
        assert_eq!(sum, 0xeadc_4c6d_f478_b6bf);
    }
}
