//! Lower and upper bounds of d_I over a box of states, by branch and bound.
//!
//! For a box B and a memory m let far(B, m) be the distance from m to the farthest corner of B. No state of B is farther from
//! its nearest memory than the minimum over m of far(B, m), so that minimum is an upper bound; it decreases as boxes are
//! split. The distance of any one state of B is a lower bound. In few dimensions the two meet; in many dimensions they do
//! not within a practical budget, and the upper bound is the result.
//!
//! The bounds hold for distances *as computed in f32*: far(B, m) applies the operations of [`nearest::distance2`] in the same
//! order, the farther end of the box in a dimension is at least as far as any state, and rounding is monotonic.

use std::{cmp::Ordering, collections::BinaryHeap, rc::Rc};

use crate::memory::Codebook;

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
    let scaled = |state: &[f32]| {
        let mut buffer = codebook.scaled_buffer();
        codebook.scale(state, &mut buffer); // monotonic: a state of the box stays between the scaled corners
        buffer.values().to_vec()
    };
    let memories: Vec<Vec<f32>> = (0..codebook.len()).map(|i| scaled(codebook.state(i))).collect();
    let all: Rc<[u32]> = (0..memories.len() as u32).collect();
    let mut search = Search { memories, lower: 0.0, boxes: 0, measured: 0 };
    let mut open = BinaryHeap::from([search.evaluate(scaled(low), scaled(high), &all)]);
    loop {
        let top = open.peek().expect("a box is removed only when its halves are added");
        let upper = top.upper;
        let tight = upper - search.lower <= effort.tolerance * upper;
        let split = top.split_at();
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

/// A box of scaled states.
struct BoundingBox {
    low: Vec<f32>,
    high: Vec<f32>,
    upper: f32, // upper bound of the squared distance from a state of the box to its nearest memory
    candidates: Rc<[u32]>, // the memories that can be nearest to a state of the box
}

impl BoundingBox {
    /// Where to split the box: the dimension of its longest side, and the middle of that side. `None` if no f32 number lies
    /// between the ends of that side.
    fn split_at(&self) -> Option<(usize, f32)> {
        let side = |k: usize| self.high[k] - self.low[k];
        let k = (0..self.low.len()).max_by(|&a, &b| side(a).total_cmp(&side(b)))?;
        let middle = self.low[k] + 0.5 * side(k);
        (self.low[k] < middle && middle < self.high[k]).then_some((k, middle))
    }
}

struct Search {
    memories: Vec<Vec<f32>>,
    lower: f32, // lower bound of the squared d_I
    boxes: u64,
    measured: u64,
}

impl Search {
    /// Computes the upper bound of a box and the memories that can be nearest in it, and raises the lower bound by the
    /// distances of two of its states.
    fn evaluate(&mut self, low: Vec<f32>, high: Vec<f32>, candidates: &Rc<[u32]>) -> BoundingBox {
        let far: Vec<f32> = candidates
            .iter()
            .map(|&m| sum_of_squares(&low, &high, &self.memories[m as usize], farther))
            .collect();
        let (best, upper) =
            far.iter().enumerate().fold((0, f32::INFINITY), |b, (i, &d)| if d < b.1 { (i, d) } else { b });
        let near: Vec<u32> = candidates
            .iter()
            .copied()
            .filter(|&m| sum_of_squares(&low, &high, &self.memories[m as usize], nearer) <= upper)
            .collect();
        // A new list is allocated only if it is clearly shorter.
        let near = if 4 * near.len() <= 3 * candidates.len() { near.into() } else { candidates.clone() };
        let memory = &self.memories[candidates[best] as usize];
        let ends = || low.iter().zip(&high);
        let corner =
            ends().zip(memory).map(|((l, h), m)| if (l - m).abs() > (h - m).abs() { *l } else { *h });
        let center = ends().map(|(l, h)| (l + 0.5 * (h - l)).clamp(*l, *h));
        for state in [corner.collect::<Vec<f32>>(), center.collect()] {
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
