//! Standardization of states, so that distances do not depend on the units of the dimensions.

use std::borrow::Cow;

use super::{Angle, Demonstrations};

/// Standardization of states. A state of `n_obs` dimensions becomes `n_features` numbers, each (x - mean) / std. A dimension is a feature
/// of its own, unless it is an angle: then its cosine is a feature in its place, and its sine one after all dimensions. Both are divided
/// by the same number, so that the distance of two angles depends on the difference between them alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// Mean of each feature over all steps: `[n_features]`.
    pub mean: Vec<f32>,
    /// What each feature is divided by, the population standard deviation over all steps plus a floor: `[n_features]`. 0 marks a
    /// constant dimension, which is divided by 1; infinity one that is ignored, which always becomes 0.
    pub std: Vec<f32>,
    /// The dimensions that are angles, in ascending order.
    pub angles: Vec<Angle>,
}

/// The floor added to standard deviations, in the data's units (radians of angles); a thousandth of the largest standard deviation where
/// all are below 1. Without it, the noise of a sensor that hardly moves would be scaled up to the size of everything else. It is that of
/// the authors' code for data in SI units.
const FLOOR: f64 = 1e-3;

impl Scale {
    /// The scale of all steps of the demonstrations; two passes, summed in 64 bits. A standard deviation has a floor added to it,
    /// 1e-3 of the data's units, or 1e-3 of the largest one if that is smaller. That of an angle is the root of the summed variances
    /// of cosine and sine: of small movements, their standard deviation in radians.
    ///
    /// A dimension counts as constant where its deviation is below 1e-6 of its mean's size (about eight steps of a
    /// 32-bit float there: rounding, not information, that a division would blow up to the size of everything else),
    /// or below 1e-12 (a division by less could leave the range of squared 32-bit distances).
    pub fn fit(data: &Demonstrations) -> Self {
        let angles = data.units().angles();
        let (mean, std) = moments(data, angles);
        let floor = floor(&std[..data.n_obs()]);
        let std = std.iter().map(|&std| if std == 0.0 { 0.0 } else { (std + floor) as f32 });
        Self { std: std.collect(), mean: mean.iter().map(|&m| m as f32).collect(), angles: angles.to_vec() }
    }

    /// The dimensions that vary so little that the floor changes their scale by more than a tenth, with their standard
    /// deviations (in radians, of angles). Often they are noise, or a few steps move them.
    pub fn near_constant(data: &Demonstrations) -> Vec<(usize, f32)> {
        let (_, std) = moments(data, data.units().angles());
        near_constant(&std[..data.n_obs()]).into_iter().map(|i| (i, std[i] as f32)).collect()
    }

    /// The same scale with some dimensions ignored, both in distances and in the input of networks.
    ///
    /// # Panics
    /// If there is no such dimension.
    pub fn ignoring(mut self, dimensions: &[usize]) -> Self {
        let n_obs = self.n_obs();
        for &i in dimensions {
            self.std[i] = f32::INFINITY;
            if let Some(k) = self.angles.iter().position(|angle| angle.dimension == i) {
                self.std[n_obs + k] = f32::INFINITY;
            }
        }
        self
    }

    /// The ignored dimensions.
    pub fn ignored(&self) -> Vec<usize> {
        (0..self.n_obs()).filter(|&i| self.std[i] == f32::INFINITY).collect()
    }

    /// The dimensions of a state.
    pub fn n_obs(&self) -> usize {
        self.mean.len() - self.angles.len()
    }

    /// The numbers that distances and networks see: the dimensions of a state, and one more for each angle.
    pub fn n_features(&self) -> usize {
        self.mean.len()
    }

    /// The dimension of the state that feature `k` is computed from.
    pub fn dimension(&self, k: usize) -> usize {
        k.checked_sub(self.n_obs()).map_or(k, |angle| self.angles[angle].dimension)
    }

