//! Embedding batches of preprocessed frames, here or on a device that the program adds, such as a GPU.

use super::network::{Design, Network};
use crate::error::Result;

/// A network that embeds batches of preprocessed frames: a [`Network`] on the processor, or a device with the weights of
/// [`Network::folded`]. A device adds in another order, so that its embeddings differ from the processor's by rounding.
pub trait BatchEmbed {
    /// Which network it is.
    fn design(&self) -> Design;

    /// The name of the device; `None` of the processor.
    fn device(&self) -> Option<String>;

    /// Embeds frames of `size` (height, width): `frames` is `[n, height, width, 3]`, `to` is `[n, width of the network]`. A frame's
    /// embedding does not depend on the others'; that of a frame with a value that is not finite is not finite.
    ///
    /// # Errors
    /// If the device fails, or has no memory for a frame of this size.
    ///
    /// # Panics
    /// Where a slice has another length than that, or the network takes frames of another size.
    fn embed_batch(&self, frames: &[f32], size: [usize; 2], to: &mut [f32]) -> Result<()>;
}

impl BatchEmbed for Network {
    fn design(&self) -> Design {
        self.design()
    }

    fn device(&self) -> Option<String> {
        None
    }

    fn embed_batch(&self, frames: &[f32], size: [usize; 2], to: &mut [f32]) -> Result<()> {
        self.embed(frames, size, to);
        Ok(())
    }
}

/// A convolution of square kernels with its batch normalization folded in. Its input is padded with `kernel / 2` zeros on every side.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldedConvolution {
    /// Channels of the input.
    pub from: usize,
    /// Channels of the output.
    pub to: usize,
    /// Height and width of the kernel, odd.
    pub kernel: usize,
    /// Input pixels from one output pixel to the next.
    pub stride: usize,
    /// `[to, from, kernel, kernel]`
    pub weights: Vec<f32>,
    /// `[to]`
    pub bias: Vec<f32>,
}

/// A residual block: `layers` in sequence, a ReLU after each. Before the last ReLU the block's input is added, through `shortcut` if there
/// is one (without a ReLU of its own).
#[derive(Debug, Clone, PartialEq)]
pub struct FoldedBlock {
    /// The layers, in order.
    pub layers: Vec<FoldedConvolution>,
    /// The projection of the input.
    pub shortcut: Option<FoldedConvolution>,
}

/// A residual network without batch normalization: `stem`, a ReLU, the maximum over 3 x 3 pixels (stride 2, one pixel of padding), the
/// blocks, and the mean over all pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldedResNet {
    /// The first layer, whose input is the frame.
    pub stem: FoldedConvolution,
    /// The blocks, in order.
    pub blocks: Vec<FoldedBlock>,
}
