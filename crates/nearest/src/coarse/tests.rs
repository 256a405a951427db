//! What the coarse copy passes over is far, on every level.

use super::coding::Extent;
use super::*;
use crate::{Table, distance2, instructions::Plain};

/// A small generator (splitmix64).
pub(super) struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Near a normal number: of mean 0 and deviation 1.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| (self.next() >> 40) as f32 / (1 << 24) as f32).sum::<f32>() - 6.0
    }
}

/// For every block, whether it is passed over at a bar.
struct PassedOver<'a>(&'a Coarse, &'a [f32], f32);

impl Work for PassedOver<'_> {
    type Output = Option<Vec<bool>>;
    #[inline(always)]
    fn run<I: Instructions>(self, instructions: I) -> Self::Output {
        let PassedOver(coarse, q, bar) = self;
        let mut aim = coarse.aim(q)?;
        let far = |b| {
            let limit = aim.limit(coarse.error(b), bar);
            let (codes, norms) = coarse.blocks(b..b + 1);
            let mut least = [0];
            instructions.least(aim.codes(), codes, norms, &mut least);
            least[0] > limit
        };
        Some((0..coarse.norms.len()).map(far).collect())
    }
}

/// Passes rows and queries of `draw` by, and gives the part of the blocks that was passed over at the distance of the
/// nearest row.
fn passed_over(dim: usize, mut draw: impl FnMut(&mut Numbers) -> f32) -> f64 {
    let mut numbers = Numbers(dim as u64);
    let n = 40 * LANES + 7;
    let rows: Vec<f32> = (0..n * dim).map(|_| draw(&mut numbers)).collect();
    let mut table = Table::from_rows(&rows, dim);
    let coarse = Coarse::of(table.columns_for_tests(), n, dim, Level::best());
    let Some(coarse) = coarse else {
        assert!(rows.iter().all(|x| x.abs() < 1e-35), "rows enough, and large enough");
        return 0.0;
    };
    let (mut over, mut all) = (0u32, 0u32);
    for k in 0..12 {
        let q: Vec<f32> = match k % 4 {
            0 => table.row(k * 31), // at no distance of a row
            _ => (0..dim).map(|_| draw(&mut numbers)).collect(),
        };
        let mut d2: Vec<f32> = rows.chunks(dim).map(|row| distance2(&q, row)).collect();
        d2.resize(41 * LANES, f32::NAN);
        let mut sorted = d2.clone();
        sorted.sort_by(f32::total_cmp);
        for (place, bar) in [0, 1, n / 2].map(|place| (place, sorted[place])) {
            let expected = PassedOver(&coarse, &q, bar).run(Plain);
            for level in Level::available() {
                assert_eq!(level.run(PassedOver(&coarse, &q, bar)), expected, "{level:?}, dim {dim}");
            }
            let Some(passed) = expected else { continue };
            for (block, passed) in d2.chunks(LANES).zip(&passed) {
                // A row at the bar's own distance may win by its index.
                assert!(!passed || block.iter().all(|d| *d > bar || d.is_nan()), "{bar}: {block:?}");
            }
            if place == 0 {
                over += passed.iter().map(|passed| u32::from(*passed)).sum::<u32>();
                all += passed.len() as u32;
            }
        }
    }
    // Searches that use it find what one without it finds.
    for level in Level::available() {
        table = table.at_level(level);
        let q = table.row(17);
        assert_eq!(
            table.nearest(&q).map(|hit| hit.index),
            crate::oracle::nearest(&rows, &q).map(|h| h.index)
        );
    }
    f64::from(over) / f64::from(all)
}

#[test]
fn what_is_passed_over_is_far() {
    for dim in [1, 2, 3, 4, 5, 8, 45, 130] {
        let part = passed_over(dim, Numbers::normal);
        // In few dimensions many rows have the codes of the nearest.
        assert!(part > 0.7 || dim < 4, "{part} of the blocks are passed over in {dim} dimensions");
        // One number in forty lies far out.
        passed_over(dim, |numbers| if numbers.next() % 40 == 0 { 1e6 } else { 1.0 } * numbers.normal());
        // Few values, so that distances tie.
        passed_over(dim, |numbers| (numbers.next() % 3) as f32);
        // A place where numbers are coarse, and sums of squares lose much.
        passed_over(dim, |numbers| 1e5 + numbers.normal());
        for size in [1e-42, 1e-22, 1e18, 1e38] {
            passed_over(dim, |numbers| size * numbers.normal());
        }
        passed_over(dim, |numbers| match numbers.next() % 400 {
            0 => f32::NAN,
            1 => f32::INFINITY,
            _ => numbers.normal(),
        });
    }
    // Whole numbers that the codes meet, with sums of squares that 32 bits round.
    passed_over(WIDEST, |numbers| {
        let x = 120.0 + (numbers.next() % 8) as f32;
        if numbers.next() % 2 == 0 { x } else { -x }
    });
}

#[test]
fn there_is_no_copy_of_what_has_no_extent() {
    let mut table = Table::from_rows(&[3.0; 2 * 300], 2);
    assert!(Coarse::of(table.columns_for_tests(), 300, 2, Level::best()).is_none());
    table.push(&[4.0, 3.0]);
    assert!(Coarse::of(table.columns_for_tests(), 301, 2, Level::best()).is_some());
    assert!(Coarse::of(table.columns_for_tests(), FEWEST - 1, 2, Level::best()).is_none());
    let wide = Table::from_rows(&vec![0.5; 200 * (WIDEST + 1)], WIDEST + 1);
    assert!(Coarse::of(wide.columns_for_tests(), 200, WIDEST + 1, Level::best()).is_none());
}

#[test]
fn what_is_not_finite_has_no_part_in_the_extent() {
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    // Of three dimensions the first has one odd number among -2 to 4, the second one number, the third odd ones alone.
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
