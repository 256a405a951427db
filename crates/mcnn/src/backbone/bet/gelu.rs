//! GELU (Hendrycks and Gimpel, 2016), `x Phi(x)` with Phi the normal distribution function. Acting and training use the same
//! function.

use kernels::WIDE;

use crate::backbone::{
    math::exponential,
    product::{vectors, widest},
};

/// Phi(x) and its density. Phi of a negative number is `poly(t) e^(-x^2 / 2) / 2`, t = 1 / (1 + p |x| / sqrt 2), to 7.5e-8
/// (Abramowitz and Stegun, 7.1.26): one exponential gives both.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let square = -0.5 * x * x;
    let e = exponential(if square > -87.0 { square } else { -87.0 });
    let t = 1.0 / (1.0 + 0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2 * x.abs());
    let poly = 1.061_405_4 * t - 1.453_152;
    let poly = poly * t + 1.421_413_7;
    let poly = poly * t - 0.284_496_74;
    let poly = poly * t + 0.254_829_6;
    let tail = 0.5 * poly * t * e;
    (if x < 0.0 { tail } else { 1.0 - tail }, 0.398_942_3 * e)
}

/// Applies GELU in place.
pub fn gelu(values: &mut [f32]) {
    vectors(|| values.iter_mut().for_each(|x| *x *= normal(*x).0));
}

widest! {
    /// Writes GELU(values + bias) to `out` and replaces the values by its derivatives. Both are panels with one row per bias.
    pub fn gelu_with_derivative<'a>(values: &'a mut [f32], biases: &'a [f32], out: &'a mut [f32]) {
        let values = values.as_chunks_mut::<WIDE>().0.iter_mut().zip(out.as_chunks_mut::<WIDE>().0);
        for ((values, out), bias) in values.zip(biases.iter().cycle()) {
            for (x, out) in values.iter_mut().zip(out) {
                let at = *x + bias;
                let (below, density) = normal(at);
                *out = at * below;
                *x = below + at * density;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Phi by the power series of its integral around 0, in f64: good to 1e-12 for |x| up to 5.
    fn phi(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for k in 1..120 {
            term *= -x * x / (2.0 * f64::from(k));
            sum += term / f64::from(2 * k + 1);
        }
        0.5 + sum / (2.0 * std::f64::consts::PI).sqrt()
    }

    #[test]
    fn gelu_equals_its_definition_and_is_finite_where_it_could_overflow() {
        for i in -5000..=5000 {
            let x = i as f32 * 0.001;
            let mut value = [x];
            gelu(&mut value);
            let expected = f64::from(x) * phi(f64::from(x));
            assert!(
                (f64::from(value[0]) - expected).abs() < 3e-7 * expected.abs().max(1.0),
                "{x}: {value:?}"
            );
        }
        let mut extreme = [f32::MAX, 1e30, -1e30, 0.0, f32::NAN];
        gelu(&mut extreme);
        assert_eq!(extreme[..2], [f32::MAX, 1e30]);
        assert!(extreme[2] == 0.0 && extreme[3] == 0.0 && extreme[4].is_nan(), "{extreme:?}");
    }

    #[test]
    fn derivatives_equal_those_of_the_definition() {
        let points: Vec<f32> = (-60..36).map(|i| i as f32 / 12.0).collect();
        let (mut derivatives, mut values) = (points.clone(), vec![0.0; points.len()]);
        gelu_with_derivative(&mut derivatives, &[0.25, -0.5, 1.0], &mut values);
        for (k, (derivative, value)) in derivatives.iter().zip(values).enumerate() {
            let x = f64::from(points[k]) + [0.25, -0.5, 1.0][k / WIDE];
            assert!((f64::from(value) - x * phi(x)).abs() < 1e-6, "{x}: {value}");
            let expected = ((x + 1e-4) * phi(x + 1e-4) - (x - 1e-4) * phi(x - 1e-4)) / 2e-4;
            assert!((f64::from(*derivative) - expected).abs() < 1e-6, "{x}: {derivative} {expected}");
        }
    }
}
