//! Named arrays and a header: the container of all files of mcnn.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{self, Read, Write},
};

use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    broken,
    version::{array_name, header},
};
use crate::error::Result;

/// The values of an array. What is written is borrowed, so that no second copy of the memories is made.
#[derive(Debug, Clone, PartialEq)]
pub enum Array<'a> {
    F32(Cow<'a, [f32]>),
    U32(Cow<'a, [u32]>),
}

/// Arrays by name, each with its shape.
#[derive(Debug, Default)]
pub struct Bundle<'a> {
    arrays: BTreeMap<String, (Vec<usize>, Array<'a>)>,
    stored_names: BTreeMap<String, String>, // of the arrays whose names an earlier version wrote: (now, in the file)
}

/// The only key of the metadata. Several keys would have no fixed order, and equal contents must give equal bytes.
const KEY: &str = "mcnn";

/// The maximum size of the header in bytes. A few thousand are usual, and the indices of half a million validation episodes
/// fit; parsed JSON can take a hundred times the memory of its text.
const MAX_HEADER: usize = 4 << 20;

/// The maximum size in bytes of all that precedes the arrays, as in the crate safetensors.
const MAX_METADATA: u64 = 100_000_000;

/// Values converted at a time between an array and the bytes of a file.
const PIECE: usize = 1 << 16;

impl<'a> Bundle<'a> {
    pub fn put(&mut self, name: &str, shape: Vec<usize>, array: Array<'a>) {
        self.arrays.insert(name.into(), (shape, array));
    }

    /// All F32 arrays whose names have a prefix, by their names without it.
    pub fn f32s(&self, prefix: &str) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
        let of = |(name, (shape, array)): (&String, &(Vec<usize>, Array))| match (
            name.strip_prefix(prefix),
            array,
        ) {
            (Some(part), Array::F32(values)) => Some((part.to_string(), (shape.clone(), values.to_vec()))),
            _ => None,
        };
        self.arrays.iter().filter_map(of).collect()
    }

    /// Takes an F32 array of `rank` dimensions: its shape and its values.
    pub fn take_f32(&mut self, name: &str, rank: usize) -> Result<(Vec<usize>, Vec<f32>)> {
        match self.arrays.remove(name) {
            Some((shape, Array::F32(values))) if shape.len() == rank => Ok((shape, values.into_owned())),
            other => Err(missing_or_misshapen(name, &format!("F32 of {rank} dimensions"), other.as_ref())),
        }
    }

    /// Whether there is an array of that name.
    pub fn has(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    /// Takes a U32 array of shape [n, width]: its values.
    pub fn take_u32(&mut self, name: &str, width: usize) -> Result<Vec<u32>> {
        match self.arrays.remove(name) {
            Some((shape, Array::U32(values))) if shape.len() == 2 && shape[1] == width => {
                Ok(values.into_owned())
            }
            other => Err(missing_or_misshapen(name, &format!("U32 of shape [n, {width}]"), other.as_ref())),
        }
    }

    /// SHA-256 of the values of all arrays, in the order of the names that the arrays have in the file.
    pub fn checksum(&self) -> String {
        let mut arrays: Vec<_> = self
            .arrays
            .iter()
            .map(|(name, array)| (self.stored_names.get(name).unwrap_or(name), array))
            .collect();
        arrays.sort_unstable_by_key(|(name, _)| *name);
        let mut digest = Sha256::new();
        for (_, (_, array)) in arrays {
            array.write_to(&mut digest).expect("a hash takes all bytes");
        }
        hexadecimal(digest)
    }

    pub fn to_bytes(&self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_to(text, &mut bytes).expect("a list takes all bytes");
        bytes
    }

    /// Writes the file, as the crate safetensors would, but piece by piece. `text`: the JSON header.
    pub fn write_to(&self, text: &str, out: &mut dyn Write) -> io::Result<()> {
        let mut arrays: Vec<_> = self.arrays.iter().collect();
        arrays.sort_by(|(left, (_, a)), (right, (_, b))| b.dtype().cmp(&a.dtype()).then(left.cmp(right)));
        let mut end = 0;
        let info = |(name, (shape, array)): &(&String, &(Vec<usize>, Array))| {
            let start = end;
            end += 4 * array.len();
            let info = TensorInfo { dtype: array.dtype(), shape: shape.clone(), data_offsets: (start, end) };
            ((*name).clone(), info)
        };
        let metadata = [(KEY.to_string(), text.to_string())].into();
        let metadata = Metadata::new(Some(metadata), arrays.iter().map(info).collect());
        let metadata = serde_json::to_string(&metadata.expect("shapes fit their arrays"));
        let mut metadata = metadata.expect("names and numbers").into_bytes();
        metadata.resize(metadata.len().next_multiple_of(8), b' ');
        out.write_all(&(metadata.len() as u64).to_le_bytes())?;
        out.write_all(&metadata)?;
        arrays.into_iter().try_for_each(|(_, (_, array))| array.write_to(out))
    }

    /// The arrays of a file and its header, both with the names of the present version. `length`: of the file in bytes.
    pub fn read(input: &mut dyn Read, length: u64) -> Result<(Self, Value)> {
        Self::read_some(input, length, |_| true)
    }

    /// The same with only the arrays for whose names `wanted` is true. Each array is read straight into its place: besides the arrays
    /// this takes one piece of memory. Nothing is allocated that exceeds the length of the file.
    pub fn read_some(
        input: &mut dyn Read,
        length: u64,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(Self, Value)> {
        let metadata = read_metadata(input, length)?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY)).ok_or_else(|| {
            broken("a safetensors file that mcnn did not write").expected(format!("the metadata key {KEY:?}"))
        })?;
        if text.len() > MAX_HEADER {
            return Err(broken("the header of the file is too long")
                .at(format!("the metadata key {KEY:?}"))
                .expected(format!("at most {MAX_HEADER} bytes"))
                .found(format!("{} bytes", text.len())));
        }
        let (header, version) = header(text)?;
        let mut bundle = Self::default();
        for stored in metadata.offset_keys() {
            let info = metadata.info(&stored).expect("a name of the metadata");
            let bytes = info.data_offsets.1 - info.data_offsets.0;
            let name = array_name(&stored, version);
            if !wanted(&name) {
                skip(input, bytes as u64)?;
                continue;
            }
            let array = match info.dtype {
                Dtype::F32 => Array::F32(read_words(input, bytes / 4, f32::from_le_bytes)?.into()),
                Dtype::U32 => Array::U32(read_words(input, bytes / 4, u32::from_le_bytes)?.into()),
                other => {
                    return Err(broken("an array has an unsupported type")
                        .at(name)
                        .found(format!("{other:?}")));
                }
            };
            bundle.put(&name, info.shape.clone(), array);
            if name != stored {
                bundle.stored_names.insert(name, stored);
            }
        }
        Ok((bundle, header))
    }
}

