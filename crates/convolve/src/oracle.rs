//! The same in a few plain lines, slowly.

use crate::Shape;

/// What [`Convolution::run`](crate::Convolution::run) should give, summed in `f64`: weights as
/// [`Convolution::new`](crate::Convolution::new) takes them.
pub fn convolve(
    shape: Shape,
    weights: &[f32],
    bias: &[f32],
    from: &[f32],
    size: [usize; 2],
    n: usize,
) -> Vec<f64> {
    let [height, width] = shape.output(size);
    let mut out = Vec::with_capacity(height * width * n * shape.to);
    for y in 0..height {
        for x in 0..width {
            for image in 0..n {
                for (to, &bias) in bias.iter().enumerate() {
                    let mut sum = f64::from(bias);
                    for c in 0..shape.from {
                        for ky in 0..shape.kernel[0] {
                            for kx in 0..shape.kernel[1] {
                                let iy = (y * shape.stride[0] + ky).wrapping_sub(shape.pad[0]);
                                let ix = (x * shape.stride[1] + kx).wrapping_sub(shape.pad[1]);
                                if iy < size[0] && ix < size[1] {
                                    let w =
                                        ((to * shape.from + c) * shape.kernel[0] + ky) * shape.kernel[1] + kx;
                                    let v = ((iy * size[1] + ix) * n + image) * shape.from + c;
                                    sum += f64::from(weights[w]) * f64::from(from[v]);
                                }
                            }
                        }
                    }
                    out.push(sum);
                }
            }
        }
    }
    out
}
