//! The inner loops that the compiler does not find by itself, once for each set of instructions.

use crate::coarse::{Codes, QUAD};
use crate::scan::block_sums;
use crate::table::{Column, LANES};

/// What a level does in its own way. A value of it, but for [`Plain`], is made only where the instructions are.
pub(crate) trait Instructions: Copy {
    /// [`block_sums`] in a function of its own: inlined into a search, its sums were not kept in vectors.
    fn block_sums(self, block: &[Column], q: &[f32], bar: f32) -> Result<[f32; LANES], usize>;

    /// Whether of any row the norm, less twice the product of its codes with `q`'s, is at most `limit`. `q` has four
    /// codes a number, as bytes without sign; `codes` one entry for each of these.
    fn any_within(self, q: &[u32], codes: &[Codes], norms: &[i32; LANES], limit: i32) -> bool;
}

/// The definition, for any processor: the oracle of the others.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

impl Instructions for Plain {
    #[inline(always)]
    fn block_sums(self, block: &[Column], q: &[f32], bar: f32) -> Result<[f32; LANES], usize> {
        block_sums(block, q, bar)
    }

    #[inline(always)]
    fn any_within(self, q: &[u32], codes: &[Codes], norms: &[i32; LANES], limit: i32) -> bool {
        let product = |row: usize| -> i32 {
            let of = |(q, codes): (&u32, &Codes)| -> i32 {
                let row = &codes.0[row * QUAD..][..QUAD];
                q.to_le_bytes().iter().zip(row).map(|(&q, &k)| i32::from(q) * i32::from(k)).sum()
            };
            q.iter().zip(codes).map(of).sum()
        };
        norms.iter().enumerate().any(|(row, norm)| norm - 2 * product(row) <= limit)
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use super::{Codes, Column, Instructions, LANES, block_sums};
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

    #[target_feature(enable = "avx512f,avx512vnni")]
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
        fn any_within(self, q: &[u32], codes: &[Codes], norms: &[i32; LANES], limit: i32) -> bool {
            super::Plain.any_within(q, codes, norms, limit)
        }
    }

    #[derive(Clone, Copy)]
    struct Avx2(());

    impl Instructions for Avx2 {
        own_sums!("avx2");

        #[inline(always)]
        fn any_within(self, q: &[u32], codes: &[Codes], norms: &[i32; LANES], limit: i32) -> bool {
            // SAFETY: this value is made in `on_avx2` alone, which has the instructions; the loads are of whole arrays of
            // their size.
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
                let limit = _mm256_set1_epi32(limit);
                let mut within = _mm256_setzero_si256();
                for (sums, norms) in sums.as_chunks::<2>().0.iter().zip(norms.as_chunks::<8>().0) {
                    // Adds neighbours within halves: rows 0, 1, 4, 5, 2, 3, 6, 7.
                    let sum = _mm256_permute4x64_epi64(_mm256_hadd_epi32(sums[0], sums[1]), 0b11_01_10_00);
                    let norm = _mm256_loadu_si256(norms.as_ptr().cast());
                    let left = _mm256_sub_epi32(norm, _mm256_slli_epi32(sum, 1));
                    let beyond = _mm256_cmpgt_epi32(left, limit);
                    within = _mm256_or_si256(within, _mm256_andnot_si256(beyond, _mm256_set1_epi32(-1)));
                }
                _mm256_testz_si256(within, within) == 0
            }
        }
    }

    #[derive(Clone, Copy)]
    struct Vnni(());

    impl Instructions for Vnni {
        own_sums!("avx512f,avx512vnni");

        #[inline(always)]
        fn any_within(self, q: &[u32], codes: &[Codes], norms: &[i32; LANES], limit: i32) -> bool {
            // SAFETY: this value is made in `on_vnni` alone, which has the instructions; the loads are of halves of arrays.
            unsafe {
                let mut sums = [[_mm512_setzero_si512(); 2]; 2]; // two chains each, for the products take their time
                let ((pairs, last), (codes, one)) = (q.as_chunks::<2>(), codes.as_chunks::<2>());
                let add = |sums: &mut [__m512i; 2], q: u32, codes: &Codes| {
                    let (q, at) = (_mm512_set1_epi32(q as i32), codes.0.as_ptr());
                    sums[0] = _mm512_dpbusd_epi32(sums[0], q, _mm512_loadu_si512(at.cast()));
                    sums[1] = _mm512_dpbusd_epi32(sums[1], q, _mm512_loadu_si512(at.add(64).cast()));
                };
                for (q, codes) in pairs.iter().zip(codes) {
                    add(&mut sums[0], q[0], &codes[0]);
                    add(&mut sums[1], q[1], &codes[1]);
                }
                if let ([q], [codes]) = (last, one) {
                    add(&mut sums[0], *q, codes);
                }
                let limit = _mm512_set1_epi32(limit);
                let within = |half: usize| {
                    let sum = _mm512_add_epi32(sums[0][half], sums[1][half]);
                    let norm = _mm512_loadu_si512(norms.as_ptr().add(16 * half).cast());
                    _mm512_cmple_epi32_mask(_mm512_sub_epi32(norm, _mm512_slli_epi32(sum, 1)), limit)
                };
                (within(0) | within(1)) != 0
            }
        }
    }
}
