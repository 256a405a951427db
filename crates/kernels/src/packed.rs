//! Products of packed activations: samples are columns, in panels that stay packed from one product to the next.

use crate::{
    Matrix, Product, WIDE,
    product::write,
    tile::{Grid, ProductSum},
};

/// Rows of the right matrix that are multiplied at a time: this part of a panel fits the first-level cache beside the left rows.
const DEPTH: usize = 192;

/// A matrix packed in panels of [`WIDE`] columns: `[columns / WIDE, rows, WIDE]`. Products need no packing of it, and elementwise
/// operations between two products find a panel in the cache.
#[derive(Debug, Clone, Copy)]
pub struct PackedMatrix<'a> {
    values: &'a [f32],
    rows: usize,
}

impl<'a> PackedMatrix<'a> {
    /// A matrix of `rows` rows, 1 or more.
    ///
    /// # Panics
    /// If the length is not a multiple of a panel's.
    pub fn new(values: &'a [f32], rows: usize) -> Self {
        assert!(rows > 0 && values.len().is_multiple_of(rows * WIDE), "panels of {rows} rows");
        Self { values, rows }
    }

    /// The number of panels.
    fn count(&self) -> usize {
        self.values.len() / (self.rows * WIDE)
    }
}

impl Product {
    /// Writes `left right` to `out`, packed as `right` is; adds it if `accumulate`. O(rows depth columns).
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn packed(&mut self, left: Matrix, right: PackedMatrix, accumulate: bool, out: &mut [f32]) {
        assert_eq!(left.columns, right.rows, "columns of the left matrix, rows of the right one");
        assert_eq!(out.len(), right.count() * left.rows * WIDE, "values of a product of {} rows", left.rows);
        let [left_row_stride, left_depth_stride] = left.steps();
        let parts = right.rows.div_ceil(DEPTH);
        let panels = right.values.chunks_exact(right.rows * WIDE);
        for (panel, out) in panels.zip(out.chunks_exact_mut(left.rows * WIDE)) {
            let mut done = 0;
            for panel in panel.chunks(right.rows.div_ceil(parts) * WIDE) {
                let product_sum = ProductSum {
                    grid: Grid::one(done * left_depth_stride),
                    rows: left.rows,
                    depth: panel.len() / WIDE,
                    left: left.values,
                    left_row_stride,
                    left_depth_stride,
                    right: panel,
                    right_row_stride: WIDE,
                    second: None,
                    bias: &[0.0; WIDE],
                    accumulate: accumulate || done > 0,
                    add: None,
                    relu: false,
                    first: 0,
                    out_row_stride: WIDE,
                };
                self.level.run(&product_sum, out);
                done += product_sum.depth;
            }
        }
    }

    /// Writes `left right^T` to `out`, `[left rows, right rows]`, row-major. O(rows columns samples).
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn packed_transposed(&mut self, left: PackedMatrix, right: PackedMatrix, out: &mut [f32]) {
        let (rows, columns, count) = (left.rows, right.rows, left.count());
        assert_eq!(count, right.count(), "panels of both matrices");
        assert_eq!(out.len(), rows * columns, "values of a product of {rows} x {columns}");
        self.panel.resize(DEPTH * WIDE, 0.0);
        // These panels of the left matrix stay in the second-level cache while all columns are multiplied.
        for done in (0..count).step_by(DEPTH / WIDE) {
            let n_panels = (DEPTH / WIDE).min(count - done);
            for first in (0..columns).step_by(WIDE) {
                let width = WIDE.min(columns - first);
                let panels = right.values.chunks_exact(columns * WIDE).skip(done).take(n_panels);
                for (panel, to) in panels.zip(self.panel.as_chunks_mut::<{ WIDE * WIDE }>().0) {
                    transpose(&panel[first * WIDE..(first + width) * WIDE], to);
                }
                let product_sum = ProductSum {
                    grid: Grid {
                        count: [1, n_panels],
                        left_step: [0, rows * WIDE],
                        right_step: [0, WIDE * WIDE],
                        ..Grid::one(done * rows * WIDE)
                    },
                    rows,
                    depth: WIDE,
                    left: left.values,
                    left_row_stride: WIDE,
                    left_depth_stride: 1,
                    right: &self.panel,
                    right_row_stride: WIDE,
                    second: None,
                    bias: &[0.0; WIDE],
                    accumulate: done > 0,
                    add: None,
                    relu: false,
                    first,
                    out_row_stride: columns,
                };
                write(self.level, product_sum, [width, done], done + n_panels == count, &mut self.tail, out);
            }
        }
    }
}

/// Transposes rows of a panel, at most [`WIDE`] of them, into columns, padded with zeros.
fn transpose(rows: &[f32], to: &mut [f32; WIDE * WIDE]) {
    let width = rows.len() / WIDE;
    if width < WIDE {
        to.fill(0.0);
    }
    let (bands, rest) = rows.as_chunks::<{ SIDE * WIDE }>();
    for (c, band) in bands.iter().enumerate() {
        for k in 0..WIDE / SIDE {
            transpose_square(band, to, [k, c]);
        }
    }
    for (c, row) in (bands.len() * SIDE..width).zip(rest.chunks_exact(WIDE)) {
        row.iter().enumerate().for_each(|(k, x)| to[k * WIDE + c] = *x);
    }
}

/// Side of the squares that are transposed at a time.
const SIDE: usize = 4;

/// Transposes square `k` of a band of rows into square `c` of the columns.
#[cfg(target_arch = "x86_64")]
#[inline]
fn transpose_square(band: &[f32; SIDE * WIDE], to: &mut [f32; WIDE * WIDE], [k, c]: [usize; 2]) {
    use std::arch::x86_64::{_MM_TRANSPOSE4_PS, _mm_loadu_ps, _mm_storeu_ps};
    assert!(k < WIDE / SIDE && c < WIDE / SIDE);
    // SAFETY: by the assertion, columns `k * SIDE..(k + 1) * SIDE` of the band's `SIDE` rows of `WIDE` values lie in `band`, and rows
    // `k * SIDE..` and columns `c * SIDE..` of the square lie in `to`. The accesses are unaligned; SSE is part of every x86-64.
    unsafe {
        let from = band.as_ptr().add(k * SIDE);
        let [mut a, mut b, mut d, mut e] = [0, 1, 2, 3].map(|i| _mm_loadu_ps(from.add(i * WIDE)));
        _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut d, &mut e);
        let to = to.as_mut_ptr().add(k * SIDE * WIDE + c * SIDE);
        for (i, column) in [a, b, d, e].into_iter().enumerate() {
            _mm_storeu_ps(to.add(i * WIDE), column);
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn transpose_square(band: &[f32; SIDE * WIDE], to: &mut [f32; WIDE * WIDE], [k, c]: [usize; 2]) {
    for i in 0..SIDE {
        for j in 0..SIDE {
            to[(k * SIDE + i) * WIDE + c * SIDE + j] = band[j * WIDE + k * SIDE + i];
        }
    }
}
