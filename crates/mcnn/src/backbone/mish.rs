//! Mish (Misra, 2019), `x tanh(ln(1 + e^x))`, written as `x n / (n + 2)` with `n = e^x (e^x + 2)`: one exponential where
//! the definition has three transcendental functions. The same plain numbers act and are trained.

use super::{plain::exponential, product::vectors};

/// Above this, n / (n + 2) is 1 in f32; and e^x squared is still far from overflow.
const HIGH: f32 = 20.0;

/// Below this, e^x would leave the normal numbers; x e^x is 0 to 36 digits.
const LOW: f32 = -87.0;

/// n / (n + 2), and what e^x and n were. NaN counts as large here, and stays NaN in the product with x.
#[inline(always)]
fn gate(x: f32) -> (f32, f32, f32) {
    let x = if x < HIGH { x } else { HIGH };
    let e = exponential(if x > LOW { x } else { LOW });
    let n = e * (e + 2.0);
    (n / (n + 2.0), e, n)
}

/// Applies Mish to numbers in place.
pub fn mish(values: &mut [f32]) {
    vectors(|| values.iter_mut().for_each(|x| *x *= gate(*x).0));
}

/// Applies Mish to numbers in place, and leaves its derivatives.
///
/// # Panics
/// If there are not as many places for derivatives as numbers.
pub fn mish_with_slope(values: &mut [f32], slopes: &mut [f32]) {
    assert_eq!(values.len(), slopes.len(), "a derivative for each number");
    vectors(|| {
        for (v, s) in values.iter_mut().zip(slopes) {
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
    fn the_slope_is_that_of_the_definition() {
        let points: Vec<f32> = (-60..60).map(|i| i as f32 * 0.5).collect();
        let (mut values, mut slopes) = (points.clone(), vec![0.0; points.len()]);
        mish_with_slope(&mut values, &mut slopes);
        for ((x, value), slope) in points.iter().zip(values).zip(slopes) {
            let x = f64::from(*x);
            assert!((f64::from(value) - definition(x)).abs() < 1e-6 * x.abs().max(1.0), "{x}: {value}");
            let expected = (definition(x + 1e-4) - definition(x - 1e-4)) / 2e-4;
            assert!((f64::from(slope) - expected).abs() < 1e-5, "{x}: {slope} {expected}");
        }
    }
}
