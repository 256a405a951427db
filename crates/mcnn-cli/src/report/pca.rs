//! Principal components: the plane of largest variance, for pictures.
//!
//! The two leading eigenvectors of the covariance come from the Lanczos method with full reorthogonalization (Golub and Van Loan,
//! Matrix Computations, sections 10.1 to 10.3), which only multiplies by the points. The covariance itself is never formed: of
//! embeddings with thousands of dimensions it would cost more than all else on a page.

use mcnn::seed::{Rng, Seed};

use super::eigen::eigen;

/// Limit of the points that the plane is computed from, evenly chosen from all.
const MAX_POINTS: usize = 4096;
/// Limit of the Lanczos steps for each axis. Most data need 20 to 40.
const MAX_STEPS: usize = 64;
/// The method stops when the residual of an axis is below this share of its eigenvalue.
const TOLERANCE: f64 = 1e-10;

/// The two directions of largest variance.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    mean: Vec<f64>,      // [n]
    axes: [Vec<f64>; 2], // [n] each, orthonormal; zeros where there is no second dimension
    /// Share of the variance along each axis, in [0, 1]; 0 where nothing varies.
    pub shares: [f64; 2],
}

impl Plane {
    /// The plane of points `[points, n]`, with at least one point and one dimension; of more than 4,096 points, that of 4,096 at
    /// equal distances in their order. The largest component of each axis is positive, so that the orientation does not depend on
    /// rounding.
    pub fn of(points: &[f32], n: usize) -> Self {
        let count = points.len() / n;
        let kept = count.min(MAX_POINTS);
        let rows: Vec<&[f32]> = (0..kept).map(|i| &points[i * count / kept * n..][..n]).collect();
        let mut mean = vec![0.0; n];
        for row in &rows {
            mean.iter_mut().zip(*row).for_each(|(m, &x)| *m += f64::from(x) / kept as f64);
        }
        let squares =
            |row: &&[f32]| row.iter().zip(&mean).map(|(&x, m)| (f64::from(x) - m).powi(2)).sum::<f64>();
        let total = rows.iter().map(squares).sum::<f64>() / kept as f64;
        let first = leading(&rows, &mean, None);
        let second = leading(&rows, &mean, Some(&first.1));
        let share = |value: f64| if total > 0.0 { (value / total).clamp(0.0, 1.0) } else { 0.0 };
        let shares = [share(first.0), share(second.0)];
        Self { axes: [oriented(&first.1), oriented(&second.1)], mean, shares }
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

/// The largest eigenvalue of the rows' covariance with its eigenvector, of those orthogonal to the eigenvector `found`, if there is
/// one. 0, with the vector 0, where there is no such direction.
///
/// The second eigenvector gets a run of its own, because one run finds only one vector of a multiple eigenvalue.
fn leading(rows: &[&[f32]], mean: &[f64], found: Option<&[f64]>) -> (f64, Vec<f64>) {
    let n = mean.len();
    let mut rng = Seed(0).fork("principal components").rng();
    // `basis` is orthonormal, and the covariance in it is tridiagonal: `diagonal` and, beside it, `beside`.
    let (mut basis, mut diagonal, mut beside): (Vec<Vec<f64>>, Vec<f64>, Vec<f64>) = Default::default();
    let mut next = start(&basis, found, n, &mut rng);
    while let Some(v) = next.take() {
        let mut w = covariance_times(rows, mean, &v);
        diagonal.push(dot(&v, &w));
        basis.push(v);
        orthogonalize(&mut w, &basis, found);
        let length = dot(&w, &w).sqrt();
        let k = basis.len();
        if k == MAX_STEPS || k.is_multiple_of(8) && is_converged(&diagonal, &beside, length) {
            break;
        }
        if length > 1e-13 * diagonal.iter().copied().fold(0.0, f64::max) {
            w.iter_mut().for_each(|x| *x /= length);
            beside.push(length);
            next = Some(w);
        } else {
            // The basis spans an invariant subspace. Another one may have a larger eigenvalue, if the first vector has no part in it.
            beside.push(0.0);
            next = start(&basis, found, n, &mut rng);
        }
    }
    let Some((value, shares)) = largest(&diagonal, &beside) else { return (0.0, vec![0.0; n]) };
    let mut axis = vec![0.0; n];
    for (v, share) in basis.iter().zip(&shares) {
        axis.iter_mut().zip(v).for_each(|(a, x)| *a += share * x);
    }
    (value, axis)
}

/// Whether the largest eigenvalue of the tridiagonal matrix is that of the whole, by the bound of its residual: the next element
/// beside the diagonal times the last component of its eigenvector.
fn is_converged(diagonal: &[f64], beside: &[f64], next: f64) -> bool {
    let Some((value, vector)) = largest(diagonal, beside) else { return false };
    (next * vector[vector.len() - 1]).abs() <= TOLERANCE * value.abs()
}

/// The largest eigenvalue of a tridiagonal matrix with its eigenvector; none of an empty matrix.
fn largest(diagonal: &[f64], beside: &[f64]) -> Option<(f64, Vec<f64>)> {
    let k = diagonal.len();
    let (values, vectors) = eigen(tridiagonal(diagonal, beside), k);
    let i = (0..k).reduce(|best, i| if values[i] > values[best] { i } else { best })?;
    Some((values[i], vectors[i * k..][..k].to_vec()))
}

/// The symmetric matrix with this diagonal and these elements beside it, `[k, k]`.
fn tridiagonal(diagonal: &[f64], beside: &[f64]) -> Vec<f64> {
    let k = diagonal.len();
    let mut matrix = vec![0.0; k * k];
    for i in 0..k {
        matrix[i * k + i] = diagonal[i];
        if i + 1 < k {
            (matrix[i * k + i + 1], matrix[(i + 1) * k + i]) = (beside[i], beside[i]);
        }
    }
    matrix
}

/// The rows' covariance times a vector.
fn covariance_times(rows: &[&[f32]], mean: &[f64], v: &[f64]) -> Vec<f64> {
    let offset = dot(mean, v);
    let (mut product, mut sum) = (vec![0.0; v.len()], 0.0);
    for row in rows {
        let along = dot_f32(row, v) - offset;
        sum += along;
        product.iter_mut().zip(*row).for_each(|(p, &x)| *p += along * f64::from(x));
    }
    let count = rows.len() as f64;
    product.iter_mut().zip(mean).for_each(|(p, m)| *p = (*p - sum * m) / count);
    product
}

/// Removes from a vector what lies in the span of an orthonormal basis and of `found`, which is orthogonal to it; twice, because the
/// first pass leaves rounding errors.
fn orthogonalize(w: &mut [f64], basis: &[Vec<f64>], found: Option<&[f64]>) {
    for _ in 0..2 {
        for v in basis.iter().map(Vec::as_slice).chain(found) {
            let along = dot(w, v);
            w.iter_mut().zip(v).for_each(|(w, x)| *w -= along * x);
        }
    }
}

/// A random unit vector orthogonal to a basis and to `found`; none if there is no more direction.
fn start(basis: &[Vec<f64>], found: Option<&[f64]>, n: usize, rng: &mut Rng) -> Option<Vec<f64>> {
    if basis.len() + usize::from(found.is_some()) >= n {
        return None;
    }
    let mut w: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
    orthogonalize(&mut w, basis, found);
    let length = dot(&w, &w).sqrt();
    w.iter_mut().for_each(|x| *x /= length);
    (length > 1e-9).then_some(w)
}

/// Partial sums in which a dot product is added up, so that it can be vectorized.
const LANES: usize = 8;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        (0..LANES).for_each(|k| sums[k] += a[k] * b[k]);
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// The same of a row of points.
fn dot_f32(a: &[f32], b: &[f64]) -> f64 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        (0..LANES).for_each(|k| sums[k] += f64::from(a[k]) * b[k]);
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(&a, b)| f64::from(a) * b).sum::<f64>()
}

#[cfg(test)]
mod tests;
