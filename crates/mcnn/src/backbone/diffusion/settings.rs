//! Settings of a diffusion backbone, and its options.

use serde::{Deserialize, Serialize};

use super::Diffusion;
use crate::{
    backbone::{
        Arrays, BackboneSettings, Describe, InvalidSetting, Layers, Network, PredictionType, Sampler,
        Schedule, SettingOption,
        denoise::*,
        kind::{parse, word},
    },
    error::Result,
    seed::Seed,
};

/// Settings of a diffusion backbone, except the widths of its layers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiffusionSettings {
    /// Diffusion steps, T: 1 to 1000.
    pub steps: usize,
    /// Noise schedule.
    pub schedule: Schedule,
    /// What the network predicts.
    #[serde(alias = "predict")]
    pub prediction: PredictionType,
    /// How acting denoises. Training does not depend on it.
    pub sampler: Sampler,
    /// Largest decay of the EMA of the weights, which acts: in [0, 1). 0: the weights themselves act.
    pub ema: f64,
}

impl Default for DiffusionSettings {
    /// Steps and schedule as in the paper (appendix), EMA as in Wang et al., 2023.
    fn default() -> Self {
        Self {
            steps: 5,
            schedule: Schedule::Vp,
            prediction: PredictionType::Sample,
            sampler: Sampler::Ddpm,
            ema: 0.995,
        }
    }
}

impl Describe for DiffusionSettings {
    const NAME: &'static str = "diffusion";
    const TITLE: &'static str = "Diffusion";
    const METHODS: [&'static str; 2] = ["MCNN-Diffusion", "Diffusion-BC"];
    const OPTIONS: &'static [SettingOption<Self>] = &[
        SettingOption { info: DIFFUSION_STEPS.with_default("5"), set: |s, text| parse(text, &mut s.steps) },
        SettingOption {
            info: SCHEDULE.with_default("vp"),
            set: |s, text| word(text, SCHEDULES, &mut s.schedule),
        },
        SettingOption {
            info: PREDICTION.with_default("sample"),
            set: |s, text| word(text, PREDICTIONS, &mut s.prediction),
        },
        SettingOption {
            info: SAMPLER.with_default("ddpm"),
            set: |s, text| word(text, SAMPLERS, &mut s.sampler),
        },
        SettingOption { info: EMA.with_default("0.995"), set: |s, text| parse(text, &mut s.ema) },
    ];
}

impl BackboneSettings for DiffusionSettings {
    fn default_hidden(&self) -> Vec<usize> {
        vec![256; 3]
    }

    fn validate(&self, _hidden: &[usize]) -> std::result::Result<(), InvalidSetting> {
        if !(1..=1000).contains(&self.steps) {
            return Err(InvalidSetting::new("--diffusion-steps", "1 to 1000", self.steps));
        }
        if !(0.0..1.0).contains(&self.ema) {
            return Err(InvalidSetting::new("--ema", "a decay, 0 up to but not 1", self.ema));
        }
        Ok(())
    }

    /// Smaller in the first steps, so that the random start is soon forgotten.
    fn ema_decay(&self, step: u64) -> Option<f64> {
        let step = step as f64;
        (self.ema > 0.0).then(|| self.ema.min(step / (step + 9.0)))
    }

    fn objective(&self, action: &str) -> String {
        self.prediction.objective(action)
    }

    fn random(&self, n_obs: usize, hidden: &[usize], n_act: usize, _: &[f32], seed: Seed) -> Network {
        Diffusion::random(n_obs, hidden, n_act, *self, seed).into()
    }

    fn load_tensors(&self, tensors: &Arrays) -> Result<Network> {
        Ok(Diffusion::new(
            *self,
            Layers::load_tensors("time.", tensors)?,
            Layers::load_tensors("", tensors)?,
        )?
        .into())
    }
}
