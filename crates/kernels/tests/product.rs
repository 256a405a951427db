//! Products of matrices against their definition.

use kernels::{Level, Matrix, PackedMatrix, Product, WIDE};

/// Pseudorandom values in [-1, 1).
fn random_values(n: usize, seed: &mut u64) -> Vec<f32> {
    let next = |_| {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((*seed >> 40) as f32 / (1u64 << 23) as f32) - 1.0
    };
    (0..n).map(next).collect()
}

fn transpose(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| matrix[r * columns + c])).collect()
}

#[test]
fn products_equal_the_definition_in_every_memory_layout() {
    let mut seed = 1;
    for level in Level::available() {
        let mut product = Product::on(level);
        for [rows, deep, columns] in
            [[1, 1, 1], [13, 7, 24], [12, 256, 32], [5, 257, 33], [9, 30, 31], [33, 600, 40], [128, 45, 256]]
        {
            let (left, right) =
                (random_values(rows * deep, &mut seed), random_values(deep * columns, &mut seed));
            let bias = random_values(columns, &mut seed);
            let (left_transposed, right_transposed) =
                (transpose(&left, rows, deep), transpose(&right, deep, columns));
            let lefts =
                [Matrix::new(&left, [rows, deep]), Matrix::new(&left_transposed, [deep, rows]).transposed()];
            let rights = [
                Matrix::new(&right, [deep, columns]),
                Matrix::new(&right_transposed, [columns, deep]).transposed(),
            ];
            let exact = |r: usize, c: usize| -> f64 {
                (0..deep).map(|k| f64::from(left[r * deep + k]) * f64::from(right[k * columns + c])).sum()
            };
            for (l, left) in lefts.into_iter().enumerate() {
                for (r, right) in rights.into_iter().enumerate() {
                    let what = format!("{level:?}, {rows} x {deep} x {columns}, transposed {l} {r}");
                    let mut out = vec![f32::NAN; rows * columns];
                    product.set(left, right, &mut out);
                    for (i, found) in out.iter().enumerate() {
                        let expected = exact(i / columns, i % columns);
                        assert!((f64::from(*found) - expected).abs() < 1e-4, "{what}: {found} {expected}");
                    }
                    let before = out.clone();
                    product.add(left, right, &mut out);
                    for (found, before) in out.iter().zip(&before) {
                        assert!((found - 2.0 * before).abs() < 1e-4, "{what}: {found}, twice {before}");
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

/// Packs a row-major matrix in panels of columns.
fn pack(matrix: &[f32], columns: usize) -> Vec<f32> {
    let panel = |p: usize| matrix.chunks_exact(columns).flat_map(move |row| &row[p * WIDE..(p + 1) * WIDE]);
    (0..columns / WIDE).flat_map(panel).copied().collect()
}

#[test]
fn products_of_packed_matrices_equal_the_definition() {
    let mut seed = 2;
    for level in Level::available() {
        let mut product = Product::on(level);
        for [rows, deep, samples] in [[1, 1, 32], [13, 7, 64], [24, 300, 96], [33, 31, 320], [120, 64, 288]] {
            let (weight, x) =
                (random_values(rows * deep, &mut seed), random_values(deep * samples, &mut seed));
            let mut expected = vec![0.0; rows * samples];
            let [weights, xs] = [Matrix::new(&weight, [rows, deep]), Matrix::new(&x, [deep, samples])];
            Product::on(level).set(weights, xs, &mut expected);
            let (x, expected) = (pack(&x, samples), pack(&expected, samples));
            let weight_transposed = transpose(&weight, rows, deep);
            for left in [weights, Matrix::new(&weight_transposed, [deep, rows]).transposed()] {
                let mut out = vec![f32::NAN; rows * samples];
                for times in [1.0, 2.0] {
                    product.packed(left, PackedMatrix::new(&x, deep), times > 1.0, &mut out);
                    for (found, expected) in out.iter().zip(&expected) {
                        assert!(
                            (found - times * expected).abs() < 1e-4,
                            "{rows} x {deep}: {found} {expected}"
                        );
                    }
                }
            }
            let y = random_values(rows * samples, &mut seed);
            let mut expected = vec![0.0; deep * rows];
            let [xs, ys] = [xs, Matrix::new(&y, [rows, samples])];
            Product::on(level).set(xs, ys.transposed(), &mut expected);
            let mut out = vec![f32::NAN; deep * rows];
            product.packed_transposed(
                PackedMatrix::new(&x, deep),
                PackedMatrix::new(&pack(&y, samples), rows),
                &mut out,
            );
            for (found, expected) in out.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-4, "{deep} x {rows}: {found} {expected}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "what is multiplied")]
fn matrices_that_do_not_fit_are_refused() {
    Product::default().set(Matrix::new(&[1.0; 6], [2, 3]), Matrix::new(&[1.0; 8], [4, 2]), &mut [0.0; 4]);
}
