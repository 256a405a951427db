//! The road of `drive`: a closed center line drawn around the origin, by seed.

use crate::seed::Seed;
use std::f64::consts::TAU;

/// Half the width of the road, in meters; a car whose center is farther out has left it.
pub const HALF_WIDTH: f64 = 2.0;
/// The sharpest bend a road may have, in 1/m. Far below 1/[`HALF_WIDTH`], so the inner edge never folds.
pub const SHARPEST: f64 = 0.09;

const RADIUS: f64 = 80.0; // mean distance from the origin, m
const WAVES: std::ops::RangeInclusive<u32> = 2..=8;
const SAMPLES: usize = 2048;
const LOOKS: u32 = 512; // angles at which a new road's bends are measured

/// A closed road: points at equal distances along its center line, counter-clockwise.
#[derive(Debug, Clone)]
pub struct Road {
    /// Length of the center line, in meters.
    pub length: f64,
    points: Vec<Point>, // [SAMPLES], point i at distance i * length / SAMPLES
}

#[derive(Debug, Clone, Copy)]
struct Point {
    place: [f64; 2],   // m
    tangent: [f64; 2], // unit vector of travel
    curvature: f64,    // 1/m, positive to the left
}

/// Center line and edges as closed polygons in meters, for drawing; the last point is followed by the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// The center line.
    pub center: Vec<[f32; 2]>,
    /// The edge on the left of travel.
    pub left: Vec<[f32; 2]>,
    /// The edge on the right of travel.
    pub right: Vec<[f32; 2]>,
}

impl Road {
    /// The road of a seed: in polar coordinates r(a) = R (1 + sum over k of c_k cos(k a + p_k)), with random c and p,
    /// the c made smaller together until no bend is sharper than [`SHARPEST`].
    pub fn new(seed: u64) -> Self {
        let mut rng = Seed(seed).fork("road").rng();
        let mut waves: Vec<[f64; 3]> = WAVES
            .map(|k| {
                let k = f64::from(k);
                [k, rng.between(0.5, 1.0) * 2.5 / (k * k), rng.between(0.0, TAU)]
            })
            .collect();
        // Evaluated between the points of the road, hence with a tolerance.
        let sharpest = |waves: &[[f64; 3]]| {
            let bends =
                (0..LOOKS).map(|i| at_angle(waves, f64::from(i) * TAU / f64::from(LOOKS)).0.curvature);
            bends.fold(0.0, |most: f64, bend| most.max(bend.abs()))
        };
        while sharpest(&waves) > 0.98 * SHARPEST {
            waves.iter_mut().for_each(|w| w[1] *= 0.95);
        }
        Self::around(&waves)
    }

    fn around(waves: &[[f64; 3]]) -> Self {
        // The angles first, at equal steps; then the same curve again at equal distances.
        let fine = 2 * SAMPLES;
        let mut along = vec![0.0; fine + 1]; // [fine + 1], distance at angle i * TAU / fine
        for i in 0..fine {
            let middle = (i as f64 + 0.5) * TAU / fine as f64;
            along[i + 1] = along[i] + at_angle(waves, middle).1 * TAU / fine as f64;
        }
        let length = along[fine];
        let points = (0..SAMPLES)
            .map(|i| {
                let wanted = i as f64 * length / SAMPLES as f64;
                let next = along.partition_point(|&d| d <= wanted).min(fine);
                let share = (wanted - along[next - 1]) / (along[next] - along[next - 1]);
                at_angle(waves, (next as f64 - 1.0 + share) * TAU / fine as f64).0
            })
            .collect();
        Self { length, points }
    }

    /// Curvature of the center line at a distance along it (any number, taken round the loop), in 1/m.
    pub fn curvature(&self, distance: f64) -> f64 {
        let (a, b, share) = self.between(distance);
        a.curvature + share * (b.curvature - a.curvature)
    }

    /// The point of the plane that is `offset` meters to the left of the center line at a distance along it.
    pub fn place(&self, distance: f64, offset: f64) -> [f64; 2] {
        let (a, b, share) = self.between(distance);
        let mix = |from: f64, to: f64| from + share * (to - from);
        let tangent = [0, 1].map(|i| mix(a.tangent[i], b.tangent[i]));
        [mix(a.place[0], b.place[0]) - offset * tangent[1], mix(a.place[1], b.place[1]) + offset * tangent[0]]
    }

