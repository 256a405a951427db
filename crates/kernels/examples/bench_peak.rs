//! The peak rates of one core of this machine, for the floors of bench/table.py. Prints one line of JSON:
//!
//! - `peak`: multiply-adds a second of `f32` values in registers, by the widest fused instructions. Unfused additions or subtractions
//!   reach the same rate.
//! - `product`: multiply-adds a second of `Product::set` of 256 x 256 by 256 x 256, in the second-level cache.
//! - `bandwidth`: bytes a second of summing 256 MiB.
//! - `level`: the instructions.
//!
//! Each is the best of runs of some hundredths of a second, within half a second, because other work only slows.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use kernels::{Level, Matrix, Product};

fn main() {
    let (lanes, fused) = widest();
    let peak = best(|| (lanes * CHAINS * ROUNDS) as f64, || fused(black_box(0.5)));
    let (left, right, mut out) = (vec![0.5; 256 * 256], vec![0.25; 256 * 256], vec![0.0; 256 * 256]);
    let mut product = Product::default();
    let rate = best(
        || 256_f64.powi(3),
        || {
            let matrix = |values| Matrix::new(values, [256; 2]);
            product.set(matrix(black_box(&left)), matrix(&right), black_box(&mut out));
        },
    );
    let much = vec![1.0_f32; 64 << 20];
    let bandwidth = best(
        || (4 * much.len()) as f64,
        || {
            black_box(sum(black_box(&much)));
        },
    );
    println!(
        r#"{{"peak":{peak:.4e},"product":{rate:.4e},"bandwidth":{bandwidth:.4e},"level":"{:?}"}}"#,
        Level::best()
    );
}

/// The best rate of `work`, which does `amount` operations.
fn best(amount: impl Fn() -> f64, mut work: impl FnMut()) -> f64 {
    work();
    let (start, mut least) = (Instant::now(), f64::INFINITY);
    while start.elapsed() < Duration::from_millis(500) {
        let start = Instant::now();
        work();
        least = least.min(start.elapsed().as_secs_f64());
    }
    amount() / least
}

/// The sum of all values, in enough independent sums that memory bandwidth is the limit.
fn sum(values: &[f32]) -> f32 {
    let mut sums = [0.0; 64];
    for chunk in values.as_chunks::<64>().0 {
        sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += x);
    }
    sums.iter().sum()
}

/// Independent sums: enough for a latency of four cycles on two units, and few enough for the registers.
const CHAINS: usize = 10;
/// Multiply-adds of each chain in one piece of work.
const ROUNDS: usize = 1 << 20;

/// Values of the widest vector, and a function that does `ROUNDS` multiply-adds of such vectors in each of `CHAINS`.
fn widest() -> (usize, fn(f32)) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: AVX-512F was detected.
            return (16, |x| unsafe { x86::avx512(x) });
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: AVX2 and FMA were detected.
            return (8, |x| unsafe { x86::avx2(x) });
        }
    }
    (4, |x| {
        let mut sums = [[x; 4]; CHAINS];
        for _ in 0..ROUNDS {
            // Not `mul_add`, which calls a function where there is no instruction.
            sums.iter_mut().flatten().for_each(|sum| *sum = *sum * x + x);
        }
        black_box(sums);
    })
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{CHAINS, ROUNDS};
    use std::{arch::x86_64::*, hint::black_box};

    macro_rules! fused {
        ($name:ident, $features:literal, $set:ident, $fma:ident) => {
            #[target_feature(enable = $features)]
            pub fn $name(x: f32) {
                let x = $set(x);
                let mut sums = [x; CHAINS];
                for _ in 0..ROUNDS {
                    sums.iter_mut().for_each(|sum| *sum = $fma(*sum, x, x));
                }
                black_box(sums);
            }
        };
    }

    fused!(avx2, "avx2,fma", _mm256_set1_ps, _mm256_fmadd_ps);
    fused!(avx512, "avx512f", _mm512_set1_ps, _mm512_fmadd_ps);
}
