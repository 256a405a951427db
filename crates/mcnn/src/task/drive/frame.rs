//! The frame of `drive-pixels`: the road ahead from a camera above the car, and two instruments below.
//!
//! The camera is level, and its picture is cropped so that the horizon is a quarter of the height from the top. So every row of the
//! ground is at one distance ahead of the car, and every pixel is a rectangle there: a color counts by the share of that
//! rectangle it covers, measured across the road and along it.

use super::{
    Car, HALF_WIDTH, MOST_STEERING, TOP_SPEED,
    picture::{ASPHALT, Color, EDGE, FIELDS, GRAVEL, LINE, VERGE},
    road::Road,
};

/// Pixels of a side.
pub const SIDE: usize = 48;

const HORIZON: usize = 12; // the first row of ground
const PANEL: usize = 42; // the first row of instruments
const FOCAL: f64 = 24.0; // pixels: the picture is 90 degrees wide
const EYE: f64 = 3.0; // m, height of the camera
const BEHIND: f64 = 3.0; // m behind the car, and
const FAR: f64 = 60.0; // m ahead, between which the road is drawn
const POINTS: usize = 64; // of the center line in between, a meter apart
const DASH: f64 = 4.0; // m from one dash of the center line to the next, about: a whole number goes round
const FIELD: f64 = 6.0; // m, side of the fields that the ground is chequered with, to show place and motion
const HAZE: f64 = 90.0; // m: half of the color there is the haze's

const ZENITH: Color = [112.0, 158.0, 214.0];
const MIST: Color = [196.0, 210.0, 222.0];
const PANELS: Color = [26.0, 26.0, 30.0];
const SPEED: [usize; 2] = [43, 45]; // rows of the bar
const SPEED_BAR: Color = [240.0, 176.0, 48.0];
const WHEELS: [usize; 2] = [46, 48];
const WHEELS_BAR: Color = [90.0, 200.0, 240.0];
const BAR: f64 = 23.0; // pixels from the middle, at the most

/// Renders the view of the camera: `[SIDE, SIDE, 3]`, integers from 0 to 255.
pub(super) fn draw(car: &Car, to: &mut [f32]) {
    let view = View::of(car);
    let mut rows = to.as_chunks_mut::<{ 3 * SIDE }>().0.iter_mut();
    let mut put = |colors: [Color; SIDE]| {
        let Some(row) = rows.next() else { return };
        for (pixel, color) in row.as_chunks_mut::<3>().0.iter_mut().zip(colors) {
            *pixel = color.map(|c| f32::from((c + 0.5) as u8)); // to the nearest, within 0 to 255
        }
    };
    for row in 0..HORIZON {
        put([mixed(ZENITH, MIST, (row as f64 + 0.5) / HORIZON as f64); SIDE]);
    }
    for row in HORIZON..PANEL {
        put(view.ground(row));
    }
    for row in PANEL..SIDE {
        put(std::array::from_fn(|column| instruments(car, row, column)));
    }
}

/// The ground as the camera has it: x meters ahead of the car, y to its left.
struct View {
    place: [f64; 2],
    heading: [f64; 2], // unit vector
    pieces: [Piece; POINTS - 1],
    dash: f64, // m
}

/// A straight piece of the center line.
#[derive(Clone, Copy, Default)]
struct Piece {
    from: [f64; 2],
    way: [f64; 2], // unit vector to its end
    length: f64,   // m
    along: f64,    // m along the road, where it begins
    spacing: f64,  // m along the road, of all of it
}

/// The nearest point of the center line.
#[derive(Clone, Copy)]
struct Near {
    square: f64,   // of the distance, m2
    left: f64,     // above 0 where that goes to the line's left
    along: f64,    // m along the road
    way: [f64; 2], // unit vector along the line
}

