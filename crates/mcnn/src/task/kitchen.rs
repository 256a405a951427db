//! FrankaKitchen (Gupta et al., 2019) as D4RL's kitchen tasks are scored: four parts, a point each, 280 steps.
//!
//! Every episode begins in the same state. The seed decides only the noise of the observations, which is not without
//! effect on the motion: an action is a joint's velocity, and the position it leads to is computed from the observed one.
//!
//! In a reset's observation the kettle's quaternion (number 35) is 1.006, as the environment sets it; MuJoCo normalizes
//! it in the first step. Demonstrations made on older versions have 1 from the start.

use super::{Spec, worker::Plan};

/// The subtasks, in any order, by their names in the environment.
pub const PARTS: [&str; 4] = ["microwave", "kettle", "light switch", "slide cabinet"];

/// Widths, horizon, and the returns of none and of all parts as references, as in D4RL.
///
/// | observation | | unit |
/// |---|---|---|
/// | 0 to 8 | positions of the robot's 7 joints and 2 fingers | rad, m |
/// | 9 to 17 | their velocities | rad/s, m/s |
/// | 18 to 38 | positions of the objects' joints (knobs, switch, doors, kettle) | rad, m, a unit quaternion |
/// | 39 to 58 | their velocities | rad/s, m/s |
///
/// Actions are the target velocities of the robot's 9 joints, in units of the largest. A step's reward is the number of
/// parts that it completed; a part counts once, and the episode ends, a success, when all are done.
pub fn spec() -> Spec {
    Spec {
        name: "kitchen".into(),
        n_obs: 59,
        frame: None,
        n_act: 9,
        horizon: 280,
        reference: Some([0.0, PARTS.len() as f64]),
        parts: PARTS.map(String::from).to_vec(),
    }
}

/// The environment in Gymnasium-Robotics, without the goals that its observations repeat.
pub(super) fn plan() -> Plan {
    let options = [("tasks_to_complete".to_owned(), PARTS.to_vec().into())];
    Plan {
        id: "FrankaKitchen-v1".into(),
        options: options.into_iter().collect(),
        key: Some("observation".into()),
        parts: spec().parts,
        ..Plan::default()
    }
}