    /// The unit vector of travel along the center line at a distance.
    pub fn direction(&self, distance: f64) -> [f64; 2] {
        let (a, b, share) = self.between(distance);
        let [x, y] = [0, 1].map(|i| a.tangent[i] + share * (b.tangent[i] - a.tangent[i]));
        let length = x.hypot(y);
        [x / length, y / length]
    }

    /// The road as polygons.
    pub fn drawing(&self) -> Drawing {
        let line = |offset: f64| {
            let at = |i: usize| self.place(i as f64 * self.length / SAMPLES as f64, offset);
            (0..SAMPLES).step_by(4).map(|i| at(i).map(|x| x as f32)).collect()
        };
        Drawing { center: line(0.0), left: line(HALF_WIDTH), right: line(-HALF_WIDTH) }
    }

    /// The road's mirror image in the first axis, driven the same way round its bends.
    #[cfg(test)]
    pub(super) fn mirrored(&self) -> Self {
        let flip = |[x, y]: [f64; 2]| [x, -y];
        let points = self.points.iter().map(|p| Point {
            place: flip(p.place),
            tangent: flip(p.tangent),
            curvature: -p.curvature,
        });
        Self { length: self.length, points: points.collect() }
    }

    fn between(&self, distance: f64) -> (&Point, &Point, f64) {
        let x = (distance / self.length).rem_euclid(1.0) * SAMPLES as f64;
        let i = (x as usize).min(SAMPLES - 1); // rem_euclid may round up to 1
        (&self.points[i], &self.points[(i + 1) % SAMPLES], x - i as f64)
    }
}

/// The point at a polar angle, and how fast the distance grows with the angle there.
fn at_angle(waves: &[[f64; 3]], angle: f64) -> (Point, f64) {
    let (mut r, mut dr, mut ddr) = (1.0, 0.0, 0.0);
    for &[k, c, phase] in waves {
        let (sin, cos) = (k * angle + phase).sin_cos();
        r += c * cos;
        dr -= c * k * sin;
        ddr -= c * k * k * cos;
    }
    let [r, dr, ddr] = [r, dr, ddr].map(|x| x * RADIUS);
    let (sin, cos) = angle.sin_cos();
    let speed = r.hypot(dr);
    let point = Point {
        place: [r * cos, r * sin],
        tangent: [(dr * cos - r * sin) / speed, (dr * sin + r * cos) / speed],
        curvature: (r * r + 2.0 * dr * dr - r * ddr) / speed.powi(3),
    };
    (point, speed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_road_closes_bends_no_sharper_than_said_and_turns_round_once() {
        for seed in 0..20 {
            let road = Road::new(seed);
            let step = road.length / SAMPLES as f64;
            let turned: f64 = road.points.iter().map(|p| p.curvature * step).sum();
            assert!((turned - TAU).abs() < 1e-5, "seed {seed}: turned {turned}");
            for i in 0..SAMPLES {
                let (a, b) = (&road.points[i], &road.points[(i + 1) % SAMPLES]);
                let gap = (a.place[0] - b.place[0]).hypot(a.place[1] - b.place[1]);
                assert!((gap - step).abs() < 1e-3 * step, "seed {seed}, point {i}: {gap} for {step}");
                assert!(a.curvature.abs() <= SHARPEST);
                // The tangent turns by curvature times distance.
                let turn = a.tangent[0] * b.tangent[1] - a.tangent[1] * b.tangent[0];
                let middle = (a.curvature + b.curvature) / 2.0;
                assert!((turn - middle * step).abs() < 1e-3 * step, "seed {seed}, point {i}");
            }
        }
    }

    #[test]
    fn the_edges_lie_half_a_width_to_each_side() {
        let drawing = Road::new(3).drawing();
        let lines = drawing.center.iter().zip(&drawing.left).zip(&drawing.right);
        for ((c, l), r) in lines {
            for edge in [l, r] {
                let gap = f64::from((c[0] - edge[0]).hypot(c[1] - edge[1]));
                assert!((gap - HALF_WIDTH).abs() < 1e-3);
            }
            // Counter-clockwise around the origin, the left edge is the inner one.
            assert!(l[0].hypot(l[1]) < r[0].hypot(r[1]));
        }
    }
}
