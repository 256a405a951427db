//! The cameras of robot data: pixels, pictures and videos, read step by step.

use std::{ops::Range, path::Path};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::{ReadFrames, Source, SourceOptions, picture, pixels::Pixels, stamp};
use crate::{
    data::{Camera, CameraFrames, CameraRecording, ReadRows, Rows},
    error::{Error, Kind, Result},
    vision::{frames::Frames, hex, video::Video},
};

/// Bytes of the pixels of all cameras in a piece, as 32-bit floats; a single step may need more.
const PIECE: usize = 8 << 20;
/// The most steps of a piece.
const TOGETHER: usize = 64;

pub(super) fn open(path: &Path, options: &SourceOptions) -> Result<Source> {
    let mut selection = options.selection.clone();
    selection.no_state = !options.with_state;
    let CameraRecording { labels, names, origin, cameras, format, notes: warnings, files } =
        CameraRecording::open(path, &options.cameras, &selection)?;
    let named = |e: Error| e.within(path.display());
    let n = labels.n_steps();
    let mut notes = vec![format!("{format}, {n} steps")];
    let mut readers = Vec::new();
    for camera in cameras {
        let reader = Reader::open(camera, n, options).map_err(named)?;
        notes.push(format!("{}: {}", reader.name, reader.note()));
        readers.push(reader);
    }
    if options.with_state {
        notes.push(format!("state: {}", origin.state_keys.join(", ")));
    }
    let mut hash = Sha256::new();
    for file in &files {
        hash.update(format!("{} {}\n", file.display(), stamp(file)?));
    }
    let stamp = format!(
        "{} {:?} {:?} {:?}",
        hex(&hash.finalize()),
        readers.iter().map(|reader| &reader.name).collect::<Vec<_>>(),
        labels.ends,
        origin.state_keys
    );
    Ok(Source {
        labels,
        names,
        n,
        cameras: readers.iter().map(|reader| reader.name.clone()).collect(),
        sizes: readers.iter().map(|reader| Some(reader.size())).collect(),
        state_keys: if options.with_state { origin.state_keys } else { Vec::new() },
        notes,
        warnings: warnings.into_iter().map(|note| format!("{}: {note}", path.display())).collect(),
        stamp: hex(&Sha256::digest(stamp)),
        frames: Box::new(Cameras { readers, n, place: path.display().to_string() }),
    })
}

/// A camera.
struct Reader {
    name: String,
    kind: Kinds,
}

enum Kinds {
    Pixels(Box<dyn ReadRows>, Pixels),
    Pictures(Box<dyn ReadRows>, [usize; 2]),
    Video(Box<Video>),
}

impl Reader {
    fn open(camera: Camera, n: usize, options: &SourceOptions) -> Result<Self> {
        let Camera { name, shape, frames } = camera;
        let named = |e: Error| e.within(&name);
        let kind = match frames {
            CameraFrames::Rows(mut rows) => match rows.rows(0..1).map_err(named)? {
                Rows::Pictures(pictures) => {
                    let [first] = &decoded(&pictures, 0, None).map_err(named)?[..] else {
                        return Err(named(Error::new(Kind::Data, "a recording without frames")));
                    };
                    Kinds::Pictures(rows, first.0)
                }
                first => {
                    let shape: Vec<usize> = std::iter::once(n).chain(shape).collect();
                    let pixels = Pixels::detect(&shape, first, options).map_err(named)?;
                    Kinds::Pixels(rows, pixels)
                }
            },
            CameraFrames::Video(clips) => {
                Kinds::Video(Box::new(Video::open(clips, options.ffmpeg).map_err(named)?))
            }
        };
        Ok(Self { name, kind })
    }

    fn size(&self) -> [usize; 2] {
        match &self.kind {
            Kinds::Pixels(_, pixels) => pixels.size,
            Kinds::Pictures(_, size) => *size,
            Kinds::Video(video) => video.size(),
        }
    }

    fn note(&self) -> String {
        let [height, width] = self.size();
        match &self.kind {
            Kinds::Pixels(_, pixels) => pixels.note(),
            Kinds::Pictures(..) => format!("pictures, {height} x {width} pixels"),
            Kinds::Video(video) => video.note(),
        }
    }

    /// The frames of some steps.
    fn frames(&mut self, steps: Range<usize>) -> Result<Frames> {
        let first = steps.start;
        let name = &self.name;
        match &mut self.kind {
            Kinds::Pixels(rows, pixels) => {
                pixels.frames(rows.rows(steps)?, first, &|step| format!("{name}, step {step}"))
            }
            Kinds::Pictures(rows, size) => {
                let Rows::Pictures(pictures) = rows.rows(steps)? else {
                    return Err(Error::new(Kind::Data, "a camera that is not pictures any more").at(&**name));
                };
                let pictures = decoded(&pictures, first, Some(*size)).map_err(|e| e.within(name))?;
                let pixels = pictures.into_iter().flat_map(|(_, picture)| picture).map(f32::from).collect();
                Ok(Frames { size: *size, pixels, full: 255.0, bytes: true })
            }
            Kinds::Video(video) => video.frames(steps).map_err(|e| e.within(name)),
        }
    }
}

/// Decodes pictures of one size side by side; `first` is the step of the first.
fn decoded(pictures: &[Vec<u8>], first: usize, size: Option<[usize; 2]>) -> Result<Vec<picture::Picture>> {
    let one = |(i, bytes): (usize, &Vec<u8>)| {
        picture::decode(bytes, size).map_err(|found| {
            Error::new(Kind::Data, "a picture that cannot be read")
                .at(format!("step {}", first + i))
                .expected("a whole PNG or JPEG, of the size of the first")
                .found(found)
                .next("leave its episode out (--episodes), or record it again")
        })
    };
    pictures.par_iter().enumerate().map(one).collect()
}

/// All cameras.
struct Cameras {
    readers: Vec<Reader>,
    n: usize,
    place: String,
}

impl ReadFrames for Cameras {
    fn read_frames(&mut self, from: usize, each: &mut dyn FnMut(&[Frames]) -> Result<bool>) -> Result<()> {
        let values = |reader: &Reader| reader.size().iter().product::<usize>() * 3;
        let step: usize = 4 * self.readers.iter().map(values).sum::<usize>();
        let together = (PIECE / step.max(1)).clamp(1, TOGETHER);
        let mut first = from;
        while first < self.n {
            let steps = first..(first + together).min(self.n);
            first = steps.end;
            let place = &self.place;
            let frames = self.readers.iter_mut().map(|reader| reader.frames(steps.clone()));
            let frames = frames.collect::<Result<Vec<Frames>>>().map_err(|e| e.within(place))?;
            let expected = |frames: &Frames| frames.len() == steps.len();
            if !frames.iter().all(expected) {
                return Err(Error::new(Kind::Data, "frames are missing").at(format!(
                    "{place}, steps {} to {}",
                    steps.start,
                    steps.end - 1
                )));
            }
            if !each(&frames)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn name(&self, frame: usize) -> String {
        format!("{}: step {frame}", self.place)
    }
}
