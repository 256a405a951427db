//! The tensors of a file: their names and shapes, and the values of those requested. Two formats, recognized by content.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{encoder_file::KEY, pth};
use crate::error::{Error, Kind, Result};

/// The most bytes of a header or pickle; ResNet-152's takes a tenth of a megabyte.
pub(super) const HEADER: u64 = 4 << 20;

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    F16,
    BF16,
    F32,
    F64,
    /// Whole numbers and others that no weight is, by their size in bytes.
    Other(u8),
}

impl Dtype {
    pub(super) fn size(self) -> u64 {
        match self {
            Self::F16 | Self::BF16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Other(size) => size.into(),
        }
    }

    /// By the name of PyTorch's storages, without `Storage`.
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

/// A tensor's place in its file. Strides count numbers; every number lies inside the file (checked when it was made).
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    pub strides: Vec<u64>,
    pub at: u64, // of the first number, from the file's start
}

impl Place {
    /// Bytes from the first number to after the last; `None` where that is beyond all measure. 0 where it has no numbers.
    pub(super) fn span(&self) -> Option<u64> {
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

/// A file of weights, its numbers still in the file.
#[derive(Debug)]
pub struct Tensors {
    path: PathBuf,
    file: File,
    places: BTreeMap<String, Place>,
    text: Option<String>,
}

impl Tensors {
    /// Opens a `.safetensors`, or what `torch.save` writes, recognized by content.
    ///
    /// # Errors
    /// A file that is neither, is damaged or cut short, or needs code to be run.
    pub fn open(path: &Path) -> Result<Self> {
        let named = |e: Error| e.within(path.display());
        let io = |e| Error::io("reading the weights", path, &e);
        let about = std::fs::metadata(path).map_err(io)?;
        if about.is_dir() {
            return Err(io(std::io::ErrorKind::IsADirectory.into()));
        }
        if !about.is_file() {
            return Err(named(Error::new(Kind::File, "weights are read from a regular file")));
        }
        let mut file = File::open(path).map_err(io)?;
        let mut start = [0; 16];
        let n = file.by_ref().take(16).read(&mut start).map_err(io)?;
        let length = about.len();
        let none = |places| (places, None);
        let read = match &start[..n] {
            start if start.starts_with(b"PK\x03\x04") => pth::places(&file, length).map(none),
            // A pickle of protocol 2 to 5 by itself.
            [0x80, 2..=5, ..] => Err(legacy()),
            [_, _, _, _, _, _, _, _, b'{', ..] => safetensors_places(&mut file, length),
            start => Err(other(start)),
        };
        let (places, text) = read.map_err(named)?;
        Ok(Self { path: path.to_owned(), file, places, text })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The metadata of a file of this program.
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// The names of the tensors and their shapes.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[u64])> {
        self.places.iter().map(|(name, place)| (name.as_str(), &place.shape[..]))
    }

    /// The numbers of a tensor, row by row, as `f32`.
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
        let span = place.span().expect("inside the file, as checked when it was opened");
        let mut bytes = Vec::with_capacity(span as usize); // as long as the file at most
        let io = |e| Error::io("reading the weights", &self.path, &e);
        self.file.seek(SeekFrom::Start(place.at)).map_err(io)?;
        (&self.file).take(span).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 != span {
            return Err(wrong("the file became shorter while it was read"));
        }
        let numbers = gather(place, &bytes);
        if let Some(bad) = numbers.iter().position(|v| !v.is_finite()) {
            return Err(wrong("weights that are NaN or infinite")
                .expected("finite numbers")
                .found(format!("{} at {bad}", numbers[bad]))
                .next("the network was trained or saved badly: take another checkpoint"));
        }
        Ok(numbers)
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

/// The numbers of a view, in the order of its indices.
fn gather(place: &Place, bytes: &[u8]) -> Vec<f32> {
    let one = |i: usize| match place.dtype {
        Dtype::F32 => f32::from_le_bytes(bytes[4 * i..][..4].try_into().expect("four")),
        Dtype::F64 => f64::from_le_bytes(bytes[8 * i..][..8].try_into().expect("eight")) as f32,
        Dtype::F16 => half(u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]])),
        Dtype::BF16 => f32::from_bits(u32::from(u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]])) << 16),
        Dtype::Other(_) => unreachable!("refused before"),
    };
    let count: u64 = place.shape.iter().product(); // the shape was checked by the caller
    let mut index = vec![0; place.shape.len()];
    let mut at = 0;
    let mut numbers = Vec::with_capacity(count as usize);
    for _ in 0..count {
        numbers.push(one(at as usize));
        for d in (0..index.len()).rev() {
            index[d] += 1;
            at += place.strides[d];
            if index[d] < place.shape[d] {
                break;
            }
            at -= place.strides[d] * place.shape[d];
            index[d] = 0;
        }
    }
    numbers
}

/// A half-precision float: five bits of exponent, ten of fraction.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = ((bits >> 10) & 0x1f, f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2.0_f32.powi(-24),
        0x1f if fraction == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        e => (1.0 + fraction / 1024.0) * 2.0_f32.powi(i32::from(e) - 15),
    }
}

/// Where the tensors of a `.safetensors` lie, and the text that ours have.
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
        let at = header + 8 + info.data_offsets.0 as u64;
        let end = header + 8 + info.data_offsets.1 as u64;
        let place = Place { dtype: Dtype::of_safetensors(info.dtype), strides: packed(&shape), shape, at };
        if end > length || place.span().is_none_or(|span| span > end - at) {
            return Err(damaged(format!("{name} ends after the file")));
        }
        places.insert(name, place);
    }
    let text = metadata.metadata().as_ref().and_then(|texts| texts.get(KEY)).cloned();
    Ok((places, text))
}

/// The strides of rows that lie one after the other.
fn packed(shape: &[u64]) -> Vec<u64> {
    let mut strides = vec![1; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = shape[d].saturating_mul(strides[d]);
    }
    strides
}

fn legacy() -> Error {
    Error::new(Kind::File, "weights in the format that PyTorch wrote before version 1.6")
        .expected("a zip, as torch.save writes it since, or a .safetensors")
        .found("a pickle that is not in a zip")
        .next("convert it: python -c 'import torch; torch.save(torch.load(\"OLD\", map_location=\"cpu\"), \"NEW.pth\")' (this runs what is in it)")
}

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
