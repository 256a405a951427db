//! Files of mcnn: codebooks, policies and checkpoints, as safetensors. Everything that is not an array is in one JSON text in
//! the metadata, the header, so that equal contents give equal bytes. Reading executes no code and validates everything.
//!
//! Only regular files are read, once and from beginning to end, each array straight into its place: reading takes the memory of the
//! arrays, and saving a copy of the networks and of small arrays, but none of the memories' states and actions. Files are not mapped: a reader checks all values and hashes all bytes, and a
//! mapped file that another process truncates ends the process instead of being an error. The header has at most 4 MiB, and parsing
//! it takes at most about 1 GiB. The optimizer state of a checkpoint is compared with its network when a run is resumed
//! ([`crate::train::Run::resume`]).

mod bundle;
mod codebook;
mod constraint_set;
mod networks;
mod records;
mod version;

pub use constraint_set::{ConstraintSet, constraint_set_from_bytes, read_constraint_set};
pub use version::upgrade_names;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

use crate::{
    atomic,
    backbone::{Architecture, BackboneKind, Network},
    data::regular,
    envelope::Envelope,
    error::{Error, Kind, Result},
    memory::Codebook,
    optimizer::Moments,
    policy::{ActingSettings, Combine, ConstrainAt, Policy, TrainingRecord},
    train::{Checkpoint, Keep, LearnerState, Lowest, TrainSettings},
};
use bundle::{Array, Bundle, hexadecimal};
use codebook::{CodebookHeader, load_codebook, save_codebook};
use networks::{load_calibration, load_members, load_network, of_member, save_calibration, save_network};
use version::VERSION;

/// The header of a file.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Header {
    Memories {
        version: u32,
        codebook: CodebookHeader,
    },
    Policy {
        version: u32,
        codebook: CodebookHeader,
        envelope: Envelope,
        neighbors: usize,
        // Missing in older files: at every denoising step.
        #[serde(default)]
        constrain_at: ConstrainAt,
        // Missing unless it was changed after training.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retrieved: Option<usize>,
        // Missing in older files, which have one network or none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        members: Option<MembersHeader>,
        // The default if the policy has no network. Missing in the first files of version 1, which have a perceptron.
        #[serde(default)]
        backbone: Architecture,
        training: TrainingRecord,
    },
    Checkpoint {
        version: u32,
        step: u64,
        settings: TrainSettings,
        data: String,
        // Content hash. Missing in earlier files.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        codebook: Option<String>,
        checksum: String, // of all arrays
        // Missing where no validation loss was measured, and in earlier files.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lowest: Option<LowestHeader>,
    },
}

/// The networks of an ensemble.
#[derive(Serialize, Deserialize)]
struct MembersHeader {
    count: usize,
    combine: Combine,
}

/// The lowest validation loss of a run; as text, which keeps every digit.
#[derive(Serialize, Deserialize)]
struct LowestHeader {
    step: u64,
    loss: String,
}

/// The fingerprint of a file: the SHA-256 of its bytes, in hexadecimal.
pub fn fingerprint(bytes: &[u8]) -> String {
    hexadecimal(Sha256::new_with_prefix(bytes))
}

/// Serializes a codebook.
pub fn codebook_to_bytes(codebook: &Codebook) -> Vec<u8> {
    let (bundle, header) = save_memories(codebook);
    bundle.to_bytes(&header)
}

/// The arrays of a file of memories, and its header.
fn save_memories(codebook: &Codebook) -> (Bundle<'_>, String) {
    let mut bundle = Bundle::default();
    let header = Header::Memories { version: VERSION, codebook: save_codebook(codebook, &mut bundle) };
    (bundle, to_json(&header))
}

/// Deserializes a codebook.
///
/// # Errors
/// If the bytes are not a valid codebook of mcnn.
pub fn codebook_from_bytes(bytes: &[u8]) -> Result<Codebook> {
    load_memories(&mut &*bytes, bytes.len() as u64)
}

fn load_memories(input: &mut dyn Read, length: u64) -> Result<Codebook> {
    let (mut bundle, header) = open(input, length)?;
    match header {
        Header::Memories { codebook, .. } => load_codebook(codebook, &mut bundle),
        other => Err(wrong_kind("memories", &other)),
    }
}

