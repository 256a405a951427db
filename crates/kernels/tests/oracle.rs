//! The convolution against its oracle, on every level of the processor.

use kernels::{
    Convolution, Gradient, InputGradient, Level, Shape, WIDE,
    oracle::{convolve, gradients},
};

/// Pseudorandom values between -1 and 1.
fn random_values(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Asserts that values differ from the oracle's by no more than the rounding of `terms` products.
fn near(found: &[f32], expected: &[f64], terms: usize, what: &dyn std::fmt::Debug) {
    assert_eq!(found.len(), expected.len(), "{what:?}");
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(error <= 2e-6 * (terms as f64).sqrt(), "{what:?} at {i}: {found} is not {expected}");
    }
}

/// Checks the gradients of a convolution; that of the input only if its channels are a multiple of `WIDE`.
fn check_gradients(shape: Shape, size: [usize; 2], n: usize) {
    let Shape { from, to, kernel, .. } = shape;
    let [height, width] = shape.output(size);
    let weights = random_values(to * from * kernel[0] * kernel[1], 1);
    let (input, of) =
        (random_values(size[0] * size[1] * n * from, 3), random_values(height * width * n * to, 5));
    let [to_weights, to_bias, to_input] = gradients(shape, &weights, &input, size, n, &of);
    for level in Level::available() {
        let what = (shape, size, n, level);
        // Made for other weights; the right ones are copied below.
        let mut convolution =
            Convolution::new(shape, &random_values(weights.len(), 9), &vec![0.0; to]).on(level);
        let input_gradient = from.is_multiple_of(WIDE).then(|| InputGradient::new(&convolution));
        convolution = Convolution::new(shape, &weights, &vec![0.0; to]).on(level);
        assert_eq!(convolution.weights(), weights);
        let mut gradient = Gradient::zeros(&shape);
        gradient.weights.fill(f32::NAN);
        convolution.gradient(&input, size, n, &of, &mut gradient);
        // A convolution with these weights unpacks them.
        convolution.parameters_mut()[0].copy_from_slice(&gradient.weights);
        near(&convolution.weights(), &to_weights, height * width * n, &what);
        near(&gradient.bias, &to_bias, height * width * n, &what);
        if let Some(mut input_gradient) = input_gradient {
            input_gradient.copy_weights(&Convolution::new(shape, &weights, &vec![0.0; to]));
            let mut found = vec![f32::NAN; input.len()];
            input_gradient.run(&of, size, n, &mut found);
            near(&found, &to_input, to * kernel[0] * kernel[1], &what);
        }
    }
}

#[test]
fn gradients_of_every_kind_of_layer() {
    for (kernel, stride, pad) in [(1, 1, 0), (1, 2, 0), (2, 1, 0), (3, 1, 1), (3, 2, 1), (3, 3, 0), (5, 2, 2)]
    {
        let shape = Shape { from: WIDE, to: WIDE, kernel: [kernel; 2], stride: [stride; 2], pad: [pad; 2] };
        for size in [[1, 1], [2, 2], [3, 5], [6, 7]] {
            check_gradients(shape, size, 3);
        }
    }
    let shape = Shape { from: 2 * WIDE, to: 2 * WIDE, kernel: [3, 1], stride: [2, 1], pad: [1, 0] };
    check_gradients(shape, [5, 4], 2);
    check_gradients(Shape { from: 27, kernel: [1, 1], stride: [1, 1], pad: [0, 0], ..shape }, [3, 2], 16);
    check_gradients(shape, [4, 4], 0);
    for n in 1..=26 {
        check_gradients(Shape { from: WIDE, to: WIDE, ..shape }, [2, 3], n);
    }
}

fn check(shape: Shape, size: [usize; 2], n: usize) {
    let Shape { from, to, kernel, .. } = shape;
    let weights = random_values(to * from * kernel[0] * kernel[1], 1);
    let (bias, input) = (random_values(to, 2), random_values(size[0] * size[1] * n * from, 3));
    let expected = convolve(shape, &weights, &bias, &input, size, n);
    let add = random_values(expected.len(), 4);
    for level in Level::available() {
        let convolution = Convolution::new(shape, &weights, &bias).on(level);
        let mut out = vec![f32::NAN; expected.len()];
        convolution.run(&input, size, n, None, false, &mut out);
        let (terms, what) = (from * kernel[0] * kernel[1], (shape, size, n, level));
        near(&out, &expected, terms, &what);
        convolution.run(&input, size, n, Some(&add), true, &mut out);
        let added = expected.iter().zip(&add).map(|(e, &a)| (e + f64::from(a)).max(0.0));
        near(&out, &added.collect::<Vec<_>>(), terms, &what);
    }
}

#[test]
fn every_kind_of_layer_of_a_residual_network() {
    for (kernel, stride, pad) in [(1, 1, 0), (1, 2, 0), (3, 1, 1), (3, 2, 1), (7, 2, 3)] {
        let shape = Shape { from: 5, to: 2 * WIDE, kernel: [kernel; 2], stride: [stride; 2], pad: [pad; 2] };
        // One image, too, whose pixels are computed together at any stride, and rows longer than a tile.
        for size in [[1, 1], [2, 2], [3, 5], [8, 7], [3, 40]] {
            check(shape, size, 1);
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
fn heights_and_widths_are_not_confused() {
    check(Shape { from: 3, to: WIDE, kernel: [3, 1], stride: [2, 1], pad: [1, 0] }, [5, 4], 2);
    check(Shape { from: 3, to: WIDE, kernel: [1, 5], stride: [1, 3], pad: [0, 2] }, [2, 9], 2);
}

#[test]
fn nan_passes_the_relu() {
    let shape = Shape { from: 1, to: WIDE, kernel: [1, 1], stride: [1, 1], pad: [0, 0] };
    for level in Level::available() {
        let mut out = [0.0; 2 * WIDE];
        let convolution = Convolution::new(shape, &[1.0; WIDE], &[0.0; WIDE]).on(level);
        convolution.run(&[f32::NAN, -1.0], [1, 1], 2, None, true, &mut out);
        assert!(out[..WIDE].iter().all(|v| v.is_nan()), "{level:?}");
        assert!(out[WIDE..].iter().all(|&v| v == 0.0), "{level:?}");
    }
}
