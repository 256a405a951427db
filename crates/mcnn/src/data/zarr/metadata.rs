//! The metadata of an array: `.zarray` of version 2, `zarr.json` of version 3.
//!
//! Formats: zarr-specs, `docs/v2/v2.0.rst` and `docs/v3/core`; codecs: zarr-extensions and numcodecs.

use serde_json::Value;

use super::{
    codec::{self, Codec},
    damaged,
};
use crate::error::{Error, Kind, Result};

/// The most dimensions of an array.
const MOST_DIMENSIONS: usize = 16;

/// An array without its values.
#[derive(Debug, Clone)]
pub(super) struct Array {
    pub shape: Vec<u64>,
    pub dtype: Dtype,
    pub layout: Layout,
}

/// How the values of an array are stored.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The shape of a chunk.
    pub chunks: Vec<u64>,
    /// The axes of an array in the order of a chunk's bytes, the slowest first.
    pub axes: Vec<usize>,
    pub big_endian: bool,
    pub fill: Fill,
    /// What is undone from the last to the first.
    pub codecs: Vec<Codec>,
    pub keys: ChunkKeys,
}

/// The type of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dtype {
    /// As NumPy's: f, i, u or b.
    pub kind: char,
    /// Bytes.
    pub size: usize,
}

impl Dtype {
    pub fn name(self) -> String {
        match self.kind {
            'f' => format!("float{}", 8 * self.size),
            'i' => format!("int{}", 8 * self.size),
            'u' => format!("uint{}", 8 * self.size),
            _ => "bool".into(),
        }
    }

    fn new(kind: char, size: usize) -> Option<Self> {
        let known = matches!((kind, size), ('f', 2 | 4 | 8) | ('i' | 'u', 1 | 2 | 4 | 8) | ('b', 1));
        known.then_some(Self { kind, size })
    }
}

/// The value of elements that are not stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fill {
    Float(f64),
    Integer(i64),
}

impl Fill {
    pub fn float(self) -> f64 {
        match self {
            Self::Float(value) => value,
            Self::Integer(value) => value as f64,
        }
    }

    pub fn integer(self) -> i64 {
        match self {
            Self::Float(value) => value as i64,
            Self::Integer(value) => value,
        }
    }
}

/// How the key of a chunk is made of its coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkKeys {
    /// Whether a `c` comes before them, as by default in version 3.
    pub with_c: bool,
    pub separator: char,
}

impl ChunkKeys {
    /// The key of a chunk, by its coordinates.
    pub fn key(self, at: &[u64]) -> String {
        let at: Vec<String> = at.iter().map(u64::to_string).collect();
        let joined = at.join(&self.separator.to_string());
        if self.with_c { format!("c{}{joined}", self.separator) } else { joined }
    }

    /// The coordinates of a key, if it is one of a chunk of `rank` dimensions.
    pub fn parse(self, key: &str, rank: usize) -> Option<Vec<u64>> {
        let key = if self.with_c { key.strip_prefix('c')?.strip_prefix(self.separator)? } else { key };
        let coordinate = |text: &str| {
            let canonical = text == "0" || !text.starts_with(['0', '+']);
            text.parse::<u64>().ok().filter(|_| canonical)
        };
        let coordinates: Vec<u64> = key.split(self.separator).map(coordinate).collect::<Option<_>>()?;
        (coordinates.len() == rank).then_some(coordinates)
    }
}

/// Why values are not read: what is unknown or not supported, by its name.
pub(super) fn unsupported(found: impl Into<String>) -> Error {
    Error::new(Kind::Data, "an array that is stored in a way that is not read")
        .expected(codec::READ)
        .found(found)
        .next("write it again with zarr.create_array(..., compressors=None) or as an .npz with numpy.savez")
}

/// A file of metadata, parsed.
pub(super) enum Node {
    Group,
    /// The shape and type in words, and the array if it can be read.
    Array(Vec<u64>, String, Box<Result<Array>>),
}

/// Reads a file of metadata: `.zarray` or `zarr.json`.
///
/// # Errors
/// If it is not what it should be. An array that is only stored in another way is no error here.
pub(super) fn parse(bytes: &[u8]) -> Result<Node> {
    let value: Value = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
    let version = match value["zarr_format"].as_u64() {
        Some(version @ (2 | 3)) => version,
        _ => return Err(damaged(format!("zarr_format {}", short(&value["zarr_format"])))),
    };
    if version == 3 && value["node_type"] == "group" {
        return Ok(Node::Group);
    }
    let shape =
        sizes(&value["shape"]).ok_or_else(|| damaged(format!("the shape {}", short(&value["shape"]))))?;
    let dtype = &value[if version == 2 { "dtype" } else { "data_type" }];
    let array = if version == 2 { of_v2(&value, &shape) } else { of_v3(&value, &shape) };
    let named = match &array {
        Ok(array) => array.dtype.name(),
        Err(_) => dtype.as_str().map_or_else(|| short(dtype), str::to_owned),
    };
    Ok(Node::Array(shape, named, Box::new(array)))
}

