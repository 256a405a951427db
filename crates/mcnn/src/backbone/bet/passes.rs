//! Elementwise operations on panels of tokens, each in a single pass.

use std::array::from_fn;

use kernels::WIDE;

use super::shape::{LANES, Mask, Shape};
use crate::backbone::product::widest;

/// One feature of every token of a panel.
type Row = [f32; WIDE];

#[inline(always)]
fn rows(panels: &[f32]) -> &[Row] {
    panels.as_chunks().0
}

#[inline(always)]
fn rows_mut(panels: &mut [f32]) -> &mut [Row] {
    panels.as_chunks_mut().0
}

widest! {
    /// The sum of each feature over all tokens.
    pub(super) fn sum_rows<'a>(panels: &'a [f32], out: &'a mut [f32]) {
        let count = out.len();
        for (row, out) in out.iter_mut().enumerate() {
            let mut sums = [0.0; WIDE];
            for row in rows(panels).iter().skip(row).step_by(count) {
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
            *out = sums.iter().sum();
        }
    }
}

widest! {
    /// Adds a bias and the position embedding (`[window, width]`) of its step to every token; then dropout.
    pub(super) fn add_positions<'a>(shape: &'a Shape, tokens: &'a mut [f32], bias: &'a [f32], positions: &'a [f32], mask: Mask<'a>) {
        let panels = rows_mut(tokens).chunks_exact_mut(shape.width);
        for (p, (panel, bits)) in
            panels.zip(mask.bits.as_chunks::<WIDE>().0.chunks_exact(shape.width)).enumerate()
        {
            let positions: [&[f32]; WIDE / LANES] =
                from_fn(|i| &positions[shape.step(p * WIDE / LANES + i) * shape.width..]);
            for (k, (row, bits)) in panel.iter_mut().zip(bits).enumerate() {
                for (i, (row, bits)) in
                    row.chunks_exact_mut(LANES).zip(bits.chunks_exact(LANES)).enumerate()
                {
                    let add = bias[k] + positions[i][k];
                    row.iter_mut().zip(bits).for_each(|(x, &bits)| *x = mask.apply(bits, *x + add));
                }
            }
        }
    }
}

widest! {
    /// From the gradient with respect to the tokens, after the dropout's, to that of the position embeddings.
    pub(super) fn position_grad<'a>(shape: &'a Shape, token_grad: &'a [f32], positions: &'a mut [f32]) {
        positions.fill(0.0);
        for (p, panel) in rows(token_grad).chunks_exact(shape.width).enumerate() {
            for i in 0..WIDE / LANES {
                let first = shape.step(p * WIDE / LANES + i) * shape.width;
                for (position, row) in positions[first..].iter_mut().zip(panel) {
                    *position += row[i * LANES..][..LANES].iter().sum::<f32>();
                }
            }
        }
    }
}

/// Sets every token of a panel to a bias.
pub(super) fn fill_bias(panel: &mut [f32], bias: &[f32]) {
    rows_mut(panel).iter_mut().zip(bias).for_each(|(row, bias)| row.fill(*bias));
}

widest! {
    /// Adds `dropout(residual + bias)` to a panel of tokens.
    pub(super) fn add_residual<'a>(tokens: &'a mut [f32], residual: &'a [f32], bias: &'a [f32], mask: Mask<'a>) {
        let bits = mask.bits.as_chunks::<WIDE>().0;
        for (((tokens, residual), bits), bias) in
            rows_mut(tokens).iter_mut().zip(rows(residual)).zip(bits).zip(bias)
        {
            for ((x, residual), &bits) in tokens.iter_mut().zip(residual).zip(bits) {
                *x += mask.apply(bits, residual + bias);
            }
        }
    }
}

widest! {
    /// Dropout of values, also of their gradients.
    pub(super) fn apply_dropout<'a>(values: &'a [f32], mask: Mask<'a>, out: &'a mut [f32]) {
        for ((out, value), &bits) in out.iter_mut().zip(values).zip(mask.bits) {
            *out = mask.apply(bits, *value);
        }
    }
}

widest! {
    /// Multiplies values in place.
    pub(super) fn multiply<'a>(values: &'a mut [f32], by: &'a [f32]) {
        values.iter_mut().zip(by).for_each(|(x, by)| *x *= by);
    }
}
