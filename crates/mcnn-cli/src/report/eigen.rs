//! Eigenvalues and eigenvectors of small symmetric matrices.

/// Eigenvalues and orthonormal eigenvectors (as rows) of a symmetric matrix `[n, n]`, by the cyclic Jacobi method (Golub and
/// Van Loan, Matrix Computations, section 8.5). The cost is that of some tens of products of such matrices.
pub fn eigen(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
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

    #[test]
    fn eigenvectors_are_orthonormal_and_reconstruct_the_matrix() {
        let n = 9;
        let mut rng = Seed(5).rng();
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            for j in i..n {
                a[i * n + j] = rng.normal();
                a[j * n + i] = a[i * n + j];
            }
        }
        let (values, vectors) = eigen(a.clone(), n);
        for i in 0..n {
            for j in 0..n {
                let dot: f64 = (0..n).map(|k| vectors[i * n + k] * vectors[j * n + k]).sum();
                assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-12);
                let back: f64 = (0..n).map(|k| values[k] * vectors[k * n + i] * vectors[k * n + j]).sum();
                assert!((back - a[i * n + j]).abs() < 1e-9);
            }
        }
    }
}
