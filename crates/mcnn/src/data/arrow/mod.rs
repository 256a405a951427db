//! Arrow's IPC file format, uncompressed, as Minari writes it: numbers, alone or in lists of a fixed size, in structures.
//!
//! Format: <https://arrow.apache.org/docs/format/Columnar.html>. Minari writes one record batch without nulls. Every size that a file
//! states is checked against its bytes, which are read as they are: nothing expands.

mod flatbuffer;

use std::path::Path;

use super::{
    number::half,
    parquet::{Budget, Values},
};
use crate::error::{Error, Kind, Result};
use flatbuffer::Table;

const MAGIC: &[u8] = b"ARROW1";
/// The deepest nesting of structures and lists, and the most fields: a file may lead back into itself.
const MAX_DEPTH: usize = 16;
const MAX_FIELDS: usize = 10_000;

fn damaged(found: &str) -> Error {
    Error::new(Kind::File, "the Arrow file cannot be read")
        .found(found)
        .next("it may be damaged or cut short: fetch or write it again")
}

/// A number as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Float(i16), // 0: 16 bits, 1: 32, 2: 64
    Integer { bits: i32, is_signed: bool },
    Boolean,
}

/// The type of a field, as far as it decides which buffers it has.
#[derive(Debug)]
enum Type {
    Number(Number),
    /// Texts and other bytes: offsets and bytes.
    Bytes,
    /// Dates and others of one buffer, which are not read.
    Fixed,
    Struct,
    FixedList(usize),
    /// Lists of any lengths, which are not read: offsets.
    List,
    Null,
}

#[derive(Debug)]
struct Field {
    name: String,
    of: Type,
    children: Vec<Field>,
}

/// A column of numbers.
#[derive(Debug)]
pub(super) struct Leaf {
    /// Names of structures, from the outermost on.
    pub path: Vec<String>,
    width: usize,
    of: Option<Number>,
    parents: Vec<usize>, // the nodes whose values may be missing, its own included
    buffer: usize,       // of the values
}

/// An open file, read whole.
pub(super) struct Arrow {
    bytes: Vec<u8>,
    leaves: Vec<Leaf>,
    nodes: usize,
    buffers: usize,
    batches: Vec<[usize; 3]>, // start, length of the description, length of the values
}

impl Arrow {
    /// Reads a file of `length` bytes. Errors, here and below, do not name the file.
    pub fn open(path: &Path, length: u64, budget: &Budget) -> Result<Self> {
        budget.take(length)?;
        Self::parse(std::fs::read(path).map_err(|e| Error::io("reading", path, &e))?)
    }

    fn parse(bytes: Vec<u8>) -> Result<Self> {
        let end = bytes.len().checked_sub(10).filter(|_| bytes.starts_with(MAGIC) && bytes.ends_with(MAGIC));
        let end = end.ok_or_else(|| damaged("no signature at one end"))?;
        let n = u32::from_le_bytes([bytes[end], bytes[end + 1], bytes[end + 2], bytes[end + 3]]) as usize;
        let start = end.checked_sub(n).ok_or_else(|| damaged("a footer longer than the file"))?;
        let footer = Table::root(&bytes[start..end])?;
        let schema = footer.table(1)?.ok_or_else(|| damaged("no schema"))?;
        if schema.i16(0)? != 0 {
            return Err(damaged("numbers with the highest byte first"));
        }
        let mut count = 0;
        let fields: Vec<Field> =
            schema.tables(1)?.iter().map(|field| read_field(field, 0, &mut count)).collect::<Result<_>>()?;
        if footer.vector(2, 24)?.is_some_and(|dictionaries| dictionaries.len > 0) {
            return Err(damaged("dictionaries, which are not read"));
        }
        let mut batches = Vec::new();
        if let Some(blocks) = footer.vector(3, 24)? {
            for i in 0..blocks.len {
                let parts = [blocks.i64(i, 24, 0)?, i64::from(blocks.i32(i, 24, 8)?), blocks.i64(i, 24, 16)?];
                let sizes = parts.map(|n| usize::try_from(n).ok());
                let [Some(at), Some(metadata), Some(values)] = sizes else {
                    return Err(damaged("a negative size"));
                };
                let end = at.checked_add(metadata).and_then(|n| n.checked_add(values));
                if end.is_none_or(|end| end > bytes.len()) {
                    return Err(damaged("a record batch beyond the end"));
                }
                batches.push([at, metadata, values]);
            }
        }
        let mut layout = Layout::default();
        fields.iter().for_each(|field| layout.add(field, &mut Vec::new(), &mut Vec::new(), 1));
        let Layout { leaves, nodes, buffers } = layout;
        Ok(Self { bytes, leaves, nodes, buffers, batches })
    }

