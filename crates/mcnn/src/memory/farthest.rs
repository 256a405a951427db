//! Farthest-point traversal (Gonzalez, 1985): how far rows are from what is known, while more becomes known.

use nearest::Table;

/// Rows, and the squared distance of each to the nearest of what is known.
pub struct Farthest<'a> {
    rows: &'a Table,
    d2: Vec<f32>,
}

impl<'a> Farthest<'a> {
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
        let all = self.d2.iter().copied().enumerate();
        let (row, d2) = all.fold((0, 0.0), |best, (i, d)| if d > best.1 { (i, d) } else { best });
        (d2 > 0.0).then_some((row, d2))
    }

    /// From now on a state (`[dim]`, scaled as the rows are) is known.
    ///
    /// # Panics
    /// If its width differs from the rows'.
    pub fn know(&mut self, state: &[f32]) {
        self.rows.shrink(state, &mut self.d2);
    }

    /// From now on some rows do not count.
    ///
    /// # Panics
    /// If they are not there.
    pub fn settle(&mut self, rows: std::ops::Range<usize>) {
        self.d2[rows].fill(0.0);
    }
}
