//! Layer normalization of rows (Ba et al., 2016), forward and backward.

use crate::backbone::product::vectors;

/// Added to a variance, as PyTorch does.
const EPSILON: f32 = 1e-5;
/// Partial sums of a row, added up in one order, so that a sum is the same for every vector width.
const LANES: usize = 16;

#[inline(always)]
fn sum(row: &[f32], term: impl Fn(usize, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (groups, rest) = row.as_chunks::<LANES>();
    for (k, group) in groups.iter().enumerate() {
        for (lane, (sum, x)) in lanes.iter_mut().zip(group).enumerate() {
            *sum += term(k * LANES + lane, *x);
        }
    }
    let done = groups.len() * LANES;
    let rest: f32 = rest.iter().enumerate().map(|(k, x)| term(done + k, *x)).sum();
    lanes.iter().sum::<f32>() + rest
}

/// Standardizes a row in place. Returns the inverse of its standard deviation.
#[inline(always)]
fn standardize_row(row: &mut [f32]) -> f32 {
    let share = 1.0 / row.len() as f32;
    let mean = sum(row, |_, x| x) * share;
    row.iter_mut().for_each(|x| *x -= mean);
    let inverse = 1.0 / (sum(row, |_, x| x * x) * share + EPSILON).sqrt();
    row.iter_mut().for_each(|x| *x *= inverse);
    inverse
}

/// Writes `x` normalized, scaled and shifted, of one row.
pub(super) fn normalize(x: &[f32], scale: &[f32], shift: &[f32], y: &mut Vec<f32>) {
    y.clear();
    y.extend_from_slice(x);
    vectors(|| {
        standardize_row(y);
        y.iter_mut().zip(scale.iter().zip(shift)).for_each(|(y, (scale, shift))| *y = *y * scale + shift);
    });
}

/// What the backward pass needs of a forward pass.
#[derive(Debug, Default)]
pub(super) struct Normalized {
    values: Vec<f32>,  // standardized: [rows, width]
    inverse: Vec<f32>, // [rows]
}

impl Normalized {
    /// Writes rows `x` normalized, scaled and shifted.
    pub fn forward(&mut self, x: &[f32], scale: &[f32], shift: &[f32], y: &mut Vec<f32>) {
        let width = scale.len();
        self.values.clear();
        self.values.extend_from_slice(x);
        self.inverse.resize(x.len() / width, 0.0);
        y.resize(x.len(), 0.0);
        vectors(|| {
            let rows = self.values.chunks_exact_mut(width).zip(&mut self.inverse);
            for ((row, inverse), y) in rows.zip(y.chunks_exact_mut(width)) {
                *inverse = standardize_row(row);
                for ((y, x), (scale, shift)) in y.iter_mut().zip(row).zip(scale.iter().zip(shift)) {
                    *y = *x * scale + shift;
                }
            }
        });
    }

    /// From the gradient of the output, `[rows, width]`: adds that of the input to `before`, and writes those of scale and shift.
    pub fn backward(
        &self,
        delta: &[f32],
        scale: &[f32],
        before: &mut [f32],
        [of_scale, of_shift]: [&mut [f32]; 2],
    ) {
        let width = scale.len();
        let share = 1.0 / width as f32;
        of_scale.fill(0.0);
        of_shift.fill(0.0);
        vectors(|| {
            let rows = delta.chunks_exact(width).zip(self.values.chunks_exact(width)).zip(&self.inverse);
            for (((delta, x), inverse), before) in rows.zip(before.chunks_exact_mut(width)) {
                for ((d, x), (a, b)) in delta.iter().zip(x).zip(of_scale.iter_mut().zip(of_shift.iter_mut()))
                {
                    *a += d * x;
                    *b += d;
                }
                let mean = sum(delta, |k, d| d * scale[k]) * share;
                let along = sum(delta, |k, d| d * scale[k] * x[k]) * share;
                for ((before, d), (x, scale)) in before.iter_mut().zip(delta).zip(x.iter().zip(scale)) {
                    *before += inverse * (d * scale - mean - x * along);
                }
            }
        });
    }
}
