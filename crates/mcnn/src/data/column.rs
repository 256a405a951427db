//! A column of recorded steps, whose rows are read one after another: from memory, or from a file that is larger than memory.

use std::{
    fs::File,
    io::{self, BufReader, Read},
};

/// The numbers of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    F32,
    U8,
}

impl Numbers {
    /// Bytes of a number.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::U8 => 1,
        }
    }
}

/// A column: the numbers of a row, and the rows as bytes (little-endian).
pub(super) struct Column<'a> {
    pub numbers: Numbers,
    pub width: usize,
    pub rows: Box<dyn Read + 'a>,
}

impl<'a> Column<'a> {
    pub fn floats(width: usize, rows: &'a [f32]) -> Self {
        Self { numbers: Numbers::F32, width, rows: Box::new(Floats { rows, at: 0 }) }
    }

    pub fn bytes(width: usize, rows: &'a [u8]) -> Self {
        Self { numbers: Numbers::U8, width, rows: Box::new(rows) }
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> usize {
        self.width * self.numbers.size()
    }
}

/// Floats as little-endian bytes, without a copy of all of them.
struct Floats<'a> {
    rows: &'a [f32],
    at: usize, // bytes read of the first number
}

impl Read for Floats<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < to.len()
            && let Some((first, rest)) = self.rows.split_first()
        {
            let bytes = &first.to_le_bytes()[self.at..];
            let n = bytes.len().min(to.len() - done);
            to[done..done + n].copy_from_slice(&bytes[..n]);
            done += n;
            self.at += n;
            if self.at == 4 {
                (self.rows, self.at) = (rest, 0);
            }
        }
        Ok(done)
    }
}

/// Ranges of a file, one after another.
pub(super) struct Ranges {
    file: BufReader<File>,
    at: u64, // position in the file
    ranges: std::vec::IntoIter<(u64, u64)>,
    left: u64, // of the present range
}

impl Ranges {
    /// Of a file at its start: where each range starts, and its bytes.
    pub fn new(file: File, ranges: Vec<(u64, u64)>) -> Self {
        Self { file: BufReader::new(file), at: 0, ranges: ranges.into_iter(), left: 0 }
    }
}

impl Read for Ranges {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let Some((start, length)) = self.ranges.next() else { return Ok(0) };
            self.file.seek_relative(start as i64 - self.at as i64)?;
            (self.at, self.left) = (start, length);
        }
        let most = to.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.file.read(&mut to[..most])?;
        if n == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_read_in_pieces_of_any_length() {
        let rows: Vec<f32> = (0..100).map(|i| i as f32 / 7.0).collect();
        let expected: Vec<u8> = rows.iter().flat_map(|v| v.to_le_bytes()).collect();
        for piece in [1, 3, 4, 7, 401] {
            let (mut column, mut found) = (Column::floats(2, &rows), Vec::<u8>::new());
            let mut buffer = vec![0; piece];
            loop {
                match column.rows.read(&mut buffer).unwrap() {
                    0 => break,
                    n => found.extend(&buffer[..n]),
                }
            }
            assert_eq!(found, expected, "pieces of {piece}");
        }
    }
}
