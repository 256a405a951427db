//! The rows, as they lie in memory.

use crate::Level;

/// How many rows lie side by side in a block.
pub(crate) const LANES: usize = 32;

/// One dimension of the rows of a block. Aligned so that no vector load crosses a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Column(pub [f32; LANES]);

/// A growable table of rows of one width, laid out for searching.
///
/// Rows lie in blocks of 32, dimension after dimension, so a search goes through memory in order and treats 32 rows at
/// a time. The last block is padded with rows that no search looks at. Rows keep their index until removed.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>, // [blocks, dim] of 32 rows
    len: usize,
    dim: usize,
    level: Level,
}

impl Table {
    /// An empty table of rows of `dim` numbers.
    ///
    /// # Panics
    /// When `dim` is 0.
    pub fn new(dim: usize) -> Table {
        assert!(dim > 0, "a table needs rows of at least one number, got dim 0");
        Table {
            columns: Vec::new(),
            len: 0,
            dim,
            level: Level::best(),
        }
    }

    /// A table of the rows of `rows`, `[n, dim]` row after row.
    ///
    /// # Panics
    /// When `dim` is 0, or the length of `rows` is not a multiple of it.
    pub fn from_rows(rows: &[f32], dim: usize) -> Table {
        let mut table = Table::new(dim);
        assert!(
            rows.len().is_multiple_of(dim),
            "{} numbers do not make rows of {dim}",
            rows.len()
        );
        table
            .columns
            .reserve_exact((rows.len() / dim).div_ceil(LANES) * dim);
        for row in rows.chunks_exact(dim) {
            table.push(row);
        }
        table
    }

    /// The same table, searched with the instructions of `level` instead of the best: for tests and measurements.
    pub fn at_level(mut self, level: Level) -> Table {
        self.level = level;
        self
    }

    /// The instructions it is searched with.
    pub fn level(&self) -> Level {
        self.level
    }

    /// How many rows it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds no rows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many numbers a row has.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How many columns, of one dimension of 32 rows each, a search that reads everything reads.
    pub fn columns(&self) -> usize {
        self.blocks() * self.dim
    }

    /// A copy of row `i`.
    ///
    /// # Panics
    /// When there is no row `i`.
    pub fn row(&self, i: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.dim];
        self.row_into(i, &mut out);
        out
    }

    /// Copies row `i` to `out`.
    ///
    /// # Panics
    /// When there is no row `i`, or `out` is not of the table's width.
    pub fn row_into(&self, i: usize, out: &mut [f32]) {
        self.check_index(i);
        self.check_width(out);
        for (x, column) in out.iter_mut().zip(self.block(i / LANES)) {
            *x = column.0[i % LANES];
        }
    }

    /// Adds a row after the last.
    ///
    /// # Panics
    /// When `row` is not of the table's width.
    pub fn push(&mut self, row: &[f32]) {
        self.check_width(row);
        if self.len.is_multiple_of(LANES) {
            // A removal may have left the block there; then this changes nothing.
            self.columns
                .resize((self.len / LANES + 1) * self.dim, Column([0.0; LANES]));
        }
        self.len += 1;
        self.set(self.len - 1, row);
    }

    /// Replaces row `i`: one write for each dimension.
    ///
    /// # Panics
    /// When there is no row `i`, or `row` is not of the table's width.
    pub fn set(&mut self, i: usize, row: &[f32]) {
        self.check_index(i);
        self.check_width(row);
        let first = i / LANES * self.dim;
        for (&x, column) in row.iter().zip(&mut self.columns[first..first + self.dim]) {
            column.0[i % LANES] = x;
        }
    }

    /// Removes row `i`; the last row takes its place and its index.
    ///
    /// # Panics
    /// When there is no row `i`.
    pub fn swap_remove(&mut self, i: usize) {
        self.check_index(i);
        let last = self.len - 1;
        let (from, to) = (last / LANES * self.dim, i / LANES * self.dim);
        for j in 0..self.dim {
            self.columns[to + j].0[i % LANES] = self.columns[from + j].0[last % LANES];
        }
        self.len = last;
    }

    /// How many blocks hold rows; the last may be part padding.
    pub(crate) fn blocks(&self) -> usize {
        self.len.div_ceil(LANES)
    }

    /// The columns of one block, a column for each dimension.
    #[inline(always)]
    pub(crate) fn block(&self, b: usize) -> &[Column] {
        &self.columns[b * self.dim..(b + 1) * self.dim]
    }

    #[inline]
    pub(crate) fn check_width(&self, row: &[f32]) {
        assert!(
            row.len() == self.dim,
            "the table's rows have {} numbers, this one {}",
            self.dim,
            row.len()
        );
    }

    #[inline]
    pub(crate) fn check_index(&self, i: usize) {
        assert!(i < self.len, "no row {i} in a table of {} rows", self.len);
    }
}