fn of_v2(value: &Value, shape: &[u64]) -> Result<Array> {
    let dtype = &value["dtype"];
    let text = dtype.as_str().unwrap_or_default();
    let mut characters = text.chars();
    let (order, kind) = (characters.next(), characters.next());
    let size = characters.as_str().parse().unwrap_or(0);
    let known =
        kind.and_then(|kind| Dtype::new(kind, size)).filter(|_| matches!(order, Some('<' | '>' | '|')));
    let dtype = known.ok_or_else(|| unsupported(format!("the type {}", short(dtype))))?;
    if let Some(filters) = value["filters"].as_array().filter(|filters| !filters.is_empty()) {
        let names: Vec<String> = filters.iter().map(|filter| name_of(filter, "id")).collect();
        return Err(unsupported(format!("the filters {}", names.join(", "))));
    }
    let axes = match value["order"].as_str() {
        Some("C") => (0..shape.len()).collect(),
        Some("F") => (0..shape.len()).rev().collect(),
        _ => return Err(damaged(format!("the order {}", short(&value["order"])))),
    };
    let codecs = match &value["compressor"] {
        Value::Null => vec![],
        compressor => vec![codec::named(&name_of(compressor, "id"))?],
    };
    Ok(Array {
        shape: shape.to_vec(),
        dtype,
        layout: Layout {
            chunks: chunk_shape(&value["chunks"], shape)?,
            axes,
            big_endian: order == Some('>'),
            fill: fill(&value["fill_value"], dtype)?,
            codecs,
            keys: ChunkKeys { with_c: false, separator: separator(&value["dimension_separator"], '.')? },
        },
    })
}

fn of_v3(value: &Value, shape: &[u64]) -> Result<Array> {
    let text = value["data_type"].as_str().unwrap_or_default();
    let known = match text.find(|c: char| c.is_ascii_digit()).map(|at| text.split_at(at)) {
        None if text == "bool" => Dtype::new('b', 1),
        Some((kind @ ("float" | "int" | "uint"), bits)) => {
            let bits: Option<usize> = bits.parse().ok().filter(|bits| bits % 8 == 0);
            bits.and_then(|bits| Dtype::new(kind.chars().next()?, bits / 8))
        }
        _ => None,
    };
    let dtype =
        known.ok_or_else(|| unsupported(format!("the type {}", name_of(&value["data_type"], "name"))))?;
    let grid = &value["chunk_grid"];
    if grid["name"] != "regular" {
        return Err(unsupported(format!("the chunk grid {}", name_of(grid, "name"))));
    }
    let chunks = chunk_shape(&grid["configuration"]["chunk_shape"], shape)?;
    let encoding = &value["chunk_key_encoding"];
    let (with_c, default) = match encoding["name"].as_str().or(encoding.as_str()) {
        Some("default") => (true, '/'),
        Some("v2") => (false, '.'),
        _ => return Err(unsupported(format!("the chunk keys {}", name_of(encoding, "name")))),
    };
    let keys = ChunkKeys { with_c, separator: separator(&encoding["configuration"]["separator"], default)? };
    if let Some(transformers) = value["storage_transformers"].as_array().filter(|list| !list.is_empty()) {
        return Err(unsupported(format!("the storage transformer {}", name_of(&transformers[0], "name"))));
    }
    let mut axes: Vec<usize> = (0..shape.len()).collect();
    let (mut big_endian, mut serialized, mut codecs) = (false, false, Vec::new());
    let listed = value["codecs"].as_array().ok_or_else(|| damaged("no codecs".into()))?;
    for one in listed {
        let name = name_of(one, "name");
        let configuration = &one["configuration"];
        match &*name {
            "transpose" if !serialized => {
                let order = sizes(&configuration["order"]).unwrap_or_default();
                let mut sorted: Vec<u64> = order.clone();
                sorted.sort_unstable();
                if !sorted.into_iter().eq(0..shape.len() as u64) {
                    return Err(damaged(format!("the order {}", short(&configuration["order"]))));
                }
                axes = order.into_iter().map(|axis| axes[axis as usize]).collect();
            }
            "bytes" if !serialized => {
                (serialized, big_endian) = (true, configuration["endian"] == "big");
            }
            _ if serialized => codecs.push(codec::named(&name)?),
            _ => return Err(unsupported(format!("the codec {name}"))),
        }
    }
    if !serialized {
        return Err(unsupported("no codec bytes"));
    }
    codec::check(&codecs)?;
    let layout = Layout { chunks, axes, big_endian, fill: fill(&value["fill_value"], dtype)?, codecs, keys };
    Ok(Array { shape: shape.to_vec(), dtype, layout })
}

