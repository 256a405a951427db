//! The values of an array: its chunks, decoded and put in their places.

use super::{
    codec::decode,
    damaged,
    metadata::{Array, Dtype, Fill, Layout},
    store::Store,
};
use crate::{
    data::{
        number::{Beyond, beyond, half},
        read::{MORE_MEMORY, TOO_LARGE, expanded},
    },
    error::{Error, Kind, Result},
};

/// The values of an array, row-major.
pub(super) struct Values<T> {
    pub values: Vec<T>,
    /// Chunks that are not stored, and all.
    pub missing: [u64; 2],
}

/// An array of a store, by its path.
pub(super) struct Stored<'a> {
    pub store: &'a Store,
    pub path: &'a str,
    pub array: &'a Array,
}

impl Stored<'_> {
    /// Checks that an array takes at most `left` bytes, with its last chunks whole. The bytes it takes.
    pub fn check(&self, left: u64) -> Result<u64> {
        let Array { shape, dtype, layout } = self.array;
        let along = |(&n, &chunk): (&u64, &u64)| n.div_ceil(chunk).max(1).saturating_mul(chunk);
        let bytes = shape.iter().zip(&layout.chunks).map(along);
        // Values become floats of 32 bits.
        let bytes = bytes.fold(dtype.size.max(4) as u64, u64::saturating_mul);
        if bytes <= left {
            return Ok(bytes);
        }
        Err(Error::new(Kind::File, "the zarr store expands to more memory than it is given")
            .at(self.path)
            .expected(format!("at most {left} bytes more in a store of {}", self.store.length))
            .found(format!("{bytes} bytes, of the shape {shape:?} in chunks of {:?}", layout.chunks))
            .next(if bytes <= expanded(self.store.length) { MORE_MEMORY } else { TOO_LARGE }))
    }

    /// The values as 32-bit floats; `width` of them are a step. Finite 64-bit ones beyond their range become infinities, and the error
    /// of that is set.
    pub fn floats(&self, width: usize, cell: &Beyond) -> Result<Values<f32>> {
        let Dtype { kind, size } = self.array.dtype;
        let fill = self.array.layout.fill;
        match (kind, size) {
            ('f', 2) => self.read(fill.float() as f32, |b| half(u16::from_le_bytes(b))),
            ('f', 4) => self.read(fill.float() as f32, f32::from_le_bytes),
            ('f', _) => {
                let found = self.read(fill.float() as f32, |b| f64::from_le_bytes(b) as f32)?;
                // An infinity may be one of the file's, or a finite value that was too large.
                if found.values.iter().any(|v| v.is_infinite()) {
                    let all = self.read(fill.float(), f64::from_le_bytes)?;
                    if let Err(e) = beyond(self.path, &all.values, width) {
                        let _ = cell.set(e);
                    }
                }
                Ok(found)
            }
            _ => {
                let Values { values, missing } = self.integers()?;
                Ok(Values { values: values.into_iter().map(|v| v as f32).collect(), missing })
            }
        }
    }

    /// The values of an array of integers or booleans.
    pub fn integers(&self) -> Result<Values<i64>> {
        let fill = self.array.layout.fill.integer();
        match (self.array.dtype.kind, self.array.dtype.size) {
            ('b', _) => self.read(fill, |[b]: [u8; 1]| i64::from(b != 0)),
            ('i', 1) => self.read(fill, |b| i8::from_le_bytes(b).into()),
            ('i', 2) => self.read(fill, |b| i16::from_le_bytes(b).into()),
            ('i', 4) => self.read(fill, |b| i32::from_le_bytes(b).into()),
            ('i', 8) => self.read(fill, i64::from_le_bytes),
            ('u', 1) => self.read(fill, |[b]: [u8; 1]| b.into()),
            ('u', 2) => self.read(fill, |b| u16::from_le_bytes(b).into()),
            ('u', 4) => self.read(fill, |b| u32::from_le_bytes(b).into()),
            ('u', 8) => self.read(fill, |b| u64::from_le_bytes(b).try_into().unwrap_or(i64::MAX)),
            _ => Err(Error::new(Kind::Data, "numbers of an unsupported type")
                .at(self.path)
                .expected("integers")
                .found(self.array.dtype.name())),
        }
    }

    /// All values, each through `number`. Memory must have been checked ([`Self::check`]).
    fn read<const N: usize, T: Copy>(&self, fill: T, number: impl Fn([u8; N]) -> T) -> Result<Values<T>> {
        let Array { shape, layout, .. } = self.array;
        let counts: Vec<u64> = shape.iter().zip(&layout.chunks).map(|(n, c)| n.div_ceil(*c)).collect();
        let mut missing = counts.iter().fold(1, |all: u64, n| all.saturating_mul(*n));
        let all = missing;
        let shape = sizes(shape);
        let mut values = vec![fill; shape.iter().product()];
        for (key, rest) in self.store.under(&format!("{}/", self.path)) {
            let Some(at) = layout.keys.parse(rest, shape.len()) else { continue };
            if at.iter().zip(&counts).any(|(at, count)| at >= count) {
                continue; // what is left of a longer array
            }
            self.chunk(key, &sizes(&at), &shape, &mut values, &number)?;
            missing -= 1;
        }
        Ok(Values { values, missing: [missing, all] })
    }

    /// The rows of the chunks whose first coordinate is `first`, each value through `number`. Memory must have been checked.
    pub fn rows<const N: usize, T: Copy>(
        &self,
        first: u64,
        fill: T,
        number: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>> {
        let layout = &self.array.layout;
        let (mut shape, chunk) = (sizes(&self.array.shape), sizes(&layout.chunks));
        shape[0] = chunk[0].min(shape[0].saturating_sub(first as usize * chunk[0]));
        let mut values = vec![fill; shape.iter().product()];
        let mut at = vec![0; shape.len()];
        loop {
            let mut coordinates: Vec<u64> = at.iter().map(|&i| i as u64).collect();
            coordinates[0] = first;
            let key = format!("{}/{}", self.path, layout.keys.key(&coordinates));
            self.chunk(&key, &at, &shape, &mut values, &number)?;
            let next = |k: &usize| at[*k] + 1 < shape[*k].div_ceil(chunk[*k]);
            let Some(axis) = (1..at.len()).rev().find(next) else { return Ok(values) };
            at[axis] += 1;
            at[axis + 1..].fill(0);
        }
    }

    /// Decodes the chunk of a key and puts it into an array of this shape, in which `at` are its coordinates. Does nothing if it is not
    /// stored.
    fn chunk<const N: usize, T>(
        &self,
        key: &str,
        at: &[usize],
        shape: &[usize],
        values: &mut [T],
        number: &impl Fn([u8; N]) -> T,
    ) -> Result<()> {
        let layout = &self.array.layout;
        let chunk = sizes(&layout.chunks);
        let bytes = N * chunk.iter().product::<usize>();
        let Some(stored) = self.store.get(key, 2 * bytes as u64 + (64 << 10))? else { return Ok(()) };
        let decoded = decode(&layout.codecs, stored, bytes).map_err(|e| damaged(e).within(key))?;
        let from: Vec<usize> = at.iter().zip(&chunk).map(|(at, chunk)| at * chunk).collect();
        let number = |mut bytes: [u8; N]| {
            if layout.big_endian {
                bytes.reverse();
            }
            number(bytes)
        };
        place(decoded.as_chunks::<N>().0, values, [shape, &chunk, &from], layout, &number);
        Ok(())
    }
}

