//! Blosc 1: a chunk of blocks, each shuffled and compressed by one of several codecs (`blosc.c` of c-blosc 1.21 and its
//! `README_CHUNK_FORMAT.rst`; BloscLZ: `blosclz.c`).
//!
//! The header has 16 bytes: version, version of the codec, flags, size of an element, then little-endian the bytes of the whole, of a
//! block, and of the chunk. Then come the places of the blocks. A block is one stream or, split, a stream for each byte of an
//! element; a stream is its length and what the codec made of it, or the bytes as they are if that is no shorter.

use super::{Decoded, within};

const HEADER: usize = 16;
/// Flags of a chunk.
const SHUFFLE: u8 = 1;
const STORED: u8 = 2;
const BIT_SHUFFLE: u8 = 4;
const NOT_SPLIT: u8 = 16;
/// Elements wider than this, and blocks of fewer elements than that, are not split.
const WIDEST_SPLIT: usize = 16;
const SHORTEST_SPLIT: usize = 128;

/// Decodes a chunk that expands to at most `most` bytes.
pub(in crate::data) fn decode(bytes: &[u8], most: usize) -> Decoded {
    const CUT: &str = "cut short";
    let number = |at: usize| -> Result<usize, String> {
        let four = bytes.get(at..).and_then(|b| b.first_chunk()).ok_or(CUT)?;
        Ok(u32::from_le_bytes(*four) as usize)
    };
    let &[version, _, flags, element, ..] = bytes else { return Err(CUT.into()) };
    if !(1..=2).contains(&version) {
        return Err(format!("version {version} of the format, which is not read"));
    }
    let (total, block) = (number(4)?, number(8)?);
    if total > most {
        return Err(format!("more than {most} bytes"));
    }
    if flags & STORED != 0 {
        return Ok(bytes.get(HEADER..HEADER + total).ok_or(CUT)?.to_vec());
    }
    let element = usize::from(element).max(1);
    if total > 0 && block == 0 {
        return Err("blocks of no bytes".into());
    }
    // What the header promises is not allocated before there is something to put there.
    let mut decoded = Vec::new();
    for (k, start) in (0..total).step_by(block.max(1)).enumerate() {
        let length = block.min(total - start);
        let split = flags & NOT_SPLIT == 0
            && element <= WIDEST_SPLIT
            && length / element >= SHORTEST_SPLIT
            && length == block;
        let streams = if split { element } else { 1 };
        if length % streams != 0 {
            return Err("a block that cannot be split".into());
        }
        let mut at = number(HEADER + 4 * k)?;
        let mut plain = Vec::new();
        for _ in 0..streams {
            let size = number(at)?;
            let stream = bytes.get(at + 4..).and_then(|rest| rest.get(..size)).ok_or(CUT)?;
            at += 4 + size;
            let wanted = length / streams;
            let out = if size == wanted { stream.to_vec() } else { stream_of(flags >> 5, stream, wanted)? };
            if out.len() != wanted {
                return Err(format!("{} bytes in place of {wanted}", out.len()));
            }
            plain.extend(out);
        }
        if flags & SHUFFLE != 0 && element > 1 {
            plain = unshuffle(&plain, element);
        } else if flags & BIT_SHUFFLE != 0 {
            plain = unshuffle_bits(&plain, element);
        }
        decoded.extend(plain);
    }
    within(decoded, most)
}

/// A stream of a block, by the number of its codec.
fn stream_of(codec: u8, stream: &[u8], wanted: usize) -> Decoded {
    // Of these codecs, deflate expands furthest.
    if codec < 4 && wanted > stream.len().saturating_mul(1032) + 64 {
        return Err(format!("{wanted} bytes, which {} cannot expand to", stream.len()));
    }
    match codec {
        0 => blosclz(stream, wanted),
        1 => lz4_flex::block::decompress(stream, wanted).map_err(|e| e.to_string()),
        3 => super::zlib(stream, wanted),
        4 => super::zstd(stream, wanted),
        2 => super::snappy::decode(stream, wanted),
        other => Err(format!("codec {other}, which is unknown")),
    }
}

