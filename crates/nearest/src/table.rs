//! The table of rows, in the memory layout of the searches.

use crate::Level;
use crate::bounding_boxes::BoundingBoxes;
use crate::quantized::QuantizedCopy;

/// Rows of a block.
pub(crate) const LANES: usize = 32;

/// One dimension of a block's rows. Aligned, so that no vector load crosses a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Column(pub [f32; LANES]);

/// A growable table of rows of `dim` `f32` values, laid out for searching.
///
/// Rows lie in blocks of 32, dimension after dimension, so a search reads memory in order and treats 32 rows at a time. The
/// last block is padded. Rows keep their index until they are removed.
///
/// Searches prune blocks in two ways, neither of which changes an answer:
///
/// * On processors with vector products of 8-bit integers, an int8-quantized copy of the rows, for a quarter more memory. It is
///   rebuilt whenever the number of rows has doubled.
/// * A bounding box of each block. Rows that are near in space should be near in the table, as the steps of an episode are. A
///   box is extended by every row written to its block and does not shrink when one leaves; rebuilding makes it tight. If
///   boxes prune next to nothing, as with rows in random order, a table with a quantized copy has none.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,         // [blocks, dim]
    boxes: Option<BoundingBoxes>, // always present without a quantized copy
    quantized: Option<QuantizedCopy>,
    len: usize,
    dim: usize,
    level: Level,
}

impl Table {
    /// An empty table of rows of `dim` dimensions.
    ///
    /// # Panics
    /// If `dim` is 0.
    pub fn new(dim: usize) -> Table {
        assert!(dim > 0, "a table needs rows of at least one number, got dim 0");
        Table {
            columns: Vec::new(),
            boxes: Some(BoundingBoxes::new(dim)),
            quantized: None,
            len: 0,
            dim,
            level: Level::best(),
        }
    }

    /// A table of `rows`, `[n, dim]`. O(n dim).
    ///
    /// # Panics
    /// If `dim` is 0, or the length of `rows` is not a multiple of it.
    pub fn from_rows(rows: &[f32], dim: usize) -> Table {
        assert!(dim > 0, "a table needs rows of at least one number, got dim 0");
        assert!(rows.len().is_multiple_of(dim), "{} values are not rows of dimension {dim}", rows.len());
        Table::from_fn(rows.len() / dim, dim, |i, row| row.copy_from_slice(&rows[i * dim..][..dim]))
    }

    /// A table of `n` rows, of which `fill` writes row `i`, `[dim]`; rows come in order. For rows that are computed, of which there is
    /// then no second copy. O(n dim).
    ///
    /// # Panics
    /// If `dim` is 0.
    pub fn from_fn(n: usize, dim: usize, mut fill: impl FnMut(usize, &mut [f32])) -> Table {
        let mut table = Table::new(dim);
        let mut columns = vec![Column([0.0; LANES]); n.div_ceil(LANES) * dim];
        let mut row = vec![0.0; dim];
        for i in 0..n {
            fill(i, &mut row);
            let block = &mut columns[i / LANES * dim..][..dim];
            block.iter_mut().zip(&row).for_each(|(column, &x)| column.0[i % LANES] = x);
        }
        (table.len, table.columns) = (n, columns);
        table.boxes = None; // made of all rows at once
        table.rebuild();
        table
    }

    /// The same table, searched with the instructions of `level`, for tests and measurements. Rebuilds it.
    pub fn at_level(mut self, level: Level) -> Table {
        self.level = level;
        self.rebuild();
        self
    }

    /// The instructions that searches use.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of dimensions.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The number of columns, of one dimension of 32 rows each, that a search reads if it prunes nothing.
    pub fn columns(&self) -> usize {
        self.blocks() * self.dim
    }

