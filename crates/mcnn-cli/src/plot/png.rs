//! Rasterizes the SVG of this module at twice the size: rectangles, lines, polylines, polygons, circles and text. Other SVG is
//! not supported.

use mcnn::{Error, Result, error::Kind};

use super::font;

const SCALE: f64 = 2.0;
const SAMPLES: usize = 4; // per side of a pixel, for antialiasing

/// The bytes of a PNG.
///
/// # Errors
/// If it cannot be encoded.
pub fn png(svg: &str) -> Result<Vec<u8>> {
    let page = drawn(svg);
    lodepng::encode24(&page.rgb, page.width, page.height)
        .map_err(|e| Error::new(Kind::File, "the picture cannot be written as PNG").found(e.to_string()))
}

fn drawn(svg: &str) -> Page {
    let mut page = Page { width: 0, height: 0, rgb: Vec::new() };
    for element in svg.split('<').skip(1) {
        let Some((tag, text)) = element.split_once('>') else { continue };
        let tag = Tag(tag);
        match tag.name() {
            "svg" => page = Page::new(tag.number("width"), tag.number("height")),
            "rect" if tag.get("width") == Some("100%") => {} // the page is white
            "rect" => {
                let [x, y, w, h] = ["x", "y", "width", "height"].map(|key| tag.number(key));
                page.fill([x, y, x + w, y + h], tag.ink("fill"), |_, _| true);
            }
            "circle" => {
                let [x, y, r] = ["cx", "cy", "r"].map(|key| tag.number(key));
                let inside = |px: f64, py: f64| (px - x).hypot(py - y) <= r;
                page.fill([x - r, y - r, x + r, y + r], tag.ink("fill"), inside);
            }
            "line" => {
                let [x1, y1, x2, y2] = ["x1", "y1", "x2", "y2"].map(|key| tag.number(key));
                page.stroke(&[[x1, y1], [x2, y2]], &tag);
            }
            "polyline" => page.stroke(&tag.points(), &tag),
            "polygon" => page.polygon(&tag.points(), tag.ink("fill")),
            "text" => page.text(&tag, text),
            _ => {}
        }
    }
    page
}

/// The text between < and >.
struct Tag<'a>(&'a str);

impl<'a> Tag<'a> {
    fn name(&self) -> &'a str {
        self.0.split([' ', '/']).next().unwrap_or_default()
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        let mut rest = self.0;
        while let Some((before, after)) = rest.split_once("=\"") {
            let (value, more) = after.split_once('"')?;
            if before.trim_start().rsplit(' ').next() == Some(key) {
                return Some(value);
            }
            rest = more;
        }
        None
    }

    fn number(&self, key: &str) -> f64 {
        self.get(key).and_then(|v| v.parse().ok()).unwrap_or(0.0)
    }

    /// A color such as #0072b2 or #222, with its opacity.
    fn ink(&self, key: &str) -> Ink {
        let hex = self.get(key).and_then(|v| v.strip_prefix('#')).unwrap_or("222");
        let digit = |i: usize| hex.get(i..=i).and_then(|d| u8::from_str_radix(d, 16).ok()).unwrap_or(0);
        let rgb = if hex.len() == 3 {
            [0, 1, 2].map(|i| 17 * digit(i))
        } else {
            [0, 2, 4].map(|i| 16 * digit(i) + digit(i + 1))
        };
        Ink { rgb, opacity: self.get("fill-opacity").and_then(|v| v.parse().ok()).unwrap_or(1.0) }
    }

    fn points(&self) -> Vec<[f64; 2]> {
        let pair = |p: &str| {
            let (x, y) = p.split_once(',')?;
            Some([x.parse().ok()?, y.parse().ok()?])
        };
        self.get("points").unwrap_or_default().split(' ').filter_map(pair).collect()
    }
}

#[derive(Clone, Copy)]
struct Ink {
    rgb: [u8; 3],
    opacity: f64,
}

/// The pixels. All coordinates are in units of the SVG.
struct Page {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Page {
    fn new(width: f64, height: f64) -> Self {
        let [width, height] = [width, height].map(|n| (n * SCALE).ceil() as usize);
        Self { width, height, rgb: vec![255; 3 * width * height] }
    }

