//! The rows, as they lie in memory.

use crate::Level;
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
/// is put into its block and does not shrink when one leaves; a table made anew has tight ones.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>, // [blocks, dim] of 32 rows
    lows: Vec<Column>,    // [groups, dim] of 32 blocks: no row of the block is lower
    highs: Vec<Column>,   // [groups, dim] of 32 blocks: no row of the block is higher
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
            lows: Vec::new(),
            highs: Vec::new(),
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
            Some(coarse) => coarse.set(self.len - 1, row),
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

    /// Makes the coarse copy anew.
    fn renew(&mut self) {
        self.coarse = None;
        if self.level.is_coarse() {
            self.coarse = Coarse::of(&self.columns, self.len, self.dim);
        }
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
            coarse.set(i, row);
        }
    }

    fn write(&mut self, i: usize, row: &[f32]) {
        for (j, &x) in row.iter().enumerate() {
            self.put(i, j, x);
        }
    }

    /// Removes row `i`; the last row takes its place and its index.
    ///
    /// # Panics
    /// When there is no row `i`.
    pub fn swap_remove(&mut self, i: usize) {
        self.check_index(i);
        let last = self.len - 1;
        for j in 0..self.dim {
            self.put(i, j, self.block(last / LANES)[j].0[last % LANES]);
        }
        self.len = last;
        if let Some(coarse) = &mut self.coarse {
            coarse.take(i, last);
        }
    }

    /// Makes room for a block of rows, with a box that holds nothing. Removals may have left the room there.
    fn open_block(&mut self, block: usize) {
        let (group, lane) = (block / LANES * self.dim, block % LANES);
        self.columns.resize((block + 1) * self.dim, Column([0.0; LANES]));
        self.lows.resize(group + self.dim, Column([f32::INFINITY; LANES]));
        self.highs.resize(group + self.dim, Column([f32::NEG_INFINITY; LANES]));
        for j in group..group + self.dim {
            self.lows[j].0[lane] = f32::INFINITY;
            self.highs[j].0[lane] = f32::NEG_INFINITY;
        }
    }

    /// Writes number `j` of row `i`, and widens the box of its block to hold it. A NaN widens nothing: a row whose
    /// distance is NaN matters only while no number has been found, and then no block is passed over.
    #[inline]
    fn put(&mut self, i: usize, j: usize, x: f32) {
        let (block, lane) = (i / LANES, i % LANES);
        self.columns[block * self.dim + j].0[lane] = x;
        let (group, lane) = (block / LANES * self.dim + j, block % LANES);
        let (low, high) = (&mut self.lows[group].0[lane], &mut self.highs[group].0[lane]);
        (*low, *high) = (low.min(x), high.max(x));
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

    /// The lows and the highs of the boxes of blocks `32 g` to `32 g + 31`, a column for each dimension.
    #[inline(always)]
    pub(crate) fn boxes(&self, g: usize) -> (&[Column], &[Column]) {
        let group = g * self.dim..(g + 1) * self.dim;
        (&self.lows[group.clone()], &self.highs[group])
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
