//! The smoothed training loss: means over windows of steps. A loss that is not finite is reported as divergence.

use mcnn::{Error, Result, error::Kind, train::Stepped};

/// Windows in a run.
const WINDOWS: u64 = 200;

/// The window that is open.
pub struct SmoothedLoss {
    total: u64,
    every: u64, // steps in a window
    sum: f64,
    steps: u32,
}

impl SmoothedLoss {
    /// For a run of `total` steps.
    pub fn new(total: u64) -> Self {
        Self { total, every: (total / WINDOWS).max(1), sum: 0.0, steps: 0 }
    }

    /// Adds a step's loss. Gives the mean of the window that this step ends; the last step of a run ends one, too.
    ///
    /// # Errors
    /// If the mean is not finite.
    pub fn add(&mut self, stepped: &Stepped) -> Result<Option<f64>> {
        self.sum += f64::from(stepped.loss);
        self.steps += 1;
        if !stepped.step.is_multiple_of(self.every) && stepped.step != self.total {
            return Ok(None);
        }
        let mean = self.sum / f64::from(self.steps);
        if !mean.is_finite() {
            return Err(Error::new(Kind::Settings, "training diverged: the loss is not finite")
                .at(format!("step {}", stepped.step))
                .next("a smaller learning rate (lr)"));
        }
        (self.sum, self.steps) = (0.0, 0);
        Ok(Some(mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_the_mean_of_its_own_steps_and_the_last_one_ends_with_the_run() {
        let mut smoothed = SmoothedLoss::new(608); // windows of 3 steps
        let means: Vec<Option<f64>> = (601..=608)
            .map(|step| smoothed.add(&Stepped { step, loss: (step - 600) as f32 }).unwrap())
            .collect();
        assert_eq!(means, [None, None, Some(2.0), None, None, Some(5.0), None, Some(7.5)]);
        let error = smoothed.add(&Stepped { step: 609, loss: f32::INFINITY }).unwrap_err().to_string();
        assert!(error.contains("diverged") && error.contains("step 609"), "{error}");
    }
}
