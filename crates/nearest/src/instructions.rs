//! The inner loops that are written per instruction set, because the compiler does not find the best code by itself.

use crate::quantized::{Codes, QUAD};
use crate::scan::block_sums;
use crate::table::{Column, LANES};

/// What differs between levels. A value, except [`Plain`], exists only inside the function that was dispatched to for its
/// instructions, and so proves that the processor has them.
pub(crate) trait Instructions: Copy {
    /// [`block_sums`] as a function of its own: inlined into a search, its sums would not stay in vector registers.
    fn block_sums(self, block: &[Column], q: &[f32], threshold: f32) -> Result<[f32; LANES], usize>;

    /// For each block, the minimum over its rows of `norm - 2 k.q`, where `k` are a row's codes.
    ///
    /// `q`: `[quads]`, four unsigned bytes each. `codes`: `[blocks, quads]`. `norms`, `minima`: `[blocks]`.
    fn block_minima(self, q: &[u32], codes: &[Codes], norms: &[[i32; LANES]], minima: &mut [i32]);

    /// [`block_minima`](Self::block_minima) of several queries, with a slice of `minima` for each.
    #[inline(always)]
    fn block_minima_of_each(
        self,
        queries: [&[u32]; QUERIES],
        codes: &[Codes],
        norms: &[[i32; LANES]],
        minima: [&mut [i32]; QUERIES],
    ) {
        queries.into_iter().zip(minima).for_each(|(q, minima)| self.block_minima(q, codes, norms, minima));
    }
}

/// Queries that are multiplied with a block at a time.
pub(crate) const QUERIES: usize = 8;

/// The definition, for any processor; the other levels are tested against it.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

impl Instructions for Plain {
    #[inline(always)]
    fn block_sums(self, block: &[Column], q: &[f32], threshold: f32) -> Result<[f32; LANES], usize> {
        block_sums(block, q, threshold)
    }

    #[inline(always)]
    fn block_minima(self, q: &[u32], codes: &[Codes], norms: &[[i32; LANES]], minima: &mut [i32]) {
        for ((codes, norms), minimum) in codes.chunks_exact(q.len()).zip(norms).zip(minima) {
            let product = |row: usize| -> i32 {
                let of = |(q, codes): (&u32, &Codes)| -> i32 {
                    let row = &codes.0[row * QUAD..][..QUAD];
                    q.to_le_bytes().iter().zip(row).map(|(&q, &k)| i32::from(q) * i32::from(k)).sum()
                };
                q.iter().zip(codes).map(of).sum()
            };
            let values = norms.iter().enumerate().map(|(row, norm)| norm - 2 * product(row));
            *minimum = values.fold(i32::MAX, i32::min);
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use super::{Codes, Column, Instructions, LANES, QUERIES, block_sums};
    use crate::level::Kernel;
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx2")]
    pub(crate) fn on_avx2<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Avx2(()))
    }

