//! One policy's part of a video frame: a label, the task's picture, and a panel with the step's values and the distance to
//! the nearest memory over time.

use mcnn::task::Picture;

use super::canvas::{Canvas, Color, Style};

/// What is known of a step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Caption {
    /// The step, counted from 0.
    pub step: usize,
    /// Standardized distance to the nearest memory.
    pub distance: Option<f32>,
    /// Weight of the memory in the action, in [0, 1].
    pub weight: Option<f32>,
    /// The demonstrated step the memory comes from, as EPISODE:STEP.
    pub memory: Option<String>,
    /// Further text.
    pub note: String,
    /// How the episode ended; drawn over the picture.
    pub ended: Option<Ending>,
}

/// How an episode ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Succeeded,
    Failed,
    /// In a task without a rule for success.
    Ended,
}

/// The policy's name, above its picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// In large letters.
    pub title: String,
    /// In small letters below the title.
    pub detail: String,
}

const MARGIN: usize = 6;
const TITLE: Style = Style { size: 20, bold: true, color: INK };
const DETAIL: Style = Style { size: 12, bold: false, color: SOFT };
/// Where the step, the distance and the weight stand, as shares of the width.
const PLACES: [f64; 3] = [0.0, 0.29, 0.68];
const CURVE: usize = 46; // rows
const PAPER: Color = [250, 250, 247];
const INK: Color = [30, 34, 40];
const SOFT: Color = [84, 90, 98];
const AXIS: Color = [205, 208, 210];
/// Of the curve where the memory's weight is a half or more.
const NEAR: Color = [0, 114, 178];
/// Of the curve where the memory's weight is less than a half.
const FAR: Color = [213, 94, 0];

/// One policy's part of the frames of an episode.
#[derive(Debug, Default)]
pub struct Column {
    label: Option<Label>,
    curve: Vec<(f32, f32)>, // distance and weight of every step so far
}

impl Column {
    pub fn new(label: Option<Label>) -> Self {
        Self { label, curve: Vec::new() }
    }

    /// Adds a step to the curve.
    pub fn add_step(&mut self, caption: &Caption) {
        self.curve.extend(caption.distance.map(|d| (d, caption.weight.unwrap_or(0.0))));
    }

    /// The largest distance of the episode so far; 0 before the first.
    pub fn largest_distance(&self) -> f32 {
        self.curve.iter().map(|p| p.0).fold(0.0, f32::max)
    }

    /// The picture with the label above it and the panel below it. A distance of `top_distance` fills the height of the curve.
    /// Width and height are even, as video encoders need.
    pub fn compose(&self, picture: &Picture, caption: &Caption, top_distance: f32) -> Picture {
        let numbers_style = Style { size: (picture.width / 20).clamp(10, 16), bold: false, color: INK };
        let header = if self.label.is_some() { 3 * MARGIN + TITLE.size + DETAIL.size } else { 0 };
        let below = numbers_style.size + MARGIN + DETAIL.size + MARGIN; // from the panel's top to the curve's
        let width = picture.width.next_multiple_of(2);
        let height = (header + picture.height + MARGIN + below + CURVE + MARGIN).next_multiple_of(2);
        let mut canvas = Canvas::new(width, height, PAPER);
        if let Some(label) = &self.label {
            canvas.text([MARGIN, MARGIN], TITLE, &label.title);
            canvas.text([MARGIN, 2 * MARGIN + TITLE.size - 2], DETAIL, &label.detail);
        }
        canvas.paste([0, header], picture);
        let bottom = header + picture.height;
        if let Some(ending) = caption.ended {
            draw_ending(&mut canvas, [picture.width, bottom], ending);
        }
        let panel_top = bottom + MARGIN;
        for (share, text) in PLACES.iter().zip(caption_texts(caption)) {
            let left = MARGIN + (share * picture.width as f64) as usize;
            canvas.text([left, panel_top], numbers_style, &text);
        }
        let memory = caption.memory.as_ref().map_or(String::new(), |m| format!("memory {m}   "));
        let line = format!("{memory}{}", caption.note);
        canvas.text([MARGIN, panel_top + numbers_style.size + MARGIN], DETAIL, &line);
        self.draw_curve(&mut canvas, panel_top + below, width, top_distance);
        canvas.into_picture()
    }

    /// The distances as bars, one a step: as many of the last steps as there are columns of pixels.
    fn draw_curve(&self, canvas: &mut Canvas, top: usize, width: usize, top_distance: f32) {
        let columns = width.saturating_sub(2 * MARGIN);
        if self.curve.is_empty() || columns == 0 {
            return;
        }
        let low = top + CURVE - 1;
        canvas.fill([MARGIN, low], [columns, 1], AXIS);
        let shown = &self.curve[self.curve.len().saturating_sub(columns)..];
        for (x, (distance, weight)) in shown.iter().enumerate() {
            let height =
                ((distance / top_distance.max(1e-6)).clamp(0.0, 1.0) * (CURVE - 1) as f32).round() as usize;
            let color = if *weight >= 0.5 { NEAR } else { FAR };
            canvas.fill([MARGIN + x, low - height], [1, height + 1], color);
        }
    }
}

/// The texts of the step, the distance and the memory weight.
fn caption_texts(caption: &Caption) -> [String; 3] {
    [
        format!("step {}", caption.step),
        caption.distance.map_or(String::new(), |d| format!("distance {d:.2}")),
        caption.weight.map_or(String::new(), |w| format!("weight {w:.2}")),
    ]
}

