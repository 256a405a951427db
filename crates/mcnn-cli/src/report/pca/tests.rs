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

/// Where two variances are equal, every direction between them is as good, and neither may be lost.
#[test]
fn equal_variances_count_twice() {
    let n = 20;
    let mut points = Vec::new();
    for (dimension, size) in [(4, 3.0), (11, 3.0), (2, 1.0), (7, 1.0), (19, 0.5)] {
        for sign in [-1.0, 1.0] {
            let mut point = vec![0.0_f32; n];
            point[dimension] = sign * size;
            points.extend(point);
        }
    }
    let plane = Plane::of(&points, n);
    let share = 9.0 / (9.0 + 9.0 + 1.0 + 1.0 + 0.25);
    assert!(plane.shares.iter().all(|s| (s - share).abs() < 1e-12), "{:?}", plane.shares);
    for axis in &plane.axes {
        assert!((axis[4].hypot(axis[11]) - 1.0).abs() < 1e-12, "{axis:?}");
    }
    assert!(dot(&plane.axes[0], &plane.axes[1]).abs() < 1e-12);
}

/// A covariance of 2,048 x 2,048 numbers would be decomposed for minutes.
#[test]
fn the_plane_of_wide_points_is_that_of_the_two_directions_they_lie_in() {
    let n = 2048;
    let side = (n as f64).sqrt().recip();
    let (a, b): (Vec<f64>, Vec<f64>) = (0..n).map(|i| (side, if i % 2 == 0 { side } else { -side })).unzip();
    let mut rng = Seed(8).rng();
    let (mut points, mut squares) = (Vec::new(), [0.0; 2]);
    // Each point with its mirror images, so that the directions are exactly the axes and the mean is 1.
    for _ in 0..100 {
        let (x, y) = (5.0 * rng.normal(), rng.normal());
        squares = [squares[0] + x * x, squares[1] + y * y];
        for (x, y) in [(x, y), (-x, y), (x, -y), (-x, -y)] {
            points.extend(a.iter().zip(&b).map(|(a, b)| (1.0 + a * x + b * y) as f32));
        }
    }
    let plane = Plane::of(&points, n);
    let total = squares[0] + squares[1];
    for (k, direction) in [a, b].iter().enumerate() {
        assert!((dot(&plane.axes[k], direction).abs() - 1.0).abs() < 1e-9, "axis {k}");
        assert!((plane.shares[k] - squares[k] / total).abs() < 1e-6, "{:?}", plane.shares);
    }
}

#[test]
fn of_many_points_some_at_equal_distances_are_enough() {
    let (n, count) = (3, 3 * MAX_POINTS);
    let points = points(count, n, 9);
    let third: Vec<f32> = points.chunks_exact(n).step_by(3).flatten().copied().collect();
    assert_eq!(Plane::of(&points, n), Plane::of(&third, n));
}

/// Against NumPy's `eigh`, where `MCNN_TEST_PYTHON` names a Python that has it.
#[test]
fn the_plane_agrees_with_numpy() {
    const SCRIPT: &str = r#"
import sys, numpy as np
x = np.fromfile(sys.argv[1], "<f4").reshape(-1, int(sys.argv[2])).astype("f8")
values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
for k in (-1, -2):
    print(values[k] / values.sum(), *vectors[:, k])
"#;
    let Some(python) = std::env::var_os("MCNN_TEST_PYTHON") else {
        use std::io::Write as _;
        let _ = std::io::stderr().write_all(b"SKIPPED (pca): MCNN_TEST_PYTHON names no Python\n");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (count, n, seed) in [(900, 40, 10), (250, 400, 11), (30, 64, 12)] {
        let points = points(count, n, seed);
        let file = folder.path().join("points");
        std::fs::write(&file, points.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>()).unwrap();
        let mut command = std::process::Command::new(&python);
        let output = command.arg("-c").arg(SCRIPT).arg(&file).arg(n.to_string()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let plane = Plane::of(&points, n);
        for (k, line) in String::from_utf8(output.stdout).unwrap().lines().enumerate() {
            let numbers: Vec<f64> = line.split(' ').map(|x| x.parse().unwrap()).collect();
            assert!((plane.shares[k] - numbers[0]).abs() < 1e-9, "{n}: {} {}", plane.shares[k], numbers[0]);
            assert!((dot(&plane.axes[k], &numbers[1..]).abs() - 1.0).abs() < 1e-7, "{n}, axis {k}");
        }
    }
}
