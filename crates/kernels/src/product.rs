//! Products of matrices, by the loops of the convolutions.

use std::array::from_fn;

use crate::{
    Level, WIDE,
    tile::{Grid, Work},
};

/// Rows of the right matrix that are multiplied at a time: a panel of them stays in the first-level cache.
const DEEP: usize = 256;

/// Numbers in a column of what is turned at a time.
const SIDE: usize = 4;

/// A matrix, its numbers row by row; or, turned, column by column, as the transpose of a matrix lies.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    pub(crate) numbers: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    turned: bool,
}

impl<'a> Matrix<'a> {
    /// Numbers row by row: `[rows, columns]`, 1 or more of each.
    ///
    /// # Panics
    /// If they are not as many.
    pub fn new(numbers: &'a [f32], [rows, columns]: [usize; 2]) -> Self {
        assert!(!numbers.is_empty() && numbers.len() == rows * columns, "a matrix of {rows} x {columns}");
        Self { numbers, rows, columns, turned: false }
    }

    /// Its transpose.
    pub fn turned(self) -> Self {
        Self { rows: self.columns, columns: self.rows, turned: !self.turned, ..self }
    }

    /// How far apart rows and columns lie.
    pub(crate) fn steps(&self) -> [usize; 2] {
        if self.turned { [1, self.rows] } else { [self.columns, 1] }
    }
}

/// Multiplies matrices, on one thread, and keeps the room that it needs for it. Every number of a product adds up its terms in
/// one order, whatever the other numbers.
#[derive(Debug, Clone)]
pub struct Product {
    pub(crate) level: Level,
    pub(crate) panel: Vec<f32>, // [DEEP, WIDE], of the right matrix
    pub(crate) tail: Vec<f32>,  // [rows, WIDE], where the last columns of a product are not WIDE
}

impl Default for Product {
    fn default() -> Self {
        Self::on(Level::best())
    }
}

impl Product {
    /// On a level of the processor: for tests and measurements.
    pub fn on(level: Level) -> Self {
        Self { level, panel: Vec::new(), tail: Vec::new() }
    }

    /// `left right`, written to `out`, row by row.
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub fn set(&mut self, left: Matrix, right: Matrix, out: &mut [f32]) {
        self.run(left, right, None, [false; 2], out);
    }

    /// `left right`, added to `out`, row by row.
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub fn add(&mut self, left: Matrix, right: Matrix, out: &mut [f32]) {
        self.run(left, right, None, [true, false], out);
    }

    /// `left right + bias`, a number of the bias for each column; if `relu`, what is below zero is cut off.
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub fn linear(&mut self, left: Matrix, right: Matrix, bias: &[f32], relu: bool, out: &mut [f32]) {
        assert_eq!(bias.len(), right.columns, "a bias for every column");
        self.run(left, right, Some(bias), [false, relu], out);
    }

    fn run(
        &mut self,
        left: Matrix,
        right: Matrix,
        bias: Option<&[f32]>,
        [onto, relu]: [bool; 2],
        out: &mut [f32],
    ) {
        let (rows, columns) = (left.rows, right.columns);
        assert_eq!(left.columns, right.rows, "what is multiplied");
        assert_eq!(out.len(), rows * columns, "numbers of a product of {rows} x {columns}");
        let [left_row, left_deep] = left.steps();
        for first in (0..columns).step_by(WIDE) {
            let wide = WIDE.min(columns - first);
            let mut start = [0.0; WIDE];
            if let Some(bias) = bias {
                start[..wide].copy_from_slice(&bias[first..first + wide]);
            }
            for done in (0..left.columns).step_by(DEEP) {
                let deep = DEEP.min(left.columns - done);
                pack(right, [done, first], [deep, wide], &mut self.panel);
                let work = Work {
                    grid: Grid::one(done * left_deep),
                    rows,
                    deep,
                    left: left.numbers,
                    left_row,
                    left_deep,
                    right: &self.panel,
                    right_deep: WIDE,
                    second: None,
                    bias: &start,
                    onto: onto || done > 0,
                    add: None,
                    relu: relu && done + deep == left.columns,
                    first,
                    out_row: columns,
                };
                let last = done + deep == left.columns;
                write(self.level, work, [wide, done], last, &mut self.tail, out);
            }
        }
    }
}

/// Does a product's work on some columns, [`WIDE`] of them or less, of which `done` rows of the right matrix were multiplied
/// before, and no more are to come if it is the last. Of less columns the sums of one part wait in `tail` for the next.
pub(crate) fn write(
    level: Level,
    work: Work,
    [wide, done]: [usize; 2],
    last: bool,
    tail: &mut Vec<f32>,
    out: &mut [f32],
) {
    if wide == WIDE {
        return level.run(&work, out);
    }
    let (first, columns) = (work.first, work.out_row);
    tail.resize(work.rows * WIDE, 0.0);
    if work.onto && done == 0 {
        for (tail, out) in tail.chunks_exact_mut(WIDE).zip(out.chunks_exact(columns)) {
            tail[..wide].copy_from_slice(&out[first..first + wide]);
            tail[wide..].fill(0.0);
        }
    }
    level.run(&Work { first: 0, out_row: WIDE, ..work }, tail);
    if last {
        for (out, tail) in out.chunks_exact_mut(columns).zip(tail.chunks_exact(WIDE)) {
            out[first..first + wide].copy_from_slice(&tail[..wide]);
        }
    }
}

/// Lays the part of a matrix that begins at a row and a column out as a panel, [`WIDE`] numbers a row, zeros in what is left.
fn pack(from: Matrix, [row, column]: [usize; 2], [deep, wide]: [usize; 2], panel: &mut Vec<f32>) {
    panel.resize(deep * WIDE, 0.0);
    if wide < WIDE {
        panel.fill(0.0);
    }
    if from.turned {
        // Number (k, c) lies at c * rows + k.
        let column = |c: usize| &from.numbers[(column + c) * from.rows + row..][..deep];
        let whole = wide - wide % SIDE;
        for c in (0..whole).step_by(SIDE) {
            let mut columns: [_; SIDE] = from_fn(|i| column(c + i).chunks_exact(SIDE));
            let mut squares = panel.chunks_exact_mut(SIDE * WIDE);
            for square in squares.by_ref().take(deep / SIDE) {
                let numbers: [&[f32; SIDE]; SIDE] = columns
                    .each_mut()
                    .map(|c| c.next().and_then(|c| c.first_chunk()).expect("whole squares"));
                for (k, to) in square.chunks_exact_mut(WIDE).enumerate() {
                    to[c..c + SIDE].copy_from_slice(&numbers.map(|column| column[k]));
                }
            }
            for (i, column) in columns.iter().enumerate() {
                let rest = panel.chunks_exact_mut(WIDE).skip(deep - deep % SIDE);
                rest.zip(column.remainder()).for_each(|(to, x)| to[c + i] = *x);
            }
        }
        for c in whole..wide {
            panel.chunks_exact_mut(WIDE).zip(column(c)).for_each(|(to, x)| to[c] = *x);
        }
    } else {
        let rows = from.numbers.chunks_exact(from.columns).skip(row);
        for (to, numbers) in panel.chunks_exact_mut(WIDE).zip(rows) {
            to[..wide].copy_from_slice(&numbers[column..column + wide]);
        }
    }
}