/// A bar at the lower edge of the picture that says how the episode ended.
fn draw_ending(canvas: &mut Canvas, [width, bottom]: [usize; 2], ending: Ending) {
    let (text, color) = match ending {
        Ending::Succeeded => ("succeeded", NEAR),
        Ending::Failed => ("failed", FAR),
        Ending::Ended => ("ended", INK),
    };
    let height = (TITLE.size + 2 * MARGIN).min(bottom);
    canvas.fill([0, bottom - height], [width, height], color);
    canvas.text([MARGIN, bottom - height + MARGIN], Style { color: PAPER, ..TITLE }, text);
}

/// Pictures in a row, top edges aligned, with a gap between them.
pub fn side_by_side(pictures: &[Picture]) -> Picture {
    const GAP: usize = 8;
    if let [only] = pictures {
        return only.clone();
    }
    let width = pictures.iter().map(|p| p.width + GAP).sum::<usize>().saturating_sub(GAP);
    let height = pictures.iter().map(|p| p.height).max().unwrap_or(0);
    let mut canvas = Canvas::new(width.next_multiple_of(2), height.next_multiple_of(2), PAPER);
    let mut left = 0;
    for picture in pictures {
        canvas.paste([left, 0], picture);
        left += picture.width + GAP;
    }
    canvas.into_picture()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(width: usize, height: usize) -> Picture {
        Picture { width, height, rgb: vec![128; 3 * width * height] }
    }

    fn pixel(picture: &Picture, x: usize, y: usize) -> Color {
        picture.rgb[3 * (y * picture.width + x)..][..3].try_into().unwrap()
    }

    #[test]
    fn the_panel_is_below_the_picture_and_the_size_is_even() {
        let caption = Caption { step: 3, ..Caption::default() };
        let frame = Column::default().compose(&gray(101, 51), &caption, 1.0);
        assert_eq!((frame.width, frame.height), (102, 51 + 6 + 10 + 6 + 12 + 6 + CURVE + 6 + 1));
        for y in 0..frame.height {
            assert_eq!((0..101).all(|x| pixel(&frame, x, y) == [128; 3]), y < 51, "row {y}");
        }
        let dark = frame.rgb.chunks_exact(3).filter(|p| p[0] < 100).count();
        assert!(dark > 20, "the text is there: {dark}");
    }

    #[test]
    fn a_label_is_above_the_picture_and_an_ending_over_it() {
        let label = Label { title: "MCNN".into(), detail: "clamp".into() };
        let column = Column::new(Some(label));
        let [plain, ended] = [None, Some(Ending::Failed)]
            .map(|ended| column.compose(&gray(300, 100), &Caption { ended, ..Caption::default() }, 1.0));
        let first = (0..plain.height).find(|&y| pixel(&plain, 0, y) == [128; 3]).unwrap();
        let letters = |y: std::ops::Range<usize>| {
            y.flat_map(|y| (0..300).map(move |x| (x, y))).filter(|&(x, y)| pixel(&plain, x, y) == INK).count()
        };
        assert!(first > TITLE.size && letters(0..first) > 30);
        assert_eq!(pixel(&ended, 0, first + 99), FAR);
        assert_eq!(pixel(&plain, 0, first + 99), [128; 3]);
    }

    #[test]
    fn a_bar_of_the_curve_is_as_high_as_its_distance_and_shows_the_weight_by_its_color() {
        let mut column = Column::default();
        for (distance, weight) in [(2.0, 0.1), (1.0, 0.9), (0.0, 1.0)] {
            column.add_step(&Caption {
                distance: Some(distance),
                weight: Some(weight),
                ..Caption::default()
            });
        }
        let frame = column.compose(&gray(60, 10), &Caption::default(), column.largest_distance());
        let height =
            |x: usize, color: Color| (10..frame.height).filter(|&y| pixel(&frame, x, y) == color).count();
        assert_eq!(height(MARGIN, FAR), CURVE);
        assert_eq!((height(MARGIN + 1, NEAR), height(MARGIN + 1, FAR)), (CURVE.div_ceil(2) + 1, 0));
        assert_eq!(height(MARGIN + 2, NEAR), 1);
        assert_eq!(height(MARGIN + 3, NEAR) + height(MARGIN + 3, FAR), 0);
        // More steps than columns of pixels: the last ones are shown.
        (0..500).for_each(|_| {
            column.add_step(&Caption { distance: Some(0.0), weight: Some(1.0), ..Caption::default() })
        });
        let frame = column.compose(&gray(60, 10), &Caption::default(), column.largest_distance());
        assert_eq!(frame.rgb.chunks_exact(3).filter(|p| **p == FAR).count(), 0);
    }

    #[test]
    fn columns_lie_in_a_row_in_their_order() {
        let colored = |width, height, value| Picture { width, height, rgb: vec![value; 3 * width * height] };
        let frame = side_by_side(&[colored(10, 4, 1), colored(6, 8, 2)]);
        assert_eq!((frame.width, frame.height), (24, 8));
        assert_eq!([0, 9, 18, 23].map(|x| pixel(&frame, x, 0)[0]), [1, 1, 2, 2]);
        assert_eq!([pixel(&frame, 12, 0), pixel(&frame, 0, 5)], [PAPER; 2]);
        assert_eq!(side_by_side(&[gray(5, 5)]), gray(5, 5), "a single picture stays as it is");
    }

    #[test]
    fn unknown_letters_and_long_lines_do_no_harm() {
        let caption =
            Caption { note: "ü∞ ".repeat(100), ended: Some(Ending::Ended), ..Caption::default() };
        Column::default().compose(&gray(8, 8), &caption, 0.0);
        Column::default().compose(&gray(1, 1), &caption, 0.0);
    }
}
