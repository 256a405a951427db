//! Farthest-point sampling (k-center; Gonzalez, 1985): the distances of rows to a growing set of centers.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    ops::Range,
};

use nearest::Table;

use super::rows::Rows;

/// Rows, and the squared distance of each to the nearest center.
pub struct FarthestPoints<'a> {
    rows: &'a Table,
    d2: Vec<f32>, // [rows]
}

impl<'a> FarthestPoints<'a> {
    /// Starts from the squared distance of every row to the nearest center so far: `d2`, `[rows]`; infinite without a center.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn new(rows: &'a Table, d2: Vec<f32>) -> Self {
        assert_eq!(rows.len(), d2.len(), "a distance for every row");
        Self { rows, d2 }
    }

    /// The row farthest from all centers and its squared distance, the first of several; `None` if all distances are 0.
    pub fn farthest(&self) -> Option<(usize, f32)> {
        // The largest of every 64 by 16 independent lanes, then the first row among those 64 that has it.
        let (mut first, mut maximum) = (0, 0.0);
        for (k, part) in self.d2.chunks(64).enumerate() {
            let mut lanes = [0.0; 16];
            for d2 in part.chunks(16) {
                lanes.iter_mut().zip(d2).for_each(|(lane, &d)| *lane = if d > *lane { d } else { *lane });
            }
            let largest = lanes.into_iter().fold(0.0, f32::max);
            if largest > maximum {
                (first, maximum) = (64 * k, largest);
            }
        }
        let within = self.d2[first..].iter().position(|&d| d == maximum)?;
        (maximum > 0.0).then_some((first + within, maximum))
    }

    /// Adds a center (`[dim]`, standardized like the rows) and updates the distances.
    ///
    /// # Panics
    /// If its dimensions differ from those of the rows.
    pub fn add_center(&mut self, center: &[f32]) {
        self.rows.relax_distances(center, &mut self.d2);
    }

    /// Excludes rows from being farthest.
    ///
    /// # Panics
    /// If the range is not within the rows.
    pub fn exclude(&mut self, rows: std::ops::Range<usize>) {
        self.d2[rows].fill(0.0);
    }
}

/// How many times smaller than other blocks those are that are read anew for a center.
const SMALLER: usize = 64;

/// The same of rows that are read in blocks: a block is read, and its distances are updated, when its largest distance so far is the
/// largest of all blocks. Distances only decrease, so a block below cannot have the farthest row.
pub(super) struct FarthestInBlocks<'a> {
    rows: &'a Rows<'a>,
    d2: Vec<f32>, // [rows], to the nearest of the centers that the row's block knows
    blocks: Vec<(Range<usize>, usize)>, // and the centers that each knows
    largest: BinaryHeap<(Largest, Reverse<usize>)>, // the largest distance of each block, of equal ones the first block greatest
    centers: Vec<f32>,                              // [centers, dim]
}

/// A distance of 0 or more, in order.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Largest(f32);

impl Eq for Largest {}

impl PartialOrd for Largest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Largest {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl<'a> FarthestInBlocks<'a> {
    /// Starts as [`FarthestPoints::new`].
    pub fn new(rows: &'a Rows<'a>, d2: Vec<f32>) -> Self {
        let blocks: Vec<(Range<usize>, usize)> = rows.blocks(SMALLER).map(|block| (block, 0)).collect();
        let largest = (0..blocks.len()).map(|b| (Largest(largest(&d2[blocks[b].0.clone()])), Reverse(b)));
        Self { rows, largest: largest.collect(), blocks, d2, centers: Vec::new() }
    }

    /// As [`FarthestPoints::farthest`].
    pub fn farthest(&mut self) -> Option<(usize, f32)> {
        let all = self.centers.len() / self.rows.dim();
        loop {
            let &(Largest(maximum), Reverse(b)) = self.largest.peek()?;
            if maximum <= 0.0 {
                return None;
            }
            let (block, known) = &mut self.blocks[b];
            let d2 = &mut self.d2[block.clone()];
            if *known == all {
                return Some((block.start + d2.iter().position(|&d| d == maximum)?, maximum));
            }
            let table = self.rows.table(block.clone());
            for center in self.centers[*known * self.rows.dim()..].chunks_exact(self.rows.dim()) {
                table.relax_distances(center, d2);
            }
            *known = all;
            self.largest.pop();
            self.largest.push((Largest(largest(d2)), Reverse(b)));
        }
    }

    /// As [`FarthestPoints::add_center`].
    pub fn add_center(&mut self, center: &[f32]) {
        self.centers.extend_from_slice(center);
    }
}

fn largest(d2: &[f32]) -> f32 {
    d2.iter().fold(0.0, |largest, &d| if d > largest { d } else { largest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn the_farthest_row_is_the_first_with_the_largest_distance() {
        let mut rng = Seed(0).rng();
        for n in [1, 15, 16, 17, 63, 64, 65, 200, 1000] {
            let table = Table::from_rows(&vec![0.0; n], 1);
            for most in [1, 3, 50] {
                let d2: Vec<f32> = (0..n).map(|_| rng.below(most) as f32).collect();
                let plain = d2
                    .iter()
                    .enumerate()
                    .fold((0, 0.0), |best, (i, &d)| if d > best.1 { (i, d) } else { best });
                let expected = Some(plain).filter(|(_, d)| *d > 0.0);
                assert_eq!(FarthestPoints::new(&table, d2).farthest(), expected, "{n} {most}");
            }
        }
    }
}