impl Piece {
    fn nearest(&self, to: [f64; 2]) -> Near {
        let ([x, y], d) = (self.way, [to[0] - self.from[0], to[1] - self.from[1]]);
        let on = (d[0] * x + d[1] * y).clamp(0.0, self.length);
        let gap = [d[0] - on * x, d[1] - on * y];
        Near {
            square: gap[0] * gap[0] + gap[1] * gap[1],
            left: x * gap[1] - y * gap[0],
            along: self.along + on / self.length * self.spacing,
            way: self.way,
        }
    }

    /// Whether a pixel of the row may be nearer than `reach`, and the columns of those that may.
    fn columns(&self, row: &Row, reach: f64) -> std::ops::Range<usize> {
        let end = [0, 1].map(|k| self.from[k] + self.length * self.way[k]);
        let [low, high] = [f64::min, f64::max].map(|of| [0, 1].map(|k| of(self.from[k], end[k])));
        if low[0] - reach > row.ahead || high[0] + reach < row.ahead {
            return 0..0;
        }
        row.columns(low[1] - reach, high[1] + reach)
    }
}

/// A row of pixels on the ground.
struct Row {
    ahead: f64,  // m, of its middle
    across: f64, // m a column
    deep: f64,   // m from its lower edge to its upper
}

impl Row {
    fn of(row: usize) -> Self {
        let below = (row - HORIZON) as f64;
        let at = |below: f64| FOCAL * EYE / below;
        let ahead = at(below + 0.5);
        Self { ahead, across: ahead / FOCAL, deep: at(below) - at(below + 1.0) }
    }

    /// Meters to the left of the car.
    fn left(&self, column: usize) -> f64 {
        (SIDE as f64 / 2.0 - (column as f64 + 0.5)) * self.across
    }

    /// The columns between two distances to the left.
    fn columns(&self, right: f64, left: f64) -> std::ops::Range<usize> {
        let column = |left: f64| SIDE as f64 / 2.0 - left / self.across;
        // One more on both sides is harmless: pixels beyond the line are not covered.
        let [first, last] = [column(left) - 1.0, column(right) + 1.0];
        first.clamp(0.0, SIDE as f64) as usize..last.clamp(0.0, SIDE as f64) as usize
    }
}

impl View {
    fn of(car: &Car) -> Self {
        let [x, y] = car.road.direction(car.along);
        let (sin, cos) = car.heading.sin_cos();
        let mut view = Self {
            place: car.road.place(car.along, car.offset),
            heading: [x * cos - y * sin, x * sin + y * cos],
            pieces: [Piece::default(); POINTS - 1],
            dash: car.road.length / (car.road.length / DASH).round(),
        };
        let spacing = (BEHIND + FAR) / (POINTS - 1) as f64;
        let along = |k: usize| car.along - BEHIND + k as f64 * spacing;
        let mut from = view.point(&car.road, along(0));
        for k in 0..POINTS - 1 {
            let to = view.point(&car.road, along(k + 1));
            let way = [to[0] - from[0], to[1] - from[1]];
            let length = way[0].hypot(way[1]);
            view.pieces[k] = Piece { from, way: way.map(|x| x / length), length, along: along(k), spacing };
            from = to;
        }
        view
    }

    /// Where the center line is, as the camera has it.
    fn point(&self, road: &Road, along: f64) -> [f64; 2] {
        let [x, y] = road.place(along, 0.0);
        let d = [x - self.place[0], y - self.place[1]];
        let [a, b] = self.heading;
        [a * d[0] + b * d[1], a * d[1] - b * d[0]]
    }

    fn ground(&self, row: usize) -> [Color; SIDE] {
        let row = Row::of(row);
        let near = self.nearest(&row);
        std::array::from_fn(|column| {
            let mut color = self.field(&row, row.left(column));
            if let Some(near) = near[column] {
                self.paint(&mut color, &row, near);
            }
            mixed(color, MIST, row.ahead / (row.ahead + HAZE))
        })
    }

