//! A stroke font for pictures: printable ASCII, drawn with antialiasing at any size.
//!
//! `glyphs.txt` has a line for each character: the character, its width in units, and its strokes. A stroke starts with its
//! kind: `-` is a polyline, `~` an open and `o` a closed smooth curve (Catmull-Rom), `.` a dot. Its points follow, two letters
//! each: x from `a` = 0 and y, downwards, from `A` = 0. Capitals reach from y = 0 to the baseline at y = 14.

use std::sync::LazyLock;

/// Height of capitals, as a share of the size of the font.
const CAPITAL: f64 = 0.72;
/// Units from the top of capitals to the baseline.
const BASELINE: f64 = 14.0;
/// Width of a unit, as a share of its height.
const NARROW: f64 = 0.86;
/// Units between two characters; half of them stand before the first and after the last.
const SPACING: f64 = 4.8;
/// Units of a space.
const SPACE: f64 = 3.0;
/// Half the width of a stroke, as a share of the size of the font; and of bold text.
const PEN: [f64; 2] = [0.046, 0.066];
/// Radius of a dot, in halves of a stroke's width.
const DOT: f64 = 1.35;
/// Limit of the characters drawn in a line, so that no text can take much memory.
const MAX_CHARACTERS: usize = 1000;
/// Pieces of a smooth curve from one point to the next.
const PIECES: usize = 6;

type Point = [f64; 2];

struct Glyph {
    width: f64,
    strokes: Vec<Stroke>,
}

/// Straight pieces from point to point, in units.
struct Stroke {
    points: Vec<Point>,
    dot: bool,
}

/// By ASCII code.
static GLYPHS: LazyLock<Vec<Option<Glyph>>> = LazyLock::new(|| {
    let mut glyphs: Vec<Option<Glyph>> = (0..128).map(|_| None).collect();
    glyphs[usize::from(b' ')] = Some(Glyph { width: SPACE, strokes: Vec::new() });
    for line in include_str!("glyphs.txt").lines() {
        let mut words = line.split(' ');
        let (Some(letter), Some(width)) = (words.next(), words.next()) else { continue };
        let width = width.parse().expect("a width");
        glyphs[usize::from(letter.as_bytes()[0])] =
            Some(Glyph { width, strokes: words.map(stroke).collect() });
    }
    glyphs
});

fn stroke(word: &str) -> Stroke {
    let (kind, letters) = word.as_bytes().split_first().expect("a stroke");
    let points: Vec<Point> =
        letters.chunks(2).map(|p| [f64::from(p[0] - b'a'), f64::from(p[1] - b'A')]).collect();
    match kind {
        b'.' => Stroke { points: vec![points[0]; 2], dot: true },
        b'-' => Stroke { points, dot: false },
        kind => Stroke { points: smooth(&points, *kind == b'o'), dot: false },
    }
}

/// The Catmull-Rom curve through some points.
fn smooth(points: &[Point], closed: bool) -> Vec<Point> {
    let n = points.len();
    let at = |i: isize| match closed {
        true => points[i.rem_euclid(n as isize) as usize],
        false => points[i.clamp(0, n as isize - 1) as usize],
    };
    let spans = if closed { n } else { n - 1 };
    let mut curve = Vec::with_capacity(spans * PIECES + 1);
    for i in 0..spans as isize {
        let [a, b, c, d] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
        curve.extend((0..PIECES).map(|k| {
            let t = k as f64 / PIECES as f64;
            [0, 1].map(|j| {
                let linear = c[j] - a[j];
                let square = 2.0 * a[j] - 5.0 * b[j] + 4.0 * c[j] - d[j];
                let cube = 3.0 * b[j] - a[j] - 3.0 * c[j] + d[j];
                0.5 * (2.0 * b[j] + linear * t + square * t * t + cube * t * t * t)
            })
        }));
    }
    curve.push(at(spans as isize));
    curve
}

fn glyph(letter: char) -> &'static Glyph {
    let letter = if letter == '\u{2212}' { '-' } else { letter }; // the minus sign
    let found = GLYPHS.get(letter as usize).and_then(Option::as_ref);
    found.or(GLYPHS[usize::from(b'?')].as_ref()).expect("a question mark")
}

/// The width of a line of text in pixels.
pub fn width(text: &str, size: f64) -> f64 {
    let units: f64 = text.chars().take(MAX_CHARACTERS).map(|c| glyph(c).width + SPACING).sum();
    units * unit(size)[0]
}

/// Width and height of a unit in pixels.
fn unit(size: f64) -> Point {
    let height = CAPITAL * size / BASELINE;
    [NARROW * height, height]
}

/// How much of each pixel of a rectangle is covered.
pub struct Coverage {
    /// The left and the top pixel; may lie outside the picture.
    pub corner: [i64; 2],
    pub width: usize,
    /// `[height, width]`, each in [0, 1].
    pub shares: Vec<f64>,
}

