//! Reads the tensors of a file: names and shapes when it is opened, values on request. Two formats, recognized by content.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{encoder_file::KEY, pth};
use crate::error::{Error, Kind, Result};

/// The largest header or pickle in bytes; that of ResNet-152 has 0.1 MB.
pub(super) const HEADER: u64 = 4 << 20;

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    F16,
    BF16,
    F32,
    F64,
    /// Integers and other types that weights do not have, by their size in bytes.
    Other(u8),
}

impl Dtype {
    /// Bytes of an element.
    pub(super) fn size(self) -> u64 {
        match self {
            Self::F16 | Self::BF16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Other(size) => size.into(),
        }
    }

    /// The type of a PyTorch storage, by its class name without `Storage`.
    pub(super) fn of_torch(name: &str) -> Option<Self> {
        Some(match name {
            "Float" => Self::F32,
            "Half" => Self::F16,
            "BFloat16" => Self::BF16,
            "Double" => Self::F64,
            "Long" => Self::Other(8),
            "Int" => Self::Other(4),
            "Short" => Self::Other(2),
            "Char" | "Byte" | "Bool" => Self::Other(1),
            _ => return None,
        })
    }

    fn of_safetensors(dtype: safetensors::Dtype) -> Self {
        match dtype {
            safetensors::Dtype::F16 => Self::F16,
            safetensors::Dtype::BF16 => Self::BF16,
            safetensors::Dtype::F32 => Self::F32,
            safetensors::Dtype::F64 => Self::F64,
            other => Self::Other((other.bitsize() / 8).max(1) as u8),
        }
    }
}

/// The position of a tensor in its file. Strides count elements. Every element lies inside the file (the constructors check it).
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    pub strides: Vec<u64>,
    pub offset: u64, // of the first element, in bytes from the start of the file
}

impl Place {
    /// Bytes from the first element to the end of the last: 0 for a tensor without elements, `None` on overflow.
    pub(super) fn byte_len(&self) -> Option<u64> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let mut last = 0_u64;
        for (size, stride) in self.shape.iter().zip(&self.strides) {
            last = last.checked_add((size - 1).checked_mul(*stride)?)?;
        }
        last.checked_add(1)?.checked_mul(self.dtype.size())
    }
}

/// An open file of weights. Values are read on request.
#[derive(Debug)]
pub struct Tensors {
    path: PathBuf,
    file: File,
    places: BTreeMap<String, Place>,
    metadata: Option<String>, // the JSON header of a file of mcnn
}

impl Tensors {
    /// Opens a `.safetensors` or a file of `torch.save`, recognized by content.
    ///
    /// # Errors
    /// A file that is neither, is damaged or cut short, or needs code to be run.
    pub fn open(path: &Path) -> Result<Self> {
        let named = |e: Error| e.within(path.display());
        let io = |e| Error::io("reading the weights", path, &e);
        let file_metadata = std::fs::metadata(path).map_err(io)?;
        if file_metadata.is_dir() {
            return Err(io(std::io::ErrorKind::IsADirectory.into()));
        }
        if !file_metadata.is_file() {
            return Err(named(Error::new(Kind::File, "weights are read from a regular file")));
        }
        let mut file = File::open(path).map_err(io)?;
        let mut start = [0; 16];
        let n = file.by_ref().take(16).read(&mut start).map_err(io)?;
        let length = file_metadata.len();
        let without_metadata = |places| (places, None);
        let read = match &start[..n] {
            start if start.starts_with(b"PK\x03\x04") => pth::places(&file, length).map(without_metadata),
            // A bare pickle of protocol 2 to 5.
            [0x80, 2..=5, ..] => Err(legacy()),
            [_, _, _, _, _, _, _, _, b'{', ..] => safetensors_places(&mut file, length),
            start => Err(other(start)),
        };
        let (places, metadata) = read.map_err(named)?;
        Ok(Self { path: path.to_owned(), file, places, metadata })
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The JSON header of a file of `mcnn`; `None` for other files.
    pub(crate) fn metadata(&self) -> Option<&str> {
        self.metadata.as_deref()
    }

    /// The names of the tensors and their shapes.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[u64])> {
        self.places.iter().map(|(name, place)| (name.as_str(), &place.shape[..]))
    }

    /// The values of a tensor as `f32`, row-major.
    ///
    /// # Errors
    /// A tensor that is missing, has another shape or type, or contains NaN or infinite values.
    pub fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let wrong = |what: &str| Error::new(Kind::File, what).at(format!("{}: {name}", self.path.display()));
        let place = self.places.get(name).ok_or_else(|| wrong("a tensor that is missing"))?;
        let expected: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
        if place.shape != expected {
            return Err(wrong("a tensor of another shape")
                .expected(format!("{expected:?}"))
                .found(format!("{:?}", place.shape)));
        }
        if let Dtype::Other(_) = place.dtype {
            return Err(
                wrong("a tensor that is not of floats").expected("float16, bfloat16, float32 or float64")
            );
        }
        let byte_len = place.byte_len().expect("inside the file, as checked when it was opened");
        let mut bytes = Vec::with_capacity(byte_len as usize); // at most the length of the file
        let io = |e| Error::io("reading the weights", &self.path, &e);
        self.file.seek(SeekFrom::Start(place.offset)).map_err(io)?;
        (&self.file).take(byte_len).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 != byte_len {
            return Err(wrong("the file became shorter while it was read"));
        }
        let values = gather(place, &bytes);
        if let Some(bad) = values.iter().position(|v| !v.is_finite()) {
            return Err(wrong("weights that are NaN or infinite")
                .expected("finite values")
                .found(format!("{} at {bad}", values[bad]))
                .next("the network was trained or saved badly: take another checkpoint"));
        }
        Ok(values)
    }

    /// SHA-256 of the whole file, as hexadecimal.
    ///
    /// # Errors
    /// Of the file system.
    pub fn sha256(&mut self) -> Result<String> {
        let io = |e| Error::io("reading the weights", &self.path, &e);
        self.file.rewind().map_err(io)?;
        let mut hash = Sha256::new();
        std::io::copy(&mut self.file, &mut hash).map_err(io)?;
        Ok(super::hex(&hash.finalize()))
    }
}

