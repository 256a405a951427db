//! What only `--backbone unet` has.

use clap::Args;
use mcnn::backbone::{Sampler, UnetSettings};

use super::learning::DiffusionArgs;

/// Settings of a U-Net over chunks of actions, besides those it shares with diffusion.
#[derive(Args, Debug)]
pub struct UnetArgs {
    /// U-Net: actions proposed at once, from the newest observation's on [default: 16].
    #[arg(long, value_name = "ACTIONS")]
    pub horizon: Option<usize>,
    /// U-Net: how many of them are executed before it is asked again [default: 8].
    #[arg(long, value_name = "ACTIONS")]
    pub execute: Option<usize>,
    /// U-Net: how many of the diffusion steps are taken in acting, evenly spaced [default: 10; with --sampler ddpm: all].
    #[arg(long, value_name = "STEPS")]
    pub sample_steps: Option<usize>,
}

impl UnetArgs {
    /// The settings, with what was given in the defaults' stead.
    pub fn settings(&self, shared: &DiffusionArgs) -> UnetSettings {
        let defaults = UnetSettings::default();
        let horizon = self.horizon.unwrap_or(defaults.horizon);
        let steps = shared.diffusion_steps.unwrap_or(defaults.steps);
        let sampler = shared.sampler.unwrap_or(defaults.sampler);
        let taken = if sampler == Sampler::Ddpm { steps } else { defaults.sample_steps.min(steps) };
        UnetSettings {
            horizon,
            executed: self.execute.unwrap_or(defaults.executed.min(horizon)),
            steps,
            schedule: shared.schedule.unwrap_or(defaults.schedule),
            prediction: shared.prediction.unwrap_or(defaults.prediction),
            sampler,
            sample_steps: self.sample_steps.unwrap_or(taken),
            ema: shared.ema.unwrap_or(defaults.ema),
            ..defaults
        }
    }

    /// Its options, and whether each was given.
    pub fn given(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("--horizon", self.horizon.is_some()),
            ("--execute", self.execute.is_some()),
            ("--sample-steps", self.sample_steps.is_some()),
        ]
    }
}