/// BloscLZ, a relative of FastLZ.
fn blosclz(bytes: &[u8], wanted: usize) -> Decoded {
    const CUT: &str = "cut short";
    const FAR: usize = 8191;
    let mut at = 0;
    let mut take = |count: usize| {
        let taken = bytes.get(at..at + count).ok_or(CUT)?;
        at += count;
        Ok::<&[u8], String>(taken)
    };
    let mut decoded: Vec<u8> = Vec::with_capacity(wanted);
    let mut control = usize::from(take(1)?[0] & 31);
    loop {
        if control < 32 {
            decoded.extend_from_slice(take(control + 1)?);
        } else {
            let mut length = (control >> 5) - 1;
            let high = (control & 31) << 8;
            if length == 6 {
                loop {
                    let more = usize::from(take(1)?[0]);
                    length += more;
                    if more != 255 {
                        break;
                    }
                }
            }
            length += 3;
            let low = usize::from(take(1)?[0]);
            let distance = if low == 255 && high == 31 << 8 {
                let far = take(2)?;
                (usize::from(far[0]) << 8 | usize::from(far[1])) + FAR + 1
            } else {
                high + low + 1
            };
            let start = decoded.len().checked_sub(distance).ok_or("a reference before the start")?;
            if decoded.len() + length > wanted {
                return Err(format!("more than {wanted} bytes"));
            }
            // It may overlap with what it writes.
            (start..start + length).for_each(|i| decoded.push(decoded[i]));
        }
        match take(1) {
            Ok(next) => control = usize::from(next[0]),
            Err(_) => return Ok(decoded),
        }
    }
}

/// Puts the bytes of each element side by side again; what is no whole element is at the end.
fn unshuffle(bytes: &[u8], element: usize) -> Vec<u8> {
    let count = bytes.len() / element;
    let mut out = bytes.to_vec();
    for (i, to) in out.chunks_exact_mut(element).enumerate() {
        to.iter_mut().enumerate().for_each(|(k, to)| *to = bytes[k * count + i]);
    }
    out
}

/// The same of single bits. Blocks whose number of elements is no multiple of 8 are stored as they are.
fn unshuffle_bits(bytes: &[u8], element: usize) -> Vec<u8> {
    let count = bytes.len() / element;
    let mut out = bytes.to_vec();
    if !count.is_multiple_of(8) {
        return out;
    }
    for (i, to) in out.chunks_exact_mut(element).enumerate() {
        for (k, to) in to.iter_mut().enumerate() {
            let bit = |b: usize| bytes[(8 * k + b) * (count / 8) + i / 8] >> (i % 8) & 1;
            *to = (0..8).fold(0, |byte, b| byte | bit(b) << b);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chunk of one block with one stream.
    fn chunk(flags: u8, element: u8, total: u32, stream: &[u8]) -> Vec<u8> {
        let mut bytes = vec![2, 1, flags | NOT_SPLIT, element];
        let place = HEADER as u32 + 4;
        let numbers = [total, total, place + 4 + stream.len() as u32, place, stream.len() as u32];
        bytes.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
        bytes.extend(stream);
        bytes
    }

    /// By hand, since files of h5py cannot show each path; the files of the codecs' own library are in `tests/data_files.rs`.
    #[test]
    fn streams_by_hand() {
        // "ab", then 9 bytes from a distance of 2: a length of 7 - 1 and 0 more, and 3.
        let stream = [1, b'a', b'b', 7 << 5, 0, 1];
        assert_eq!(decode(&chunk(0, 1, 11, &stream), 100).unwrap(), b"ab".repeat(6)[..11]);
        // Stored, as it is no shorter; with the bytes of two elements of two bytes apart.
        assert_eq!(decode(&chunk(SHUFFLE, 2, 5, &[1, 2, 3, 4, 5]), 100).unwrap(), [1, 3, 2, 4, 5]);
        // Eight elements of one byte, the lowest bit of the first and all bits of the last.
        let bits = [0b1000_0001, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80];
        assert_eq!(decode(&chunk(BIT_SHUFFLE, 1, 8, &bits), 100).unwrap(), [1, 0, 0, 0, 0, 0, 0, 255]);
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let refused = |bytes: &[u8]| decode(bytes, 1 << 28).unwrap_err();
        let whole = chunk(0, 1, 11, &[1, b'a', b'b', 7 << 5, 0, 1]);
        for cut in 0..whole.len() {
            refused(&whole[..cut]);
        }
        assert!(refused(&chunk(0, 1, 1 << 28, &[1, b'a', b'b'])).contains("cannot expand"));
        assert!(refused(&chunk(0, 1, (1 << 28) + 1, &[0])).contains("more than"));
        assert!(refused(&chunk(2 << 5, 1, 9, &[0])).contains("in place of 9"));
        assert!(refused(&chunk(0, 1, 11, &[0, b'a', 7 << 5, 0, 9])).contains("before the start"));
        assert!(refused(&[5; 40]).contains("version 5"));
    }
}
