//! Settings of a residual MLP, and how it is trained.

use serde::{Deserialize, Serialize};

use super::ResMlp;
use crate::{
    backbone::{
        Arrays, BackboneSettings, Describe, Horizons, InvalidSetting, Network, PredictionType, Sampler,
        Schedule, SettingOption,
        denoise::*,
        kind::{parse, word},
    },
    error::Result,
    optimizer::{OptimizerDefaults, OptimizerSettings},
    seed::Seed,
};

/// Settings of a residual MLP, except the width and number of its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResMlpSettings {
    /// Prediction horizon: actions in a chunk, 1 to 256.
    pub horizon: usize,
    /// Execution horizon: actions executed before the next prediction, 1 to `horizon`.
    pub executed: usize,
    /// Observation horizon: 1 to 16.
    pub window: usize,
    /// Diffusion steps in training, T: 1 to 1000.
    pub steps: usize,
    /// Noise schedule.
    pub schedule: Schedule,
    /// What the network predicts.
    pub prediction: PredictionType,
    /// How acting denoises. Training does not depend on it.
    pub sampler: Sampler,
    /// Diffusion steps in acting, evenly spaced among those of training: 1 to `steps`.
    pub sample_steps: usize,
    /// Largest decay of the EMA of the weights, which acts (see [`ema_decay`](BackboneSettings::ema_decay)): in [0, 1).
    /// 0: the weights themselves act.
    pub ema: f64,
}

impl Default for ResMlpSettings {
    /// Chunks, noise and denoising as those of the U-Net.
    fn default() -> Self {
        Self {
            horizon: 16,
            executed: 8,
            window: 2,
            steps: 100,
            schedule: Schedule::Cosine,
            prediction: PredictionType::Sample,
            sampler: Sampler::Ddim,
            sample_steps: 10,
            ema: 0.999,
        }
    }
}

impl ResMlpSettings {
    /// The settings of denoising.
    pub(super) fn denoising(&self) -> ChunkDenoising {
        let Self { steps, sample_steps, schedule, sampler, ema, .. } = *self;
        ChunkDenoising { horizons: self.horizons(), steps, sample_steps, schedule, sampler, ema }
    }
}

impl Describe for ResMlpSettings {
    const NAME: &'static str = "resmlp";
    const TITLE: &'static str = "Residual MLP";
    const METHODS: [&'static str; 2] = ["MCNN-Diffusion (residual MLP)", "Diffusion-BC (residual MLP)"];
    const OPTIONS: &'static [SettingOption<Self>] = &[
        SettingOption { info: DIFFUSION_STEPS.with_default("100"), set: |s, text| parse(text, &mut s.steps) },
        SettingOption {
            info: SCHEDULE.with_default("cosine"),
            set: |s, text| word(text, SCHEDULES, &mut s.schedule),
        },
        SettingOption {
            info: PREDICTION.with_default("sample"),
            set: |s, text| word(text, PREDICTIONS, &mut s.prediction),
        },
        SettingOption {
            info: SAMPLER.with_default("ddim"),
            set: |s, text| word(text, SAMPLERS, &mut s.sampler),
        },
        SettingOption { info: EMA.with_default("0.999"), set: |s, text| parse(text, &mut s.ema) },
        SettingOption { info: HORIZON, set: |s, text| parse(text, &mut s.horizon) },
        SettingOption { info: EXECUTE, set: |s, text| parse(text, &mut s.executed) },
        SettingOption { info: SAMPLE_STEPS, set: |s, text| parse(text, &mut s.sample_steps) },
    ];

    fn resolve(&mut self, is_given: &dyn Fn(&str) -> bool) {
        [self.executed, self.sample_steps] = self.denoising().resolved(is_given);
    }
}

impl BackboneSettings for ResMlpSettings {
    /// Three blocks.
    fn default_hidden(&self) -> Vec<usize> {
        vec![512; 3]
    }

    fn validate(&self, widths: &[usize]) -> std::result::Result<(), InvalidSetting> {
        self.denoising().validate()?;
        let is_valid = (1..=32).contains(&widths.len())
            && (1..=8192).contains(&widths[0])
            && widths.iter().all(|width| *width == widths[0]);
        if !is_valid {
            let expected = "1 to 32 equal widths of 1 to 8192, one for each block";
            return Err(InvalidSetting::new("--hidden", expected, format!("{widths:?}")));
        }
        Ok(())
    }

    /// Smaller in the first steps, so that the random start is soon forgotten.
    fn ema_decay(&self, step: u64) -> Option<f64> {
        let step = step as f64;
        (self.ema > 0.0).then(|| self.ema.min(step / (step + 9.0)))
    }

    fn horizons(&self) -> Horizons {
        Horizons {
            observation: self.window,
            prediction: self.horizon,
            execution: self.executed,
            counts_padding: true,
            ..Horizons::SINGLE
        }
    }

    fn objective(&self, action: &str) -> String {
        self.prediction.objective(action)
    }

    fn optimizer_defaults(&self) -> OptimizerDefaults {
        let optimizer =
            OptimizerSettings { weight_decay: 1e-6, warm_up: 500, cosine: true, ..OptimizerSettings::ADAM };
        OptimizerDefaults { lr: 1e-3, batch: 256, optimizer }
    }

    fn epochs(&self) -> Option<u64> {
        Some(60)
    }

    fn least_steps(&self) -> u64 {
        4000
    }

    /// One of them is drawn for every chunk. Where one network stands still, far from the demonstrations, another goes on.
    fn members(&self) -> usize {
        5
    }

    fn random(&self, n_obs: usize, hidden: &[usize], n_act: usize, _: &[f32], seed: Seed) -> Network {
        ResMlp::random(n_obs, hidden, n_act, *self, seed).into()
    }

    fn load_tensors(&self, tensors: &Arrays) -> Result<Network> {
        Ok(ResMlp::load(*self, tensors)?.into())
    }
}
