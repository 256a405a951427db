//! Lower and upper bounds of d_I over a box of states, by branch and bound.
//!
//! For a box B and a memory m let far(B, m) be the distance from m to the farthest corner of B. No state of B is farther from
//! its nearest memory than the minimum over m of far(B, m), so that minimum is an upper bound; it decreases as boxes are
//! split. The distance of any one state of B is a lower bound. In few dimensions the two meet; in many dimensions they do
//! not within a practical budget, and the upper bound is the result.
//!
//! The bounds hold for distances *as computed in f32*: far(B, m) applies the operations of [`nearest::distance2`] in the same
//! order, the farther end of the box in a dimension is at least as far as any state, and rounding is monotonic.
//!
//! An interval of an angle is an arc in the plane of its cosine and sine. The bounds take the rectangle around the arc; the states
//! whose distances are lower bounds lie on it.

use std::{cmp::Ordering, collections::BinaryHeap, rc::Rc};

use crate::{data::Scale, memory::Codebook};

/// When to stop the search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchBudget {
    /// Stop when the gap between the squared bounds is at most this share of the upper one.
    pub tolerance: f32,
    /// Stop after this many distance computations.
    pub measurements: u64,
}

impl Default for SearchBudget {
    /// A gap of 1 %; some seconds.
    fn default() -> Self {
        Self { tolerance: 0.01, measurements: 20_000_000 }
    }
}

/// Lower and upper bounds of d_I over a box of states.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct IsolationBounds {
    /// A state of the box is at this distance from its nearest memory.
    pub lower: f32,
    /// No state of the box is farther from its nearest memory.
    pub upper: f32,
    /// Boxes evaluated.
    pub boxes: u64,
    /// Whether the gap between the bounds is within the tolerance.
    pub tight: bool,
}

/// Bounds d_I over the box of states between two corners (`low` and `high`, `[n_obs]`, in the data's units). The upper bound
/// holds for every f32 state in the box.
///
/// # Panics
/// If a width differs from the codebook's.
pub fn bound_isolation(
    codebook: &Codebook,
    low: &[f32],
    high: &[f32],
    effort: SearchBudget,
) -> IsolationBounds {
    let coordinates = Coordinates { scale: &codebook.parts().scale };
    let memories: Vec<Vec<f32>> = (0..codebook.len()).map(|i| codebook.standardized_state(i)).collect();
    let all: Rc<[u32]> = (0..memories.len() as u32).collect();
    let mut search = Search { coordinates, memories, lower: 0.0, boxes: 0, measured: 0 };
    let [low, high] = [low, high].map(|state| search.coordinates.of_state(state));
    let mut open = BinaryHeap::from([search.evaluate(low, high, &all)]);
    loop {
        let top = open.peek().expect("a box is removed only when its halves are added");
        let upper = top.upper;
        let tight = upper - search.lower <= effort.tolerance * upper;
        let split = search.coordinates.split_at(top);
        let (true, true, Some((k, middle))) = (!tight, search.measured < effort.measurements, split) else {
            return IsolationBounds {
                lower: search.lower.sqrt(),
                upper: upper.sqrt(),
                boxes: search.boxes,
                tight,
            };
        };
        let parent = open.pop().expect("it was there");
        let (mut below, mut above) = (parent.high.clone(), parent.low.clone());
        below[k] = middle;
        above[k] = middle;
        open.push(search.evaluate(parent.low, below, &parent.candidates));
        open.push(search.evaluate(above, parent.high, &parent.candidates));
    }
}

/// The coordinates that boxes are split in: the standardized value of a dimension, in data's units of an angle.
struct Coordinates<'a> {
    scale: &'a Scale,
}

impl Coordinates<'_> {
    /// The coordinates of a state, `[n_obs]`. Standardization is monotonic: a state of a box stays between its corners.
    fn of_state(&self, state: &[f32]) -> Vec<f32> {
        let mut all = vec![0.0; self.scale.n_features()];
        self.scale.apply(state, &mut all);
        all.truncate(state.len());
        self.scale.angles.iter().for_each(|angle| all[angle.dimension] = state[angle.dimension]);
        all
    }

    /// The standardized features of coordinates: `[n_features]`.
    fn features(&self, coordinates: &[f32]) -> Vec<f32> {
        let mut all = coordinates.to_vec();
        for (k, angle) in self.scale.angles.iter().enumerate() {
            let pair = angle.cos_sin(coordinates[angle.dimension]);
            let [cos, sin] = self.standardized(k, pair);
            all[angle.dimension] = cos;
            all.push(sin);
        }
        all
    }

    /// Cosine and sine of angle `k`, standardized as [`Scale::apply`] does.
    fn standardized(&self, k: usize, pair: [f32; 2]) -> [f32; 2] {
        let of = |feature: usize, x: f32| {
            let std = self.scale.std[feature];
            (x - self.scale.mean[feature]) / if std == 0.0 { 1.0 } else { std }
        };
        [of(self.scale.angles[k].dimension, pair[0]), of(self.scale.n_obs() + k, pair[1])]
    }

    /// The smallest box of features around a box of coordinates.
    fn around(&self, low: &[f32], high: &[f32]) -> [Vec<f32>; 2] {
        let mut corners = [low.to_vec(), high.to_vec()];
        for (k, angle) in self.scale.angles.iter().enumerate() {
            let i = angle.dimension;
            let turns = [low[i], high[i]].map(|v| f64::from(v) / angle.unit.period());
            // Whether the arc passes a number of turns beyond a whole one, where a cosine or sine is largest or smallest.
            let passes = |at: f64| (turns[0] - at).ceil() <= (turns[1] - at).floor();
            let ends = [low[i], high[i]].map(|v| angle.cos_sin(v));
            let bound = |of: usize, at: f64, extreme: f32| match (passes(at), extreme) {
                (true, extreme) => extreme,
                // A cosine in 64 bits may be rounded the other way than its neighbor's.
                (false, 1.0) => ends[0][of].max(ends[1][of]).next_up(),
                (false, _) => ends[0][of].min(ends[1][of]).next_down(),
            };
            let least = self.standardized(k, [bound(0, 0.5, -1.0), bound(1, 0.75, -1.0)]);
            let most = self.standardized(k, [bound(0, 0.0, 1.0), bound(1, 0.25, 1.0)]);
            for (corner, pair) in corners.iter_mut().zip([least, most]) {
                corner[i] = pair[0];
                corner.push(pair[1]);
            }
        }
        corners
    }

    /// Where to split a box: the dimension of its longest side, and the middle of that side. `None` if no f32 number lies
    /// between the ends of that side.
    fn split_at(&self, of: &BoundingBox) -> Option<(usize, f32)> {
        let side = |k: usize| of.high[k] - of.low[k];
        // The length of an arc, and 0 of an angle that is ignored.
        let length = |k: usize| match self.scale.angles.iter().find(|angle| angle.dimension == k) {
            Some(angle) => {
                let std = self.scale.std[k];
                let radians = std::f64::consts::TAU / angle.unit.period() * f64::from(side(k));
                radians as f32 / if std == 0.0 { 1.0 } else { std }
            }
            None => side(k),
        };
        let k = (0..of.low.len()).max_by(|&a, &b| length(a).total_cmp(&length(b)))?;
        let middle = of.low[k] + 0.5 * side(k);
        (of.low[k] < middle && middle < of.high[k]).then_some((k, middle))
    }
}

