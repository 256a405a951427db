//! How noise is put on an action, and taken off it: schedules and samplers.
//!
//! ```text
//! noisy   x_t = sqrt(abar_t) a + sqrt(1 - abar_t) e        e standard normal, abar_t = product of (1 - beta) up to t
//! back    x_{t-1} = (a share of the clean action) + (a share of x_t) + (fresh noise)
//! ```
//!
//! The last step back returns the clean action itself, in both samplers.

use serde::{Deserialize, Serialize};

/// How much noise each diffusion step adds: beta_t for t = 1 to T.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Variance preserving (Song et al., 2021; discretised as by Xiao et al., 2022): beta_t = 1 - exp(-b / T - (B - b)
    /// (2t - 1) / (2 T^2)) with b = 0.1, B = 10. All but 0.6 % of the variance is noise at t = T, for every T.
    Vp,
    /// Evenly from 1e-4 to 0.02 (Ho et al., 2020), made for T = 1000: with few steps most of an action is left at t = T,
    /// though sampling starts from noise alone.
    Linear,
    /// Cosine (Nichol and Dhariwal, 2021): abar_t = f(t) / f(0), f(t) = cos^2(pi / 2 (t / T + 0.008) / 1.008), beta_t at
    /// most 0.999.
    Cosine,
}

/// How noise is taken off in acting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampler {
    /// Ho et al., 2020: a draw from the posterior of x_{t-1} given x_t and the clean action, at every step.
    Ddpm,
    /// Song et al., 2021, with eta = 0: after the first draw, x_T, nothing is random.
    Ddim,
}

/// One diffusion step, both ways.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// sqrt(abar_t): how much of the action is in x_t.
    pub action: f32,
    /// sqrt(1 - abar_t): how much of the noise is in x_t.
    pub noise: f32,
    /// Shares of the clean action, of x_t and of fresh noise in x_{t-1}.
    pub back: [f32; 3],
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

    /// The levels t = 1 to `steps`, t = 1 first.
    pub fn levels(self, steps: usize, sampler: Sampler) -> Vec<Level> {
        let mut before = 1.0; // abar_{t-1}
        self.betas(steps)
            .into_iter()
            .map(|beta| {
                let abar = before * (1.0 - beta);
                let back = match sampler {
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
                    action: abar.sqrt() as f32,
                    noise: (1.0 - abar).sqrt() as f32,
                    back: back.map(|share| share as f32),
                }
            })
            .collect()
    }
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
                    let [clean, noisy, fresh] = levels[0].back;
                    assert!((clean - 1.0).abs() < 1e-6 && noisy == 0.0 && fresh == 0.0, "{levels:?}");
                    for (before, level) in levels.iter().zip(&levels[1..]) {
                        assert!((level.action.powi(2) + level.noise.powi(2) - 1.0).abs() < 1e-6);
                        // A step back from the true x_t has the mean and the variance that x_{t-1} has.
                        let [clean, noisy, fresh] = level.back;
                        let mean = clean + noisy * level.action;
                        let variance = (noisy * level.noise).powi(2) + fresh.powi(2);
                        assert!((mean - before.action).abs() < 1e-5, "{schedule:?} {sampler:?} {level:?}");
                        assert!((variance - before.noise.powi(2)).abs() < 1e-5, "{schedule:?} {sampler:?}");
                    }
                }
            }
        }
    }

    const VP: [f64; 5] = [0.195874558333, 0.458818193385, 0.635781020428, 0.754878187961, 0.835031379177];
    const COSINE: [f64; 5] = [0.101294079400, 0.279543845984, 0.473635353449, 0.724052369108, 0.999000000000];
}
