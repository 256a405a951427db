//! Decoders of compressed chunks, which the formats share. Each knows the most bytes that it may make.

mod blosc;
mod bzip2;
mod crc32c;
mod lzf;
mod snappy;

use std::io::Read;

pub(super) use blosc::decode as blosc;
pub(super) use bzip2::decode as bzip2;
pub(super) use crc32c::crc32c;
pub(super) use lzf::decode as lzf;

/// The result of a decoder: the bytes, or what is wrong.
pub(super) type Decoded = std::result::Result<Vec<u8>, String>;

/// Zstandard: a frame.
pub(super) fn zstd(bytes: &[u8], most: usize) -> Decoded {
    read(ruzstd::decoding::StreamingDecoder::new(bytes).map_err(|e| e.to_string())?, most)
}

/// Zlib: deflate with a header and a checksum.
pub(super) fn zlib(bytes: &[u8], most: usize) -> Decoded {
    read(flate2::read::ZlibDecoder::new(bytes), most)
}

/// Gzip: one member or several.
pub(super) fn gzip(bytes: &[u8], most: usize) -> Decoded {
    read(flate2::read::MultiGzDecoder::new(bytes), most)
}

/// A block of LZ4 behind its length, as numcodecs writes it.
pub(super) fn lz4(bytes: &[u8], most: usize) -> Decoded {
    let (length, block) = bytes.split_first_chunk().ok_or("cut short")?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > most {
        return Err(format!("more than {most} bytes"));
    }
    // A byte of LZ4 stands for 255 at most.
    if length > block.len().saturating_mul(255) {
        return Err(format!("{length} bytes, which {} cannot expand to", block.len()));
    }
    lz4_flex::block::decompress(block, length).map_err(|e| e.to_string())
}

/// A frame of LZ4.
pub(super) fn lz4_frame(bytes: &[u8], most: usize) -> Decoded {
    read(lz4_flex::frame::FrameDecoder::new(bytes), most)
}

fn read(decoder: impl Read, most: usize) -> Decoded {
    let mut decoded = Vec::new();
    decoder.take(most as u64 + 1).read_to_end(&mut decoded).map_err(|e| e.to_string())?;
    within(decoded, most)
}

fn within(decoded: Vec<u8>, most: usize) -> Decoded {
    if decoded.len() > most { Err(format!("more than {most} bytes")) } else { Ok(decoded) }
}
