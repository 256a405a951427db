//! The scripted expert of `drive`: pure pursuit (Coulter, 1992) with its speed limited by the curvature ahead.

use super::{ACCELERATION, AHEAD, BRAKING, GRIP, LAG, MOST_STEERING, N_ACT, N_OBS, TOP_SPEED, WHEELBASE};
use crate::{
    act::{Act, Acting, Decision},
    error::{Error, Kind, Result},
    seed::Seed,
};

const USED_GRIP: f64 = 0.68; // share of the grip that bends may use
const USED_BRAKING: f64 = 0.6; // share of the brakes that the plan counts on

/// Drives `drive` from its observation alone, and stays on every road. Nothing in it is random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expert;

impl Act for Expert {
    fn n_obs(&self) -> usize {
        N_OBS
    }

    fn n_act(&self) -> usize {
        N_ACT
    }

    fn start(&self, _seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(*self)
    }
}

impl Acting for Expert {
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Decision> {
        let Ok(observation) = <&[f32; N_OBS]>::try_from(observation) else {
            return Err(Error::new(Kind::Mismatch, "the expert only drives `drive`")
                .expected(format!("an observation of dimension {N_OBS}"))
                .found(format!("{}", observation.len())));
        };
        if observation.iter().any(|x| !x.is_finite()) {
            return Err(Error::new(Kind::Task, "the observation has a value that is not finite"));
        }
        choose(observation, action);
        Ok(Decision::default())
    }
}

/// Writes what the expert does where this is observed, all of it finite.
pub(super) fn choose(observation: &[f32; N_OBS], action: &mut [f32]) {
    for (a, wanted) in action.iter_mut().zip(pursue(&observation.map(f64::from))) {
        *a = wanted as f32;
    }
}

/// Steering and throttle for an observation.
fn pursue(observation: &[f64; N_OBS]) -> [f64; N_ACT] {
    let [offset, heading, speed, steering, ..] = *observation;
    let bends = &observation[4..];

    // The center line ahead, from its curvatures: x along the road where the car is, y to its left.
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

/// Curvature at a distance ahead, interpolated between those in the observation.
fn bend_at(bends: &[f64], distance: f64) -> f64 {
    let next = AHEAD.partition_point(|&a| a <= distance).clamp(1, AHEAD.len() - 1);
    let share = (distance - AHEAD[next - 1]) / (AHEAD[next] - AHEAD[next - 1]);
    bends[next - 1] + share.clamp(0.0, 1.0) * (bends[next] - bends[next - 1])
}
