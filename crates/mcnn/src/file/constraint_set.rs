//! What holds a policy, read without its network: for what asks only how far states are from memories. A file with a
//! network that is damaged, or of a backbone that is not known here, is read all the same.

use serde::Deserialize;
use std::path::Path;

use super::{CodebookHeader, broken, bundle::Bundle, fingerprint, load_codebook, parse, read};
use crate::{
    envelope::Envelope,
    error::{Error, Kind, Result},
    memory::Codebook,
    policy::TrainingRecord,
};

/// All of a policy's file but the network; or a file of memories, which have no envelope yet.
#[derive(Debug, Clone)]
pub struct ConstraintSet {
    /// The memories.
    pub codebook: Codebook,
    /// The envelope, of a policy.
    pub envelope: Option<Envelope>,
    /// Memories whose actions are averaged; 1 is the method.
    pub neighbors: usize,
    /// How the policy was trained.
    pub training: TrainingRecord,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Header {
    Memories { codebook: CodebookHeader },
    Policy { codebook: CodebookHeader, envelope: Envelope, neighbors: usize, training: TrainingRecord },
    Checkpoint {},
}

/// What holds a policy, from the bytes of a policy or of memories.
///
/// # Errors
/// If the bytes are neither, or what holds is not whole and consistent.
pub fn constraint_set_from_bytes(bytes: &[u8]) -> Result<ConstraintSet> {
    let (bundle, header) =
        Bundle::some_from_bytes(bytes, |name| name.starts_with("scale.") || name.starts_with("memory."))?;
    match parse(header)? {
        Header::Memories { codebook } => Ok(ConstraintSet {
            codebook: load_codebook(codebook, &bundle)?,
            envelope: None,
            neighbors: 1,
            training: TrainingRecord::default(),
        }),
        Header::Policy { codebook, envelope, neighbors, training } => {
            if let Some(fault) = envelope.fault() {
                return Err(broken(fault).at("envelope"));
            }
            let codebook = load_codebook(codebook, &bundle)?;
            Ok(ConstraintSet { codebook, envelope: Some(envelope), neighbors, training })
        }
        Header::Checkpoint {} => Err(Error::new(Kind::File, "a file of another kind")
            .expected("a policy, or memories")
            .found("a checkpoint of a training run")
            .next("`mcnn train --resume` goes on from it")),
    }
}

/// Reads what holds a policy; also answers with the file's fingerprint.
///
/// # Errors
/// If the file cannot be read, or as [`constraint_set_from_bytes`].
pub fn read_constraint_set(path: &Path) -> Result<(ConstraintSet, String)> {
    let bytes = read(path)?;
    let set = constraint_set_from_bytes(&bytes).map_err(|e| e.within(path.display()))?;
    Ok((set, fingerprint(&bytes)))
}
