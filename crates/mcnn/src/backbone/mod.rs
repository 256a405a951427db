//! Backbones: an observation in, a proposal out. A backbone has never heard of memories, distances, lambda or L, so
//! whatever it proposes is held by the same envelope, on its first day.
//!
//! A backbone is a file (or folder) here that has it twice: as plain numbers that act ([`Mlp`], [`Diffusion`], [`Bet`],
//! [`Unet`]) and as what is trained, a batch at a time ([`MlpNet`], [`DiffusionNet`], [`BetNet`], [`UnetNet`]). This file and
//! `net.rs` are all that the other rooms see of them: an [`Architecture`] says which and how, a [`Backbone`] acts in an
//! [`Episode`], a [`Net`] is trained. Another one is another file, and an arm in each `match` of those two.

mod bet;
mod chain;
mod denoise;
mod diffusion;
mod episode;
mod layers;
mod mish;
mod mlp;
mod net;
#[cfg(test)]
mod oracle;
mod plain;
mod product;
mod schedule;
mod strips;
mod unet;

pub use bet::{Bet, BetNet, BetSettings, BucketSelection, Chosen};
pub use denoise::{NoiseSample, PredictionType};
pub use diffusion::{Diffusion, DiffusionNet, DiffusionSettings};
pub use episode::{Episode, Horizons};
pub use layers::{Arrays, Layers};
pub use mlp::{Mlp, MlpNet};
pub use net::{Batch, LossFn, Net, Optimizer, OptimizerDefaults, Room};
pub(crate) use plain::exponential;
pub(crate) use product::{vectors, widest};
pub use schedule::{Level, Sampler, Schedule};
pub use unet::{Unet, UnetNet, UnetSettings};

use serde::{Deserialize, Serialize};

use crate::{error::Result, seed::Seed};

/// Which backbone, with the settings of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// A multi-layer perceptron.
    #[default]
    Mlp,
    /// Denoising diffusion.
    Diffusion(DiffusionSettings),
    /// A behavior transformer.
    Bet(BetSettings),
    /// Denoising diffusion over a chunk of actions, by a U-Net.
    Unet(UnetSettings),
}

impl Architecture {
    /// The names of all, as files and options have them.
    pub const NAMES: [&str; 4] = ["mlp", "diffusion", "bet", "unet"];

    /// Widths of the hidden layers where none are asked for: the authors', but of a U-Net, whose 256, 512 and 1024 are for a
    /// GPU. A behavior transformer has settings instead.
    pub fn hidden(&self) -> Vec<usize> {
        match self {
            Architecture::Mlp => vec![256; 2],
            Architecture::Diffusion(_) => vec![256; 3],
            Architecture::Bet(_) => vec![],
            Architecture::Unet(_) => vec![32, 64, 128],
        }
    }

    /// What is wrong with its settings or the widths of its hidden layers, if anything is: the option, what it takes, and
    /// what was found.
    pub fn fault(&self, hidden: &[usize]) -> Option<(&'static str, String, String)> {
        match self {
            Architecture::Mlp => None,
            Architecture::Diffusion(settings) => owned(settings.fault()),
            Architecture::Bet(settings) => owned(settings.fault()),
            Architecture::Unet(settings) => settings.fault(hidden),
        }
    }

    /// The share of itself that the running mean of the weights, which is what acts, keeps in a step, counted from 1. `None`
    /// where the weights themselves act.
    pub fn kept(&self, step: u64) -> Option<f64> {
        match self {
            Architecture::Mlp | Architecture::Bet(_) => None,
            Architecture::Diffusion(settings) => (settings.ema > 0.0).then(|| settings.kept(step)),
            Architecture::Unet(settings) => (settings.ema > 0.0).then(|| settings.kept(step)),
        }
    }

    /// Parts that a batch is cut into in training, one a thread where there are as many threads. The sums are those of the parts'
    /// sums, so it does not depend on the threads.
    pub fn parts(&self) -> usize {
        match self {
            Architecture::Mlp | Architecture::Diffusion(_) => 2,
            Architecture::Bet(_) | Architecture::Unet(_) => 4,
        }
    }

    /// What it looks back on, and how far it proposes ahead.
    pub fn horizons(&self) -> Horizons {
        match self {
            Architecture::Mlp | Architecture::Diffusion(_) => Horizons::SINGLE,
            Architecture::Bet(settings) => settings.horizons(),
            Architecture::Unet(settings) => settings.horizons(),
        }
    }

    /// Buckets that it sorts actions into; 0 for those that do not.
    pub fn buckets(&self) -> usize {
        match self {
            Architecture::Mlp | Architecture::Diffusion(_) | Architecture::Unet(_) => 0,
            Architecture::Bet(settings) => settings.buckets,
        }
    }

    /// How it is trained where nothing else is asked for.
    pub fn optimizer_defaults(&self) -> OptimizerDefaults {
        match self {
            Architecture::Mlp | Architecture::Diffusion(_) => {
                OptimizerDefaults { lr: 3e-4, batch: 256, optimizer: Optimizer::ADAM }
            }
            Architecture::Bet(_) => BetSettings::OPTIMIZER_DEFAULTS,
            Architecture::Unet(_) => UnetSettings::OPTIMIZER_DEFAULTS,
        }
    }

