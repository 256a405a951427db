//! Noise schedules and samplers.
//!
//! ```text
//! forward     x_t = sqrt(abar_t) a + sqrt(1 - abar_t) e      e standard normal, abar_t = product of (1 - beta) up to t
//! denoising   x_{t-1} = p[0] a + p[1] x_t + p[2] e           a the predicted clean action
//! ```
//!
//! The last denoising step returns the predicted clean action itself, with both samplers.

use serde::{Deserialize, Serialize};

/// Noise schedule: beta_t for t = 1 to T.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Variance preserving (Song et al., 2021; discretized as by Xiao et al., 2022): beta_t = 1 - exp(-b / T - (B - b)
    /// (2t - 1) / (2 T^2)) with b = 0.1, B = 10. At t = T 99.4 % of the variance is noise, for every T.
    Vp,
    /// Linear from 1e-4 to 0.02 (Ho et al., 2020), for T = 1000. With few steps x_T is mostly the action, although sampling
    /// starts from noise alone.
    Linear,
    /// Cosine (Nichol and Dhariwal, 2021): abar_t = f(t) / f(0), f(t) = cos^2(pi / 2 (t / T + 0.008) / 1.008), beta_t at
    /// most 0.999.
    Cosine,
}

/// How acting denoises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampler {
    /// Ho et al., 2020: x_{t-1} is sampled from its posterior given x_t and the clean action.
    Ddpm,
    /// Song et al., 2021, with eta = 0: only x_T is random.
    Ddim,
}

/// The coefficients of one diffusion step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// The diffusion step, counted from 0.
    pub t: usize,
    /// sqrt(abar_t), the coefficient of the action in x_t.
    pub sqrt_alpha_bar: f32,
    /// sqrt(1 - abar_t), the coefficient of the noise in x_t.
    pub sqrt_one_minus_alpha_bar: f32,
    /// Coefficients of the clean action, of x_t and of fresh noise in x_{t-1}.
    pub posterior: [f32; 3],
}

