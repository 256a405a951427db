//! Statistics of features as LeRobot's format has them: of each episode, and of all.

use serde_json::{Value, json};

/// Statistics of one feature: of each dimension.
#[derive(Debug, Clone)]
pub(super) struct Stats {
    width: usize,
    values: Vec<Vec<f64>>, // [width], until they are finished
    count: usize,
    of: [Vec<f64>; 9], // [width] each, in the order of the names without the count
}

const QUANTILES: [f64; 5] = [0.01, 0.1, 0.5, 0.9, 0.99];
/// Where the mean, the standard deviation and the first quantile are in `of`.
const MEAN: usize = 2;
const STD: usize = 3;
const FIRST_QUANTILE: usize = 4;

impl Stats {
    /// The names of the statistics in the format.
    pub const NAMES: [&str; 10] = ["min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"];

    pub fn new(width: usize) -> Self {
        Self { width, values: vec![Vec::new(); width], count: 0, of: Default::default() }
    }

    /// Adds rows of values.
    pub fn add(&mut self, values: &mut dyn Iterator<Item = f64>) {
        for (i, value) in values.enumerate() {
            self.values[i % self.width].push(value);
        }
    }

    /// The statistics of the rows added, at least one. The values are dropped.
    pub fn finished(mut self) -> Self {
        self.count = self.values[0].len();
        for mut values in std::mem::take(&mut self.values) {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            values.sort_unstable_by(f64::total_cmp);
            // Between two values in proportion, as numpy.quantile.
            let quantile = |share: f64| {
                let place = share * (n - 1.0);
                let [low, high] = [place.floor(), place.ceil()].map(|at| values[at as usize]);
                low + place.fract() * (high - low)
            };
            let all = [values[0], values[values.len() - 1], mean, variance.sqrt()];
            let all = all.into_iter().chain(QUANTILES.map(quantile));
            self.of.iter_mut().zip(all).for_each(|(to, value)| to.push(value));
        }
        self
    }

    /// The rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// A statistic by dimension; `None` of the count.
    pub fn get(&self, name: &str) -> Option<Vec<f64>> {
        let place = Self::NAMES.iter().filter(|known| **known != "count").position(|known| *known == name)?;
        Some(self.of[place].clone())
    }

    /// The statistics of several sets of rows together. Quantiles are means of theirs, weighted by their rows, as LeRobot's are.
    pub fn joined<'a>(all: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let mut joined = Self::new(all.clone().next().map_or(0, |first| first.width));
        joined.count = all.clone().map(|one| one.count).sum();
        let n = joined.count as f64;
        for d in 0..joined.width {
            let each = |k: usize| all.clone().map(move |one| (one.count as f64, one.of[k][d]));
            let weighted = |k: usize| each(k).map(|(count, v)| count * v).sum::<f64>() / n;
            let mean = weighted(MEAN);
            let spread =
                |one: &Self| one.count as f64 * (one.of[STD][d].powi(2) + (one.of[MEAN][d] - mean).powi(2));
            let variance = all.clone().map(spread).sum::<f64>() / n;
            let least = each(0).fold(f64::INFINITY, |least, (_, v)| least.min(v));
            let most = each(1).fold(f64::NEG_INFINITY, |most, (_, v)| most.max(v));
            let quantiles = (FIRST_QUANTILE..joined.of.len()).map(weighted);
            let values: Vec<f64> =
                [least, most, mean, variance.sqrt()].into_iter().chain(quantiles).collect();
            joined.of.iter_mut().zip(values).for_each(|(to, value)| to.push(value));
        }
        joined
    }

    pub fn to_json(&self) -> Value {
        let one = |name: &&str| {
            let value = self.get(name).map_or_else(|| json!([self.count]), |values| json!(values));
            ((*name).to_owned(), value)
        };
        Self::NAMES.iter().map(one).collect::<serde_json::Map<_, _>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_parts_are_those_of_the_whole() {
        let values: Vec<f64> = (0..60).map(|i| f64::from(i * i % 17)).collect();
        let of = |rows: &[f64]| {
            let mut stats = Stats::new(2);
            stats.add(&mut rows.iter().copied());
            stats.finished()
        };
        let (whole, parts) = (of(&values), [of(&values[..20]), of(&values[20..])]);
        let joined = Stats::joined(parts.iter());
        for name in ["min", "max", "mean", "std"] {
            let (a, b) = (whole.get(name).unwrap(), joined.get(name).unwrap());
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-12), "{name}: {a:?} {b:?}");
        }
        assert_eq!((whole.count(), joined.count()), (30, 30));
        assert_eq!(of(&[1.0, 5.0, 3.0, 5.0]).get("q50").unwrap(), [2.0, 5.0]);
        assert!((of(&[1.0, 5.0, 3.0, 5.0]).get("q10").unwrap()[0] - 1.2).abs() < 1e-12);
    }
}
