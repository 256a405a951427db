//! `drive`, the built-in task: a car on a winding closed road, deterministic by seed.
//!
//! The car is a kinematic bicycle in road coordinates (distance along the center line, offset to its left, heading
//! relative to it): the front wheels follow the wanted steering with a lag and at a limited rate, and above the grip's
//! lateral acceleration the car no longer turns as steered and slides outwards.
//!
//! | observation | | unit |
//! |---|---|---|
//! | 0 | offset from the center line, positive to the left | m |
//! | 1 | heading relative to the road, positive to the left | rad |
//! | 2 | speed | m/s |
//! | 3 | angle of the front wheels, positive to the left | rad |
//! | 4 to 9 | curvature of the center line at each distance of [`AHEAD`], positive to the left | 1/m |
//!
//! Actions: steering (1 is full left), throttle (1 is full acceleration, -1 full brakes). The return is the progress
//! along the center line in meters. The episode ends off the road; it is a success when it reaches the horizon on the
//! road, [`ENOUGH`] meters on.
//!
//! `drive-pixels` ([`DrivePixels`]) is the same with a frame for an observation.

mod expert;
mod frame;
mod picture;
mod pixels;
mod road;

pub use expert::Expert;
pub use frame::SIDE;
pub use pixels::DrivePixels;
pub use road::{Drawing, HALF_WIDTH, Road, SHARPEST};

use super::{Batch, Environment, Outcome, Picture, Spec, Task, check_action};
use crate::{error::Result, seed::Seed};

/// Numbers in an observation.
pub const N_OBS: usize = 4 + AHEAD.len();
/// Numbers in an action.
pub const N_ACT: usize = 2;
/// Steps in an episode, of 0.1 s.
pub const HORIZON: usize = 400;
/// Progress that a success needs, in meters: about half of what the expert makes.
pub const ENOUGH: f64 = 250.0;
/// Distances ahead, in meters, at which the observation contains the road's curvature.
pub const AHEAD: [f64; 6] = [0.0, 5.0, 10.0, 16.0, 24.0, 36.0];

const STEP: f64 = 0.1; // s
const PARTS: u32 = 10; // integration steps in a step
const WHEELBASE: f64 = 2.6; // m
const MOST_STEERING: f64 = 0.3; // rad
const LAG: f64 = 0.3; // s, of the steering
const STEERING_RATE: f64 = 1.2; // rad/s
const ACCELERATION: f64 = 4.0; // m/s2 at full throttle
const BRAKING: f64 = 7.0; // m/s2 at full brakes
const TOP_SPEED: f64 = 15.0; // m/s
const GRIP: f64 = 7.0; // m/s2 of lateral acceleration

/// The task `drive`.
#[derive(Debug, Clone)]
pub struct Drive {
    spec: Spec,
}

impl Drive {
    /// The task, with its 400 steps an episode.
    pub fn new() -> Self {
        let spec = Spec {
            name: "drive".into(),
            n_obs: N_OBS,
            frame: None,
            n_act: N_ACT,
            horizon: HORIZON,
            reference: Some(REFERENCE),
            parts: Vec::new(),
        };
        Self { spec }
    }
}

/// Mean returns of uniformly random actions and of [`Expert`], over the episodes 0 to 999.
const REFERENCE: [f64; 2] = [17.7, 539.1];

impl Default for Drive {
    fn default() -> Self {
        Self::new()
    }
}

impl Task for Drive {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn start(&self) -> Result<Box<dyn Environment>> {
        Ok(Box::new(Car::new(0)))
    }

    fn start_with_expert(&self, n: usize) -> Result<Box<dyn Batch + '_>> {
        self.start_many(n)
    }
}

/// The road that belongs to a seed, for drawing.
pub fn road(seed: u64) -> Drawing {
    Road::new(seed).drawing()
}

/// A car on its road: one running copy of the task.
#[derive(Debug, Clone)]
pub struct Car {
    road: Road,
    along: f64, // m since the road's first point
    offset: f64,
    heading: f64,
    speed: f64,
    steering: f64,
    start: f64, // where `along` was at the start
    steps: usize,
}

