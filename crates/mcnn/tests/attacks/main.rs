//! Hostile files against every reader of the library. What must hold: an error that names the file, or a value that is
//! whole and can be used; never a panic, a hang, or memory beyond the readers' stated limits.
//!
//! Each test starts itself again in a process of limited memory and watches it. What a failing attack read is kept
//! (the message says where): put it into `corpus/`, named `reader-what.bin`, and it is tried for ever.
//! `MCNN_ATTACKS=100000` sets the rounds of seeded random damage for each file (100 if not set).

mod arrays;
mod demonstrations;
mod fenced;
mod ours;
mod readers;
mod special;

use std::path::Path;

use fenced::{Attacks, fenced};
use mcnn::seed::Seed;

/// The damage that needs no knowledge of a format: cut short, numbers of 4 and of 8 bytes replaced by extremes, and bytes
/// replaced at random; as many of each as there are rounds. Half of it falls into the first bytes, where headers are.
fn blind(attacks: &mut Attacks, reader: &str, what: &str, whole: &[u8], header: usize) {
    let header = header.min(whole.len());
    let half = 1 + attacks.rounds / 2;
    let places: Vec<usize> = (0..whole.len())
        .step_by(whole.len().div_ceil(half))
        .chain((0..header).step_by(header.div_ceil(half)))
        .collect();
    for &cut in &places {
        attacks.file(reader, &format!("{what} cut to {cut} bytes"), &whole[..cut]);
    }
    let extremes = [u64::MAX, 0, u64::MAX >> 1, 1 << 61, 1 << 33];
    for (i, &at) in places.iter().enumerate() {
        for size in [4, 8] {
            let mut bytes = whole.to_vec();
            let end = (at + size).min(bytes.len());
            let number = extremes[i % extremes.len()].rotate_left(if size == 4 { 32 } else { 0 });
            bytes[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
            attacks.file(reader, &format!("{what}, {size} bytes of {number:x} at {at}"), &bytes);
        }
    }
    let mut rng = Seed(7).rng();
    for round in 0..attacks.rounds {
        let mut bytes = whole.to_vec();
        let near = if rng.below(2) == 0 { bytes.len() } else { header };
        for _ in 0..1 + rng.below(2) {
            let at = rng.below(near);
            bytes[at] = rng.below(256) as u8;
        }
        attacks.file(reader, &format!("{what}, random damage {round}"), &bytes);
    }
}

#[test]
fn what_once_failed() {
    fenced("what_once_failed", |attacks| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks/corpus");
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            let Some((reader, _)) = name.strip_suffix(".bin").and_then(|name| name.split_once('-')) else {
                continue;
            };
            attacks.file(reader, &name, &std::fs::read(entry.path()).unwrap());
        }
    });
}