/// Serializes a policy.
pub fn policy_to_bytes(policy: &Policy) -> Vec<u8> {
    let (bundle, header) = save_policy(policy);
    bundle.to_bytes(&header)
}

/// The arrays of a policy's file, and its header.
fn save_policy(policy: &Policy) -> (Bundle<'_>, String) {
    let mut bundle = Bundle::default();
    let codebook = save_codebook(policy.codebook(), &mut bundle);
    for (member, network) in policy.members().iter().enumerate() {
        save_network(&of_member("network", member), network, &mut bundle);
    }
    if let Some(calibration) = policy.calibration() {
        save_calibration(calibration, &mut bundle);
    }
    for (name, (shape, numbers)) in policy.encoder().into_iter().flat_map(|arrays| arrays.iter()) {
        bundle.put(&format!("encoder.{name}"), shape.clone(), Array::F32(numbers.into()));
    }
    let acting = policy.acting_settings();
    let header = Header::Policy {
        version: VERSION,
        codebook,
        envelope: policy.envelope(),
        neighbors: policy.neighbors(),
        constrain_at: acting.constrain_at,
        retrieved: acting.retrieved,
        members: (policy.members().len() > 1)
            .then(|| MembersHeader { count: policy.members().len(), combine: acting.combine }),
        backbone: policy.backbone().map_or_else(Architecture::default, Network::architecture),
        training: policy.training_record().clone(),
    };
    (bundle, to_json(&header))
}

/// Deserializes a policy.
///
/// # Errors
/// If the bytes are not a valid policy of mcnn.
pub fn policy_from_bytes(bytes: &[u8]) -> Result<Policy> {
    load_policy(&mut &*bytes, bytes.len() as u64)
}

fn load_policy(input: &mut dyn Read, length: u64) -> Result<Policy> {
    let (mut bundle, header) = open(input, length)?;
    match header {
        Header::Policy {
            codebook,
            envelope,
            neighbors,
            constrain_at,
            retrieved,
            members,
            backbone,
            training,
            ..
        } => {
            let codebook = load_codebook(codebook, &mut bundle)?;
            let MembersHeader { count, combine } =
                members.unwrap_or(MembersHeader { count: 1, combine: Combine::default() });
            let networks = load_members("network", count, &backbone, &bundle)?;
            let calibration = load_calibration(&mut bundle)?;
            let encoder = bundle.f32s("encoder.");
            if !encoder.is_empty() && codebook.parts().encoding.is_none() {
                return Err(
                    broken("the policy has an encoder, but its memories are not embeddings").at("encoder")
                );
            }
            let encoder = Some(Arc::new(encoder)).filter(|arrays| !arrays.is_empty());
            let acting = ActingSettings { envelope, neighbors, constrain_at, combine, retrieved };
            let policy = Policy::ensemble(codebook, networks, acting)?;
            Ok(policy.with_calibration(calibration).with_encoder(encoder).with_training_record(training))
        }
        other => Err(wrong_kind("a policy", &other)),
    }
}

/// Serializes a checkpoint.
pub fn checkpoint_to_bytes(checkpoint: &Checkpoint) -> Vec<u8> {
    let (bundle, header) = save_checkpoint(checkpoint);
    bundle.to_bytes(&header)
}

/// The arrays of a checkpoint's file, and its header.
fn save_checkpoint(checkpoint: &Checkpoint) -> (Bundle<'_>, String) {
    let mut bundle = Bundle::default();
    for (member, LearnerState { network, ema, moments }) in checkpoint.members.iter().enumerate() {
        save_network(&of_member("network", member), network, &mut bundle);
        if let Some(ema) = ema {
            save_network(&of_member("ema", member), ema, &mut bundle);
        }
        for (name, values) in [("mean", &moments.mean), ("square", &moments.square)] {
            let name = format!("{}.{name}", of_member("moments", member));
            bundle.put(&name, vec![values.len()], Array::F32(values.into()));
        }
    }
    let lowest = checkpoint.lowest.as_ref().map(|Lowest { step, loss, networks }| {
        for (member, network) in networks.iter().enumerate() {
            save_network(&of_member("lowest", member), network, &mut bundle);
        }
        LowestHeader { step: *step, loss: loss.to_string() }
    });
    let header = Header::Checkpoint {
        version: VERSION,
        step: checkpoint.step,
        settings: checkpoint.settings.clone(),
        data: checkpoint.data.clone(),
        codebook: checkpoint.codebook.clone(),
        checksum: bundle.checksum(),
        lowest,
    };
    (bundle, to_json(&header))
}

