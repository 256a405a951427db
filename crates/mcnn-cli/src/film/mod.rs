//! Films of episodes: pictures of a task with what the policy knew written below them, as GIF or MP4.

mod caption;
mod gif;
mod mp4;

mod sheet;
mod shoot;

pub use caption::Caption;
pub use sheet::sheet;
pub use shoot::{Filmed, check};

use std::path::Path;

use mcnn::{Error, Result, error::Kind, task::Picture};

use caption::Strip;

/// Frames a second.
pub const FPS: u32 = 12;

/// A film being made. Nothing is at its path before [`finish`](Film::finish).
pub struct Film {
    to: Box<dyn Frames>,
    strip: Strip,
    size: Option<[usize; 2]>, // of the frames: width, height
    frames: usize,
}

/// What takes frames and makes a file of them.
trait Frames {
    /// Takes a frame: `[height, width, 3]`.
    fn add(&mut self, frame: &Picture) -> Result<()>;
    /// Writes the file.
    fn finish(self: Box<Self>) -> Result<()>;
}

impl Film {
    /// A film for a path that ends in `.gif` or `.mp4`. MP4 needs the program ffmpeg, which is installed for it where it
    /// is not on the PATH; `progress` gets a line then.
    ///
    /// # Errors
    /// If the ending is another, or ffmpeg cannot be had.
    pub fn new(path: &Path, progress: &dyn Fn(&str)) -> Result<Self> {
        let ending = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
        let to: Box<dyn Frames> = match ending.as_deref() {
            Some("gif") => Box::new(gif::Gif::new(path)),
            Some("mp4") => Box::new(mp4::Mp4::new(path, mcnn::task::python::ffmpeg(progress)?)),
            _ => {
                return Err(Error::new(Kind::Settings, "a film of an unknown kind")
                    .at(path.display().to_string())
                    .expected("a name that ends in .gif or .mp4"));
            }
        };
        Ok(Self { to, strip: Strip::default(), size: None, frames: 0 })
    }

    /// Starts an episode: the curve of distances begins anew.
    pub fn start_episode(&mut self) {
        self.strip = Strip::default();
    }

    /// Adds what a step's caption says to the curve, without a frame: for the steps between the frames.
    pub fn note(&mut self, caption: &Caption) {
        self.strip.note(caption);
    }

    /// Adds a frame. Its caption's step must have been noted.
    ///
    /// # Errors
    /// If the pictures change their size, or the file cannot be written.
    pub fn add(&mut self, picture: &Picture, caption: &Caption) -> Result<()> {
        let size = [picture.width, picture.height];
        if *self.size.get_or_insert(size) != size {
            return Err(Error::new(Kind::Task, "the pictures change their size")
                .expected(format!("{:?}", self.size.unwrap_or(size)))
                .found(format!("{size:?}")));
        }
        self.frames += 1;
        self.to.add(&self.strip.below(picture, caption))
    }

    /// Writes the film and says how many frames it has.
    ///
    /// # Errors
    /// If there are none, or the file cannot be written.
    pub fn finish(self) -> Result<usize> {
        if self.frames == 0 {
            return Err(Error::new(Kind::Task, "no picture was taken, so there is no film"));
        }
        self.to.finish()?;
        Ok(self.frames)
    }
}
