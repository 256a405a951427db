//! Products of small matrices for acting. They are compiled for every vector width of the processor family; the widest one that
//! the processor has is chosen at run time.

use std::array::from_fn;

use pulp::{Arch, Simd, WithSimd};

/// Adds `x W` to `out`: `x` is `[rows, inputs]`, `weight` is `[inputs, outputs]`, and `out` is `[rows, outputs]` or longer. Products
/// are added in the order of the inputs and rounded one by one (not fused), so that results are bit-identical on all machines.
///
/// # Panics
/// If `out` is too short.
pub fn add_product(x: &[f32], inputs: usize, weight: &[f32], out: &mut [f32]) {
    let (rows, outputs) = (x.len() / inputs, weight.len() / inputs);
    add_product_strided(rows, (x, inputs), (weight, inputs), (out, outputs));
}

/// [`add_product`] for strided rows: rows of `x` begin at multiples of `x_step`, rows of `out` at multiples of `out_step`.
///
/// # Panics
/// If `x` or `out` is too short.
pub fn add_product_strided(
    rows: usize,
    (x, x_step): (&[f32], usize),
    (weight, inputs): (&[f32], usize),
    (out, out_step): (&mut [f32], usize),
) {
    Arch::new().dispatch(Product { rows, x, x_step, inputs, weight, out, out_step });
}

/// [`add_product`] for one row whose many zeros, as after ReLU, are skipped: `x` is `[inputs]`, `weight` is `[inputs, outputs]`,
/// finite, and `out` is `[outputs]`. `active` is scratch space. The result has the same bits, but for the sign of zeros.
///
/// # Panics
/// If `weight` has another length.
pub fn add_product_of_active(x: &[f32], weight: &[f32], out: &mut [f32], active: &mut Vec<u32>) {
    assert_eq!(weight.len(), x.len() * out.len(), "a row of weights for every input");
    active.clear();
    active.resize(x.len(), 0);
    let mut count = 0;
    for (i, x) in x.iter().enumerate() {
        active[count] = i as u32; // overwritten by the next one unless it counts: without a branch
        count += usize::from(*x != 0.0);
    }
    Arch::new().dispatch(ActiveProduct { x, active: &active[..count], weight, out });
}

struct ActiveProduct<'a> {
    x: &'a [f32],
    active: &'a [u32],
    weight: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for ActiveProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (lanes, outputs) = (S::F32_LANES, self.out.len());
        let mut first = 0;
        while outputs - first >= 8 * lanes {
            active_tile::<S, 8, false>(simd, &mut self, first);
            first += 8 * lanes;
        }
        while outputs - first >= lanes {
            active_tile::<S, 1, false>(simd, &mut self, first);
            first += lanes;
        }
        if first < outputs {
            active_tile::<S, 1, true>(simd, &mut self, first);
        }
    }
}

/// Computes `V` vectors of outputs from output `first` on. If `P`, the last vector is partial.
#[inline(always)]
fn active_tile<S: Simd, const V: usize, const P: bool>(simd: S, product: &mut ActiveProduct, first: usize) {
    let ActiveProduct { x, active, weight, out } = product;
    let outputs = out.len();
    let columns = first..outputs.min(first + V * S::F32_LANES);
    let mut sums: [S::f32s; V] = load::<S, V, P>(simd, &out[columns.clone()]);
    for &i in *active {
        let weights = &weight[i as usize * outputs..][..outputs];
        let weights = load::<S, V, P>(simd, &weights[columns.clone()]);
        let x = simd.splat_f32s(x[i as usize]);
        for (sum, weights) in sums.iter_mut().zip(weights) {
            *sum = simd.add_f32s(*sum, simd.mul_f32s(x, weights));
        }
    }
    for (k, &sum) in sums.iter().enumerate() {
        let out = &mut out[columns.clone()][k * S::F32_LANES..];
        if P && k + 1 == V {
            simd.partial_store_f32s(out, sum);
        } else {
            S::as_mut_simd_f32s(out).0[0] = sum;
        }
    }
}

struct Product<'a> {
    rows: usize,
    x: &'a [f32],
    x_step: usize,
    inputs: usize,
    weight: &'a [f32],
    out: &'a mut [f32],
    out_step: usize,
}

/// Rows of a strip, which share the loads of the weights: their sums and a row of weights fill the registers of AVX-512.
const ROWS: usize = 5;

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut row = 0;
        while row < self.rows {
            row += match self.rows - row {
                ROWS.. => strip::<S, ROWS>(simd, &mut self, row),
                4 => strip::<S, 4>(simd, &mut self, row),
                3 => strip::<S, 3>(simd, &mut self, row),
                2 => strip::<S, 2>(simd, &mut self, row),
                _ => strip::<S, 1>(simd, &mut self, row),
            };
        }
    }
}

