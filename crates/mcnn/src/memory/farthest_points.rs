//! FarthestPoints-point traversal (Gonzalez, 1985): how far rows are from what is known, while more becomes known.

use nearest::Table;

/// Rows, and the squared distance of each to the nearest of what is known.
pub struct FarthestPoints<'a> {
    rows: &'a Table,
    d2: Vec<f32>,
}

impl<'a> FarthestPoints<'a> {
    /// Of rows and their squared distances so far: `d2` has one for each of `rows`.
    ///
    /// # Panics
    /// If their numbers differ.
    pub fn new(rows: &'a Table, d2: Vec<f32>) -> Self {
        assert_eq!(rows.len(), d2.len(), "a distance for every row");
        Self { rows, d2 }
    }

    /// The row that is farthest and its squared distance, the lowest of equals; `None` where every row is known.
    pub fn farthest(&self) -> Option<(usize, f32)> {
        // The largest of every 64 in lanes, which do not wait for each other; then the first row within that has it.
        let (mut first, mut most) = (0, 0.0);
        for (k, part) in self.d2.chunks(64).enumerate() {
            let mut lanes = [0.0; 16];
            for d2 in part.chunks(16) {
                lanes.iter_mut().zip(d2).for_each(|(lane, &d)| *lane = if d > *lane { d } else { *lane });
            }
            let largest = lanes.into_iter().fold(0.0, f32::max);
            if largest > most {
                (first, most) = (64 * k, largest);
            }
        }
        let within = self.d2[first..].iter().position(|&d| d == most)?;
        (most > 0.0).then_some((first + within, most))
    }

    /// From now on a state (`[dim]`, scaled as the rows are) is known.
    ///
    /// # Panics
    /// If its width differs from the rows'.
    pub fn add_center(&mut self, state: &[f32]) {
        self.rows.shrink(state, &mut self.d2);
    }

    /// From now on some rows do not count.
    ///
    /// # Panics
    /// If they are not there.
    pub fn exclude(&mut self, rows: std::ops::Range<usize>) {
        self.d2[rows].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn the_farthest_is_the_first_of_the_largest() {
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
