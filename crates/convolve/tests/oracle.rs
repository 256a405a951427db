//! The convolution against its oracle, on every level of the processor.

use convolve::{Convolution, Level, Shape, WIDE, oracle::convolve};

/// Numbers that look random, between -1 and 1.
fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn check(shape: Shape, size: [usize; 2], n: usize) {
    let Shape { from, to, kernel, .. } = shape;
    let weights = numbers(to * from * kernel[0] * kernel[1], 1);
    let (bias, input) = (numbers(to, 2), numbers(size[0] * size[1] * n * from, 3));
    let expected = convolve(shape, &weights, &bias, &input, size, n);
    let add = numbers(expected.len(), 4);
    for level in Level::available() {
        let convolution = Convolution::new(shape, &weights, &bias).on(level);
        let mut out = vec![f32::NAN; expected.len()];
        convolution.run(&input, size, n, None, false, &mut out);
        let scale = ((from * kernel[0] * kernel[1]) as f64).sqrt();
        for (i, (&found, &expected)) in out.iter().zip(&expected).enumerate() {
            assert!(
                (f64::from(found) - expected).abs() < 2e-6 * scale,
                "{shape:?} {size:?} {n} {level:?} at {i}"
            );
        }
        convolution.run(&input, size, n, Some(&add), true, &mut out);
        for (i, (&found, &expected)) in out.iter().zip(&expected).enumerate() {
            let expected = (expected + f64::from(add[i])).max(0.0);
            assert!(
                (f64::from(found) - expected).abs() < 2e-6 * scale,
                "{shape:?} {size:?} {n} {level:?} at {i}"
            );
        }
    }
}

#[test]
fn every_kind_of_layer_of_a_residual_network() {
    for (kernel, stride, pad) in [(1, 1, 0), (1, 2, 0), (3, 1, 1), (3, 2, 1), (7, 2, 3)] {
        let shape = Shape { from: 5, to: 2 * WIDE, kernel: [kernel; 2], stride: [stride; 2], pad: [pad; 2] };
        for size in [[1, 1], [2, 2], [3, 5], [8, 7]] {
            check(shape, size, 3);
        }
    }
}

#[test]
fn every_number_of_images_around_the_tiles() {
    let shape = Shape { from: 4, to: WIDE, kernel: [3, 3], stride: [1, 1], pad: [1, 1] };
    for n in (1..=26).chain([36, 37]) {
        check(shape, [2, 3], n);
    }
    check(Shape { to: 3 * WIDE, ..shape }, [2, 3], 1); // of panels, an odd number
}

#[test]
fn heights_and_widths_are_told_apart() {
    check(Shape { from: 3, to: WIDE, kernel: [3, 1], stride: [2, 1], pad: [1, 0] }, [5, 4], 2);
    check(Shape { from: 3, to: WIDE, kernel: [1, 5], stride: [1, 3], pad: [0, 2] }, [2, 9], 2);
}

#[test]
fn nan_is_not_cut_off() {
    let shape = Shape { from: 1, to: WIDE, kernel: [1, 1], stride: [1, 1], pad: [0, 0] };
    for level in Level::available() {
        let mut out = [0.0; 2 * WIDE];
        let convolution = Convolution::new(shape, &[1.0; WIDE], &[0.0; WIDE]).on(level);
        convolution.run(&[f32::NAN, -1.0], [1, 1], 2, None, true, &mut out);
        assert!(out[..WIDE].iter().all(|v| v.is_nan()), "{level:?}");
        assert!(out[WIDE..].iter().all(|&v| v == 0.0), "{level:?}");
    }
}
