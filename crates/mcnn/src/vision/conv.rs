//! The architecture of the small convolutional network: four convolutions of stride 2, then a linear layer.

use std::{fmt, str::FromStr};

use kernels::{Shape, WIDE};

use super::frames;
use crate::error::{Error, Kind, Result};

/// A small convolutional network for frames of one size: four 3 x 3 convolutions of stride 2 with a ReLU, of
/// [`CHANNELS`](Self::CHANNELS), then a linear layer. As text: `conv:HEIGHTxWIDTH:DIM`, such as `conv:48x48:64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    frame: [usize; 2],
    width: usize,
}

/// Height and width of every kernel.
const KERNEL: usize = 3;
/// The range of a frame's height and width, and the largest embedding. They keep a file below a few hundred MB.
const SIDES: std::ops::RangeInclusive<usize> = 8..=256;
const WIDEST: usize = 1024;

impl Conv {
    /// Channels of the convolutions.
    pub const CHANNELS: [usize; 4] = [32, 32, 64, 64];

    /// The network for frames of size `frame` (height, width), with embeddings of dimension `width`.
    ///
    /// # Errors
    /// A height or width outside 8 to 256, a dimension outside 1 to 1,024.
    pub fn new(frame: [usize; 2], width: usize) -> Result<Self> {
        if frame.iter().any(|side| !SIDES.contains(side)) {
            return Err(Error::new(
                Kind::Settings,
                "frames of a size that the small network does not accept",
            )
            .expected("sides of 8 to 256 pixels")
            .found(format!("{} x {}", frame[0], frame[1]))
            .next("--preset raw:48x48 resizes them"));
        }
        if !(1..=WIDEST).contains(&width) {
            return Err(Error::new(Kind::Settings, "an embedding dimension out of range")
                .expected(format!("an embedding of dimension 1 to {WIDEST}"))
                .found(width.to_string()));
        }
        Ok(Self { frame, width })
    }

    /// Height and width of its frames.
    pub fn frame(self) -> [usize; 2] {
        self.frame
    }

    /// Dimension of an embedding.
    pub fn width(self) -> usize {
        self.width
    }

    /// Height and width of the output of each convolution.
    pub(crate) fn sizes(self) -> [[usize; 2]; 4] {
        let mut size = self.frame;
        Self::CHANNELS.map(|_| {
            size = size.map(|side| side.div_ceil(2));
            size
        })
    }

    /// The layers as they run. The first is a 1 x 1 convolution of [`patches`](super::encoder::patches), because three input
    /// channels are too few for an efficient product. The last is the linear layer as a convolution over the whole remaining
    /// frame; its outputs are padded with zeros to a multiple of [`WIDE`].
    pub(crate) fn shapes(self) -> [Shape; 5] {
        let [a, b, c, d] = Self::CHANNELS;
        let strided =
            |from, to| Shape { from, to, kernel: [KERNEL; 2], stride: [2; 2], pad: [KERNEL / 2; 2] };
        let unpadded = |from, to, kernel| Shape { from, to, kernel, stride: [1; 2], pad: [0; 2] };
        [
            unpadded(KERNEL * KERNEL * 3, a, [1; 2]),
            strided(a, b),
            strided(b, c),
            strided(c, d),
            unpadded(d, self.width.next_multiple_of(WIDE), self.sizes()[3]),
        ]
    }

    /// Every tensor of the network with its shape, in PyTorch's layout: weight and bias of `conv1` to `conv4` and of `linear`,
    /// whose inputs are the outputs of the last convolution, channel by channel.
    pub fn tensors(self) -> Vec<(String, Vec<usize>)> {
        let mut tensors = Vec::new();
        let mut from = 3;
        for (i, to) in Self::CHANNELS.into_iter().enumerate() {
            tensors.push((format!("conv{}.weight", i + 1), vec![to, from, KERNEL, KERNEL]));
            tensors.push((format!("conv{}.bias", i + 1), vec![to]));
            from = to;
        }
        let [height, width] = self.sizes()[3];
        tensors.push(("linear.weight".into(), vec![self.width, from * height * width]));
        tensors.push(("linear.bias".into(), vec![self.width]));
        tensors
    }
}

impl fmt::Display for Conv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conv:{}x{}:{}", self.frame[0], self.frame[1], self.width)
    }
}

impl FromStr for Conv {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.strip_prefix("conv:").and_then(|rest| rest.split_once(':'));
        let read = |(frame, width): (&str, &str)| Some((frames::size(frame).ok()?, width.parse().ok()?));
        let (frame, width) = parts.and_then(read).ok_or_else(|| {
            Error::new(Kind::Settings, "a network that is not known")
                .expected("resnet18, resnet34, resnet50 or conv:HEIGHTxWIDTH:DIM")
                .found(text)
        })?;
        Self::new(frame, width)
    }
}
