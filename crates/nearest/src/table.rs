//! The rows, as they lie in memory.

use crate::Level;
use crate::boxes::Boxes;
use crate::coarse::Coarse;

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
///
/// Where the processor multiplies bytes by vectors, a copy of the rows at one byte a number lets a search pass over blocks
/// without reading them, for a quarter more memory. It is made anew whenever the table has doubled.
///
/// A box around each block lets a search pass over blocks that are too far away. So rows that lie near each other in
/// space are best kept near each other in the table, as the steps of an episode are. A box grows with every row that
/// is put into its block and does not shrink when one leaves; a table made anew has tight ones. Where they pass over
/// next to nothing, as around rows in no order, there are none beside the copy.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>, // [blocks, dim] of 32 rows
    boxes: Option<Boxes>, // there wherever there is no coarse copy
    coarse: Option<Coarse>,
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
            boxes: Some(Boxes::new(dim)),
            coarse: None,
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
        assert!(rows.len().is_multiple_of(dim), "{} numbers do not make rows of {dim}", rows.len());
        table.columns.reserve_exact((rows.len() / dim).div_ceil(LANES) * dim);
        for row in rows.chunks_exact(dim) {
            table.add(row);
        }
        table.renew();
        table
    }

    /// The same table, searched with the instructions of `level` instead of the best: for tests and measurements.
    pub fn at_level(mut self, level: Level) -> Table {
        self.level = level;
        self.renew();
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
        self.add(row);
        match &mut self.coarse {
            // The copy's scale is that of the rows it was made of. Made anew whenever the table has doubled, it costs each
            // row a constant.
            _ if self.len.is_power_of_two() => self.renew(),
            Some(coarse) => coarse.set(self.len - 1, row, self.level),
            None => {}
        }
    }

    /// Adds a row to the columns.
    fn add(&mut self, row: &[f32]) {
        self.check_width(row);
        if self.len.is_multiple_of(LANES) {
            self.open_block(self.len / LANES);
        }
        self.len += 1;
        self.write(self.len - 1, row);
    }

    /// Makes the coarse copy anew, and the boxes where they pay.
    fn renew(&mut self) {
        self.coarse = None;
        if self.boxes.is_none() {
            self.boxes = Some(Boxes::of(&self.columns, self.len, self.dim));
        }
        if self.level.is_coarse() {
            self.coarse = Coarse::of(&self.columns, self.len, self.dim, self.level);
        }
        if self.coarse.is_some() && !self.boxes_pay() {
            self.boxes = None;
        }
    }

    /// Whether boxes pass over so many blocks that they take less time than they save. Those of 32 blocks are as many bytes
    /// as the coarse copy of 8. Asked of a few rows, each looking for the nearest outside its block.
    fn boxes_pay(&self) -> bool {
        const ROWS: usize = 8;
        let passed_over = |k: usize| {
            let i = (2 * k + 1) * self.len / (2 * ROWS);
            let q = self.row(i);
            let near = self.nearest_where(&q, |j| j / LANES != i / LANES);
            near.map_or(0, |near| self.boxed_off(&q, near.d2))
        };
        (0..ROWS).map(passed_over).sum::<usize>() * LANES > ROWS * self.blocks() * 8
    }

    /// Replaces row `i`: a few writes for each dimension.
    ///
    /// # Panics
    /// When there is no row `i`, or `row` is not of the table's width.
    pub fn set(&mut self, i: usize, row: &[f32]) {
        self.check_index(i);
        self.check_width(row);
        self.write(i, row);
        if let Some(coarse) = &mut self.coarse {
            coarse.set(i, row, self.level);
        }
    }

    fn write(&mut self, i: usize, row: &[f32]) {
        let (block, lane) = (i / LANES, i % LANES);
        for (column, &x) in self.columns[block * self.dim..].iter_mut().zip(row) {
            column.0[lane] = x;
        }
        if let Some(boxes) = &mut self.boxes {
            row.iter().enumerate().for_each(|(j, &x)| boxes.widen(block, j, x));
        }
    }

    /// Removes row `i`; the last row takes its place and its index.
    ///
    /// # Panics
    /// When there is no row `i`.
    pub fn swap_remove(&mut self, i: usize) {
        self.check_index(i);
        let last = self.len - 1;
        let (block, lane) = (i / LANES, i % LANES);
        for j in 0..self.dim {
            let x = self.block(last / LANES)[j].0[last % LANES];
            self.columns[block * self.dim + j].0[lane] = x;
            if let Some(boxes) = &mut self.boxes {
                boxes.widen(block, j, x);
            }
        }
        self.len = last;
        if let Some(coarse) = &mut self.coarse {
            coarse.take(i, last);
        }
    }

    /// Makes room for a block of rows, with a box that holds nothing. Removals may have left the room there.
    fn open_block(&mut self, block: usize) {
        self.columns.resize((block + 1) * self.dim, Column([0.0; LANES]));
        if let Some(boxes) = &mut self.boxes {
            boxes.open(block);
        }
    }

    #[cfg(test)]
    pub(crate) fn columns_for_tests(&self) -> &[Column] {
        &self.columns
    }

    #[inline(always)]
    pub(crate) fn coarse(&self) -> Option<&Coarse> {
        self.coarse.as_ref()
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

    /// The boxes around its blocks, where it has any.
    #[inline(always)]
    pub(crate) fn boxes(&self) -> Option<&Boxes> {
        self.boxes.as_ref()
    }

    #[inline]
    pub(crate) fn check_width(&self, row: &[f32]) {
        assert!(row.len() == self.dim, "the table's rows have {} numbers, this one {}", self.dim, row.len());
    }

    #[inline]
    pub(crate) fn check_index(&self, i: usize) {
        assert!(i < self.len, "no row {i} in a table of {} rows", self.len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_boxes_where_they_pay() {
        let (n, dim) = (40 * LANES, 5);
        for level in Level::available() {
            let boxed = |row: &dyn Fn(usize) -> f32| {
                let rows: Vec<f32> =
                    (0..n * dim).map(|k| row(k / dim) + (k * 7919 % 101) as f32 / 1e3).collect();
                let mut table = Table::from_rows(&rows, dim).at_level(level);
                let boxed = table.boxes().is_some();
                assert!(boxed || table.coarse().is_some());
                // What changes later is found by boxes or without.
                table.set(3, &vec![-9.0; dim]);
                table.push(&vec![-8.0; dim]);
                let found = [-9.0, -8.0].map(|x| table.nearest(&vec![x; dim]).map(|hit| hit.index));
                assert_eq!(found, [Some(3), Some(n)]);
                boxed
            };
            assert!(boxed(&|i| i as f32 / 8.0), "rows along a line");
            assert_eq!(boxed(&|i| (i * 2731 % 1283) as f32 / 8.0), !level.is_coarse(), "rows in no order");
            // A table that is made anew for more instructions has the boxes it was without.
            let rows: Vec<f32> = (0..n * dim).map(|k| (k / dim * 2731 % 1283) as f32).collect();
            let table = Table::from_rows(&rows, dim).at_level(level).at_level(Level::available()[0]);
            assert!(table.boxes().is_some());
            assert_eq!(table.nearest(&rows[77 * dim..78 * dim]).map(|hit| hit.index), Some(77));
        }
    }
}
