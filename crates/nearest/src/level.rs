//! Which instructions the searches are compiled for, chosen when the program runs: the only dispatch in the crate.

#[cfg(target_arch = "x86_64")]
use crate::instructions::x86::{on_avx2, on_avx512, on_vnni};
use crate::instructions::{Instructions, Plain};

/// A set of vector instructions that this processor has. A value of it is the proof that it was found here.
///
/// The answers do not depend on it, only the time does. A [`crate::Table`] takes the best; a test runs them all.
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
    /// Every level of this processor, the slowest first; at least the baseline of the compilation target.
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

    /// Whether whole numbers of eight bits are multiplied by vectors here, so that a coarse copy pays.
    pub(crate) fn is_coarse(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 | Kind::Vnni => true,
            _ => false,
        }
    }

    /// Does the work with the instructions of this level.
    #[inline(always)]
    pub(crate) fn run<W: Work>(self, work: W) -> W::Output {
        match self.0 {
            Kind::Baseline => work.run(Plain),
            // SAFETY: these functions are unsafe to call only where the processor lacks the instructions. `available`
            // is the only place that makes any of these kinds, and makes it only after detecting them.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { on_avx2(work) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => unsafe { on_avx512(work) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kind::Vnni => unsafe { on_vnni(work) },
        }
    }
}

/// A piece of work to be compiled once for each level. `run`, and all it calls in its inner loops, must be
/// `#[inline(always)]`: code is compiled for the instructions of the function that it is inlined into.
pub(crate) trait Work {
    type Output;
    fn run<I: Instructions>(self, instructions: I) -> Self::Output;
}
