//! Columns of Parquet files: floats, integers, booleans and texts, alone or in lists, as the writers of robot data store them.
//!
//! Format: <https://parquet.apache.org/docs/file-format/>. Read are pages of both versions; without compression, with Snappy, gzip,
//! Zstandard or LZ4; and values stored plainly, by a dictionary, by their differences or with their bytes split. Values are read as
//! they are stored, so Arrow's own schema in the file is not needed. Every size that a file states is checked against the
//! bytes that are there, or against a [`Budget`], before it is allocated.

mod footer;
mod hybrid;
mod pages;
mod thrift;
mod values;
mod write;

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rayon::prelude::*;

use super::read::{MORE_MEMORY, limit_of_any_codec};
use crate::error::{Error, Kind, Result};
pub(super) use footer::Leaf;
use footer::{Chunk, Footer};
use hybrid::Levels;
use pages::{Data, Page, Pages};
pub(super) use values::Values;
pub(super) use write::{ColumnKind, Field, ParquetWriter, WrittenValues};

fn damaged(found: &str) -> Error {
    Error::new(Kind::File, "the Parquet file cannot be read")
        .found(found)
        .next("it may be damaged or cut short: fetch or write it again")
}

/// Whether an error is that of a file that was never finished.
pub(super) fn is_unfinished(e: &Error) -> bool {
    e.what() == footer::UNFINISHED
}

/// The bytes of memory that the contents of some files may take together.
pub(super) struct Budget {
    left: AtomicU64,
    limit: u64,
}

impl Budget {
    /// For files of `length` bytes together: 32 times as much and 64 MiB (MCNN_EXPAND_MIB).
    pub fn new(length: u64) -> Self {
        let limit = limit_of_any_codec(length);
        Self { left: AtomicU64::new(limit), limit }
    }

    /// Gives everything back, once what was taken is no longer in memory.
    pub fn renew(&self) {
        self.left.store(self.limit, Ordering::Relaxed);
    }

    /// Takes some bytes.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn take(&self, bytes: u64) -> Result<()> {
        let less = |left: u64| left.checked_sub(bytes);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .map(drop)
            .map_err(|left| self.spent(left, bytes))
    }

    /// Checks that some bytes are left, for what is dropped soon.
    ///
    /// # Errors
    /// If they are not.
    pub fn check(&self, bytes: u64) -> Result<()> {
        let left = self.left.load(Ordering::Relaxed);
        if bytes > left { Err(self.spent(left, bytes)) } else { Ok(()) }
    }

    fn spent(&self, left: u64, bytes: u64) -> Error {
        Error::new(Kind::File, "the file expands to more memory than it is given")
            .expected(format!("at most {} bytes", self.limit))
            .found(format!("{bytes} bytes after {}", self.limit - left.min(self.limit)))
            .next(MORE_MEMORY)
    }
}

/// Rows of a column.
#[derive(Debug)]
pub(super) struct Column {
    /// The values, without nulls.
    pub values: Values,
    /// The values of each row, if the column is in lists; else each row has one.
    pub lengths: Vec<u32>,
    /// The rows.
    pub rows: usize,
    /// The first row with a null, or with an empty list.
    pub first_null: Option<usize>,
}

/// An open file.
pub(super) struct Parquet {
    path: PathBuf,
    footer: Footer,
}

impl Parquet {
    /// Opens a file of `length` bytes and reads its footer. Errors, here and below, do not name the file.
    pub fn open(path: &Path, length: u64) -> Result<Self> {
        Ok(Self { path: path.to_owned(), footer: Footer::read(path, length)? })
    }

    /// All columns.
    pub fn leaves(&self) -> &[Leaf] {
        &self.footer.leaves
    }

    /// The number of row groups.
    pub fn groups(&self) -> usize {
        self.footer.groups.len()
    }

    /// Reads columns of a row group, side by side.
    ///
    /// # Errors
    /// Damaged pages, types and encodings that are not read, columns of different numbers of rows, and more memory than the
    /// budget.
    pub fn read(&self, group: usize, leaves: &[usize], budget: &Budget) -> Result<Vec<Column>> {
        // The error is that of the first column, whichever was read first.
        let read: Vec<Result<Column>> =
            leaves.par_iter().map(|&leaf| self.column(group, leaf, budget)).collect();
        read.into_iter().collect()
    }