/// The elements of a strided tensor, row-major. `bytes` start at its first element.
fn gather(place: &Place, bytes: &[u8]) -> Vec<f32> {
    let element = |i: usize| match place.dtype {
        Dtype::F32 => f32::from_le_bytes(bytes[4 * i..][..4].try_into().expect("four")),
        Dtype::F64 => f64::from_le_bytes(bytes[8 * i..][..8].try_into().expect("eight")) as f32,
        Dtype::F16 => decode_half(u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]])),
        Dtype::BF16 => f32::from_bits(u32::from(u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]])) << 16),
        Dtype::Other(_) => unreachable!("refused before"),
    };
    let count: u64 = place.shape.iter().product(); // the shape was checked by the caller
    let mut index = vec![0; place.shape.len()];
    let mut position = 0; // of the element, in elements
    let mut values = Vec::with_capacity(count as usize);
    for _ in 0..count {
        values.push(element(position as usize));
        for d in (0..index.len()).rev() {
            index[d] += 1;
            position += place.strides[d];
            if index[d] < place.shape[d] {
                break;
            }
            position -= place.strides[d] * place.shape[d];
            index[d] = 0;
        }
    }
    values
}

/// Decodes a half-precision float: five bits of exponent, ten of fraction.
fn decode_half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = ((bits >> 10) & 0x1f, f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2.0_f32.powi(-24),
        0x1f if fraction == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        exponent => (1.0 + fraction / 1024.0) * 2.0_f32.powi(i32::from(exponent) - 15),
    }
}

/// The positions of the tensors of a `.safetensors`, and the JSON header if the file is one of `mcnn`.
fn safetensors_places(file: &mut File, length: u64) -> Result<(BTreeMap<String, Place>, Option<String>)> {
    let damaged = |found: String| {
        Error::new(Kind::File, "the .safetensors file is damaged or cut short")
            .found(found)
            .next("fetch it again")
    };
    let io = |e: std::io::Error| damaged(e.to_string());
    let mut size = [0; 8];
    file.rewind().and_then(|()| file.read_exact(&mut size)).map_err(io)?;
    let header = u64::from_le_bytes(size);
    if header > HEADER || header + 8 > length {
        return Err(damaged(format!("a header of {header} bytes in a file of {length}")));
    }
    let mut bytes = Vec::with_capacity(header as usize);
    file.take(header).read_to_end(&mut bytes).map_err(io)?;
    let metadata = serde_json::from_slice::<safetensors::tensor::Metadata>(&bytes);
    let metadata = metadata.map_err(|e| damaged(e.to_string()))?;
    let mut places = BTreeMap::new();
    for (name, info) in metadata.tensors() {
        let shape: Vec<u64> = info.shape.iter().map(|&n| n as u64).collect();
        let offset = header + 8 + info.data_offsets.0 as u64;
        let end = header + 8 + info.data_offsets.1 as u64;
        let place =
            Place { dtype: Dtype::of_safetensors(info.dtype), strides: contiguous(&shape), shape, offset };
        if end > length || place.byte_len().is_none_or(|byte_len| byte_len > end - offset) {
            return Err(damaged(format!("{name} ends after the file")));
        }
        places.insert(name, place);
    }
    let mcnn_header = metadata.metadata().as_ref().and_then(|texts| texts.get(KEY)).cloned();
    Ok((places, mcnn_header))
}

/// The strides of a contiguous row-major tensor.
fn contiguous(shape: &[u64]) -> Vec<u64> {
    let mut strides = vec![1; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = shape[d].saturating_mul(strides[d]);
    }
    strides
}

/// The error for a file of an early PyTorch.
fn legacy() -> Error {
    Error::new(Kind::File, "weights in the format that PyTorch wrote before version 1.6")
        .expected("a zip, as torch.save writes it since, or a .safetensors")
        .found("a pickle that is not in a zip")
        .next("convert it: python -c 'import torch; torch.save(torch.load(\"OLD\", map_location=\"cpu\"), \"NEW.pth\")' (this executes the pickle)")
}

/// The error for a file of another format, by its first bytes.
fn other(start: &[u8]) -> Error {
    let (found, next) = if start.starts_with(b"version https") {
        ("a Git LFS pointer, not the file itself", "fetch it with `git lfs pull`")
    } else if start.starts_with(b"<") {
        ("a web page or XML, perhaps of a failed download", "fetch the file again")
    } else if start.is_empty() {
        ("an empty file", "fetch it again")
    } else {
        ("neither", "save them with torch.save(model.state_dict(), path)")
    };
    Error::new(Kind::File, "not a file of weights")
        .expected("a .pth of PyTorch (PK) or a .safetensors")
        .found(found)
        .next(next)
}