    /// A copy of row `i`.
    ///
    /// # Panics
    /// If there is no row `i`.
    pub fn row(&self, i: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.dim];
        self.row_into(i, &mut out);
        out
    }

    /// Copies row `i` to `out`.
    ///
    /// # Panics
    /// If there is no row `i`, or `out` does not have the table's dimension.
    pub fn row_into(&self, i: usize, out: &mut [f32]) {
        self.check_index(i);
        self.check_dim(out);
        for (x, column) in out.iter_mut().zip(self.block(i / LANES)) {
            *x = column.0[i % LANES];
        }
    }

    /// Adds a row, `[dim]`, after the last. O(dim) amortized.
    ///
    /// # Panics
    /// If `row` does not have the table's dimension.
    pub fn push(&mut self, row: &[f32]) {
        self.append(row);
        match &mut self.quantized {
            // The grid fits the rows that it was made of. Rebuilding at every doubling costs a constant per row.
            _ if self.len.is_power_of_two() => self.rebuild(),
            Some(copy) => copy.set(self.len - 1, row, self.level),
            None => {}
        }
    }

    /// Adds a row to columns and boxes.
    fn append(&mut self, row: &[f32]) {
        self.check_dim(row);
        if self.len.is_multiple_of(LANES) {
            self.open_block(self.len / LANES);
        }
        self.len += 1;
        self.write(self.len - 1, row);
    }

    /// Rebuilds the quantized copy, and the boxes if they pay.
    fn rebuild(&mut self) {
        self.quantized = None;
        if self.boxes.is_none() {
            self.boxes = Some(BoundingBoxes::of(&self.columns, self.len, self.dim));
        }
        if self.level.has_int8_products() {
            self.quantized = QuantizedCopy::of(&self.columns, self.len, self.dim, self.level);
        }
        if self.quantized.is_some() && !self.boxes_pay() {
            self.boxes = None;
        }
    }

    /// Whether boxes save more time than they take. The boxes of 32 blocks are as many bytes as the quantized copy of 8, so they
    /// must prune more than 8 of 32. Measured on a few rows, each as a query for the nearest row outside its block.
    fn boxes_pay(&self) -> bool {
        const ROWS: usize = 8;
        let pruned = |k: usize| {
            let i = (2 * k + 1) * self.len / (2 * ROWS);
            let q = self.row(i);
            let nearest = self.nearest_where(&q, |j| j / LANES != i / LANES);
            nearest.map_or(0, |nearest| self.count_pruned_by_boxes(&q, nearest.d2))
        };
        (0..ROWS).map(pruned).sum::<usize>() * LANES > ROWS * self.blocks() * 8
    }

    /// Replaces row `i` by `row`, `[dim]`. O(dim).
    ///
    /// # Panics
    /// If there is no row `i`, or `row` does not have the table's dimension.
    pub fn set(&mut self, i: usize, row: &[f32]) {
        self.check_index(i);
        self.check_dim(row);
        self.write(i, row);
        if let Some(copy) = &mut self.quantized {
            copy.set(i, row, self.level);
        }
    }

    fn write(&mut self, i: usize, row: &[f32]) {
        let (block, lane) = (i / LANES, i % LANES);
        for (column, &x) in self.columns[block * self.dim..].iter_mut().zip(row) {
            column.0[lane] = x;
        }
        if let Some(boxes) = &mut self.boxes {
            row.iter().enumerate().for_each(|(j, &x)| boxes.extend(block, j, x));
        }
    }

    /// Removes row `i`; the last row takes its place and its index. O(dim).
    ///
    /// # Panics
    /// If there is no row `i`.
    pub fn swap_remove(&mut self, i: usize) {
        self.check_index(i);
        let last = self.len - 1;
        let (block, lane) = (i / LANES, i % LANES);
        for j in 0..self.dim {
            let x = self.block(last / LANES)[j].0[last % LANES];
            self.columns[block * self.dim + j].0[lane] = x;
            if let Some(boxes) = &mut self.boxes {
                boxes.extend(block, j, x);
            }
        }
        self.len = last;
        if let Some(copy) = &mut self.quantized {
            copy.swap_remove(i, last);
        }
    }

    /// Adds a block with an empty box. After removals its columns may exist already.
    fn open_block(&mut self, block: usize) {
        self.columns.resize((block + 1) * self.dim, Column([0.0; LANES]));
        if let Some(boxes) = &mut self.boxes {
            boxes.reset(block);
        }
    }

    #[cfg(test)]
    pub(crate) fn columns_for_tests(&self) -> &[Column] {
        &self.columns
    }

    #[inline(always)]
    pub(crate) fn quantized(&self) -> Option<&QuantizedCopy> {
        self.quantized.as_ref()
    }

    /// The number of blocks with rows; the last may be padded.
    pub(crate) fn blocks(&self) -> usize {
        self.len.div_ceil(LANES)
    }

    /// The columns of a block, `[dim]`.
    #[inline(always)]
    pub(crate) fn block(&self, b: usize) -> &[Column] {
        &self.columns[b * self.dim..(b + 1) * self.dim]
    }

    /// The bounding boxes of the blocks, if there are any.
    #[inline(always)]
    pub(crate) fn boxes(&self) -> Option<&BoundingBoxes> {
        self.boxes.as_ref()
    }

    #[inline]
    pub(crate) fn check_dim(&self, row: &[f32]) {
        assert!(
            row.len() == self.dim,
            "the table's rows have dimension {}, this one {}",
            self.dim,
            row.len()
        );
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
    fn boxes_are_kept_only_if_they_pay() {
        let (n, dim) = (40 * LANES, 5);
        for level in Level::available() {
            let boxed = |row: &dyn Fn(usize) -> f32| {
                let rows: Vec<f32> =
                    (0..n * dim).map(|k| row(k / dim) + (k * 7919 % 101) as f32 / 1e3).collect();
                let mut table = Table::from_rows(&rows, dim).at_level(level);
                let boxed = table.boxes().is_some();
                assert!(boxed || table.quantized().is_some());
                // Later changes are found with boxes and without.
                table.set(3, &vec![-9.0; dim]);
                table.push(&vec![-8.0; dim]);
                let found = [-9.0, -8.0].map(|x| table.nearest(&vec![x; dim]).map(|hit| hit.index));
                assert_eq!(found, [Some(3), Some(n)]);
                boxed
            };
            assert!(boxed(&|i| i as f32 / 8.0), "rows along a line");
            assert_eq!(
                boxed(&|i| (i * 2731 % 1283) as f32 / 8.0),
                !level.has_int8_products(),
                "rows in no order"
            );
            // A table rebuilt for the baseline, which has no quantized copy, has boxes again.
            let rows: Vec<f32> = (0..n * dim).map(|k| (k / dim * 2731 % 1283) as f32).collect();
            let table = Table::from_rows(&rows, dim).at_level(level).at_level(Level::available()[0]);
            assert!(table.boxes().is_some());
            assert_eq!(table.nearest(&rows[77 * dim..78 * dim]).map(|hit| hit.index), Some(77));
        }
    }
}
