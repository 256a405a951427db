//! Causal attention within a window, forward and backward, one head and one group of rows at a time.

use kernels::WIDE;

use super::shape::{LANES, Mask, Shape};
use crate::backbone::{math::exponential, product::widest};

type Lanes = [f32; LANES];

/// Buffers of one head and one group.
#[derive(Debug, Default)]
pub(super) struct AttentionWorkspace {
    weights: Vec<Lanes>,    // [pairs], after dropout
    score_grad: Vec<Lanes>, // [pairs]
    starts: Vec<usize>,     // [window]: where the features of the tokens of each step begin
}

/// A feature of the rows of a group, from one token on.
#[inline(always)]
fn lanes(values: &[f32], start: usize) -> &Lanes {
    values[start..].first_chunk().expect("panels are a multiple of the lanes")
}

#[inline(always)]
fn lanes_mut(values: &mut [f32], start: usize) -> &mut Lanes {
    values[start..].first_chunk_mut().expect("panels are a multiple of the lanes")
}

/// Adds products, lane by lane.
#[inline(always)]
fn add_products(sum: &mut Lanes, a: &Lanes, b: &Lanes) {
    for (sum, (a, b)) in sum.iter_mut().zip(a.iter().zip(b)) {
        *sum += a * b;
    }
}

/// Dot products of the first `size` features of two tokens, one per lane.
#[inline(always)]
fn dot(size: usize, a: &[f32], b: &[f32]) -> Lanes {
    let mut sum = [0.0; LANES];
    for (a, b) in a.chunks(WIDE).zip(b.chunks(WIDE)).take(size) {
        add_products(&mut sum, lanes(a, 0), lanes(b, 0));
    }
    sum
}

/// The weighted sum of the first `size` features of tokens. `weights`: with the start of each token. Four features at a time
/// share the load of a weight.
#[inline(always)]
fn weighted_sum<'a>(
    size: usize,
    weights: impl Iterator<Item = (&'a Lanes, usize)> + Clone,
    from: &[f32],
    out: &mut [f32],
) {
    let whole = size - size % 4;
    for i in (0..whole).step_by(4) {
        weighted_sum_of::<4>(weights.clone(), &from[i * WIDE..], &mut out[i * WIDE..]);
    }
    for i in whole..size {
        weighted_sum_of::<1>(weights.clone(), &from[i * WIDE..], &mut out[i * WIDE..]);
    }
}

#[inline(always)]
fn weighted_sum_of<'a, const N: usize>(
    weights: impl Iterator<Item = (&'a Lanes, usize)>,
    from: &[f32],
    out: &mut [f32],
) {
    let mut sums = [[0.0; LANES]; N];
    for (weight, start) in weights {
        let from = &from[start..][..(N - 1) * WIDE + LANES];
        for (i, sum) in sums.iter_mut().enumerate() {
            add_products(sum, weight, lanes(from, i * WIDE));
        }
    }
    for (i, sum) in sums.into_iter().enumerate() {
        *lanes_mut(out, i * WIDE) = sum;
    }
}

/// The index of the first pair of a step.
#[inline(always)]
fn first(step: usize) -> usize {
    step * (step + 1) / 2
}

/// The factor of the scores: 1 / sqrt(width of a head).
#[inline(always)]
fn scale(shape: &Shape) -> f32 {
    1.0 / ((shape.width / shape.heads) as f32).sqrt()
}

/// Sets `starts` for a head and a group.
#[inline(always)]
fn set_starts(shape: &Shape, head: usize, group: usize, starts: &mut Vec<usize>) {
    let feature = head * (shape.width / shape.heads);
    starts.clear();
    starts.extend((0..shape.window).map(|step| shape.index((group * shape.window + step) * LANES, feature)));
}

/// From queries, keys and values (`qkv`: `[3, tokens]`) to the attention weights before dropout, and to the sums of values by the
/// weights after it (`attended`).
pub(super) fn attention(
    shape: &Shape,
    qkv: &[f32],
    mask: Mask,
    weights: &mut [f32],
    attended: &mut [f32],
    workspace: &mut AttentionWorkspace,
) {
    workspace.weights.resize(shape.pairs(), [0.0; LANES]);
    let size = shape.pairs() * LANES;
    for (k, weights) in weights.chunks_exact_mut(size).enumerate() {
        set_starts(shape, k / shape.groups(), k % shape.groups(), &mut workspace.starts);
        let mask = mask.of_range(k * size..(k + 1) * size);
        attend_group(shape, qkv, mask, weights, attended, workspace);
    }
}

