//! GIF: each frame with its own 256 colors.

use std::path::{Path, PathBuf};

use ::gif::{Encoder, Frame, Repeat};
use mcnn::{Error, Result, atomic, error::Kind, task::Picture};

use super::{FPS, Frames};

const SPEED: i32 = 10; // of choosing the colors: 1 is best, 30 fastest

pub struct Gif {
    path: PathBuf,
    encoder: Option<Encoder<Vec<u8>>>, // from the first frame on, which says the size
}

impl Gif {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), encoder: None }
    }

    fn failed(&self, found: impl ToString) -> Error {
        Error::new(Kind::File, "the film cannot be made")
            .at(self.path.display().to_string())
            .found(found.to_string())
    }
}

impl Frames for Gif {
    fn add(&mut self, picture: &Picture) -> Result<()> {
        let (Ok(width), Ok(height)) = (u16::try_from(picture.width), u16::try_from(picture.height)) else {
            return Err(self.failed(format!("pictures of {} x {}", picture.width, picture.height)));
        };
        let mut encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => Encoder::new(Vec::new(), width, height, &[])
                .and_then(|mut encoder| encoder.set_repeat(Repeat::Infinite).map(|()| encoder))
                .map_err(|e| self.failed(e))?,
        };
        let mut frame = Frame::from_rgb_speed(width, height, &picture.rgb, SPEED);
        frame.delay = (100 / FPS) as u16; // hundredths of a second
        encoder.write_frame(&frame).map_err(|e| self.failed(e))?;
        self.encoder = Some(encoder);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let encoder = self.encoder.take().ok_or_else(|| self.failed("no frames"))?;
        let bytes = encoder.into_inner().map_err(|e| self.failed(e))?;
        atomic::write(&self.path, &bytes)
    }
}