    /// All columns of numbers.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// The rows, the values of a row, and the values of a column.
    ///
    /// # Errors
    /// A column that is not numbers, or with missing values; sizes that do not fit the bytes; more memory than the budget.
    pub fn read(&self, leaf: &Leaf, budget: &Budget) -> Result<(usize, usize, Values)> {
        let Some(number) = leaf.of else {
            return Err(Error::new(Kind::Data, "a column that is not numbers"));
        };
        if leaf.width == 0 {
            return Err(Error::new(Kind::Data, "a column of lists without elements"));
        }
        let mut rows = 0;
        let mut values = match number {
            Number::Float(2) => Values::F64(Vec::new()),
            Number::Float(_) => Values::F32(Vec::new()),
            _ => Values::Integers(Vec::new()),
        };
        for &[at, metadata, length] in &self.batches {
            let body = &self.bytes[at + metadata..][..length];
            let batch = self.batch(at, metadata)?;
            let nodes = batch.vector(1, 16)?.filter(|nodes| nodes.len == self.nodes);
            let buffers = batch.vector(2, 16)?.filter(|buffers| buffers.len == self.buffers);
            let (Some(nodes), Some(buffers)) = (nodes, buffers) else {
                return Err(damaged("a record batch of another schema"));
            };
            for &parent in &leaf.parents {
                if nodes.i64(parent, 16, 8)? != 0 {
                    return Err(Error::new(Kind::Data, "a value that is missing")
                        .expected("a value in every row")
                        .found("null"));
                }
            }
            let here = usize::try_from(batch.i64(0)?).map_err(|_| damaged("a negative size"))?;
            let n = here.checked_mul(leaf.width).ok_or_else(|| damaged("too many values"))?;
            let [start, size] = [0, 8].map(|offset| buffers.i64(leaf.buffer, 16, offset));
            let [start, size] = [start?, size?].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
            let end = start.checked_add(size).filter(|end| *end <= body.len());
            let bytes = end.map(|end| &body[start..end]).ok_or_else(|| damaged("values beyond the end"))?;
            append(&mut values, number, bytes, n, budget)?;
            rows = here.checked_add(rows).ok_or_else(|| damaged("too many rows"))?;
        }
        Ok((rows, leaf.width, values))
    }

    /// The description of a record batch.
    fn batch(&self, at: usize, metadata: usize) -> Result<Table<'_>> {
        // Before it are, in new files, a mark and its length.
        let bytes = &self.bytes[at..][..metadata];
        let skipped = if bytes.starts_with(&[0xff; 4]) { 8 } else { 4 };
        let message = Table::root(bytes.get(skipped..).unwrap_or_default())?;
        const RECORD_BATCH: u8 = 3;
        let batch = message.table(2)?.filter(|_| message.u8(1).is_ok_and(|of| of == RECORD_BATCH));
        let batch = batch.ok_or_else(|| damaged("something else in the place of a record batch"))?;
        match batch.table(3)? {
            Some(_) => Err(Error::new(Kind::File, "a compressed Arrow file, which is not read")
                .next("write it without compression, or as Parquet")),
            None => Ok(batch),
        }
    }
}

fn read_field(field: &Table, depth: usize, count: &mut usize) -> Result<Field> {
    *count += 1;
    if depth > MAX_DEPTH || *count > MAX_FIELDS {
        return Err(damaged("columns that are nested too deeply, or too many"));
    }
    let metadata = field.table(3)?;
    let number = |k: usize| metadata.as_ref().map_or(Ok(0), |metadata| metadata.i32(k));
    let name = field.text(0)?;
    let of = match field.u8(2)? {
        1 => Type::Null,
        2 => {
            let is_signed = metadata.as_ref().map_or(Ok(0), |metadata| metadata.u8(1))? != 0;
            Type::Number(Number::Integer { bits: number(0)?, is_signed })
        }
        3 => Type::Number(Number::Float(metadata.as_ref().map_or(Ok(0), |metadata| metadata.i16(0))?)),
        4 | 5 | 19 | 20 => Type::Bytes,
        6 => Type::Number(Number::Boolean),
        7..=11 | 15 | 18 => Type::Fixed,
        12 | 17 | 21 => Type::List,
        13 => Type::Struct,
        16 => Type::FixedList(usize::try_from(number(0)?).map_err(|_| damaged("a list of a negative size"))?),
        other => {
            return Err(Error::new(Kind::File, "a column of a type that is not read")
                .at(name)
                .found(format!("type {other} of Arrow")));
        }
    };
    let children = field
        .tables(5)?
        .iter()
        .map(|field| read_field(field, depth + 1, count))
        .collect::<Result<Vec<_>>>()?;
    match (&of, children.len()) {
        (Type::FixedList(_) | Type::List, 1) | (Type::Struct, _) | (_, 0) => Ok(Field { name, of, children }),
        (_, n) => Err(damaged(&format!("a column with {n} columns in it"))),
    }
}

