//! Mish (Misra, 2019), `x tanh(ln(1 + e^x))`, computed as `x n / (n + 2)` with `n = e^x (e^x + 2)`: one exponential instead
//! of three transcendental functions. Acting and training use the same function.

use super::{math::exponential, product::vectors};

/// Above this, n / (n + 2) is 1 in f32. Here e^x squared does not overflow.
const HIGH: f32 = 20.0;

/// Below this, e^x would be subnormal; |x e^x| is below 1e-35.
const LOW: f32 = -87.0;

/// n / (n + 2), e^x and n. NaN is treated as large here and stays NaN in the product with x.
#[inline(always)]
fn gate(x: f32) -> (f32, f32, f32) {
    let x = if x < HIGH { x } else { HIGH };
    let e = exponential(if x > LOW { x } else { LOW });
    let n = e * (e + 2.0);
    (n / (n + 2.0), e, n)
}

/// Applies Mish in place.
pub fn mish(values: &mut [f32]) {
    vectors(|| values.iter_mut().for_each(|x| *x *= gate(*x).0));
}

/// Applies Mish in place and writes its derivatives.
///
/// # Panics
/// If the lengths differ.
pub fn mish_with_derivative(values: &mut [f32], derivatives: &mut [f32]) {
    assert_eq!(values.len(), derivatives.len(), "a derivative for each value");
    vectors(|| {
        for (v, s) in values.iter_mut().zip(derivatives) {
            let (w, e, n) = gate(*v);
            let x = if *v < HIGH { *v } else { HIGH };
            *s = w + x * 4.0 * e * (e + 1.0) / ((n + 2.0) * (n + 2.0));
            *v *= w;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mish by its definition, in f64.
    fn definition(x: f64) -> f64 {
        x * x.exp().ln_1p().tanh()
    }

    #[test]
    fn mish_is_its_definition_and_survives_what_overflows() {
        let mut worst = 0.0_f64;
        for i in -40_000..40_000 {
            let x = i as f32 * 0.002_5; // -100 to 100
            let mut value = [x];
            mish(&mut value);
            let expected = definition(f64::from(x));
            worst = worst.max((f64::from(value[0]) - expected).abs() / expected.abs().max(1e-3));
        }
        assert!(worst < 1e-6, "{worst}");
        let mut wild = [f32::MAX, -f32::MAX, 1e30, -1e30, 0.0, f32::NAN];
        mish(&mut wild);
        assert_eq!((wild[0], wild[2], wild[4]), (f32::MAX, 1e30, 0.0));
        assert!(wild[1].is_finite() && wild[3].is_finite() && wild[5].is_nan(), "{wild:?}");
    }

    #[test]
    fn derivatives_are_those_of_the_definition() {
        let points: Vec<f32> = (-60..60).map(|i| i as f32 * 0.5).collect();
        let (mut values, mut derivatives) = (points.clone(), vec![0.0; points.len()]);
        mish_with_derivative(&mut values, &mut derivatives);
        for ((x, value), derivative) in points.iter().zip(values).zip(derivatives) {
            let x = f64::from(*x);
            assert!((f64::from(value) - definition(x)).abs() < 1e-6 * x.abs().max(1.0), "{x}: {value}");
            let expected = (definition(x + 1e-4) - definition(x - 1e-4)) / 2e-4;
            assert!((f64::from(derivative) - expected).abs() < 1e-5, "{x}: {derivative} {expected}");
        }
    }
}
