//! How pixels are stored: the size of a frame, the order of its axes and the value of white, given or detected.

use std::str::FromStr;

use super::SourceOptions;
use crate::{
    data::Rows,
    error::{Error, Kind, Result},
    vision::frames::Frames,
};

/// The order of a frame's dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Height, width, channel.
    Hwc,
    /// Channel, height, width.
    Chw,
}

/// The value of white.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// 1.
    Unit,
    /// 255.
    Bytes,
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "hwc" => Ok(Self::Hwc),
            "chw" => Ok(Self::Chw),
            _ => Err("expected hwc or chw".into()),
        }
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "1" => Ok(Self::Unit),
            "255" => Ok(Self::Bytes),
            _ => Err("expected 1 or 255".into()),
        }
    }
}

/// The number of frames that are used to detect layout and range.
const DETECTION_FRAMES: usize = 256;

/// How the pixels of a camera are stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pixels {
    pub size: [usize; 2],
    layout: Layout,
    full: f32,
    bytes: bool,
}

impl Pixels {
    /// Detects what the options do not say, from the shape of all frames (their number first) and the values of the first.
    ///
    /// # Errors
    /// Shapes of something else than color frames; frames that appear to be channel-first and are not said to be.
    pub fn detect(shape: &[usize], first: Rows, options: &SourceOptions) -> Result<Self> {
        let (size, layout) = frame_shape(shape, options)?;
        let bytes = matches!(first, Rows::Bytes(_));
        let mut start = values(first);
        start.truncate(DETECTION_FRAMES * size[0] * size[1] * 3);
        let largest = start.iter().copied().fold(0.0, f32::max);
        let full = match options.range {
            Some(Range::Unit) => 1.0,
            Some(Range::Bytes) => 255.0,
            None if bytes || largest > 1.0 => 255.0,
            None => 1.0,
        };
        if shape.len() == 2
            && options.layout.is_none()
            && let [hwc, chw] = roughness(&start, size)
            && chw * 1.5 < hwc
        {
            return Err(Error::new(Kind::Data, "frames that appear to be channel-first")
                .expected("height, width, channel: neighboring pixels alike")
                .found(format!("a roughness of {hwc:.3}; in the other order {chw:.3}"))
                .next("--layout chw reads them in the other order, --layout hwc in this one all the same"));
        }
        Ok(Self { size, layout, full, bytes })
    }

    /// What was detected, as a short text.
    pub fn note(&self) -> String {
        let kind = if self.bytes { "bytes" } else { "floats" };
        let order =
            if self.layout == Layout::Hwc { "height, width, channel" } else { "channel, height, width" };
        format!("{kind} from 0 to {}, {} x {} pixels, {order}", self.full, self.size[0], self.size[1])
    }

    /// The frames of stored rows, the first of which is frame number `first`. `name` names a frame.
    ///
    /// # Errors
    /// Values outside the range.
    pub fn frames(&self, rows: Rows, first: usize, name: &dyn Fn(usize) -> String) -> Result<Frames> {
        let (size, full) = (self.size, self.full);
        let bytes = matches!(rows, Rows::Bytes(_));
        let mut pixels = values(rows);
        let frame = size[0] * size[1] * 3;
        if let Some(bad) = pixels.iter().position(|v| !(0.0..=full).contains(v)) {
            return Err(Error::new(Kind::Data, "a pixel outside its range")
                .at(name(first + bad / frame))
                .expected(format!("0 to {full}, as in the first frames"))
                .found(pixels[bad].to_string())
                .next(if full == 1.0 && pixels[bad] > 1.0 {
                    "--pixel-max 255 says that white is 255, where the first frames are dark"
                } else {
                    "repair or drop those frames"
                }));
        }
        if self.layout == Layout::Chw {
            let plane = size[0] * size[1];
            let mut transposed = Vec::with_capacity(pixels.len());
            for frame in pixels.chunks_exact(frame) {
                transposed
                    .extend((0..plane).flat_map(|p| [frame[p], frame[plane + p], frame[2 * plane + p]]));
            }
            pixels = transposed;
        }
        Ok(Frames { size, pixels, full, bytes })
    }
}

/// The values of rows of pixels.
fn values(rows: Rows) -> Vec<f32> {
    match rows {
        Rows::Bytes(rows) => rows.iter().map(|&v| f32::from(v)).collect(),
        Rows::Floats(rows) => rows,
        Rows::Pictures(_) => Vec::new(),
    }
}

/// Height, width and order of frames of this shape.
fn frame_shape(shape: &[usize], options: &SourceOptions) -> Result<([usize; 2], Layout)> {
    let refuse = |expected: &str, next: &str| {
        Err(Error::new(Kind::Data, "observations that are not color frames")
            .expected(expected)
            .found(format!("{shape:?}"))
            .next(next))
    };
    const STATES: &str = "; states of numbers need no embedding: give the file to `mcnn learn`";
    let (size, layout) = match (shape, options.layout) {
        (&[_, height, width, 3], None | Some(Layout::Hwc)) => ([height, width], Layout::Hwc),
        (&[_, 3, height, width], None | Some(Layout::Chw)) => ([height, width], Layout::Chw),
        (&[_, flat], layout) => {
            let side = (flat as f64 / 3.0).sqrt().round() as usize;
            let size = options.size.unwrap_or([side, side]);
            if size[0] * size[1] * 3 != flat {
                let expected = match options.size {
                    Some([h, w]) => {
                        format!("{} values per frame, of {h} x {w} pixels in three channels", h * w * 3)
                    }
                    None => "three channels of a square, such as 6912 = 48 x 48 x 3".into(),
                };
                return refuse(
                    &expected,
                    &format!("--frame-size HEIGHTxWIDTH gives the size of flat frames{STATES}"),
                );
            }
            (size, layout.unwrap_or(Layout::Hwc))
        }
        _ => return refuse("(frames, height, width, 3), (frames, 3, height, width) or flat rows", ""),
    };
    if let Some(given) = options.size
        && given != size
    {
        return refuse(&format!("frames of {} x {}", given[0], given[1]), "leave --frame-size out");
    }
    if size[0] == 0 || size[1] == 0 || size[0].max(size[1]) > 4096 {
        return refuse("sides of 1 to 4096 pixels", "");
    }
    Ok((size, layout))
}

/// How rough frames are in either order: the mean difference of a number to its neighbor on the right, to that below and
/// to the same pixel's next channel, added up. In the wrong order, neighbors are what lies far apart.
fn roughness(frames: &[f32], [height, width]: [usize; 2]) -> [f32; 2] {
    let each = height * width * 3;
    let difference = |apart: usize| {
        let (mut sum, mut n) = (0.0_f64, 0_usize);
        for frame in frames.chunks_exact(each) {
            let pairs = frame.iter().zip(&frame[apart.min(each)..]);
            n += each - apart.min(each);
            sum += pairs.map(|(a, b)| f64::from((a - b).abs())).sum::<f64>();
        }
        (sum / n.max(1) as f64) as f32
    };
    let sum = |strides: [usize; 3]| strides.map(difference).iter().sum();
    [sum([3, 3 * width, 1]), sum([1, width, height * width])]
}