    /// The features of a state before they are standardized: `[n_features]`.
    pub fn features<'a>(&self, state: &'a [f32]) -> Cow<'a, [f32]> {
        features(state, &self.angles)
    }

    /// Scales one state: `out[i] = (feature[i] - mean[i]) / std[i]`, in 32 bits. `state`: `[n_obs]`; `out`: `[n_features]`.
    ///
    /// # Panics
    /// If a length differs from the scale's.
    pub fn apply(&self, state: &[f32], out: &mut [f32]) {
        let n = self.n_obs();
        assert!(
            state.len() == n && out.len() == self.n_features(),
            "a scale of {n} dimensions and {} features, a state of {}, a buffer of {}",
            self.n_features(),
            state.len(),
            out.len()
        );
        out[..n].copy_from_slice(state);
        for (k, angle) in self.angles.iter().enumerate() {
            [out[angle.dimension], out[n + k]] = angle.cos_sin(state[angle.dimension]);
        }
        for ((y, m), s) in out.iter_mut().zip(&self.mean).zip(&self.std) {
            *y = (*y - m) / if *s == 0.0 { 1.0 } else { *s };
        }
    }

    /// Scales many states, `[n, n_obs]`, as [`apply`](Self::apply): `[n, n_features]`.
    ///
    /// # Panics
    /// If the states have other dimensions.
    pub fn apply_all(&self, states: &[f32]) -> Vec<f32> {
        let mut all = vec![0.0; states.len() / self.n_obs() * self.n_features()];
        let rows = states.chunks_exact(self.n_obs());
        all.chunks_exact_mut(self.n_features()).zip(rows).for_each(|(to, from)| self.apply(from, to));
        all
    }

    /// The dimensions that do not vary in the demonstrations, and so are centered but not scaled.
    pub fn constant(&self) -> Vec<usize> {
        (0..self.n_obs()).filter(|&i| self.std[i] == 0.0).collect()
    }
}

/// The features of a state.
fn features<'a>(state: &'a [f32], angles: &[Angle]) -> Cow<'a, [f32]> {
    if angles.is_empty() {
        return Cow::Borrowed(state);
    }
    let mut all = state.to_vec();
    for angle in angles {
        let [cos, sin] = angle.cos_sin(state[angle.dimension]);
        all[angle.dimension] = cos;
        all.push(sin);
    }
    Cow::Owned(all)
}

/// Mean and population standard deviation of every feature; 0 for a deviation that is no more than rounding. Cosine and sine of an
/// angle have the root of their summed variances.
fn moments(data: &Demonstrations, angles: &[Angle]) -> (Vec<f64>, Vec<f64>) {
    let n = data.n_steps() as f64;
    let n_features = data.n_obs() + angles.len();
    let each = |f: &mut dyn FnMut(&[f32])| {
        data.each_state(0..data.n_steps(), |_, state| f(&features(state, angles)));
    };
    let mut mean = vec![0.0_f64; n_features];
    each(&mut |row| mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x)));
    mean.iter_mut().for_each(|m| *m /= n);
    let mut squares = vec![0.0_f64; n_features];
    each(&mut |row| {
        for ((sum, &x), m) in squares.iter_mut().zip(row).zip(&mean) {
            *sum += (f64::from(x) - m).powi(2);
        }
    });
    for (k, angle) in angles.iter().enumerate() {
        let both = squares[angle.dimension] + squares[data.n_obs() + k];
        (squares[angle.dimension], squares[data.n_obs() + k]) = (both, both);
    }
    let is_angle = |i: usize| i >= data.n_obs() || angles.iter().any(|angle| angle.dimension == i);
    let std = squares.iter().zip(&mean).enumerate().map(|(i, (sum, m))| {
        let std = (sum / n).sqrt();
        // Cosine and sine are rounded as numbers up to 1 are.
        if is_constant(if is_angle(i) { 1.0 } else { *m }, std) { 0.0 } else { std }
    });
    let std = std.collect();
    (mean, std)
}

/// The floor for given standard deviations.
fn floor(std: &[f64]) -> f64 {
    FLOOR * std.iter().fold(0.0_f64, |largest, &std| largest.max(std)).min(1.0)
}

/// The dimensions with a standard deviation, 0 where it is no more than rounding, that the floor enlarges by more than a tenth.
pub(super) fn near_constant(std: &[f64]) -> Vec<usize> {
    let floor = floor(std);
    (0..std.len()).filter(|&i| std[i] > 0.0 && 0.1 * std[i] < floor).collect()
}

