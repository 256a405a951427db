//! After the convolution of a block: its bias, group norm (Wu and He, 2018) and Mish. Then FiLM (Perez et al., 2018): a scale
//! and a shift of every channel that depend on a condition. All for one row of a batch, `[time, channels]`.
//!
//! ```text
//! x = (h + bias - mean) / sqrt(variance + 1e-5)      over the steps and the channels of a group
//! y = mish(gamma x + beta)
//! z = scale y + shift
//! ```

use super::super::mish::mish_with_derivative;

/// Group norm and the indices of its parameters: gamma and beta (`[channels]` each), and the bias of the convolution before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    pub groups: usize,
    pub channels: usize,
    pub bias: usize,
    pub gamma: usize,
    pub beta: usize,
}

/// Buffers by channel; they grow once.
#[derive(Debug, Clone, Default)]
pub struct ChannelBuffers([Vec<f32>; 3]);

impl ChannelBuffers {
    fn channels(&mut self, n: usize) -> [&mut [f32]; 3] {
        self.0.each_mut().map(|v| {
            v.clear();
            v.resize(n, 0.0);
            &mut v[..]
        })
    }
}

impl Norm {
    /// In acting: replaces the output of the convolution, with its bias, by gamma x + beta.
    pub fn forward_one(&self, parameters: &[f32], h: &mut [f32], buffers: &mut ChannelBuffers) {
        let [mean, scale, _] = buffers.channels(self.channels);
        self.moments(h, mean, scale);
        let of = |at: usize| &parameters[at..][..self.channels];
        let (gamma, beta) = (of(self.gamma), of(self.beta));
        for h in h.chunks_exact_mut(self.channels) {
            for ((((h, m), s), g), b) in h.iter_mut().zip(&*mean).zip(&*scale).zip(gamma).zip(beta) {
                *h = g * ((*h - m) * s) + b;
            }
        }
    }

    /// In training: adds the bias to `h` and replaces `h` by x. Writes y, the derivative dy / d(gamma x + beta), and
    /// 1 / sqrt(variance + 1e-5) by channel.
    pub fn forward(
        &self,
        parameters: &[f32],
        h: &mut [f32],
        (y, derivative, inverse): (&mut [f32], &mut [f32], &mut [f32]),
        buffers: &mut ChannelBuffers,
    ) {
        let [mean, scale, _] = buffers.channels(self.channels);
        let of = |at: usize| &parameters[at..][..self.channels];
        for h in h.chunks_exact_mut(self.channels) {
            h.iter_mut().zip(of(self.bias)).for_each(|(h, b)| *h += b);
        }
        self.moments(h, mean, scale);
        inverse.copy_from_slice(scale);
        let (gamma, beta) = (of(self.gamma), of(self.beta));
        for (h, y) in h.chunks_exact_mut(self.channels).zip(y.chunks_exact_mut(self.channels)) {
            for (((((h, y), m), s), g), b) in
                h.iter_mut().zip(y.iter_mut()).zip(&*mean).zip(&*scale).zip(gamma).zip(beta)
            {
                *h = (*h - m) * s;
                *y = g * *h + b;
            }
        }
        mish_with_derivative(y, derivative);
    }

    /// The backward pass. Replaces `dy` by the gradient with respect to the convolution's output. Adds to the gradients of
    /// gamma, beta and the bias in `grad`, which is laid out as the parameters are.
    pub fn backward(
        &self,
        parameters: &[f32],
        (x, derivative, inverse): (&[f32], &[f32], &[f32]),
        dy: &mut [f32],
        grad: &mut [f32],
        buffers: &mut ChannelBuffers,
    ) {
        let (c, wide) = (self.channels, self.channels / self.groups);
        let [du, dux, dh] = buffers.channels(c); // sums over time, by channel
        for ((dy, derivative), x) in
            dy.chunks_exact_mut(c).zip(derivative.chunks_exact(c)).zip(x.chunks_exact(c))
        {
            for ((((d, s), x), du), dux) in
                dy.iter_mut().zip(derivative).zip(x).zip(du.iter_mut()).zip(dux.iter_mut())
            {
                *d *= s;
                *du += *d;
                *dux += *d * x;
            }
        }
        let mut add = |at: usize, from: &[f32]| {
            grad[at..][..c].iter_mut().zip(from).for_each(|(a, b)| *a += b);
        };
        add(self.gamma, dux);
        add(self.beta, du);
        let gamma = &parameters[self.gamma..][..c];
        let n = (dy.len() / c * wide) as f32;
        // Means over a group of dx and of dx x, where dx = gamma du, for every channel of it.
        for (group, gamma) in gamma.chunks_exact(wide).enumerate() {
            for sums in [&mut *du, &mut *dux] {
                let sums = &mut sums[group * wide..][..wide];
                let mean = sums.iter().zip(gamma).map(|(s, g)| s * g).sum::<f32>() / n;
                sums.fill(mean);
            }
        }
        for (dy, x) in dy.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
            for ((((((d, x), g), inverse), a), b), sum) in
                dy.iter_mut().zip(x).zip(gamma).zip(inverse).zip(&*du).zip(&*dux).zip(dh.iter_mut())
            {
                *d = inverse * (g * *d - a - x * b);
                *sum += *d;
            }
        }
        add(self.bias, dh);
    }

    /// The mean and 1 / sqrt(variance + 1e-5) of each group, for every channel of it.
    fn moments(&self, h: &[f32], mean: &mut [f32], scale: &mut [f32]) {
        let (c, wide) = (self.channels, self.channels / self.groups);
        let n = (h.len() / c * wide) as f32;
        let by_group = |sums: &mut [f32], of: &dyn Fn(f32) -> f32| {
            sums.chunks_exact_mut(wide).for_each(|sums| sums.fill(of(sums.iter().sum::<f32>() / n)));
        };
        for h in h.chunks_exact(c) {
            mean.iter_mut().zip(h).for_each(|(m, h)| *m += h);
        }
        by_group(mean, &|m| m);
        for h in h.chunks_exact(c) {
            scale.iter_mut().zip(h).zip(&*mean).for_each(|((s, h), m)| *s += (h - m) * (h - m));
        }
        by_group(scale, &|variance| 1.0 / (variance + 1e-5).sqrt());
    }
}

