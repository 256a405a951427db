//! Small numbers as Parquet packs them: runs of one value, and groups of eight values of a few bits each. Levels and indices into
//! dictionaries are stored so.

use super::damaged;
use crate::error::Result;

/// The runs of such numbers.
pub(super) struct Hybrid<'a> {
    left: &'a [u8],
    width: u32,
}

/// Numbers that follow each other.
pub(super) enum Run<'a> {
    Same {
        value: u32,
        n: usize,
    },
    /// Bits, from the lowest of the first byte on.
    Packed {
        bytes: &'a [u8],
        n: usize,
    },
}

impl<'a> Hybrid<'a> {
    /// Numbers of `width` bits, up to 32.
    pub fn new(bytes: &'a [u8], width: u32) -> Result<Self> {
        if width > 32 {
            return Err(damaged("numbers of more than 32 bits where small ones are"));
        }
        Ok(Self { left: bytes, width })
    }

    /// The next run, cut to `most` numbers.
    fn next(&mut self, most: usize) -> Result<Run<'a>> {
        if self.width == 0 {
            return Ok(Run::Same { value: 0, n: most });
        }
        let head = varint(&mut self.left)?;
        let n = usize::try_from(head >> 1).unwrap_or(usize::MAX);
        if head & 1 == 0 {
            let size = self.width.div_ceil(8) as usize;
            let mut value = [0; 4];
            value[..size].copy_from_slice(take(&mut self.left, size)?);
            let value = u32::from_le_bytes(value);
            if n == 0 || u64::from(value) >> self.width != 0 {
                return Err(damaged("a run of no numbers, or of one that is too large"));
            }
            return Ok(Run::Same { value, n: n.min(most) });
        }
        let n = n.saturating_mul(8).min(most);
        let size = (n as u64 * u64::from(self.width)).div_ceil(8);
        let bytes = take(&mut self.left, usize::try_from(size).unwrap_or(usize::MAX))?;
        if n == 0 {
            return Err(damaged("a run of no numbers"));
        }
        // The last group of a page may be cut after its last number; that of another run is whole.
        let whole = (head >> 1).saturating_mul(u64::from(self.width));
        let rest = usize::try_from(whole.saturating_sub(size)).unwrap_or(usize::MAX).min(self.left.len());
        self.left = &self.left[rest..];
        Ok(Run::Packed { bytes, n })
    }

    /// Gives the runs of `n` numbers.
    pub fn runs(&mut self, mut n: usize, mut each: impl FnMut(Run<'a>) -> Result<()>) -> Result<()> {
        while n > 0 {
            let run = self.next(n)?;
            let (Run::Same { n: length, .. } | Run::Packed { n: length, .. }) = run;
            each(run)?;
            n -= length;
        }
        Ok(())
    }
}

/// Gives `n` packed numbers of `width` bits. The bytes have that many.
pub(super) fn unpack(bytes: &[u8], width: u32, n: usize, mut each: impl FnMut(u32)) {
    let mask = (1_u64 << width) - 1;
    let width = width as usize;
    for i in 0..n {
        let bit = i * width;
        let at = &bytes[bit / 8..];
        // 7 bits and a number of 32 fit into 8 bytes.
        let word = at.first_chunk::<8>().map_or_else(
            || at.iter().take(8).rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
            |chunk| u64::from_le_bytes(*chunk),
        );
        each((word >> (bit % 8) & mask) as u32);
    }
}

/// Levels of `n` values.
pub(super) enum Levels {
    Same(u8),
    Each(Vec<u8>),
}

