//! Flatbuffers, in which Arrow writes its schema and the places of its buffers. Every position is checked against the bytes.
//!
//! Format: <https://flatbuffers.dev/internals/>.

use super::{MAX_FIELDS, damaged};
use crate::error::Result;

/// A table: its position in the bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The elements of a vector: where the first is, and how many there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vector<'a> {
    bytes: &'a [u8],
    first: usize,
    pub len: usize,
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    let end = at.checked_add(N);
    let found = end.and_then(|end| bytes.get(at..end)).and_then(|found| found.try_into().ok());
    found.ok_or_else(|| damaged("a description that is cut"))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<usize> {
    Ok(u32::from_le_bytes(take(bytes, at)?) as usize)
}

/// Where an offset that is written at `at` leads.
fn target(bytes: &[u8], at: usize) -> Result<usize> {
    let to = at.checked_add(u32_at(bytes, at)?);
    to.filter(|to| *to < bytes.len()).ok_or_else(|| damaged("a description that leads out of itself"))
}

impl<'a> Table<'a> {
    /// The outermost table.
    pub fn root(bytes: &'a [u8]) -> Result<Self> {
        Ok(Self { bytes, at: target(bytes, 0)? })
    }

    /// Where field `k` is; `None` if it has its default.
    fn field(&self, k: usize) -> Result<Option<usize>> {
        let back = i64::from(i32::from_le_bytes(take(self.bytes, self.at)?));
        let vtable = usize::try_from(self.at as i64 - back).map_err(|_| damaged("a table without fields"))?;
        let length = usize::from(u16::from_le_bytes(take(self.bytes, vtable)?));
        let place = 4 + 2 * k;
        if place + 2 > length {
            return Ok(None);
        }
        let offset = usize::from(u16::from_le_bytes(take(self.bytes, vtable + place)?));
        Ok((offset > 0).then_some(self.at + offset))
    }

    pub fn u8(&self, k: usize) -> Result<u8> {
        self.field(k)?.map_or(Ok(0), |at| Ok(take::<1>(self.bytes, at)?[0]))
    }

    pub fn i16(&self, k: usize) -> Result<i16> {
        self.field(k)?.map_or(Ok(0), |at| Ok(i16::from_le_bytes(take(self.bytes, at)?)))
    }

    pub fn i32(&self, k: usize) -> Result<i32> {
        self.field(k)?.map_or(Ok(0), |at| Ok(i32::from_le_bytes(take(self.bytes, at)?)))
    }

    pub fn i64(&self, k: usize) -> Result<i64> {
        self.field(k)?.map_or(Ok(0), |at| Ok(i64::from_le_bytes(take(self.bytes, at)?)))
    }

    pub fn text(&self, k: usize) -> Result<String> {
        let Some(vector) = self.vector(k, 1)? else { return Ok(String::new()) };
        let text = &vector.bytes[vector.first..][..vector.len];
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// A table in this one, or the value of a union.
    pub fn table(&self, k: usize) -> Result<Option<Self>> {
        self.field(k)?.map(|at| Ok(Self { bytes: self.bytes, at: target(self.bytes, at)? })).transpose()
    }

    /// A vector of elements of `size` bytes, all of which are there.
    pub fn vector(&self, k: usize, size: usize) -> Result<Option<Vector<'a>>> {
        let Some(at) = self.field(k)? else { return Ok(None) };
        let at = target(self.bytes, at)?;
        let len = u32_at(self.bytes, at)?;
        let end = len.checked_mul(size).and_then(|n| n.checked_add(at + 4));
        if end.is_none_or(|end| end > self.bytes.len()) {
            return Err(damaged("a list that is cut"));
        }
        Ok(Some(Vector { bytes: self.bytes, first: at + 4, len }))
    }

    /// The tables of a vector, at most [`MAX_FIELDS`].
    pub fn tables(&self, k: usize) -> Result<Vec<Self>> {
        let Some(vector) = self.vector(k, 4)? else { return Ok(Vec::new()) };
        if vector.len > MAX_FIELDS {
            return Err(damaged("too many tables in a list"));
        }
        let table = |i: usize| Ok(Self { bytes: self.bytes, at: target(self.bytes, vector.first + 4 * i)? });
        (0..vector.len).map(table).collect()
    }
}

impl Vector<'_> {
    /// A number of 64 bits at `offset` in element `i`, of elements of `size` bytes.
    pub fn i64(&self, i: usize, size: usize, offset: usize) -> Result<i64> {
        Ok(i64::from_le_bytes(take(self.bytes, self.first + i * size + offset)?))
    }

    /// The same of 32 bits.
    pub fn i32(&self, i: usize, size: usize, offset: usize) -> Result<i32> {
        Ok(i32::from_le_bytes(take(self.bytes, self.first + i * size + offset)?))
    }
}
