//! A control loop at 1 kHz: `control_loop POLICY SECONDS`. The robot is in place of a driver; everything else is as it would be.

use std::{
    path::Path,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use mcnn::{
    calibration::OodQuantile,
    file::read_policy,
    policy::{Guard, Response, Session},
    seed::Seed,
};

const PERIOD: Duration = Duration::from_millis(1);
/// Consecutive OOD steps after which the robot stops: a tenth of a second.
const PATIENCE: u32 = 100;

/// In place of a driver: a robot whose state follows its actions.
struct Robot(Vec<f32>);

impl Robot {
    fn send(&mut self, action: &[f32]) {
        self.0.iter_mut().zip(action).for_each(|(state, action)| *state += 0.001 * action);
    }
}

fn main() -> mcnn::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let (policy, _) = read_policy(Path::new(&args[1]))?;
    let steps = 1000 * args[2].parse::<u32>().expect("a number of seconds");
    let codebook = policy.codebook();
    let mut robot = Robot(codebook.state(0).to_vec());
    let mut action = vec![0.0; codebook.n_act()];
    let threshold = policy.calibration().map(|c| c.threshold(OodQuantile::States(0.99))).transpose()?;
    let mut session = Session::shared(Arc::new(policy), Seed(0));
    session.set_guard(threshold.map(|t| Guard { response: Response::Hold, threshold: t.distance }));
    // The first action allocates the buffers: before the loop, not in it.
    session.act(&robot.0, &mut action)?;

    let (mut ood_in_a_row, mut late, mut slowest) = (0, 0, Duration::ZERO);
    let mut next = Instant::now() + PERIOD;
    for step in 0..steps {
        let start = Instant::now();
        let decision = session.act(&robot.0, &mut action)?;
        slowest = slowest.max(start.elapsed());
        ood_in_a_row = if decision.ood { ood_in_a_row + 1 } else { 0 };
        if ood_in_a_row > PATIENCE {
            println!("step {step}: stopped at distance {}", decision.retrieval.distance);
            break;
        }
        robot.send(&action);
        let now = Instant::now();
        if now > next {
            late += 1; // the next step starts at once, and its period from here
            next = now;
        }
        sleep(next - now);
        next += PERIOD;
    }
    println!("slowest action {slowest:?}, {late} of {steps} steps late");
    Ok(())
}
