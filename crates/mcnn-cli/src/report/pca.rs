//! Principal components: the plane of largest variance, for pictures.

/// The two directions of largest variance.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    mean: Vec<f64>,      // [n]
    axes: [Vec<f64>; 2], // [n] each, orthonormal; zeros where there is no second dimension
    /// Share of the variance along each axis, in [0, 1]; 0 where nothing varies.
    pub shares: [f64; 2],
}

impl Plane {
    /// The plane of points `[points, n]`, with at least one point and one dimension. The largest component of each axis is
    /// positive, so that the orientation does not depend on rounding.
    pub fn of(points: &[f32], n: usize) -> Self {
        let count = (points.len() / n) as f64;
        let mut mean = vec![0.0; n];
        for row in points.chunks_exact(n) {
            mean.iter_mut().zip(row).for_each(|(m, &x)| *m += f64::from(x) / count);
        }
        let mut covariance = vec![0.0; n * n];
        let mut centered = vec![0.0; n];
        for row in points.chunks_exact(n) {
            centered.iter_mut().zip(row).zip(&mean).for_each(|((c, &x), m)| *c = f64::from(x) - m);
            for i in 0..n {
                for j in i..n {
                    covariance[i * n + j] += centered[i] * centered[j] / count;
                }
            }
        }
        for i in 0..n {
            for j in 0..i {
                covariance[i * n + j] = covariance[j * n + i];
            }
        }
        let total: f64 = (0..n).map(|i| covariance[i * n + i]).sum();
        let (values, vectors) = eigen(covariance, n);
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
        let axis = |k: usize| order.get(k).map_or(vec![0.0; n], |&k| oriented(&vectors[k * n..][..n]));
        let share = |k: usize| {
            order.get(k).filter(|_| total > 0.0).map_or(0.0, |&k| (values[k] / total).clamp(0.0, 1.0))
        };
        Self { mean, axes: [axis(0), axis(1)], shares: [share(0), share(1)] }
    }

    /// The coordinates of a point (`[n]`) in the plane, relative to the mean, in the units of the points.
    pub fn project(&self, point: &[f32]) -> [f32; 2] {
        let along = |axis: &[f64]| {
            point.iter().zip(&self.mean).zip(axis).map(|((&x, m), a)| (f64::from(x) - m) * a).sum::<f64>()
                as f32
        };
        [along(&self.axes[0]), along(&self.axes[1])]
    }
}

/// The axis with the sign that makes its largest component positive.
fn oriented(axis: &[f64]) -> Vec<f64> {
    let largest = axis.iter().copied().fold(0.0, |m: f64, x| if x.abs() > m.abs() + 1e-9 { x } else { m });
    axis.iter().map(|x| if largest < 0.0 { -x } else { *x }).collect()
}

/// Eigenvalues and orthonormal eigenvectors (as rows) of a symmetric matrix `[n, n]`, by the cyclic Jacobi method (Golub and
/// Van Loan, Matrix Computations, section 8.5).
fn eigen(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    let size: f64 = a.iter().map(|x| x * x).sum();
    // Convergence is quadratic: a few sweeps are enough, and 50 are a safe limit.
    for _ in 0..50 {
        let off: f64 = (0..n * n).filter(|k| k / n != k % n).map(|k| a[k] * a[k]).sum();
        if off <= 1e-26 * size {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, n, p, q);
            }
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), vectors)
}

