//! Snappy's raw format (google/snappy, `format_description.txt`): the length, then literals and references.

use super::Decoded;

/// Decodes a block that expands to at most `most` bytes.
pub(super) fn decode(bytes: &[u8], most: usize) -> Decoded {
    const CUT: &str = "cut short";
    let mut at = 0;
    let mut take = |count: usize| {
        let taken = bytes.get(at..).and_then(|rest| rest.get(..count)).ok_or(CUT)?;
        at += count;
        Ok::<&[u8], String>(taken)
    };
    let mut total = 0_u64;
    for k in 0..5 {
        let byte = take(1)?[0];
        total |= u64::from(byte & 127) << (7 * k);
        if byte < 128 {
            break;
        }
    }
    if total > most as u64 {
        return Err(format!("more than {most} bytes"));
    }
    let total = total as usize;
    // A reference of two bytes stands for 64 at most.
    let mut decoded: Vec<u8> = Vec::with_capacity(total.min(bytes.len().saturating_mul(64)));
    let little = |bytes: &[u8]| bytes.iter().rev().fold(0_usize, |n, &b| n << 8 | usize::from(b));
    while decoded.len() < total {
        let tag = usize::from(take(1)?[0]);
        let upper = tag >> 2;
        if tag & 3 == 0 {
            let length = 1 + if upper < 60 { upper } else { little(take(upper - 59)?) };
            if length > total - decoded.len() {
                return Err(format!("more than {total} bytes"));
            }
            decoded.extend_from_slice(take(length)?);
            continue;
        }
        let (length, distance) = match tag & 3 {
            1 => (4 + (upper & 7), tag >> 5 << 8 | little(take(1)?)),
            2 => (1 + upper, little(take(2)?)),
            _ => (1 + upper, little(take(4)?)),
        };
        let start = decoded.len().checked_sub(distance).filter(|_| distance > 0);
        let start = start.ok_or("a reference before the start")?;
        if length > total - decoded.len() {
            return Err(format!("more than {total} bytes"));
        }
        // It may overlap with what it writes.
        (start..start + length).for_each(|i| decoded.push(decoded[i]));
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn literals_and_references_by_hand() {
        // 15 bytes: "ab", then 5 bytes from a distance of 2, 3 from 7 and 5 from 1.
        let bytes = [15, 1 << 2, b'a', b'b', 1 << 2 | 1, 2, 2 << 2 | 2, 7, 0, 4 << 2 | 3, 1, 0, 0, 0];
        assert_eq!(decode(&bytes, 15).unwrap(), b"abababaabaaaaaa");
        // A literal of 61 bytes has its length in a byte.
        let long = [&[61, 60 << 2, 60][..], &[7; 61]].concat();
        assert_eq!(decode(&long, 100).unwrap(), [7; 61]);
        assert!(decode(&[0], 0).unwrap().is_empty());
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let whole = [15, 1 << 2, b'a', b'b', 1 << 2 | 1, 2, 2 << 2 | 2, 7, 0, 4 << 2 | 3, 1, 0, 0, 0];
        for cut in 0..whole.len() {
            decode(&whole[..cut], 100).unwrap_err();
        }
        assert!(decode(&whole, 14).unwrap_err().contains("more than 14"));
        assert!(decode(&[255, 255, 255, 255, 15, 0, 1], 1 << 20).unwrap_err().contains("more than"));
        assert!(decode(&[9, 0, b'a', 1, 2], 100).unwrap_err().contains("before the start"));
        assert!(decode(&[9, 0, b'a', 1, 0], 100).unwrap_err().contains("before the start"));
        assert!(decode(&[3, 0, b'a', 1, 1], 100).unwrap_err().contains("more than 3"));
    }
}
