//! Layer normalization of tokens in panels, forward and back.

use kernels::WIDE;
use pulp::{Arch, Simd, WithSimd};

/// One number of every token of a panel.
type Row = [f32; WIDE];

/// Numbers with a mean of 0 and a deviation of 1 in every token, and what they were divided by.
#[derive(Debug, Default)]
pub(super) struct Standard {
    numbers: Vec<Row>, // [panels, width]
    inverse: Vec<Row>, // [panels]
}

/// Sums that gradients of scales and shifts are made of: one for every lane of a panel.
#[derive(Debug, Default)]
pub(super) struct Sums {
    scales: Vec<Row>, // [width]
    shifts: Vec<Row>, // [width]
}

impl Standard {
    /// Makes room for so many panels.
    pub fn fit(&mut self, panels: usize, width: usize) {
        self.numbers.resize(panels * width, [0.0; WIDE]);
        self.inverse.resize(panels, [0.0; WIDE]);
    }

    /// Standardizes a panel of tokens, and writes their numbers times a scale plus a shift.
    pub fn set(&mut self, panel: usize, tokens: &[f32], scale: &[f32], shift: &[f32], out: &mut [f32]) {
        let width = scale.len();
        let numbers = &mut self.numbers[panel * width..][..width];
        let inverse = &mut self.inverse[panel];
        Arch::new().dispatch(Standardize { tokens: tokens.as_chunks().0, numbers, inverse });
        self.scaled(panel, scale, shift, out);
    }

    /// Writes the numbers of a panel times a scale, plus a shift.
    pub fn scaled(&self, panel: usize, scale: &[f32], shift: &[f32], out: &mut [f32]) {
        let numbers = &self.numbers[panel * scale.len()..][..scale.len()];
        Arch::new().dispatch(Scale { numbers, scale, shift, out: out.as_chunks_mut().0 });
    }

    /// From the slopes of what [`set`](Self::set) wrote: adds the slopes of the tokens to `out`, and to the sums.
    pub fn back(&self, panel: usize, slopes: &[f32], scale: &[f32], out: &mut [f32], sums: &mut Sums) {
        let numbers = &self.numbers[panel * scale.len()..][..scale.len()];
        let inverse = &self.inverse[panel];
        let (slopes, out) = (slopes.as_chunks().0, out.as_chunks_mut().0);
        Arch::new().dispatch(Through { slopes, numbers, inverse, scale, out, sums });
    }
}

impl Sums {
    /// Begins at 0.
    pub fn clear(&mut self, width: usize) {
        for sums in [&mut self.scales, &mut self.shifts] {
            sums.clear();
            sums.resize(width, [0.0; WIDE]);
        }
    }

    /// The gradients of scales and shifts.
    pub fn write(&self, scales: &mut [f32], shifts: &mut [f32]) {
        for (sums, out) in [(&self.scales, scales), (&self.shifts, shifts)] {
            sums.iter().zip(out).for_each(|(sums, out)| *out = sums.iter().sum());
        }
    }
}

// The loops go along one vector of every row of a panel: what is added up along it stays in a register.

/// One of the vectors of a row.
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
    numbers: &'a mut [Row],
    inverse: &'a mut Row,
}

impl WithSimd for Standardize<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { tokens, numbers, inverse } = self;
        let share = simd.splat_f32s(1.0 / tokens.len() as f32);
        for part in 0..WIDE / S::F32_LANES {
            let (mut sum, mut squares) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
            for row in tokens {
                sum = simd.add_f32s(sum, at::<S>(row, part));
            }
            let mean = simd.mul_f32s(sum, share);
            for (row, numbers) in tokens.iter().zip(numbers.iter_mut()) {
                let x = simd.sub_f32s(at::<S>(row, part), mean);
                squares = simd.add_f32s(squares, simd.mul_f32s(x, x));
                *at_mut::<S>(numbers, part) = x;
            }
            let variance = simd.add_f32s(simd.mul_f32s(squares, share), simd.splat_f32s(1e-5));
            let inverse = at_mut::<S>(inverse, part);
            *inverse = simd.div_f32s(simd.splat_f32s(1.0), simd.sqrt_f32s(variance));
            for row in numbers.iter_mut() {
                let x = at_mut::<S>(row, part);
                *x = simd.mul_f32s(*x, *inverse);
            }
        }
    }
}

struct Scale<'a> {
    numbers: &'a [Row],
    scale: &'a [f32],
    shift: &'a [f32],
    out: &'a mut [Row],
}

impl WithSimd for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let affine = self.scale.iter().zip(self.shift);
        for ((row, out), (&scale, &shift)) in self.numbers.iter().zip(self.out).zip(affine) {
            let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
            for part in 0..WIDE / S::F32_LANES {
                *at_mut::<S>(out, part) = simd.add_f32s(simd.mul_f32s(at::<S>(row, part), scale), shift);
            }
        }
    }
}

struct Through<'a> {
    slopes: &'a [Row],
    numbers: &'a [Row],
    inverse: &'a Row,
    scale: &'a [f32],
    out: &'a mut [Row],
    sums: &'a mut Sums,
}

impl WithSimd for Through<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { slopes, numbers, inverse, scale, out, sums } = self;
        let share = simd.splat_f32s(1.0 / scale.len() as f32);
        for part in 0..WIDE / S::F32_LANES {
            let (mut sum, mut product) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
            let all = slopes.iter().zip(numbers).zip(scale);
            let of_rows = sums.scales.iter_mut().zip(&mut sums.shifts);
            for (((slope, x), &scale), (of_scale, of_shift)) in all.clone().zip(of_rows) {
                let (slope, x) = (at::<S>(slope, part), at::<S>(x, part));
                let (of_scale, of_shift) = (at_mut::<S>(of_scale, part), at_mut::<S>(of_shift, part));
                *of_scale = simd.add_f32s(*of_scale, simd.mul_f32s(slope, x));
                *of_shift = simd.add_f32s(*of_shift, slope);
                let slope = simd.mul_f32s(slope, simd.splat_f32s(scale));
                sum = simd.add_f32s(sum, slope);
                product = simd.add_f32s(product, simd.mul_f32s(slope, x));
            }
            let inverse = at::<S>(inverse, part);
            let share = simd.mul_f32s(share, inverse);
            let (mean, along) = (simd.mul_f32s(sum, share), simd.mul_f32s(product, share));
            for (((slope, x), &scale), out) in all.zip(out.iter_mut()) {
                let factor = simd.mul_f32s(simd.splat_f32s(scale), inverse);
                let own = simd.mul_f32s(at::<S>(slope, part), factor);
                let shared = simd.add_f32s(mean, simd.mul_f32s(at::<S>(x, part), along));
                let out = at_mut::<S>(out, part);
                *out = simd.add_f32s(*out, simd.sub_f32s(own, shared));
            }
        }
    }
}
