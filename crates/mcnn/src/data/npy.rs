//! An array of NumPy's format `.npy`, as it is stored in an `.npz`.
//!
//! Format: NumPy, `numpy/lib/format.py`. The header is parsed here, strictly: it is three fixed keys, and a general
//! parser of Python literals is a way to hang (the `npyz` crate's ran for over ten minutes on 10,000 nested lists).

use std::io::Read;

use super::{
    number::{Beyond, beyond, half},
    read::{MORE_MEMORY, TOO_LARGE, expanded},
};
use crate::error::{Error, Kind, Result};

/// An array as stored: its bytes, and their type and shape from the header.
pub(super) struct Array {
    name: String,
    big_endian: bool,
    pub(super) kind: char,
    pub(super) size: usize,
    pub(super) fortran: bool,
    pub(super) shape: Vec<u64>,
    pub(super) bytes: Vec<u8>,
}

impl Array {
    /// Reads the header of a numeric array; `from` is then at the first element.
    pub(super) fn head(name: &str, from: &mut (impl Read + ?Sized)) -> Result<Self> {
        let array = Self::any_head(name, from)?;
        match array.kind {
            'U' | 'S' => Err(other_type("text")),
            'O' => Err(python_objects(
                "make it an array of numbers: episodes one after the other, and episode_ends",
            )),
            _ => Ok(array),
        }
    }

    /// Reads the header of an array of strings; `from` is then at the first character.
    pub(super) fn text_head(name: &str, from: &mut (impl Read + ?Sized)) -> Result<Self> {
        let array = Self::any_head(name, from)?;
        match array.kind {
            'U' | 'S' => Ok(array),
            'O' => Err(python_objects("make it an array of strings: numpy.array(names, dtype=str)")
                .expected("strings")),
            _ => Err(other_type("numbers").expected("strings")),
        }
    }

    /// Reads the header of an array of numbers, strings or Python objects; `from` is then at the first element.
    fn any_head(name: &str, from: &mut (impl Read + ?Sized)) -> Result<Self> {
        let mut start = [0; 8];
        let mut take = |buffer: &mut [u8]| from.read_exact(buffer).map_err(|e| damaged(&e.to_string()));
        take(&mut start)?;
        if !start.starts_with(b"\x93NUMPY") {
            return Err(damaged("an entry that is not a NumPy array"));
        }
        let header = match start[6] {
            1 => {
                let mut n = [0; 2];
                take(&mut n)?;
                u32::from(u16::from_le_bytes(n))
            }
            2 | 3 => {
                let mut n = [0; 4];
                take(&mut n)?;
                u32::from_le_bytes(n)
            }
            version => return Err(damaged(&format!("version {version} of the array format"))),
        };
        if header > 1 << 16 {
            return Err(damaged(&format!("a header of {header} bytes")));
        }
        let mut text = vec![0; header as usize];
        take(&mut text)?;
        Self::parse(name, &String::from_utf8_lossy(&text))
    }

    /// The whole array with this header, of a file of `length` bytes, if it takes at most `left` bytes.
    pub(super) fn read(mut array: Self, from: &mut dyn Read, length: u64, left: u64) -> Result<Self> {
        let count = array.shape.iter().try_fold(array.size as u64, |n, &d| n.checked_mul(d));
        let Some(count) = count.filter(|&n| n <= left) else {
            return Err(Error::new(Kind::File, "the .npz expands to more memory than it is given")
                .expected(format!("at most {left} bytes more in a file of {length}"))
                .found(match count {
                    Some(bytes) => format!("{bytes} bytes, of the shape {:?}", array.shape),
                    None => format!("the shape {:?}", array.shape),
                })
                .next(if count.is_some_and(|n| n <= expanded(length)) { MORE_MEMORY } else { TOO_LARGE }));
        };
        // One more byte, to detect excess data, and to reach the end, where the checksum is verified.
        let expected = count as usize; // at most `left`, which is far below 2^63
        from.take(count + 1).read_to_end(&mut array.bytes).map_err(|e| damaged(&e.to_string()))?;
        if array.bytes.len() != expected {
            let found = if array.bytes.len() > expected { "more" } else { "fewer" };
            return Err(damaged(&format!(
                "{found} bytes than the {expected} of its shape {:?}",
                array.shape
            )));
        }
        Ok(array)
    }

