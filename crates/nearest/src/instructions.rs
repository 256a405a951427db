//! The inner loops that the compiler does not find by itself, once for each set of instructions.

use crate::coarse::{Codes, QUAD};
use crate::scan::block_sums;
use crate::table::{Column, LANES};

/// What a level does in its own way. A value of it, but for [`Plain`], is made only where the instructions are.
pub(crate) trait Instructions: Copy {
    /// [`block_sums`] in a function of its own: inlined into a search, its sums were not kept in vectors.
    fn block_sums(self, block: &[Column], q: &[f32], bar: f32) -> Result<[f32; LANES], usize>;

    /// Of each block, the least that the norm of a row comes to, less twice the product of its codes with `q`'s. `q` has
    /// four codes a number, as bytes without sign; `codes` one entry for each of these, block after block.
    fn least(self, q: &[u32], codes: &[Codes], norms: &[[i32; LANES]], least: &mut [i32]);

    /// The same for several queries, `least` having a slice for each.
    #[inline(always)]
    fn least_of_each(
        self,
        queries: [&[u32]; TOGETHER],
        codes: &[Codes],
        norms: &[[i32; LANES]],
        least: [&mut [i32]; TOGETHER],
    ) {
        queries.into_iter().zip(least).for_each(|(q, least)| self.least(q, codes, norms, least));
    }
}

/// How many queries are multiplied with a block at a time, where there are many.
pub(crate) const TOGETHER: usize = 8;

/// The definition, for any processor: the oracle of the others.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

impl Instructions for Plain {
    #[inline(always)]
    fn block_sums(self, block: &[Column], q: &[f32], bar: f32) -> Result<[f32; LANES], usize> {
        block_sums(block, q, bar)
    }

