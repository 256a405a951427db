//! Detection of the processor's instructions at run time, and the one dispatch of this crate on them.

use crate::tile::{ProductSum, define_product_sum};

/// A set of vector instructions that this processor has. A value is proof of that: values are made only by detection.
///
/// Results depend on the level in the last bits, since the baseline has no fused multiply-add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// Every level of this processor, the slowest first; the baseline of the compilation target is always there.
    pub fn available() -> Vec<Level> {
        #[allow(unused_mut, reason = "only x86-64 has more than one level")]
        let mut levels = vec![Level(Kind::Baseline)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Level(Kind::Avx2));
            }
            if is_x86_feature_detected!("avx512f") {
                levels.push(Level(Kind::Avx512));
            }
        }
        levels
    }

    /// The fastest level of this processor.
    pub fn best() -> Level {
        *Level::available().last().expect("the baseline is always there")
    }

    #[inline]
    pub(crate) fn run(self, work: &ProductSum, to: &mut [f32]) {
        match self.0 {
            Kind::Baseline => baseline(work, to),
            // SAFETY: `avx2` is unsafe to call only on a processor without AVX2 or FMA. `available` is the only place that makes a
            // `Kind::Avx2`, and makes it only after detecting both.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { x86::avx2(work, to) },
            // SAFETY: as above, with AVX-512F.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => unsafe { x86::avx512(work, to) },
        }
    }
}

/// Values of a baseline vector: few enough that tiles fit in the registers of any processor.
const LANES: usize = 4;

fn load(from: &[f32]) -> [f32; LANES] {
    *from.first_chunk().expect("a full vector")
}

/// # Safety
/// `from` points to [`LANES`] readable values.
unsafe fn read(from: *const f32) -> [f32; LANES] {
    // SAFETY: by the caller's promise `LANES` values are readable; an array has the layout and alignment of its values.
    unsafe { from.cast::<[f32; LANES]>().read() }
}

fn fma(a: [f32; LANES], b: [f32; LANES], sum: [f32; LANES]) -> [f32; LANES] {
    std::array::from_fn(|i| a[i] * b[i] + sum[i]) // `mul_add` calls a function where there is no instruction
}

fn relu(a: [f32; LANES]) -> [f32; LANES] {
    a.map(|a| if a < 0.0 { 0.0 } else { a })
}

define_product_sum!(
    baseline,
    4,
    2,
    [4, 1],
    |x| [x; LANES],
    load,
    read,
    fma,
    |a: [f32; LANES], b: [f32; LANES]| std::array::from_fn::<f32, LANES, _>(|i| a[i] + b[i]),
    relu,
    |to: &mut [f32], a: [f32; LANES]| to[..LANES].copy_from_slice(&a),
    |_| ()
);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use crate::tile::define_product_sum;

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn load8(from: &[f32]) -> __m256 {
        let from: &[f32; 8] = from.first_chunk().expect("a full vector");
        // SAFETY: the pointer is that of an array of eight values; the load is unaligned.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn store8(to: &mut [f32], a: __m256) {
        let to: &mut [f32; 8] = to.first_chunk_mut().expect("a full vector");
        // SAFETY: the pointer is that of a mutable array of eight values; the store is unaligned.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), a) }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn load16(from: &[f32]) -> __m512 {
        let from: &[f32; 16] = from.first_chunk().expect("a full vector");
        // SAFETY: the pointer is that of an array of sixteen values; the load is unaligned.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn store16(to: &mut [f32], a: __m512) {
        let to: &mut [f32; 16] = to.first_chunk_mut().expect("a full vector");
        // SAFETY: the pointer is that of a mutable array of sixteen values; the store is unaligned.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), a) }
    }

    /// Prefetches a cache line. Any address is allowed.
    #[inline(always)]
    fn fetch(from: *const f32) {
        // SAFETY: a prefetch is a hint. It reads nothing and faults at no address; SSE is part of every x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
    }

    // `max` gives its second argument if one is NaN, so NaN passes the ReLU.
    define_product_sum!(
        #[target_feature(enable = "avx2,fma")]
        avx2,
        8,
        2,
        [6, 2, 1],
        _mm256_set1_ps,
        load8,
        _mm256_loadu_ps,
        _mm256_fmadd_ps,
        _mm256_add_ps,
        |a| _mm256_max_ps(_mm256_setzero_ps(), a),
        store8,
        fetch
    );

    define_product_sum!(
        #[target_feature(enable = "avx512f")]
        avx512,
        16,
        2,
        [12, 8, 6, 4, 2, 1],
        _mm512_set1_ps,
        load16,
        _mm512_loadu_ps,
        _mm512_fmadd_ps,
        _mm512_add_ps,
        |a| _mm512_max_ps(_mm512_setzero_ps(), a),
        store16,
        fetch
    );
}
