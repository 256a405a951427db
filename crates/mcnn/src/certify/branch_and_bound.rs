//! The most isolated state of a whole box of states, bounded from both sides by branch and bound.
//!
//! For a box B and a memory m let far(B, m) be the distance from m to B's farthest corner. No state of B is farther from
//! its nearest memory than min over m of far(B, m), so that minimum bounds d_I of the box from above; it shrinks as boxes
//! are split. Any one state of B bounds it from below. In few dimensions the two meet; in many they do not within any
//! effort, and the upper one is what can be said.
//!
//! The bound is one of the distances *as they are computed*: far(B, m) takes the operations of [`nearest::distance2`] in
//! their order, in each dimension the farther end of the box is at least as far as any state, and rounding is monotonic.

use std::{cmp::Ordering, collections::BinaryHeap, rc::Rc};

use crate::memory::Codebook;

/// How hard to look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchBudget {
    /// The gap between the bounds, as a share of the upper one, at which to stop.
    pub tolerance: f32,
    /// Distances measured after which to stop in any case.
    pub measurements: u64,
}

impl Default for SearchBudget {
    /// A hundredth; some seconds.
    fn default() -> Self {
        Self { tolerance: 0.01, measurements: 20_000_000 }
    }
}

/// What is known of d_I over a box of states.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct IsolationBounds {
    /// Some state of the box is this far from its nearest memory.
    pub lower: f32,
    /// No state of the box is farther.
    pub upper: f32,
    /// Boxes looked at.
    pub boxes: u64,
    /// Whether the bounds came within the tolerance of each other.
    pub tight: bool,
}

/// Bounds the distance from any state between two corners (`low` and `high`, `[n_obs]`, the data's own units) to its
/// nearest memory. Holds for every f32 state there.
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
        codebook.scale(state, &mut buffer); // monotonic: what is between the corners stays between them
        buffer.values().to_vec()
    };
    let memories: Vec<Vec<f32>> = (0..codebook.len()).map(|i| scaled(codebook.state(i))).collect();
    let all: Rc<[u32]> = (0..memories.len() as u32).collect();
    let mut search = Search { memories, lower: 0.0, boxes: 0, measured: 0 };
    let mut open = BinaryHeap::from([search.look(scaled(low), scaled(high), &all)]);
    loop {
        let top = open.peek().expect("a box is never closed without its halves");
        let upper = top.upper;
        let tight = upper - search.lower <= effort.tolerance * upper;
        let half = top.half();
        let (true, true, Some((k, middle))) = (!tight, search.measured < effort.measurements, half) else {
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
        open.push(search.look(parent.low, below, &parent.near));
        open.push(search.look(above, parent.high, &parent.near));
    }
}

/// A box of scaled states.
struct Region {
    low: Vec<f32>,
    high: Vec<f32>,
    upper: f32,      // no state in it is farther from its nearest memory, squared
    near: Rc<[u32]>, // the memories that can be nearest to a state in it
}

impl Region {
    /// Where to cut it: across its longest side, in the middle. `None` where that side has no number between its ends.
    fn half(&self) -> Option<(usize, f32)> {
        let side = |k: usize| self.high[k] - self.low[k];
        let k = (0..self.low.len()).max_by(|&a, &b| side(a).total_cmp(&side(b)))?;
        let middle = self.low[k] + 0.5 * side(k);
        (self.low[k] < middle && middle < self.high[k]).then_some((k, middle))
    }
}

struct Search {
    memories: Vec<Vec<f32>>,
    lower: f32, // squared
    boxes: u64,
    measured: u64,
}

impl Search {
    /// Bounds a box from above, tries two of its states from below, and notes which memories still matter in it.
    fn look(&mut self, low: Vec<f32>, high: Vec<f32>, candidates: &Rc<[u32]>) -> Region {
        let far: Vec<f32> =
            candidates.iter().map(|&m| sum(&low, &high, &self.memories[m as usize], farther)).collect();
        let (best, upper) =
            far.iter().enumerate().fold((0, f32::INFINITY), |b, (i, &d)| if d < b.1 { (i, d) } else { b });
        let near: Vec<u32> = candidates
            .iter()
            .copied()
            .filter(|&m| sum(&low, &high, &self.memories[m as usize], nearer) <= upper)
            .collect();
        // Worth a list of its own only where it is clearly shorter.
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
        Region { low, high, upper, near }
    }
}

/// The sum of squares, in order, of one difference a dimension.
fn sum(low: &[f32], high: &[f32], memory: &[f32], difference: impl Fn(f32, f32, f32) -> f32) -> f32 {
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

impl Ord for Region {
    fn cmp(&self, other: &Self) -> Ordering {
        self.upper.total_cmp(&other.upper)
    }
}

impl PartialOrd for Region {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Region {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Region {}