    /// AVX-512 without VNNI: has no fast products of 8-bit integers, so no quantized copy is made.
    #[target_feature(enable = "avx512f")]
    pub(crate) fn on_avx512<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Avx512(()))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    pub(crate) fn on_vnni<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Vnni(()))
    }

    /// `block_sums` as a function of its own, compiled for some instructions.
    macro_rules! own_sums {
        ($features:literal) => {
            #[inline(always)]
            fn block_sums(self, block: &[Column], q: &[f32], threshold: f32) -> Result<[f32; LANES], usize> {
                #[target_feature(enable = $features)]
                fn own(block: &[Column], q: &[f32], threshold: f32) -> Result<[f32; LANES], usize> {
                    block_sums(block, q, threshold)
                }
                // SAFETY: `own` is unsafe to call only where the processor lacks these features. `self` is made only in the
                // function above that enables the same features, which runs only where they were detected.
                unsafe { own(block, q, threshold) }
            }
        };
    }

    #[derive(Clone, Copy)]
    struct Avx512(());

    impl Instructions for Avx512 {
        own_sums!("avx512f");

        #[inline(always)]
        fn block_minima(self, q: &[u32], codes: &[Codes], norms: &[[i32; LANES]], minima: &mut [i32]) {
            super::Plain.block_minima(q, codes, norms, minima)
        }
    }

    #[derive(Clone, Copy)]
    struct Avx2(());

    impl Instructions for Avx2 {
        own_sums!("avx2");

        #[inline(always)]
        fn block_minima(self, q: &[u32], codes: &[Codes], norms: &[[i32; LANES]], minima: &mut [i32]) {
            for ((codes, norms), minimum) in codes.chunks_exact(q.len()).zip(norms).zip(minima) {
                // SAFETY: `self` is made in `on_avx2` alone, so the processor has AVX2. Each load reads a whole array of the
                // vector's size (16 codes, 8 norms), unaligned.
                unsafe {
                    // Each vector has the sums of four rows, in two parts a row that are added up below.
                    let mut sums = [_mm256_setzero_si256(); LANES / 4];
                    for (&q, codes) in q.iter().zip(codes) {
                        let q = _mm256_cvtepu8_epi16(_mm_set1_epi32(q as i32));
                        for (sum, rows) in sums.iter_mut().zip(codes.0.as_chunks::<16>().0) {
                            let rows = _mm256_cvtepi8_epi16(_mm_loadu_si128(rows.as_ptr().cast()));
                            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(rows, q));
                        }
                    }
                    let mut lowest = _mm256_set1_epi32(i32::MAX);
                    for (sums, norms) in sums.as_chunks::<2>().0.iter().zip(norms.as_chunks::<8>().0) {
                        // `hadd` adds neighbors within 128-bit halves: rows 0, 1, 4, 5, 2, 3, 6, 7.
                        let sum =
                            _mm256_permute4x64_epi64(_mm256_hadd_epi32(sums[0], sums[1]), 0b11_01_10_00);
                        let norm = _mm256_loadu_si256(norms.as_ptr().cast());
                        lowest = _mm256_min_epi32(lowest, _mm256_sub_epi32(norm, _mm256_slli_epi32(sum, 1)));
                    }
                    let half =
                        _mm_min_epi32(_mm256_castsi256_si128(lowest), _mm256_extracti128_si256(lowest, 1));
                    let quarter = _mm_min_epi32(half, _mm_shuffle_epi32(half, 0b01_00_11_10));
                    let eighth = _mm_min_epi32(quarter, _mm_shuffle_epi32(quarter, 0b00_00_00_01));
                    *minimum = _mm_cvtsi128_si32(eighth);
                }
            }
        }
    }

    #[derive(Clone, Copy)]
    struct Vnni(());

    impl Instructions for Vnni {
        own_sums!("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni");

        #[inline(always)]
        fn block_minima(self, q: &[u32], codes: &[Codes], norms: &[[i32; LANES]], minima: &mut [i32]) {
            let quads = q.len();
            let ((fours, rest), (norms, last)) = (minima.as_chunks_mut::<4>(), norms.as_chunks::<4>());
            let after = 4 * fours.len() * quads;
            // SAFETY: `self` is made in `on_vnni` alone, so the processor has these instructions. `chunks_exact` and the slices
            // below give every block `quads` codes, as many as `q` has.
            unsafe {
                for ((minima, codes), norms) in fours.iter_mut().zip(codes.chunks_exact(4 * quads)).zip(norms)
                {
                    // Four blocks at a time hide the latency of the products, and share the reduction to minima.
                    let block = |k: usize| (&codes[k * quads..(k + 1) * quads], &norms[k]);
                    *minima = reduce_four(pair_minima([block(0), block(1), block(2), block(3)], q));
                }
                for ((minimum, codes), norms) in
                    rest.iter_mut().zip(codes[after..].chunks_exact(quads)).zip(last)
                {
                    *minimum = _mm512_reduce_min_epi32(pair_minima([(codes, norms)], q)[0]);
                }
            }
        }

        #[inline(always)]
        fn block_minima_of_each(
            self,
            queries: [&[u32]; QUERIES],
            codes: &[Codes],
            norms: &[[i32; LANES]],
            mut minima: [&mut [i32]; QUERIES],
        ) {
            let quads = queries[0].len();
            assert!(queries.iter().all(|q| q.len() == quads), "queries of one width");
            for (b, (codes, norms)) in codes.chunks_exact(quads).zip(norms).enumerate() {
                // SAFETY: `self` is made in `on_vnni` alone, so the processor has these instructions. By the assertion, every
                // query has `quads` codes, as many as the block.
                unsafe {
                    let of = pair_minima_of_each(codes, norms, queries);
                    for (minima, of) in minima.as_chunks_mut::<4>().0.iter_mut().zip(of.as_chunks::<4>().0) {
                        minima
                            .iter_mut()
                            .zip(reduce_four(*of))
                            .for_each(|(minima, minimum)| minima[b] = minimum);
                    }
                }
            }
        }
    }

    /// Of one block, for each query, `norm - 2 k.q` of every row, reduced to the lower of rows `i` and `i + 16`.
    ///
    /// # Safety
    /// Every query has as many codes as the block.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    unsafe fn pair_minima_of_each(
        codes: &[Codes],
        norms: &[i32; LANES],
        queries: [&[u32]; QUERIES],
    ) -> [__m512i; QUERIES] {
        let mut sums = [[_mm512_setzero_si512(); 2]; QUERIES];
        for (quad, codes) in codes.iter().enumerate() {
            let at = codes.0.as_ptr();
            // SAFETY: `Codes` is 128 bytes, aligned to 64, so both aligned loads of 64 bytes lie in it. `quad` is below the
            // number of the block's codes, which by the caller's promise is that of every query.
            unsafe {
                let halves = [_mm512_load_si512(at.cast()), _mm512_load_si512(at.add(64).cast())];
                for (sums, q) in sums.iter_mut().zip(queries) {
                    let q = _mm512_set1_epi32(*q.get_unchecked(quad) as i32);
                    sums[0] = _mm512_dpbusd_epi32(sums[0], q, halves[0]);
                    sums[1] = _mm512_dpbusd_epi32(sums[1], q, halves[1]);
                }
            }
        }
        sums.map(|sums| subtract_from_norms(norms, sums))
    }

    /// `norm - 2 sum` of every row, reduced to the lower of rows `i` and `i + 16`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn subtract_from_norms(norms: &[i32; LANES], sums: [__m512i; 2]) -> __m512i {
        let at = norms.as_ptr();
        // SAFETY: both unaligned loads of 16 integers lie in the 32 norms.
        let norms = unsafe { [_mm512_loadu_si512(at.cast()), _mm512_loadu_si512(at.add(16).cast())] };
        let of = |half: usize| _mm512_sub_epi32(norms[half], _mm512_slli_epi32(sums[half], 1));
        _mm512_min_epi32(of(0), of(1))
    }

    /// Of each block (codes and norms), `norm - 2 k.q` of every row, reduced to the lower of rows `i` and `i + 16`.
    ///
    /// # Safety
    /// Every block has at least as many codes as `q`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    unsafe fn pair_minima<const N: usize>(blocks: [(&[Codes], &[i32; LANES]); N], q: &[u32]) -> [__m512i; N] {
        let mut sums = [[_mm512_setzero_si512(); 2]; N];
        for (quad, &q) in q.iter().enumerate() {
            let q = _mm512_set1_epi32(q as i32);
            for (sums, (codes, _)) in sums.iter_mut().zip(blocks) {
                // SAFETY: `quad` is below the length of `q`, which by the caller's promise is at most the number of the block's
                // codes. `Codes` is 128 bytes, aligned to 64, so both aligned loads of 64 bytes lie in it.
                let halves = unsafe {
                    let at = codes.get_unchecked(quad).0.as_ptr();
                    [_mm512_load_si512(at.cast()), _mm512_load_si512(at.add(64).cast())]
                };
                sums[0] = _mm512_dpbusd_epi32(sums[0], q, halves[0]);
                sums[1] = _mm512_dpbusd_epi32(sums[1], q, halves[1]);
            }
        }
        std::array::from_fn(|k| subtract_from_norms(blocks[k].1, sums[k]))
    }

    /// The minimum of each of four vectors.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn reduce_four(v: [__m512i; 4]) -> [i32; 4] {
        let pair = |a, b| _mm512_min_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (ab, cd) = (pair(v[0], v[1]), pair(v[2], v[3]));
        // Every 128-bit quarter has one candidate of each of the four.
        let all = _mm512_min_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
        let half = _mm256_min_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
        let quarter = _mm_min_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
        // SAFETY: `__m128i` and `[i32; 4]` have the same size, and every bit pattern is a valid `[i32; 4]`.
        unsafe { std::mem::transmute(quarter) }
    }
}
