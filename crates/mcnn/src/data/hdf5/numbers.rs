//! The values of a dataset, of any type, as 32-bit floats or as integers.

use std::collections::HashSet;

use hdf5_reader::{ByteOrder, Dataset, Datatype};

use super::errors::{other_type, unreadable};
use crate::{
    data::number::{Beyond, beyond, half},
    error::{Error, Kind, Result},
};

/// The types of [`floats`], for error messages.
const NUMBERS: &str = "floats of 16, 32 or 64 bits, integers or booleans";

/// All values of a dataset, row-major.
///
/// # Errors
/// Another type, and finite 64-bit floats beyond the range of 32-bit ones.
pub(super) fn floats(dataset: &Dataset) -> Result<Vec<f32>> {
    let cell = Beyond::new();
    let values = floats_noting(dataset, &cell)?;
    cell.into_inner().map_or(Ok(values), Err)
}

/// The same, with finite 64-bit floats beyond the range of 32-bit ones as infinities, and the error of that set.
pub(in crate::data) fn floats_noting(dataset: &Dataset, cell: &Beyond) -> Result<Vec<f32>> {
    match dataset.dtype() {
        Datatype::FloatingPoint { size: 2, .. } => {
            is_half(dataset)?;
            Ok(decode(&native(dataset)?, |b| half(u16::from_ne_bytes(b))))
        }
        Datatype::FloatingPoint { size: 4, .. } => match by_chunks(dataset, f32::from_ne_bytes) {
            Ok(Some(values)) => Ok(values),
            Ok(None) => Ok(decode(&native(dataset)?, f32::from_ne_bytes)),
            Err(e) => Err(unreadable(e, dataset.name())),
        },
        Datatype::FloatingPoint { size: 8, .. } => doubles(dataset, cell),
        Datatype::FixedPoint { .. } | Datatype::Enum { .. } => {
            Ok(whole_numbers(dataset)?.into_iter().map(|v| v as f32).collect())
        }
        other => Err(other_type(dataset.name(), NUMBERS, other)),
    }
}

fn doubles(dataset: &Dataset, cell: &Beyond) -> Result<Vec<f32>> {
    let narrow = |bytes| f64::from_ne_bytes(bytes) as f32;
    let values = match by_chunks(dataset, narrow) {
        Ok(Some(values)) => values,
        Ok(None) => decode(&native(dataset)?, narrow),
        Err(e) => return Err(unreadable(e, dataset.name())),
    };
    // An infinity may be one of the file's, or a finite value that was too large. Hardly any file has either.
    if values.iter().any(|v| v.is_infinite()) {
        let all = decode(&native(dataset)?, f64::from_ne_bytes);
        let width = dataset.shape().get(1).copied().unwrap_or(1);
        if let Err(e) = beyond(&format!("/{}", dataset.name()), &all, width as usize) {
            let _ = cell.set(e);
        }
    }
    Ok(values)
}

/// Checks that floats of 16 bits are those of IEEE 754, which h5py writes, not bfloat16: 5 bits of exponent and 10 of mantissa.
fn is_half(dataset: &Dataset) -> Result<()> {
    let about = dataset.raw_datatype().map_err(|e| unreadable(e, dataset.name()))?;
    // After 8 bytes of class and size: offset and precision in bits, place and size of the exponent, place and size of the mantissa.
    match about.get(12..16) {
        Some(&[10, 5, 0, 10]) => Ok(()),
        _ => Err(Error::new(Kind::Data, "numbers of an unsupported type")
            .at(format!("/{}", dataset.name()))
            .expected(NUMBERS)
            .found("16-bit floats of another kind, such as bfloat16")),
    }
}

/// All bytes of a dataset, with its elements in the byte order of this machine.
fn native(dataset: &Dataset) -> Result<Vec<u8>> {
    let bytes = dataset.read_native_bytes();
    bytes.map_err(|e| unreadable(e, dataset.name()))
}

