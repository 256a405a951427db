//! Detection of the processor's instructions at run time, and the one dispatch of this crate on them.

#[cfg(target_arch = "x86_64")]
use crate::instructions::x86::{on_avx2, on_avx512, on_vnni};
use crate::instructions::{Instructions, Plain};

/// A set of vector instructions that this processor has. A value is proof of that: values are made only by detection.
///
/// Results do not depend on the level, only the time does. A [`crate::Table`] uses the best one; tests run all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

impl Level {
    /// Every level of this processor, the slowest first; the baseline of the compilation target is always there.
    pub fn available() -> Vec<Level> {
        #[allow(unused_mut, reason = "only x86-64 has more than one level")]
        let mut levels = vec![Level(Kind::Baseline)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                levels.push(Level(Kind::Avx2));
            }
            if is_x86_feature_detected!("avx512f") {
                levels.push(Level(Kind::Avx512));
                let more = is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl");
                if more && is_x86_feature_detected!("avx512vnni") {
                    levels.push(Level(Kind::Vnni));
                }
            }
        }
        levels
    }

    /// The fastest level of this processor.
    pub fn best() -> Level {
        *Level::available().last().expect("the baseline is always there")
    }

    /// Whether this level has vector products of 8-bit integers, without which the int8-quantized copy does not pay.
    pub(crate) fn has_int8_products(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 | Kind::Vnni => true,
            _ => false,
        }
    }

    /// Runs a kernel with the instructions of this level.
    #[inline(always)]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Kind::Baseline => kernel.run(Plain),
            // SAFETY: `on_avx2` is unsafe to call only on a processor without AVX2. `available` is the only place that
            // makes a `Kind::Avx2`, and makes it only after detecting AVX2.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { on_avx2(kernel) },
            // SAFETY: as above, with AVX-512F.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => unsafe { on_avx512(kernel) },
            // SAFETY: as above, with AVX-512F, BW, DQ, VL and VNNI.
            #[cfg(target_arch = "x86_64")]
            Kind::Vnni => unsafe { on_vnni(kernel) },
        }
    }
}

/// A computation that is compiled once for each level. `run`, and all that it calls in its inner loops, must be
/// `#[inline(always)]`: code is compiled for the instructions of the function that it is inlined into.
pub(crate) trait Kernel {
    type Output;
    fn run<I: Instructions>(self, instructions: I) -> Self::Output;
}
