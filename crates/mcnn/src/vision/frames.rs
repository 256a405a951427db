//! Frames as they were recorded, and the named ways to make a network's input of them.

use std::{fmt, ops::Range, str::FromStr};

use super::resize::resize;
use crate::error::{Error, Kind, Result};

/// Some frames of one size, as they were recorded: `[frames, height, width, 3]`, red, green, blue.
#[derive(Debug, Clone, PartialEq)]
pub struct Frames {
    /// Height and width.
    pub size: [usize; 2],
    /// Numbers from 0 to `full`.
    pub pixels: Vec<f32>,
    /// What white is: 255 or 1.
    pub full: f32,
    /// Whether they were recorded as bytes. Resized frames then are bytes again, as PIL's are.
    pub bytes: bool,
}

impl Frames {
    /// How many.
    pub fn len(&self) -> usize {
        self.pixels.len() / (self.size[0] * self.size[1] * 3).max(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }
}

/// The size that frames are brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Their own.
    Own,
    /// This height and width.
    Exact([usize; 2]),
    /// The shorter side to 256, then the middle 224 x 224: torchvision's way with these networks.
    Middle,
}

/// How frames become a network's input. As text: `raw`, `normalized`, each also with `:HEIGHTxWIDTH`, or `torchvision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// The size; where it is another than the frame's, bilinear, with the support of PIL's.
    pub size: Size,
    /// Whether the mean of ImageNet is taken off each channel and its deviation divided out. Otherwise numbers are 0 to 1.
    pub normalize: bool,
}

/// Mean and deviation of ImageNet's pixels by channel, as torchvision has them.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];
/// torchvision's sizes.
const SHORTER: usize = 256;
const MIDDLE: usize = 224;
/// The most pixels of a side.
const LARGEST: usize = 4096;

impl Default for Preset {
    /// `normalized`: what ImageNet's networks are trained with.
    fn default() -> Self {
        Self { size: Size::Own, normalize: true }
    }
}

impl Preset {
    /// The size that frames of `size` come to.
    pub fn output(&self, size: [usize; 2]) -> [usize; 2] {
        match self.size {
            Size::Own => size,
            Size::Exact(exact) => exact,
            Size::Middle => [MIDDLE; 2],
        }
    }

    /// Appends some of the frames as a network takes them, `[frames, height, width, 3]`, to `to`; gives their size.
    pub fn apply(&self, frames: &Frames, which: Range<usize>, to: &mut Vec<f32>) -> [usize; 2] {
        let size = self.output(frames.size);
        let start = to.len();
        let each = frames.size[0] * frames.size[1] * 3;
        let pixels = &frames.pixels[which.start * each..which.end * each];
        if size == frames.size && self.size != Size::Middle {
            to.extend_from_slice(pixels);
        } else {
            let [height, width] = frames.size;
            for frame in pixels.chunks_exact(each) {
                match self.size {
                    Size::Middle => {
                        let longer = |side: usize| side * SHORTER / height.min(width); // rounded down, as torchvision does
                        let large = [longer(height), longer(width)];
                        let frame = resize(frame, frames.size, large, frames.bytes);
                        // The middle, rounded to even halves as Python does.
                        let corner =
                            large.map(|side| (side - MIDDLE) / 2 + usize::from((side - MIDDLE) % 4 == 3));
                        for y in 0..MIDDLE {
                            let row = ((corner[0] + y) * large[1] + corner[1]) * 3;
                            to.extend_from_slice(&frame[row..][..MIDDLE * 3]);
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
            (Size::Middle, _) => return f.write_str("torchvision"),
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
    let side = |side: &str| side.parse().ok().filter(|side| (1..=LARGEST).contains(side));
    let sides = text.split_once('x').and_then(|(height, width)| Some([side(height)?, side(width)?]));
    sides.ok_or_else(|| {
        Error::new(Kind::Settings, "a size that cannot be read")
            .expected(format!("HEIGHTxWIDTH, each 1 to {LARGEST}, such as 48x48"))
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
            ("torchvision", Size::Own) => Ok(Self { size: Size::Middle, normalize: true }),
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
