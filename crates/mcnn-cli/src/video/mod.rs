//! Videos of episodes as GIF or MP4: the task's pictures, with the policy's values below them. Several policies stand side
//! by side.

mod canvas;
mod column;
mod gif;
mod mp4;
mod record;
mod sprite_sheet;

pub use column::{Caption, Column, Label};
pub use record::{Recorded, RecordedPolicy, Recorder};
pub use sprite_sheet::sprite_sheet;

use std::path::Path;

use mcnn::{Error, Result, error::Kind, task::Picture};

/// Frames per second.
pub const FPS: u32 = 12;

/// A writer of a video. The file appears at its path when [`finish`](VideoWriter::finish) is called.
pub struct VideoWriter {
    encoder: Box<dyn FrameEncoder>,
    size: Option<[usize; 2]>, // of the frames: width, height
    frames: usize,
}

/// Makes a file of frames.
trait FrameEncoder {
    /// Appends a frame.
    fn add_frame(&mut self, frame: &Picture) -> Result<()>;
    /// Writes the file.
    fn finish(self: Box<Self>) -> Result<()>;
}

impl VideoWriter {
    /// A video for a path that ends in `.gif` or `.mp4`. MP4 needs the program ffmpeg, which is installed for this use where
    /// it is not on the PATH; `progress` gets a line then.
    ///
    /// # Errors
    /// If the path ends otherwise, or ffmpeg can be neither found nor installed.
    pub fn new(path: &Path, progress: &dyn Fn(&str)) -> Result<Self> {
        let ending = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
        let encoder: Box<dyn FrameEncoder> = match ending.as_deref() {
            Some("gif") => Box::new(gif::Gif::new(path)),
            Some("mp4") => Box::new(mp4::Mp4::new(path, mcnn::task::python::ffmpeg(progress)?)?),
            _ => {
                return Err(Error::new(Kind::Settings, "an unknown video format")
                    .at(path.display().to_string())
                    .expected("a name that ends in .gif or .mp4"));
            }
        };
        Ok(Self { encoder, size: None, frames: 0 })
    }

    /// Appends a frame. Its width and height are even.
    ///
    /// # Errors
    /// If the frames change their size, or the file cannot be written.
    pub fn add_frame(&mut self, frame: &Picture) -> Result<()> {
        let size = [frame.width, frame.height];
        let first = *self.size.get_or_insert(size);
        if first != size {
            return Err(Error::new(Kind::Task, "the pictures change their size")
                .expected(format!("frames of {} x {}", first[0], first[1]))
                .found(format!("{} x {}", size[0], size[1])));
        }
        self.frames += 1;
        self.encoder.add_frame(frame)
    }

    /// Writes the video and gives the number of its frames.
    ///
    /// # Errors
    /// If there are no frames, or the file cannot be written.
    pub fn finish(self) -> Result<usize> {
        if self.frames == 0 {
            return Err(Error::new(Kind::Task, "no frame was recorded, so there is no video"));
        }
        self.encoder.finish()?;
        Ok(self.frames)
    }
}