/// Deserializes a checkpoint.
///
/// # Errors
/// If the bytes are not a valid checkpoint of mcnn.
pub fn checkpoint_from_bytes(bytes: &[u8]) -> Result<Checkpoint> {
    load_checkpoint(&mut &*bytes, bytes.len() as u64)
}

fn load_checkpoint(input: &mut dyn Read, length: u64) -> Result<Checkpoint> {
    let (mut bundle, header) = open(input, length)?;
    match header {
        Header::Checkpoint { step, settings, data, codebook, checksum, lowest, .. } => {
            // Without a checksum a damaged weight could not be detected: it would be a valid number.
            if bundle.checksum() != checksum {
                return Err(broken("the checksum of the checkpoint's arrays does not match"));
            }
            let backbone = &settings.backbone;
            let networks = load_members("network", settings.members, backbone, &bundle)?;
            if networks.is_empty() {
                return Err(broken("the checkpoint has no network"));
            }
            let load = |(member, network)| -> Result<LearnerState> {
                let ema = load_network(&of_member("ema", member), backbone, &bundle)?;
                let name = of_member("moments", member);
                let [mean, square] =
                    ["mean", "square"].map(|part| bundle.take_f32(&format!("{name}.{part}"), 1));
                let moments = Moments { mean: mean?.1, square: square?.1 };
                moments.validate(moments.mean.len(), step).map_err(|fault| broken(fault).at(name))?;
                Ok(LearnerState { network, ema, moments })
            };
            let members = networks.into_iter().enumerate().map(load).collect::<Result<_>>()?;
            let lowest = lowest.map(|header| load_lowest(header, &settings, step, &bundle)).transpose()?;
            Ok(Checkpoint { step, settings, data, codebook, members, lowest })
        }
        other => Err(wrong_kind("a checkpoint", &other)),
    }
}

/// The lowest validation loss of a checkpoint after `step` steps, with its networks if the run keeps them.
fn load_lowest(header: LowestHeader, settings: &TrainSettings, step: u64, bundle: &Bundle) -> Result<Lowest> {
    let loss = header.loss.parse().ok().filter(|loss: &f64| loss.is_finite());
    let (Some(loss), true) = (loss, header.step <= step) else {
        return Err(broken("the lowest validation loss is invalid")
            .at("lowest")
            .found(format!("{} at step {}", header.loss, header.step)));
    };
    let networks = match settings.keep {
        Keep::Last => Vec::new(),
        Keep::Best => load_members("lowest", settings.members, &settings.backbone, bundle)?,
    };
    if settings.keep == Keep::Best && networks.is_empty() {
        return Err(broken("the network with the lowest validation loss is missing").at("lowest"));
    }
    Ok(Lowest { step: header.step, loss, networks })
}

/// Reads a codebook.
///
/// # Errors
/// If the file cannot be read or is not a valid codebook of mcnn.
pub fn read_codebook(path: &Path) -> Result<Codebook> {
    read(path, load_memories)
}

/// Reads a policy. Returns it with the fingerprint of the file.
///
/// # Errors
/// If the file cannot be read or is not a valid policy of mcnn.
pub fn read_policy(path: &Path) -> Result<(Policy, String)> {
    read_with_fingerprint(path, load_policy)
}

/// Reads a checkpoint.
///
/// # Errors
/// If the file cannot be read or is not a valid checkpoint of mcnn.
pub fn read_checkpoint(path: &Path) -> Result<Checkpoint> {
    read(path, load_checkpoint)
}

/// Writes a codebook atomically. Returns the fingerprint of the file.
///
/// # Errors
/// If the file cannot be written.
pub fn write_codebook(path: &Path, codebook: &Codebook) -> Result<String> {
    write(path, save_memories(codebook))
}

