//! What defines the space of embeddings, stored with them.

use serde::{Deserialize, Serialize};

use super::{frames::Preset, network::Design, source::Source};
use crate::error::{Error, Kind, Result};

/// What defines the space of embeddings: embeddings can be compared only if these are equal. Stored with them, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoding {
    /// The network.
    pub network: Design,
    /// The SHA-256 of the file of weights, or `random:SEED`.
    pub weights: String,
    /// The preprocessing of frames.
    pub preset: Preset,
    /// Height and width of the recorded frames, if all have one size that is known before they are read. Missing in embeddings
    /// of early versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// The cameras whose embeddings are side by side, in order; empty for one camera, whose size is `size`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cameras: Vec<EncodedCamera>,
    /// The states that follow the embeddings, if they are joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<JoinedState>,
}

/// A camera of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedCamera {
    /// Its key in the recording.
    pub name: String,
    /// Height and width of its frames.
    pub size: [usize; 2],
}

/// States that are joined with embeddings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedState {
    /// Its keys in the recording.
    pub keys: Vec<String>,
    /// Its dimensions.
    pub n: usize,
}

impl Encoding {
    /// The encoding of a recording by a network with weights of this identity.
    pub fn new(network: Design, weights: String, preset: Preset, source: &Source) -> Self {
        let several = source.cameras.len() > 1;
        let camera = |(name, size): (&String, &Option<[usize; 2]>)| {
            Some(EncodedCamera { name: name.clone(), size: (*size)? })
        };
        Self {
            network,
            weights,
            preset,
            size: if several { None } else { source.sizes.first().copied().flatten() },
            cameras: match several {
                true => source.cameras.iter().zip(&source.sizes).filter_map(camera).collect(),
                false => Vec::new(),
            },
            state: (source.n_state() > 0)
                .then(|| JoinedState { keys: source.state_keys.clone(), n: source.n_state() }),
        }
    }

    /// The number of cameras.
    pub fn n_cameras(&self) -> usize {
        self.cameras.len().max(1)
    }

    /// The dimensions of the states after the embeddings; 0 without.
    pub fn n_state(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.n)
    }

    /// The dimensions of an embedding of all cameras with the states.
    pub fn width(&self) -> usize {
        self.network.width() * self.n_cameras() + self.n_state()
    }

    /// Parses the JSON of an encoding, as stored with embeddings.
    ///
    /// # Errors
    /// If the text is no encoding, or of a network that is not known here.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| {
            Error::new(Kind::File, "an encoding that cannot be read")
                .expected("JSON with network, weights and preset, as `mcnn embed` writes it")
                .found(format!("{} ({e})", text.chars().take(200).collect::<String>()))
        })
    }
}
