//! The loss of a training run, as means over windows of steps, and watched for divergence.

use mcnn::{Error, Result, error::Kind, train::Stepped};

/// The window that is open.
pub struct Losses {
    every: u64,
    sum: f64,
    steps: u32,
}

impl Losses {
    /// For a run of `total` steps, which has 200 windows.
    pub fn new(total: u64) -> Self {
        Self { every: (total / 200).max(1), sum: 0.0, steps: 0 }
    }

    /// Takes a step in. Where it ends a window (as the `last` one does), the window's mean.
    ///
    /// # Errors
    /// If that is not a number.
    pub fn add(&mut self, stepped: &Stepped, last: bool) -> Result<Option<f64>> {
        self.sum += f64::from(stepped.loss);
        self.steps += 1;
        if !stepped.step.is_multiple_of(self.every) && !last {
            return Ok(None);
        }
        let mean = self.sum / f64::from(self.steps);
        if !mean.is_finite() {
            return Err(Error::new(Kind::Settings, "training diverged: the loss is not a number")
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
        let mut losses = Losses::new(600); // windows of 3
        let told: Vec<Option<f64>> = (1..=8)
            .map(|step| losses.add(&Stepped { step, loss: step as f32 }, step == 8).unwrap())
            .collect();
        assert_eq!(told, [None, None, Some(2.0), None, None, Some(5.0), None, Some(7.5)]);
        let error = losses.add(&Stepped { step: 9, loss: f32::INFINITY }, false).unwrap_err().to_string();
        assert!(error.contains("diverged") && error.contains("step 9"), "{error}");
    }
}
