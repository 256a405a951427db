//! Settings of implicit behavior cloning, and its options.

use serde::{Deserialize, Serialize};

use super::Ibc;
use crate::{
    backbone::{
        Arrays, BackboneSettings, Describe, InvalidSetting, Layers, Network, OptionInfo, SettingOption,
        kind::{micro_batches_of, parse, word},
    },
    error::Result,
    optimizer::{OptimizerDefaults, OptimizerSettings},
    seed::Seed,
};

/// Where the counterexamples of training come from, and how acting looks for the action of the lowest energy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnergySampler {
    /// Uniform counterexamples; derivative-free optimization when acting. For few action dimensions.
    #[default]
    Uniform,
    /// Langevin dynamics in training and acting. For many action dimensions.
    Langevin,
}

/// Settings of implicit behavior cloning, except the widths of its hidden layers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "GivenSettings")]
pub struct IbcSettings {
    /// How actions are sampled.
    pub sampler: EnergySampler,
    /// Counterexamples of each training step: 1 to 4096.
    pub negatives: usize,
    /// Actions tried side by side when acting: 1 to 65536.
    pub candidates: usize,
    /// Rounds of the sampler: 1 to 1000. Training by Langevin dynamics has as many; acting adds as many at the last step size.
    pub iterations: usize,
    /// Standard deviation of the noise, of actions in [-1, 1]: above 0. It halves from round to round of uniform sampling; of
    /// Langevin dynamics it is multiplied by the step size.
    pub noise: f64,
}

/// Settings as files and plans give them. What is missing has the default of the sampler.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GivenSettings {
    sampler: EnergySampler,
    negatives: Option<usize>,
    candidates: Option<usize>,
    iterations: Option<usize>,
    noise: Option<f64>,
}

impl From<GivenSettings> for IbcSettings {
    fn from(given: GivenSettings) -> Self {
        let default = Self::of(given.sampler);
        Self {
            sampler: given.sampler,
            negatives: given.negatives.unwrap_or(default.negatives),
            candidates: given.candidates.unwrap_or(default.candidates),
            iterations: given.iterations.unwrap_or(default.iterations),
            noise: given.noise.unwrap_or(default.noise),
        }
    }
}

impl Default for IbcSettings {
    fn default() -> Self {
        Self::of(EnergySampler::Uniform)
    }
}

impl IbcSettings {
    /// The defaults of a sampler. Noise and iterations of uniform sampling are the authors', who had 16384 candidates; the numbers of
    /// counterexamples and candidates are smaller, so that training and acting take less time.
    fn of(sampler: EnergySampler) -> Self {
        match sampler {
            EnergySampler::Uniform => {
                Self { sampler, negatives: 64, candidates: 1024, iterations: 3, noise: 0.33 }
            }
            EnergySampler::Langevin => {
                Self { sampler, negatives: 8, candidates: 64, iterations: 50, noise: 1.0 }
            }
        }
    }
}

impl Describe for IbcSettings {
    const NAME: &'static str = "ibc";
    const TITLE: &'static str = "implicit BC";
    const METHODS: [&'static str; 2] = ["MCNN-IBC", "IBC"];
    const OPTIONS: &'static [SettingOption<Self>] = &[
        SettingOption {
            info: OptionInfo::new(
                "energy-sampler",
                "HOW",
                "How actions are sampled: uniform, langevin",
                "uniform",
            ),
            set: |s, text| word(text, "uniform or langevin", &mut s.sampler),
        },
        SettingOption {
            info: OptionInfo::new(
                "negatives",
                "N",
                "Counterexamples of each training step; of langevin: 8",
                "64",
            ),
            set: |s, text| parse(text, &mut s.negatives),
        },
        SettingOption {
            info: OptionInfo::new(
                "candidates",
                "N",
                "Actions tried side by side when acting; of langevin: 64",
                "1024",
            ),
            set: |s, text| parse(text, &mut s.candidates),
        },
        SettingOption {
            info: OptionInfo::new("energy-iterations", "N", "Rounds of the sampler; of langevin: 50", "3"),
            set: |s, text| parse(text, &mut s.iterations),
        },
        SettingOption {
            info: OptionInfo::new(
                "energy-noise",
                "STD",
                "Standard deviation of its noise; of langevin: 1",
                "0.33",
            ),
            set: |s, text| parse(text, &mut s.noise),
        },
    ];

    fn resolve(&mut self, is_given: &dyn Fn(&str) -> bool) {
        let Self { negatives, candidates, iterations, noise, .. } = Self::of(self.sampler);
        if !is_given("negatives") {
            self.negatives = negatives;
        }
        if !is_given("candidates") {
            self.candidates = candidates;
        }
        if !is_given("energy-iterations") {
            self.iterations = iterations;
        }
        if !is_given("energy-noise") {
            self.noise = noise;
        }
    }
}

impl BackboneSettings for IbcSettings {
    fn default_hidden(&self) -> Vec<usize> {
        vec![256; 2]
    }

    fn validate(&self, _hidden: &[usize]) -> std::result::Result<(), InvalidSetting> {
        for (option, count, most) in [
            ("--negatives", self.negatives, 4096),
            ("--candidates", self.candidates, 65_536),
            ("--energy-iterations", self.iterations, 1000),
        ] {
            if !(1..=most).contains(&count) {
                return Err(InvalidSetting::new(option, format!("1 to {most}"), count));
            }
        }
        if !(self.noise > 0.0 && self.noise.is_finite()) {
            return Err(InvalidSetting::new("--energy-noise", "a number above 0", self.noise));
        }
        Ok(())
    }

    /// Its output is a candidate, which lies in [-1, 1].
    fn saturates(&self) -> bool {
        false
    }

    fn predicts_by_regression(&self) -> bool {
        false
    }

    fn objective(&self, _: &str) -> String {
        let penalty = match self.sampler {
            EnergySampler::Uniform => "",
            EnergySampler::Langevin => ", and the gradient penalty",
        };
        format!("InfoNCE of the demonstrated action among {} counterexamples{penalty}", self.negatives)
    }

    fn optimizer_defaults(&self) -> OptimizerDefaults {
        OptimizerDefaults { lr: 1e-3, batch: 256, optimizer: OptimizerSettings::ADAM }
    }

    /// A row is as many passes as there are counterexamples.
    fn micro_batches(&self, batch: usize) -> usize {
        micro_batches_of(batch, 2, 16)
    }

    fn epochs(&self) -> Option<u64> {
        Some(200)
    }

    fn random(&self, n_obs: usize, hidden: &[usize], n_act: usize, _: &[f32], seed: Seed) -> Network {
        let layers = Layers::random(&[&[n_obs + n_act], hidden, &[1]].concat(), seed);
        Ibc::new(*self, layers, n_act).expect("the widths fit").into()
    }

    fn load_tensors(&self, tensors: &Arrays) -> Result<Network> {
        Ok(Ibc::from_tensors(*self, tensors)?.into())
    }
}
