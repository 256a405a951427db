//! Buckets of actions: the bucket of an action, and the classification loss.

use crate::backbone::{math::exponential, product::widest};

/// The nearest center to each action, the first of equally near ones. `actions`: `[n, n_act]`, `centers`:
/// `[buckets, n_act]`.
pub fn nearest(actions: &[f32], centers: &[f32], n_act: usize) -> Vec<usize> {
    // Transposed, so that the loop over centers is contiguous.
    let by_dimension: Vec<f32> =
        (0..n_act).flat_map(|k| centers.iter().skip(k).step_by(n_act)).copied().collect();
    search(actions, n_act, &by_dimension)
}

widest! {
    fn search<'a>(actions: &'a [f32], n_act: usize, by_dimension: &'a [f32]) -> Vec<usize> {
        let buckets = by_dimension.len() / n_act;
        let mut squares = vec![0.0_f32; buckets];
        let mut found = Vec::with_capacity(actions.len() / n_act);
        for action in actions.chunks_exact(n_act) {
            squares.fill(0.0);
            for (a, centers) in action.iter().zip(by_dimension.chunks_exact(buckets)) {
                squares.iter_mut().zip(centers).for_each(|(s, c)| *s += (a - c) * (a - c));
            }
            found.push(largest(squares.iter().map(|s| -s)));
        }
        found
    }
}

/// The index of the largest value, the first of equal ones. 0 if all are NaN.
#[inline(always)]
pub fn largest(values: impl Iterator<Item = f32>) -> usize {
    let pick = |best: (usize, f32), (k, v)| if v > best.1 { (k, v) } else { best };
    values.enumerate().fold((0, f32::NEG_INFINITY), pick).0
}

/// Softmax in place. Returns the largest logit and the sum of e^(logit - largest).
#[inline(always)]
pub fn softmax(values: &mut [f32]) -> (f32, f32) {
    let high = values.iter().fold(f32::NEG_INFINITY, |m, v| m.max(*v));
    let mut total = 0.0;
    for v in values.iter_mut() {
        let below = *v - high;
        *v = exponential(if below < -87.0 { -87.0 } else { below });
        total += *v;
    }
    values.iter_mut().for_each(|v| *v /= total);
    (high, total)
}

/// The focal loss (Lin et al., 2017), `-(1 - p)^gamma log p` with p the probability of the true bucket, summed over the masked
/// rows and divided by `count`, their number in the whole batch. Replaces the logits by the gradient with respect to them.
/// `logits`: `[n, buckets]`; `buckets`, `mask`: `[n]`. With gamma 0 it is the cross-entropy.
pub fn focal_loss(logits: &mut [f32], buckets: &[usize], mask: &[bool], gamma: f32, count: usize) -> f64 {
    focal_rows(logits, buckets, mask, gamma, 1.0 / count as f32)
}

widest! {
    fn focal_rows<'a>(logits: &'a mut [f32], buckets: &'a [usize], mask: &'a [bool], gamma: f32, share: f32) -> f64 {
        let (k, mut loss) = (logits.len() / buckets.len(), 0.0_f64);
        for ((row, &bucket), &mask) in logits.chunks_exact_mut(k).zip(buckets).zip(mask) {
            if !mask {
                row.fill(0.0);
                continue;
            }
            let logit = row[bucket];
            let (high, total) = softmax(row);
            let (p, log_p) = (row[bucket], logit - high - total.ln());
            // 1 - p as the sum of the other probabilities, which does not cancel where p is close to 1.
            let others = row[..bucket].iter().chain(&row[bucket + 1..]).sum::<f32>();
            let scale = others.powf(gamma);
            loss -= f64::from(scale * log_p * share);
            let of_scale = if others > 0.0 { gamma * others.powf(gamma - 1.0) * p * log_p } else { 0.0 };
            // With respect to log p, whose derivative by a logit is [it is the true one] - probability.
            let grad = (of_scale - scale) * share;
            row.iter_mut().for_each(|q| *q *= -grad);
            row[bucket] += grad;
        }
        loss
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn the_nearest_center_is_found_and_the_first_of_two() {
        let centers = [0.0, 0.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0];
        assert_eq!(nearest(&[0.1, 0.2, 0.9, 0.8, -3.0, 0.0, 0.5, 0.5], &centers, 2), [0, 1, 2, 0]);
    }

    #[test]
    fn probabilities_equal_their_definition_and_do_not_overflow() {
        let mut values = [1.0, 3.0, -2.0];
        softmax(&mut values);
        let all: f64 = [1.0_f64, 3.0, -2.0].iter().map(|v| v.exp()).sum();
        for (p, v) in values.iter().zip([1.0_f64, 3.0, -2.0]) {
            assert!((f64::from(*p) - v.exp() / all).abs() < 1e-6);
        }
        let mut far = [1e30, -1e30, 0.0];
        softmax(&mut far);
        assert_eq!(far[0], 1.0);
        assert!(far[1] < 1e-30 && far[2] < 1e-30);
    }

    #[test]
    fn the_focal_loss_and_its_gradient_are_those_of_the_definition() {
        let mut rng = Seed(1).rng();
        let logits: Vec<f32> =
            (0..4 * 5).map(|i| (rng.normal() * if i < 5 { 20.0 } else { 1.0 }) as f32).collect();
        let (buckets, mask) = ([1, 0, 4, 2], [true, true, false, true]);
        for gamma in [0.0, 1.0, 2.0, 2.5] {
            let definition = |logits: &[f64]| {
                let row = |i: usize| {
                    let row = &logits[5 * i..][..5];
                    let p = row[buckets[i]].exp() / row.iter().map(|v| v.exp()).sum::<f64>();
                    -(1.0 - p).powf(gamma) * p.ln()
                };
                (row(0) + row(1) + row(3)) / 3.0
            };
            let mut grad = logits.clone();
            let loss = focal_loss(&mut grad, &buckets, &mask, gamma as f32, 3);
            let exact: Vec<f64> = logits.iter().map(|&v| f64::from(v)).collect();
            let expected = definition(&exact);
            assert!((loss - expected).abs() < 1e-5 * expected, "{gamma}: {loss} {expected}");
            for k in 0..logits.len() {
                let moved = |by: f64| {
                    let mut moved = exact.clone();
                    moved[k] += by;
                    definition(&moved)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((f64::from(grad[k]) - expected).abs() < 1e-5, "{gamma} {k}: {} {expected}", grad[k]);
            }
        }
        // A certain and correct prediction has gradient 0 for every gamma.
        for gamma in [0.0, 0.5, 2.0] {
            let mut grad = [200.0, 0.0];
            let loss = focal_loss(&mut grad, &[0], &[true], gamma, 1);
            assert!(loss.abs() < 1e-6 && grad.iter().all(|g| g.abs() < 1e-6), "{gamma}: {loss} {grad:?}");
        }
    }
}