/// Computes all outputs of `R` rows from `row` on, tile by tile. Returns `R`.
#[inline(always)]
fn strip<S: Simd, const R: usize>(simd: S, product: &mut Product, row: usize) -> usize {
    let (lanes, outputs) = (S::F32_LANES, product.weight.len() / product.inputs);
    let mut first = 0;
    // A single row has few sums: wider tiles hide the latency of the additions.
    while R == 1 && outputs - first >= 8 * lanes {
        tile::<S, R, 8, false>(simd, product, row, first);
        first += 8 * lanes;
    }
    while outputs - first >= 4 * lanes {
        tile::<S, R, 4, false>(simd, product, row, first);
        first += 4 * lanes;
    }
    let left = outputs - first;
    match (left.div_ceil(lanes), left.is_multiple_of(lanes)) {
        (0, _) => {}
        (1, true) => tile::<S, R, 1, false>(simd, product, row, first),
        (1, false) => tile::<S, R, 1, true>(simd, product, row, first),
        (2, true) => tile::<S, R, 2, false>(simd, product, row, first),
        (2, false) => tile::<S, R, 2, true>(simd, product, row, first),
        (3, true) => tile::<S, R, 3, false>(simd, product, row, first),
        (3, false) => tile::<S, R, 3, true>(simd, product, row, first),
        (_, _) => tile::<S, R, 4, true>(simd, product, row, first),
    }
    R
}