widest! {
    fn attend_group<'a>(
        shape: &'a Shape,
        qkv: &'a [f32],
        mask: Mask<'a>,
        weights: &'a mut [f32],
        attended: &'a mut [f32],
        workspace: &'a mut AttentionWorkspace,
    ) {
        let AttentionWorkspace { weights: dropped, starts, .. } = workspace;
        let (weights, bits) = (weights.as_chunks_mut().0, mask.bits.as_chunks().0);
        let (size, scale, all) = (shape.width / shape.heads, scale(shape), shape.size());
        let (queries, keys, values) = (&qkv[..all], &qkv[all..2 * all], &qkv[2 * all..]);
        for step in 0..shape.window {
            let own = first(step)..first(step + 1);
            let (weights, bits): (&mut [Lanes], &[[u16; LANES]]) = (&mut weights[own.clone()], &bits[own]);
            let mut high = [f32::NEG_INFINITY; LANES];
            for (weight, &other) in weights.iter_mut().zip(&*starts) {
                *weight = dot(size, &queries[starts[step]..], &keys[other..]);
                for (weight, high) in weight.iter_mut().zip(&mut high) {
                    *weight *= scale;
                    *high = if *weight > *high { *weight } else { *high };
                }
            }
            let mut total = [0.0; LANES];
            for weight in weights.iter_mut() {
                for ((weight, high), total) in weight.iter_mut().zip(&high).zip(&mut total) {
                    let below = *weight - high;
                    *weight = exponential(if below < -87.0 { -87.0 } else { below });
                    *total += *weight;
                }
            }
            let inverse = total.map(|total| 1.0 / total);
            for ((weight, bits), dropped) in weights.iter_mut().zip(bits).zip(dropped.iter_mut()) {
                for i in 0..LANES {
                    weight[i] *= inverse[i];
                    dropped[i] = mask.apply(bits[i], weight[i]);
                }
            }
            let weights = dropped.iter().zip(starts[..=step].iter().copied());
            weighted_sum(size, weights, values, &mut attended[starts[step]..]);
        }
    }
}

/// From the gradient with respect to `attended` to that with respect to queries, keys and values (`out`: `[3, tokens]`).
pub(super) fn attention_backward(
    shape: &Shape,
    qkv: &[f32],
    weights: &[f32],
    mask: Mask,
    attended_grad: &[f32],
    out: &mut [f32],
    workspace: &mut AttentionWorkspace,
) {
    for of_pairs in [&mut workspace.weights, &mut workspace.score_grad] {
        of_pairs.resize(shape.pairs(), [0.0; LANES]);
    }
    let size = shape.pairs() * LANES;
    for (k, weights) in weights.chunks_exact(size).enumerate() {
        set_starts(shape, k / shape.groups(), k % shape.groups(), &mut workspace.starts);
        let mask = mask.of_range(k * size..(k + 1) * size);
        score_grad(shape, qkv, mask, weights, attended_grad, workspace);
        qkv_grad(shape, qkv, attended_grad, workspace, out);
    }
}

widest! {
    fn score_grad<'a>(
        shape: &'a Shape,
        qkv: &'a [f32],
        mask: Mask<'a>,
        weights: &'a [f32],
        attended_grad: &'a [f32],
        workspace: &'a mut AttentionWorkspace,
    ) {
        let AttentionWorkspace { weights: dropped, score_grad, starts } = workspace;
        let (weights, bits) = (weights.as_chunks().0, mask.bits.as_chunks().0);
        let (size, scale) = (shape.width / shape.heads, scale(shape));
        let values = &qkv[2 * shape.size()..];
        for step in 0..shape.window {
            let own = first(step)..first(step + 1);
            let (weights, bits): (&[Lanes], &[[u16; LANES]]) = (&weights[own.clone()], &bits[own.clone()]);
            let (dropped, grads) = (&mut dropped[own.clone()], &mut score_grad[own]);
            let mut mean = [0.0; LANES]; // the softmax does not change if a constant is added to all scores
            for (other, &from) in starts[..=step].iter().enumerate() {
                let weight_grad = dot(size, &attended_grad[starts[step]..], &values[from..]);
                let (weights, bits, dropped, grads) =
                    (&weights[other], &bits[other], &mut dropped[other], &mut grads[other]);
                for i in 0..LANES {
                    dropped[i] = mask.apply(bits[i], weights[i]);
                    grads[i] = mask.apply(bits[i], weight_grad[i]);
                    mean[i] += weights[i] * grads[i];
                }
            }
            for (grads, weights) in grads.iter_mut().zip(weights) {
                for i in 0..LANES {
                    grads[i] = (grads[i] - mean[i]) * weights[i] * scale;
                }
            }
        }
    }
}

widest! {
    fn qkv_grad<'a>(
        shape: &'a Shape,
        qkv: &'a [f32],
        attended_grad: &'a [f32],
        workspace: &'a AttentionWorkspace,
        out: &'a mut [f32],
    ) {
        let AttentionWorkspace { weights, score_grad, starts } = workspace;
        let (size, all) = (shape.width / shape.heads, shape.size());
        let (queries, keys) = (&qkv[..all], &qkv[all..2 * all]);
        for (step, &own) in starts.iter().enumerate() {
            let attended_to = score_grad[first(step)..].iter().zip(starts[..=step].iter().copied());
            let attending = |pairs: &'a [Lanes]| {
                (step..starts.len()).map(move |later| (&pairs[first(later) + step], starts[later]))
            };
            weighted_sum(size, attended_to, keys, &mut out[own..]);
            weighted_sum(size, attending(score_grad), queries, &mut out[all + own..]);
            weighted_sum(size, attending(weights), attended_grad, &mut out[2 * all + own..]);
        }
    }
}
