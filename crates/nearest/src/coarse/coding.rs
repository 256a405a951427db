//! The grid of a coarse copy, and the coding of points on it.
//!
//! Coding is done in 32 bits, so that as many numbers as possible are coded at once: it is what a row costs that moves. Let
//! `P` be the place `(x - m) / s` of a number and `p` what is computed of it, two operations later. Then
//!
//! ```text
//! |p - P|  <=  2^-22 |P|  <=  2^-22 (|P - k| + 127)
//! ```
//!
//! for any code `k`, and `p - k`, its square and their sums are off by less than one part in 2^17. So the distance of a
//! point to its codes is at most what is computed for it, grown by [`GROW`], and [`LOST`] for every dimension.

use super::{Column, Instructions, LANES, Level, QUAD, Work};

/// The largest code.
const MOST: f32 = 127.0;
/// See above: more than enough for a thousand dimensions.
const GROW: f64 = 1.0 + 1.0 / (1 << 17) as f64;
/// See above: twice `2^-22` of the largest code.
const LOST: f64 = MOST as f64 / (1 << 21) as f64;

/// How many dimensions are coded together: the sums are taken in as many chains, for vectors to take them.
pub(super) const CHAINS: usize = 4 * QUAD;

/// Where the codes of a table lie: `middle + s k`.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    middle: Vec<[f32; CHAINS]>, // [dim], and 0 beyond
    inverse: f32,               // 1 / s, which is what `s` is defined by
    lost: f64,                  // of a distance, in `s`
}

/// What the codes of a point come to.
pub(super) struct Coded {
    pub squares: i32, // the sum of k^2
    pub codes: i32,   // the sum of k
    pub error: f64,   // the point is no farther from its codes, in `s`; not finite if the point is not
}

impl Grid {
    /// The grid for rows in blocks of columns; none where they are all alike.
    pub(super) fn of(columns: &[Column], rows: usize, dim: usize, level: Level) -> Option<Grid> {
        let (middle, most) = level.run(Extent { columns, rows, dim })?;
        let mut padded = vec![[0.0; CHAINS]; dim.div_ceil(CHAINS)];
        padded.as_flattened_mut()[..dim].copy_from_slice(&middle);
        let grid = |scale: f32| Grid {
            middle: padded.clone(),
            inverse: 1.0 / scale,
            lost: LOST * (dim as f64).sqrt(),
        };
        // A smaller scale is finer, but cuts off what lies far out: the best for a sample of the rows.
        let mut sample = vec![0.0; dim * rows.min(256)];
        for (k, out) in sample.chunks_exact_mut(dim).enumerate() {
            let i = k * rows / rows.min(256);
            let block = &columns[i / LANES * dim..];
            out.iter_mut().zip(block).for_each(|(x, column)| *x = column.0[i % LANES]);
        }
        let scales = (0..8).map(|k| most / MOST / (1 << k) as f32);
        let grids = scales.filter(|&scale| scale > f32::MIN_POSITIVE).map(grid);
        let errors = grids.map(|grid| (level.run(Errors { rows: &sample, dim, grid: &grid }), grid));
        errors.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, grid)| grid)
    }

    /// 1 / s.
    #[inline(always)]
    pub(super) fn inverse(&self) -> f64 {
        f64::from(self.inverse)
    }

    /// Codes a point, and hands its codes to `put` as they come, with the number of the first quad; those beyond the last
    /// dimension are 0. Not by way of memory: what was written in small parts is slow to be read in large ones.
    #[inline(always)]
    pub(super) fn code(&self, point: &[f32], mut put: impl FnMut(usize, [[u8; QUAD]; 4])) -> Coded {
        // Whole numbers in 32 bits, which 2^24 is above the largest sum of: they are exact.
        let (mut squares, mut codes, mut off) = ([0.0; CHAINS], [0.0; CHAINS], [0.0; CHAINS]);
        for (place, (point, middle)) in point.chunks(CHAINS).zip(&self.middle).enumerate() {
            // Where the point and the middle are 0, so are the code and the distance.
            let point = match point.first_chunk::<CHAINS>() {
                Some(whole) => *whole,
                None => std::array::from_fn(|l| point.get(l).copied().unwrap_or(0.0)),
            };
            let mut bytes = [0; CHAINS];
            for l in 0..CHAINS {
                let (byte, k, beyond) = code(point[l], middle[l], self.inverse);
                bytes[l] = byte;
                squares[l] += k * k;
                codes[l] += k;
                off[l] += beyond * beyond;
            }
            let all = u128::from_le_bytes(bytes);
            put(4 * place, [0, 32, 64, 96].map(|by| ((all >> by) as u32).to_le_bytes()));
        }
        Coded {
            squares: total(squares) as i32,
            codes: total(codes) as i32,
            error: f64::from(total(off)).sqrt() * GROW + self.lost,
        }
    }
}

/// The code of a number as a byte and as a number, and how far the number is from it, in `s`. What is no number has no code
/// and is far from it.
#[inline(always)]
fn code(x: f32, middle: f32, inverse: f32) -> (u8, f32, f32) {
    // Adding this rounds to whole numbers, and leaves them in the lowest bits: instructions that every vector has.
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23
    let place = (x - middle) * inverse;
    let near = if place > -MOST { place } else { -MOST };
    let near = if near < MOST { near } else { MOST };
    let rounded = near + ROUND;
    let k = rounded - ROUND;
    (rounded.to_bits() as u8, k, place - k)
}