impl Car {
    /// The car at the start of the episode that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        let road = Road::new(seed);
        let mut rng = Seed(seed).fork("start").rng();
        let along = rng.between(0.0, road.length);
        Self {
            road,
            along,
            offset: rng.between(-0.6, 0.6),
            heading: rng.between(-0.05, 0.05),
            speed: rng.between(4.0, 8.0),
            steering: 0.0,
            start: along,
            steps: 0,
        }
    }

    fn observe(&self, observation: &mut [f32]) {
        let own = [self.offset, self.heading, self.speed, self.steering];
        let bends = AHEAD.map(|d| self.road.curvature(self.along + d));
        for (o, x) in observation.iter_mut().zip(own.into_iter().chain(bends)) {
            *o = x as f32;
        }
    }

    /// Moves by `dt` seconds: the wheels follow, then the car.
    fn advance(&mut self, steer: f64, throttle: f64, dt: f64) {
        let rate = (steer * MOST_STEERING - self.steering) / LAG;
        self.steering += rate.clamp(-STEERING_RATE, STEERING_RATE) * dt;
        let force = if throttle > 0.0 { ACCELERATION * throttle } else { BRAKING * throttle };
        self.speed = (self.speed + force * dt).clamp(0.0, TOP_SPEED);

        // Past the grip the path bends less than steered, the more so the sharper the requested curvature.
        let requested = self.steering.tan() / WHEELBASE;
        let most = GRIP / self.speed.powi(2).max(1e-9);
        let excess = requested.abs() / most;
        let bend = if excess > 1.0 { requested.signum() * most / excess.sqrt() } else { requested };
        let here = self.road.curvature(self.along);
        let progress = self.speed * self.heading.cos() / (1.0 - self.offset * here) * dt;
        self.offset += self.speed * self.heading.sin() * dt;
        self.heading += self.speed * bend * dt - here * progress;
        self.along += progress;
    }

    /// Moves by a step with an action, `[N_ACT]`.
    fn act(&mut self, action: &[f32]) -> Result<Outcome> {
        let mut usable = [0.0; N_ACT];
        check_action(action, &mut usable)?;
        let [steer, throttle] = usable;
        let before = self.along;
        for _ in 0..PARTS {
            // Asked in every part: a car far off the road has no road coordinates.
            if self.offset.abs() > HALF_WIDTH {
                break;
            }
            self.advance(f64::from(steer), f64::from(throttle), STEP / f64::from(PARTS));
        }
        self.steps += 1;
        let off = self.offset.abs() > HALF_WIDTH;
        let there = !off && self.steps >= HORIZON && self.along - self.start >= ENOUGH;
        Ok(Outcome { reward: self.along - before, done: off, success: Some(there), goal: !off, parts: 0 })
    }
}

impl Environment for Car {
    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        *self = Self::new(seed);
        self.observe(observation);
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Result<Outcome> {
        let outcome = self.act(action)?;
        self.observe(observation);
        Ok(outcome)
    }

    fn position(&self) -> Option<[f32; 2]> {
        Some(self.road.place(self.along, self.offset).map(|x| x as f32))
    }

    fn expert_action(&self, action: &mut [f32]) -> bool {
        let mut observation = [0.0; N_OBS];
        self.observe(&mut observation);
        expert::choose(&observation, action);
        true
    }

