//! Bilinear resizing as PIL does it: when a side becomes smaller, every pixel of the source counts.
//!
//! Source: Pillow, `src/libImaging/Resample.c`: columns first, then rows; of bytes, weights are rounded to 22 bits and each
//! of the two passes to bytes. (Pillow 13 takes rows first for some sizes, mostly of tall frames, by a rule not known here;
//! there a byte may differ by one.)

/// The bits of a weight of bytes.
const BITS: i32 = 22;

/// For each pixel of the result, the first pixel of the source that counts, and the weights from there on.
fn weights(from: usize, to: usize, bytes: bool) -> Vec<(usize, Vec<f64>)> {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    let one = |i: usize| {
        let center = (i as f64 + 0.5) * scale;
        let first = (center - support + 0.5).max(0.0) as usize;
        let last = ((center + support + 0.5) as usize).min(from);
        let triangle = |k: usize| (1.0 - ((k as f64 - center + 0.5) / support).abs()).max(0.0);
        let raw: Vec<f64> = (first..last).map(triangle).collect();
        let sum: f64 = raw.iter().sum();
        let part = |w: f64| if bytes { (w / sum * f64::from(1 << BITS)).round() } else { w / sum };
        (first, raw.into_iter().map(part).collect())
    };
    (0..to).map(one).collect()
}

/// A frame `[height, width, 3]` in another size. Of bytes, the result is bytes.
pub(super) fn resize(frame: &[f32], [height, width]: [usize; 2], to: [usize; 2], bytes: bool) -> Vec<f32> {
    let finish = |sum: f64| {
        // Sums of bytes times whole weights are whole, and exact in 64 bits.
        if bytes {
            ((sum + f64::from(1 << (BITS - 1))) / f64::from(1 << BITS)).floor().clamp(0.0, 255.0)
        } else {
            sum
        }
    };
    let mut narrow = Vec::with_capacity(height * to[1] * 3);
    if to[1] == width {
        narrow.extend_from_slice(frame);
    } else {
        let columns = weights(width, to[1], bytes);
        for row in frame.chunks_exact(width * 3) {
            for (first, weights) in &columns {
                for c in 0..3 {
                    let terms =
                        weights.iter().enumerate().map(|(k, w)| w * f64::from(row[(first + k) * 3 + c]));
                    narrow.push(finish(terms.sum()) as f32);
                }
            }
        }
    }
    if to[0] == height {
        return narrow;
    }
    let line = to[1] * 3;
    let mut out = Vec::with_capacity(to[0] * line);
    for (first, weights) in weights(height, to[0], bytes) {
        for i in 0..line {
            let terms =
                weights.iter().enumerate().map(|(k, w)| w * f64::from(narrow[(first + k) * line + i]));
            out.push(finish(terms.sum()) as f32);
        }
    }
    out
}