/// The sum of the chains, halves on halves.
#[inline(always)]
fn total(mut chains: [f32; CHAINS]) -> f32 {
    let mut half = CHAINS / 2;
    while half > 0 {
        for l in 0..half {
            chains[l] += chains[l + half];
        }
        half /= 2;
    }
    chains[0]
}

/// The distances of rows from their codes on a grid, added up, in units of the table: of those that are finite.
struct Errors<'a> {
    rows: &'a [f32],
    dim: usize,
    grid: &'a Grid,
}

impl Work for Errors<'_> {
    type Output = f64;
    #[inline(always)]
    fn run<I: Instructions>(self, _: I) -> f64 {
        let mut sum = 0.0;
        for row in self.rows.chunks_exact(self.dim) {
            let error = self.grid.code(row, |_, _| ()).error;
            sum += if error.is_finite() { error / self.grid.inverse() } else { 0.0 };
        }
        sum
    }
}

/// The middle of what is finite in every dimension, and the largest distance from it; none if nothing is finite or all
/// is alike.
pub(super) struct Extent<'a> {
    pub columns: &'a [Column],
    pub rows: usize,
    pub dim: usize,
}

impl Work for Extent<'_> {
    type Output = Option<(Vec<f32>, f32)>;
    #[inline(always)]
    fn run<I: Instructions>(self, _: I) -> Self::Output {
        let Extent { columns, rows, dim } = self;
        let mut lows = vec![Column([f32::INFINITY; LANES]); dim];
        let mut highs = vec![Column([f32::NEG_INFINITY; LANES]); dim];
        let mut widen = |block: &[Column], lanes: usize| {
            for ((column, low), high) in block.iter().zip(&mut lows).zip(&mut highs) {
                for ((&x, low), high) in column.0.iter().zip(&mut low.0).zip(&mut high.0).take(lanes) {
                    // What is no number is neither.
                    *low = if x < *low && x > f32::NEG_INFINITY { x } else { *low };
                    *high = if x > *high && x < f32::INFINITY { x } else { *high };
                }
            }
        };
        for (b, block) in columns.chunks_exact(dim).enumerate().take(rows.div_ceil(LANES)) {
            match rows - b * LANES {
                0..LANES => widen(block, rows - b * LANES),
                _ => widen(block, LANES),
            }
        }
        let mut most = 0.0_f32;
        let middle = lows.iter().zip(&highs).map(|(lows, highs)| {
            let low = lows.0.iter().copied().fold(f32::INFINITY, f32::min);
            let high = highs.0.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            if low > high {
                return 0.0;
            }
            most = most.max(high / 2.0 - low / 2.0);
            low / 2.0 + high / 2.0
        });
        let middle = middle.collect();
        (most > 0.0).then_some((middle, most))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Numbers;
    use super::*;
    use crate::Table;

    #[test]
    fn points_are_no_farther_from_their_codes_than_is_said() {
        let mut numbers = Numbers(7);
        for (dim, size) in
            [1, 3, 16, 45, 512, 1024].into_iter().flat_map(|d| [1e-36, 1.0, 1e30].map(|s| (d, s)))
        {
            let rows: Vec<f32> = (0..40 * dim).map(|_| size * (numbers.normal() + 9.0)).collect();
            let table = Table::from_rows(&rows, dim);
            let grid = Grid::of(table.columns_for_tests(), 40, dim, Level::best()).expect("rows that differ");
            let s = 1.0 / grid.inverse();
            for k in 0..40 {
                // A point of the rows, one as near to the grid as 32 bits come, and one far out.
                let point: Vec<f32> = (0..dim)
                    .map(|j| match k % 3 {
                        0 => rows[k * dim + j],
                        1 => {
                            let on = (numbers.next() % 255) as f64 - 127.0;
                            (f64::from(grid.middle.as_flattened()[j]) + s * on) as f32
                        }
                        _ => size * 20.0 * numbers.normal(),
                    })
                    .collect();
                let mut codes = Vec::new();
                let coded = grid.code(&point, |quad, of| {
                    assert_eq!(quad * QUAD, codes.len());
                    codes.extend(of.as_flattened().iter().map(|&k| i32::from(k as i8)));
                });
                assert!(codes[dim..].iter().all(|&k| k == 0), "beyond the last dimension");
                assert_eq!(coded.squares, codes.iter().map(|k| k * k).sum::<i32>());
                assert_eq!(coded.codes, codes.iter().sum::<i32>());
                let off = point
                    .iter()
                    .zip(grid.middle.as_flattened())
                    .zip(&codes)
                    .map(|((&x, &m), &k)| (f64::from(x) - f64::from(m)) * grid.inverse() - f64::from(k));
                let far = off.map(|off| off * off).sum::<f64>().sqrt();
                let said = coded.error;
                assert!(
                    said >= far,
                    "{said} is said of a point that is {far} from its codes, {dim} x {size}"
                );
                assert!(said <= far * 1.0001 + 1e-2, "{said} is said, {far} would do, {dim} x {size}");
            }
        }
    }
}
