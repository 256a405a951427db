//! The values of a page, of every type and encoding that is read.

use super::{
    Budget, damaged,
    footer::{Leaf, Stored},
    hybrid::{Hybrid, Run, take, unpack, varint},
    pages::{PLAIN, PLAIN_DICTIONARY, RLE},
};
use crate::{
    data::number::half,
    error::{Error, Kind, Result},
};

const DELTA: i64 = 5;
const DELTA_LENGTH: i64 = 6;
const RLE_DICTIONARY: i64 = 8;
const BYTE_STREAM_SPLIT: i64 = 9;

/// Values one after another, without nulls.
#[derive(Debug)]
pub(in crate::data) enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
    /// Integers and booleans. Those of 64 bits without a sign end at 2^63 - 1.
    Integers(Vec<i64>),
    Texts(Texts),
}

/// Texts or other bytes, end to end.
#[derive(Debug, Default)]
pub(in crate::data) struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn get(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.bytes[start..self.ends[i]]
    }

    fn push(&mut self, text: &[u8], budget: &Budget) -> Result<()> {
        budget.take(text.len() as u64)?;
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        Ok(())
    }
}

impl Values {
    /// No values of a column's type.
    pub fn new(leaf: &Leaf) -> Result<Self> {
        Ok(match leaf.stored {
            _ if leaf.scaled => return Err(other(leaf, "a decimal, date or time")),
            Stored::Float => Self::F32(Vec::new()),
            Stored::Fixed(2) if leaf.half => Self::F32(Vec::new()),
            Stored::Double => Self::F64(Vec::new()),
            Stored::Boolean | Stored::Int32 | Stored::Int64 => Self::Integers(Vec::new()),
            Stored::Bytes => Self::Texts(Texts::default()),
            Stored::Int96 | Stored::Fixed(_) => return Err(other(leaf, &leaf.type_name())),
        })
    }

    /// Bytes of a value in memory, of texts without their bytes.
    pub fn size(&self) -> u64 {
        if matches!(self, Self::F32(_)) { 4 } else { 8 }
    }

