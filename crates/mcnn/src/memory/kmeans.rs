//! k-means clustering.

use super::rows::Rows;
use crate::{data::Demonstrations, seed::Seed};

/// The most passes of [`kmeans`] over the rows; it usually converges after fewer.
const PASSES: usize = 100;

/// `count` centers (`[count, dim]`) of rows (`[n, dim]`) by k-means: k-means++ initialization (Arthur and Vassilvitskii,
/// 2007), then Lloyd's algorithm until no center moves, at most 100 passes.
///
/// # Errors
/// If there are fewer distinct rows than centers: the number of distinct rows.
///
/// # Panics
/// If `dim` or `count` is 0 or does not divide the rows.
pub fn kmeans(rows: &[f32], dim: usize, count: usize, seed: Seed) -> Result<Vec<f32>, usize> {
    assert!(dim > 0 && count > 0 && rows.len().is_multiple_of(dim), "{} values, {count} x {dim}", rows.len());
    kmeans_of(&Rows::new(rows, dim), count, seed)
}

/// The same of the actions of demonstrations.
pub(crate) fn kmeans_of_actions(data: &Demonstrations, count: usize, seed: Seed) -> Result<Vec<f32>, usize> {
    kmeans_of(&Rows::of_actions(data), count, seed)
}

fn kmeans_of(rows: &Rows, count: usize, seed: Seed) -> Result<Vec<f32>, usize> {
    let start = initialize(rows, count, seed);
    if start.len() < count * rows.dim() {
        return Err(start.len() / rows.dim());
    }
    Ok(lloyd_of(rows, start, PASSES))
}

/// k-means++: a random row, then rows sampled with a probability proportional to the squared distance to the nearest center
/// so far. Fewer than `count` centers only if every row is at distance 0 from one.
fn initialize(rows: &Rows, count: usize, seed: Seed) -> Vec<f32> {
    let (n, dim, mut rng) = (rows.len(), rows.dim(), seed.rng());
    let mut near = vec![f32::INFINITY; n]; // squared distances to the nearest center
    let mut centers = Vec::with_capacity(count * dim);
    let mut next = Some(rng.below(n.max(1))).filter(|_| n > 0);
    while let Some(row) = next {
        let row = rows.row(row);
        centers.extend_from_slice(&row);
        if centers.len() == count * dim || rows.is_unreadable() {
            break;
        }
        for block in rows.blocks(1) {
            rows.table(block.clone()).relax_distances(&row, &mut near[block]);
        }
        let mut left = rng.uniform() * near.iter().map(|&d2| f64::from(d2)).sum::<f64>();
        let drawn = near.iter().position(|&d2| {
            left -= f64::from(d2);
            d2 > 0.0 && left < 0.0
        });
        // Rounding can leave `left` at 0 or above after the last row; then the last possible row is drawn.
        next = drawn.or_else(|| near.iter().rposition(|&d2| d2 > 0.0));
    }
    centers
}

/// Lloyd's algorithm from given centers (`[count, dim]`), until no center moves, at most `passes` passes. A center to which no
/// row is assigned does not move.
pub fn lloyd(rows: &[f32], dim: usize, centers: Vec<f32>, passes: usize) -> Vec<f32> {
    lloyd_of(&Rows::new(rows, dim), centers, passes)
}