/// Scales and shifts the channels of a row in place. `film`: scales, then shifts: `[2 * channels]`.
pub fn film(film: &[f32], y: &mut [f32]) {
    let (scale, shift) = film.split_at(film.len() / 2);
    for y in y.chunks_exact_mut(scale.len()) {
        y.iter_mut().zip(scale).zip(shift).for_each(|((y, s), f)| *y = s * *y + f);
    }
}

/// The backward pass. Replaces `dz` by the gradient with respect to y, and `dfilm` by that of scales and shifts.
pub fn film_backward(film: &[f32], y: &[f32], dz: &mut [f32], dfilm: &mut [f32]) {
    let (scale, _) = film.split_at(film.len() / 2);
    let (dscale, dshift) = dfilm.split_at_mut(film.len() / 2);
    dscale.fill(0.0);
    dshift.fill(0.0);
    for (dz, y) in dz.chunks_exact_mut(scale.len()).zip(y.chunks_exact(scale.len())) {
        for ((((dz, y), s), ds), df) in
            dz.iter_mut().zip(y).zip(scale).zip(dscale.iter_mut()).zip(dshift.iter_mut())
        {
            *ds += *dz * y;
            *df += *dz;
            *dz *= s;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backbone::mish::mish, seed::Seed};

    const STEPS: usize = 3;
    const CHANNELS: usize = 6;

    /// Block and FiLM by their definitions, in f64: bias, group norm of two groups, Mish, scale and shift.
    fn slow(parameters: &[f64], h: &[f64], film: &[f64]) -> Vec<f64> {
        let c = CHANNELS;
        let mut out = vec![0.0; h.len()];
        for group in 0..2 {
            let at: Vec<usize> = (0..h.len()).filter(|i| i % c / 3 == group).collect();
            let of = |i: usize| h[i] + parameters[i % c];
            let mean = at.iter().map(|&i| of(i)).sum::<f64>() / at.len() as f64;
            let variance = at.iter().map(|&i| (of(i) - mean).powi(2)).sum::<f64>() / at.len() as f64;
            for i in at {
                let k = i % c;
                let u = parameters[c + k] * (of(i) - mean) / (variance + 1e-5).sqrt() + parameters[2 * c + k];
                out[i] = film[k] * u * u.exp().ln_1p().tanh() + film[c + k];
            }
        }
        out
    }

    #[test]
    fn block_and_film_are_their_definitions_forward_and_backward() {
        let mut rng = Seed(5).rng();
        let mut draw = |n: usize| (0..n).map(|_| rng.normal() as f32).collect::<Vec<_>>();
        let size = STEPS * CHANNELS;
        let (parameters, h, scales, wanted) =
            (draw(3 * CHANNELS), draw(size), draw(2 * CHANNELS), draw(size));
        let norm = Norm { groups: 2, channels: CHANNELS, bias: 0, gamma: CHANNELS, beta: 2 * CHANNELS };
        let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let expected = slow(&wide(&parameters), &wide(&h), &wide(&scales));

        let (mut x, mut y, mut derivative, mut inverse) =
            (h.clone(), vec![0.0; size], vec![0.0; size], [0.0; CHANNELS]);
        let mut buffers = ChannelBuffers::default();
        norm.forward(&parameters, &mut x, (&mut y, &mut derivative, &mut inverse), &mut buffers);
        let mut z = y.clone();
        film(&scales, &mut z);
        // In acting the convolution adds the bias.
        let mut one: Vec<f32> = h.iter().enumerate().map(|(i, h)| h + parameters[i % CHANNELS]).collect();
        norm.forward_one(&parameters, &mut one, &mut buffers);
        mish(&mut one);
        film(&scales, &mut one);
        for ((a, b), expected) in z.iter().zip(&one).zip(&expected) {
            assert!((f64::from(*a) - expected).abs() < 1e-5 && (f64::from(*b) - expected).abs() < 1e-5);
        }

        // The gradients of sum(wanted z), against differences of the definition.
        let (mut dh, mut dfilm) = (wanted.clone(), vec![0.0; 2 * CHANNELS]);
        film_backward(&scales, &y, &mut dh, &mut dfilm);
        let mut grad = vec![0.0; parameters.len()];
        norm.backward(&parameters, (&x, &derivative, &inverse), &mut dh, &mut grad, &mut buffers);
        let loss = |parameters: &[f64], h: &[f64], scales: &[f64]| {
            slow(parameters, h, scales).iter().zip(&wanted).map(|(z, w)| z * f64::from(*w)).sum::<f64>()
        };
        let inputs = [wide(&parameters), wide(&h), wide(&scales)];
        for (which, found) in [&grad, &dh, &dfilm].into_iter().enumerate() {
            for (k, found) in found.iter().enumerate() {
                let moved = |by: f64| {
                    let mut inputs = inputs.clone();
                    inputs[which][k] += by;
                    loss(&inputs[0], &inputs[1], &inputs[2])
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((f64::from(*found) - expected).abs() < 1e-4, "{which} {k}: {found} {expected}");
            }
        }
    }
}
