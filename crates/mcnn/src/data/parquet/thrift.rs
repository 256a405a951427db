//! Thrift's compact protocol, in which Parquet writes its footer and the headers of pages. Nothing is allocated by a size that the
//! bytes claim.

use crate::error::{Error, Kind, Result};

/// The depth to which unknown values are skipped. Parquet's own are nested less deeply.
const MAX_DEPTH: usize = 32;

/// A reader of values, at the start of the bytes that are left.
pub(super) struct Thrift<'a> {
    left: &'a [u8],
}

/// The type of a value, as the protocol numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Type(u8);

impl Type {
    const TRUE: u8 = 1;
    const FALSE: u8 = 2;
    const BYTE: u8 = 3;
    const I16: u8 = 4;
    const I32: u8 = 5;
    const I64: u8 = 6;
    const DOUBLE: u8 = 7;
    const BINARY: u8 = 8;
    const LIST: u8 = 9;
    const SET: u8 = 10;
    const MAP: u8 = 11;
    const STRUCT: u8 = 12;
}

fn damaged(found: &str) -> Error {
    Error::new(Kind::File, "the Parquet file cannot be read").found(found)
}

impl<'a> Thrift<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// The number of bytes that are left.
    pub fn len(&self) -> usize {
        self.left.len()
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(n).ok_or_else(|| damaged("a header that is cut"))?;
        self.left = left;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged("a number of more than 64 bits in a header"))
    }

    /// An integer of any size.
    pub fn integer(&mut self, of: Type) -> Result<i64> {
        match of.0 {
            Type::BYTE => Ok(i64::from(self.byte()? as i8)),
            Type::I16..=Type::I64 => {
                let zigzag = self.varint()?;
                Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
            }
            _ => Err(damaged("another type than an integer in a header")),
        }
    }

    /// A count or a size: an integer from 0 on.
    pub fn count(&mut self, of: Type) -> Result<u64> {
        u64::try_from(self.integer(of)?).map_err(|_| damaged("a negative size in a header"))
    }

    /// A boolean field, whose value is its type.
    pub fn boolean(of: Type) -> Result<bool> {
        match of.0 {
            Type::TRUE | Type::FALSE => Ok(of.0 == Type::TRUE),
            _ => Err(damaged("another type than a boolean in a header")),
        }
    }

    pub fn text(&mut self, of: Type) -> Result<String> {
        if of.0 != Type::BINARY {
            return Err(damaged("another type than a text in a header"));
        }
        let n = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        Ok(String::from_utf8_lossy(self.take(n)?).into_owned())
    }

    /// The elements of a list, one by one.
    pub fn list(&mut self, of: Type, mut each: impl FnMut(&mut Self, Type) -> Result<()>) -> Result<()> {
        if of.0 != Type::LIST && of.0 != Type::SET {
            return Err(damaged("another type than a list in a header"));
        }
        let head = self.byte()?;
        let n = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        for _ in 0..n {
            // An element takes at least a byte, so a count that is a lie ends with the bytes.
            each(self, Type(head & 15))?;
        }
        Ok(())
    }

    /// The fields of a structure, one by one. `each` has to read the value or skip it.
    pub fn fields(
        &mut self,
        of: Type,
        mut each: impl FnMut(&mut Self, i64, Type) -> Result<()>,
    ) -> Result<()> {
        if of.0 != Type::STRUCT {
            return Err(damaged("another type than a structure in a header"));
        }
        let mut id = 0_i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Ok(());
            }
            id = match head >> 4 {
                0 => self.integer(Type(Type::I16))?,
                step => id.saturating_add(i64::from(step)),
            };
            each(self, id, Type(head & 15))?;
        }
    }

    /// The fields of the outermost structure, which has no type before it.
    pub fn root(&mut self, each: impl FnMut(&mut Self, i64, Type) -> Result<()>) -> Result<()> {
        self.fields(Type(Type::STRUCT), each)
    }

    /// Skips the value of a field.
    pub fn skip(&mut self, of: Type) -> Result<()> {
        match of.0 {
            Type::TRUE | Type::FALSE => Ok(()),
            _ => self.skip_element(of, 0),
        }
    }

    /// Skips a value that is not a field: there booleans take a byte.
    fn skip_element(&mut self, of: Type, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(damaged("a header that is nested too deeply"));
        }
        match of.0 {
            Type::TRUE | Type::FALSE | Type::BYTE => self.take(1).map(drop),
            Type::I16..=Type::I64 => self.varint().map(drop),
            Type::DOUBLE => self.take(8).map(drop),
            Type::BINARY => {
                let n = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                self.take(n).map(drop)
            }
            Type::LIST | Type::SET => self.list(of, |inner, of| inner.skip_element(of, depth + 1)),
            Type::MAP => {
                let n = self.varint()?;
                if n > 0 {
                    let types = self.byte()?;
                    for _ in 0..n {
                        self.skip_element(Type(types >> 4), depth + 1)?;
                        self.skip_element(Type(types & 15), depth + 1)?;
                    }
                }
                Ok(())
            }
            Type::STRUCT => self.fields(of, |inner, _, of| match of.0 {
                Type::TRUE | Type::FALSE => Ok(()),
                _ => inner.skip_element(of, depth + 1),
            }),
            _ => Err(damaged("an unknown type in a header")),
        }
    }
}