fn sizes(of: &[u64]) -> Vec<usize> {
    of.iter().map(|&n| n as usize).collect()
}

/// Puts the elements of a chunk that starts at `from` into an array. Both have as many dimensions as `layout.axes`. What is beyond
/// the end of the array is left out: the last chunks are stored whole.
fn place<const N: usize, T>(
    elements: &[[u8; N]],
    values: &mut [T],
    [shape, chunk, from]: [&[usize]; 3],
    layout: &Layout,
    number: &impl Fn([u8; N]) -> T,
) {
    let Some(last) = shape.len().checked_sub(1) else {
        values[0] = number(elements[0]);
        return;
    };
    let mut strides = vec![1; shape.len()];
    for k in (0..last).rev() {
        strides[k] = strides[k + 1] * shape[k + 1];
    }
    // Those of the chunk, in the order in which it is stored.
    let mut stored = vec![1; shape.len()];
    let mut stride = 1;
    for &axis in layout.axes.iter().rev() {
        stored[axis] = stride;
        stride *= chunk[axis];
    }
    let size: Vec<usize> = (0..=last).map(|k| chunk[k].min(shape[k] - from[k])).collect();
    let mut index = vec![0; last];
    loop {
        let to: usize = (0..last).map(|k| (from[k] + index[k]) * strides[k]).sum::<usize>() + from[last];
        let start: usize = (0..last).map(|k| index[k] * stored[k]).sum();
        for (i, to) in values[to..to + size[last]].iter_mut().enumerate() {
            *to = number(elements[start + i * stored[last]]);
        }
        // The next row.
        let Some(axis) = (0..last).rev().find(|&k| index[k] + 1 < size[k]) else { return };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}

/// A fill value as text.
impl std::fmt::Display for Fill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Float(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
        }
    }
}