    /// The nearest point of the center line to each pixel of a row, where one is near enough for the road to be seen.
    fn nearest(&self, row: &Row) -> [Option<Near>; SIDE] {
        let mut nearest = [None; SIDE];
        if row.ahead > FAR {
            return nearest;
        }
        let reach = HALF_WIDTH + VERGE + row.deep.max(row.across);
        for piece in &self.pieces {
            for column in piece.columns(row, reach) {
                let near = piece.nearest([row.ahead, row.left(column)]);
                if nearest[column].is_none_or(|other: Near| near.square < other.square) {
                    nearest[column] = Some(near);
                }
            }
        }
        nearest
    }

    /// The fields: their middles lie on whole multiples of their side, so that the plane's mirror image is the same.
    fn field(&self, row: &Row, left: f64) -> Color {
        let [x, y] = self.heading;
        let world = [self.place[0] + row.ahead * x - left * y, self.place[1] + row.ahead * y + left * x];
        // Rounded to the nearest: the offset makes all values positive, for which the cast rounds down.
        let [a, b] = world.map(|x| (x / FIELD + 1000.5) as usize);
        let middle = mixed(FIELDS[0], FIELDS[1], 0.5);
        // Fields that a pixel does not tell apart are one color. Here they differ more than from above.
        let seen = (FIELD / (2.0 * row.deep.max(row.across))).min(1.0) * 2.5;
        let field = FIELDS[(a + b) % 2];
        mixed(middle, field, seen)
    }

    /// Lays the road over the ground.
    fn paint(&self, color: &mut Color, row: &Row, near: Near) {
        let [x, y] = near.way.map(f64::abs);
        // Of the pixel's rectangle, across the road and along it.
        let (wide, long) = (row.deep * y + row.across * x, row.deep * x + row.across * y);
        let offset = near.square.sqrt().copysign(near.left);
        let mut lay = |with: Color, from: f64, to: f64, share: f64| {
            *color = mixed(*color, with, share * covered(from, to, offset, wide));
        };
        lay(GRAVEL, -HALF_WIDTH - VERGE, HALF_WIDTH + VERGE, 1.0);
        lay(ASPHALT, -HALF_WIDTH, HALF_WIDTH, 1.0);
        lay(LINE, EDGE[0], EDGE[1], 1.0);
        lay(LINE, -EDGE[1], -EDGE[0], 1.0);
        // Half of the way is dashes; their middles are those of the stretches from one to the next.
        let dashes = near.along / self.dash + 2.0; // above 0: the road is drawn from a little before its first point on
        let from_middle = (dashes - (dashes as usize) as f64 - 0.5) * self.dash;
        let quarter = self.dash / 4.0;
        let dashes = if long > self.dash { 0.5 } else { covered(-quarter, quarter, from_middle, long) };
        lay(LINE, -0.07, 0.07, dashes);
    }
}

/// The bars: the speed's as far to both sides, the wheels' to the side they are turned to.
fn instruments(car: &Car, row: usize, column: usize) -> Color {
    let left = SIDE as f64 / 2.0 - (column as f64 + 0.5); // pixels
    let (speed, turned) = (BAR * car.speed / TOP_SPEED, BAR * car.steering / MOST_STEERING);
    let bar = |rows: [usize; 2], color: Color, from: f64, to: f64| match (rows[0]..rows[1]).contains(&row) {
        true => Some(mixed(PANELS, color, covered(from, to, left, 1.0))),
        false => None,
    };
    bar(SPEED, SPEED_BAR, -speed, speed)
        .or_else(|| bar(WHEELS, WHEELS_BAR, turned.min(0.0), turned.max(0.0)))
        .unwrap_or(PANELS)
}

/// The share of a stretch of `width` around `at` that lies between `from` and `to`.
fn covered(from: f64, to: f64, at: f64, width: f64) -> f64 {
    ((to.min(at + width / 2.0) - from.max(at - width / 2.0)) / width).max(0.0)
}

fn mixed(from: Color, to: Color, share: f64) -> Color {
    [0, 1, 2].map(|k| from[k] + share * (to[k] - from[k]))
}

#[cfg(test)]
mod tests;
