//! Packed weights, for networks that act and are larger than the cache.
//!
//! With weights row by row, a product of several rows reads them with gaps, once for each group of outputs, and waits for memory.
//! Packed, the weights of a group of outputs are contiguous: each is read once for ten rows, in the order of memory. The behavior
//! transformer (10 rows, 4.2 MB of weights) acts in 0.8 of the time.

use std::array::from_fn;

use pulp::{Arch, Simd, WithSimd};

/// Outputs of a group: two of the widest vectors.
const WIDE: usize = 32;

/// The weights from one input to a group of outputs. Aligned, so that no vector crosses a cache line.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(align(64))]
struct Weights([f32; WIDE]);

/// Weights `[inputs, outputs]`, packed by groups of outputs; within a group by input.
#[derive(Debug, Clone, PartialEq)]
pub struct PackedWeights {
    weights: Vec<Weights>, // [groups, inputs]; 0 beyond the last output
    inputs: usize,
    outputs: usize,
}

impl PackedWeights {
    /// Packs weights that are given row by row.
    ///
    /// # Panics
    /// If there are no inputs, or the rows are not of equal length.
    pub fn new(rows: &[f32], inputs: usize) -> Self {
        let outputs = rows.len() / inputs;
        assert_eq!(rows.len(), inputs * outputs, "weights of {inputs} inputs");
        let group = |first: usize| {
            let of = move |row: &[f32]| Weights(from_fn(|k| row.get(first + k).copied().unwrap_or(0.0)));
            rows.chunks_exact(outputs).map(of)
        };
        Self { weights: (0..outputs).step_by(WIDE).flat_map(group).collect(), inputs, outputs }
    }

    /// Inputs and outputs.
    pub fn ends(&self) -> [usize; 2] {
        [self.inputs, self.outputs]
    }

    /// The weights row by row: `[inputs, outputs]`.
    pub fn rows(&self) -> Vec<f32> {
        let groups = self.weights.chunks_exact(self.inputs);
        let row = |i: usize| groups.clone().flat_map(move |group| group[i].0).take(self.outputs);
        (0..self.inputs).flat_map(row).collect()
    }

    /// Adds `x W` to `out`: `x` is `[rows, inputs]`, `out` `[rows, outputs]`. The result has the same bits as that of
    /// [`add_product`](super::product::add_product).
    ///
    /// # Panics
    /// If `out` has another number of rows.
    pub fn add_product(&self, x: &[f32], out: &mut [f32]) {
        assert_eq!(x.len() / self.inputs * self.outputs, out.len(), "a row for each");
        Arch::new().dispatch(Product { packed: self, x, out });
    }
}

struct Product<'a> {
    packed: &'a PackedWeights,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // The number of rows whose sums fit the registers, beside a group of weights and an input; half as many; and one row, with
        // several groups at a time, because a single chain of additions would wait for each result.
        match S::F32_LANES {
            16 => self.rows::<S, 2, 10, 5>(simd),
            8 => self.rows::<S, 4, 2, 1>(simd),
            4 => self.rows::<S, 8, 2, 1>(simd),
            _ => self.rows::<S, WIDE, 1, 1>(simd),
        }
    }
}

impl Product<'_> {
    /// All rows: `A` at a time, then `B`, then one. A group is `V` vectors.
    #[inline(always)]
    fn rows<S: Simd, const V: usize, const A: usize, const B: usize>(self, simd: S) {
        let Product { packed, mut x, mut out } = self;
        let [inputs, outputs] = packed.ends();
        while !out.is_empty() {
            let rows = match out.len() / outputs {
                rows if rows >= A => A,
                rows if rows >= B => B,
                _ => 1,
            };
            let (some, rest) = std::mem::take(&mut out).split_at_mut(rows * outputs);
            if rows == 1 {
                pass::<S, V, 1, 4>(simd, packed, x, some);
            } else if rows == A {
                pass::<S, V, A, 1>(simd, packed, x, some);
            } else {
                pass::<S, V, B, 1>(simd, packed, x, some);
            }
            (x, out) = (&x[rows * inputs..], rest);
        }
    }
}

