//! Backbones: an observation in, a proposal out. A backbone has never heard of memories, distances, lambda or L, so
//! whatever it proposes is held by the same envelope, on its first day.
//!
//! A backbone is a file (or folder) here that has it twice: as plain numbers that act ([`Mlp`], [`Diffusion`]) and as
//! Burn's module that is trained ([`MlpNet`], [`DiffusionNet`]). This file is all that the other rooms see of them: an
//! [`Architecture`] says which and how, a [`Backbone`] acts, a [`Net`] is trained. Another one is another file, and an
//! arm in each `match` here.

mod diffusion;
mod layers;
mod mlp;

pub use diffusion::{Diffusion, DiffusionNet, DiffusionSettings, Draws, Level, Predict, Sampler, Schedule};
pub use layers::{Arrays, Layers};
pub use mlp::{Mlp, MlpNet};

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    seed::{Rng, Seed},
};

/// Which backbone, with the settings of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// A multi-layer perceptron.
    #[default]
    Mlp,
    /// Denoising diffusion.
    Diffusion(DiffusionSettings),
}

impl Architecture {
    /// The names of all, as files and options have them.
    pub const NAMES: [&str; 2] = ["mlp", "diffusion"];

    /// Widths of the hidden layers where none are asked for: the authors'.
    pub fn hidden(&self) -> Vec<usize> {
        match self {
            Architecture::Mlp => vec![256; 2],
            Architecture::Diffusion(_) => vec![256; 3],
        }
    }

    /// What is wrong with its settings, if anything is: the option, what it takes, and what was found.
    pub fn fault(&self) -> Option<(&'static str, &'static str, String)> {
        match self {
            Architecture::Mlp => None,
            Architecture::Diffusion(settings) => settings.fault(),
        }
    }

    /// Decay of the running mean of the weights, which is what acts; 0 where the weights themselves do.
    pub fn ema(&self) -> f64 {
        match self {
            Architecture::Mlp => 0.0,
            Architecture::Diffusion(settings) => settings.ema,
        }
    }

    /// A network of random weights.
    ///
    /// # Panics
    /// If a width is 0 or a setting out of range.
    pub fn random(&self, n_obs: usize, hidden: &[usize], n_act: usize, seed: Seed) -> Backbone {
        match self {
            Architecture::Mlp => Backbone::Mlp(Mlp::random(&[&[n_obs], hidden, &[n_act]].concat(), seed)),
            Architecture::Diffusion(settings) => {
                Backbone::Diffusion(Diffusion::random(n_obs, hidden, n_act, *settings, seed))
            }
        }
    }
}

/// What proposes actions: a network's numbers, for acting.
#[derive(Debug, Clone, PartialEq)]
pub enum Backbone {
    /// Nothing: for lambda = 0, where no proposal counts.
    Nothing,
    /// A multi-layer perceptron on the standardised state.
    Mlp(Mlp),
    /// Denoising diffusion, from the standardised state.
    Diffusion(Diffusion),
}

/// What changes in an episode of a backbone: buffers that grow once, and the random numbers it draws.
#[derive(Debug)]
pub struct Episode {
    rng: Rng,
    buffers: (Vec<f32>, Vec<f32>),
    noisy: Vec<f32>,
    fixed: Vec<f32>,
}

impl Episode {
    /// A new episode. `seed` decides whatever is random in it.
    pub fn new(seed: Seed) -> Self {
        Self { rng: seed.rng(), buffers: Default::default(), noisy: Vec::new(), fixed: Vec::new() }
    }

    /// What was proposed last, before it was held: `[n_act]`, or nothing where nothing proposes.
    pub fn proposal(&self) -> &[f32] {
        &self.buffers.1
    }
}

impl Backbone {
    /// Which backbone; `None` for nothing.
    pub fn architecture(&self) -> Option<Architecture> {
        match self {
            Backbone::Nothing => None,
            Backbone::Mlp(_) => Some(Architecture::Mlp),
            Backbone::Diffusion(diffusion) => Some(Architecture::Diffusion(*diffusion.settings())),
        }
    }

    /// Widths of an observation and an action; `None` for nothing.
    pub fn widths(&self) -> Option<[usize; 2]> {
        match self {
            Backbone::Nothing => None,
            Backbone::Mlp(mlp) => Some(mlp.0.ends()),
            Backbone::Diffusion(diffusion) => Some([diffusion.n_obs(), diffusion.n_act()]),
        }
    }

