//! Named arrays and a header: the container of all files of mcnn.

use std::{borrow::Cow, collections::BTreeMap};

use safetensors::{Dtype, SafeTensors, View};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    broken,
    version::{array_name, header},
};
use crate::error::Result;

/// The values of an array.
#[derive(Debug, Clone, PartialEq)]
pub enum Array {
    F32(Vec<f32>),
    U32(Vec<u32>),
}

/// Arrays by name, each with its shape.
#[derive(Debug, Default)]
pub struct Bundle {
    arrays: BTreeMap<String, (Vec<usize>, Array)>,
    stored_names: BTreeMap<String, String>, // of the arrays whose names an earlier version wrote: (now, in the file)
}

/// The only key of the metadata. Several keys would have no fixed order, and equal contents must give equal bytes.
const KEY: &str = "mcnn";

/// The maximum size of the header in bytes. A few thousand are usual, and the indices of half a million validation episodes
/// fit; parsed JSON can take a hundred times the memory of its text.
const MAX_HEADER: usize = 4 << 20;

impl Bundle {
    pub fn put(&mut self, name: &str, shape: Vec<usize>, array: Array) {
        self.arrays.insert(name.into(), (shape, array));
    }

    /// All F32 arrays whose names have a prefix, by their names without it.
    pub fn f32s(&self, prefix: &str) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
        let of = |(name, (shape, array)): (&String, &(Vec<usize>, Array))| match (
            name.strip_prefix(prefix),
            array,
        ) {
            (Some(part), Array::F32(values)) => Some((part.to_string(), (shape.clone(), values.clone()))),
            _ => None,
        };
        self.arrays.iter().filter_map(of).collect()
    }

    /// The shape and the values of an F32 array of `rank` dimensions.
    pub fn f32(&self, name: &str, rank: usize) -> Result<(Vec<usize>, Vec<f32>)> {
        match self.arrays.get(name) {
            Some((shape, Array::F32(values))) if shape.len() == rank => Ok((shape.clone(), values.clone())),
            other => Err(missing_or_misshapen(name, &format!("F32 of {rank} dimensions"), other)),
        }
    }

    /// Whether there is an array of that name.
    pub fn has(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    /// The values of a U32 array of shape [n, width].
    pub fn u32(&self, name: &str, width: usize) -> Result<Vec<u32>> {
        match self.arrays.get(name) {
            Some((shape, Array::U32(values))) if shape.len() == 2 && shape[1] == width => Ok(values.clone()),
            other => Err(missing_or_misshapen(name, &format!("U32 of shape [n, {width}]"), other)),
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
        arrays.into_iter().for_each(|(_, (shape, array))| digest.update(Entry(shape, array).data()));
        digest.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }

    pub fn to_bytes(&self, text: &str) -> Vec<u8> {
        let metadata = [(KEY.to_string(), text.to_string())].into();
        let views = self.arrays.iter().map(|(name, (shape, array))| (name, Entry(shape, array)));
        safetensors::serialize(views, Some(metadata)).expect("shapes fit their arrays")
    }

    /// The arrays of a file and its header, both with the names of the present version.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, Value)> {
        Self::some_from_bytes(bytes, |_| true)
    }

    /// The same with only the arrays for whose names `wanted` is true.
    pub fn some_from_bytes(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Result<(Self, Value)> {
        let unreadable = |e: safetensors::SafeTensorError| {
            broken("the file is not of mcnn, or is truncated")
                .expected("a safetensors file")
                .found(e.to_string())
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY)).cloned().ok_or_else(|| {
            broken("a safetensors file that mcnn did not write").expected(format!("the metadata key {KEY:?}"))
        })?;
        if text.len() > MAX_HEADER {
            return Err(broken("the header of the file is too long")
                .at(format!("the metadata key {KEY:?}"))
                .expected(format!("at most {MAX_HEADER} bytes"))
                .found(format!("{} bytes", text.len())));
        }
        let (header, version) = header(&text)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(unreadable)?;
        let mut bundle = Self::default();
        for (stored, view) in tensors.iter() {
            let name = array_name(stored, version);
            if !wanted(&name) {
                continue;
            }
            let words = || view.data().chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]);
            let array = match view.dtype() {
                Dtype::F32 => Array::F32(words().map(f32::from_le_bytes).collect()),
                Dtype::U32 => Array::U32(words().map(u32::from_le_bytes).collect()),
                other => {
                    return Err(broken("an array has an unsupported type")
                        .at(name)
                        .found(format!("{other:?}")));
                }
            };
            bundle.put(&name, view.shape().to_vec(), array);
            if name != stored {
                bundle.stored_names.insert(name, stored.into());
            }
        }
        Ok((bundle, header))
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

struct Entry<'a>(&'a [usize], &'a Array);

impl View for Entry<'_> {
    fn dtype(&self) -> Dtype {
        match self.1 {
            Array::F32(_) => Dtype::F32,
            Array::U32(_) => Dtype::U32,
        }
    }

    fn shape(&self) -> &[usize] {
        self.0
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.1 {
            Array::F32(v) => Cow::Owned(v.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Array::U32(v) => Cow::Owned(v.iter().flat_map(|x| x.to_le_bytes()).collect()),
        }
    }

    fn data_len(&self) -> usize {
        match self.1 {
            Array::F32(v) => 4 * v.len(),
            Array::U32(v) => 4 * v.len(),
        }
    }
}
