//! A column of recorded steps, whose rows are read one after another: from memory, or from a file that is larger than memory.

use std::io::{self, Read};

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
