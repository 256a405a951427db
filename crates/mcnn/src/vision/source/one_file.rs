//! Frames in one HDF5 file or `.npz`: their size, layout and range, given or detected.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use super::{ReadFrames, Source, SourceOptions, stamp};
use crate::{
    data::{FrameFile, Rows, read_names},
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

struct OneFile {
    file: FrameFile,
    path: PathBuf,
    size: [usize; 2],
    layout: Layout,
    full: f32,
}

pub(super) fn open(path: &Path, options: &SourceOptions) -> Result<Source> {
    let mut file = FrameFile::open(path, options.key.as_deref())?;
    let named = |e: Error| e.within(path.display());
    let (size, layout) = shape(&file.shape, options).map_err(named)?;
    let mut start = Vec::new();
    let (mut bytes, mut largest) = (false, 0.0_f32);
    file.read_frames(0, &mut |_, rows| {
        start = match rows {
            Rows::Bytes(rows) => {
                bytes = true;
                rows.iter().map(|&v| f32::from(v)).collect()
            }
            Rows::Floats(rows) => rows,
        };
        start.truncate(DETECTION_FRAMES * size[0] * size[1] * 3);
        largest = start.iter().copied().fold(0.0, f32::max);
        Ok(false)
    })?;
    let full = match options.range {
        Some(Range::Unit) => 1.0,
        Some(Range::Bytes) => 255.0,
        None if bytes || largest > 1.0 => 255.0,
        None => 1.0,
    };
    let roughness_by_layout = if file.shape.len() == 2 && options.layout.is_none() {
        Some(roughness(&start, size)).filter(|[hwc, chw]| chw * 1.5 < *hwc)
    } else {
        None
    };
    if let Some([hwc, chw]) = roughness_by_layout {
        return Err(named(
            Error::new(Kind::Data, "frames that appear to be channel-first")
                .expected("height, width, channel: neighboring pixels alike")
                .found(format!("a roughness of {hwc:.3}; in the other order {chw:.3}"))
                .next("--layout chw reads them in the other order, --layout hwc in this one all the same"),
        ));
    }
    let kind = if bytes { "bytes" } else { "floats" };
    let order = if layout == Layout::Hwc { "height, width, channel" } else { "channel, height, width" };
    let mut notes = vec![format!("{kind} from 0 to {full}, {} x {} pixels, {order}", size[0], size[1])];
    if !file.unused.is_empty() {
        let more = file.unused.len().saturating_sub(10);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let some: Vec<&str> = file.unused.iter().take(10).map(String::as_str).collect();
        notes.push(format!("not used: {}{more}", some.join(", ")));
    }
    let (n, labels) = (file.shape[0], file.labels.clone());
    let key = options.key.as_ref().map_or(String::new(), |key| format!(" {key}"));
    let stamp = format!("{} {:?}{key}", stamp(path)?, file.shape);
    let action_names = read_names(path)?.action_names;
    let frames = Box::new(OneFile { file, path: path.to_owned(), size, layout, full });
    Ok(Source { labels, action_names, n, size: Some(size), notes, warnings: Vec::new(), stamp, frames })
}

/// Height, width and order of frames of this shape.
fn shape(shape: &[usize], options: &SourceOptions) -> Result<([usize; 2], Layout)> {
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

impl ReadFrames for OneFile {
    fn read_frames(&mut self, from: usize, each: &mut dyn FnMut(Frames) -> Result<bool>) -> Result<()> {
        let (size, layout, full, path) = (self.size, self.layout, self.full, &self.path);
        self.file.read_frames(from, &mut |first, rows| {
            let (bytes, mut pixels) = match rows {
                Rows::Bytes(rows) => (true, rows.iter().map(|&v| f32::from(v)).collect()),
                Rows::Floats(rows) => (false, rows),
            };
            let frame = size[0] * size[1] * 3;
            if let Some(bad) = pixels.iter().position(|v| !(0.0..=full).contains(v)) {
                return Err(Error::new(Kind::Data, "a pixel outside its range")
                    .at(format!("{}: frame {}", path.display(), first + bad / frame))
                    .expected(format!("0 to {full}, as in the first frames"))
                    .found(pixels[bad].to_string())
                    .next(if full == 1.0 && pixels[bad] > 1.0 {
                        "--pixel-max 255 says that white is 255, where the first frames are dark"
                    } else {
                        "repair or drop those frames"
                    }));
            }
            if layout == Layout::Chw {
                let plane = size[0] * size[1];
                let mut transposed = Vec::with_capacity(pixels.len());
                for frame in pixels.chunks_exact(frame) {
                    transposed
                        .extend((0..plane).flat_map(|p| [frame[p], frame[plane + p], frame[2 * plane + p]]));
                }
                pixels = transposed;
            }
            each(Frames { size, pixels, full, bytes })
        })
    }

    fn name(&self, frame: usize) -> String {
        format!("{}: frame {frame}", self.path.display())
    }
}
