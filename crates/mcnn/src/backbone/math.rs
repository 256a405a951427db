//! Elementary functions and sums in plain loops, which compilers vectorize. The order of additions is fixed, so that all
//! machines give the same bits.

/// e^x for x in [-87, 88], with a relative error below 2.5e-7. It is a polynomial, because the platform's function differs
/// between platforms and is not vectorized.
#[inline(always)]
pub fn exponential(x: f32) -> f32 {
    // x = k ln 2 + r. Adding 1.5 * 2^23 rounds k to an integer, which is then in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4; // few digits, so that its product with k is exact
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    // Taylor series to r^7; |r| <= ln 2 / 2, so the remainder is below 1e-8.
    let series = 1.0 / 5040.0;
    let series = series * r + 1.0 / 720.0;
    let series = series * r + 1.0 / 120.0;
    let series = series * r + 1.0 / 24.0;
    let series = series * r + 1.0 / 6.0;
    let series = series * r + 0.5;
    let series = series * r + 1.0;
    let series = series * r + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    series * power
}

/// The sum of `f(a, b)` over two slices of equal length, in eight partial sums.
#[inline(always)]
pub fn sum(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0_f32; 8];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += f(*a, *b);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| f(*a, *b));
    sums.into_iter().chain(rest).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn the_exponential_is_that_of_f64() {
        for i in -8700..8800 {
            let x = i as f32 * 0.01;
            let expected = f64::from(x).exp();
            assert!((f64::from(exponential(x)) - expected).abs() < 2.5e-7 * expected, "{x}");
        }
    }

    #[test]
    fn sums_are_those_of_their_definition() {
        let mut rng = Seed(3).rng();
        for n in [0, 1, 7, 8, 9, 64, 75] {
            let mut draw = || (0..n).map(|_| rng.normal() as f32).collect::<Vec<_>>();
            let (a, b) = (draw(), draw());
            let expected: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((f64::from(sum(&a, &b, |a, b| a * b)) - expected).abs() < 1e-5);
        }
    }
}