/// The same of rows that may be in a file: a pass reads them once, in order.
pub(super) fn lloyd_of(rows: &Rows, mut centers: Vec<f32>, passes: usize) -> Vec<f32> {
    let dim = rows.dim();
    for _ in 0..passes {
        let mut sums = vec![0.0_f64; centers.len()];
        let mut counts = vec![0_u32; centers.len() / dim];
        rows.each_nearest_in(&centers, |rows, hits| {
            for (hit, row) in hits.iter().zip(rows.chunks_exact(dim)) {
                counts[hit.index] += 1;
                for (s, &x) in sums[hit.index * dim..][..dim].iter_mut().zip(row) {
                    *s += f64::from(x);
                }
            }
        });
        let before = centers.clone();
        for ((center, sum), &m) in centers.chunks_exact_mut(dim).zip(sums.chunks_exact(dim)).zip(&counts) {
            if m > 0 {
                center.iter_mut().zip(sum).for_each(|(c, s)| *c = (s / f64::from(m)) as f32);
            }
        }
        if centers == before || rows.is_unreadable() {
            break;
        }
    }
    centers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
    }

    /// The nearest center of each row by brute force, and the mean squared distance.
    fn assigned(rows: &[f32], centers: &[f32], dim: usize) -> (Vec<usize>, f64) {
        let near = |row: &[f32]| {
            let all = centers.chunks(dim).map(|c| square(row, c)).enumerate();
            all.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
        };
        let (which, squares): (Vec<usize>, Vec<f64>) = rows.chunks(dim).map(near).unzip();
        let n = squares.len() as f64;
        (which, squares.iter().sum::<f64>() / n)
    }

    fn random_rows(n: usize, dim: usize, seed: u64) -> Vec<f32> {
        let mut rng = Seed(seed).rng();
        (0..n * dim).map(|_| rng.normal() as f32).collect()
    }

    #[test]
    fn converged_centers_are_the_means_of_the_rows_nearest_to_them() {
        let rows = random_rows(300, 3, 1);
        let centers = kmeans(&rows, 3, 7, Seed(2)).unwrap();
        let (which, _) = assigned(&rows, &centers, 3);
        for (k, center) in centers.chunks(3).enumerate() {
            let mine: Vec<&[f32]> =
                rows.chunks(3).zip(&which).filter(|(_, w)| **w == k).map(|(row, _)| row).collect();
            assert!(!mine.is_empty(), "no center is left without rows");
            for d in 0..3 {
                let mean = mine.iter().map(|row| f64::from(row[d])).sum::<f64>() / mine.len() as f64;
                assert!((mean - f64::from(center[d])).abs() < 1e-6, "{k} {d}: {mean} {}", center[d]);
            }
        }
        assert_eq!(centers, kmeans(&rows, 3, 7, Seed(2)).unwrap(), "equal seeds give equal centers");
        assert_ne!(centers, kmeans(&rows, 3, 7, Seed(3)).unwrap());
    }

    #[test]
    fn every_pass_lowers_the_error() {
        let rows = random_rows(200, 2, 4);
        let mut last = f64::INFINITY;
        for passes in 0..6 {
            let (_, error) = assigned(&rows, &lloyd(&rows, 2, rows[..10].to_vec(), passes), 2);
            assert!(error < last, "{passes}: {error} after {last}");
            last = error;
        }
    }

    #[test]
    fn the_initialization_samples_by_squared_distance() {
        // Four points: how often each is sampled second, compared with its share of the squared distances.
        let rows = [0.0, 1.0, 3.0, 7.0];
        let mut counts = [[0.0_f64; 4]; 4];
        for seed in 0..20_000 {
            let start = initialize(&Rows::new(&rows, 1), 2, Seed(seed));
            let [a, b] = [start[0], start[1]].map(|x| rows.iter().position(|r| *r == x).unwrap());
            counts[a][b] += 1.0;
        }
        for (a, counts) in counts.iter().enumerate() {
            let (n, total) =
                (counts.iter().sum::<f64>(), rows.map(|r| square(&[r], &rows[a..=a])).iter().sum::<f64>());
            assert!((n / 20_000.0 - 0.25).abs() < 0.02, "the first is any: {n}");
            for b in 0..4 {
                let expected = square(&rows[a..=a], &rows[b..=b]) / total;
                assert!(
                    (counts[b] / n - expected).abs() < 0.03,
                    "{a} then {b}: {} {expected}",
                    counts[b] / n
                );
            }
        }
    }

    #[test]
    fn separate_clusters_get_a_center_each_and_repeated_rows_count_once() {
        let mut rng = Seed(5).rng();
        let groups = [[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]];
        let rows: Vec<f32> =
            (0..400).flat_map(|i| groups[i % 4].map(|c| (c + rng.normal()) as f32)).collect();
        for seed in 0..20 {
            let (which, error) = assigned(&rows, &kmeans(&rows, 2, 4, Seed(seed)).unwrap(), 2);
            assert!(error < 3.0 && (0..400).all(|i| which[i] == which[i % 4]), "seed {seed}: {error}");
        }
        let few = [1.0, 2.0, 1.0, 2.0, 1.0, 3.0];
        assert_eq!(
            kmeans(&few, 1, 3, Seed(0)).map(|mut c| {
                c.sort_by(f32::total_cmp);
                c
            }),
            Ok(vec![1.0, 2.0, 3.0])
        );
        assert_eq!(kmeans(&few, 1, 4, Seed(0)), Err(3));
    }
}