/// `R` rows, `N` groups at a time.
#[inline(always)]
fn pass<S: Simd, const V: usize, const R: usize, const N: usize>(
    simd: S,
    packed: &PackedWeights,
    x: &[f32],
    out: &mut [f32],
) {
    let mut first = 0;
    let mut groups = packed.weights.chunks_exact(N * packed.inputs);
    for weights in groups.by_ref() {
        tile::<S, V, R, N>(simd, packed.ends(), weights, x, out, first);
        first += N * WIDE;
    }
    for weights in groups.remainder().chunks_exact(packed.inputs) {
        tile::<S, V, R, 1>(simd, packed.ends(), weights, x, out, first);
        first += WIDE;
    }
}

/// The outputs of `R` rows in `N` groups, from output `first` on.
#[inline(always)]
fn tile<S: Simd, const V: usize, const R: usize, const N: usize>(
    simd: S,
    [inputs, outputs]: [usize; 2],
    weights: &[Weights],
    x: &[f32],
    out: &mut [f32],
    first: usize,
) {
    let rows: [&[f32]; R] = from_fn(|r| &x[r * inputs..][..inputs]);
    let groups: [&[Weights]; N] = from_fn(|n| &weights[n * inputs..][..inputs]);
    let wide = first..outputs.min(first + N * WIDE);
    let mut edge = [[Weights([0.0; WIDE]); N]; R]; // the outputs, padded
    for (edge, out) in edge.iter_mut().zip(out.chunks_exact(outputs)) {
        for (edge, out) in edge.iter_mut().zip(out[wide.clone()].chunks(WIDE)) {
            edge.0[..out.len()].copy_from_slice(out);
        }
    }
    let mut sums: [[[S::f32s; V]; N]; R] = from_fn(|r| from_fn(|n| loaded::<S, V>(&edge[r][n])));
    for i in 0..inputs {
        let weights: [[S::f32s; V]; N] = from_fn(|n| loaded::<S, V>(&groups[n][i]));
        for (sums, row) in sums.iter_mut().zip(rows) {
            let x = simd.splat_f32s(row[i]);
            for (sum, &weight) in sums.as_flattened_mut().iter_mut().zip(weights.as_flattened()) {
                *sum = simd.add_f32s(*sum, simd.mul_f32s(x, weight));
            }
        }
    }
    for (r, out) in out.chunks_exact_mut(outputs).enumerate() {
        for (n, out) in out[wide.clone()].chunks_mut(WIDE).enumerate() {
            let edge = &mut edge[r][n].0;
            S::as_mut_simd_f32s(edge).0.copy_from_slice(&sums[r][n]);
            out.copy_from_slice(&edge[..out.len()]);
        }
    }
}

#[inline(always)]
fn loaded<S: Simd, const V: usize>(of: &Weights) -> [S::f32s; V] {
    let vectors = S::as_simd_f32s(&of.0).0;
    from_fn(|k| vectors[k])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backbone::product::add_product, seed::Seed};

    #[test]
    fn products_with_packed_weights_are_products_bit_for_bit() {
        let mut rng = Seed(4).rng();
        let mut draw = |n: usize| (0..n).map(|_| rng.normal() as f32).collect::<Vec<_>>();
        for rows in [0, 1, 2, 4, 5, 6, 10, 13, 27] {
            for inputs in [1, 3, 45] {
                for outputs in (1..=70).chain([96, 120, 128, 150, 480]) {
                    let (x, weight, start) =
                        (draw(rows * inputs), draw(inputs * outputs), draw(rows * outputs));
                    let packed = PackedWeights::new(&weight, inputs);
                    assert_eq!((packed.ends(), packed.rows()), ([inputs, outputs], weight.clone()));
                    let mut expected = start.clone();
                    add_product(&x, inputs, &weight, &mut expected);
                    let what = format!("{rows} x {inputs} x {outputs}");
                    let mut out = start.clone();
                    packed.add_product(&x, &mut out);
                    assert!(out == expected, "{what}");
                    // As on a processor without vectors.
                    out.copy_from_slice(&start);
                    Product { packed: &packed, x: &x, out: &mut out }.with_simd(pulp::Scalar::new());
                    assert!(out == expected, "{what}, number by number");
                }
            }
        }
    }
}