    /// The header, `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(name: &str, text: &str) -> Result<Self> {
        let strange = || damaged(&format!("the header {:?}", text.chars().take(120).collect::<String>()));
        let after = |key: &str| {
            let (_, rest) = text.split_once(&format!("'{key}':")).ok_or_else(strange)?;
            Ok::<_, Error>(rest.trim_start())
        };
        let fortran = after("fortran_order")?.starts_with("True");
        let shape = after("shape")?.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let shape = shape.ok_or_else(strange)?.0.split(',').map(str::trim).filter(|n| !n.is_empty());
        let shape: std::result::Result<Vec<u64>, _> = shape.map(str::parse).collect();
        let shape = shape.map_err(|_| strange())?;
        if shape.len() > 64 {
            return Err(strange()); // NumPy's own limit of dimensions
        }

        let descr = after("descr")?;
        let descr = descr.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
        let Some((descr, _)) = descr else {
            return Err(other_type("records"));
        };
        let mut characters = descr.chars();
        let (order, kind) = (characters.next(), characters.next());
        let (Some(order @ ('<' | '>' | '|' | '=')), Some(kind)) = (order, kind) else {
            return Err(strange());
        };
        let size = characters.as_str().parse().unwrap_or(0_usize);
        let size = match (kind, size) {
            ('f', 2 | 4 | 8) | ('i' | 'u', 1 | 2 | 4 | 8) | ('b', 1) | ('S', 1..) | ('O', _) => size,
            ('U', 1..) => size.saturating_mul(4), // UTF-32
            _ => return Err(other_type(&format!("NumPy's {descr}"))),
        };
        Ok(Self {
            name: name.into(),
            big_endian: order == '>' || (order == '=' && cfg!(target_endian = "big")),
            kind,
            size,
            fortran,
            shape,
            bytes: Vec::new(),
        })
    }

    /// The elements, each through `number`, in the order they are stored.
    fn decode<const N: usize, T>(&self, number: impl Fn([u8; N]) -> T) -> Vec<T> {
        let little = |bytes: &[u8; N]| {
            let mut bytes = *bytes;
            if self.big_endian {
                bytes.reverse();
            }
            number(bytes)
        };
        self.bytes.as_chunks().0.iter().map(little).collect()
    }

    /// The type of the elements, as NumPy names it.
    pub(super) fn type_name(&self) -> String {
        let kind = match self.kind {
            'f' => "float",
            'i' => "int",
            'u' => "uint",
            _ => return "bool".into(),
        };
        format!("{kind}{}", 8 * self.size)
    }

    /// Bytes of a number.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether the elements are unsigned bytes.
    pub(super) fn is_bytes(&self) -> bool {
        self.kind == 'u' && self.size == 1
    }

    /// The values as they are stored. Finite ones beyond the range of 32-bit floats become infinities, and the error of that is set.
    pub(super) fn floats(&self, cell: &Beyond) -> Result<Vec<f32>> {
        match (self.kind, self.size) {
            ('f', 2) => Ok(self.decode(|b| half(u16::from_le_bytes(b)))),
            ('f', 4) => Ok(self.decode(f32::from_le_bytes)),
            ('f', 8) => {
                let values = self.decode(|b| f64::from_le_bytes(b) as f32);
                // An infinity may be one of the file's, or a finite value that was too large.
                if values.iter().any(|v| v.is_infinite())
                    && let Err(e) = self.beyond()
                {
                    let _ = cell.set(e);
                }
                Ok(values)
            }
            _ => Ok(self.integers().into_iter().map(|v| v as f32).collect()),
        }
    }

    /// Checks that 64-bit floats fit into 32-bit ones, and says where one does not.
    fn beyond(&self) -> Result<()> {
        let values = self.decode(f64::from_le_bytes);
        match self.shape[..] {
            // Stored column by column.
            [rows, columns] if self.fortran => {
                let (rows, columns) = (rows as usize, columns as usize);
                let by_row: Vec<f64> =
                    (0..values.len()).map(|i| values[i % columns * rows + i / columns]).collect();
                beyond(&self.name, &by_row, columns)
            }
            [_, columns] => beyond(&self.name, &values, columns as usize),
            _ => beyond(&self.name, &values, 1),
        }
    }

    /// Steps, width, and the values, row-major.
    pub(super) fn table(&self, cell: &Beyond) -> Result<(usize, usize, Vec<f32>)> {
        let [rows, columns] = self.shape[..] else {
            return Err(self.other_shape("(steps, width)"));
        };
        let (rows, columns) = (rows as usize, columns as usize);
        let values = self.floats(cell)?;
        // (Of an empty array, any number of rows may be claimed.)
        if !self.fortran || values.is_empty() {
            return Ok((rows, columns, values));
        }
        let mut transposed = Vec::with_capacity(values.len());
        for row in 0..rows {
            transposed.extend((0..columns).map(|column| values[column * rows + row]));
        }
        Ok((rows, columns, transposed))
    }

    /// A number a step.
    pub(super) fn column(&self, cell: &Beyond) -> Result<Vec<f32>> {
        match self.shape[..] {
            [_] | [_, 1] => self.floats(cell),
            _ => Err(self.other_shape("(steps,) or (steps, 1)")),
        }
    }

    fn integers(&self) -> Vec<i64> {
        match (self.kind, self.size) {
            ('i', 1) => self.decode(|b| i8::from_le_bytes(b).into()),
            ('i', 2) => self.decode(|b| i16::from_le_bytes(b).into()),
            ('i', 4) => self.decode(|b| i32::from_le_bytes(b).into()),
            ('i', 8) => self.decode(i64::from_le_bytes),
            ('u' | 'b', 1) => self.decode(|b| u8::from_le_bytes(b).into()),
            ('u', 2) => self.decode(|b| u16::from_le_bytes(b).into()),
            ('u', 4) => self.decode(|b| u32::from_le_bytes(b).into()),
            _ => self.decode(|b| u64::from_le_bytes(b).try_into().unwrap_or(i64::MAX)),
        }
    }

    /// The strings of an array of rank 1, without the NULs that fill each up to the length of the longest.
    pub(super) fn strings(&self) -> Result<Vec<String>> {
        let [_] = self.shape[..] else {
            return Err(self.other_shape("(dimensions,)"));
        };
        let mut strings = Vec::new();
        for (i, bytes) in self.bytes.chunks_exact(self.size).enumerate() {
            let text: Option<String> = if self.kind == 'U' {
                let code = |c: &[u8; 4]| {
                    if self.big_endian { u32::from_be_bytes(*c) } else { u32::from_le_bytes(*c) }
                };
                bytes.as_chunks().0.iter().map(|c| char::from_u32(code(c))).collect()
            } else {
                String::from_utf8(bytes.to_vec()).ok()
            };
            let text = text.ok_or_else(|| {
                let expected = if self.kind == 'U' { "characters of Unicode" } else { "UTF-8" };
                Error::new(Kind::Data, "a string that is not text")
                    .at(format!("{}, element {i}", self.name))
                    .expected(expected)
            })?;
            strings.push(text.trim_end_matches('\0').to_owned());
        }
        Ok(strings)
    }

    pub(super) fn ends(&self) -> Result<Vec<usize>> {
        let [_] = self.shape[..] else {
            return Err(self.other_shape("(episodes,)"));
        };
        if !matches!(self.kind, 'i' | 'u') {
            return Err(other_type("floats or booleans").expected("integers").within(&self.name));
        }
        // A negative end becomes 0, which is refused as every end that does not increase is.
        Ok((self.integers().into_iter()).map(|v| usize::try_from(v).unwrap_or(0)).collect())
    }

    pub(super) fn other_shape(&self, expected: &str) -> Error {
        Error::new(Kind::Data, "an array of another shape")
            .at(&self.name)
            .expected(expected)
            .found(format!("{:?}", self.shape))
    }
}

pub(super) fn damaged(found: &str) -> Error {
    Error::new(Kind::File, "the .npz cannot be read")
        .found(found)
        .next("it may be damaged or cut short: write it again with numpy.savez")
}

pub(super) fn other_type(found: &str) -> Error {
    Error::new(Kind::Data, "numbers of an unsupported type")
        .expected("floats of 16, 32 or 64 bits, integers or booleans")
        .found(found)
}

fn python_objects(next: &str) -> Error {
    other_type("Python objects, stored as a pickle, and pickles run code when read").next(next)
}