    fn column(&self, group: usize, leaf: usize, budget: &Budget) -> Result<Column> {
        let rows = self.footer.groups[group].rows;
        let (leaf, chunk) = (&self.footer.leaves[leaf], &self.footer.groups[group].chunks[leaf]);
        let named = |e: Error| e.within(format!("column {}", leaf.path.join(".")));
        if chunk.elsewhere {
            return Err(named(damaged("values that are in another file")));
        }
        let io = |e| Error::io("reading", &self.path, &e);
        // The footer was checked against the length of the file.
        let mut bytes = vec![0; chunk.length as usize];
        let mut file = File::open(&self.path).map_err(io)?;
        file.seek(SeekFrom::Start(chunk.start)).map_err(io)?;
        file.read_exact(&mut bytes).map_err(io)?;
        let column = decode(leaf, chunk, &bytes, budget).map_err(named)?;
        if column.rows as u64 != rows {
            return Err(named(damaged(&format!("{} rows in a row group of {rows}", column.rows))));
        }
        Ok(column)
    }
}

/// The values of a column in a row group, from its bytes.
fn decode(leaf: &Leaf, chunk: &Chunk, bytes: &[u8], budget: &Budget) -> Result<Column> {
    let mut column = Column { values: Values::new(leaf)?, lengths: Vec::new(), rows: 0, first_null: None };
    let (mut dictionary, mut seen) = (None, 0);
    let mut pages = Pages::new(bytes, chunk, leaf);
    while let Some(page) = pages.next(budget)? {
        match page {
            Page::Dictionary { n, values } => {
                let mut entries = Values::new(leaf)?;
                budget.take((n as u64).saturating_mul(entries.size()))?;
                entries.append(leaf, &values, pages::PLAIN, n, None, budget)?;
                dictionary = Some(entries);
            }
            Page::Data(page) => {
                seen += page.n as u64;
                if seen > chunk.values {
                    break;
                }
                let present = page.definition.count(leaf.max_def, page.n);
                budget.take(present as u64 * column.values.size())?;
                column.values.append(
                    leaf,
                    page.values(),
                    page.encoding,
                    present,
                    dictionary.as_ref(),
                    budget,
                )?;
                column.add_rows(leaf, &page, budget)?;
            }
        }
    }
    match seen == chunk.values {
        true => Ok(column),
        false => Err(damaged(&format!("{seen} values in the pages, {} in the footer", chunk.values))),
    }
}

impl Column {
    /// Counts the rows of a page, and the values of each.
    fn add_rows(&mut self, leaf: &Leaf, page: &Data, budget: &Budget) -> Result<()> {
        let all_there = matches!(page.definition, Levels::Same(level) if u32::from(level) == leaf.max_def);
        let is_null = |i: usize| page.definition.at(i) != leaf.max_def;
        if leaf.max_rep == 0 {
            if !all_there && self.first_null.is_none() {
                self.first_null = (0..page.n).find(|&i| is_null(i)).map(|i| self.rows + i);
            }
            self.rows += page.n;
            return Ok(());
        }
        budget.take(4 * page.repetition.count(0, page.n) as u64)?;
        if self.rows == 0 && page.n > 0 && page.repetition.at(0) != 0 {
            return Err(damaged("a column that starts within a row"));
        }
        let mut start = 0;
        while start < page.n {
            if page.repetition.at(start) == 0 {
                self.lengths.push(0);
            }
            let end = page.repetition.next_row(start, page.n);
            let present = if all_there { end - start } else { (start..end).filter(|&i| !is_null(i)).count() };
            if present < end - start {
                self.first_null.get_or_insert(self.lengths.len() - 1);
            }
            if let Some(last) = self.lengths.last_mut() {
                *last = last.saturating_add(u32::try_from(present).unwrap_or(u32::MAX));
            }
            start = end;
        }
        self.rows = self.lengths.len();
        Ok(())
    }

    /// The number of values in every row.
    ///
    /// # Errors
    /// Nulls, and rows of different lengths: the first such row, counted in the row group.
    pub fn width(&self) -> Result<usize> {
        if let Some(row) = self.first_null {
            return Err(Error::new(Kind::Data, "a value that is missing")
                .at(format!("row {row}"))
                .expected("a value in every row")
                .found("null, or an empty list")
                .next("repair or drop those episodes"));
        }
        let Some(&first) = self.lengths.first() else { return Ok(1) };
        match self.lengths.iter().position(|&length| length != first) {
            None => Ok(first as usize),
            Some(row) => Err(Error::new(Kind::Data, "rows of different lengths")
                .at(format!("row {row}"))
                .expected(format!("{first} values, as in row 0"))
                .found(format!("{}", self.lengths[row]))),
        }
    }
}

#[cfg(test)]
mod tests;