/// Computes a tile: `V` vectors of outputs of `R` rows, from output `first` on. If `P`, the last vector is partial.
#[inline(always)]
fn tile<S: Simd, const R: usize, const V: usize, const P: bool>(
    simd: S,
    product: &mut Product,
    row: usize,
    first: usize,
) {
    let Product { x, x_step, inputs, weight, ref mut out, out_step, .. } = *product;
    let outputs = weight.len() / inputs;
    let columns = first..outputs.min(first + V * S::F32_LANES);
    let rows: [&[f32]; R] = from_fn(|r| &x[(row + r) * x_step..][..inputs]);
    let mut sums: [[S::f32s; V]; R] =
        from_fn(|r| load::<S, V, P>(simd, &out[(row + r) * out_step..][columns.clone()]));
    for (i, weights) in weight.chunks_exact(outputs).enumerate() {
        let weights = load::<S, V, P>(simd, &weights[columns.clone()]);
        for (sums, row) in sums.iter_mut().zip(rows) {
            let x = simd.splat_f32s(row[i]);
            for (sum, weights) in sums.iter_mut().zip(weights) {
                *sum = simd.add_f32s(*sum, simd.mul_f32s(x, weights));
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (k, &sum) in sums.iter().enumerate() {
            let out = &mut out[(row + r) * out_step..][columns.clone()][k * S::F32_LANES..];
            if P && k + 1 == V {
                simd.partial_store_f32s(out, sum);
            } else {
                S::as_mut_simd_f32s(out).0[0] = sum;
            }
        }
    }
}

/// Loads `V` vectors. If `P`, the last one is partial.
#[inline(always)]
fn load<S: Simd, const V: usize, const P: bool>(simd: S, from: &[f32]) -> [S::f32s; V] {
    from_fn(|k| {
        let from = &from[k * S::F32_LANES..];
        if P && k + 1 == V { simd.partial_load_f32s(from) } else { S::as_simd_f32s(from).0[0] }
    })
}

/// Runs `work` compiled for the widest vectors of this processor, as far as it is inlined. Results do not depend on the vector
/// width, because no operations are fused.
pub fn vectors<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

/// Adds values elementwise.
pub fn add(to: &mut [f32], from: &[f32]) {
    vectors(|| to.iter_mut().zip(from).for_each(|(a, b)| *a += b));
}

/// Multiplies values elementwise.
pub fn multiply(to: &mut [f32], by: &[f32]) {
    vectors(|| to.iter_mut().zip(by).for_each(|(a, b)| *a *= b));
}

/// Overwrites `sum` with the sum of rows of its width, added in their order.
pub fn sum_rows(rows: &[f32], sum: &mut [f32]) {
    sum.fill(0.0);
    vectors(|| {
        for row in rows.chunks_exact(sum.len()) {
            sum.iter_mut().zip(row).for_each(|(s, x)| *s += x);
        }
    });
}

/// Defines functions that are compiled for every vector width, as [`vectors`] does with closures. Unlike closures, they are always
/// inlined, however large; out of line, they would be compiled for the narrowest vectors. All references have the same lifetime.
macro_rules! widest {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident<$a:lifetime>($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block)+) => {$(
        $(#[$doc])*
        $vis fn $name<$a>($($arg: $type),*) $(-> $out)? {
            struct Work<$a> {
                $($arg: $type),*
            }

            impl<$a> pulp::WithSimd for Work<$a> {
                type Output = widest!(@out $($out)?);

                #[inline(always)]
                fn with_simd<S: pulp::Simd>(self, _: S) -> Self::Output {
                    let Self { $($arg),* } = self;
                    $body
                }
            }

            pulp::Arch::new().dispatch(Work { $($arg),* })
        }
    )+};
    (@out) => { () };
    (@out $out:ty) => { $out };
}
pub(crate) use widest;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    /// The definition: products in order, each rounded.
    fn reference(x: &[f32], inputs: usize, weight: &[f32], out: &mut [f32]) {
        let outputs = weight.len() / inputs;
        for (x, out) in x.chunks_exact(inputs).zip(out.chunks_exact_mut(outputs)) {
            for (i, x) in x.iter().enumerate() {
                out.iter_mut().zip(&weight[i * outputs..]).for_each(|(o, w)| *o += x * w);
            }
        }
    }

    #[test]
    fn a_product_that_skips_zeros_is_the_whole_product() {
        let mut rng = Seed(5).rng();
        let mut draw = |n: usize| (0..n).map(|_| rng.normal() as f32).collect::<Vec<_>>();
        let mut active = Vec::new();
        for inputs in [1, 3, 45, 256] {
            for outputs in (1..=70).chain([128, 200, 256]) {
                let (mut x, weight, start) = (draw(inputs), draw(inputs * outputs), draw(outputs));
                x.iter_mut().for_each(|x| *x = x.max(0.0));
                let mut expected = start.clone();
                reference(&x, inputs, &weight, &mut expected);
                let mut out = start.clone();
                add_product_of_active(&x, &weight, &mut out, &mut active);
                assert!(out == expected, "{inputs} x {outputs}");
                let mut out = start;
                let all: Vec<u32> = (0..inputs as u32).collect();
                ActiveProduct { x: &x, active: &all, weight: &weight, out: &mut out }
                    .with_simd(pulp::Scalar::new());
                assert!(out == expected, "{inputs} x {outputs}, scalar");
            }
        }
    }

    #[test]
    fn products_equal_their_definition_bit_for_bit_at_any_width() {
        let mut rng = Seed(3).rng();
        let mut draw = |n: usize| (0..n).map(|_| rng.normal() as f32).collect::<Vec<_>>();
        for rows in [0, 1, 2, 4, 5, 6, 10, 13] {
            for inputs in [1, 3, 8, 45] {
                for outputs in (1..=70).chain([120, 128, 200, 256]) {
                    let (x, weight) = (draw(rows * inputs), draw(inputs * outputs));
                    let start = draw((rows + 1) * outputs); // one row more than the product has
                    let mut expected = start.clone();
                    reference(&x, inputs, &weight, &mut expected);
                    let what = format!("{rows} x {inputs} x {outputs}");
                    let mut out = start.clone();
                    add_product(&x, inputs, &weight, &mut out);
                    assert!(out == expected, "{what}");
                    // Without vectors, as on other processors.
                    out.copy_from_slice(&start);
                    let (x_step, out_step) = (inputs, outputs);
                    let product =
                        Product { rows, x: &x, x_step, inputs, weight: &weight, out: &mut out, out_step };
                    product.with_simd(pulp::Scalar::new());
                    assert!(out == expected, "{what}, scalar");
                    // Strided: every second row of `x`, every third row of `out`.
                    let spread = |values: &[f32], width: usize, step: usize| {
                        let mut strided = vec![7.0; values.len() * step];
                        let rows = strided.chunks_exact_mut(step * width).zip(values.chunks_exact(width));
                        rows.for_each(|(to, from)| to[..width].copy_from_slice(from));
                        strided
                    };
                    let (x, mut out) = (spread(&x, inputs, 2), spread(&start, outputs, 3));
                    let to = (&mut out[..], 3 * outputs);
                    add_product_strided(rows, (&x, 2 * inputs), (&weight, inputs), to);
                    assert!(out == spread(&expected, outputs, 3), "{what}, strided");
                }
            }
        }
    }
}
