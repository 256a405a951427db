//! Matrix products, by the inner loops of the convolutions.

use std::array::from_fn;

use crate::{
    Level, WIDE,
    tile::{Grid, ProductSum},
};

/// Rows of the right matrix that are multiplied at a time: a packed panel of them fits the first-level cache.
const DEPTH: usize = 256;

/// Side of the squares that are transposed at a time.
const SIDE: usize = 4;

/// A dense matrix, row-major, or column-major as the transpose of one.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix, `[rows, columns]`, 1 or more of each.
    ///
    /// # Panics
    /// If the length does not fit.
    pub fn new(values: &'a [f32], [rows, columns]: [usize; 2]) -> Self {
        assert!(!values.is_empty() && values.len() == rows * columns, "a matrix of {rows} x {columns}");
        Self { values, rows, columns, transposed: false }
    }

    /// Its transpose. Costs nothing.
    pub fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, transposed: !self.transposed, ..self }
    }

    /// Strides of rows and columns.
    pub(crate) fn steps(&self) -> [usize; 2] {
        if self.transposed { [1, self.rows] } else { [self.columns, 1] }
    }
}

/// Multiplies matrices on one thread, with a workspace of its own. Each element of a product is summed in one order, whatever the
/// number of rows and columns.
#[derive(Debug, Clone)]
pub struct Product {
    pub(crate) level: Level,
    pub(crate) panel: Vec<f32>, // [DEPTH, WIDE], of the right matrix
    pub(crate) tail: Vec<f32>,  // [rows, WIDE], for the last columns if they are fewer than WIDE
}

impl Default for Product {
    fn default() -> Self {
        Self::on(Level::best())
    }
}

impl Product {
    /// On a given level of the processor, for tests and measurements.
    pub fn on(level: Level) -> Self {
        Self { level, panel: Vec::new(), tail: Vec::new() }
    }

    /// Writes `left right` to `out`, `[rows, columns]`, row-major. O(rows depth columns).
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn set(&mut self, left: Matrix, right: Matrix, out: &mut [f32]) {
        self.run(left, right, None, [false; 2], out);
    }

    /// Adds `left right` to `out`, `[rows, columns]`, row-major.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn add(&mut self, left: Matrix, right: Matrix, out: &mut [f32]) {
        self.run(left, right, None, [true, false], out);
    }

    /// Writes `left right + bias` to `out`, `[rows, columns]`, with a ReLU if `relu`. `bias`: `[columns]`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn linear(&mut self, left: Matrix, right: Matrix, bias: &[f32], relu: bool, out: &mut [f32]) {
        assert_eq!(bias.len(), right.columns, "a bias for every column");
        self.run(left, right, Some(bias), [false, relu], out);
    }

    fn run(
        &mut self,
        left: Matrix,
        right: Matrix,
        bias: Option<&[f32]>,
        [accumulate, relu]: [bool; 2],
        out: &mut [f32],
    ) {
        let (rows, columns) = (left.rows, right.columns);
        assert_eq!(left.columns, right.rows, "what is multiplied");
        assert_eq!(out.len(), rows * columns, "values of a product of {rows} x {columns}");
        let [left_row_stride, left_depth_stride] = left.steps();
        for first in (0..columns).step_by(WIDE) {
            let width = WIDE.min(columns - first);
            let mut start = [0.0; WIDE];
            if let Some(bias) = bias {
                start[..width].copy_from_slice(&bias[first..first + width]);
            }
            for done in (0..left.columns).step_by(DEPTH) {
                let depth = DEPTH.min(left.columns - done);
                pack(right, [done, first], [depth, width], &mut self.panel);
                let work = ProductSum {
                    grid: Grid::one(done * left_depth_stride),
                    rows,
                    depth,
                    left: left.values,
                    left_row_stride,
                    left_depth_stride,
                    right: &self.panel,
                    right_row_stride: WIDE,
                    second: None,
                    bias: &start,
                    accumulate: accumulate || done > 0,
                    add: None,
                    relu: relu && done + depth == left.columns,
                    first,
                    out_row_stride: columns,
                };
                let last = done + depth == left.columns;
                write(self.level, work, [width, done], last, &mut self.tail, out);
            }
        }
    }
}

/// Runs a product on a panel of `width` columns, at most [`WIDE`], after the first `done` rows of the right matrix; `last` if no rows
/// copy_weights. Partial sums of fewer columns than [`WIDE`] are kept in `tail`.
pub(crate) fn write(
    level: Level,
    work: ProductSum,
    [width, done]: [usize; 2],
    last: bool,
    tail: &mut Vec<f32>,
    out: &mut [f32],
) {
    if width == WIDE {
        return level.run(&work, out);
    }
    let (first, columns) = (work.first, work.out_row_stride);
    tail.resize(work.rows * WIDE, 0.0);
    if work.accumulate && done == 0 {
        for (tail, out) in tail.chunks_exact_mut(WIDE).zip(out.chunks_exact(columns)) {
            tail[..width].copy_from_slice(&out[first..first + width]);
            tail[width..].fill(0.0);
        }
    }
    level.run(&ProductSum { first: 0, out_row_stride: WIDE, ..work }, tail);
    if last {
        for (out, tail) in out.chunks_exact_mut(columns).zip(tail.chunks_exact(WIDE)) {
            out[first..first + width].copy_from_slice(&tail[..width]);
        }
    }
}

/// Packs the block of a matrix at `[row, column]`, of shape `[depth, width]`, as a panel `[depth, WIDE]`, padded with zeros.
fn pack(from: Matrix, [row, column]: [usize; 2], [depth, width]: [usize; 2], panel: &mut Vec<f32>) {
    panel.resize(depth * WIDE, 0.0);
    if width < WIDE {
        panel.fill(0.0);
    }
    if from.transposed {
        // Element (k, c) is at c * rows + k.
        let column = |c: usize| &from.values[(column + c) * from.rows + row..][..depth];
        let whole = width - width % SIDE;
        for c in (0..whole).step_by(SIDE) {
            let mut columns: [_; SIDE] = from_fn(|i| column(c + i).chunks_exact(SIDE));
            let mut squares = panel.chunks_exact_mut(SIDE * WIDE);
            for square in squares.by_ref().take(depth / SIDE) {
                let values: [&[f32; SIDE]; SIDE] = columns
                    .each_mut()
                    .map(|c| c.next().and_then(|c| c.first_chunk()).expect("whole squares"));
                for (k, to) in square.chunks_exact_mut(WIDE).enumerate() {
                    to[c..c + SIDE].copy_from_slice(&values.map(|column| column[k]));
                }
            }
            for (i, column) in columns.iter().enumerate() {
                let rest = panel.chunks_exact_mut(WIDE).skip(depth - depth % SIDE);
                rest.zip(column.remainder()).for_each(|(to, x)| to[c + i] = *x);
            }
        }
        for c in whole..width {
            panel.chunks_exact_mut(WIDE).zip(column(c)).for_each(|(to, x)| to[c] = *x);
        }
    } else {
        let rows = from.values.chunks_exact(from.columns).skip(row);
        for (to, values) in panel.chunks_exact_mut(WIDE).zip(rows) {
            to[..width].copy_from_slice(&values[column..column + width]);
        }
    }
}