/// A faster path, about twice as fast as the crate's own copy where chunks are a column wide (as h5py makes them of
/// long tables). `None` where the general way is needed: another layout or byte order, or chunks that were never written.
fn by_chunks<const N: usize>(
    dataset: &Dataset,
    number: impl Fn([u8; N]) -> f32,
) -> std::result::Result<Option<Vec<f32>>, hdf5_reader::error::Error> {
    let native = if cfg!(target_endian = "little") { ByteOrder::LittleEndian } else { ByteOrder::BigEndian };
    let (&[rows, columns], Some(_), &Datatype::FloatingPoint { byte_order, .. }) =
        (dataset.shape(), dataset.chunks(), dataset.dtype())
    else {
        return Ok(None);
    };
    if byte_order != native {
        return Ok(None);
    }
    let (rows, columns) = (rows as usize, columns as usize);
    let mut values = vec![0.0; rows * columns];
    let mut missing = rows * columns;
    let mut seen = HashSet::new();
    for piece in dataset.iter_chunks()? {
        let piece = piece?;
        let (&[row, column], &[high, wide]) = (piece.offsets(), piece.shape()) else {
            return Ok(None);
        };
        let on_grid = row % high == 0 && column % wide == 0;
        let (row, column, wide) = (row as usize, column as usize, wide as usize);
        if !on_grid || row >= rows || column >= columns || !seen.insert((row, column)) {
            return Ok(None);
        }
        let width = wide.min(columns - column);
        let from = piece.bytes().as_chunks::<N>().0.chunks_exact(wide);
        let to = values[row * columns..].chunks_exact_mut(columns);
        for (to, from) in to.zip(from) {
            for (to, from) in to[column..][..width].iter_mut().zip(from) {
                *to = number(*from);
            }
            missing -= width;
        }
    }
    Ok((missing == 0).then_some(values))
}

/// The elements of native bytes, each through `number`.
fn decode<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&b| number(b)).collect()
}

/// All values of a dataset of integers or booleans (in HDF5 an enumeration over an integer).
pub(super) fn whole_numbers(dataset: &Dataset) -> Result<Vec<i64>> {
    let base = match dataset.dtype() {
        Datatype::Enum { base, .. } => base,
        other => other,
    };
    let &Datatype::FixedPoint { size, signed, .. } = base else {
        return Err(other_type(dataset.name(), "numbers or booleans", dataset.dtype()));
    };
    let bytes = native(dataset)?;
    Ok(match (size, signed) {
        (1, true) => decode(&bytes, |b| i8::from_ne_bytes(b).into()),
        (1, false) => decode(&bytes, |b| u8::from_ne_bytes(b).into()),
        (2, true) => decode(&bytes, |b| i16::from_ne_bytes(b).into()),
        (2, false) => decode(&bytes, |b| u16::from_ne_bytes(b).into()),
        (4, true) => decode(&bytes, |b| i32::from_ne_bytes(b).into()),
        (4, false) => decode(&bytes, |b| u32::from_ne_bytes(b).into()),
        (8, true) => decode(&bytes, i64::from_ne_bytes),
        (8, false) => decode(&bytes, |b| u64::from_ne_bytes(b).try_into().unwrap_or(i64::MAX)),
        _ => return Err(other_type(dataset.name(), "integers of 8 to 64 bits", base)),
    })
}

/// A column of booleans, of any numeric type: each value is 0 or 1.
pub(super) fn flags(dataset: &Dataset) -> Result<Vec<bool>> {
    let refuse = |i: usize, found: String| {
        Error::new(Kind::Data, "marks of where episodes end must be 0 or 1")
            .at(format!("/{}, step {i}", dataset.name()))
            .found(found)
    };
    if let Datatype::FloatingPoint { .. } = dataset.dtype() {
        let values = floats(dataset)?;
        if let Some(i) = values.iter().position(|&v| v != 0.0 && v != 1.0) {
            return Err(refuse(i, values[i].to_string()));
        }
        return Ok(values.iter().map(|&v| v == 1.0).collect());
    }
    let values = whole_numbers(dataset)?;
    if let Some(i) = values.iter().position(|&v| v != 0 && v != 1) {
        return Err(refuse(i, values[i].to_string()));
    }
    Ok(values.iter().map(|&v| v == 1).collect())
}
