//! The content hash of demonstrations.

use sha2::{Digest, Sha256};

/// The content hash of widths, episode ends, states and actions.
pub(super) struct ContentHash(Sha256);

impl ContentHash {
    /// `widths`: those of an observation and of an action.
    pub fn new(widths: &[usize], ends: &[usize]) -> Self {
        let mut hash = Sha256::new();
        for n in widths.iter().chain([&ends.len()]).chain(ends) {
            hash.update((*n as u64).to_le_bytes());
        }
        Self(hash)
    }

    /// Adds values. In pieces: a buffer of bytes as large as the data would double their memory.
    pub fn add(&mut self, values: &[f32]) {
        const PIECE: usize = 4096;
        let mut bytes = [0; 4 * PIECE];
        for piece in values.chunks(PIECE) {
            let to = bytes.as_chunks_mut::<4>().0;
            to.iter_mut().zip(piece).for_each(|(to, v)| *to = v.to_le_bytes());
            self.0.update(&bytes[..4 * piece.len()]);
        }
    }

    /// The hash as hexadecimal.
    pub fn finish(self) -> String {
        self.0.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}