/// Rotates axes p and q so that their covariance is 0.
fn rotate(a: &mut [f64], vectors: &mut [f64], n: usize, p: usize, q: usize) {
    let apq = a[p * n + q];
    if apq == 0.0 {
        return;
    }
    let tau = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
    let t = (if tau >= 0.0 { 1.0 } else { -1.0 }) / (tau.abs() + tau.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    let rotate_pair = |m: &mut [f64], i: usize, j: usize| {
        let (x, y) = (m[i], m[j]);
        (m[i], m[j]) = (c * x - s * y, s * x + c * y);
    };
    for k in 0..n {
        rotate_pair(a, k * n + p, k * n + q); // columns
    }
    for k in 0..n {
        rotate_pair(a, p * n + k, q * n + k); // rows
        rotate_pair(vectors, p * n + k, q * n + k);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcnn::seed::Seed;

    /// Correlated points: a random matrix times random values of very different variances.
    fn points(count: usize, n: usize, seed: u64) -> Vec<f32> {
        let mut rng = Seed(seed).rng();
        let mix: Vec<f64> = (0..n * n).map(|_| rng.normal()).collect();
        (0..count)
            .flat_map(|_| {
                let z: Vec<f64> = (0..n).map(|k| rng.normal() * 0.7_f64.powi(k as i32)).collect();
                (0..n)
                    .map(|i| (0..n).map(|k| mix[i * n + k] * z[k]).sum::<f64>() as f32 + 3.0)
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// The covariance by its definition.
    fn covariance(points: &[f32], n: usize) -> Vec<f64> {
        let rows: Vec<&[f32]> = points.chunks_exact(n).collect();
        let mean = |i: usize| rows.iter().map(|r| f64::from(r[i])).sum::<f64>() / rows.len() as f64;
        let both = |i: usize, j: usize| {
            rows.iter().map(|r| (f64::from(r[i]) - mean(i)) * (f64::from(r[j]) - mean(j))).sum::<f64>()
                / rows.len() as f64
        };
        (0..n * n).map(|k| both(k / n, k % n)).collect()
    }

    /// Reference: power iteration with deflation.
    fn by_power(mut a: Vec<f64>, n: usize) -> [(f64, Vec<f64>); 2] {
        std::array::from_fn(|_| {
            let mut v: Vec<f64> = (0..n).map(|i| 1.0 + 0.1 * i as f64).collect();
            let mut value = 0.0;
            for _ in 0..5000 {
                let w: Vec<f64> = (0..n).map(|i| (0..n).map(|j| a[i * n + j] * v[j]).sum()).collect();
                value = w.iter().map(|x| x * x).sum::<f64>().sqrt();
                v = w.iter().map(|x| x / value).collect();
            }
            (0..n * n).for_each(|k| a[k] -= value * v[k / n] * v[k % n]);
            (value, v)
        })
    }

    #[test]
    fn the_plane_agrees_with_power_iteration() {
        for (n, seed) in [(2, 1), (3, 2), (7, 3), (12, 4)] {
            let points = points(200, n, seed);
            let (plane, a) = (Plane::of(&points, n), covariance(&points, n));
            let total: f64 = (0..n).map(|i| a[i * n + i]).sum();
            for (k, (value, v)) in by_power(a.clone(), n).into_iter().enumerate() {
                let same: f64 = plane.axes[k].iter().zip(&v).map(|(x, y)| x * y).sum();
                assert!((same.abs() - 1.0).abs() < 1e-6, "n {n}, axis {k}: {same}");
                assert!((plane.shares[k] - value / total).abs() < 1e-9, "n {n}, share {k}");
            }
        }
    }

    #[test]
    fn eigenvectors_are_orthonormal_and_reconstruct_the_matrix() {
        let n = 9;
        let a = covariance(&points(50, n, 5), n);
        let (values, vectors) = eigen(a.clone(), n);
        for i in 0..n {
            for j in 0..n {
                let dot: f64 = (0..n).map(|k| vectors[i * n + k] * vectors[j * n + k]).sum();
                assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-12);
                let back: f64 = (0..n).map(|k| values[k] * vectors[k * n + i] * vectors[k * n + j]).sum();
                assert!((back - a[i * n + j]).abs() < 1e-9 * a[0].abs().max(1.0));
            }
        }
    }

    #[test]
    fn projections_have_the_stated_variance_even_of_degenerate_points() {
        let (n, points) = (5, points(300, 5, 6));
        let plane = Plane::of(&points, n);
        let total: f64 = (0..n).map(|i| covariance(&points, n)[i * n + i]).sum();
        for k in 0..2 {
            let along: Vec<f64> = points.chunks_exact(n).map(|p| f64::from(plane.project(p)[k])).collect();
            let mean = along.iter().sum::<f64>() / along.len() as f64;
            let variance = along.iter().map(|x| x * x).sum::<f64>() / along.len() as f64;
            assert!(mean.abs() < 1e-4 && (variance / total - plane.shares[k]).abs() < 1e-4);
        }
        let one = Plane::of(&[1.0, 2.0], 2);
        assert_eq!((one.project(&[1.0, 2.0]), one.shares), ([0.0, 0.0], [0.0, 0.0]));
        let line = Plane::of(&[1.0, 3.0], 1);
        assert_eq!((line.project(&[3.0]), line.shares), ([1.0, 0.0], [1.0, 0.0]));
    }
}