/// A structure that is written. Fields are written in ascending order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    last: i64,
}

impl Writer {
    fn head(&mut self, id: i64, of: u8) {
        // Numbers of Parquet's fields differ by less than 16.
        self.bytes.push(((id - self.last) as u8) << 4 | of);
        self.last = id;
    }

    fn zigzag(&mut self, value: i64) {
        put_varint(&mut self.bytes, ((value << 1) ^ (value >> 63)) as u64);
    }

    fn list_head(&mut self, id: i64, n: usize, of: u8) {
        self.head(id, Type::LIST);
        if n < 15 {
            self.bytes.push((n as u8) << 4 | of);
        } else {
            self.bytes.push(0xf0 | of);
            put_varint(&mut self.bytes, n as u64);
        }
    }

    fn put_text(&mut self, text: &str) {
        put_varint(&mut self.bytes, text.len() as u64);
        self.bytes.extend(text.as_bytes());
    }

    /// An integer of 32 bits, or the value of an enumeration.
    pub fn integer(&mut self, id: i64, value: i64) {
        self.head(id, Type::I32);
        self.zigzag(value);
    }

    /// An integer of 64 bits.
    pub fn long(&mut self, id: i64, value: i64) {
        self.head(id, Type::I64);
        self.zigzag(value);
    }

    pub fn text(&mut self, id: i64, text: &str) {
        self.head(id, Type::BINARY);
        self.put_text(text);
    }

    pub fn integers(&mut self, id: i64, values: &[i64]) {
        self.list_head(id, values.len(), Type::I32);
        values.iter().for_each(|v| self.zigzag(*v));
    }

    pub fn texts(&mut self, id: i64, texts: &[&str]) {
        self.list_head(id, texts.len(), Type::BINARY);
        texts.iter().for_each(|text| self.put_text(text));
    }

    /// A structure in this one.
    pub fn structure(&mut self, id: i64, fill: impl FnOnce(&mut Self)) {
        self.head(id, Type::STRUCT);
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes.extend(inner.finish());
    }

    /// A list of structures.
    pub fn structures(&mut self, id: i64, all: impl IntoIterator<Item = Self>) {
        let all: Vec<Self> = all.into_iter().collect();
        self.list_head(id, all.len(), Type::STRUCT);
        all.into_iter().for_each(|one| self.bytes.extend(one.finish()));
    }

    /// The bytes of the structure with its end.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

/// Appends a number, seven bits in a byte, the lowest first.
pub(super) fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes by hand from the protocol's specification.
    #[test]
    fn fields_lists_and_numbers_are_read_and_unknown_ones_skipped() {
        let bytes = [
            0x15, 0x0d, // field 1, i32: zigzag of -7
            0x18, 0x02, b'a', b'b', // field 2, binary
            0x19, 0x25, 0x02, 0xac, 0x02, // field 3, a list of 2 i32: 1, 150
            0x11, // field 4, true
            0x1c, 0x16, 0x02, 0x00, // field 5, a structure
            0x05, 0xc8, 0x01, 0x04, // field 100, i32: 2
            0x00,
        ];
        let (mut numbers, mut text, mut flag) = (vec![], String::new(), None);
        let mut reader = Thrift::new(&bytes);
        reader
            .root(|inner, id, of| {
                match id {
                    1 | 100 => numbers.push(inner.integer(of)?),
                    2 => text = inner.text(of)?,
                    3 => inner.list(of, |inner, of| {
                        numbers.push(inner.integer(of)?);
                        Ok(())
                    })?,
                    4 => flag = Some(Thrift::boolean(of)?),
                    _ => inner.skip(of)?,
                }
                Ok(())
            })
            .unwrap();
        assert_eq!((numbers, &*text, flag, reader.len()), (vec![-7, 1, 150, 2], "ab", Some(true), 0));
        for cut in 0..bytes.len() {
            assert!(Thrift::new(&bytes[..cut]).root(|inner, _, of| inner.skip(of)).is_err(), "{cut}");
        }
        let deep = [0x1c; 100]; // a structure in a structure in a structure ...
        assert!(Thrift::new(&deep).root(|inner, _, of| inner.skip(of)).is_err());
    }
}