/// The name of a codec or another extension: text, or an object with its name under `key`.
fn name_of(value: &Value, key: &str) -> String {
    let text = value.as_str().or_else(|| value[key].as_str());
    text.map_or_else(|| short(value), |text| text.chars().take(100).collect())
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(100).collect()
}

/// A list of sizes.
fn sizes(value: &Value) -> Option<Vec<u64>> {
    let list = value.as_array().filter(|list| list.len() <= MOST_DIMENSIONS)?;
    list.iter().map(Value::as_u64).collect()
}

fn chunk_shape(value: &Value, shape: &[u64]) -> Result<Vec<u64>> {
    let chunks = sizes(value).filter(|chunks| chunks.len() == shape.len() && !chunks.contains(&0));
    chunks.ok_or_else(|| damaged(format!("the chunks {} of an array of shape {shape:?}", short(value))))
}

fn separator(value: &Value, default: char) -> Result<char> {
    match value {
        Value::Null => Ok(default),
        value if value == "." => Ok('.'),
        value if value == "/" => Ok('/'),
        other => Err(damaged(format!("the separator {}", short(other)))),
    }
}

fn fill(value: &Value, dtype: Dtype) -> Result<Fill> {
    let strange = || damaged(format!("the fill value {} of type {}", short(value), dtype.name()));
    Ok(match value {
        Value::Null => Fill::Integer(0),
        Value::Bool(value) => Fill::Integer((*value).into()),
        Value::Number(number) => match number.as_i64() {
            Some(value) => Fill::Integer(value),
            None => Fill::Float(number.as_f64().ok_or_else(strange)?),
        },
        Value::String(text) => Fill::Float(match &**text {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            // The bits of a NaN.
            text if text.starts_with("0x") && dtype.kind == 'f' => f64::NAN,
            _ => return Err(strange()),
        }),
        _ => return Err(strange()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_chunks_are_parsed_strictly() {
        let v2 = ChunkKeys { with_c: false, separator: '.' };
        let v3 = ChunkKeys { with_c: true, separator: '/' };
        assert_eq!(v2.parse("10.0", 2), Some(vec![10, 0]));
        assert_eq!(v3.parse("c/3/12", 2), Some(vec![3, 12]));
        for other in
            ["10", "10.0.0", "01.0", "+1.0", "-1.0", "1. 0", ".zarray", "1/0", "99999999999999999999.0"]
        {
            assert_eq!(v2.parse(other, 2), None, "{other}");
        }
        for other in ["3/12", "c/3", "c/3/12/", "cc/3/12", "zarr.json"] {
            assert_eq!(v3.parse(other, 2), None, "{other}");
        }
    }

    #[test]
    fn what_is_not_read_is_named() {
        let v2 = |changes: &str| {
            let mut value: Value = serde_json::from_str(
                r#"{"zarr_format": 2, "shape": [9, 2], "chunks": [4, 2], "dtype": "<f4", "order": "C",
                    "fill_value": "NaN", "compressor": null, "filters": null}"#,
            )
            .unwrap();
            let changes: Value = serde_json::from_str(changes).unwrap();
            value.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            match parse(value.to_string().as_bytes()) {
                Ok(Node::Array(_, _, array)) => *array,
                Ok(Node::Group) => panic!("a group"),
                Err(e) => Err(e),
            }
        };
        assert!(v2("{}").unwrap().layout.fill.float().is_nan());
        assert_eq!(v2(r#"{"order": "F"}"#).unwrap().layout.axes, [1, 0]);
        for (changes, says) in [
            (r#"{"compressor": {"id": "imagecodecs_jpegxl"}}"#, "imagecodecs_jpegxl"),
            (r#"{"filters": [{"id": "delta"}]}"#, "the filters delta"),
            (r#"{"dtype": "<U8"}"#, "<U8"),
            (r#"{"dtype": [["x", "<f4"]]}"#, "the type [["),
            (r#"{"chunks": [4, 0]}"#, "the chunks [4,0]"),
            (r#"{"chunks": [4]}"#, "the chunks [4]"),
            (r#"{"shape": [-9, 2]}"#, "the shape [-9,2]"),
            (r#"{"zarr_format": 1}"#, "zarr_format 1"),
            (r#"{"order": "K"}"#, "the order \"K\""),
            (r#"{"dimension_separator": "-"}"#, "the separator"),
            (r#"{"fill_value": "none"}"#, "the fill value"),
        ] {
            let error = v2(changes).unwrap_err().to_string();
            assert!(error.contains(says), "{changes}: {error}");
        }
    }
}