    /// A network of random weights. `centers`: of the [`buckets`](Self::buckets), `[buckets, n_act]`.
    ///
    /// # Panics
    /// If a width is 0, a setting out of range, or there are not that many centers.
    pub fn random(
        &self,
        n_obs: usize,
        hidden: &[usize],
        n_act: usize,
        centers: &[f32],
        seed: Seed,
    ) -> Backbone {
        match self {
            Architecture::Mlp => Backbone::Mlp(Mlp::random(&[&[n_obs], hidden, &[n_act]].concat(), seed)),
            Architecture::Diffusion(settings) => {
                Backbone::Diffusion(Diffusion::random(n_obs, hidden, n_act, *settings, seed))
            }
            Architecture::Bet(settings) => Backbone::Bet(Bet::random(n_obs, n_act, *settings, centers, seed)),
            Architecture::Unet(settings) => {
                Backbone::Unet(Unet::random(n_obs, hidden, n_act, *settings, seed))
            }
        }
    }
}

/// A fault whose expectation is the same for all settings.
fn owned(fault: Option<(&'static str, &'static str, String)>) -> Option<(&'static str, String, String)> {
    fault.map(|(option, expected, found)| (option, expected.to_string(), found))
}

/// What proposes actions: a network's numbers, for acting.
#[derive(Debug, Clone, PartialEq)]
pub enum Backbone {
    /// Nothing: for lambda = 0, where no proposal counts.
    Nothing,
    /// A multi-layer perceptron on the standardized state.
    Mlp(Mlp),
    /// Denoising diffusion, from the standardized state.
    Diffusion(Diffusion),
    /// A behavior transformer, from the last standardized states.
    Bet(Bet),
    /// A U-Net, from the newest standardized states.
    Unet(Unet),
}

impl Backbone {
    /// Which backbone; `None` for nothing.
    pub fn architecture(&self) -> Option<Architecture> {
        match self {
            Backbone::Nothing => None,
            Backbone::Mlp(_) => Some(Architecture::Mlp),
            Backbone::Diffusion(diffusion) => Some(Architecture::Diffusion(*diffusion.settings())),
            Backbone::Bet(bet) => Some(Architecture::Bet(*bet.settings())),
            Backbone::Unet(unet) => Some(Architecture::Unet(*unet.settings())),
        }
    }

    /// Widths of an observation and an action; `None` for nothing.
    pub fn widths(&self) -> Option<[usize; 2]> {
        match self {
            Backbone::Nothing => None,
            Backbone::Mlp(mlp) => Some(mlp.0.ends()),
            Backbone::Diffusion(diffusion) => Some([diffusion.n_obs(), diffusion.n_act()]),
            Backbone::Bet(bet) => Some([bet.n_obs(), bet.n_act()]),
            Backbone::Unet(unet) => Some([unet.n_obs(), unet.n_act()]),
        }
    }

    /// Whether two proposals for one observation can differ.
    pub fn draws(&self) -> bool {
        match self {
            Backbone::Nothing | Backbone::Mlp(_) => false,
            Backbone::Diffusion(_) | Backbone::Unet(_) => true,
            Backbone::Bet(bet) => bet.settings().bucket_selection == BucketSelection::Sample,
        }
    }

    /// What it looks back on, and how far it proposes ahead.
    pub fn horizons(&self) -> Horizons {
        self.architecture().map_or(Horizons::SINGLE, |architecture| architecture.horizons())
    }

    /// Takes note of the newest observation of an episode (`[n_obs]`, standardized). Every observation is shown, whether
    /// or not a proposal is wanted for it.
    pub fn see(&self, observation: &[f32], episode: &mut Episode) {
        episode.see(observation, self.horizons().observation);
    }

    /// Proposes `horizon` actions from the newest observation on, left in the episode as
    /// [`proposal`](Episode::proposal). `hold` is told a number's place in the proposal (`[horizon, n_act]`) and a proposal
    /// for it, and answers with what would count: a backbone that goes by its own proposals goes by them as held.
    ///
    /// # Panics
    /// If nothing was seen, or observations of another width were.
    pub fn propose(&self, episode: &mut Episode, hold: &dyn Fn(usize, f32) -> f32) {
        let seen = std::mem::take(&mut episode.seen); // lent for the call, and put back
        match self {
            Backbone::Nothing => {}
            Backbone::Mlp(mlp) => {
                mlp.propose(&seen, &mut episode.buffers);
            }
            Backbone::Diffusion(diffusion) => diffusion.propose(&seen, episode, hold),
            Backbone::Bet(bet) => {
                let Episode { rng, bet: work, buffers: (_, proposal), .. } = episode;
                bet.propose(&seen, rng, work, proposal);
            }
            Backbone::Unet(unet) => {
                let Episode { rng, buffers: (_, proposal), chunk, .. } = episode;
                unet.propose(&seen, (chunk, rng, proposal), hold);
            }
        }
        episode.seen = seen;
    }

    /// Its arrays by name, none for nothing.
    pub fn arrays(&self) -> Arrays {
        let mut arrays = Arrays::new();
        match self {
            Backbone::Nothing => {}
            Backbone::Mlp(mlp) => mlp.0.put("", &mut arrays),
            Backbone::Diffusion(diffusion) => diffusion.put(&mut arrays),
            Backbone::Bet(bet) => bet.put(&mut arrays),
            Backbone::Unet(unet) => unet.put(&mut arrays),
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
            Architecture::Bet(settings) => Backbone::Bet(Bet::take(settings, arrays)?),
            Architecture::Unet(settings) => Backbone::Unet(Unet::take(settings, arrays)?),
        })
    }
}
