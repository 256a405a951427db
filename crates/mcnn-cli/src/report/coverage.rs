//! Histograms of the distance to the nearest memory, with common bins.

use serde::Serialize;

/// Number of bins.
const BINS: usize = 40;

/// Histograms of distances.
#[derive(Serialize)]
pub struct Coverage {
    /// Edges of the bins, `[BINS + 1]`. The last bin also counts what is beyond its edge.
    pub bounds: Vec<f32>,
    pub sets: Vec<Set>,
}

/// The distances of one set of states.
#[derive(Serialize)]
pub struct Set {
    pub name: &'static str,
    pub states: usize,
    /// States in each bin.
    pub counts: Vec<usize>,
    /// States beyond the last edge.
    pub beyond: usize,
    pub median: f32,
    pub p95: f32,
    pub max: f32,
}

/// The histograms of named sets of distances. Empty sets are left out.
pub fn coverage(sets: Vec<(&'static str, Vec<f32>)>) -> Coverage {
    let mut sets: Vec<_> = sets.into_iter().filter(|(_, d)| !d.is_empty()).collect();
    sets.iter_mut().for_each(|(_, d)| d.sort_by(f32::total_cmp));
    let rank = |d: &[f32], share: f64| d[((share * d.len() as f64).ceil() as usize).clamp(1, d.len()) - 1];
    // By the 99.5 % quantile, because a few outliers would put all other states into one bin.
    let top = sets.iter().map(|(_, d)| rank(d, 0.995)).fold(0.0, f32::max);
    let top = if top > 0.0 { top } else { 1.0 };
    let bounds: Vec<f32> = (0..=BINS).map(|i| top * i as f32 / BINS as f32).collect();
    let set = |(name, d): (&'static str, Vec<f32>)| {
        // The end of each bin among the sorted distances; the last bin takes all that remain.
        let ends: Vec<usize> = (1..=BINS)
            .map(|i| if i == BINS { d.len() } else { d.partition_point(|&x| x < bounds[i]) })
            .collect();
        let starts = std::iter::once(0).chain(ends.iter().copied());
        Set {
            name,
            states: d.len(),
            counts: ends.iter().zip(starts).map(|(end, start)| end - start).collect(),
            beyond: d.len() - d.partition_point(|&x| x <= top),
            median: rank(&d, 0.5),
            p95: rank(&d, 0.95),
            max: d[d.len() - 1],
        }
    };
    Coverage { sets: sets.into_iter().map(set).collect(), bounds }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcnn::seed::Seed;

    #[test]
    fn every_state_is_in_exactly_one_bin() {
        let mut rng = Seed(1).rng();
        let mut draw = |n: usize| (0..n).map(|_| rng.normal().abs() as f32).collect::<Vec<_>>();
        let (a, b) = (draw(500), draw(37));
        let got = coverage(vec![("a", a.clone()), ("none", vec![]), ("b", b.clone())]);
        assert_eq!(got.sets.len(), 2);
        for (set, values) in got.sets.iter().zip([a, b]) {
            for (i, &n) in set.counts.iter().enumerate() {
                let within = |&&x: &&f32| x >= got.bounds[i] && (i == BINS - 1 || x < got.bounds[i + 1]);
                assert_eq!(n, values.iter().filter(within).count(), "bin {i}");
            }
            assert_eq!(set.beyond, values.iter().filter(|&&x| x > got.bounds[BINS]).count());
            assert_eq!(set.max, values.iter().copied().fold(0.0, f32::max));
        }
        assert!(got.sets[0].beyond > 0);
        let still = coverage(vec![("a", vec![0.0; 3])]);
        assert_eq!((still.sets[0].counts[0], still.sets[0].beyond), (3, 0));
    }
}