impl Schedule {
    /// beta_t for t = 1 to `steps`.
    pub fn betas(self, steps: usize) -> Vec<f64> {
        let n = steps as f64;
        let cosine = |t: usize| ((t as f64 / n + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
        (1..=steps)
            .map(|t| match self {
                Schedule::Vp => 1.0 - (-0.1 / n - 0.5 * 9.9 * (2 * t - 1) as f64 / (n * n)).exp(),
                Schedule::Linear if steps == 1 => 1e-4,
                Schedule::Linear => 1e-4 + (0.02 - 1e-4) * (t - 1) as f64 / (n - 1.0),
                Schedule::Cosine => (1.0 - cosine(t) / cosine(t - 1)).min(0.999),
            })
            .collect()
    }

    /// The levels t = 1 to `steps`, in this order. The posterior of each is of the level before.
    pub fn levels(self, steps: usize, sampler: Sampler) -> Vec<Level> {
        self.spaced(steps, steps, sampler)
    }

    /// `inference_steps` of the levels t = 1 to `steps`: t = round(k steps / inference_steps) for k = 1 to `inference_steps`,
    /// with the noisiest level, from which acting starts ("trailing" spacing; Lin et al., 2024). The posterior of each is of
    /// the level before it in this list, with the beta of all the steps between them (Nichol and Dhariwal, 2021).
    ///
    /// # Panics
    /// If `inference_steps` is larger than `steps`.
    pub fn spaced(self, steps: usize, inference_steps: usize, sampler: Sampler) -> Vec<Level> {
        assert!(inference_steps <= steps, "{inference_steps} levels of {steps}");
        let mut abar = 1.0;
        let abars: Vec<f64> = self
            .betas(steps)
            .into_iter()
            .map(|beta| {
                abar *= 1.0 - beta;
                abar
            })
            .collect();
        let mut before = 1.0; // abar of the level before
        spaced(steps, inference_steps)
            .map(|t| {
                let abar = abars[t - 1];
                let beta = 1.0 - abar / before;
                let posterior = match sampler {
                    Sampler::Ddpm => [
                        beta * before.sqrt() / (1.0 - abar),
                        (1.0 - before) * (1.0 - beta).sqrt() / (1.0 - abar),
                        (beta * (1.0 - before) / (1.0 - abar)).sqrt(),
                    ],
                    Sampler::Ddim => {
                        let noisy = ((1.0 - before) / (1.0 - abar)).sqrt();
                        [before.sqrt() - noisy * abar.sqrt(), noisy, 0.0]
                    }
                };
                before = abar;
                Level {
                    t: t - 1,
                    sqrt_alpha_bar: abar.sqrt() as f32,
                    sqrt_one_minus_alpha_bar: (1.0 - abar).sqrt() as f32,
                    posterior: posterior.map(|coefficient| coefficient as f32),
                }
            })
            .collect()
    }
}

/// `count` of 1 to `steps`, evenly spaced, the last one `steps`.
fn spaced(steps: usize, count: usize) -> impl Iterator<Item = usize> {
    (1..=count).map(move |k| (2 * k * steps + count) / (2 * count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-9, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn schedules_are_those_published() {
        // NumPy, T = 5; vp: t = np.arange(1, 6); 1 - np.exp(-0.1 / 5 - 0.5 * 9.9 * (2 * t - 1) / 25).
        // cosine: f = np.cos((np.arange(6) / 5 + 0.008) / 1.008 * np.pi / 2) ** 2; np.clip(1 - f[1:] / f[:-1], 0, 0.999).
        close(&Schedule::Vp.betas(5), &VP);
        close(&Schedule::Cosine.betas(5), &COSINE);
        close(&Schedule::Linear.betas(3), &[1e-4, 0.010_05, 0.02]);
        // All the noise of vp adds up to exp(-0.1 - 9.9 / 2) of the variance left, in however many steps.
        for steps in [1, 5, 100] {
            let left: f64 = Schedule::Vp.betas(steps).iter().map(|b| 1.0 - b).product();
            assert!((left - (-5.05_f64).exp()).abs() < 1e-12);
        }
    }

    #[test]
    fn levels_preserve_variance_and_the_last_step_back_is_the_clean_action() {
        for schedule in [Schedule::Vp, Schedule::Linear, Schedule::Cosine] {
            for sampler in [Sampler::Ddpm, Sampler::Ddim] {
                for steps in [1, 2, 5, 100] {
                    let levels = schedule.levels(steps, sampler);
                    assert_eq!(levels.len(), steps);
                    let [clean, noisy, fresh] = levels[0].posterior;
                    assert!((clean - 1.0).abs() < 1e-6 && noisy == 0.0 && fresh == 0.0, "{levels:?}");
                    for (before, level) in levels.iter().zip(&levels[1..]) {
                        assert!(
                            (level.sqrt_alpha_bar.powi(2) + level.sqrt_one_minus_alpha_bar.powi(2) - 1.0)
                                .abs()
                                < 1e-6
                        );
                        // A step back from the true x_t has the mean and the variance that x_{t-1} has.
                        let [clean, noisy, fresh] = level.posterior;
                        let mean = clean + noisy * level.sqrt_alpha_bar;
                        let variance = (noisy * level.sqrt_one_minus_alpha_bar).powi(2) + fresh.powi(2);
                        assert!(
                            (mean - before.sqrt_alpha_bar).abs() < 1e-5,
                            "{schedule:?} {sampler:?} {level:?}"
                        );
                        assert!(
                            (variance - before.sqrt_one_minus_alpha_bar.powi(2)).abs() < 1e-5,
                            "{schedule:?} {sampler:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn spaced_levels_are_those_of_their_formulas() {
        // NumPy: f as above with 100 steps, b = np.clip(1 - f[1:] / f[:-1], 0, 0.999), abar = np.cumprod(1 - b).
        let all = Schedule::Cosine.levels(100, Sampler::Ddim);
        let abar = |t: usize| f64::from(all[t - 1].sqrt_alpha_bar).powi(2);
        for (t, expected) in COSINE_100 {
            assert!((abar(t) - expected).abs() < 1e-6 * expected.max(0.01), "{t}: {} {expected}", abar(t));
        }
        let times = |taken| spaced(100, taken).collect::<Vec<_>>();
        assert_eq!(times(10), [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
        assert_eq!((times(3), times(1)), (vec![33, 67, 100], vec![100]));
        assert_eq!(times(100), (1..=100).collect::<Vec<_>>());
        for sampler in [Sampler::Ddpm, Sampler::Ddim] {
            for taken in [1, 3, 10, 64] {
                let (times, mut before) = (times(taken), 1.0);
                for (level, t) in Schedule::Cosine.spaced(100, taken, sampler).iter().zip(times) {
                    assert_eq!(
                        (level.t, level.sqrt_alpha_bar, level.sqrt_one_minus_alpha_bar),
                        (t - 1, all[t - 1].sqrt_alpha_bar, all[t - 1].sqrt_one_minus_alpha_bar)
                    );
                    // DDIM: x_s = sqrt(abar_s) a + sqrt(1 - abar_s) e with e = (x_t - sqrt(abar_t) a) / sqrt(1 - abar_t);
                    // DDPM: the posterior of x_s, whose variance is (1 - abar_s) / (1 - abar_t) (1 - abar_t / abar_s).
                    let now = abar(t);
                    let fresh = match sampler {
                        Sampler::Ddim => 0.0,
                        Sampler::Ddpm => (1.0 - before) / (1.0 - now) * (1.0 - now / before),
                    };
                    let noisy = ((1.0 - before - fresh) / (1.0 - now)).sqrt();
                    let expected = [before.sqrt() - noisy * now.sqrt(), noisy, fresh.sqrt()];
                    for (a, b) in level.posterior.iter().zip(expected) {
                        assert!((f64::from(*a) - b).abs() < 2e-4, "{sampler:?} {taken} {t}: {a} {b}");
                    }
                    before = now;
                }
            }
        }
    }

    const VP: [f64; 5] = [0.195874558333, 0.458818193385, 0.635781020428, 0.754878187961, 0.835031379177];
    const COSINE: [f64; 5] = [0.101294079400, 0.279543845984, 0.473635353449, 0.724052369108, 0.999000000000];
    const COSINE_100: [(usize, f64); 7] = [
        (1, 0.999368718402),
        (2, 0.998252486466),
        (10, 0.972092737114),
        (50, 0.493843590441),
        (90, 0.0240917241401),
        (99, 0.000242857227935),
        (100, 2.42857227935e-07),
    ];
}
