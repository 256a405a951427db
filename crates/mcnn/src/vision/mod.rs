//! Frames to numbers: residual networks with weights from PyTorch, run on the processor.

mod download;
mod network;
mod pickle;
mod pth;
mod resnet;
mod tensors;
mod weights;

pub use download::fetch;
pub use network::{Network, Seen};
pub use resnet::ResNet;
pub use tensors::Tensors;
pub use weights::{Found, Origin, Weights, load};

/// Bytes as hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