    /// Fills the points that are `inside`, within a bounding box, with antialiasing.
    fn fill(&mut self, [left, top, right, bottom]: [f64; 4], ink: Ink, inside: impl Fn(f64, f64) -> bool) {
        let pixels = |from: f64, to: f64, most: usize| {
            ((from * SCALE).floor().max(0.0) as usize).min(most)
                ..((to * SCALE).ceil().max(0.0) as usize).min(most)
        };
        let part = |i: usize, k: usize| (i as f64 + (k as f64 + 0.5) / SAMPLES as f64) / SCALE;
        for y in pixels(top, bottom, self.height) {
            for x in pixels(left, right, self.width) {
                let hit = |k: &usize| {
                    let (px, py) = (part(x, k % SAMPLES), part(y, k / SAMPLES));
                    (left..=right).contains(&px) && (top..=bottom).contains(&py) && inside(px, py)
                };
                let share = (0..SAMPLES * SAMPLES).filter(hit).count() as f64 / (SAMPLES * SAMPLES) as f64;
                self.blend([x, y], ink, share);
            }
        }
    }

    fn polygon(&mut self, points: &[[f64; 2]], ink: Ink) {
        let ends = |k: usize, choose: fn(f64, f64) -> f64, start: f64| {
            points.iter().map(|p| p[k]).fold(start, choose)
        };
        let (low, high) = (f64::INFINITY, f64::NEG_INFINITY);
        let around = [
            ends(0, f64::min, low),
            ends(1, f64::min, low),
            ends(0, f64::max, high),
            ends(1, f64::max, high),
        ];
        // Even-odd rule: a ray to the right crosses the outline an odd number of times.
        let inside = |x: f64, y: f64| {
            let sides = points.iter().zip(points.iter().cycle().skip(1));
            let crossed = |(a, b): &(&[f64; 2], &[f64; 2])| {
                (a[1] > y) != (b[1] > y) && x < a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
            };
            sides.filter(crossed).count() % 2 == 1
        };
        if !points.is_empty() {
            self.fill(around, ink, inside);
        }
    }

    /// Draws a polyline, dashed where the tag has a `stroke-dasharray`.
    fn stroke(&mut self, points: &[[f64; 2]], tag: &Tag) {
        let half = 0.5 * tag.get("stroke-width").map_or(1.0, |w| w.parse().unwrap_or(1.0));
        let dashes: Vec<f64> = tag
            .get("stroke-dasharray")
            .unwrap_or_default()
            .split(' ')
            .filter_map(|d| d.parse().ok())
            .collect();
        let round: f64 = dashes.iter().sum();
        let mut along = 0.0;
        for pair in points.windows(2) {
            let ([x1, y1], [x2, y2]) = (pair[0], pair[1]);
            let (dx, dy) = (x2 - x1, y2 - y1);
            let length = dx.hypot(dy);
            if length == 0.0 {
                continue;
            }
            let drawn = |t: f64| {
                let mut left = if round > 0.0 { (along + t) % round } else { return true };
                let end = dashes.iter().position(|d| {
                    left -= d;
                    left < 0.0
                });
                end.is_none_or(|k| k % 2 == 0)
            };
            let near = |x: f64, y: f64| {
                let t = ((x - x1) * dx + (y - y1) * dy) / length;
                let off = ((x - x1) * dy - (y - y1) * dx) / length;
                off.abs() <= half && (0.0..=length).contains(&t) && drawn(t)
            };
            let around = [x1.min(x2) - half, y1.min(y2) - half, x1.max(x2) + half, y1.max(y2) + half];
            self.fill(around, tag.ink("stroke"), near);
            along += length;
        }
    }