    /// Whether two proposals for one observation can differ.
    pub fn draws(&self) -> bool {
        matches!(self, Backbone::Diffusion(_))
    }

    /// Proposes an action for an observation (`[n_obs]`, standardised), left in the episode as
    /// [`proposal`](Episode::proposal). `hold` is told a dimension of the action and a proposal for it, and answers with
    /// what would count: a backbone that goes by its own proposals goes by them as held.
    ///
    /// # Panics
    /// If the observation has another width.
    pub fn propose(&self, observation: &[f32], episode: &mut Episode, hold: &dyn Fn(usize, f32) -> f32) {
        match self {
            Backbone::Nothing => {}
            Backbone::Mlp(mlp) => {
                mlp.propose(observation, &mut episode.buffers);
            }
            Backbone::Diffusion(diffusion) => diffusion.propose(observation, episode, hold),
        }
    }

    /// Moves the weights towards those of another network of the same kind, of which a share `1 - kept` is taken.
    ///
    /// # Panics
    /// If the other is of another kind or has other widths.
    pub fn blend(&mut self, other: &Self, kept: f32) {
        match (self, other) {
            (Backbone::Nothing, Backbone::Nothing) => {}
            (Backbone::Mlp(mine), Backbone::Mlp(other)) => mine.0.blend(&other.0, kept),
            (Backbone::Diffusion(mine), Backbone::Diffusion(other)) => mine.blend(other, kept),
            _ => panic!("networks of different kinds"),
        }
    }

    /// Its arrays by name, none for nothing.
    pub fn arrays(&self) -> Arrays {
        let mut arrays = Arrays::new();
        match self {
            Backbone::Nothing => {}
            Backbone::Mlp(mlp) => mlp.0.put("", &mut arrays),
            Backbone::Diffusion(diffusion) => diffusion.put(&mut arrays),
        }
        arrays
    }

    /// A backbone from its arrays.
    ///
    /// # Errors
    /// If they are not those of such a network.
    pub fn from_arrays(architecture: Architecture, arrays: &Arrays) -> Result<Self> {
        Ok(match architecture {
            Architecture::Mlp => Backbone::Mlp(Mlp(Layers::take("", arrays)?)),
            Architecture::Diffusion(settings) => Backbone::Diffusion(Diffusion::take(settings, arrays)?),
        })
    }
}

/// A backbone as it is trained.
#[derive(Module, Debug)]
pub enum Net {
    /// A multi-layer perceptron.
    Mlp(MlpNet),
    /// Denoising diffusion.
    Diffusion(DiffusionNet),
}

/// What a network in training proposes for a batch.
#[derive(Debug)]
pub struct Proposed {
    /// Proposals, before they are held: `[batch, n_act]`.
    pub proposal: Tensor<2>,
    /// What the squared errors of the held proposals count, `[batch, n_act]`; all the same where there are none.
    pub weights: Option<Tensor<2>>,
}

impl Net {
    /// The network with the numbers of `backbone`, on a device; `None` for nothing. Its parameters are numbered in an order
    /// of their own, so that an optimiser's state finds them again after a restart.
    pub fn new(backbone: &Backbone, device: &Device) -> Option<Self> {
        match backbone {
            Backbone::Nothing => None,
            Backbone::Mlp(mlp) => Some(Net::Mlp(MlpNet::new(mlp, device))),
            Backbone::Diffusion(diffusion) => Some(Net::Diffusion(DiffusionNet::new(diffusion, device))),
        }
    }

    /// The numbers as they are now.
    pub fn numbers(&self) -> Backbone {
        match self {
            Net::Mlp(net) => Backbone::Mlp(net.numbers()),
            Net::Diffusion(net) => Backbone::Diffusion(net.numbers()),
        }
    }

    /// Proposals for the observations of a batch (`[batch, n_obs]`), to be trained towards its actions (`[batch, n_act]`,
    /// row by row). `seed` decides whatever is random in them.
    pub fn propose(&self, observations: Tensor<2>, actions: &[f32], seed: Seed) -> Proposed {
        match self {
            Net::Mlp(net) => Proposed { proposal: net.forward(observations), weights: None },
            Net::Diffusion(net) => {
                let draws = net.draw(observations.dims()[0], actions.len(), seed);
                net.propose(observations, actions, &draws)
            }
        }
    }
}