impl Levels {
    /// Reads `n` levels up to `most`.
    pub fn read(bytes: &[u8], most: u32, n: usize) -> Result<Self> {
        let width = u32::BITS - most.leading_zeros();
        let mut runs = Hybrid::new(bytes, width)?;
        let mut levels: Vec<u8> = Vec::new();
        let mut same = None;
        runs.runs(n, |run| {
            match run {
                Run::Same { value, n: all } if all == n => same = Some(value as u8),
                Run::Same { value, n } => levels.resize(levels.len() + n, value as u8),
                Run::Packed { bytes, n } if width == 1 => {
                    let whole = n / 8;
                    levels.extend(
                        bytes[..whole].iter().flat_map(|b| [0, 1, 2, 3, 4, 5, 6, 7].map(|i| b >> i & 1)),
                    );
                    levels.extend((0..n % 8).map(|i| bytes[whole] >> i & 1));
                }
                Run::Packed { bytes, n } => unpack(bytes, width, n, |level| levels.push(level as u8)),
            }
            Ok(())
        })?;
        if levels.iter().chain(&same).any(|&level| u32::from(level) > most) {
            return Err(damaged("a level beyond the schema's"));
        }
        Ok(same.map_or(Self::Each(levels), Self::Same))
    }

    /// The number of levels that are `level`, of `n`.
    pub fn count(&self, level: u32, n: usize) -> usize {
        match self {
            Self::Same(same) => {
                if u32::from(*same) == level {
                    n
                } else {
                    0
                }
            }
            Self::Each(levels) => levels.iter().filter(|&&l| u32::from(l) == level).count(),
        }
    }

    /// The first level after `i` that starts a row, of `n` repetition levels, or `n`.
    pub fn next_row(&self, i: usize, n: usize) -> usize {
        match self {
            Self::Same(0) => i + 1,
            Self::Same(_) => n,
            Self::Each(levels) => {
                levels[i + 1..].iter().position(|&level| level == 0).map_or(n, |k| i + 1 + k)
            }
        }
    }

    pub fn at(&self, i: usize) -> u32 {
        match self {
            Self::Same(same) => u32::from(*same),
            Self::Each(levels) => u32::from(levels[i]),
        }
    }
}

pub(super) fn varint(left: &mut &[u8]) -> Result<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(left, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(damaged("a number of more than 64 bits"))
}

pub(super) fn take<'a>(left: &mut &'a [u8], n: usize) -> Result<&'a [u8]> {
    let (taken, rest) = left.split_at_checked(n).ok_or_else(|| damaged("a page that is cut"))?;
    *left = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Parquet's specification of its encodings: 0 to 7 in three bits each.
    #[test]
    fn packed_numbers_are_those_of_the_specification() {
        let mut found = Vec::new();
        unpack(&[0b1000_1000, 0b1100_0110, 0b1111_1010], 3, 8, |v| found.push(v));
        assert_eq!(found, [0, 1, 2, 3, 4, 5, 6, 7]);
        for width in 1..=32 {
            let values: Vec<u32> =
                (0..24_u32).map(|i| i.wrapping_mul(2_654_435_761) >> (32 - width)).collect();
            let mut bits = vec![false; 24 * width];
            for (i, v) in values.iter().enumerate() {
                (0..width).for_each(|bit| bits[i * width + bit] = v >> bit & 1 == 1);
            }
            let bytes: Vec<u8> =
                bits.chunks(8).map(|c| c.iter().rev().fold(0, |b, &bit| b << 1 | u8::from(bit))).collect();
            let mut found = Vec::new();
            unpack(&bytes, width as u32, 24, |v| found.push(v));
            assert_eq!(found, values, "{width}");
        }
    }

    #[test]
    fn runs_follow_each_other_and_lies_are_refused() {
        // Three times 2; eight of 0, 1, 2, 3, 0, 1, 2, 3.
        let bytes = [6, 2, 3, 0b1110_0100, 0b1110_0100];
        let Levels::Each(levels) = Levels::read(&bytes, 3, 11).unwrap() else { panic!() };
        assert_eq!(levels, [2, 2, 2, 0, 1, 2, 3, 0, 1, 2, 3]);
        assert!(matches!(Levels::read(&bytes, 3, 3).unwrap(), Levels::Same(2)));
        assert!(matches!(Levels::read(&[], 0, 5).unwrap(), Levels::Same(0)));
        for (bytes, most) in [(&bytes[..4], 3), (&bytes[..], 2), (&[0, 1], 1), (&[], 1), (&[1], 1)] {
            assert!(Levels::read(bytes, most, 11).is_err(), "{bytes:?}");
        }
    }
}
