//! Products of matrices against their definition.

use convolve::{Level, Matrix, Product};

/// Numbers that look random, in [-1, 1).
fn numbers(n: usize, seed: &mut u64) -> Vec<f32> {
    let next = |_| {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((*seed >> 40) as f32 / (1u64 << 23) as f32) - 1.0
    };
    (0..n).map(next).collect()
}

fn turned(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| matrix[r * columns + c])).collect()
}

#[test]
fn products_are_those_of_the_definition_however_the_matrices_lie() {
    let mut seed = 1;
    for level in Level::available() {
        let mut product = Product::on(level);
        for [rows, deep, columns] in
            [[1, 1, 1], [13, 7, 24], [12, 256, 32], [5, 257, 33], [33, 600, 40], [128, 45, 256]]
        {
            let (left, right) = (numbers(rows * deep, &mut seed), numbers(deep * columns, &mut seed));
            let bias = numbers(columns, &mut seed);
            let (left_turned, right_turned) = (turned(&left, rows, deep), turned(&right, deep, columns));
            let lefts = [Matrix::new(&left, [rows, deep]), Matrix::new(&left_turned, [deep, rows]).turned()];
            let rights =
                [Matrix::new(&right, [deep, columns]), Matrix::new(&right_turned, [columns, deep]).turned()];
            let exact = |r: usize, c: usize| -> f64 {
                (0..deep).map(|k| f64::from(left[r * deep + k]) * f64::from(right[k * columns + c])).sum()
            };
            for (l, left) in lefts.into_iter().enumerate() {
                for (r, right) in rights.into_iter().enumerate() {
                    let what = format!("{level:?}, {rows} x {deep} x {columns}, turned {l} {r}");
                    let mut out = vec![f32::NAN; rows * columns];
                    product.set(left, right, &mut out);
                    for (i, found) in out.iter().enumerate() {
                        let expected = exact(i / columns, i % columns);
                        assert!((f64::from(*found) - expected).abs() < 1e-4, "{what}: {found} {expected}");
                    }
                    for relu in [false, true] {
                        product.linear(left, right, &bias, relu, &mut out);
                        for (i, found) in out.iter().enumerate() {
                            let all = exact(i / columns, i % columns) + f64::from(bias[i % columns]);
                            let expected = if relu { all.max(0.0) } else { all };
                            assert!(
                                (f64::from(*found) - expected).abs() < 1e-4,
                                "{what}: {found} {expected}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "what is multiplied")]
fn matrices_that_do_not_fit_are_refused() {
    Product::default().set(Matrix::new(&[1.0; 6], [2, 3]), Matrix::new(&[1.0; 8], [4, 2]), &mut [0.0; 4]);
}
