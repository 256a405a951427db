//! Frames to numbers: residual networks with weights from PyTorch, run on the processor.

mod download;
mod embed;
mod frames;
mod network;
mod pickle;
mod pth;
mod resize;
mod resnet;
mod source;
mod tensors;
mod weights;

pub use download::fetch;
pub use embed::{Embedded, Encoding, embed, part_of};
pub use frames::{Frames, Preset, Size, size};
pub use network::{Network, Seen};
pub use resnet::ResNet;
pub use source::{Layout, Range, Source, SourceOptions};
pub use tensors::Tensors;
pub use weights::{Found, Weights, load};

/// Bytes as hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
