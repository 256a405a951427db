//! What stands below a picture: a line of text, and the curve of the distance to the nearest memory so far.

use font8x8::legacy::BASIC_LEGACY;
use mcnn::task::Picture;

/// What is known of a step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Caption {
    /// The step, counted from 0.
    pub step: usize,
    /// Standardized distance to the nearest memory.
    pub distance: Option<f32>,
    /// Weight of the memory in the action.
    pub weight: Option<f32>,
    /// The demonstrated step the memory comes from, as EPISODE:STEP.
    pub memory: Option<String>,
    /// What else there is to say.
    pub note: String,
}

const BAND: usize = 84; // rows below the picture
const CURVE: std::ops::Range<usize> = 32..78; // rows of the curve in it
const MARGIN: usize = 6;
const GROUND: [u8; 3] = [250, 250, 247];
const INK: [u8; 3] = [30, 34, 40];
const PALE: [u8; 3] = [205, 208, 210];
const NEAR: [u8; 3] = [0, 114, 178]; // the memory counts half or more
const FAR: [u8; 3] = [213, 94, 0]; // it counts less

/// The band below the pictures of an episode.
#[derive(Default)]
pub struct Strip {
    curve: Vec<(f32, f32)>, // distance and weight of every step so far
}

impl Strip {
    /// Adds a step to the curve.
    pub fn note(&mut self, caption: &Caption) {
        self.curve.extend(caption.distance.map(|d| (d, caption.weight.unwrap_or(0.0))));
    }

    /// The picture with the band below it. Its size is even, as video encoders want it.
    pub fn below(&self, picture: &Picture, caption: &Caption) -> Picture {
        let (width, height) =
            (picture.width.next_multiple_of(2), (picture.height + BAND).next_multiple_of(2));
        let mut page = Page { width, height, rgb: GROUND.repeat(width * height) };
        for (to, from) in
            page.rgb.chunks_exact_mut(3 * width).zip(picture.rgb.chunks_exact(3 * picture.width))
        {
            to[..from.len()].copy_from_slice(from);
        }
        let top = picture.height;
        for (line, text) in lines(caption).into_iter().enumerate() {
            page.text(MARGIN, top + 5 + 12 * line, &text);
        }
        self.draw(&mut page, top);
        Picture { width, height, rgb: page.rgb }
    }

    /// The curve, as many of its last steps as there are columns; its top is the largest distance of the episode.
    fn draw(&self, page: &mut Page, top: usize) {
        let columns = page.width.saturating_sub(2 * MARGIN);
        if self.curve.is_empty() || columns == 0 {
            return;
        }
        let largest = self.curve.iter().map(|p| p.0).fold(1e-6, f32::max);
        let (low, rows) = (top + CURVE.end - 1, CURVE.len() - 1);
        for x in 0..columns {
            page.dot(MARGIN + x, low, PALE);
        }
        let shown = &self.curve[self.curve.len().saturating_sub(columns)..];
        for (x, (distance, weight)) in shown.iter().enumerate() {
            let high = ((distance / largest).clamp(0.0, 1.0) * rows as f32).round() as usize;
            let color = if *weight >= 0.5 { NEAR } else { FAR };
            for y in 0..=high {
                page.dot(MARGIN + x, low - y, color);
            }
        }
    }
}

/// Two lines: short, for the font has 8 pixels a letter.
fn lines(c: &Caption) -> [String; 2] {
    let distance = c.distance.map_or(String::new(), |d| format!("  distance {d:.2}"));
    let weight = c.weight.map_or(String::new(), |w| format!("  weight {w:.2}"));
    let memory = c.memory.as_ref().map_or(String::new(), |m| format!("memory {m}  "));
    [format!("step {}{distance}{weight}", c.step), format!("{memory}{}", c.note)]
}

struct Page {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Page {
    fn dot(&mut self, x: usize, y: usize, color: [u8; 3]) {
        if x < self.width && y < self.height {
            let at = 3 * (y * self.width + x);
            self.rgb[at..at + 3].copy_from_slice(&color);
        }
    }

    /// Letters of 8 x 8 pixels; what is past the right edge is cut off.
    fn text(&mut self, x: usize, y: usize, text: &str) {
        for (i, letter) in text.chars().enumerate() {
            let rows = BASIC_LEGACY.get(letter as usize).copied().unwrap_or([0xff; 8]);
            for (dy, bits) in rows.into_iter().enumerate() {
                for dx in (0..8).filter(|dx| bits >> dx & 1 == 1) {
                    self.dot(x + 8 * i + dx, y + dy, INK);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(width: usize, height: usize) -> Picture {
        Picture { width, height, rgb: vec![128; 3 * width * height] }
    }

    #[test]
    fn the_band_is_below_the_picture_and_the_size_is_even() {
        let caption = Caption { step: 3, ..Caption::default() };
        let page = Strip::default().below(&gray(101, 51), &caption);
        assert_eq!((page.width, page.height), (102, 136));
        assert_eq!(page.rgb.len(), 3 * 102 * 136);
        for (y, row) in page.rgb.chunks_exact(3 * 102).enumerate() {
            assert_eq!(row[..303].iter().all(|v| *v == 128), y < 51, "row {y}");
        }
        let ink = page.rgb.chunks_exact(3).filter(|p| **p == INK).count();
        assert!(ink > 40, "the text is there: {ink}");
    }

    #[test]
    fn a_column_of_the_curve_is_as_high_as_its_distance_and_tells_near_from_far() {
        let mut strip = Strip::default();
        for (distance, weight) in [(2.0, 0.1), (1.0, 0.9), (0.0, 1.0)] {
            strip.note(&Caption { distance: Some(distance), weight: Some(weight), ..Caption::default() });
        }
        let page = strip.below(&gray(60, 10), &Caption::default());
        let high = |x: usize, color: [u8; 3]| {
            (10..page.height).filter(|y| page.rgb[3 * (y * page.width + x)..][..3] == color).count()
        };
        assert_eq!(high(MARGIN, FAR), CURVE.len());
        assert_eq!((high(MARGIN + 1, NEAR), high(MARGIN + 1, FAR)), (CURVE.len().div_ceil(2) + 1, 0));
        assert_eq!(high(MARGIN + 2, NEAR), 1);
        assert_eq!(high(MARGIN + 3, NEAR) + high(MARGIN + 3, FAR), 0);
        // More steps than columns: the last ones are shown.
        (0..500).for_each(|_| {
            strip.note(&Caption { distance: Some(0.0), weight: Some(1.0), ..Caption::default() })
        });
        let page = strip.below(&gray(60, 10), &Caption::default());
        assert_eq!(page.rgb.chunks_exact(3).filter(|p| **p == FAR).count(), 0);
    }

    #[test]
    fn letters_that_are_not_there_and_lines_too_long_do_no_harm() {
        let caption = Caption { note: "ü∞ ".repeat(100), ..Caption::default() };
        Strip::default().below(&gray(8, 8), &caption);
        Strip::default().below(&gray(1, 1), &caption);
    }
}
