//! The loss of proposals as they are held, and its slopes by them.

use super::rows::Gathered;
use crate::{
    backbone::{exponential, widest},
    envelope::Activation,
};

/// How proposals are held in a training step.
#[derive(Debug, Clone, Copy)]
pub struct Holding {
    pub activation: Activation,
    /// The slope of the clamp outside [-1, 1]: it is clamp(u) + slope (u - clamp(u)).
    pub outside: f32,
    pub n_act: usize,
    /// The places of the whole batch that were demonstrated: the loss is the mean over them.
    pub count: usize,
}

impl Holding {
    /// The mean squared error of what is held of some proposals (`[rows, places, n_act]`), each error counting what `weights`
    /// say (1 each where there are none), and its slopes by the proposals. What was not demonstrated counts nothing.
    pub fn loss(
        &self,
        rows: &Gathered,
        proposals: &[f32],
        weights: Option<&[f32]>,
        slopes: &mut [f32],
    ) -> f64 {
        held(self, rows, proposals, weights, slopes)
    }

    #[inline(always)]
    fn sums(
        &self,
        rows: &Gathered,
        proposals: &[f32],
        weights: Option<&[f32]>,
        slopes: &mut [f32],
        sigma: impl Fn(f32) -> (f32, f32),
    ) -> f64 {
        let n = self.n_act;
        let share = 1.0 / (self.count * n) as f32;
        let (ones, mut total) = (vec![1.0; n], 0.0);
        let held = rows.centers.chunks_exact(n).zip(rows.targets.chunks_exact(n)).zip(&rows.radii);
        let places = proposals.chunks_exact(n).zip(slopes.chunks_exact_mut(n)).zip(held).zip(&rows.real);
        for (k, (((proposals, slopes), ((centers, targets), radius)), real)) in places.enumerate() {
            if !real {
                slopes.fill(0.0);
                continue;
            }
            let weights = weights.map_or(&ones[..], |weights| &weights[k * n..][..n]);
            let mut sum = 0.0;
            let numbers = proposals.iter().zip(centers).zip(targets).zip(weights);
            for (d, (((u, center), target), weight)) in slopes.iter_mut().zip(numbers) {
                let (s, slope) = sigma(*u);
                let error = center + radius * s - target;
                sum += weight * error * error;
                *d = 2.0 * share * weight * radius * error * slope;
            }
            total += f64::from(sum);
        }
        total / (self.count * n) as f64
    }
}

widest! {
    fn held<'a>(
        holding: &'a Holding,
        rows: &'a Gathered,
        proposals: &'a [f32],
        weights: Option<&'a [f32]>,
        slopes: &'a mut [f32],
    ) -> f64 {
        let outside = holding.outside;
        match holding.activation {
            Activation::Tanh => holding.sums(rows, proposals, weights, slopes, |u| {
                let s = tanh(u);
                (s, 1.0 - s * s)
            }),
            Activation::Clamp => holding.sums(rows, proposals, weights, slopes, |u| {
                let s = u.clamp(-1.0, 1.0);
                (s + outside * (u - s), if s == u { 1.0 } else { outside })
            }),
        }
    }
}

/// tanh(x), to 2e-7.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let e = exponential(2.0 * x.clamp(-10.0, 10.0));
    (e - 1.0) / (e + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tangent_is_that_of_f64() {
        for i in -3000..3000 {
            let x = i as f32 * 0.01;
            assert!((f64::from(tanh(x)) - f64::from(x).tanh()).abs() < 3e-7, "{x}");
        }
    }

    #[test]
    fn loss_and_slopes_are_those_of_the_definition() {
        let rows = Gathered {
            targets: vec![0.3, -0.2, 0.9, 0.0],
            centers: vec![0.1, 0.2, -0.5, 0.4],
            radii: vec![0.7, 0.25],
            real: vec![true, false],
            ..Default::default()
        };
        let weights = [2.0, 0.5, 1.0, 1.0];
        for activation in [Activation::Tanh, Activation::Clamp] {
            let holding = Holding { activation, outside: 0.3, n_act: 2, count: 3 };
            let definition = |proposals: &[f64]| {
                let of = |k: usize| {
                    let u = proposals[k];
                    let inside = u.clamp(-1.0, 1.0);
                    let s = match activation {
                        Activation::Tanh => u.tanh(),
                        Activation::Clamp => inside + 0.3 * (u - inside),
                    };
                    let held = f64::from(rows.centers[k]) + f64::from(rows.radii[k / 2]) * s;
                    f64::from(weights[k]) * (held - f64::from(rows.targets[k])).powi(2)
                };
                (of(0) + of(1)) / 6.0 // the second place was not demonstrated
            };
            let proposals = [0.4, -1.7, 5.0, 0.1];
            let mut slopes = [f32::NAN; 4];
            let loss = holding.loss(&rows, &proposals, Some(&weights), &mut slopes);
            let exact = proposals.map(f64::from);
            assert!((loss - definition(&exact)).abs() < 1e-6);
            for (k, slope) in slopes.iter().enumerate() {
                let moved = |by: f64| {
                    let mut moved = exact;
                    moved[k] += by;
                    definition(&moved)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!(
                    (f64::from(*slope) - expected).abs() < 1e-6,
                    "{activation:?} {k}: {slope} {expected}"
                );
            }
            // Without weights each error counts 1.
            let mut plain = [0.0; 4];
            let loss = holding.loss(&rows, &proposals, None, &mut plain);
            let ones = holding.loss(&rows, &proposals, Some(&[1.0; 4]), &mut slopes);
            assert!((loss, plain) == (ones, slopes));
        }
    }
}
