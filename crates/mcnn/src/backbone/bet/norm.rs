//! Layer normalization of tokens in panels, forward and backward.

use kernels::WIDE;
use pulp::{Arch, Simd, WithSimd};

/// One feature of every token of a panel.
type Row = [f32; WIDE];

/// Standardized tokens and the inverse of their standard deviations.
#[derive(Debug, Default)]
pub(super) struct NormActivations {
    values: Vec<Row>,  // [panels, width]
    inverse: Vec<Row>, // [panels]
}

/// Partial sums of the gradients of scales and shifts, one per lane of a panel.
#[derive(Debug, Default)]
pub(super) struct NormGrad {
    scales: Vec<Row>, // [width]
    shifts: Vec<Row>, // [width]
}

impl NormActivations {
    /// Resizes the buffers to a number of panels.
    pub fn resize(&mut self, panels: usize, width: usize) {
        self.values.resize(panels * width, [0.0; WIDE]);
        self.inverse.resize(panels, [0.0; WIDE]);
    }

    /// Standardizes a panel of tokens and writes them, scaled and shifted, to `out`.
    pub fn forward(&mut self, panel: usize, tokens: &[f32], scale: &[f32], shift: &[f32], out: &mut [f32]) {
        let width = scale.len();
        let values = &mut self.values[panel * width..][..width];
        let inverse = &mut self.inverse[panel];
        Arch::new().dispatch(Standardize { tokens: tokens.as_chunks().0, values, inverse });
        self.scale_and_shift(panel, scale, shift, out);
    }

    /// Writes the standardized tokens of a panel, scaled and shifted, to `out`.
    pub fn scale_and_shift(&self, panel: usize, scale: &[f32], shift: &[f32], out: &mut [f32]) {
        let values = &self.values[panel * scale.len()..][..scale.len()];
        Arch::new().dispatch(Scale { values, scale, shift, out: out.as_chunks_mut().0 });
    }

    /// From the gradient with respect to the output of [`forward`](Self::forward): adds that of the tokens to `out`, and those of
    /// scale and shift to the sums.
    pub fn backward(
        &self,
        panel: usize,
        output_grad: &[f32],
        scale: &[f32],
        out: &mut [f32],
        sums: &mut NormGrad,
    ) {
        let values = &self.values[panel * scale.len()..][..scale.len()];
        let inverse = &self.inverse[panel];
        let (output_grad, out) = (output_grad.as_chunks().0, out.as_chunks_mut().0);
        Arch::new().dispatch(Backward { output_grad, values, inverse, scale, out, sums });
    }
}

impl NormGrad {
    /// Sets the sums to 0.
    pub fn clear(&mut self, width: usize) {
        for sums in [&mut self.scales, &mut self.shifts] {
            sums.clear();
            sums.resize(width, [0.0; WIDE]);
        }
    }

    /// Writes the gradients of scales and shifts.
    pub fn write(&self, scales: &mut [f32], shifts: &mut [f32]) {
        for (sums, out) in [(&self.scales, scales), (&self.shifts, shifts)] {
            sums.iter().zip(out).for_each(|(sums, out)| *out = sums.iter().sum());
        }
    }
}

// The loops run along one vector of every row of a panel, so that sums stay in registers.

/// A vector of a row.
#[inline(always)]
fn at<S: Simd>(row: &Row, part: usize) -> S::f32s {
    S::as_simd_f32s(row).0[part]
}

#[inline(always)]
fn at_mut<S: Simd>(row: &mut Row, part: usize) -> &mut S::f32s {
    &mut S::as_mut_simd_f32s(row).0[part]
}

struct Standardize<'a> {
    tokens: &'a [Row],
    values: &'a mut [Row],
    inverse: &'a mut Row,
}

impl WithSimd for Standardize<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { tokens, values, inverse } = self;
        let share = simd.splat_f32s(1.0 / tokens.len() as f32);
        for part in 0..WIDE / S::F32_LANES {
            let (mut sum, mut squares) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
            for row in tokens {
                sum = simd.add_f32s(sum, at::<S>(row, part));
            }
            let mean = simd.mul_f32s(sum, share);
            for (row, values) in tokens.iter().zip(values.iter_mut()) {
                let x = simd.sub_f32s(at::<S>(row, part), mean);
                squares = simd.add_f32s(squares, simd.mul_f32s(x, x));
                *at_mut::<S>(values, part) = x;
            }
            let variance = simd.add_f32s(simd.mul_f32s(squares, share), simd.splat_f32s(1e-5));
            let inverse = at_mut::<S>(inverse, part);
            *inverse = simd.div_f32s(simd.splat_f32s(1.0), simd.sqrt_f32s(variance));
            for row in values.iter_mut() {
                let x = at_mut::<S>(row, part);
                *x = simd.mul_f32s(*x, *inverse);
            }
        }
    }
}

struct Scale<'a> {
    values: &'a [Row],
    scale: &'a [f32],
    shift: &'a [f32],
    out: &'a mut [Row],
}

impl WithSimd for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let affine = self.scale.iter().zip(self.shift);
        for ((row, out), (&scale, &shift)) in self.values.iter().zip(self.out).zip(affine) {
            let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
            for part in 0..WIDE / S::F32_LANES {
                *at_mut::<S>(out, part) = simd.add_f32s(simd.mul_f32s(at::<S>(row, part), scale), shift);
            }
        }
    }
}

struct Backward<'a> {
    output_grad: &'a [Row],
    values: &'a [Row],
    inverse: &'a Row,
    scale: &'a [f32],
    out: &'a mut [Row],
    sums: &'a mut NormGrad,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { output_grad, values, inverse, scale, out, sums } = self;
        let share = simd.splat_f32s(1.0 / scale.len() as f32);
        for part in 0..WIDE / S::F32_LANES {
            let (mut sum, mut product) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
            let all = output_grad.iter().zip(values).zip(scale);
            let of_rows = sums.scales.iter_mut().zip(&mut sums.shifts);
            for (((grad, x), &scale), (of_scale, of_shift)) in all.clone().zip(of_rows) {
                let (grad, x) = (at::<S>(grad, part), at::<S>(x, part));
                let (of_scale, of_shift) = (at_mut::<S>(of_scale, part), at_mut::<S>(of_shift, part));
                *of_scale = simd.add_f32s(*of_scale, simd.mul_f32s(grad, x));
                *of_shift = simd.add_f32s(*of_shift, grad);
                let grad = simd.mul_f32s(grad, simd.splat_f32s(scale));
                sum = simd.add_f32s(sum, grad);
                product = simd.add_f32s(product, simd.mul_f32s(grad, x));
            }
            let inverse = at::<S>(inverse, part);
            let share = simd.mul_f32s(share, inverse);
            let (mean, along) = (simd.mul_f32s(sum, share), simd.mul_f32s(product, share));
            for (((grad, x), &scale), out) in all.zip(out.iter_mut()) {
                let factor = simd.mul_f32s(simd.splat_f32s(scale), inverse);
                let own = simd.mul_f32s(at::<S>(grad, part), factor);
                let shared = simd.add_f32s(mean, simd.mul_f32s(at::<S>(x, part), along));
                let out = at_mut::<S>(out, part);
                *out = simd.add_f32s(*out, simd.sub_f32s(own, shared));
            }
        }
    }
}
