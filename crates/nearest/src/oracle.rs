//! The definition of every search, in plain loops: slow and short, and the reference of the fast ones in tests.
//!
//! `rows` is `[n, dim]`, and `q` is `[dim]`. No code is shared with the fast searches.

use crate::Hit;
use std::cmp::Ordering;

/// All rows with their squared distances, nearest first; ties by index; distances of NaN last. O(n (dim + log n)).
pub fn ranked(rows: &[f32], q: &[f32]) -> Vec<Hit> {
    let distance = |row: &[f32]| {
        let mut sum = 0.0f32;
        for j in 0..q.len() {
            sum += (q[j] - row[j]) * (q[j] - row[j]);
        }
        sum
    };
    let rows = rows.chunks_exact(q.len()).enumerate();
    let mut hits: Vec<Hit> = rows.map(|(index, row)| Hit { index, d2: distance(row) }).collect();
    // The sort is stable, so equal distances, and NaN with NaN, stay in the order of their rows.
    hits.sort_by(|a, b| match (a.d2.is_nan(), b.d2.is_nan()) {
        (false, false) => a.d2.partial_cmp(&b.d2).unwrap(),
        (true, true) => Ordering::Equal,
        (a_is_nan, _) => {
            if a_is_nan {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        }
    });
    hits
}

/// The nearest row; `None` without rows.
pub fn nearest(rows: &[f32], q: &[f32]) -> Option<Hit> {
    ranked(rows, q).first().copied()
}

/// The nearest and the second nearest row.
pub fn two_nearest(rows: &[f32], q: &[f32]) -> (Option<Hit>, Option<Hit>) {
    let hits = ranked(rows, q);
    (hits.first().copied(), hits.get(1).copied())
}

/// The `k` nearest rows, nearest first; all rows if there are fewer.
pub fn k_nearest(rows: &[f32], q: &[f32], k: usize) -> Vec<Hit> {
    let mut hits = ranked(rows, q);
    hits.truncate(k);
    hits
}

/// The nearest of the rows whose index `accept` accepts.
pub fn nearest_where(rows: &[f32], q: &[f32], accept: impl Fn(usize) -> bool) -> Option<Hit> {
    ranked(rows, q).into_iter().find(|hit| accept(hit.index))
}

/// The `k` nearest of the rows whose index `accept` accepts, nearest first; all of those if there are fewer.
pub fn k_nearest_where(rows: &[f32], q: &[f32], k: usize, accept: impl Fn(usize) -> bool) -> Vec<Hit> {
    ranked(rows, q).into_iter().filter(|hit| accept(hit.index)).take(k).collect()
}

/// The nearest row to each query of `queries`, `[m, dim]`.
pub fn nearest_many(rows: &[f32], queries: &[f32], dim: usize) -> Vec<Hit> {
    queries.chunks_exact(dim).filter_map(|q| nearest(rows, q)).collect()
}
