//! Damaged and malicious files against every reader of the library. A reader must return an error that names the file, or a
//! valid value that can be used; it must never panic, hang or exceed its memory limit.
//!
//! Each test runs in a process of its own with limited memory. If an attack fails, its file is kept, and the message names it:
//! add it to `corpus/` as `reader-what.bin`, and the test `previous_failures` reads it from then on. `MCNN_ATTACKS=100000` sets
//! the rounds of random damage per file (default: 100).

mod arrays;
mod columns;
mod demonstrations;
mod folders;
mod limited_process;
mod mcnn_files;
mod readers;
mod recordings;
mod special;
mod stores;

use std::path::Path;

use limited_process::{Attacks, in_limited_process};
use mcnn::seed::Seed;

/// Damage independent of the format: truncation, 4 and 8 bytes replaced by extreme values, and random bytes; one of each per
/// round. Half of it is in the first `header` bytes.
fn random_damage(attacks: &mut Attacks, reader: &str, what: &str, whole: &[u8], header: usize) {
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
fn previous_failures() {
    in_limited_process("previous_failures", |attacks| {
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
