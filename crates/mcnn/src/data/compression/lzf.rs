//! LZF, as h5py compresses with `compression="lzf"`: the format of Marc Lehmann's LibLZF (`lzf_d.c`), a chunk without a header.
//!
//! A control byte below 32 is followed by that many bytes plus one, copied as they are. Any other is a reference: its upper 3 bits
//! are the length minus 2 (7: the next byte is added), its lower 5 bits and one more byte the distance minus 1.

use super::{Decoded, within};

/// Decodes a chunk that expands to at most `most` bytes.
pub(in crate::data) fn decode(bytes: &[u8], most: usize) -> Decoded {
    const CUT: &str = "cut short";
    let mut decoded: Vec<u8> = Vec::with_capacity(most.min(bytes.len().saturating_mul(4)));
    let mut at = 0;
    let mut take = |count: usize| {
        let taken = bytes.get(at..at + count).ok_or(CUT)?;
        at += count;
        Ok::<&[u8], String>(taken)
    };
    while let Ok(&[control]) = take(1) {
        if control < 32 {
            decoded.extend_from_slice(take(usize::from(control) + 1)?);
        } else {
            let mut length = usize::from(control >> 5) + 2;
            if length == 9 {
                length += usize::from(take(1)?[0]);
            }
            let distance = (usize::from(control & 31) << 8 | usize::from(take(1)?[0])) + 1;
            let start = decoded.len().checked_sub(distance).ok_or("a reference before the start")?;
            // It may overlap with what it writes.
            (start..start + length).for_each(|i| decoded.push(decoded[i]));
        }
        if decoded.len() > most {
            break;
        }
    }
    within(decoded, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_references_by_hand() {
        // "abc", then 6 bytes from a distance of 3, then 264 + 2 of the last one.
        let bytes = [2, b'a', b'b', b'c', 4 << 5, 2, 7 << 5, 255, 0, 0, b'!'];
        let decoded = decode(&bytes, 1000).unwrap();
        assert_eq!(&decoded[..9], b"abcabcabc");
        assert!(decoded[9..9 + 264].iter().all(|&b| b == b'c'));
        assert_eq!(decoded[9 + 264..], *b"!");
        assert!(decode(&[], 0).unwrap().is_empty());
    }

    #[test]
    fn what_is_damaged_is_refused() {
        assert!(decode(&[5, 1, 2], 100).unwrap_err().contains("cut short"));
        assert!(decode(&[0, 1, 1 << 5], 100).unwrap_err().contains("cut short"));
        assert!(decode(&[0, 1, 1 << 5, 1], 100).unwrap_err().contains("before the start"));
        assert!(decode(&[0, 1, 7 << 5, 255, 0], 100).unwrap_err().contains("more than 100"));
    }
}