/// Whether a dimension of this mean and deviation varies by no more than rounding.
pub(super) fn is_constant(mean: f64, std: f64) -> bool {
    std < (1e-6 * mean.abs()).max(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ActionRange, Parts};

    fn data(columns: &[&[f32]]) -> Demonstrations {
        let n = columns[0].len();
        let parts = Parts {
            n_obs: columns.len(),
            n_act: 1,
            states: (0..n).flat_map(|i| columns.iter().map(move |c| c[i])).collect(),
            actions: vec![0.0; n],
            rewards: None,
            ends: vec![n],
        };
        Demonstrations::new(parts, ActionRange::Refuse).unwrap()
    }

    #[test]
    fn a_scale_has_the_mean_and_the_population_deviation() {
        let scale = Scale::fit(&data(&[&[1.0, 3.0, 1.0, 3.0], &[-1.0, 0.0, 0.0, 1.0]]));
        assert_eq!(scale.mean, [2.0, 0.0]);
        assert_eq!(scale.std, [1.001, (0.5_f64.sqrt() + 1e-3) as f32]);
        let mut out = [0.0; 2];
        scale.apply(&[4.002, (0.5_f64.sqrt() + 1e-3) as f32], &mut out);
        assert!((out[0] - 2.0).abs() < 1e-6 && (out[1] - 1.0).abs() < 1e-6, "{out:?}");
        assert_eq!(scale.constant(), [0; 0]);
    }

    #[test]
    fn a_constant_dimension_is_centered_and_divided_by_one() {
        let still = [5.0; 4];
        let rounding = [1000.0, 1_000.000_06, 1000.0, 1_000.000_06];
        let small = [0.0, 1e-7, 0.0, 1e-7]; // small, but it varies
        let tiny = [0.0, 1e-20, 0.0, 1e-20];
        let scale = Scale::fit(&data(&[&still, &rounding, &small, &tiny]));
        assert_eq!(scale.constant(), [0, 1, 3]);
        let mut out = [0.0; 4];
        scale.apply(&[6.0, 1001.0, 1e-7, 1.0], &mut out);
        assert_eq!(out[0], 1.0);
        // The third has a standard deviation of 5e-8 and a floor of a thousandth of that.
        assert!((out[1] - 1.0).abs() < 1e-3 && (out[2] - 1.0 / 1.001).abs() < 1e-6 && out[3] == 1.0);
    }

    #[test]
    fn noise_of_a_dimension_that_hardly_moves_is_not_scaled_up() {
        let moving: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.01).sin()).collect();
        let noise: Vec<f32> = (0..1000).map(|i| 3e-6 * ((i * 7919) % 13) as f32).collect();
        let set = data(&[&moving, &noise]);
        let scale = Scale::fit(&set);
        let largest = noise.iter().fold(0.0_f32, |m, &x| m.max(((x - scale.mean[1]) / scale.std[1]).abs()));
        assert!(largest < 0.1, "{largest}");
        let near_constant = Scale::near_constant(&set);
        assert_eq!(near_constant.len(), 1);
        assert_eq!(near_constant[0].0, 1);
        assert!((near_constant[0].1 - 1.1e-5).abs() < 1e-6, "{near_constant:?}");
    }

    #[test]
    fn the_floor_follows_the_units_of_small_data() {
        let column: Vec<f32> = (0..100).map(|i| (i as f32).sin()).collect();
        let in_other_units: Vec<f32> = column.iter().map(|x| x * 1e-3).collect();
        let [a, b] = [&column, &in_other_units].map(|c| Scale::fit(&data(&[c])).std[0]);
        assert!((a * 1e-3 - b).abs() < 1e-8, "{a} {b}");
        assert_eq!(Scale::near_constant(&data(&[&in_other_units])), []);
    }

    #[test]
    fn a_large_offset_does_not_swallow_the_deviation() {
        let column: Vec<f32> = (0..10_000).map(|i| 1000.0 + (i % 2) as f32).collect();
        let scale = Scale::fit(&data(&[&column]));
        assert_eq!((scale.mean[0], scale.std[0]), (1000.5, 0.5005));
    }
}