/// Draws a line of text whose first character starts at `start` on the baseline, in pixels. A character outside ASCII is a
/// question mark.
pub fn draw(text: &str, start: Point, size: f64, bold: bool) -> Coverage {
    let [across, down] = unit(size);
    let pen = PEN[usize::from(bold)] * size;
    let edge = DOT * pen + 1.0;
    // Strokes reach from the top of capitals to five units below the baseline.
    let corner = [start[0] - edge, start[1] - BASELINE * down - edge].map(f64::floor);
    let end = [start[0] + width(text, size) + edge, start[1] + 5.0 * down + edge].map(f64::ceil);
    let [columns, rows] = [0, 1].map(|k| (end[k] - corner[k]) as usize);
    let mut shares = vec![0.0_f64; columns * rows];
    let mut left = 0.5 * SPACING;
    for letter in text.chars().take(MAX_CHARACTERS) {
        let glyph = glyph(letter);
        for stroke in &glyph.strokes {
            let radius = if stroke.dot { DOT * pen } else { pen };
            let place = |p: &Point| {
                let [x, y] = [start[0] + (left + p[0]) * across, start[1] + (p[1] - BASELINE) * down];
                [x - corner[0], y - corner[1]]
            };
            for pair in stroke.points.windows(2) {
                cover(&mut shares, [columns, rows], [place(&pair[0]), place(&pair[1])], radius);
            }
        }
        left += glyph.width + SPACING;
    }
    Coverage { corner: corner.map(|c| c as i64), width: columns, shares }
}

/// Covers the points within `radius` of the line from `a` to `b`.
fn cover(shares: &mut [f64], [columns, rows]: [usize; 2], [a, b]: [Point; 2], radius: f64) {
    let range = |k: usize, most: usize| {
        let (low, high) = (a[k].min(b[k]) - radius - 1.0, a[k].max(b[k]) + radius + 2.0);
        (low.max(0.0) as usize).min(most)..(high.max(0.0) as usize).min(most)
    };
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let squared = dx * dx + dy * dy;
    for y in range(1, rows) {
        for x in range(0, columns) {
            let (px, py) = (x as f64 + 0.5 - a[0], y as f64 + 0.5 - a[1]);
            let t = if squared > 0.0 { ((px * dx + py * dy) / squared).clamp(0.0, 1.0) } else { 0.0 };
            let distance = (px - t * dx).hypot(py - t * dy);
            let share = &mut shares[y * columns + x];
            *share = share.max((radius + 0.5 - distance).clamp(0.0, 1.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_character_has_a_glyph_within_its_width() {
        for code in 33..127_u8 {
            let letter = char::from(code);
            let glyph = GLYPHS[usize::from(code)].as_ref().unwrap_or_else(|| panic!("{letter}"));
            assert!(!glyph.strokes.is_empty(), "{letter}");
            for [x, y] in glyph.strokes.iter().flat_map(|s| &s.points) {
                // A curve may leave its points by half a unit.
                assert!((-0.6..=glyph.width + 0.6).contains(x), "{letter}: x {x}, width {}", glyph.width);
                assert!((-0.6..=18.6).contains(y), "{letter}: y {y}");
            }
        }
    }

    #[test]
    fn a_bar_covers_the_pixels_of_its_stroke() {
        // Of `l`, one vertical stroke: as high as a capital, and as wide as the pen.
        let size = 100.0;
        let found = draw("l", [50.0, 90.0], size, false);
        let covered: f64 = found.shares.iter().sum();
        let pen = PEN[0] * size;
        let expected = 2.0 * pen * CAPITAL * size + std::f64::consts::PI * pen * pen;
        assert!((covered / expected - 1.0).abs() < 0.02, "{covered} is not {expected}");
        let pixel = |x: i64, y: i64| {
            found.shares[(y - found.corner[1]) as usize * found.width + (x - found.corner[0]) as usize]
        };
        let middle = (50.0 + 0.5 * SPACING * unit(size)[0]) as i64;
        assert_eq!((pixel(middle, 60), pixel(middle + pen.ceil() as i64 + 1, 60)), (1.0, 0.0));
    }

    #[test]
    fn a_text_is_as_wide_as_it_says_and_unknown_letters_are_question_marks() {
        let found = draw("Hxx", [10.0, 30.0], 20.0, true);
        let row = found.shares.chunks(found.width);
        let right = row.filter_map(|row| row.iter().rposition(|&s| s > 0.5)).max().unwrap() as f64;
        let end = 10.0 + width("Hxx", 20.0) - 0.5 * SPACING * unit(20.0)[0] + PEN[1] * 20.0;
        assert!((found.corner[0] as f64 + right - end).abs() < 1.5);
        assert_eq!(draw("ü∞", [0.0; 2], 9.0, false).shares, draw("??", [0.0; 2], 9.0, false).shares);
        assert_eq!((width("", 20.0), width("\u{2212}1", 20.0)), (0.0, width("-1", 20.0)));
    }
}
