//! The scene of `drive` from above: the road around the car, which stays in its place and drives up the picture.

use super::{Car, HALF_WIDTH, WHEELBASE};
use crate::task::Picture;

/// Pixels of a side.
pub const SIDE: usize = 320;

const SCALE: f64 = 7.0; // pixels per meter
const CAR_AT: [f64; 2] = [0.5, 0.7]; // the car's place, as shares of the picture from the top left
const SPACING: f64 = 0.5; // m between the points that the center line is drawn through
pub(super) const EDGE: [f64; 2] = [HALF_WIDTH - 0.22, HALF_WIDTH - 0.06]; // m from the center line: the white lines
pub(super) const VERGE: f64 = 0.7; // m of gravel beside the road
pub(super) const DASH: f64 = 4.0; // m from one dash of the center line to the next, about: a whole number goes round
const FIELD: f64 = 12.0; // m, side of the fields that the ground is chequered with, to show the motion
const BODY: [f64; 2] = [2.2, 0.95]; // m, half length and half width of the car
const WHEEL: [f64; 2] = [0.38, 0.14]; // m, half length and half width
const TRACK: f64 = 0.88; // m from the middle line to a wheel

pub(super) type Color = [f64; 3];
pub(super) const FIELDS: [Color; 2] = [[98.0, 143.0, 84.0], [91.0, 135.0, 79.0]];
pub(super) const GRAVEL: Color = [164.0, 152.0, 126.0];
pub(super) const ASPHALT: Color = [72.0, 74.0, 80.0];
pub(super) const LINE: Color = [236.0, 236.0, 230.0];
const PAINT: Color = [206.0, 52.0, 44.0];
const GLASS: Color = [44.0, 56.0, 70.0];
const RUBBER: Color = [22.0, 22.0, 24.0];

/// The picture of a car where it is now.
pub(super) fn draw(car: &Car) -> Picture {
    let view = View::of(car);
    let nearest = center_line(car, &view);
    let dash = car.road.length / (car.road.length / DASH).round();
    let mut rgb = Vec::with_capacity(SIDE * SIDE * 3);
    for (i, near) in nearest.into_iter().enumerate() {
        let pixel = [(i % SIDE) as f64 + 0.5, (i / SIDE) as f64 + 0.5];
        let mut color = ground(view.world(pixel));
        paint_road(&mut color, near, dash);
        paint_car(&mut color, view.ahead(pixel), car.steering);
        rgb.extend(color.map(|c| c.round().clamp(0.0, 255.0) as u8));
    }
    Picture { width: SIDE, height: SIDE, rgb }
}

/// Where the camera is: above the car, its heading upwards.
struct View {
    place: [f64; 2],
    heading: [f64; 2], // unit vector
}

impl View {
    fn of(car: &Car) -> Self {
        let [x, y] = car.road.direction(car.along);
        let (sin, cos) = car.heading.sin_cos();
        Self { place: car.road.place(car.along, car.offset), heading: [x * cos - y * sin, x * sin + y * cos] }
    }

    /// Meters ahead of the car and to its left, of a point of the picture.
    fn ahead(&self, pixel: [f64; 2]) -> [f64; 2] {
        let side = SIDE as f64;
        [(CAR_AT[1] * side - pixel[1]) / SCALE, (CAR_AT[0] * side - pixel[0]) / SCALE]
    }

    fn world(&self, pixel: [f64; 2]) -> [f64; 2] {
        let ([ahead, left], [x, y]) = (self.ahead(pixel), self.heading);
        [self.place[0] + ahead * x - left * y, self.place[1] + ahead * y + left * x]
    }

    /// The point of the picture that shows a point of the plane.
    fn pixel(&self, world: [f64; 2]) -> [f64; 2] {
        let (dx, dy) = (world[0] - self.place[0], world[1] - self.place[1]);
        let [x, y] = self.heading;
        let side = SIDE as f64;
        [CAR_AT[0] * side - SCALE * (x * dy - y * dx), CAR_AT[1] * side - SCALE * (x * dx + y * dy)]
    }
}

/// For each pixel, meters to the center line and the meters along it at the nearest point; infinite where far.
fn center_line(car: &Car, view: &View) -> Vec<[f64; 2]> {
    let mut nearest = vec![[f64::INFINITY, 0.0]; SIDE * SIDE];
    let reach = SCALE * (HALF_WIDTH + VERGE + 1.0);
    let pieces = (car.road.length / SPACING).ceil();
    let spacing = car.road.length / pieces;
    let mut from = view.pixel(car.road.place(0.0, 0.0));
    for k in 0..pieces as usize {
        let along = k as f64 * spacing;
        let to = view.pixel(car.road.place(along + spacing, 0.0));
        let range = |axis: usize| {
            let low = from[axis].min(to[axis]) - reach;
            let high = from[axis].max(to[axis]) + reach;
            low.clamp(0.0, SIDE as f64) as usize..high.clamp(0.0, SIDE as f64) as usize
        };
        let (columns, piece) = (range(0), [to[0] - from[0], to[1] - from[1]]);
        let square = piece[0] * piece[0] + piece[1] * piece[1];
        for row in range(1) {
            for column in columns.clone() {
                let d = [column as f64 + 0.5 - from[0], row as f64 + 0.5 - from[1]];
                let share = ((d[0] * piece[0] + d[1] * piece[1]) / square).clamp(0.0, 1.0);
                let gap = (d[0] - share * piece[0]).hypot(d[1] - share * piece[1]) / SCALE;
                let there = &mut nearest[row * SIDE + column];
                if gap < there[0] {
                    *there = [gap, along + share * spacing];
                }
            }
        }
        from = to;
    }
    nearest
}