/// The nodes and buffers of all fields, outer ones before inner ones.
#[derive(Default)]
struct Layout {
    leaves: Vec<Leaf>,
    nodes: usize,
    buffers: usize,
}

impl Layout {
    fn add(&mut self, field: &Field, path: &mut Vec<String>, parents: &mut Vec<usize>, width: usize) {
        parents.push(self.nodes);
        self.nodes += 1;
        let has_validity = !matches!(field.of, Type::Null);
        self.buffers += usize::from(has_validity);
        match field.of {
            Type::Number(_) | Type::Bytes | Type::Fixed => {
                let of = if let Type::Number(number) = field.of { Some(number) } else { None };
                self.leaves.push(Leaf {
                    path: path.iter().chain([&field.name]).cloned().collect(),
                    width,
                    of,
                    parents: parents.clone(),
                    buffer: self.buffers,
                });
                self.buffers += if matches!(field.of, Type::Bytes) { 2 } else { 1 };
            }
            Type::Struct => {
                path.push(field.name.clone());
                field.children.iter().for_each(|child| self.add(child, path, parents, width));
                path.pop();
            }
            Type::FixedList(n) => {
                // The elements have no name of their own.
                let first = self.leaves.len();
                field
                    .children
                    .iter()
                    .for_each(|child| self.add(child, path, parents, width.saturating_mul(n)));
                for leaf in &mut self.leaves[first..] {
                    match leaf.path.len() == path.len() + 1 {
                        true => leaf.path[path.len()].clone_from(&field.name),
                        false => leaf.of = None, // structures in lists are not read
                    }
                }
            }
            Type::List => {
                self.buffers += 1;
                let first = self.leaves.len();
                field.children.iter().for_each(|child| self.add(child, path, parents, width));
                self.leaves[first..].iter_mut().for_each(|leaf| leaf.of = None);
            }
            Type::Null => {}
        }
        parents.pop();
    }
}

/// Appends `n` numbers.
fn append(to: &mut Values, number: Number, bytes: &[u8], n: usize, budget: &Budget) -> Result<()> {
    let bits = match number {
        Number::Float(precision) => [16, 32, 64].get(precision as usize).copied().unwrap_or(0),
        Number::Integer { bits, .. } => bits as usize,
        Number::Boolean => 1,
    };
    let needed = n.checked_mul(bits).map(|bits| bits.div_ceil(8));
    let bytes = needed.filter(|_| [1, 8, 16, 32, 64].contains(&bits)).and_then(|needed| bytes.get(..needed));
    let bytes = bytes.ok_or_else(|| damaged("fewer values than there are rows"))?;
    budget.take(8 * n as u64)?;
    macro_rules! numbers {
        ($of:ty) => {
            bytes
                .chunks_exact(size_of::<$of>())
                .map(|b| <$of>::from_le_bytes(b.try_into().unwrap_or_default()))
        };
    }
    match (to, number) {
        (Values::F32(to), Number::Float(0)) => to.extend(numbers!(u16).map(half)),
        (Values::F32(to), _) => to.extend(numbers!(f32)),
        (Values::F64(to), _) => to.extend(numbers!(f64)),
        (Values::Integers(to), Number::Integer { bits, is_signed }) => match (bits, is_signed) {
            (8, true) => to.extend(numbers!(i8).map(i64::from)),
            (8, false) => to.extend(numbers!(u8).map(i64::from)),
            (16, true) => to.extend(numbers!(i16).map(i64::from)),
            (16, false) => to.extend(numbers!(u16).map(i64::from)),
            (32, true) => to.extend(numbers!(i32).map(i64::from)),
            (32, false) => to.extend(numbers!(u32).map(i64::from)),
            (_, true) => to.extend(numbers!(i64)),
            // Those of 64 bits without a sign end at 2^63 - 1, as in Parquet.
            (_, false) => to.extend(numbers!(u64).map(|v| i64::try_from(v).unwrap_or(i64::MAX))),
        },
        (Values::Integers(to), _) => to.extend((0..n).map(|i| i64::from(bytes[i / 8] >> (i % 8) & 1))),
        (Values::Texts(_), _) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
