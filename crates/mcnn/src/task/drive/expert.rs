//! The scripted expert of `drive`: pure pursuit (Coulter, 1992) with its speed held below what the coming bends allow.

use super::{ACCELERATION, AHEAD, BRAKING, GRIP, LAG, MOST_STEERING, N_ACT, N_OBS, TOP_SPEED, WHEELBASE};
use crate::{
    act::{Act, Acting, Decision},
    error::{Error, Kind, Result},
    seed::{Rng, Seed},
};

const USED_GRIP: f64 = 0.68; // share of the grip that bends may use
const USED_BRAKING: f64 = 0.6; // share of the brakes that the plan counts on

/// Drives `drive` from its observation alone. Without noise it stays on every road.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Expert {
    /// Standard deviation of the noise added to each action before it is cut to [-1, 1]; 0 for none.
    pub noise: f64,
    /// Correlation of the noise from one step to the next, in [0, 1): 0 is white.
    pub correlation: f64,
}

impl Expert {
    /// An expert with noise in its actions.
    ///
    /// # Errors
    /// If `noise` is not a number of at least 0, or `correlation` not in [0, 1).
    pub fn noisy(noise: f64, correlation: f64) -> Result<Self> {
        let wrong = |what: &str, expected: &str, found: f64| {
            Err(Error::new(Kind::Settings, what).expected(expected).found(found.to_string()))
        };
        if !(noise.is_finite() && noise >= 0.0) {
            return wrong("the expert's noise cannot be used", "a number of at least 0", noise);
        }
        if !(0.0..1.0).contains(&correlation) {
            return wrong("the noise's correlation cannot be used", "a number in [0, 1)", correlation);
        }
        Ok(Self { noise, correlation })
    }
}

impl Act for Expert {
    fn n_obs(&self) -> usize {
        N_OBS
    }

    fn n_act(&self) -> usize {
        N_ACT
    }

    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        let mut rng = seed.fork("expert").rng();
        let noise = [0; N_ACT].map(|_| self.noise * rng.normal());
        Box::new(Driver { expert: *self, rng, noise })
    }
}

struct Driver {
    expert: Expert,
    rng: Rng,
    noise: [f64; N_ACT],
}

impl Acting for Driver {
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Decision> {
        let Ok(observation) = <&[f32; N_OBS]>::try_from(observation) else {
            return Err(Error::new(Kind::Mismatch, "the expert only drives `drive`")
                .expected(format!("an observation of {N_OBS} numbers"))
                .found(format!("{}", observation.len())));
        };
        if observation.iter().any(|x| !x.is_finite()) {
            return Err(Error::new(Kind::Task, "the observation holds a value that is not finite"));
        }
        let wanted = pursue(&observation.map(f64::from));
        for ((a, wanted), noise) in action.iter_mut().zip(wanted).zip(&mut self.noise) {
            *a = (wanted + *noise).clamp(-1.0, 1.0) as f32;
            let keep = self.expert.correlation;
            let fresh = self.expert.noise * self.rng.normal();
            *noise = keep * *noise + (1.0 - keep * keep).sqrt() * fresh;
        }
        Ok(Decision::default())
    }
}

/// Steering and throttle for an observation.
fn pursue(observation: &[f64; N_OBS]) -> [f64; N_ACT] {
    let [offset, heading, speed, steering, ..] = *observation;
    let bends = &observation[4..];

    // The centre line ahead, from its curvatures: x along the road where the car is, y to its left.
    let reach = (0.7 * speed).clamp(5.0, 14.0);
    let (mut x, mut y, mut angle) = (0.0, 0.0, 0.0);
    let pieces = 16;
    for i in 0..pieces {
        let step = reach / f64::from(pieces);
        let bend = bend_at(bends, (f64::from(i) + 0.5) * step) * step;
        x += step * (angle + bend / 2.0_f64).cos();
        y += step * (angle + bend / 2.0_f64).sin();
        angle += bend;
    }

    // Where that point lies for the driver, once the steering still under way has turned the car.
    let later = heading + speed * steering.tan() / WHEELBASE * LAG * 0.3 - speed * bends[0] * LAG * 0.3;
    let (dx, dy) = (x, y - offset);
    let aside = -dx * later.sin() + dy * later.cos();
    let arc = 2.0 * aside / (dx * dx + dy * dy);
    let steer = (arc * WHEELBASE).atan() / MOST_STEERING;

    // The fastest speed from which every bend ahead can still be met.
    let fastest = bends.iter().zip(AHEAD).fold(TOP_SPEED, |fastest, (bend, distance)| {
        let there = USED_GRIP * GRIP / bend.abs().max(1e-6);
        fastest.min((there + 2.0 * USED_BRAKING * BRAKING * distance).sqrt())
    });
    let throttle = (fastest - speed) * 2.0 / ACCELERATION;
    [steer.clamp(-1.0, 1.0), throttle.clamp(-1.0, 1.0)]
}

/// Curvature at a distance ahead, between those that the observation holds.
fn bend_at(bends: &[f64], distance: f64) -> f64 {
    let next = AHEAD.partition_point(|&a| a <= distance).clamp(1, AHEAD.len() - 1);
    let share = (distance - AHEAD[next - 1]) / (AHEAD[next] - AHEAD[next - 1]);
    bends[next - 1] + share.clamp(0.0, 1.0) * (bends[next] - bends[next - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noise_has_the_spread_and_correlation_asked_for() {
        // A straight road at half the top speed: without noise the steering is 0.
        let mut straight = [0.0; N_OBS];
        straight[2] = TOP_SPEED as f32 / 2.0;
        for (noise, correlation) in [(0.1, 0.0), (0.2, 0.8)] {
            let expert = Expert::noisy(noise, correlation).unwrap();
            let mut driver = expert.start(Seed(1));
            let mut action = [0.0; N_ACT];
            let steers: Vec<f64> = (0..20_000)
                .map(|_| {
                    driver.act(&straight, &mut action).unwrap();
                    f64::from(action[0])
                })
                .collect();
            let power =
                |lag: usize| steers.iter().zip(&steers[lag..]).map(|(a, b)| a * b).sum::<f64>() / 20_000.0;
            assert!((power(0).sqrt() - noise).abs() < 0.02 * noise + 0.005, "{}", power(0).sqrt());
            assert!((power(1) / power(0) - correlation).abs() < 0.03, "{}", power(1) / power(0));
        }
    }
}
