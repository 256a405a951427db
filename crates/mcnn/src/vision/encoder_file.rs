//! The file of an encoder: its tensors by the names of [`Conv::tensors`], and one metadata key, a JSON header.

use std::path::Path;

use safetensors::{Dtype, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{Conv, Design, Preset, tensors::Tensors};
use crate::{
    atomic,
    error::{Error, Kind, Result},
};

/// The one key of the metadata, as in all our files, and the version of this format.
pub(super) const KEY: &str = "mcnn";
const VERSION: u32 = 1;

/// The training objective of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Predict the demonstrated action from the embedding.
    Action,
    /// Predict the frame from its embedding, at a quarter of its height and width.
    Reconstruction,
}

/// The training settings of an encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The training objective.
    #[serde(rename = "by")]
    pub objective: Objective,
    /// Gradient steps taken.
    pub steps: u64,
    /// Frames of a mini-batch.
    pub batch: usize,
    /// The learning rate of the first step, which cosine decay reduces to 0.
    pub lr: f64,
    /// Random shift: the largest shift of a training frame, in pixels.
    pub augment: usize,
    /// The fraction of the episodes used for validation.
    #[serde(alias = "check_on")] // in files of version 1
    pub validation_fraction: f64,
    /// The seed of the run.
    pub seed: u64,
    /// Fingerprint (SHA-256) of the frames and actions.
    pub data: String,
}

/// The metadata of an encoder's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncoderInfo {
    /// The architecture.
    pub network: Design,
    /// The preprocessing of frames.
    pub preset: Preset,
    /// The training settings.
    pub training: Training,
}

#[derive(Serialize, Deserialize)]
struct Header<T> {
    kind: String,
    version: u32,
    #[serde(flatten)]
    rest: T,
}

#[derive(Deserialize)]
struct NoFields {}

impl EncoderInfo {
    /// The metadata of a file of weights; `None` if the file was not written by `mcnn`.
    ///
    /// # Errors
    /// A file of `mcnn` that is not an encoder, or is damaged.
    pub(super) fn of(tensors: &Tensors) -> Result<Option<Self>> {
        let Some(text) = tensors.metadata() else { return Ok(None) };
        let at = || tensors.path().display().to_string();
        let damaged = |e: serde_json::Error| {
            Error::new(Kind::File, "an encoder whose description cannot be read")
                .at(at())
                .found(e.to_string())
                .next("train it again, or use the version of mcnn that wrote it")
        };
        let header: Header<NoFields> = serde_json::from_str(text).map_err(damaged)?;
        if (header.kind.as_str(), header.version) != ("encoder", VERSION) {
            let short = |text: &str| text.chars().take(40).collect::<String>();
            return Err(Error::new(Kind::Mismatch, "a file of mcnn that is no encoder")
                .at(at())
                .expected(format!("an encoder, version {VERSION}"))
                .found(format!("{}, version {}", short(&header.kind), header.version))
                .next("mcnn encoder makes one"));
        }
        let info = serde_json::from_str::<Header<Self>>(text).map_err(damaged)?.rest;
        match info.network {
            Design::Conv(conv) if info.preset.output(conv.frame()) == conv.frame() => Ok(Some(info)),
            _ => Err(Error::new(Kind::File, "an encoder whose network and preset contradict each other")
                .at(at())
                .found(format!("{} and {}", info.network, info.preset))),
        }
    }
}

/// Writes an encoder. `arrays`: the values of the tensors of [`Conv::tensors`], in that order, row-major. Equal contents give
/// equal bytes. Returns the file's fingerprint (SHA-256).
///
/// # Errors
/// Those of the file system.
///
/// # Panics
/// If `info` names another network, or an array has another length than its tensor.
pub fn write_encoder(path: &Path, conv: Conv, info: &EncoderInfo, arrays: &[Vec<f32>]) -> Result<String> {
    assert_eq!(info.network, Design::Conv(conv));
    let tensors = conv.tensors();
    assert_eq!(tensors.len(), arrays.len(), "the tensors of {conv}");
    let bytes: Vec<Vec<u8>> =
        arrays.iter().map(|array| array.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape), bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("as many values as the shape has"))
    });
    let header = Header { kind: "encoder".into(), version: VERSION, rest: info };
    let text = serde_json::to_string(&header).expect("plain values");
    let file = safetensors::serialize(views, Some([(KEY.to_owned(), text)].into())).expect("shapes fit");
    atomic::write(path, &file)?;
    Ok(super::fingerprint(&file))
}