    /// Appends `n` values. `dictionary` has those of the column's dictionary. The budget has place for `n` values; the bytes of
    /// texts are taken from it here.
    pub fn append(
        &mut self,
        leaf: &Leaf,
        bytes: &[u8],
        encoding: i64,
        n: usize,
        dictionary: Option<&Self>,
        budget: &Budget,
    ) -> Result<()> {
        if encoding == PLAIN_DICTIONARY || encoding == RLE_DICTIONARY {
            return match (self, dictionary) {
                (Self::F32(to), Some(Self::F32(from))) => indexed(bytes, n, from, to),
                (Self::F64(to), Some(Self::F64(from))) => indexed(bytes, n, from, to),
                (Self::Integers(to), Some(Self::Integers(from))) => indexed(bytes, n, from, to),
                (Self::Texts(to), Some(Self::Texts(from))) => indices(bytes, n, |i, n| {
                    let known = i < from.len();
                    (0..n).try_for_each(|_| match known {
                        true => to.push(from.get(i), budget),
                        false => Err(no_entry()),
                    })
                }),
                _ => Err(damaged("a page with indices into a dictionary that is not there")),
            };
        }
        match (self, leaf.stored, encoding) {
            (Self::F32(to), Stored::Fixed(_), PLAIN) => plain(bytes, n, |b| half(u16::from_le_bytes(b)), to),
            (Self::F32(to), Stored::Fixed(_), BYTE_STREAM_SPLIT) => {
                split(bytes, n, |b| half(u16::from_le_bytes(b)), to)
            }
            (Self::F32(to), _, PLAIN) => plain(bytes, n, f32::from_le_bytes, to),
            (Self::F32(to), _, BYTE_STREAM_SPLIT) => split(bytes, n, f32::from_le_bytes, to),
            (Self::F64(to), _, PLAIN) => plain(bytes, n, f64::from_le_bytes, to),
            (Self::F64(to), _, BYTE_STREAM_SPLIT) => split(bytes, n, f64::from_le_bytes, to),
            (Self::Integers(to), Stored::Boolean, PLAIN) => {
                if bytes.len() < n.div_ceil(8) {
                    return Err(cut());
                }
                to.extend((0..n).map(|i| i64::from(bytes[i / 8] >> (i % 8) & 1)));
                Ok(())
            }
            (Self::Integers(to), Stored::Boolean, RLE) => {
                let rest = bytes.get(4..).ok_or_else(cut)?;
                Hybrid::new(rest, 1)?.runs(n, |run| {
                    match run {
                        Run::Same { value, n } => to.resize(to.len() + n, i64::from(value)),
                        Run::Packed { bytes, n } => unpack(bytes, 1, n, |v| to.push(i64::from(v))),
                    }
                    Ok(())
                })
            }
            (Self::Integers(to), Stored::Int32, _) => {
                let of = |value: i32| if leaf.unsigned { i64::from(value as u32) } else { value.into() };
                match encoding {
                    PLAIN => plain(bytes, n, |b| of(i32::from_le_bytes(b)), to),
                    BYTE_STREAM_SPLIT => split(bytes, n, |b| of(i32::from_le_bytes(b)), to),
                    DELTA => delta(bytes, n, |v| to.push(of(v as i32))).map(drop),
                    _ => Err(other_encoding(encoding)),
                }
            }
            (Self::Integers(to), Stored::Int64, _) => {
                let of = |v: i64| if leaf.unsigned && v < 0 { i64::MAX } else { v };
                match encoding {
                    PLAIN => plain(bytes, n, |b| of(i64::from_le_bytes(b)), to),
                    BYTE_STREAM_SPLIT => split(bytes, n, |b| of(i64::from_le_bytes(b)), to),
                    DELTA => delta(bytes, n, |v| to.push(of(v))).map(drop),
                    _ => Err(other_encoding(encoding)),
                }
            }
            (Self::Texts(to), _, PLAIN) => {
                let mut left = bytes;
                (0..n).try_for_each(|_| {
                    let length = take(&mut left, 4)?;
                    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
                    to.push(take(&mut left, length as usize)?, budget)
                })
            }
            (Self::Texts(to), _, DELTA_LENGTH) => {
                let mut lengths = Vec::new();
                budget.check(8 * n as u64)?;
                let mut left = delta(bytes, n, |v| lengths.push(v))?;
                lengths.into_iter().try_for_each(|length| {
                    let length = usize::try_from(length).map_err(|_| damaged("a text of negative length"))?;
                    to.push(take(&mut left, length)?, budget)
                })
            }
            _ => Err(other_encoding(encoding)),
        }
    }
}

fn cut() -> Error {
    damaged("a page with fewer values than its header says")
}

fn no_entry() -> Error {
    damaged("an index beyond the dictionary")
}

fn other(leaf: &Leaf, found: &str) -> Error {
    Error::new(Kind::Data, "a column of an unsupported type")
        .at(leaf.path.join("."))
        .expected("floats, integers, booleans or texts")
        .found(found)
}

fn other_encoding(encoding: i64) -> Error {
    let name = if encoding == 7 { "DELTA_BYTE_ARRAY".into() } else { format!("encoding {encoding}") };
    Error::new(Kind::File, "an encoding that is not read for values of this type")
        .found(name)
        .next("write it again with pyarrow.parquet.write_table, which encodes plainly or by a dictionary")
}

/// Values as they are in memory.
fn plain<T, const N: usize>(
    bytes: &[u8],
    n: usize,
    of: impl Fn([u8; N]) -> T,
    to: &mut Vec<T>,
) -> Result<()> {
    let values = bytes.as_chunks::<N>().0.get(..n).ok_or_else(cut)?;
    to.extend(values.iter().map(|&bytes| of(bytes)));
    Ok(())
}

