//! Blocks that the quantized copy prunes contain no answer, on every level.

use super::grid::Extent;
use super::*;
use crate::{Table, distance2, instructions::Plain};

/// A small generator (splitmix64).
pub(super) struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Approximately standard normal.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| (self.next() >> 40) as f32 / (1 << 24) as f32).sum::<f32>() - 6.0
    }
}

/// For every block, whether it is pruned at a threshold.
struct Pruned<'a>(&'a QuantizedCopy, &'a [f32], f32);

impl Kernel for Pruned<'_> {
    type Output = Option<Vec<bool>>;
    #[inline(always)]
    fn run<I: Instructions>(self, instructions: I) -> Self::Output {
        let Pruned(copy, q, threshold) = self;
        let mut query = copy.quantize_query(q)?;
        let is_pruned = |b| {
            let limit = query.limit(copy.error(b), threshold);
            let (codes, norms) = copy.blocks(b..b + 1);
            let mut minimum = [0];
            instructions.block_minima(query.codes(), codes, norms, &mut minimum);
            minimum[0] > limit
        };
        Some((0..copy.norms.len()).map(is_pruned).collect())
    }
}

/// Checks rows and queries drawn by `draw`; returns the share of blocks that is pruned at the distance of the nearest row.
fn pruned_share(dim: usize, mut draw: impl FnMut(&mut Rng) -> f32) -> f64 {
    let mut rng = Rng(dim as u64);
    let n = 40 * LANES + 7;
    let rows: Vec<f32> = (0..n * dim).map(|_| draw(&mut rng)).collect();
    let mut table = Table::from_rows(&rows, dim);
    let copy = QuantizedCopy::of(table.columns_for_tests(), n, dim, Level::best());
    let Some(copy) = copy else {
        assert!(rows.iter().all(|x| x.abs() < 1e-35), "the rows are many and differ");
        return 0.0;
    };
    let (mut pruned, mut all) = (0u32, 0u32);
    for k in 0..12 {
        let q: Vec<f32> = match k % 4 {
            0 => table.row(k * 31), // at distance 0 of a row
            _ => (0..dim).map(|_| draw(&mut rng)).collect(),
        };
        let mut d2: Vec<f32> = rows.chunks(dim).map(|row| distance2(&q, row)).collect();
        d2.resize(41 * LANES, f32::NAN);
        let mut sorted = d2.clone();
        sorted.sort_by(f32::total_cmp);
        for (place, threshold) in [0, 1, n / 2].map(|place| (place, sorted[place])) {
            let expected = Pruned(&copy, &q, threshold).run(Plain);
            for level in Level::available() {
                assert_eq!(level.run(Pruned(&copy, &q, threshold)), expected, "{level:?}, dim {dim}");
            }
            let Some(found) = expected else { continue };
            for (block, is_pruned) in d2.chunks(LANES).zip(&found) {
                // A row at the threshold itself may win by its index.
                let is_far = block.iter().all(|d| *d > threshold || d.is_nan());
                assert!(!is_pruned || is_far, "{threshold}: {block:?}");
            }
            if place == 0 {
                pruned += found.iter().map(|is_pruned| u32::from(*is_pruned)).sum::<u32>();
                all += found.len() as u32;
            }
        }
    }
    // Searches that use the copy equal the oracle.
    for level in Level::available() {
        table = table.at_level(level);
        let q = table.row(17);
        assert_eq!(
            table.nearest(&q).map(|hit| hit.index),
            crate::oracle::nearest(&rows, &q).map(|h| h.index)
        );
    }
    f64::from(pruned) / f64::from(all)
}

#[test]
fn pruned_blocks_contain_no_row_within_the_threshold() {
    for dim in [1, 2, 3, 4, 5, 8, 45, 130] {
        let share = pruned_share(dim, Rng::normal);
        // In few dimensions many rows have the codes of the nearest.
        assert!(share > 0.7 || dim < 4, "{share} of the blocks are pruned in {dim} dimensions");
        // One value in forty is an outlier.
        pruned_share(dim, |rng| if rng.next() % 40 == 0 { 1e6 } else { 1.0 } * rng.normal());
        // Few values, so that distances tie.
        pruned_share(dim, |rng| (rng.next() % 3) as f32);
        // Far from the origin, where `f32` is coarse and sums of squares lose much.
        pruned_share(dim, |rng| 1e5 + rng.normal());
        for size in [1e-42, 1e-22, 1e18, 1e38] {
            pruned_share(dim, |rng| size * rng.normal());
        }
        pruned_share(dim, |rng| match rng.next() % 400 {
            0 => f32::NAN,
            1 => f32::INFINITY,
            _ => rng.normal(),
        });
    }
    // Integers that the codes represent exactly, with sums of squares that `f32` rounds.
    pruned_share(MAX_DIM, |rng| {
        let x = 120.0 + (rng.next() % 8) as f32;
        if rng.next() % 2 == 0 { x } else { -x }
    });
}

#[test]
fn there_is_no_copy_of_rows_that_are_alike_too_few_or_too_wide() {
    let mut table = Table::from_rows(&[3.0; 2 * 300], 2);
    assert!(QuantizedCopy::of(table.columns_for_tests(), 300, 2, Level::best()).is_none());
    table.push(&[4.0, 3.0]);
    assert!(QuantizedCopy::of(table.columns_for_tests(), 301, 2, Level::best()).is_some());
    assert!(QuantizedCopy::of(table.columns_for_tests(), MIN_ROWS - 1, 2, Level::best()).is_none());
    let wide = Table::from_rows(&vec![0.5; 200 * (MAX_DIM + 1)], MAX_DIM + 1);
    assert!(QuantizedCopy::of(wide.columns_for_tests(), 200, MAX_DIM + 1, Level::best()).is_none());
}

#[test]
fn values_that_are_not_finite_do_not_count_in_the_extent() {
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    // Of three dimensions, the first has one odd value among -2 to 4, the second one finite value, the third none.
    for level in Level::available() {
        for odd in odd {
            let mut rows: Vec<f32> = (0..7).flat_map(|i| [i as f32 - 2.0, odd, odd]).collect();
            rows[9] = odd;
            rows[13] = 5.0;
            let table = Table::from_rows(&rows, 3);
            let columns = table.columns_for_tests();
            let extent = level.run(Extent { columns, rows: 7, dim: 3 });
            assert_eq!(extent, Some((vec![1.0, 5.0, 0.0], 3.0)), "{odd}, {level:?}");
        }
    }
}
