//! Gymnasium's CarRacing-v3 (Klimov, 2016): a lap on a new road each time, from pictures alone.

use super::{Spec, worker::Plan};

/// Widths, horizon, and mean returns of random actions and of the task's own expert as references: both measured over
/// seeds 1000 to 1039, where the expert finished 39 laps. Gymnasium calls 900 solved, which is 98.3 of 100.
///
/// An observation is the picture from above, 96 x 96 x 3, the car in its middle and its instruments in the lowest eighth
/// (speed, wheels, steering, turning, the return so far). An action is steering (1 is full right) and a pedal, above 0
/// gas and below 0 the brake. A step's reward is -0.1, and the share of 1000 for each tile of the road first touched;
/// far off the road it is -100 and the end. A finished lap is the end and a success.
///
/// A reset passes the first 50 of Gymnasium's 1000 steps, while the picture zooms in, with no action; their rewards come
/// with the first step's. `python/racing.py` has these rules, and the expert, which uses the center line of the road.
pub fn spec() -> Spec {
    Spec {
        name: "carracing".into(),
        n_obs: 96 * 96 * 3,
        frame: Some([96, 96]),
        n_act: 2,
        horizon: 950,
        reference: Some([-46.1, 916.4]),
        parts: Vec::new(),
    }
}

/// The environment as `python/racing.py` registers it.
pub(super) fn plan() -> Plan {
    Plan { id: "mcnn/CarRacing-v3".into(), ..Plan::default() }
}
