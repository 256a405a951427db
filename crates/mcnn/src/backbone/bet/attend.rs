//! Attention of every place of a window to itself and those before it, forward and back, a head and a group of rows at a time.

use kernels::WIDE;

use super::shape::{LANES, Mask, Shape};
use crate::backbone::{plain::exponential, product::widest};

type Lanes = [f32; LANES];

/// Room for what a head and a group have.
#[derive(Debug, Default)]
pub(super) struct AttendRoom {
    kept: Vec<Lanes>,   // weights of pairs, after what was dropped
    slopes: Vec<Lanes>, // of their scores
    at: Vec<usize>,     // where the tokens of each place begin
}

/// The numbers of a row from one token on.
#[inline(always)]
fn lanes(numbers: &[f32], at: usize) -> &Lanes {
    numbers[at..].first_chunk().expect("panels are a multiple of the lanes")
}

#[inline(always)]
fn lanes_mut(numbers: &mut [f32], at: usize) -> &mut Lanes {
    numbers[at..].first_chunk_mut().expect("panels are a multiple of the lanes")
}

/// Adds products, lane by lane.
#[inline(always)]
fn add_products(sum: &mut Lanes, a: &Lanes, b: &Lanes) {
    for (sum, (a, b)) in sum.iter_mut().zip(a.iter().zip(b)) {
        *sum += a * b;
    }
}

/// The sums of products of tokens' numbers, `size` of them from one on.
#[inline(always)]
fn dot(size: usize, a: &[f32], b: &[f32]) -> Lanes {
    let mut sum = [0.0; LANES];
    for (a, b) in a.chunks(WIDE).zip(b.chunks(WIDE)).take(size) {
        add_products(&mut sum, lanes(a, 0), lanes(b, 0));
    }
    sum
}

/// The sums of tokens' numbers, `size` of them, by weights: `weights` has them with where each token begins. Four numbers at a
/// time share a weight.
#[inline(always)]
fn blend<'a>(
    size: usize,
    weights: impl Iterator<Item = (&'a Lanes, usize)> + Clone,
    from: &[f32],
    out: &mut [f32],
) {
    let whole = size - size % 4;
    for i in (0..whole).step_by(4) {
        blend_some::<4>(weights.clone(), &from[i * WIDE..], &mut out[i * WIDE..]);
    }
    for i in whole..size {
        blend_some::<1>(weights.clone(), &from[i * WIDE..], &mut out[i * WIDE..]);
    }
}

#[inline(always)]
fn blend_some<'a, const N: usize>(
    weights: impl Iterator<Item = (&'a Lanes, usize)>,
    from: &[f32],
    out: &mut [f32],
) {
    let mut sums = [[0.0; LANES]; N];
    for (weight, at) in weights {
        let from = &from[at..][..(N - 1) * WIDE + LANES];
        for (i, sum) in sums.iter_mut().enumerate() {
            add_products(sum, weight, lanes(from, i * WIDE));
        }
    }
    for (i, sum) in sums.into_iter().enumerate() {
        *lanes_mut(out, i * WIDE) = sum;
    }
}

/// Where the pairs of a place begin.
#[inline(always)]
fn first(place: usize) -> usize {
    place * (place + 1) / 2
}

/// What each score is multiplied by.
#[inline(always)]
fn scale(shape: &Shape) -> f32 {
    1.0 / ((shape.width / shape.heads) as f32).sqrt()
}

/// Where the tokens of a group begin for a head: the first of its numbers.
#[inline(always)]
fn begin(shape: &Shape, head: usize, group: usize, at: &mut Vec<usize>) {
    let number = head * (shape.width / shape.heads);
    at.clear();
    at.extend((0..shape.window).map(|place| shape.at((group * shape.window + place) * LANES, number)));
}

/// From queries, keys and values (`[3, tokens]`) to the weights of attention, before some are dropped, and what they mix.
pub(super) fn attend(
    shape: &Shape,
    seen: &[f32],
    mask: Mask,
    chances: &mut [f32],
    mixed: &mut [f32],
    room: &mut AttendRoom,
) {
    room.kept.resize(shape.pairs(), [0.0; LANES]);
    let size = shape.pairs() * LANES;
    for (k, chances) in chances.chunks_exact_mut(size).enumerate() {
        begin(shape, k / shape.groups(), k % shape.groups(), &mut room.at);
        attend_group(shape, seen, mask.of_range(k * size..(k + 1) * size), chances, mixed, room);
    }
}