/// Writes a policy atomically. Returns the fingerprint of the file.
///
/// # Errors
/// If the file cannot be written.
pub fn write_policy(path: &Path, policy: &Policy) -> Result<String> {
    write(path, save_policy(policy))
}

/// Writes a checkpoint atomically.
///
/// # Errors
/// If the file cannot be written.
pub fn write_checkpoint(path: &Path, checkpoint: &Checkpoint) -> Result<()> {
    write(path, save_checkpoint(checkpoint)).map(drop)
}

/// Reads a file with `load`, which is given the file and its length.
fn read<T>(path: &Path, load: impl FnOnce(&mut dyn Read, u64) -> Result<T>) -> Result<T> {
    regular(path)?;
    let io = |e: &io::Error| Error::io("reading", path, e);
    let mut file = File::open(path).map_err(|e| io(&e))?;
    let length = file.metadata().map_err(|e| io(&e))?.len();
    load(&mut file, length).map_err(|e| e.within(path.display()))
}

/// The same, with the fingerprint of the file.
fn read_with_fingerprint<T>(
    path: &Path,
    load: impl FnOnce(&mut dyn Read, u64) -> Result<T>,
) -> Result<(T, String)> {
    read(path, |file, length| {
        let mut hashed = Hashed { inner: file, hash: Sha256::new() };
        let loaded = load(&mut hashed, length)?;
        Ok((loaded, hexadecimal(hashed.hash)))
    })
}

/// Writes arrays and header atomically. Returns the fingerprint of the file.
fn write(path: &Path, (bundle, header): (Bundle, String)) -> Result<String> {
    let mut hash = Sha256::new();
    atomic::write_by(path, |file| {
        let mut hashed = Hashed { inner: file, hash: Sha256::new() };
        bundle.write_to(&header, &mut hashed)?;
        hash = hashed.hash;
        Ok(())
    })?;
    Ok(hexadecimal(hash))
}

/// Hashes what is read from a file, or written to it.
struct Hashed<F> {
    inner: F,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        self.hash.update(&into[..n]);
        Ok(n)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn to_json(header: &Header) -> String {
    serde_json::to_string(header).expect("headers are plain values")
}

fn open(input: &mut dyn Read, length: u64) -> Result<(Bundle<'static>, Header)> {
    let (bundle, header) = Bundle::read(input, length)?;
    check_backbone(&header)?;
    Ok((bundle, parse(header)?))
}

/// Converts a header to a type.
fn parse<T: serde::de::DeserializeOwned>(header: serde_json::Value) -> Result<T> {
    serde_json::from_value(header)
        .map_err(|e| broken("the header of the file is invalid").found(e.to_string()))
}

const DAMAGED: &str = "the file is damaged or was not written by mcnn: create it again";

fn broken(what: &str) -> Error {
    Error::new(Kind::File, what).next(DAMAGED)
}

fn wrong_kind(expected: &str, header: &Header) -> Error {
    let (found, next) = match header {
        Header::Memories { .. } => ("memories", "`mcnn train` makes a policy from them"),
        Header::Policy { .. } => ("a policy", "`mcnn learn` writes memories"),
        Header::Checkpoint { .. } => ("a checkpoint of a training run", "`mcnn train --resume` resumes it"),
    };
    Error::new(Kind::File, "the file is of another kind").expected(expected).found(found).next(next)
}

/// Refuses a header with an unknown backbone.
fn check_backbone(header: &serde_json::Value) -> Result<()> {
    let named = [&header["backbone"], &header["settings"]["backbone"]].into_iter().find(|v| !v.is_null());
    let name = match named {
        Some(serde_json::Value::String(name)) => name,
        Some(serde_json::Value::Object(map)) if map.len() == 1 => map.keys().next().expect("one key"),
        _ => return Ok(()),
    };
    if BackboneKind::named(name).is_some() {
        return Ok(());
    }
    Err(Error::new(Kind::File, "the file has an unknown backbone")
        .expected(BackboneKind::names().collect::<Vec<_>>().join(" or "))
        .found(name.clone())
        .next("use the version of mcnn that wrote it"))
}

#[cfg(test)]
mod tests;
