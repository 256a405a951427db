//! The task `drive-pixels`: `drive`, of which only a frame is seen.

use super::{Car, Drive, frame};
use crate::{
    error::Result,
    task::{Batch, Environment, Outcome, Picture, Spec, Task},
};

/// The task `drive-pixels`: the roads, car, actions, horizon, rewards and successes of [`Drive`], with a frame of
/// [`SIDE`](frame::SIDE) x [`SIDE`](frame::SIDE) pixels for an observation: the road ahead, and below it two instruments,
/// a bar for the speed (as long to both sides as the car is fast) and one for the angle of the front wheels (to the side
/// they are turned to). Of what [`Drive`] observes, all is in it, as well as pixels can tell.
#[derive(Debug, Clone)]
pub struct DrivePixels {
    spec: Spec,
}

impl DrivePixels {
    /// The task.
    pub fn new() -> Self {
        let spec = Spec {
            name: "drive-pixels".into(),
            n_obs: frame::SIDE * frame::SIDE * 3,
            frame: Some([frame::SIDE; 2]),
            ..Drive::new().spec
        };
        Self { spec }
    }
}

impl Default for DrivePixels {
    fn default() -> Self {
        Self::new()
    }
}

impl Task for DrivePixels {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn start(&self) -> Result<Box<dyn Environment>> {
        Ok(Box::new(Filmed(Car::new(0))))
    }

    fn start_with_expert(&self, n: usize) -> Result<Box<dyn Batch + '_>> {
        self.start_many(n)
    }
}

/// A car of which only a frame is seen.
struct Filmed(Car);

impl Environment for Filmed {
    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        self.0 = Car::new(seed);
        frame::draw(&self.0, observation);
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Result<Outcome> {
        let outcome = self.0.act(action)?;
        frame::draw(&self.0, observation);
        Ok(outcome)
    }

    fn position(&self) -> Option<[f32; 2]> {
        self.0.position()
    }

    fn expert_action(&self, action: &mut [f32]) -> bool {
        self.0.expert_action(action)
    }

    fn picture(&mut self) -> Result<Picture> {
        self.0.picture()
    }
}
