//! The definition of convolutions and their gradients in plain loops, for tests.

use crate::Shape;

/// Calls `each` with the indices of output, weight and input of every product in a convolution of `n` images of `size`.
fn products(shape: Shape, size: [usize; 2], n: usize, mut each: impl FnMut(usize, usize, usize)) {
    let [height, width] = shape.output(size);
    for y in 0..height {
        for x in 0..width {
            for image in 0..n {
                for to in 0..shape.to {
                    for c in 0..shape.from {
                        for ky in 0..shape.kernel[0] {
                            for kx in 0..shape.kernel[1] {
                                let iy = (y * shape.stride[0] + ky).wrapping_sub(shape.pad[0]);
                                let ix = (x * shape.stride[1] + kx).wrapping_sub(shape.pad[1]);
                                if iy < size[0] && ix < size[1] {
                                    let out = ((y * width + x) * n + image) * shape.to + to;
                                    let w =
                                        ((to * shape.from + c) * shape.kernel[0] + ky) * shape.kernel[1] + kx;
                                    let v = ((iy * size[1] + ix) * n + image) * shape.from + c;
                                    each(out, w, v);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The result of [`Convolution::run`](crate::Convolution::run), summed in `f64`, with weights as in
/// [`Convolution::new`](crate::Convolution::new).
pub fn convolve(
    shape: Shape,
    weights: &[f32],
    bias: &[f32],
    from: &[f32],
    size: [usize; 2],
    n: usize,
) -> Vec<f64> {
    let [height, width] = shape.output(size);
    let mut out: Vec<f64> =
        (0..height * width * n).flat_map(|_| bias.iter().copied().map(f64::from)).collect();
    products(shape, size, n, |to, w, v| out[to] += f64::from(weights[w]) * f64::from(from[v]));
    out
}

/// The gradients of the weights, the bias and the input, summed in `f64`. `of`: the gradient of the output.
pub fn gradients(
    shape: Shape,
    weights: &[f32],
    from: &[f32],
    size: [usize; 2],
    n: usize,
    of: &[f32],
) -> [Vec<f64>; 3] {
    let [mut to_weights, mut to_bias, mut to_input] =
        [weights.len(), shape.to, from.len()].map(|len| vec![0.0; len]);
    of.iter().enumerate().for_each(|(i, &v)| to_bias[i % shape.to] += f64::from(v));
    products(shape, size, n, |out, w, v| {
        to_weights[w] += f64::from(from[v]) * f64::from(of[out]);
        to_input[v] += f64::from(weights[w]) * f64::from(of[out]);
    });
    [to_weights, to_bias, to_input]
}
