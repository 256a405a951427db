//! GIF: each frame has its own palette of at most 256 colors, and only the pixels that differ from the frame before. Colors are
//! rounded first, so that drawn scenes keep exact colors and files stay small.

use std::path::{Path, PathBuf};

use ::gif::{DisposalMethod, Encoder, Frame, Repeat};
use mcnn::{Error, Result, atomic, error::Kind, task::Picture};

use super::{FPS, FrameEncoder};

/// Of choosing the palette: 1 is the best, 30 the fastest.
pub const SPEED: i32 = 10;

/// A GIF that is being made in memory.
pub struct Gif {
    path: PathBuf,
    encoder: Option<Encoder<Vec<u8>>>, // from the first frame on, which decides the size
    previous: Vec<u8>,                 // the frame before, as RGB
}

impl Gif {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), encoder: None, previous: Vec::new() }
    }

    fn failed(&self, found: impl ToString) -> Error {
        Error::new(Kind::File, "the video cannot be made")
            .at(self.path.display().to_string())
            .found(found.to_string())
    }
}

impl FrameEncoder for Gif {
    fn add_frame(&mut self, picture: &Picture) -> Result<()> {
        let (Ok(width), Ok(height)) = (u16::try_from(picture.width), u16::try_from(picture.height)) else {
            return Err(self.failed(format!("frames of {} x {}", picture.width, picture.height)));
        };
        let mut encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => Encoder::new(Vec::new(), width, height, &[])
                .and_then(|mut encoder| encoder.set_repeat(Repeat::Infinite).map(|()| encoder))
                .map_err(|e| self.failed(e))?,
        };
        let rounded: Vec<u8> = picture.rgb.iter().map(|&value| round(value)).collect();
        let mut pixels = changed(&rounded, &self.previous);
        let mut frame = Frame::from_rgba_speed(width, height, &mut pixels, SPEED);
        frame.delay = (100 / FPS) as u16; // hundredths of a second
        frame.dispose = DisposalMethod::Keep;
        encoder.write_frame(&frame).map_err(|e| self.failed(e))?;
        self.encoder = Some(encoder);
        self.previous = rounded;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let encoder = self.encoder.take().ok_or_else(|| self.failed("no frames"))?;
        let bytes = encoder.into_inner().map_err(|e| self.failed(e))?;
        atomic::write(&self.path, &bytes)
    }
}

/// The nearest of 33 values of a channel: multiples of 8, and 255.
fn round(value: u8) -> u8 {
    (value.saturating_add(4) / 8 * 8) | if value >= 252 { 7 } else { 0 }
}

/// The frame as RGBA. Pixels as in the frame before are transparent, and so keep their color.
fn changed(frame: &[u8], previous: &[u8]) -> Vec<u8> {
    let pixels = frame.chunks_exact(3).enumerate();
    pixels
        .flat_map(|(i, p)| match previous.get(3 * i..3 * i + 3) == Some(p) {
            true => [0; 4],
            false => [p[0], p[1], p[2], 255],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_that_stay_cost_nothing_and_keep_their_color() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gif");
        let mut gif = Box::new(Gif::new(&path));
        let mut picture = Picture { width: 3, height: 2, rgb: (0..18).map(|k| 14 * k).collect() };
        gif.add_frame(&picture).unwrap();
        picture.rgb[..3].copy_from_slice(&[200, 10, 30]);
        gif.add_frame(&picture).unwrap();
        gif.add_frame(&picture).unwrap();
        gif.finish().unwrap();
        let mut options = ::gif::DecodeOptions::new();
        options.set_color_output(::gif::ColorOutput::RGBA);
        let bytes = std::fs::read(path).unwrap();
        let mut decoder = options.read_info(&bytes[..]).unwrap();
        let mut screen = [0; 18];
        for changed in [6, 1, 0] {
            let frame = decoder.read_next_frame().unwrap().unwrap();
            let opaque: Vec<usize> = (0..6).filter(|i| frame.buffer[4 * i + 3] > 0).collect();
            assert_eq!(opaque.len(), changed);
            for i in opaque {
                screen[3 * i..3 * i + 3].copy_from_slice(&frame.buffer[4 * i..4 * i + 3]);
            }
        }
        let differ = screen.iter().zip(&picture.rgb).map(|(a, b): (&u8, &u8)| a.abs_diff(*b)).max();
        assert!(differ.unwrap() <= 4, "{differ:?}");
        assert_eq!([0, 3, 4, 251, 252, 255].map(round), [0, 0, 8, 248, 255, 255]);
    }
}
