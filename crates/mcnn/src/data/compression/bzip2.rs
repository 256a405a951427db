//! bzip2 (Julian Seward's format, as `decompress.c` of libbzip2 1.0.8 reads it): blocks of at most 900,000 bytes, each as a
//! Burrows-Wheeler transform, move-to-front, and Huffman codes.

use super::{Decoded, within};

const CUT: &str = "cut short";
/// The 48 bits at the start of a block, and of the end of a stream.
const BLOCK: u64 = 0x3141_5926_5359;
const END: u64 = 0x1772_4538_5090;
/// Symbols that follow one Huffman code before the next selector.
const GROUP: usize = 50;
const LONGEST_CODE: usize = 20;

/// Decodes one or several streams that expand to at most `most` bytes.
pub(in crate::data) fn decode(bytes: &[u8], most: usize) -> Decoded {
    let mut bits = Bits { bytes, at: 0 };
    let mut decoded = Vec::new();
    loop {
        if bits.take(24)? != 0x42_5a68 {
            return Err("no bzip2".into());
        }
        let level = bits.take(8)?.wrapping_sub(u64::from(b'0'));
        if !(1..=9).contains(&level) {
            return Err("no bzip2".into());
        }
        loop {
            match bits.take(48)? {
                BLOCK => block(&mut bits, level as usize * 100_000, &mut decoded, most)?,
                END => break,
                _ => return Err("a block without its mark".into()),
            }
        }
        bits.take(32)?; // the checksum of the checksums of the blocks
        bits.at = bits.at.next_multiple_of(8);
        if bits.at == 8 * bytes.len() {
            return within(decoded, most);
        }
    }
}

/// Bits, the highest of a byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Result<usize, String> {
        let byte = self.bytes.get(self.at / 8).ok_or(CUT)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Ok(bit.into())
    }

    fn take(&mut self, count: usize) -> Result<u64, String> {
        (0..count).try_fold(0, |n, _| Ok(n << 1 | self.bit()? as u64))
    }
}

/// A canonical Huffman code.
struct Code {
    /// For each length, the first code behind those of this length, and how many symbols come before them in `symbols`.
    limits: [(u32, u32, usize); LONGEST_CODE + 1],
    symbols: Vec<u16>,
}

impl Code {
    fn new(lengths: &[usize]) -> Self {
        let mut limits = [(0, 0, 0); LONGEST_CODE + 1];
        let mut symbols: Vec<u16> = Vec::with_capacity(lengths.len());
        let mut first = 0_u32;
        for (length, limit) in limits.iter_mut().enumerate().skip(1) {
            let before = symbols.len();
            symbols.extend((0..lengths.len()).filter(|&s| lengths[s] == length).map(|s| s as u16));
            let count = (symbols.len() - before) as u32;
            *limit = (first, first + count, before);
            first = (first + count) << 1;
        }
        Self { limits, symbols }
    }

    fn symbol(&self, bits: &mut Bits) -> Result<usize, String> {
        let mut code = 0_u32;
        for &(first, limit, before) in &self.limits[1..] {
            code = code << 1 | bits.bit()? as u32;
            if code >= first && code < limit {
                return Ok(self.symbols[before + (code - first) as usize].into());
            }
        }
        Err("a code of no symbol".into())
    }
}

/// Reads a block behind its mark, and appends its bytes.
fn block(bits: &mut Bits, largest: usize, decoded: &mut Vec<u8>, most: usize) -> Result<(), String> {
    let checksum = bits.take(32)? as u32;
    if bits.bit()? == 1 {
        return Err("a randomized block, as versions before 0.9.5 wrote".into());
    }
    let origin = bits.take(24)? as usize;
    let sorted = sorted(bits, largest)?;
    if origin >= sorted.len() {
        return Err("a block whose start is beyond its end".into());
    }
    // The inverse of the Burrows-Wheeler transform.
    let mut starts = [0_u32; 256];
    sorted.iter().for_each(|&b| starts[usize::from(b)] += 1);
    let mut sum = 0;
    starts.iter_mut().for_each(|n| sum += std::mem::replace(n, sum));
    let mut next = vec![0_u32; sorted.len()];
    for (i, &b) in sorted.iter().enumerate() {
        let place = &mut starts[usize::from(b)];
        next[*place as usize] = i as u32;
        *place += 1;
    }
    // Four equal bytes are followed by the number of further ones.
    let (from, mut run, mut last) = (decoded.len(), 0, None);
    let mut at = next[origin] as usize;
    for _ in 0..sorted.len() {
        let byte = sorted[at];
        at = next[at] as usize;
        match last {
            Some(repeated) if run == 4 => {
                decoded.extend(std::iter::repeat_n(repeated, byte.into()));
                (run, last) = (0, None);
            }
            _ => {
                run = if last == Some(byte) { run + 1 } else { 1 };
                last = Some(byte);
                decoded.push(byte);
            }
        }
        if decoded.len() > most {
            return Err(format!("more than {most} bytes"));
        }
    }
    if crc(&decoded[from..]) != checksum {
        return Err("a block with another checksum".into());
    }
    Ok(())
}

