//! Settings of a U-Net, and how it is trained.

use serde::{Deserialize, Serialize};

use super::Unet;
use crate::{
    backbone::{
        Arrays, BackboneSettings, Describe, Horizons, InvalidSetting, Network, PredictionType, Sampler,
        Schedule, SettingOption,
        denoise::*,
        kind::{micro_batches_of, parse, word},
    },
    error::Result,
    optimizer::{OptimizerDefaults, OptimizerSettings},
    seed::Seed,
};

/// Settings of a U-Net, except the widths of its levels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnetSettings {
    /// Prediction horizon: actions in a chunk, 1 to 256. Divisible by 2 once for each downsampling.
    pub horizon: usize,
    /// Execution horizon: actions executed before the next prediction, 1 to `horizon`.
    pub executed: usize,
    /// Observation horizon: 1 to 16.
    pub window: usize,
    /// Kernel size of the blocks' convolutions: odd, 1 to 15.
    pub kernel: usize,
    /// Groups of group norm: a divisor of every width.
    pub groups: usize,
    /// Diffusion steps in training, T: 1 to 1000.
    pub steps: usize,
    /// Noise schedule.
    pub schedule: Schedule,
    /// What the network predicts.
    #[serde(alias = "predict")]
    pub prediction: PredictionType,
    /// How acting denoises. Training does not depend on it.
    pub sampler: Sampler,
    /// Diffusion steps in acting, evenly spaced among those of training: 1 to `steps`.
    pub sample_steps: usize,
    /// Largest decay of the EMA of the weights, which acts (see [`ema_decay`](BackboneSettings::ema_decay)): in [0, 1).
    /// 0: the weights themselves act.
    pub ema: f64,
}

impl Default for UnetSettings {
    /// As in Chi et al., 2023, for states, but predicting the clean action. Acting takes ten steps of DDIM, as theirs on robots;
    /// 100 steps of DDPM, as in the paper, take ten times as long.
    fn default() -> Self {
        Self {
            horizon: 16,
            executed: 8,
            window: 2,
            kernel: 5,
            groups: 8,
            steps: 100,
            schedule: Schedule::Cosine,
            prediction: PredictionType::Sample,
            sampler: Sampler::Ddim,
            sample_steps: 10,
            ema: 0.9999,
        }
    }
}

impl UnetSettings {
    /// As in Chi et al., 2023.
    pub const OPTIMIZER_DEFAULTS: OptimizerDefaults = OptimizerDefaults {
        lr: 1e-4,
        batch: 256,
        optimizer: OptimizerSettings {
            betas: [0.95, 0.999],
            weight_decay: 1e-6,
            warm_up: 500,
            cosine: true,
            clip: 0.0,
        },
    };

    /// The settings of denoising.
    pub(super) fn denoising(&self) -> ChunkDenoising {
        let Self { steps, sample_steps, schedule, sampler, ema, .. } = *self;
        ChunkDenoising { horizons: self.horizons(), steps, sample_steps, schedule, sampler, ema }
    }
}

impl Describe for UnetSettings {
    const NAME: &'static str = "unet";
    const TITLE: &'static str = "U-Net";
    const METHODS: [&'static str; 2] = ["MCNN-Diffusion (U-Net)", "Diffusion-BC (U-Net)"];
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
        SettingOption { info: EMA.with_default("0.9999"), set: |s, text| parse(text, &mut s.ema) },
        SettingOption { info: HORIZON, set: |s, text| parse(text, &mut s.horizon) },
        SettingOption { info: EXECUTE, set: |s, text| parse(text, &mut s.executed) },
        SettingOption { info: SAMPLE_STEPS, set: |s, text| parse(text, &mut s.sample_steps) },
    ];

    fn resolve(&mut self, is_given: &dyn Fn(&str) -> bool) {
        [self.executed, self.sample_steps] = self.denoising().resolved(is_given);
    }
}

impl BackboneSettings for UnetSettings {
    /// Smaller than Chi et al.'s 256, 512 and 1024, which are for a GPU.
    fn default_hidden(&self) -> Vec<usize> {
        vec![32, 64, 128]
    }

    fn validate(&self, widths: &[usize]) -> std::result::Result<(), InvalidSetting> {
        let halves = 1_usize << widths.len().saturating_sub(1).min(16);
        let invalid =
            |option, expected: String, found: String| Err(InvalidSetting::new(option, expected, found));
        self.denoising().validate()?;
        if !(1..=15).contains(&self.kernel) || self.kernel.is_multiple_of(2) {
            invalid("kernel", "an odd number, 1 to 15".into(), self.kernel.to_string())
        } else if !(1..=5).contains(&widths.len()) || widths.iter().any(|w| !(4..=4096).contains(w)) {
            invalid("--hidden", "1 to 5 widths of 4 to 4096".into(), format!("{widths:?}"))
        } else if self.groups == 0 || widths.iter().any(|w| !w.is_multiple_of(self.groups)) {
            invalid(
                "--hidden",
                format!("widths divisible by {}, the groups of group norm", self.groups),
                format!("{widths:?}"),
            )
        } else if !widths[0].is_multiple_of(2) {
            invalid(
                "--hidden",
                "an even width first: half the time's sinusoids are cosines".into(),
                format!("{widths:?}"),
            )
        } else if !self.horizon.is_multiple_of(halves) {
            let expected = format!(
                "a number divisible by {halves}: {} widths halve it {} times",
                widths.len(),
                widths.len() - 1
            );
            invalid("--horizon", expected, self.horizon.to_string())
        } else {
            Ok(())
        }
    }

    /// 0 in the first two steps, then 1 - (step - 1)^-0.75, up to the setting `ema` (Chi et al., 2023).
    fn ema_decay(&self, step: u64) -> Option<f64> {
        (self.ema > 0.0).then(|| self.ema.min(1.0 - ((step.max(2) - 1) as f64).powf(-0.75)))
    }

    fn micro_batches(&self, batch: usize) -> usize {
        micro_batches_of(batch, 4, 32)
    }

    fn horizons(&self) -> Horizons {
        Horizons {
            observation: self.window,
            prediction: self.horizon,
            execution: self.executed,
            ..Horizons::SINGLE
        }
    }

    fn objective(&self, action: &str) -> String {
        self.prediction.objective(action)
    }

    fn optimizer_defaults(&self) -> OptimizerDefaults {
        Self::OPTIMIZER_DEFAULTS
    }

    fn random(&self, n_obs: usize, hidden: &[usize], n_act: usize, _: &[f32], seed: Seed) -> Network {
        Unet::random(n_obs, hidden, n_act, *self, seed).into()
    }

    fn load_tensors(&self, tensors: &Arrays) -> Result<Network> {
        Ok(Unet::load(*self, tensors)?.into())
    }
}
