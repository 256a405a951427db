//! The loss of constrained network outputs, and its gradient.

use super::training_set::MiniBatch;
use crate::{
    backbone::{exponential, widest},
    envelope::Activation,
};

/// The mean squared error of the constrained actions `c + r sigma(g)`.
#[derive(Debug, Clone, Copy)]
pub struct ConstrainedLoss {
    pub activation: Activation,
    /// Slope of the clamp outside [-1, 1]: sigma(u) = clamp(u) + slope (u - clamp(u)).
    pub outside_slope: f32,
    pub n_act: usize,
    /// Demonstrated target steps of the whole batch: the loss is the mean over them.
    pub count: usize,
}

impl ConstrainedLoss {
    /// The loss of network outputs (`[rows, target_steps, n_act]`). Writes its gradient with respect to them to `grad`.
    /// `weights`: of the squared errors, the same shape; `None` for 1 each. Masked target steps do not count.
    pub fn loss_and_grad(
        &self,
        rows: &MiniBatch,
        outputs: &[f32],
        weights: Option<&[f32]>,
        grad: &mut [f32],
    ) -> f64 {
        loss_and_grad(self, rows, outputs, weights, grad)
    }

    /// `sigma`: the activation and its derivative.
    #[inline(always)]
    fn sum(
        &self,
        rows: &MiniBatch,
        outputs: &[f32],
        weights: Option<&[f32]>,
        grad: &mut [f32],
        sigma: impl Fn(f32) -> (f32, f32),
    ) -> f64 {
        let n = self.n_act;
        let share = 1.0 / (self.count * n) as f32;
        let (ones, mut total) = (vec![1.0; n], 0.0);
        let targets = rows.centers.chunks_exact(n).zip(rows.targets.chunks_exact(n)).zip(&rows.radii);
        let steps = outputs.chunks_exact(n).zip(grad.chunks_exact_mut(n)).zip(targets).zip(&rows.mask);
        for (k, (((outputs, grad), ((centers, targets), radius)), mask)) in steps.enumerate() {
            if !mask {
                grad.fill(0.0);
                continue;
            }
            let weights = weights.map_or(&ones[..], |weights| &weights[k * n..][..n]);
            let mut sum = 0.0;
            let values = outputs.iter().zip(centers).zip(targets).zip(weights);
            for (d, (((u, center), target), weight)) in grad.iter_mut().zip(values) {
                let (s, derivative) = sigma(*u);
                let error = center + radius * s - target;
                sum += weight * error * error;
                *d = 2.0 * share * weight * radius * error * derivative;
            }
            total += f64::from(sum);
        }
        total / (self.count * n) as f64
    }
}

widest! {
    fn loss_and_grad<'a>(
        loss: &'a ConstrainedLoss,
        rows: &'a MiniBatch,
        outputs: &'a [f32],
        weights: Option<&'a [f32]>,
        grad: &'a mut [f32],
    ) -> f64 {
        let outside = loss.outside_slope;
        match loss.activation {
            Activation::Tanh => loss.sum(rows, outputs, weights, grad, |u| {
                let s = tanh(u);
                (s, 1.0 - s * s)
            }),
            Activation::Clamp => loss.sum(rows, outputs, weights, grad, |u| {
                let s = u.clamp(-1.0, 1.0);
                (s + outside * (u - s), if s == u { 1.0 } else { outside })
            }),
        }
    }
}

/// tanh(x), with an error below 3e-7.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let e = exponential(2.0 * x.clamp(-10.0, 10.0));
    (e - 1.0) / (e + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_is_that_of_f64() {
        for i in -3000..3000 {
            let x = i as f32 * 0.01;
            assert!((f64::from(tanh(x)) - f64::from(x).tanh()).abs() < 3e-7, "{x}");
        }
    }

    #[test]
    fn loss_and_gradient_are_those_of_the_definition() {
        let rows = MiniBatch {
            targets: vec![0.3, -0.2, 0.9, 0.0],
            centers: vec![0.1, 0.2, -0.5, 0.4],
            radii: vec![0.7, 0.25],
            mask: vec![true, false],
            ..Default::default()
        };
        let weights = [2.0, 0.5, 1.0, 1.0];
        for activation in [Activation::Tanh, Activation::Clamp] {
            let loss_fn = ConstrainedLoss { activation, outside_slope: 0.3, n_act: 2, count: 3 };
            let definition = |outputs: &[f64]| {
                let of = |k: usize| {
                    let u = outputs[k];
                    let inside = u.clamp(-1.0, 1.0);
                    let s = match activation {
                        Activation::Tanh => u.tanh(),
                        Activation::Clamp => inside + 0.3 * (u - inside),
                    };
                    let constrained = f64::from(rows.centers[k]) + f64::from(rows.radii[k / 2]) * s;
                    f64::from(weights[k]) * (constrained - f64::from(rows.targets[k])).powi(2)
                };
                (of(0) + of(1)) / 6.0 // the second target step is masked
            };
            let outputs = [0.4, -1.7, 5.0, 0.1];
            let mut grad = [f32::NAN; 4];
            let loss = loss_fn.loss_and_grad(&rows, &outputs, Some(&weights), &mut grad);
            let exact = outputs.map(f64::from);
            assert!((loss - definition(&exact)).abs() < 1e-6);
            for (k, grad_k) in grad.iter().enumerate() {
                let moved = |by: f64| {
                    let mut moved = exact;
                    moved[k] += by;
                    definition(&moved)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!(
                    (f64::from(*grad_k) - expected).abs() < 1e-6,
                    "{activation:?} {k}: {grad_k} {expected}"
                );
            }
            // Without weights, every weight is 1.
            let mut plain = [0.0; 4];
            let loss = loss_fn.loss_and_grad(&rows, &outputs, None, &mut plain);
            let ones = loss_fn.loss_and_grad(&rows, &outputs, Some(&[1.0; 4]), &mut grad);
            assert!((loss, plain) == (ones, grad));
        }
    }
}