    fn text(&mut self, tag: &Tag, text: &str) {
        let text =
            text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
        let size = SCALE * tag.get("font-size").and_then(|v| v.parse().ok()).unwrap_or(13.0);
        let before = match tag.get("text-anchor") {
            Some("middle") => 0.5,
            Some("end") => 1.0,
            _ => 0.0,
        };
        let left = SCALE * tag.number("x") - before * font::width(&text, size);
        let bold = tag.get("font-weight").is_some();
        let drawn = font::draw(&text, [left, SCALE * tag.number("y")], size, bold);
        let ink = tag.ink("fill");
        for (i, share) in drawn.shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let x = drawn.corner[0] + (i % drawn.width) as i64;
            let y = drawn.corner[1] + (i / drawn.width) as i64;
            if let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) {
                self.blend([x, y], ink, *share);
            }
        }
    }

    /// Mixes a color into a pixel. A pixel outside the page is left out.
    fn blend(&mut self, [x, y]: [usize; 2], ink: Ink, share: f64) {
        if x >= self.width || y >= self.height {
            return;
        }
        let at = 3 * (y * self.width + x);
        for (to, from) in self.rgb[at..at + 3].iter_mut().zip(ink.rgb) {
            let mixed = f64::from(*to) + share * ink.opacity * (f64::from(from) - f64::from(*to));
            *to = mixed.round() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(inside: &str) -> Page {
        drawn(&format!(r#"<svg width="20" height="10" fill="red">{inside}</svg>"#))
    }

    fn pixel(page: &Page, x: usize, y: usize) -> [u8; 3] {
        page.rgb[3 * (y * page.width + x)..][..3].try_into().unwrap()
    }

    #[test]
    fn shapes_cover_the_pixels_they_should() {
        let dark =
            |p: &Page| p.rgb.chunks(3).map(|c| f64::from(255 - c[1]) / 255.0).sum::<f64>() / (SCALE * SCALE);
        assert_eq!((page("").width, page("").height), (40, 20));
        let rect = page(r##"<rect x="2" y="3" width="4" height="5" fill="#000000"/>"##);
        assert!((dark(&rect) - 20.0).abs() < 1e-9);
        assert_eq!(
            (pixel(&rect, 4, 6), pixel(&rect, 3, 6), pixel(&rect, 12, 6)),
            ([0; 3], [255; 3], [255; 3])
        );
        let circle = page(r##"<circle cx="10" cy="5" r="4" fill="#000"/>"##);
        assert!((dark(&circle) / (16.0 * std::f64::consts::PI) - 1.0).abs() < 0.01);
        let half = page(r##"<polygon points="0,0 20,0 0,10" fill="#000" fill-opacity="0.5"/>"##);
        assert!((dark(&half) - 50.0).abs() < 1.0);
        let line = page(r##"<line x1="1" x2="17" y1="1" y2="9" stroke="#000" stroke-width="2"/>"##);
        assert!((dark(&line) / (2.0 * 16_f64.hypot(8.0)) - 1.0).abs() < 0.02);
        let dashed = page(
            r##"<polyline points="0,5 10,5 20,5" stroke="#000" stroke-width="2" stroke-dasharray="3 1"/>"##,
        );
        assert!((dark(&dashed) - 30.0).abs() < 0.5, "{}", dark(&dashed));
        assert_eq!(
            pixel(&page(r##"<rect x="0" y="0" width="9" height="9" fill="#0072b2"/>"##), 1, 1),
            [0, 0x72, 0xb2]
        );
    }

    #[test]
    fn text_stands_where_its_anchor_says() {
        let columns = |inside: &str| {
            let page = page(inside);
            let mut dark = (0..page.width).filter(|&x| (0..page.height).any(|y| pixel(&page, x, y)[0] < 128));
            (dark.next().unwrap(), dark.next_back().unwrap())
        };
        let at = |center: &str| {
            columns(&format!(r#"<text x="10" y="9" font-size="8" text-anchor="{center}">HH</text>"#))
        };
        let (start, middle, end) = (at("start"), at("middle"), at("end"));
        assert!(
            start.0 >= 20 && end.1 < 20 && middle.0 < 20 && middle.1 >= 20,
            "{start:?} {middle:?} {end:?}"
        );
        columns(r#"<text x="0" y="9" font-weight="bold">&lt;ü</text>"#);
    }
}