/// A box of coordinates.
struct BoundingBox {
    low: Vec<f32>,
    high: Vec<f32>,
    upper: f32, // upper bound of the squared distance from a state of the box to its nearest memory
    candidates: Rc<[u32]>, // the memories that can be nearest to a state of the box
}

struct Search<'a> {
    coordinates: Coordinates<'a>,
    memories: Vec<Vec<f32>>,
    lower: f32, // lower bound of the squared d_I
    boxes: u64,
    measured: u64,
}

impl Search<'_> {
    /// Computes the upper bound of a box and the memories that can be nearest in it, and raises the lower bound by the
    /// distances of two of its states.
    fn evaluate(&mut self, low: Vec<f32>, high: Vec<f32>, candidates: &Rc<[u32]>) -> BoundingBox {
        let [least, most] = self.coordinates.around(&low, &high);
        let far: Vec<f32> = candidates
            .iter()
            .map(|&m| sum_of_squares(&least, &most, &self.memories[m as usize], farther))
            .collect();
        let (best, upper) =
            far.iter().enumerate().fold((0, f32::INFINITY), |b, (i, &d)| if d < b.1 { (i, d) } else { b });
        let near: Vec<u32> = candidates
            .iter()
            .copied()
            .filter(|&m| sum_of_squares(&least, &most, &self.memories[m as usize], nearer) <= upper)
            .collect();
        // A new list is allocated only if it is clearly shorter.
        let near = if 4 * near.len() <= 3 * candidates.len() { near.into() } else { candidates.clone() };
        let memory = &self.memories[candidates[best] as usize];
        let ends = || low.iter().zip(&high);
        let mut corner: Vec<f32> = ends()
            .zip(memory)
            .map(|((l, h), m)| if (l - m).abs() > (h - m).abs() { *l } else { *h })
            .collect();
        for (k, angle) in self.coordinates.scale.angles.iter().enumerate() {
            let i = angle.dimension;
            let d2 = |value: f32| {
                let [cos, sin] = self.coordinates.standardized(k, angle.cos_sin(value));
                (cos - memory[i]).powi(2) + (sin - memory[low.len() + k]).powi(2)
            };
            corner[i] = if d2(low[i]) > d2(high[i]) { low[i] } else { high[i] };
        }
        let center = ends().map(|(l, h)| (l + 0.5 * (h - l)).clamp(*l, *h));
        for state in [corner, center.collect()] {
            let state = self.coordinates.features(&state);
            let nearest = near.iter().map(|&m| nearest::distance2(&state, &self.memories[m as usize]));
            self.lower = self.lower.max(nearest.fold(f32::INFINITY, f32::min));
        }
        self.boxes += 1;
        self.measured += 2 * (candidates.len() + near.len()) as u64;
        BoundingBox { low, high, upper, candidates: near }
    }
}

/// The sum over the dimensions, in order, of a squared difference.
fn sum_of_squares(
    low: &[f32],
    high: &[f32],
    memory: &[f32],
    difference: impl Fn(f32, f32, f32) -> f32,
) -> f32 {
    let mut sum = 0.0;
    for ((l, h), m) in low.iter().zip(high).zip(memory) {
        let t = difference(*l, *h, *m);
        sum += t * t;
    }
    sum
}

/// The distance from `m` to the farther end of an interval.
fn farther(l: f32, h: f32, m: f32) -> f32 {
    (l - m).abs().max((h - m).abs())
}

/// The distance from `m` to an interval.
fn nearer(l: f32, h: f32, m: f32) -> f32 {
    (l - m).max(m - h).max(0.0)
}

impl Ord for BoundingBox {
    fn cmp(&self, other: &Self) -> Ordering {
        self.upper.total_cmp(&other.upper)
    }
}

impl PartialOrd for BoundingBox {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for BoundingBox {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for BoundingBox {}
