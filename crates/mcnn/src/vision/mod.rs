//! Frames to numbers: residual networks with weights from PyTorch, or a small network of one's own, run on the processor.

mod conv;
mod download;
mod embed;
mod encoded_policy;
mod encoder;
mod encoder_file;
mod frames;
mod network;
mod pickle;
mod pth;
mod residual;
mod resize;
mod resnet;
mod source;
mod tensors;
mod weights;

pub use conv::Conv;
pub use download::fetch;
pub use embed::{Embedded, Encoding, embed, part_of};
pub use encoded_policy::{Arrays, EncodedPolicy, Encoder, FrameEmbedder};
pub(crate) use encoder::{padded, patches, turned};
pub use encoder_file::{By, EncoderInfo, Training, write_encoder};
pub use frames::{Frames, Preset, Size, size};
pub use network::{Design, Network};
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
