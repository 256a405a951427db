//! Videos: the frames of steps, found by their presentation times and decoded by the program ffmpeg, one after another.

mod decoder;
mod mp4;

use std::{collections::HashMap, ops::Range, path::PathBuf};

use super::frames::Frames;
use crate::{
    data::Clip,
    error::{Error, Kind, Result},
};
use decoder::{Decoder, Ffmpeg};
use mp4::Mp4;

/// Frames that are decoded and dropped, rather than starting the decoder anew.
const SKIP: usize = 200;
/// How far a frame may be from its step, in seconds, without a note: as LeRobot's reader takes it.
const TOLERANCE: f64 = 1e-4;
/// How much slower than the steps, as a share, a video may be.
const RATES: f64 = 0.01;

/// The frames of a camera in videos.
pub(super) struct Video {
    ffmpeg: Ffmpeg,
    files: Vec<(PathBuf, Mp4)>,
    /// The file and the frame of each step.
    places: Vec<[u32; 2]>,
    /// The largest distance of a step from its frame, in seconds.
    farthest: f64,
    decoder: Option<(u32, Decoder)>,
    /// The frame that was decoded last.
    current: Option<[u32; 2]>,
    frame: Vec<u8>,
}

impl Video {
    /// Reads the tables of all videos and finds the frame of every step.
    ///
    /// # Errors
    /// Videos that are damaged, cut, of several sizes, of a lower rate than the steps, or shorter than their episodes; no ffmpeg.
    pub fn open(clips: Vec<Clip>, ffmpeg: Option<fn() -> Result<PathBuf>>) -> Result<Self> {
        let (mut files, mut known): (Vec<(PathBuf, Mp4)>, _) = (Vec::new(), HashMap::new());
        let (mut places, mut farthest) = (Vec::new(), 0.0_f64);
        for clip in clips {
            let named = |e: Error| e.within(format!("episode {}", clip.episode)).within(clip.file.display());
            let file = match known.get(&clip.file) {
                Some(&file) => file,
                None => {
                    let mp4 = Mp4::read(&clip.file).map_err(named)?;
                    if let Some((first, other)) = files.first()
                        && other.size != mp4.size
                    {
                        return Err(named(
                            Error::new(Kind::Data, "videos of different sizes")
                                .expected(format!("{:?}, as {}", other.size, first.display()))
                                .found(format!("{:?}", mp4.size)),
                        ));
                    }
                    files.push((clip.file.clone(), mp4));
                    known.insert(clip.file.clone(), files.len() - 1);
                    files.len() - 1
                }
            };
            for (frame, far) in frames_of(&clip, &files[file].1).map_err(named)? {
                farthest = farthest.max(far);
                places.push([file as u32, frame as u32]);
            }
        }
        let Some((_, first)) = files.first() else {
            return Err(Error::new(Kind::Data, "a recording without frames"));
        };
        let frame = vec![0; first.size[0] * first.size[1] * 3];
        let ffmpeg = Ffmpeg::new(ffmpeg.map_or_else(|| Ok("ffmpeg".into()), |find| find())?)?;
        for (path, mp4) in &files {
            ffmpeg.check(&mp4.codec).map_err(|e| e.within(path.display()))?;
        }
        Ok(Self { ffmpeg, files, places, farthest, decoder: None, current: None, frame })
    }

    /// Height and width of a frame.
    pub fn size(&self) -> [usize; 2] {
        self.files[0].1.size
    }

    /// The codec, the size and what is remarkable, as a short text.
    pub fn note(&self) -> String {
        let (_, mp4) = &self.files[0];
        let codec = match &*mp4.codec {
            "av01" => "AV1",
            "avc1" | "avc3" => "H.264",
            "hvc1" | "hev1" => "HEVC",
            other => other,
        };
        let mut note = format!("video ({codec}), {} x {} pixels", mp4.size[0], mp4.size[1]);
        if self.farthest > TOLERANCE {
            note += &format!(", frames up to {:.4} s from their steps", self.farthest);
        }
        note
    }

    /// The frames of some steps.
    ///
    /// # Errors
    /// If a video cannot be decoded or ends early.
    pub fn frames(&mut self, steps: Range<usize>) -> Result<Frames> {
        let mut pixels = Vec::with_capacity(steps.len() * self.frame.len());
        for step in steps {
            let place = self.places[step];
            if self.current != Some(place) {
                self.decode(place).map_err(|e| {
                    e.at(format!("step {step}")).within(self.files[place[0] as usize].0.display())
                })?;
                self.current = Some(place);
            }
            pixels.extend(self.frame.iter().map(|&v| f32::from(v)));
        }
        Ok(Frames { size: self.size(), pixels, full: 255.0, bytes: true })
    }

    /// Decodes a frame of a file.
    fn decode(&mut self, [file, frame]: [u32; 2]) -> Result<()> {
        let wanted = frame as usize;
        let goes_on = |(current, decoder): &(u32, Decoder)| {
            *current == file && (decoder.next..=decoder.next + SKIP).contains(&wanted)
        };
        if !self.decoder.as_ref().is_some_and(goes_on) {
            self.decoder = None; // before another process takes its memory
            let (path, mp4) = &self.files[file as usize];
            self.decoder = Some((file, Decoder::start(&self.ffmpeg, path, mp4, wanted)?));
        }
        let Some((_, decoder)) = &mut self.decoder else { return Ok(()) };
        while decoder.next <= wanted {
            decoder.read(&mut self.frame)?;
        }
        Ok(())
    }
}

/// The frame of each step of an episode, and how far it is in seconds.
fn frames_of(clip: &Clip, mp4: &Mp4) -> Result<Vec<(usize, f64)>> {
    let n = clip.times.len();
    if n == 0 {
        return Ok(Vec::new());
    }
    let last = mp4.times[mp4.times.len() - 1];
    let per_frame = mp4.frame_seconds();
    let (first_time, last_time) = (clip.times[0], clip.times[n - 1]);
    let per_step = (last_time - first_time) / n.saturating_sub(1).max(1) as f64;
    if n > 2 && per_frame.is_finite() && per_frame > per_step * (1.0 + RATES) && last_time <= last + per_frame
    {
        return Err(Error::new(Kind::Data, "frames and states of different rates")
            .expected(format!("{:.3} frames a second, as there are steps", 1.0 / per_step))
            .found(format!("{:.3} frames a second in the video", 1.0 / per_frame))
            .next("record or convert the dataset again: each step needs a frame of its own"));
    }
    let allowed = if per_frame.is_finite() { per_frame / 2.0 } else { per_step.max(TOLERANCE) / 2.0 };
    let found: Vec<(usize, f64)> = clip.times.iter().map(|&time| mp4.nearest(time)).collect();
    let Some(step) = found.iter().position(|(_, far)| *far > allowed + 1e-9) else { return Ok(found) };
    let time = clip.times[step];
    if time > last {
        return Err(Error::new(Kind::Data, "a video that is shorter than its episode")
            .expected(format!("frames from {first_time:.3} s to {last_time:.3} s, of {n} steps"))
            .found(format!("{} frames, the last at {last:.3} s", mp4.times.len()))
            .next("fetch the video again, or leave the episode out (--episodes)"));
    }
    Err(Error::new(Kind::Data, "a step without a frame at its time")
        .at(format!("step {step} of the episode"))
        .expected(format!("a frame at {time:.4} s, at most {allowed:.4} s away"))
        .found(format!("the nearest {:.4} s away", found[step].1))
        .next("record or convert the dataset again, or leave the episode out (--episodes)"))
}