/// The bytes of a block in the order of the transform.
fn sorted(bits: &mut Bits, largest: usize) -> Decoded {
    let groups = bits.take(16)?;
    let mut used = Vec::new();
    for group in (0..16).filter(|group| groups >> (15 - group) & 1 == 1) {
        let members = bits.take(16)?;
        used.extend((0..16_u8).filter(|k| members >> (15 - k) & 1 == 1).map(|k| 16 * group + k));
    }
    let (codes, selectors) = (bits.take(3)? as usize, bits.take(15)? as usize);
    if used.is_empty() || !(2..=6).contains(&codes) || selectors == 0 {
        return Err("a block without codes".into());
    }
    let mut order: Vec<usize> = (0..codes).collect();
    let mut selected = Vec::with_capacity(selectors);
    for _ in 0..selectors {
        let mut k = 0;
        while bits.bit()? == 1 {
            k += 1;
        }
        if k >= codes {
            return Err("a code that is not there".into());
        }
        let code = order.remove(k);
        order.insert(0, code);
        selected.push(code);
    }
    let symbols = used.len() + 2;
    let mut tables = Vec::with_capacity(codes);
    for _ in 0..codes {
        let mut length = bits.take(5)? as usize;
        let mut lengths = Vec::with_capacity(symbols);
        for _ in 0..symbols {
            while bits.bit()? == 1 {
                length = if bits.bit()? == 0 { length + 1 } else { length.saturating_sub(1) };
            }
            if !(1..=LONGEST_CODE).contains(&length) {
                return Err("a code of no length".into());
            }
            lengths.push(length);
        }
        tables.push(Code::new(&lengths));
    }
    let mut sorted: Vec<u8> = Vec::new();
    let (mut run, mut weight) = (0_usize, 1_usize);
    for &code in &selected {
        for _ in 0..GROUP {
            let symbol = tables[code].symbol(bits)?;
            // Runs of the first byte of the list, as numbers in base 2 with the digits 1 and 2.
            if symbol < 2 {
                run = run.saturating_add(weight << symbol);
                weight = weight.saturating_mul(2);
                if run > largest {
                    return Err("a block that is too large".into());
                }
                continue;
            }
            sorted.extend(std::iter::repeat_n(used[0], run));
            (run, weight) = (0, 1);
            if sorted.len() + usize::from(symbol + 1 < symbols) > largest {
                return Err("a block that is too large".into());
            }
            if symbol + 1 == symbols {
                return Ok(sorted);
            }
            used[..symbol].rotate_right(1);
            sorted.push(used[0]);
        }
    }
    Err("a block without an end".into())
}

/// The CRC-32 of bzip2, the highest bit first.
fn crc(bytes: &[u8]) -> u32 {
    let mut table = [0_u32; 256];
    for (byte, entry) in table.iter_mut().enumerate() {
        *entry = (0..8).fold((byte as u32) << 24, |rest, _| {
            if rest >> 31 == 1 { rest << 1 ^ 0x04c1_1db7 } else { rest << 1 }
        });
    }
    let next = |crc: u32, &byte: &u8| crc << 8 ^ table[usize::from((crc >> 24) as u8 ^ byte)];
    !bytes.iter().fold(u32::MAX, next)
}

#[cfg(test)]
mod tests {
    use super::decode;

    /// Written by Python's bz2, which is libbzip2: "abc" 40 times, then 300 zeros.
    const WRITTEN: &str = "425a68393141592653597548965d0000185100c000002038000008200030c002950c9bbdae547b04d133e2ee48a70a120ea912cba0";

    fn written() -> Vec<u8> {
        let digits = WRITTEN.as_bytes().chunks(2);
        digits.map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn what_libbzip2_writes_is_read() {
        let expected = [&b"abc".repeat(40)[..], &[0; 300]].concat();
        assert_eq!(decode(&written(), 1000).unwrap(), expected);
        assert_eq!(decode(&[written(), written()].concat(), 1000).unwrap(), expected.repeat(2));
        assert!(decode(&written(), 100).unwrap_err().contains("more than 100"));
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let whole = written();
        for cut in 0..whole.len() {
            decode(&whole[..cut], 1000).unwrap_err();
        }
        for bit in 32..8 * (whole.len() - 4) - 7 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // A code may be of no symbol that occurs.
            let found = decode(&bytes, 1000);
            assert!(found.is_err() || found == decode(&whole, 1000), "bit {bit}");
        }
    }
}
