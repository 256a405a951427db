//! The grid of a quantized copy, and the quantization of points on it.
//!
//! Points are quantized in `f32`, for as many lanes as possible: quantization is most of the cost of changing a row. Let
//! `P = (x - m) / s` be the exact grid coordinate of a value `x`, and `p` the computed one, after two rounded operations. Then,
//! for every code `k`,
//!
//! ```text
//! |p - P|  <=  2^-22 |P|  <=  2^-22 (|P - k| + 127)
//! ```
//!
//! The relative error of `p - k`, its square and their sum is below `2^-17`. So the distance of a point to its codes is at most
//! the computed one times [`ERROR_FACTOR`] plus `sqrt(dim)` times [`ERROR_TERM`].

use super::{Column, Instructions, Kernel, LANES, Level, QUAD};

/// The largest code.
const MAX_CODE: f32 = 127.0;
/// See above; valid up to 1024 dimensions.
const ERROR_FACTOR: f64 = 1.0 + 1.0 / (1 << 17) as f64;
/// See above: `2^-22` times the largest code, doubled.
const ERROR_TERM: f64 = MAX_CODE as f64 / (1 << 21) as f64;

/// Dimensions that are quantized together, with as many accumulators of every sum, so that they are vectors.
pub(super) const ACCUMULATORS: usize = 4 * QUAD;

/// The grid of a table's codes `k`: the points `center + s k`.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    center: Vec<[f32; ACCUMULATORS]>, // [dim], padded with 0
    inverse_scale: f32,               // 1 / s; `s` is defined by it
    error_term: f64,                  // sqrt(dim) ERROR_TERM
}

/// Sums over the codes `k` of a point.
pub(super) struct Quantized {
    pub squares: i32, // sum k^2
    pub sum: i32,     // sum k
    pub error: f64, // upper bound of the point's distance to its codes, in units of s; not finite if the point is not
}

impl Grid {
    /// The grid for `rows` rows in `columns`, `[blocks, dim]`; `None` if they are all alike.
    pub(super) fn of(columns: &[Column], rows: usize, dim: usize, level: Level) -> Option<Grid> {
        let (center, extent) = level.run(Extent { columns, rows, dim })?;
        let mut padded = vec![[0.0; ACCUMULATORS]; dim.div_ceil(ACCUMULATORS)];
        padded.as_flattened_mut()[..dim].copy_from_slice(&center);
        let grid = |scale: f32| Grid {
            center: padded.clone(),
            inverse_scale: 1.0 / scale,
            error_term: ERROR_TERM * (dim as f64).sqrt(),
        };
        // A smaller scale is finer but clips outliers. The scale with the least error on a sample of the rows is chosen.
        let mut sample = vec![0.0; dim * rows.min(256)];
        for (k, out) in sample.chunks_exact_mut(dim).enumerate() {
            let i = k * rows / rows.min(256);
            let block = &columns[i / LANES * dim..];
            out.iter_mut().zip(block).for_each(|(x, column)| *x = column.0[i % LANES]);
        }
        let scales = (0..8).map(|k| extent / MAX_CODE / (1 << k) as f32);
        let grids = scales.filter(|&scale| scale > f32::MIN_POSITIVE).map(grid);
        let errors = grids.map(|grid| (level.run(Errors { rows: &sample, dim, grid: &grid }), grid));
        errors.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, grid)| grid)
    }

    /// 1 / s.
    #[inline(always)]
    pub(super) fn inverse_scale(&self) -> f64 {
        f64::from(self.inverse_scale)
    }

    /// Quantizes a point. Calls `put` with four quads of codes at a time and the index of the first; codes beyond the last
    /// dimension are 0. The codes are passed in registers: small stores followed by larger loads of the same bytes stall.
    #[inline(always)]
    pub(super) fn quantize(&self, point: &[f32], mut put: impl FnMut(usize, [[u8; QUAD]; 4])) -> Quantized {
        // Integers as `f32`: exact, because all sums are at most 1024 * 127^2 < 2^24.
        let (mut squares, mut codes, mut off) =
            ([0.0; ACCUMULATORS], [0.0; ACCUMULATORS], [0.0; ACCUMULATORS]);
        for (place, (point, center)) in point.chunks(ACCUMULATORS).zip(&self.center).enumerate() {
            // In the padding, point, center, code and error are 0.
            let point = match point.first_chunk::<ACCUMULATORS>() {
                Some(whole) => *whole,
                None => std::array::from_fn(|l| point.get(l).copied().unwrap_or(0.0)),
            };
            let mut bytes = [0; ACCUMULATORS];
            for l in 0..ACCUMULATORS {
                let (byte, k, beyond) = code(point[l], center[l], self.inverse_scale);
                bytes[l] = byte;
                squares[l] += k * k;
                codes[l] += k;
                off[l] += beyond * beyond;
            }
            let all = u128::from_le_bytes(bytes);
            put(4 * place, [0, 32, 64, 96].map(|by| ((all >> by) as u32).to_le_bytes()));
        }
        Quantized {
            squares: total(squares) as i32,
            sum: total(codes) as i32,
            error: f64::from(total(off)).sqrt() * ERROR_FACTOR + self.error_term,
        }
    }
}

