//! Image encoders on the CPU: pretrained residual networks with weights from PyTorch, and small convolutional networks that
//! `mcnn encoder` trains. They embed recordings, and the frames that a policy observes. Recordings may be embedded on another device ([`BatchEmbed`]).

mod batch;
mod conv;
mod download;
mod embed;
mod encoded_policy;
mod encoder;
mod encoder_file;
mod encoding;
mod frames;
mod network;
mod partial_output;
mod pickle;
mod pth;
mod residual;
mod resize;
mod resnet;
mod source;
mod tensors;
mod video;
mod weights;

pub use batch::{BatchEmbed, FoldedBlock, FoldedConvolution, FoldedResNet};
pub use conv::Conv;
pub use download::fetch;
pub use embed::{Embedded, embed};
pub use encoded_policy::{Arrays, EncodedPolicy, Encoder, FrameEmbedder};
pub(crate) use encoder::{padded, patches, transposed};
pub use encoder_file::{EncoderInfo, Objective, Training, write_encoder};
pub use encoding::{EncodedCamera, Encoding, JoinedState};
pub use frames::{Frames, Preset, Size, size};
pub use network::{Design, Network};
pub use partial_output::part_of;
pub use residual::LayerHook;
pub use resnet::ResNet;
pub use source::{Layout, Range, Source, SourceOptions};
pub use tensors::Tensors;
pub use weights::{Found, Weights, load, tensors_of};

/// Bytes as hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// SHA-256 of some bytes, as hexadecimal.
fn fingerprint(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex(&sha2::Sha256::digest(bytes))
}
