//! Implicit behavior cloning (Florence et al., 2021, arXiv 2109.00137): a network rates actions by an energy, low for demonstrated ones, and acting
//! looks for the action of the lowest energy. Where demonstrations do two things in one situation, it does one of them, not their
//! mean.
//!
//! ```text
//! E(x, a)    n_obs + n_act -> hidden layers, ReLU -> 1
//! g(x)       argmin over a in [-1, 1] of E(x, a), approximately: by a sampler
//! loss       -log of exp(-E(x, a)) / (exp(-E(x, a)) + sum over counterexamples a' of exp(-E(x, a')))    InfoNCE
//! ```
//!
//! Counterexamples and candidates are uniform, or come from Langevin dynamics ([`EnergySampler`]). The energy has no output
//! that a constrained action could be made of, so the envelope acts at execution only.

mod act;
mod energy;
mod langevin;
mod net;
#[cfg(test)]
mod net_tests;
mod settings;
#[cfg(test)]
mod tests;

pub use net::IbcNet;
pub use settings::{EnergySampler, IbcSettings};

use super::{
    ActingState, Arrays, Backbone, BackboneSettings, Constrain, InvalidSetting, Layers, TrainableNet,
};
use crate::error::{Error, Kind, Result};
use energy::Energy;

/// A network of implicit behavior cloning that acts.
#[derive(Debug, Clone, PartialEq)]
pub struct Ibc {
    settings: IbcSettings,
    layers: Layers, // n_obs + n_act, hidden layers, 1
    n_act: usize,
    energy: Energy,
}

impl Ibc {
    /// A network of given layers.
    ///
    /// # Errors
    /// If a setting is out of range, or the layers are not those of an energy of observations and actions of `n_act` dimensions.
    pub fn new(settings: IbcSettings, layers: Layers, n_act: usize) -> Result<Self> {
        settings.validate(&[]).map_err(InvalidSetting::into_error)?;
        let [inputs, outputs] = layers.ends();
        if outputs != 1 || n_act == 0 || inputs <= n_act {
            return Err(Error::new(Kind::File, "layers that are not those of an energy")
                .at("0.weight")
                .expected(format!("more than {n_act} inputs and 1 output"))
                .found(format!("{inputs} inputs and {outputs} outputs")));
        }
        let energy = Energy::new(&layers, n_act);
        Ok(Self { settings, layers, n_act, energy })
    }

    fn from_tensors(settings: IbcSettings, tensors: &Arrays) -> Result<Self> {
        let missing = || Error::new(Kind::File, "an energy without the width of its actions").at(N_ACT);
        let (_, n_act) = tensors.get(N_ACT).ok_or_else(missing)?;
        let n_act = n_act.first().filter(|n| n.fract() == 0.0 && **n >= 0.0).ok_or_else(missing)?;
        Self::new(settings, Layers::load_tensors("", tensors)?, *n_act as usize)
    }

    /// The settings.
    pub fn settings(&self) -> &IbcSettings {
        &self.settings
    }

    /// The layers of E.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Width of an observation.
    pub fn n_obs(&self) -> usize {
        self.layers.ends()[0] - self.n_act
    }

    /// Width of an action.
    pub fn n_act(&self) -> usize {
        self.n_act
    }
}

/// The array with the width of an action, which the layers alone do not tell.
const N_ACT: &str = "n_act";

impl Backbone for Ibc {
    fn settings(&self) -> &dyn BackboneSettings {
        &self.settings
    }

    fn widths(&self) -> [usize; 2] {
        [self.n_obs(), self.n_act]
    }

    fn is_stochastic(&self) -> bool {
        true
    }

    fn predict(&self, observation: &[f32], _: Constrain, state: &mut ActingState) {
        assert_eq!(observation.len(), self.n_obs(), "an observation of another width than the network");
        act::act(&self.settings, &self.energy, observation, state);
    }

    fn save_tensors(&self) -> Arrays {
        let mut tensors = Arrays::from([(N_ACT.into(), (vec![1], vec![self.n_act as f32]))]);
        self.layers.save_tensors("", &mut tensors);
        tensors
    }

    fn to_trainable(&self) -> (Box<dyn TrainableNet>, Vec<f32>) {
        let (net, parameters) = IbcNet::new(self);
        (Box::new(net), parameters)
    }
}