/// The code of a value as a byte and as a number, and the value's distance to it in units of `s`, which is NaN for NaN.
#[inline(always)]
fn code(x: f32, center: f32, inverse_scale: f32) -> (u8, f32, f32) {
    // Adding this rounds to an integer and leaves it in the lowest bits, by instructions that all levels have.
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23
    let coordinate = (x - center) * inverse_scale;
    let clipped = if coordinate > -MAX_CODE { coordinate } else { -MAX_CODE };
    let clipped = if clipped < MAX_CODE { clipped } else { MAX_CODE };
    let rounded = clipped + ROUND;
    let k = rounded - ROUND;
    (rounded.to_bits() as u8, k, coordinate - k)
}

/// The sum of the accumulators, by halves.
#[inline(always)]
fn total(mut accumulators: [f32; ACCUMULATORS]) -> f32 {
    let mut half = ACCUMULATORS / 2;
    while half > 0 {
        for l in 0..half {
            accumulators[l] += accumulators[l + half];
        }
        half /= 2;
    }
    accumulators[0]
}

/// The sum of the finite distances of rows, `[rows, dim]`, to their codes on a grid, in units of the table.
struct Errors<'a> {
    rows: &'a [f32],
    dim: usize,
    grid: &'a Grid,
}

impl Kernel for Errors<'_> {
    type Output = f64;
    #[inline(always)]
    fn run<I: Instructions>(self, _: I) -> f64 {
        let mut sum = 0.0;
        for row in self.rows.chunks_exact(self.dim) {
            let error = self.grid.quantize(row, |_, _| ()).error;
            sum += if error.is_finite() { error / self.grid.inverse_scale() } else { 0.0 };
        }
        sum
    }
}

/// The center of the finite values of each dimension, and the largest distance of one from its center; `None` if no value is
/// finite, or all values of each dimension are equal.
pub(super) struct Extent<'a> {
    pub columns: &'a [Column],
    pub rows: usize,
    pub dim: usize,
}

impl Kernel for Extent<'_> {
    type Output = Option<(Vec<f32>, f32)>;
    #[inline(always)]
    fn run<I: Instructions>(self, _: I) -> Self::Output {
        let Extent { columns, rows, dim } = self;
        let mut lows = vec![Column([f32::INFINITY; LANES]); dim];
        let mut highs = vec![Column([f32::NEG_INFINITY; LANES]); dim];
        let mut widen = |block: &[Column], lanes: usize| {
            for ((column, low), high) in block.iter().zip(&mut lows).zip(&mut highs) {
                for ((&x, low), high) in column.0.iter().zip(&mut low.0).zip(&mut high.0).take(lanes) {
                    // False for NaN and for infinities.
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
        let center = lows.iter().zip(&highs).map(|(lows, highs)| {
            let low = lows.0.iter().copied().fold(f32::INFINITY, f32::min);
            let high = highs.0.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            if low > high {
                return 0.0;
            }
            most = most.max(high / 2.0 - low / 2.0);
            low / 2.0 + high / 2.0
        });
        let center = center.collect();
        (most > 0.0).then_some((center, most))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Rng;
    use super::*;
    use crate::Table;

    #[test]
    fn error_bounds_of_quantized_points_hold_and_are_tight() {
        let mut rng = Rng(7);
        for (dim, size) in
            [1, 3, 16, 45, 512, 1024].into_iter().flat_map(|d| [1e-36, 1.0, 1e30].map(|s| (d, s)))
        {
            let rows: Vec<f32> = (0..40 * dim).map(|_| size * (rng.normal() + 9.0)).collect();
            let table = Table::from_rows(&rows, dim);
            let grid = Grid::of(table.columns_for_tests(), 40, dim, Level::best()).expect("rows that differ");
            let s = 1.0 / grid.inverse_scale();
            for k in 0..40 {
                // A row, a point as near to the grid as `f32` allows, and an outlier.
                let point: Vec<f32> = (0..dim)
                    .map(|j| match k % 3 {
                        0 => rows[k * dim + j],
                        1 => {
                            let on = (rng.next() % 255) as f64 - 127.0;
                            (f64::from(grid.center.as_flattened()[j]) + s * on) as f32
                        }
                        _ => size * 20.0 * rng.normal(),
                    })
                    .collect();
                let mut codes = Vec::new();
                let quantized = grid.quantize(&point, |quad, of| {
                    assert_eq!(quad * QUAD, codes.len());
                    codes.extend(of.as_flattened().iter().map(|&k| i32::from(k as i8)));
                });
                assert!(codes[dim..].iter().all(|&k| k == 0), "beyond the last dimension");
                assert_eq!(quantized.squares, codes.iter().map(|k| k * k).sum::<i32>());
                assert_eq!(quantized.sum, codes.iter().sum::<i32>());
                let off = point.iter().zip(grid.center.as_flattened()).zip(&codes).map(|((&x, &m), &k)| {
                    (f64::from(x) - f64::from(m)) * grid.inverse_scale() - f64::from(k)
                });
                let distance = off.map(|off| off * off).sum::<f64>().sqrt();
                let bound = quantized.error;
                assert!(bound >= distance, "bound {bound} of distance {distance}, {dim} x {size}");
                assert!(
                    bound <= distance * 1.0001 + 1e-2,
                    "bound {bound} of distance {distance} is loose, {dim} x {size}"
                );
            }
        }
    }
}
