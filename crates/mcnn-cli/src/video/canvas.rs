//! A picture that is drawn on: rectangles, other pictures, and text.

use mcnn::task::Picture;

use crate::plot::font;

/// Red, green and blue.
pub type Color = [u8; 3];

/// Size and color of text.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Pixels of the font.
    pub size: usize,
    pub bold: bool,
    pub color: Color,
}

/// The picture so far. Whatever lies outside it is not drawn.
pub struct Canvas {
    picture: Picture,
}

impl Canvas {
    /// A canvas of one color.
    pub fn new(width: usize, height: usize, color: Color) -> Self {
        Self { picture: Picture { width, height, rgb: color.repeat(width * height) } }
    }

    /// The finished picture.
    pub fn into_picture(self) -> Picture {
        self.picture
    }

    /// Colors one pixel.
    pub fn dot(&mut self, x: usize, y: usize, color: Color) {
        if x < self.picture.width && y < self.picture.height {
            let at = 3 * (y * self.picture.width + x);
            self.picture.rgb[at..at + 3].copy_from_slice(&color);
        }
    }

    /// Fills a rectangle.
    pub fn fill(&mut self, [left, top]: [usize; 2], [width, height]: [usize; 2], color: Color) {
        for y in top..top + height {
            for x in left..left + width {
                self.dot(x, y, color);
            }
        }
    }

    /// Copies a picture to a place.
    pub fn paste(&mut self, [left, top]: [usize; 2], picture: &Picture) {
        for (y, row) in picture.rgb.chunks_exact(3 * picture.width.max(1)).enumerate() {
            for (x, color) in row.chunks_exact(3).enumerate() {
                self.dot(left + x, top + y, [color[0], color[1], color[2]]);
            }
        }
    }

    /// Writes a line of text from its top left corner. What is past an edge is cut off.
    pub fn text(&mut self, [left, top]: [usize; 2], style: Style, text: &str) {
        let size = style.size as f64;
        let baseline = top as f64 + ASCENT * size;
        let drawn = font::draw(text, [left as f64, baseline], size, style.bold);
        for (i, share) in drawn.shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let x = drawn.corner[0] + (i % drawn.width) as i64;
            let y = drawn.corner[1] + (i / drawn.width) as i64;
            let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { continue };
            if x < self.picture.width && y < self.picture.height {
                let at = 3 * (y * self.picture.width + x);
                for (to, from) in self.picture.rgb[at..at + 3].iter_mut().zip(style.color) {
                    *to = (f64::from(*to) + share * (f64::from(from) - f64::from(*to))).round() as u8;
                }
            }
        }
    }
}

/// From the top of a line to its baseline, as a share of the size of the font.
const ASCENT: f64 = 0.8;