    /// The scene from above, around the car: 320 x 320 pixels, 7 to a meter.
    fn picture(&mut self) -> Result<Picture> {
        Ok(picture::draw(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        act::Act,
        expert::{Noise, Noisy},
    };

    /// Return and last outcome of an episode acted by `policy` (observation, step).
    fn episode(
        seed: u64,
        mut policy: impl FnMut(&[f32; N_OBS], usize) -> [f32; N_ACT],
    ) -> (f64, usize, Outcome) {
        let mut car = Car::new(0);
        let mut o = [0.0; N_OBS];
        car.reset(seed, &mut o).unwrap();
        let mut total = 0.0;
        for t in 0.. {
            let outcome = car.step(&policy(&o, t), &mut o).unwrap();
            total += outcome.reward;
            if outcome.done || t + 1 == HORIZON {
                return (total, t + 1, outcome);
            }
        }
        unreachable!("the horizon ends it");
    }

    fn driven(expert: &dyn Act, seed: u64) -> (f64, usize, Outcome) {
        let mut driver = expert.start(Seed(seed));
        episode(seed, |o, _| {
            let mut action = [0.0; N_ACT];
            driver.act(o, &mut action).unwrap();
            action
        })
    }

    #[test]
    fn the_expert_stays_on_every_road_and_makes_its_reference() {
        let all: Vec<_> = (0..300).map(|seed| driven(&Expert, seed)).collect();
        assert!(all.iter().all(|(_, length, last)| *length == HORIZON && last.success == Some(true)));
        let mean = all.iter().map(|(ret, ..)| ret).sum::<f64>() / all.len() as f64;
        assert!((mean - REFERENCE[1]).abs() < 4.0, "{mean}");
    }

    #[test]
    fn random_actions_make_the_other_reference_and_leave_the_road() {
        let all: Vec<_> = (0..300)
            .map(|seed| {
                let mut rng = Seed(seed).fork("random").rng();
                episode(seed, |_, _| [0; N_ACT].map(|_| rng.between(-1.0, 1.0) as f32))
            })
            .collect();
        assert!(all.iter().all(|(.., last)| last.success == Some(false)));
        let mean = all.iter().map(|(ret, ..)| ret).sum::<f64>() / all.len() as f64;
        assert!((mean - REFERENCE[0]).abs() < 4.0, "{mean}");
    }

    #[test]
    fn standing_still_is_no_success() {
        let (ret, length, last) = episode(1, |o, _| [0.0, if o[2] > 0.0 { -1.0 } else { 0.0 }]);
        assert_eq!((length, last.done, last.success), (HORIZON, false, Some(false)));
        assert!(ret < 10.0);
    }

    #[test]
    fn the_same_seed_is_the_same_episode_and_another_is_another() {
        let noisy = &Noisy::new(Expert, Noise::Correlated { std: 0.1, kept: 0.5 }, None).unwrap();
        assert_eq!(driven(noisy, 5), driven(noisy, 5));
        assert_ne!(driven(noisy, 5).0, driven(noisy, 6).0);
        assert_ne!(driven(noisy, 5).0, driven(&Expert, 5).0);
        assert_ne!(road(5), road(6));
    }

    #[test]
    fn the_car_drawn_moves_as_fast_as_it_says_and_stays_between_the_edges() {
        let mut car = Car::new(9);
        let expert = Noisy::new(Expert, Noise::Gaussian(0.1), None).unwrap();
        let mut driver = expert.start(Seed(9));
        let (mut o, mut action) = ([0.0; N_OBS], [0.0; N_ACT]);
        car.reset(9, &mut o).unwrap();
        for _ in 0..HORIZON {
            let before = car.position().unwrap();
            let speed = o[2];
            driver.act(&o, &mut action).unwrap();
            if car.step(&action, &mut o).unwrap().done {
                break;
            }
            let after = car.position().unwrap();
            let moved = (after[0] - before[0]).hypot(after[1] - before[1]);
            let wanted = (speed + o[2]) / 2.0 * STEP as f32;
            assert!((moved - wanted).abs() < 0.02 * wanted + 0.01, "{moved} for {wanted}");
            assert!(f64::from(o[0].abs()) <= HALF_WIDTH);
        }
    }

    #[test]
    fn beside_the_center_line_a_bend_is_as_long_as_drawn() {
        let mut car = Car::new(4);
        let steps = (0..).map(|m| car.along + f64::from(m));
        car.along = steps.take(600).find(|a| car.road.curvature(*a).abs() > 0.06).unwrap();
        let inner = 1.5 * car.road.curvature(car.along).signum();
        (car.offset, car.heading, car.speed) = (inner, 0.0, 10.0);
        let (before, along) = (car.position().unwrap(), car.along);
        car.advance(0.0, 0.0, 0.02);
        let after = car.position().unwrap();
        let moved = (after[0] - before[0]).hypot(after[1] - before[1]);
        assert!((moved - 0.2).abs() < 0.003, "{moved}");
        // The inner lane: more progress than meters driven.
        assert!(car.along - along > 0.212, "{}", car.along - along);
    }

    #[test]
    fn above_the_grip_the_car_slides_outwards() {
        // Full left at once, fast and slow: the fast car turns by far less than it is steered.
        let turned = |speed: f64| {
            let mut car = Car::new(2);
            (car.speed, car.steering, car.heading) = (speed, MOST_STEERING, 0.0);
            let (along, steered) = (car.along, speed * MOST_STEERING.tan() / WHEELBASE * 0.01);
            car.advance(1.0, 0.0, 0.01);
            let road = car.road.curvature(along) * (car.along - along);
            (car.heading + road) / steered
        };
        assert!((turned(5.0) - 1.0).abs() < 0.01, "{}", turned(5.0));
        assert!(turned(15.0) < 0.3, "{}", turned(15.0));
    }
}
