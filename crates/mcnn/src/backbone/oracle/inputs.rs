//! Inputs of the comparisons with Burn, made by formulas, so that no file is needed. The crate `oracle`, which computes
//! the expected values, includes this file too.

/// The finalizer of SplitMix64.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A random 64-bit number for a name and an index.
fn bits(name: &str, index: usize) -> u64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(mix(hash).wrapping_add((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// Nearly normal values: sums of four uniform ones, mean 0, deviation 1.01. They are exact in f32 on every machine.
pub fn normal(name: &str, count: usize) -> Vec<f32> {
    let value = |index| {
        let bits = bits(name, index);
        let sum: u64 = [0, 16, 32, 48].iter().map(|shift| (bits >> shift) & 0xffff).sum();
        (sum as f32 - 131_072.0) / 65_536.0 * 1.75
    };
    (0..count).map(value).collect()
}

/// Uniform integers below `limit`.
pub fn integers(name: &str, count: usize, limit: usize) -> Vec<usize> {
    (0..count).map(|index| (bits(name, index) % limit as u64) as usize).collect()
}

/// The parameters of one array of a network: weights by their fan-in, vectors near 0, scales of normalizations near 1.
pub fn parameters(case: &str, array: &str, shape: &[usize]) -> Vec<f32> {
    let (mean, deviation) = match shape {
        [_] if array.ends_with("scale") => (1.0, 0.2),
        [_] => (0.0, 0.2),
        _ => (0.0, 1.0 / (shape[shape.len() - 2] as f64).sqrt()),
    };
    let draws = normal(&format!("{case}/{array}"), shape.iter().product());
    draws.into_iter().map(|draw| (mean + deviation * f64::from(draw)) as f32).collect()
}

/// Whether each step of a batch was demonstrated: four of five.
pub fn real(steps: usize) -> Vec<bool> {
    (0..steps).map(|step| step % 5 != 3).collect()
}

/// What is stored of an array: all of at most 1000 values. Of more, sums of runs of consecutive values, each with a random
/// sign, and last the largest absolute value. Every value enters a sum, so a wrong one changes what is stored.
pub fn condense(values: &[f64]) -> Vec<f32> {
    if values.len() <= 1000 {
        return values.iter().map(|value| *value as f32).collect();
    }
    let signed = |index: usize| if bits("sign", index) & 1 == 0 { values[index] } else { -values[index] };
    let run = values.len().div_ceil(256);
    let sum = |first| (first..values.len().min(first + run)).map(signed).sum::<f64>() as f32;
    let mut stored: Vec<f32> = (0..values.len()).step_by(run).map(sum).collect();
    stored.push(values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs())) as f32);
    stored
}

/// Actions, `[steps, n_act]`, in the first `used` of the buckets of some centers (`[buckets, n_act]`): anywhere, or near their
/// centers where not all buckets are used.
pub fn actions(case: &str, centers: &[f32], used: usize, steps: usize, n_act: usize) -> Vec<f32> {
    let draws = normal(&format!("{case}/actions"), steps * n_act);
    if used * n_act == centers.len() {
        return draws;
    }
    let chosen = integers(&format!("{case}/buckets"), steps, used);
    let center = chosen.into_iter().flat_map(|bucket| &centers[bucket * n_act..][..n_act]);
    center.zip(draws).map(|(center, draw)| center + draw / 64.0).collect()
}
