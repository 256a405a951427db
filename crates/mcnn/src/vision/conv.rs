//! The small network of one's own, as a description: four convolutions that halve the frame, and a linear layer.

use std::{fmt, str::FromStr};

use kernels::{Shape, WIDE};

use super::frames;
use crate::error::{Error, Kind, Result};

/// A small network for frames of one size: four convolutions of 3 x 3 pixels, each at every second pixel and followed by a
/// ReLU, of [`CHANNELS`](Self::CHANNELS), then a linear layer. As text: `conv:HEIGHTxWIDTH:NUMBERS`, such as
/// `conv:48x48:64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    frame: [usize; 2],
    width: usize,
}

/// Pixels of a side of the first kernel, and of all others.
const KERNEL: usize = 3;
/// The sides of frames that it takes, and the most numbers of an embedding: what keeps its file below some hundred MB.
const SIDES: std::ops::RangeInclusive<usize> = 8..=256;
const WIDEST: usize = 1024;

impl Conv {
    /// Channels of the convolutions.
    pub const CHANNELS: [usize; 4] = [32, 32, 64, 64];

    /// The network for frames of this height and width, with so many numbers to an embedding.
    ///
    /// # Errors
    /// Sides outside 8 to 256, numbers outside 1 to 1,024.
    pub fn new(frame: [usize; 2], width: usize) -> Result<Self> {
        if frame.iter().any(|side| !SIDES.contains(side)) {
            return Err(Error::new(Kind::Settings, "frames of a size that the small network does not take")
                .expected("sides of 8 to 256 pixels")
                .found(format!("{} x {}", frame[0], frame[1]))
                .next("--preset raw:48x48 brings them to another size"));
        }
        if !(1..=WIDEST).contains(&width) {
            return Err(Error::new(Kind::Settings, "a width out of range")
                .expected(format!("1 to {WIDEST} numbers of an embedding"))
                .found(width.to_string()));
        }
        Ok(Self { frame, width })
    }

    /// Height and width of the frames it takes.
    pub fn frame(self) -> [usize; 2] {
        self.frame
    }

    /// Numbers of an embedding.
    pub fn width(self) -> usize {
        self.width
    }

    /// Heights and widths: of what goes into each layer but the first, which takes the frame.
    pub(crate) fn sizes(self) -> [[usize; 2]; 4] {
        let mut size = self.frame;
        Self::CHANNELS.map(|_| {
            size = size.map(|side| side.div_ceil(2));
            size
        })
    }

    /// The layers as they run. The first takes what lies under its kernel for the channels of one pixel
    /// ([`patches`](super::encoder::patches)); three channels are too few to multiply. The last is a kernel as large as what
    /// is left of the frame, and gives a multiple of [`WIDE`] numbers, zeros after the embedding's own.
    pub(crate) fn shapes(self) -> [Shape; 5] {
        let [a, b, c, d] = Self::CHANNELS;
        let halving =
            |from, to| Shape { from, to, kernel: [KERNEL; 2], stride: [2; 2], pad: [KERNEL / 2; 2] };
        let whole = |from, to, kernel| Shape { from, to, kernel, stride: [1; 2], pad: [0; 2] };
        [
            whole(KERNEL * KERNEL * 3, a, [1; 2]),
            halving(a, b),
            halving(b, c),
            halving(c, d),
            whole(d, self.width.next_multiple_of(WIDE), self.sizes()[3]),
        ]
    }

    /// Every tensor of the network with its shape, as PyTorch has them: weights and bias of `conv1` to `conv4` and of
    /// `linear`, whose inputs are the last convolution's, channel by channel.
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
                .expected("resnet18, resnet34, resnet50 or conv:HEIGHTxWIDTH:NUMBERS")
                .found(text)
        })?;
        Self::new(frame, width)
    }
}
