//! Distances to the nearest of some points, as another point joins them.

use crate::instructions::Instructions;
use crate::level::Work;
use crate::table::{LANES, Table};

/// Distances to a point that became one of many: each kept where it is smaller.
pub(crate) struct Shrink<'a> {
    pub table: &'a Table,
    pub q: &'a [f32],
    pub d2: &'a mut [f32],
}

impl Work for Shrink<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self, instructions: I) {
        let Shrink { table, q, d2 } = self;
        let mut aim = table.coarse().and_then(|coarse| coarse.aim(q));
        for (group, d2) in d2.chunks_mut(LANES * LANES).enumerate() {
            let (first, mut bars) = (group * LANES, [0.0; LANES]);
            let blocks = first..first + d2.len().div_ceil(LANES);
            bars.iter_mut().zip(d2.chunks(LANES)).for_each(|(bar, d2)| *bar = largest(d2));
            let bounds = match table.boxes() {
                Some(boxes) => boxes.bounds(q, group, largest(&bars)),
                None => Some([0.0; LANES]),
            };
            let Some(bounds) = bounds else { continue };
            let mut least = [i32::MIN; LANES];
            if let (Some(coarse), Some(aim)) = (table.coarse(), &aim) {
                let (codes, norms) = coarse.blocks(blocks.clone());
                instructions.least(aim.codes(), codes, norms, &mut least[..blocks.len()]);
            }
            for (b, d2) in blocks.zip(d2.chunks_mut(LANES)) {
                let bar = bars[b - first];
                let limit = match (table.coarse(), &mut aim) {
                    (Some(coarse), Some(aim)) => aim.limit(coarse.error(b), bar),
                    _ => i32::MAX,
                };
                if bounds[b - first] > bar || least[b - first] > limit {
                    continue;
                }
                if let Ok(sums) = instructions.block_sums(table.block(b), q, bar) {
                    d2.iter_mut().zip(sums).for_each(|(d, sum)| *d = d.min(sum));
                }
            }
        }
    }
}

/// The largest of some squared distances: what is above it lowers none of them. Infinity where one is NaN, which any lowers.
#[inline(always)]
fn largest(d2: &[f32]) -> f32 {
    let mut most = [0.0_f32; LANES];
    for (most, &d) in most.iter_mut().zip(d2) {
        *most = if d.is_nan() { f32::INFINITY } else { d };
    }
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            most[i] = if most[i + half] > most[i] { most[i + half] } else { most[i] };
        }
        half /= 2;
    }
    most[0]
}
