//! Adam (Kingma and Ba, 2015), with PyTorch's constants.

use kernels::{Convolution, Gradient};

const BETAS: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-8;

/// Running means of gradients and of their squares.
#[derive(Debug)]
pub(super) struct Adam {
    pub means: Vec<[Gradient; 2]>,
    pub steps: i32,
}

impl Adam {
    pub fn new(layers: &[Convolution]) -> Self {
        let zeros = |layer: &Convolution| [0, 1].map(|_| Gradient::zeros(&layer.shape()));
        Self { means: layers.iter().map(zeros).collect(), steps: 0 }
    }

    /// One step against the gradients.
    pub fn step(&mut self, layers: &mut [Convolution], gradients: &[Gradient], lr: f64) {
        use rayon::prelude::*;
        self.steps += 1;
        let [first, second] = BETAS.map(|beta| 1.0 - f64::from(beta).powi(self.steps));
        let (rate, root) = ((lr / first) as f32, second.sqrt() as f32);
        layers.par_iter_mut().zip(gradients).zip(&mut self.means).for_each(|((layer, gradient), means)| {
            let [mean, square] = means;
            let [weights, bias] = layer.numbers_mut();
            let parts = [
                (weights, &gradient.weights, &mut mean.weights, &mut square.weights),
                (bias, &gradient.bias, &mut mean.bias, &mut square.bias),
            ];
            for (numbers, gradient, mean, square) in parts {
                for (((w, &g), m), v) in numbers.iter_mut().zip(gradient).zip(mean).zip(square) {
                    *m += (1.0 - BETAS[0]) * (g - *m);
                    *v = BETAS[1] * *v + (1.0 - BETAS[1]) * g * g;
                    *w -= rate * *m / (v.sqrt() / root + EPSILON);
                }
            }
        });
    }
}
