//! Standardization of states, so that distances do not depend on the units of the dimensions.

use super::Demonstrations;

/// Standardization, a mean and a standard deviation for each dimension of the state: x becomes (x - mean) / std.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Scale {
    /// Mean over all steps: `[n_obs]`.
    pub mean: Vec<f32>,
    /// Population standard deviation over all steps: `[n_obs]`. 0 marks a constant dimension, which is divided by 1;
    /// infinity one that is ignored, which always becomes 0.
    pub std: Vec<f32>,
}

impl Scale {
    /// The scale of all steps of the demonstrations; two passes, summed in 64 bits.
    ///
    /// A dimension counts as constant where its deviation is below 1e-6 of its mean's size (about eight steps of a
    /// 32-bit float there: rounding, not information, that a division would blow up to the size of everything else),
    /// or below 1e-12 (a division by less could leave the range of squared 32-bit distances).
    pub fn fit(data: &Demonstrations) -> Self {
        let n = data.n_steps() as f64;
        let rows = || data.states().chunks_exact(data.n_obs());
        let mut mean = vec![0.0_f64; data.n_obs()];
        for row in rows() {
            for (sum, &x) in mean.iter_mut().zip(row) {
                *sum += f64::from(x);
            }
        }
        mean.iter_mut().for_each(|m| *m /= n);
        let mut squares = vec![0.0_f64; data.n_obs()];
        for row in rows() {
            for ((sum, &x), m) in squares.iter_mut().zip(row).zip(&mean) {
                *sum += (f64::from(x) - m).powi(2);
            }
        }
        let std = squares.iter().zip(&mean).map(|(sum, m)| {
            let std = (sum / n).sqrt();
            if is_constant(*m, std) { 0.0 } else { std as f32 }
        });
        Self { std: std.collect(), mean: mean.iter().map(|&m| m as f32).collect() }
    }

    /// The same scale with some dimensions ignored, both in distances and in the input of networks.
    ///
    /// # Panics
    /// If there is no such dimension.
    pub fn ignoring(mut self, dimensions: &[usize]) -> Self {
        dimensions.iter().for_each(|&i| self.std[i] = f32::INFINITY);
        self
    }

    /// The ignored dimensions.
    pub fn ignored(&self) -> Vec<usize> {
        (0..self.n_obs()).filter(|&i| self.std[i] == f32::INFINITY).collect()
    }

    /// The dimensions of a state.
    pub fn n_obs(&self) -> usize {
        self.mean.len()
    }

    /// Scales one state: `out[i] = (state[i] - mean[i]) / std[i]`, all `[n_obs]`, in 32 bits.
    ///
    /// # Panics
    /// If a length differs from the scale's.
    pub fn apply(&self, state: &[f32], out: &mut [f32]) {
        let n = self.n_obs();
        assert!(
            state.len() == n && out.len() == n,
            "a scale of {n} dimensions, a state of {}, a buffer of {}",
            state.len(),
            out.len()
        );
        for (((y, x), m), s) in out.iter_mut().zip(state).zip(&self.mean).zip(&self.std) {
            *y = (x - m) / if *s == 0.0 { 1.0 } else { *s };
        }
    }

    /// The dimensions that do not vary in the demonstrations, and so are centered but not scaled.
    pub fn constant(&self) -> Vec<usize> {
        (0..self.n_obs()).filter(|&i| self.std[i] == 0.0).collect()
    }
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
        assert_eq!(scale.std, [1.0, 0.5_f32.sqrt()]);
        let mut out = [0.0; 2];
        scale.apply(&[4.0, 0.5_f32.sqrt()], &mut out);
        assert_eq!(out, [2.0, 1.0]);
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
        assert!((out[1] - 1.0).abs() < 1e-3 && (out[2] - 1.0).abs() < 1e-6 && out[3] == 1.0);
    }

    #[test]
    fn a_large_offset_does_not_swallow_the_deviation() {
        let column: Vec<f32> = (0..10_000).map(|i| 1000.0 + (i % 2) as f32).collect();
        let scale = Scale::fit(&data(&[&column]));
        assert_eq!((scale.mean[0], scale.std[0]), (1000.5, 0.5));
    }
}
