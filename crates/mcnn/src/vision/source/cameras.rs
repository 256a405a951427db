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
    let CameraRecording { labels, names, origin, cameras, format, notes: warnings, episodes, files } =
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
        "{} {:?} {:?} {:?} {:?}",
        hex(&hash.finalize()),
        readers.iter().map(|reader| &reader.name).collect::<Vec<_>>(),
        labels.ends,
        episodes,
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
    // The error is that of the first picture, whichever was decoded first.
    pictures.par_iter().enumerate().map(one).collect::<Vec<_>>().into_iter().collect()
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A replay buffer of two episodes of two steps, each frame in a chunk of its own.
    fn replay_buffer(path: &Path) {
        let array = |name: &str, shape: &[usize], chunk: &[usize], dtype: &str| {
            let folder = path.join(name);
            fs::create_dir_all(&folder).unwrap();
            let about = format!(
                r#"{{"zarr_format": 2, "shape": {shape:?}, "chunks": {chunk:?}, "dtype": "{dtype}", "order": "C",
                     "fill_value": 0, "compressor": null, "filters": null}}"#
            );
            fs::write(folder.join(".zarray"), about).unwrap();
        };
        array("data/img", &[4, 4, 4, 3], &[1, 4, 4, 3], "|u1");
        array("data/action", &[4, 1], &[4, 1], "<f4");
        array("meta/episode_ends", &[2], &[2], "<i8");
        fs::write(path.join(".zgroup"), r#"{"zarr_format": 2}"#).unwrap();
        for i in 0..4 {
            fs::write(path.join(format!("data/img/{i}.0.0.0")), [i as u8; 48]).unwrap();
        }
        fs::write(path.join("data/action/0.0"), [0; 16]).unwrap();
        fs::write(path.join("meta/episode_ends/0"), [2_i64, 4].map(i64::to_le_bytes).concat()).unwrap();
    }

    #[test]
    fn the_stamp_tells_other_episodes_and_other_frames() {
        let folder = tempfile::tempdir().unwrap();
        replay_buffer(folder.path());
        let stamp = |episode: u32| {
            let mut options = SourceOptions::default();
            options.selection.episodes = vec![episode..=episode];
            open(folder.path(), &options).unwrap().stamp
        };
        let first = stamp(0);
        assert_eq!(first, stamp(0));
        assert_ne!(first, stamp(1));
        fs::write(folder.path().join("data/img/3.0.0.0"), [9; 49]).unwrap();
        assert_ne!(first, stamp(0));
    }

    #[test]
    fn frames_of_too_large_sides_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        replay_buffer(folder.path());
        let array = folder.path().join("data/img/.zarray");
        let about = fs::read_to_string(&array).unwrap();
        fs::write(&array, about.replace("[4, 4, 4, 3]", "[4, 70000, 4, 3]")).unwrap();
        let error = open(folder.path(), &SourceOptions::default()).err().unwrap().to_string();
        assert!(error.contains("data/img") && error.contains("at most 65,536 pixels"), "{error}");
    }
}
