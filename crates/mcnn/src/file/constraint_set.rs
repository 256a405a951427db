//! The constraint set of a policy: its memories and envelope, read without its network. Certificates need nothing else, and a
//! file with a damaged network or an unknown backbone can still be read.

use serde::Deserialize;
use std::{io::Read, path::Path};

use super::{
    CodebookHeader, broken, bundle::Bundle, load_codebook, networks::load_calibration, parse,
    read_with_fingerprint,
};
use crate::{
    calibration::OodCalibration,
    envelope::Envelope,
    error::{Error, Kind, Result},
    memory::Codebook,
    policy::TrainingRecord,
};

/// The contents of a policy's file except the network, or of a file of memories, which has no envelope.
#[derive(Debug, Clone)]
pub struct ConstraintSet {
    /// The memories.
    pub codebook: Codebook,
    /// The envelope; `None` for memories.
    pub envelope: Option<Envelope>,
    /// Memories averaged into the memory action; above 1 for VINN.
    pub neighbors: usize,
    /// How the policy was trained; empty for memories.
    pub training: TrainingRecord,
    /// The OOD calibration; `None` for memories, and where the policy has none.
    pub calibration: Option<OodCalibration>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Header {
    Memories { codebook: CodebookHeader },
    Policy { codebook: CodebookHeader, envelope: Envelope, neighbors: usize, training: TrainingRecord },
    Checkpoint {},
}

/// Deserializes the constraint set from the bytes of a policy or of memories.
///
/// # Errors
/// If the bytes are neither, or the memories or the envelope are invalid.
pub fn constraint_set_from_bytes(bytes: &[u8]) -> Result<ConstraintSet> {
    load(&mut &*bytes, bytes.len() as u64)
}

fn load(input: &mut dyn Read, length: u64) -> Result<ConstraintSet> {
    let of_memories = |name: &str| {
        ["scale.", "memory.", "records.", "calibration."].iter().any(|prefix| name.starts_with(prefix))
    };
    let (mut bundle, header) = Bundle::read_some(input, length, of_memories)?;
    match parse(header)? {
        Header::Memories { codebook } => Ok(ConstraintSet {
            codebook: load_codebook(codebook, &mut bundle)?,
            envelope: None,
            neighbors: 1,
            training: TrainingRecord::default(),
            calibration: None,
        }),
        Header::Policy { codebook, envelope, neighbors, training } => {
            if let Err(fault) = envelope.validate() {
                return Err(broken(fault).at("envelope"));
            }
            let codebook = load_codebook(codebook, &mut bundle)?;
            let calibration = load_calibration(&mut bundle)?;
            Ok(ConstraintSet { codebook, envelope: Some(envelope), neighbors, training, calibration })
        }
        Header::Checkpoint {} => Err(Error::new(Kind::File, "the file is of another kind")
            .expected("a policy, or memories")
            .found("a checkpoint of a training run")
            .next("`mcnn train --resume` resumes it")),
    }
}

/// Reads a constraint set. Returns it with the fingerprint of the file.
///
/// # Errors
/// If the file cannot be read, or those of [`constraint_set_from_bytes`].
pub fn read_constraint_set(path: &Path) -> Result<(ConstraintSet, String)> {
    read_with_fingerprint(path, load)
}