widest! {
    fn attend_group<'a>(
        shape: &'a Shape,
        seen: &'a [f32],
        mask: Mask<'a>,
        chances: &'a mut [f32],
        mixed: &'a mut [f32],
        room: &'a mut AttendRoom,
    ) {
        let AttendRoom { kept, at, .. } = room;
        let (chances, drawn) = (chances.as_chunks_mut().0, mask.drawn.as_chunks().0);
        let (size, scale, all) = (shape.width / shape.heads, scale(shape), shape.numbers());
        let (queries, keys, values) = (&seen[..all], &seen[all..2 * all], &seen[2 * all..]);
        for place in 0..shape.window {
            let own = first(place)..first(place + 1);
            let (chances, drawn): (&mut [Lanes], &[[u16; LANES]]) = (&mut chances[own.clone()], &drawn[own]);
            let mut high = [f32::NEG_INFINITY; LANES];
            for (chance, &other) in chances.iter_mut().zip(&*at) {
                *chance = dot(size, &queries[at[place]..], &keys[other..]);
                for (chance, high) in chance.iter_mut().zip(&mut high) {
                    *chance *= scale;
                    *high = if *chance > *high { *chance } else { *high };
                }
            }
            let mut total = [0.0; LANES];
            for chance in chances.iter_mut() {
                for ((chance, high), total) in chance.iter_mut().zip(&high).zip(&mut total) {
                    let below = *chance - high;
                    *chance = exponential(if below < -87.0 { -87.0 } else { below });
                    *total += *chance;
                }
            }
            let shares = total.map(|total| 1.0 / total);
            for ((chance, drawn), kept) in chances.iter_mut().zip(drawn).zip(kept.iter_mut()) {
                for i in 0..LANES {
                    chance[i] *= shares[i];
                    kept[i] = mask.of(drawn[i], chance[i]);
                }
            }
            let weights = kept.iter().zip(at[..=place].iter().copied());
            blend(size, weights, values, &mut mixed[at[place]..]);
        }
    }
}

/// From the slopes of what was mixed to those of queries, keys and values (`out`: `[3, tokens]`).
pub(super) fn attend_back(
    shape: &Shape,
    seen: &[f32],
    chances: &[f32],
    mask: Mask,
    mixed: &[f32],
    out: &mut [f32],
    room: &mut AttendRoom,
) {
    for of_pairs in [&mut room.kept, &mut room.slopes] {
        of_pairs.resize(shape.pairs(), [0.0; LANES]);
    }
    let size = shape.pairs() * LANES;
    for (k, chances) in chances.chunks_exact(size).enumerate() {
        begin(shape, k / shape.groups(), k % shape.groups(), &mut room.at);
        slopes_of_scores(shape, seen, mask.of_range(k * size..(k + 1) * size), chances, mixed, room);
        slopes_of_seen(shape, seen, mixed, room, out);
    }
}

widest! {
    fn slopes_of_scores<'a>(
        shape: &'a Shape,
        seen: &'a [f32],
        mask: Mask<'a>,
        chances: &'a [f32],
        mixed: &'a [f32],
        room: &'a mut AttendRoom,
    ) {
        let AttendRoom { kept, slopes, at } = room;
        let (chances, drawn) = (chances.as_chunks().0, mask.drawn.as_chunks().0);
        let (size, scale) = (shape.width / shape.heads, scale(shape));
        let values = &seen[2 * shape.numbers()..];
        for place in 0..shape.window {
            let own = first(place)..first(place + 1);
            let (chances, drawn): (&[Lanes], &[[u16; LANES]]) = (&chances[own.clone()], &drawn[own.clone()]);
            let (kept, slopes) = (&mut kept[own.clone()], &mut slopes[own]);
            let mut all = [0.0; LANES]; // what is added to all scores changes nothing
            for (other, &from) in at[..=place].iter().enumerate() {
                let slope = dot(size, &mixed[at[place]..], &values[from..]);
                let (chances, drawn, kept, slopes) =
                    (&chances[other], &drawn[other], &mut kept[other], &mut slopes[other]);
                for i in 0..LANES {
                    kept[i] = mask.of(drawn[i], chances[i]);
                    slopes[i] = mask.of(drawn[i], slope[i]);
                    all[i] += chances[i] * slopes[i];
                }
            }
            for (slopes, chances) in slopes.iter_mut().zip(chances) {
                for i in 0..LANES {
                    slopes[i] = (slopes[i] - all[i]) * chances[i] * scale;
                }
            }
        }
    }
}

widest! {
    fn slopes_of_seen<'a>(
        shape: &'a Shape,
        seen: &'a [f32],
        mixed: &'a [f32],
        room: &'a AttendRoom,
        out: &'a mut [f32],
    ) {
        let AttendRoom { kept, slopes, at } = room;
        let (size, all) = (shape.width / shape.heads, shape.numbers());
        let (queries, keys) = (&seen[..all], &seen[all..2 * all]);
        for (place, &own) in at.iter().enumerate() {
            let seen_by = slopes[first(place)..].iter().zip(at[..=place].iter().copied());
            let sees = |weights: &'a [Lanes]| {
                (place..at.len()).map(move |later| (&weights[first(later) + place], at[later]))
            };
            blend(size, seen_by, keys, &mut out[own..]);
            blend(size, sees(slopes), queries, &mut out[all + own..]);
            blend(size, sees(kept), mixed, &mut out[2 * all + own..]);
        }
    }
}