fn ground(world: [f64; 2]) -> Color {
    let [a, b] = world.map(|x| (x / FIELD).floor() as i64);
    FIELDS[(a + b).rem_euclid(2) as usize]
}

fn paint_road(color: &mut Color, [gap, along]: [f64; 2], dash: f64) {
    cover(color, GRAVEL, HALF_WIDTH + VERGE - gap);
    cover(color, ASPHALT, HALF_WIDTH - gap);
    cover(color, LINE, (gap - EDGE[0]).min(EDGE[1] - gap));
    // The dashes' ends are a quarter of the way to the next from their middle.
    let from_middle = (along.rem_euclid(dash) - dash / 2.0).abs();
    cover(color, LINE, (0.07 - gap).min(dash / 4.0 - from_middle));
}

/// `at`: meters ahead of the car's middle and to its left.
fn paint_car(color: &mut Color, at: [f64; 2], steering: f64) {
    for (along, turn) in [(WHEELBASE / 2.0, steering), (-WHEELBASE / 2.0, 0.0)] {
        for side in [TRACK, -TRACK] {
            let (sin, cos) = turn.sin_cos();
            let d = [at[0] - along, at[1] - side];
            cover(color, RUBBER, inside([d[0] * cos + d[1] * sin, d[1] * cos - d[0] * sin], WHEEL, 0.05));
        }
    }
    cover(color, PAINT, inside(at, [BODY[0], BODY[1] - 0.12], 0.5));
    cover(color, GLASS, inside([at[0] - 0.55, at[1]], [0.32, 0.66], 0.15)); // the windscreen
    cover(color, GLASS, inside([at[0] + 1.35, at[1]], [0.22, 0.6], 0.12)); // the rear window
}

/// Meters from a point to the border of a rounded rectangle around the origin, positive inside.
fn inside(at: [f64; 2], half: [f64; 2], radius: f64) -> f64 {
    let d = [0, 1].map(|k| at[k].abs() - half[k] + radius);
    radius - d.map(|x| x.max(0.0)).into_iter().fold(0.0, f64::hypot) - d[0].max(d[1]).min(0.0)
}

/// Lays a color over another where a point lies inside (meters from the border), blending over the width of a pixel.
fn cover(color: &mut Color, with: Color, inside: f64) {
    let share = (inside * SCALE + 0.5).clamp(0.0, 1.0);
    for (c, w) in color.iter_mut().zip(with) {
        *c += share * (w - *c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn color(picture: &Picture, at: [f64; 2]) -> Color {
        let i = at[1] as usize * SIDE + at[0] as usize;
        [0, 1, 2].map(|k| f64::from(picture.rgb[3 * i + k]))
    }

    #[test]
    fn the_road_is_where_its_coordinates_say_and_the_car_where_it_is() {
        for seed in 0..5 {
            let mut car = Car::new(seed);
            (car.offset, car.heading) = (0.8, 0.2);
            let (view, picture) = (View::of(&car), draw(&car));
            assert_eq!(picture.rgb.len(), SIDE * SIDE * 3);
            for meters in [6.0, 9.0, 13.0] {
                let mut seen = 0;
                for (offset, wanted) in [
                    (1.2, ASPHALT),
                    (-1.2, ASPHALT),
                    (HALF_WIDTH - 0.14, LINE),
                    (HALF_WIDTH + 0.4, GRAVEL),
                    (-HALF_WIDTH - 0.4, GRAVEL),
                ] {
                    let place = car.road.place(car.along + meters, offset);
                    let pixel = view.pixel(place);
                    assert!(pixel.iter().all(|x| (0.0..SIDE as f64).contains(x)));
                    let back = view.world(pixel);
                    assert!((back[0] - place[0]).hypot(back[1] - place[1]) < 1e-9);
                    let there = color(&picture, pixel);
                    // Lines are a pixel wide and blended with what is beside them.
                    let close = if wanted == LINE { 90.0 } else { 2.0 };
                    seen += u32::from((0..3).all(|k| (there[k] - wanted[k]).abs() <= close));
                }
                assert_eq!(seen, 5, "seed {seed}, {meters} m ahead");
            }
            assert_eq!(color(&picture, view.pixel(view.place)), PAINT);
        }
    }

    #[test]
    fn pictures_follow_from_the_state_and_move_with_it() {
        let mut car = Car::new(3);
        let first = draw(&car);
        assert_eq!(draw(&car), first);
        car.along += 1.0;
        assert_ne!(draw(&car), first);
        car.along -= 1.0;
        car.steering = 0.3;
        let turned = draw(&car);
        let differ = first.rgb.iter().zip(&turned.rgb).filter(|(a, b)| a != b).count();
        assert!((3..600).contains(&differ), "only the front wheels: {differ} bytes");
    }
}
