//! Relaxation of distances: each row's distance to the nearest of a growing set of points.

use crate::instructions::Instructions;
use crate::level::Kernel;
use crate::table::{LANES, Table};

/// Lowers `d2` of each row to its squared distance to `q`, where that is smaller. `d2`: `[rows]`.
pub(crate) struct RelaxDistances<'a> {
    pub table: &'a Table,
    pub q: &'a [f32],
    pub d2: &'a mut [f32],
}

impl Kernel for RelaxDistances<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self, instructions: I) {
        let RelaxDistances { table, q, d2 } = self;
        let mut query = table.quantized().and_then(|copy| copy.quantize_query(q));
        for (group, d2) in d2.chunks_mut(LANES * LANES).enumerate() {
            // The threshold of a block is its largest entry: rows farther than that lower none.
            let (first, mut thresholds) = (group * LANES, [0.0; LANES]);
            let blocks = first..first + d2.len().div_ceil(LANES);
            thresholds.iter_mut().zip(d2.chunks(LANES)).for_each(|(threshold, d2)| *threshold = largest(d2));
            let bounds = match table.boxes() {
                Some(boxes) => boxes.lower_bounds(q, group, largest(&thresholds)),
                None => Some([0.0; LANES]),
            };
            let Some(bounds) = bounds else { continue };
            let mut minima = [i32::MIN; LANES];
            if let (Some(copy), Some(query)) = (table.quantized(), &query) {
                let (codes, norms) = copy.blocks(blocks.clone());
                instructions.block_minima(query.codes(), codes, norms, &mut minima[..blocks.len()]);
            }
            for (b, d2) in blocks.zip(d2.chunks_mut(LANES)) {
                let threshold = thresholds[b - first];
                let limit = match (table.quantized(), &mut query) {
                    (Some(copy), Some(query)) => query.limit(copy.error(b), threshold),
                    _ => i32::MAX,
                };
                if bounds[b - first] > threshold || minima[b - first] > limit {
                    continue;
                }
                if let Ok(sums) = instructions.block_sums(table.block(b), q, threshold) {
                    d2.iter_mut().zip(sums).for_each(|(d, sum)| *d = d.min(sum));
                }
            }
        }
    }
}

/// The largest of some squared distances, with NaN as infinity, because any distance lowers NaN.
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
