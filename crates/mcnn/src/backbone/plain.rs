//! What networks that act are computed with: plain loops that compilers make vector operations of, in one order of
//! additions, so that all machines agree.

/// e^x for x from -87 to 88, to 2e-7 of its value. A polynomial instead of the platform's function, which would be
/// called number by number and differs between platforms.
#[inline]
pub fn exponential(x: f32) -> f32 {
    // x = k ln 2 + r. Adding 1.5 * 2^23 rounds k to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4; // few digits, so that k times it is exact
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    // Taylor's series to r^7: |r| <= ln 2 / 2, so the rest is below 1e-8.
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

/// Adds `x W` to `out`, row by row: `x` is `[rows, inputs]`, `weight` `[inputs, outputs]`, `out` `[rows, outputs]`, and
/// `inputs` says how many. Every output adds its products in the order of the inputs. Four of them at a time, so that an
/// output is read and written once for four products; and all rows by four, so that those weights are read from afar once.
pub fn add_product(x: &[f32], inputs: usize, weight: &[f32], out: &mut [f32]) {
    let n = weight.len() / inputs;
    let quads = inputs / 4 * 4;
    for (q, block) in weight[..quads * n].chunks_exact(4 * n).enumerate() {
        let (a, block) = block.split_at(n);
        let (b, block) = block.split_at(n);
        let (c, d) = block.split_at(n);
        for (x, out) in x.chunks_exact(inputs).zip(out.chunks_exact_mut(n)) {
            let x = &x[4 * q..][..4];
            for ((((o, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *o = *o + x[0] * a + x[1] * b + x[2] * c + x[3] * d;
            }
        }
    }
    for (i, row) in (quads..).zip(weight[quads * n..].chunks_exact(n)) {
        for (x, out) in x.chunks_exact(inputs).zip(out.chunks_exact_mut(n)) {
            out.iter_mut().zip(row).for_each(|(o, w)| *o += x[i] * w);
        }
    }
}

/// The sum of `f(a, b)` over two slices of one length, in eight partial sums.
#[inline]
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
    fn products_and_sums_are_those_of_their_definition() {
        let mut rng = Seed(3).rng();
        let mut draw = |n: usize| (0..n).map(|_| rng.normal() as f32).collect::<Vec<_>>();
        for (rows, inputs, outputs) in [(1, 4, 3), (3, 9, 5), (2, 3, 1), (5, 8, 16)] {
            let (x, weight, start) = (draw(rows * inputs), draw(inputs * outputs), draw(rows * outputs));
            let mut out = start.clone();
            add_product(&x, inputs, &weight, &mut out);
            for r in 0..rows {
                for o in 0..outputs {
                    let products = (0..inputs)
                        .map(|i| f64::from(x[r * inputs + i]) * f64::from(weight[i * outputs + o]));
                    let expected = f64::from(start[r * outputs + o]) + products.sum::<f64>();
                    assert!((f64::from(out[r * outputs + o]) - expected).abs() < 1e-5);
                }
            }
            let expected: f32 = x.iter().zip(&weight).map(|(a, b)| a * b).sum();
            let n = x.len().min(weight.len());
            assert!((sum(&x[..n], &weight[..n], |a, b| a * b) - expected).abs() < 1e-5);
        }
    }
}
