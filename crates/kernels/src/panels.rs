//! Products of matrices whose columns lie in panels: many samples side by side, which stay so from one product to the next.

use crate::{
    Matrix, Product, WIDE,
    product::write,
    tile::{Grid, Work},
};

/// Rows of the right matrix that are multiplied at a time: a part of a panel, or some panels, beside what is multiplied by them in
/// the first-level cache.
const DEEP: usize = 192;

/// A matrix whose columns are a multiple of [`WIDE`], and lie so many together: `[columns / WIDE, rows, WIDE]`. What is done to a
/// panel between two products finds it in the cache, and nothing has to be laid out for them.
#[derive(Debug, Clone, Copy)]
pub struct Panels<'a> {
    numbers: &'a [f32],
    rows: usize,
}

impl<'a> Panels<'a> {
    /// Of so many rows, 1 or more.
    ///
    /// # Panics
    /// If the numbers are no whole panels.
    pub fn new(numbers: &'a [f32], rows: usize) -> Self {
        assert!(rows > 0 && numbers.len().is_multiple_of(rows * WIDE), "panels of {rows} rows");
        Self { numbers, rows }
    }

    fn count(&self) -> usize {
        self.numbers.len() / (self.rows * WIDE)
    }
}

impl Product {
    /// `left right`, in panels as the right matrix is; added to what is in `out`, if `onto`.
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub fn panels(&mut self, left: Matrix, right: Panels, onto: bool, out: &mut [f32]) {
        assert_eq!(left.columns, right.rows, "what is multiplied");
        assert_eq!(out.len(), right.count() * left.rows * WIDE, "numbers of a product of {} rows", left.rows);
        let [left_row, left_deep] = left.steps();
        let parts = right.rows.div_ceil(DEEP);
        let panels = right.numbers.chunks_exact(right.rows * WIDE);
        for (panel, out) in panels.zip(out.chunks_exact_mut(left.rows * WIDE)) {
            let mut done = 0;
            for panel in panel.chunks(right.rows.div_ceil(parts) * WIDE) {
                let work = Work {
                    grid: Grid::one(done * left_deep),
                    rows: left.rows,
                    deep: panel.len() / WIDE,
                    left: left.numbers,
                    left_row,
                    left_deep,
                    right: panel,
                    right_deep: WIDE,
                    second: None,
                    bias: &[0.0; WIDE],
                    onto: onto || done > 0,
                    add: None,
                    relu: false,
                    first: 0,
                    out_row: WIDE,
                };
                self.level.run(&work, out);
                done += work.deep;
            }
        }
    }

    /// `left right^T`, written to `out`, row by row.
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub fn outer(&mut self, left: Panels, right: Panels, out: &mut [f32]) {
        let (rows, columns, count) = (left.rows, right.rows, left.count());
        assert_eq!(count, right.count(), "what is multiplied");
        assert_eq!(out.len(), rows * columns, "numbers of a product of {rows} x {columns}");
        self.panel.resize(DEEP * WIDE, 0.0);
        // Some panels of the left matrix stay in the second-level cache while all columns pass.
        for done in (0..count).step_by(DEEP / WIDE) {
            let some = (DEEP / WIDE).min(count - done);
            for first in (0..columns).step_by(WIDE) {
                let wide = WIDE.min(columns - first);
                let panels = right.numbers.chunks_exact(columns * WIDE).skip(done).take(some);
                for (panel, to) in panels.zip(self.panel.as_chunks_mut::<{ WIDE * WIDE }>().0) {
                    turn(&panel[first * WIDE..(first + wide) * WIDE], to);
                }
                let work = Work {
                    grid: Grid {
                        count: [1, some],
                        left_step: [0, rows * WIDE],
                        right_step: [0, WIDE * WIDE],
                        ..Grid::one(done * rows * WIDE)
                    },
                    rows,
                    deep: WIDE,
                    left: left.numbers,
                    left_row: WIDE,
                    left_deep: 1,
                    right: &self.panel,
                    right_deep: WIDE,
                    second: None,
                    bias: &[0.0; WIDE],
                    onto: done > 0,
                    add: None,
                    relu: false,
                    first,
                    out_row: columns,
                };
                write(self.level, work, [wide, done], done + some == count, &mut self.tail, out);
            }
        }
    }
}

/// Rows of a panel, [`WIDE`] of them or less, as columns; zeros in what is left.
fn turn(rows: &[f32], to: &mut [f32; WIDE * WIDE]) {
    let wide = rows.len() / WIDE;
    if wide < WIDE {
        to.fill(0.0);
    }
    let (bands, rest) = rows.as_chunks::<{ SIDE * WIDE }>();
    for (c, band) in bands.iter().enumerate() {
        for k in 0..WIDE / SIDE {
            square(band, to, [k, c]);
        }
    }
    for (c, row) in (bands.len() * SIDE..wide).zip(rest.chunks_exact(WIDE)) {
        row.iter().enumerate().for_each(|(k, x)| to[k * WIDE + c] = *x);
    }
}

/// Numbers in a side of the squares that are turned at a time.
const SIDE: usize = 4;

/// Turns the square that is number `k` of a band of rows: it becomes number `c` of the columns.
#[cfg(target_arch = "x86_64")]
#[inline]
fn square(band: &[f32; SIDE * WIDE], to: &mut [f32; WIDE * WIDE], [k, c]: [usize; 2]) {
    use std::arch::x86_64::{_MM_TRANSPOSE4_PS, _mm_loadu_ps, _mm_storeu_ps};
    assert!(k < WIDE / SIDE && c < WIDE / SIDE);
    // SAFETY: below `WIDE / SIDE`, the square lies in the band, whose rows are `WIDE` long, and so does its place in `to`. Every
    // processor of this kind has these instructions.
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
fn square(band: &[f32; SIDE * WIDE], to: &mut [f32; WIDE * WIDE], [k, c]: [usize; 2]) {
    for i in 0..SIDE {
        for j in 0..SIDE {
            to[(k * SIDE + i) * WIDE + c * SIDE + j] = band[j * WIDE + k * SIDE + i];
        }
    }
}
