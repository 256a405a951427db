//! Recorded frames, and the presets that preprocess them for a network.

use std::{fmt, ops::Range, str::FromStr};

use super::resize::resize;
use crate::error::{Error, Kind, Result};

/// Recorded frames of one size: `[frames, height, width, 3]`, red, green, blue.
#[derive(Debug, Clone, PartialEq)]
pub struct Frames {
    /// Height and width in pixels.
    pub size: [usize; 2],
    /// Values from 0 to `full`.
    pub pixels: Vec<f32>,
    /// The value of white: 255 or 1.
    pub full: f32,
    /// Whether they were recorded as bytes. Resized frames then are bytes again, as PIL's are.
    pub bytes: bool,
}

impl Frames {
    /// The number of frames.
    pub fn len(&self) -> usize {
        self.pixels.len() / (self.size[0] * self.size[1] * 3).max(1)
    }

    /// Whether there are no frames.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }
}

/// The size of preprocessed frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// The recorded size.
    Own,
    /// Resized to this height and width.
    Exact([usize; 2]),
    /// The shorter side resized to 256, then the central 224 x 224: torchvision's preprocessing of these networks.
    CenterCrop,
}

/// The preprocessing of frames for a network. As text: `raw`, `normalized`, each also with `:HEIGHTxWIDTH`, or `torchvision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// The size. Resizing is bilinear, with PIL's antialiasing support.
    pub size: Size,
    /// Whether each channel is standardized by ImageNet's mean and standard deviation. Otherwise values are 0 to 1.
    pub normalize: bool,
}

/// Mean and standard deviation of ImageNet's pixels by channel (torchvision).
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];
/// The sizes of torchvision's preprocessing.
const SHORTER_SIDE: usize = 256;
const CROP: usize = 224;
/// The largest height or width.
const MAX_SIDE: usize = 4096;

impl Default for Preset {
    /// `normalized`: networks pretrained on ImageNet expect it.
    fn default() -> Self {
        Self { size: Size::Own, normalize: true }
    }
}

impl Preset {
    /// The size of preprocessed frames whose recorded size is `size`.
    pub fn output(&self, size: [usize; 2]) -> [usize; 2] {
        match self.size {
            Size::Own => size,
            Size::Exact(exact) => exact,
            Size::CenterCrop => [CROP; 2],
        }
    }

    /// Appends the preprocessed frames of `which` to `to`: `[frames, height, width, 3]`. Returns their height and width.
    pub fn apply(&self, frames: &Frames, which: Range<usize>, to: &mut Vec<f32>) -> [usize; 2] {
        let size = self.output(frames.size);
        let start = to.len();
        let each = frames.size[0] * frames.size[1] * 3;
        let pixels = &frames.pixels[which.start * each..which.end * each];
        if size == frames.size && self.size != Size::CenterCrop {
            to.extend_from_slice(pixels);
        } else {
            let [height, width] = frames.size;
            for frame in pixels.chunks_exact(each) {
                match self.size {
                    Size::CenterCrop => {
                        let longer = |side: usize| side * SHORTER_SIDE / height.min(width); // rounded down, as torchvision does
                        let large = [longer(height), longer(width)];
                        let frame = resize(frame, frames.size, large, frames.bytes);
                        // The center; halves are rounded to even, as in Python.
                        let corner =
                            large.map(|side| (side - CROP) / 2 + usize::from((side - CROP) % 4 == 3));
                        for y in 0..CROP {
                            let row = ((corner[0] + y) * large[1] + corner[1]) * 3;
                            to.extend_from_slice(&frame[row..][..CROP * 3]);
                        }
                    }
                    _ => to.extend(resize(frame, frames.size, size, frames.bytes)),
                }
            }
        }
        for pixel in to[start..].as_chunks_mut::<3>().0 {
            for (c, v) in pixel.iter_mut().enumerate() {
                *v /= frames.full;
                if self.normalize {
                    *v = (*v - MEAN[c]) / STD[c];
                }
            }
        }
        size
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.size, self.normalize) {
            (Size::CenterCrop, _) => return f.write_str("torchvision"),
            (_, true) => f.write_str("normalized")?,
            (_, false) => f.write_str("raw")?,
        }
        match self.size {
            Size::Exact([height, width]) => write!(f, ":{height}x{width}"),
            _ => Ok(()),
        }
    }
}

/// Height and width, as `HEIGHTxWIDTH`.
///
/// # Errors
/// Anything else, and sides of 0 or more than 4,096.
pub fn size(text: &str) -> Result<[usize; 2]> {
    let side = |side: &str| side.parse().ok().filter(|side| (1..=MAX_SIDE).contains(side));
    let sides = text.split_once('x').and_then(|(height, width)| Some([side(height)?, side(width)?]));
    sides.ok_or_else(|| {
        Error::new(Kind::Settings, "a size that cannot be read")
            .expected(format!("HEIGHTxWIDTH, each 1 to {MAX_SIDE}, such as 48x48"))
            .found(text)
    })
}

impl FromStr for Preset {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, side) = match text.split_once(':') {
            Some((name, side)) => (name, Size::Exact(size(side)?)),
            None => (text, Size::Own),
        };
        match (name, side) {
            ("torchvision", Size::Own) => Ok(Self { size: Size::CenterCrop, normalize: true }),
            ("raw", size) => Ok(Self { size, normalize: false }),
            ("normalized" | "normalised", size) => Ok(Self { size, normalize: true }),
            _ => Err(Error::new(Kind::Settings, "a preset that is not known")
                .expected("raw, normalized, raw:HEIGHTxWIDTH, normalized:HEIGHTxWIDTH or torchvision")
                .found(text)),
        }
    }
}

impl serde::Serialize for Preset {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Preset {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(|e: Error| serde::de::Error::custom(e.what()))
    }
}
