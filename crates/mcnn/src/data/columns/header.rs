//! The header of a file of columns: where each array lies, checked against the length of the file before anything else is read.

use std::{collections::BTreeMap, fs::File, io::Read, ops::Range};

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Kind, Result};

/// The most bytes of a header. Names and tasks take a few thousand; parsed JSON can take a hundred times the memory of its text.
const MAX_HEADER: u64 = 4 << 20;

/// Bytes of the length of the header.
const LENGTH: u64 = 8;

/// An array of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    pub dtype: String,
    pub shape: Vec<u64>,
    /// Its bytes in the file.
    pub bytes: Range<u64>,
}

/// The arrays of a file by their names, and the text of the metadata key `mcnn`.
#[derive(Debug, Default)]
pub struct Header {
    pub arrays: BTreeMap<String, Array>,
    pub about: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

fn broken(what: &str) -> Error {
    Error::new(Kind::File, what).next("fetch the file or write it again (`mcnn convert DATA -o FILE.mcnn`)")
}

impl Header {
    /// Reads the header at the start of a file of `length` bytes.
    ///
    /// # Errors
    /// A header that cannot be read, or says other than the file has: arrays that overlap, leave gaps, or end before or beyond its end.
    pub fn read(file: &mut File, length: u64) -> Result<Self> {
        let io = |e: std::io::Error| broken("the header of the columns cannot be read").found(e.to_string());
        let mut start = [0; LENGTH as usize];
        file.read_exact(&mut start).map_err(io)?;
        let size = u64::from_le_bytes(start);
        let most = MAX_HEADER.min(length.saturating_sub(LENGTH));
        if size > most {
            return Err(broken("the header of the columns is too long, or the file is cut short")
                .expected(format!("at most {most} bytes"))
                .found(format!("{size} bytes")));
        }
        let mut text = vec![0; size as usize];
        file.read_exact(&mut text).map_err(io)?;
        let mut entries: BTreeMap<String, Value> = serde_json::from_slice(&text)
            .map_err(|e| broken("the header of the columns is not JSON").found(e.to_string()))?;
        let about =
            entries.remove("__metadata__").and_then(|found| Some(found.get("mcnn")?.as_str()?.to_owned()));
        let data = LENGTH + size;
        let arrays = entries
            .into_iter()
            .map(|(name, entry)| {
                let array = array(&name, entry, data, length)?;
                Ok((name, array))
            })
            .collect::<Result<BTreeMap<_, _>>>()?;
        let mut ranges: Vec<&Range<u64>> = arrays.values().map(|array| &array.bytes).collect();
        ranges.sort_by_key(|range| (range.start, range.end));
        let end = ranges.into_iter().try_fold(data, |at, range| (range.start == at).then_some(range.end));
        if end != Some(length) {
            return Err(broken("the arrays of the columns overlap, or leave bytes of the file unused")
                .expected(format!("arrays from byte {data} to the end of the file, {length}")));
        }
        Ok(Self { arrays, about })
    }
}

/// An array as an entry of the header says, in a file of `length` bytes whose arrays begin at byte `data`.
fn array(name: &str, entry: Value, data: u64, length: u64) -> Result<Array> {
    let Entry { dtype, shape, data_offsets: [start, end] } = serde_json::from_value(entry)
        .map_err(|e| broken("the header of the columns cannot be read").at(name).found(e.to_string()))?;
    let size: u64 = match &*dtype {
        "F32" | "U32" | "I32" => 4,
        "F64" | "I64" | "U64" => 8,
        "F16" | "BF16" | "I16" | "U16" => 2,
        "U8" | "I8" | "BOOL" => 1,
        _ => return Err(broken("an array of a type that is not known").at(name).found(dtype)),
    };
    let bytes = shape.iter().try_fold(size, |bytes, n| bytes.checked_mul(*n));
    let within = |offset: u64| data.checked_add(offset).filter(|at| *at <= length);
    let Some((first, last)) = within(start).zip(within(end)) else {
        return Err(broken("an array ends beyond the end of the file: the file is cut short")
            .at(name)
            .expected(format!("at least {} bytes", data.saturating_add(end)))
            .found(format!("{length} bytes")));
    };
    if bytes.is_none() || end.checked_sub(start) != bytes {
        return Err(broken("an array whose bytes are not those of its shape")
            .at(name)
            .expected(
                bytes.map_or("fewer values".into(), |bytes| format!("{bytes} bytes for {dtype} {shape:?}")),
            )
            .found(format!("bytes {start} to {end}")));
    }
    Ok(Array { dtype, shape, bytes: first..last })
}