/// Reads what precedes the arrays, and checks that they end with the file.
fn read_metadata(input: &mut dyn Read, length: u64) -> Result<Metadata> {
    let unreadable = |found: String| {
        broken("the file is not of mcnn, or is truncated").expected("a safetensors file").found(found)
    };
    let mut size = [0; 8];
    input.read_exact(&mut size).map_err(|e| unreadable(e.to_string()))?;
    let size = u64::from_le_bytes(size);
    if size > MAX_METADATA.min(length.saturating_sub(8)) {
        return Err(unreadable(format!("{length} bytes, of which {size} would be metadata")));
    }
    let mut text = vec![0; size as usize];
    input.read_exact(&mut text).map_err(|e| unreadable(e.to_string()))?;
    let metadata: Metadata = serde_json::from_slice(&text).map_err(|e| unreadable(e.to_string()))?;
    let end = (metadata.data_len() as u64).saturating_add(8 + size);
    if end != length {
        return Err(unreadable(format!("{length} bytes, and arrays that end at byte {end}")));
    }
    Ok(metadata)
}

fn truncated(e: &io::Error) -> crate::Error {
    broken("the file could not be read to its end").found(e.to_string())
}

/// Skips bytes.
fn skip(input: &mut dyn Read, bytes: u64) -> Result<()> {
    let skipped = io::copy(&mut input.take(bytes), &mut io::sink()).map_err(|e| truncated(&e))?;
    if skipped < bytes { Err(truncated(&io::ErrorKind::UnexpectedEof.into())) } else { Ok(()) }
}

/// Reads `count` values of four bytes each.
fn read_words<T>(input: &mut dyn Read, count: usize, convert: impl Fn([u8; 4]) -> T) -> Result<Vec<T>> {
    let mut values = Vec::with_capacity(count);
    let mut piece = vec![0; 4 * PIECE.min(count)];
    while values.len() < count {
        let piece = &mut piece[..4 * PIECE.min(count - values.len())];
        input.read_exact(piece).map_err(|e| truncated(&e))?;
        values.extend(piece.as_chunks().0.iter().map(|word| convert(*word)));
    }
    Ok(values)
}

fn write_words<T: Copy>(values: &[T], convert: impl Fn(T) -> [u8; 4], out: &mut dyn Write) -> io::Result<()> {
    let mut piece = vec![0; 4 * PIECE.min(values.len())];
    values.chunks(PIECE).try_for_each(|values| {
        let piece = &mut piece[..4 * values.len()];
        piece.as_chunks_mut().0.iter_mut().zip(values).for_each(|(word, &value)| *word = convert(value));
        out.write_all(piece)
    })
}

/// A hash as text.
pub fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

impl Array<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Array::F32(_) => Dtype::F32,
            Array::U32(_) => Dtype::U32,
        }
    }

    fn len(&self) -> usize {
        match self {
            Array::F32(values) => values.len(),
            Array::U32(values) => values.len(),
        }
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Array::F32(values) => write_words(values, f32::to_le_bytes, out),
            Array::U32(values) => write_words(values, u32::to_le_bytes, out),
        }
    }
}

fn missing_or_misshapen(name: &str, expected: &str, found: Option<&(Vec<usize>, Array)>) -> crate::Error {
    let found = match found {
        None => "no array of that name".to_string(),
        Some((shape, Array::F32(_))) => format!("F32 of shape {shape:?}"),
        Some((shape, Array::U32(_))) => format!("U32 of shape {shape:?}"),
    };
    broken("an array is missing or has another shape").at(name).expected(expected).found(found)
}
