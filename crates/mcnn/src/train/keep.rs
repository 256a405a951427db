//! Which network a run ends with: the last one, or the one with the lowest validation loss.

use serde::{Deserialize, Serialize};

use super::{Run, Validation, learner::Learner};
use crate::{
    backbone::Network,
    error::{Error, Kind, Result},
};

/// Which networks a run's policy has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Those after the last step.
    #[default]
    Last,
    /// Those of the step at which the validation loss was lowest, of the steps at which [`Run::validate`] was called. All
    /// members of an ensemble are of the same step, because the loss is that of their common action.
    Best,
}

/// The lowest validation loss of a run so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Lowest {
    /// Steps taken then.
    pub step: u64,
    /// The loss.
    pub loss: f64,
    /// The networks of that step, `[members]`; none unless they are kept.
    pub networks: Vec<Network>,
}

impl Run {
    /// Measures the current networks as [`validation`](Self::validation) does, and remembers them if their loss is the lowest
    /// so far ([`Keep::Best`]). A resumed run has the same policy as an uninterrupted one if both call it at the same steps.
    pub fn validate(&mut self) -> Option<Validation> {
        let networks: Vec<Network> = self.learners.iter().map(Learner::network).collect();
        let validation = self.validation_of(&networks)?;
        let is_lowest = self.lowest.as_ref().is_none_or(|lowest| validation.loss < lowest.loss);
        if !networks.is_empty() && is_lowest && validation.loss.is_finite() {
            let kept = self.settings.keep == Keep::Best;
            let networks = if kept { networks } else { Vec::new() };
            self.lowest = Some(Lowest { step: self.step, loss: validation.loss, networks });
        }
        Some(validation)
    }

    /// The lowest validation loss so far; `None` before the first call of [`validate`](Self::validate).
    pub fn lowest(&self) -> Option<&Lowest> {
        self.lowest.as_ref()
    }

    /// The networks of the policy, and the steps that they were trained for.
    pub(super) fn kept(&self) -> (u64, Vec<Network>) {
        match &self.lowest {
            Some(lowest) if self.settings.keep == Keep::Best => (lowest.step, lowest.networks.clone()),
            _ => (self.step, self.learners.iter().map(Learner::network).collect()),
        }
    }

    /// Refuses to keep the best network where nothing measures which one it is.
    pub(super) fn check_keep(&self) -> Result<()> {
        let measured = self.validation_set.is_some() || !self.folds.is_empty();
        if self.settings.keep == Keep::Last || measured {
            return Ok(());
        }
        Err(Error::new(Kind::Settings, "without validation episodes no network is known to be the best")
            .at("--keep best")
            .expected("--validation-fraction above 0 that is an episode or more, or --bagging folds")
            .next("set one of them, or leave --keep out"))
    }
}
