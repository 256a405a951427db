//! Statistics of each dimension of a table.

/// Statistics of one dimension over all steps, of the finite values.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Dimension {
    /// The smallest number.
    pub min: f32,
    /// The largest number.
    pub max: f32,
    /// The mean.
    pub mean: f64,
    /// The population standard deviation.
    pub std: f64,
    /// The number of values that are NaN or infinite.
    pub not_finite: usize,
}

/// Each dimension of a table of rows, `[steps, width]`.
pub(super) fn dimensions(values: &[f32], width: usize) -> Vec<Dimension> {
    let steps = values.len() / width;
    let (mut low, mut high) = (vec![f32::INFINITY; width], vec![f32::NEG_INFINITY; width]);
    let (mut mean, mut std) = (vec![0.0_f64; width], vec![0.0_f64; width]);
    let mut not_finite = vec![0; width];
    // Rows of finite values, the usual case, take loops without a branch.
    let finite = |row: &[f32]| row.iter().fold(true, |all, v| all & v.is_finite());
    for row in values.chunks_exact(width) {
        if finite(row) {
            for ((low, high), &v) in low.iter_mut().zip(&mut high).zip(row) {
                *low = if v < *low { v } else { *low };
                *high = if v > *high { v } else { *high };
            }
            mean.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v));
            continue;
        }
        for (d, &v) in row.iter().enumerate() {
            if v.is_finite() {
                (low[d], high[d]) = (low[d].min(v), high[d].max(v));
                mean[d] += f64::from(v);
            } else {
                not_finite[d] += 1;
            }
        }
    }
    let count: Vec<f64> = not_finite.iter().map(|not| (steps - not) as f64).collect();
    mean.iter_mut().zip(&count).for_each(|(mean, count)| *mean /= count);
    for row in values.chunks_exact(width) {
        if finite(row) {
            let square = |((std, mean), &v): ((&mut f64, &f64), &f32)| {
                let off = f64::from(v) - mean;
                *std += off * off;
            };
            std.iter_mut().zip(&mean).zip(row).for_each(square);
            continue;
        }
        for (d, &v) in row.iter().enumerate().filter(|(_, v)| v.is_finite()) {
            std[d] += (f64::from(v) - mean[d]).powi(2);
        }
    }
    let of = |d: usize| {
        let none_finite = not_finite[d] == steps;
        Dimension {
            min: if none_finite { f32::NAN } else { low[d] },
            max: if none_finite { f32::NAN } else { high[d] },
            mean: mean[d],
            std: (std[d] / count[d]).sqrt(),
            not_finite: not_finite[d],
        }
    };
    (0..width).map(of).collect()
}