/// First the first bytes of all values, then the second ones, and so on.
fn split<T, const N: usize>(
    bytes: &[u8],
    n: usize,
    of: impl Fn([u8; N]) -> T,
    to: &mut Vec<T>,
) -> Result<()> {
    if bytes.len() / N < n {
        return Err(cut());
    }
    let stride = bytes.len() / N;
    to.extend((0..n).map(|i| of(std::array::from_fn(|k| bytes[k * stride + i]))));
    Ok(())
}

/// Gives runs of indices into a dictionary: the index, and how often it follows itself.
fn indices(bytes: &[u8], n: usize, mut each: impl FnMut(usize, usize) -> Result<()>) -> Result<()> {
    if n == 0 {
        return Ok(());
    }
    let (&width, rest) = bytes.split_first().ok_or_else(cut)?;
    Hybrid::new(rest, width.into())?.runs(n, |run| match run {
        Run::Same { value, n } => each(value as usize, n),
        Run::Packed { bytes, n } => {
            let mut result = Ok(());
            unpack(bytes, width.into(), n, |i| {
                if result.is_ok() {
                    result = each(i as usize, 1);
                }
            });
            result
        }
    })
}

fn indexed<T: Copy>(bytes: &[u8], n: usize, from: &[T], to: &mut Vec<T>) -> Result<()> {
    if n == 0 {
        return Ok(());
    }
    let (&width, rest) = bytes.split_first().ok_or_else(cut)?;
    Hybrid::new(rest, width.into())?.runs(n, |run| {
        match run {
            Run::Same { value, n } => {
                let value = *from.get(value as usize).ok_or_else(no_entry)?;
                to.resize(to.len() + n, value);
            }
            Run::Packed { bytes, n } => {
                let mut all = true;
                unpack(bytes, width.into(), n, |i| match from.get(i as usize) {
                    Some(&value) => to.push(value),
                    None => all = false,
                });
                if !all {
                    return Err(no_entry());
                }
            }
        }
        Ok(())
    })
}

/// Integers by their differences (DELTA_BINARY_PACKED). The bytes after them.
fn delta(bytes: &[u8], n: usize, mut each: impl FnMut(i64)) -> Result<&[u8]> {
    let zigzag = |v: u64| (v >> 1) as i64 ^ -((v & 1) as i64);
    let mut left = bytes;
    let (block, parts, total) = (varint(&mut left)?, varint(&mut left)?, varint(&mut left)?);
    let mut value = zigzag(varint(&mut left)?);
    let part = block.checked_div(parts).filter(|part| (1..1 << 20).contains(part) && parts < 1 << 16);
    let part = part.ok_or_else(|| damaged("differences in blocks of an impossible size"))?;
    if total != n as u64 {
        return Err(damaged("a page with another number of differences than of values"));
    }
    if total > 0 {
        each(value);
    }
    let mut rest = total.saturating_sub(1);
    while rest > 0 {
        let least = zigzag(varint(&mut left)?);
        for &width in take(&mut left, parts as usize)? {
            if rest == 0 {
                break; // the widths of parts without values may be anything
            }
            let packed = take(&mut left, usize::from(width) * part as usize / 8)?;
            for i in 0..part.min(rest) as usize {
                let step = bits(packed, i * usize::from(width), width)?;
                value = value.wrapping_add(least).wrapping_add(step as i64);
                each(value);
            }
            rest = rest.saturating_sub(part);
        }
    }
    Ok(left)
}

/// A number of up to 64 bits.
fn bits(bytes: &[u8], from: usize, width: u8) -> Result<u64> {
    if width == 0 {
        return Ok(0);
    }
    let end = from + usize::from(width);
    if width > 64 || end.div_ceil(8) > bytes.len() {
        return Err(damaged("differences of more than 64 bits, or that are cut"));
    }
    let word = bytes[from / 8..end.div_ceil(8)].iter().rev().fold(0_u128, |w, &b| w << 8 | u128::from(b));
    Ok((word >> (from % 8)) as u64 & u64::MAX >> (64 - width))
}
