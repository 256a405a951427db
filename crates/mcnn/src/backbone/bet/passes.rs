//! What is done to tokens number by number between two products, in single passes over some panels of them.

use std::array::from_fn;

use kernels::WIDE;

use super::shape::{LANES, Mask, Shape};
use crate::backbone::product::widest;

/// One number of every token of a panel.
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
    /// The sum of each row of panels, over all panels.
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
    /// Adds to all tokens a bias and the numbers of their places (`[window, width]`), and drops.
    pub(super) fn place<'a>(shape: &'a Shape, tokens: &'a mut [f32], bias: &'a [f32], positions: &'a [f32], mask: Mask<'a>) {
        let panels = rows_mut(tokens).chunks_exact_mut(shape.width);
        for (p, (panel, drawn)) in
            panels.zip(mask.drawn.as_chunks::<WIDE>().0.chunks_exact(shape.width)).enumerate()
        {
            let places: [&[f32]; WIDE / LANES] =
                from_fn(|i| &positions[shape.place(p * WIDE / LANES + i) * shape.width..]);
            for (k, (row, drawn)) in panel.iter_mut().zip(drawn).enumerate() {
                for (i, (row, drawn)) in
                    row.chunks_exact_mut(LANES).zip(drawn.chunks_exact(LANES)).enumerate()
                {
                    let add = bias[k] + places[i][k];
                    row.iter_mut().zip(drawn).for_each(|(x, &drawn)| *x = mask.of(drawn, *x + add));
                }
            }
        }
    }
}

widest! {
    /// From the slopes of all tokens, dropped already, to those of the numbers of places.
    pub(super) fn place_back<'a>(shape: &'a Shape, slopes: &'a [f32], positions: &'a mut [f32]) {
        positions.fill(0.0);
        for (p, panel) in rows(slopes).chunks_exact(shape.width).enumerate() {
            for i in 0..WIDE / LANES {
                let first = shape.place(p * WIDE / LANES + i) * shape.width;
                for (position, row) in positions[first..].iter_mut().zip(panel) {
                    *position += row[i * LANES..][..LANES].iter().sum::<f32>();
                }
            }
        }
    }
}

/// Sets every row of a panel to its bias.
pub(super) fn start(panel: &mut [f32], bias: &[f32]) {
    rows_mut(panel).iter_mut().zip(bias).for_each(|(row, bias)| row.fill(*bias));
}

widest! {
    /// Adds `dropped(more + bias)` to a panel of tokens.
    pub(super) fn add<'a>(tokens: &'a mut [f32], more: &'a [f32], bias: &'a [f32], mask: Mask<'a>) {
        let drawn = mask.drawn.as_chunks::<WIDE>().0;
        for (((tokens, more), drawn), bias) in
            rows_mut(tokens).iter_mut().zip(rows(more)).zip(drawn).zip(bias)
        {
            for ((x, more), &drawn) in tokens.iter_mut().zip(more).zip(drawn) {
                *x += mask.of(drawn, more + bias);
            }
        }
    }
}

widest! {
    /// Slopes through what was dropped.
    pub(super) fn drop<'a>(slopes: &'a [f32], mask: Mask<'a>, out: &'a mut [f32]) {
        for ((out, slope), &drawn) in out.iter_mut().zip(slopes).zip(mask.drawn) {
            *out = mask.of(drawn, *slope);
        }
    }
}

widest! {
    /// Multiplies numbers by others.
    pub(super) fn multiply<'a>(numbers: &'a mut [f32], by: &'a [f32]) {
        numbers.iter_mut().zip(by).for_each(|(x, by)| *x *= by);
    }
}