    #[inline(always)]
    fn least(self, q: &[u32], codes: &[Codes], norms: &[[i32; LANES]], least: &mut [i32]) {
        for ((codes, norms), least) in codes.chunks_exact(q.len()).zip(norms).zip(least) {
            let product = |row: usize| -> i32 {
                let of = |(q, codes): (&u32, &Codes)| -> i32 {
                    let row = &codes.0[row * QUAD..][..QUAD];
                    q.to_le_bytes().iter().zip(row).map(|(&q, &k)| i32::from(q) * i32::from(k)).sum()
                };
                q.iter().zip(codes).map(of).sum()
            };
            let left = norms.iter().enumerate().map(|(row, norm)| norm - 2 * product(row));
            *least = left.fold(i32::MAX, i32::min);
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use super::{Codes, Column, Instructions, LANES, TOGETHER, block_sums};
    use crate::level::Work;
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx2")]
    pub(crate) fn on_avx2<W: Work>(work: W) -> W::Output {
        work.run(Avx2(()))
    }

    /// Without instructions for codes, and without a coarse copy.
    #[target_feature(enable = "avx512f")]
    pub(crate) fn on_avx512<W: Work>(work: W) -> W::Output {
        work.run(Avx512(()))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    pub(crate) fn on_vnni<W: Work>(work: W) -> W::Output {
        work.run(Vnni(()))
    }

    /// `block_sums` compiled for some instructions, as a function of its own.
    macro_rules! own_sums {
        ($features:literal) => {
            #[inline(always)]
            fn block_sums(self, block: &[Column], q: &[f32], bar: f32) -> Result<[f32; LANES], usize> {
                #[target_feature(enable = $features)]
                fn own(block: &[Column], q: &[f32], bar: f32) -> Result<[f32; LANES], usize> {
                    block_sums(block, q, bar)
                }
                // SAFETY: this value is made in one function alone, which has these instructions.
                unsafe { own(block, q, bar) }
            }
        };
    }

    #[derive(Clone, Copy)]
    struct Avx512(());

    impl Instructions for Avx512 {
        own_sums!("avx512f");

        #[inline(always)]
        fn least(self, q: &[u32], codes: &[Codes], norms: &[[i32; LANES]], least: &mut [i32]) {
            super::Plain.least(q, codes, norms, least)
        }
    }

    #[derive(Clone, Copy)]
    struct Avx2(());

    impl Instructions for Avx2 {
        own_sums!("avx2");

        #[inline(always)]
        fn least(self, q: &[u32], codes: &[Codes], norms: &[[i32; LANES]], least: &mut [i32]) {
            for ((codes, norms), least) in codes.chunks_exact(q.len()).zip(norms).zip(least) {
                // SAFETY: this value is made in `on_avx2` alone, which has the instructions; the loads are of whole arrays
                // of their size.
                unsafe {
                    // Of four rows' codes, widened, two sums each: eight parts of a block.
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
                        // Adds neighbors within halves: rows 0, 1, 4, 5, 2, 3, 6, 7.
                        let sum =
                            _mm256_permute4x64_epi64(_mm256_hadd_epi32(sums[0], sums[1]), 0b11_01_10_00);
                        let norm = _mm256_loadu_si256(norms.as_ptr().cast());
                        lowest = _mm256_min_epi32(lowest, _mm256_sub_epi32(norm, _mm256_slli_epi32(sum, 1)));
                    }
                    let half =
                        _mm_min_epi32(_mm256_castsi256_si128(lowest), _mm256_extracti128_si256(lowest, 1));
                    let quarter = _mm_min_epi32(half, _mm_shuffle_epi32(half, 0b01_00_11_10));
                    let eighth = _mm_min_epi32(quarter, _mm_shuffle_epi32(quarter, 0b00_00_00_01));
                    *least = _mm_cvtsi128_si32(eighth);
                }
            }
        }
    }

    #[derive(Clone, Copy)]
    struct Vnni(());

    impl Instructions for Vnni {
        own_sums!("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni");

        #[inline(always)]
        fn least(self, q: &[u32], codes: &[Codes], norms: &[[i32; LANES]], least: &mut [i32]) {
            let quads = q.len();
            let ((fours, rest), (norms, last)) = (least.as_chunks_mut::<4>(), norms.as_chunks::<4>());
            let after = 4 * fours.len() * quads;
            // SAFETY: this value is made in `on_vnni` alone, which has the instructions.
            unsafe {
                for ((least, codes), norms) in fours.iter_mut().zip(codes.chunks_exact(4 * quads)).zip(norms)
                {
                    // Four blocks have products enough on their way at a time, and their least numbers are found together.
                    let of = |k: usize| (&codes[k * quads..(k + 1) * quads], &norms[k]);
                    *least = lowest_of_four(lowest([of(0), of(1), of(2), of(3)], q));
                }
                for ((least, codes), norms) in
                    rest.iter_mut().zip(codes[after..].chunks_exact(quads)).zip(last)
                {
                    *least = _mm512_reduce_min_epi32(lowest([(codes, norms)], q)[0]);
                }
            }
        }

        #[inline(always)]
        fn least_of_each(
            self,
            queries: [&[u32]; TOGETHER],
            codes: &[Codes],
            norms: &[[i32; LANES]],
            mut least: [&mut [i32]; TOGETHER],
        ) {
            let quads = queries[0].len();
            assert!(queries.iter().all(|q| q.len() == quads), "queries of one width");
            for (b, (codes, norms)) in codes.chunks_exact(quads).zip(norms).enumerate() {
                // SAFETY: this value is made in `on_vnni` alone, which has the instructions; all are of one width.
                unsafe {
                    let of = lowest_of_each(codes, norms, queries);
                    for (least, of) in least.as_chunks_mut::<4>().0.iter_mut().zip(of.as_chunks::<4>().0) {
                        least
                            .iter_mut()
                            .zip(lowest_of_four(*of))
                            .for_each(|(least, lowest)| least[b] = lowest);
                    }
                }
            }
        }
    }

    /// Of a block, for each query, what the norm of a row comes to, less twice the product of its codes with the query's: the
    /// lower of every two rows.
    ///
    /// # Safety
    /// The queries have as many codes as the block.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    unsafe fn lowest_of_each(
        codes: &[Codes],
        norms: &[i32; LANES],
        queries: [&[u32]; TOGETHER],
    ) -> [__m512i; TOGETHER] {
        let mut sums = [[_mm512_setzero_si512(); 2]; TOGETHER];
        for (quad, codes) in codes.iter().enumerate() {
            let at = codes.0.as_ptr();
            // SAFETY: the loads are of the halves of the codes, and the queries have as many as the caller says.
            unsafe {
                let halves = [_mm512_load_si512(at.cast()), _mm512_load_si512(at.add(64).cast())];
                for (sums, q) in sums.iter_mut().zip(queries) {
                    let q = _mm512_set1_epi32(*q.get_unchecked(quad) as i32);
                    sums[0] = _mm512_dpbusd_epi32(sums[0], q, halves[0]);
                    sums[1] = _mm512_dpbusd_epi32(sums[1], q, halves[1]);
                }
            }
        }
        sums.map(|sums| lower(norms, sums))
    }

    /// What norms come to, less twice some sums: the lower of every two.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn lower(norms: &[i32; LANES], sums: [__m512i; 2]) -> __m512i {
        let at = norms.as_ptr();
        // SAFETY: the loads are of the halves of 32 norms.
        let norms = unsafe { [_mm512_loadu_si512(at.cast()), _mm512_loadu_si512(at.add(16).cast())] };
        let of = |half: usize| _mm512_sub_epi32(norms[half], _mm512_slli_epi32(sums[half], 1));
        _mm512_min_epi32(of(0), of(1))
    }

    /// Of blocks, codes and norms, what the norm of a row comes to, less twice the product of its codes with `q`'s: the
    /// lower of every two rows.
    ///
    /// # Safety
    /// The blocks have as many codes as `q`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    unsafe fn lowest<const N: usize>(blocks: [(&[Codes], &[i32; LANES]); N], q: &[u32]) -> [__m512i; N] {
        let mut sums = [[_mm512_setzero_si512(); 2]; N];
        for (quad, &q) in q.iter().enumerate() {
            let q = _mm512_set1_epi32(q as i32);
            for (sums, (codes, _)) in sums.iter_mut().zip(blocks) {
                // SAFETY: there are as many codes as the caller says; the loads are of their halves.
                let halves = unsafe {
                    let at = codes.get_unchecked(quad).0.as_ptr();
                    [_mm512_load_si512(at.cast()), _mm512_load_si512(at.add(64).cast())]
                };
                sums[0] = _mm512_dpbusd_epi32(sums[0], q, halves[0]);
                sums[1] = _mm512_dpbusd_epi32(sums[1], q, halves[1]);
            }
        }
        std::array::from_fn(|k| lower(blocks[k].1, sums[k]))
    }

    /// The least number of each of four vectors.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn lowest_of_four(v: [__m512i; 4]) -> [i32; 4] {
        let pair = |a, b| _mm512_min_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (ab, cd) = (pair(v[0], v[1]), pair(v[2], v[3]));
        // In every quarter a number of each of the four.
        let all = _mm512_min_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
        let half = _mm256_min_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
        let quarter = _mm_min_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
        // SAFETY: both are four numbers of 32 bits.
        unsafe { std::mem::transmute(quarter) }
    }
}
