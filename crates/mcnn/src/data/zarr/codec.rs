//! The codecs of a chunk's bytes, by their names in the metadata.

use super::metadata::unsupported;
use crate::{
    data::compression::{blosc, bzip2, crc32c, gzip, lz4, zlib, zstd},
    error::Result,
};

/// What is read, for error messages.
pub(super) const READ: &str =
    "numbers, in chunks that are not compressed or by Blosc, zstd, zlib, gzip, lz4 or bz2";

/// The most codecs of an array.
const MOST: usize = 8;

/// A codec of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Blosc,
    Bzip2,
    /// A checksum in the last 4 bytes.
    Crc32c,
    Gzip,
    Lz4,
    Zlib,
    Zstd,
}

/// The codec of this name.
///
/// # Errors
/// If it is not read.
pub(super) fn named(name: &str) -> Result<Codec> {
    Ok(match name.strip_prefix("numcodecs.").unwrap_or(name) {
        "blosc" => Codec::Blosc,
        "bz2" => Codec::Bzip2,
        "crc32c" => Codec::Crc32c,
        "gzip" => Codec::Gzip,
        "lz4" => Codec::Lz4,
        "zlib" => Codec::Zlib,
        "zstd" => Codec::Zstd,
        _ => return Err(unsupported(format!("the codec {name}"))),
    })
}

/// Checks the codecs of an array together.
///
/// # Errors
/// Several compressions: between two there is no bound of the bytes that the first expands to. More codecs than anyone needs.
pub(super) fn check(codecs: &[Codec]) -> Result<()> {
    if codecs.len() > MOST {
        return Err(unsupported(format!("{} codecs", codecs.len())));
    }
    match codecs.iter().filter(|&&codec| codec != Codec::Crc32c).count() {
        0 | 1 => Ok(()),
        several => Err(unsupported(format!("{several} compressions one after the other"))),
    }
}

/// Undoes the codecs: the bytes of a chunk of `wanted` bytes, or what is wrong.
pub(super) fn decode(
    codecs: &[Codec],
    mut bytes: Vec<u8>,
    wanted: usize,
) -> std::result::Result<Vec<u8>, String> {
    for codec in codecs.iter().rev() {
        // A checksum may have been added before the compression.
        let most = wanted + 64;
        bytes = match codec {
            Codec::Blosc => blosc(&bytes, most)?,
            Codec::Bzip2 => bzip2(&bytes, most)?,
            Codec::Gzip => gzip(&bytes, most)?,
            Codec::Lz4 => lz4(&bytes, most)?,
            Codec::Zlib => zlib(&bytes, most)?,
            Codec::Zstd => zstd(&bytes, most)?,
            Codec::Crc32c => {
                let (rest, sum) = bytes.split_last_chunk().ok_or("cut short")?;
                if crc32c(rest) != u32::from_le_bytes(*sum) {
                    return Err("another checksum than that of its bytes".into());
                }
                rest.to_vec()
            }
        };
    }
    match bytes.len() {
        found if found == wanted => Ok(bytes),
        found => Err(format!("{found} bytes in place of {wanted}")),
    }
}
