//! Backbones as they are trained: what a batch is, what a network answers it with, and what moves its weights.

use burn::{
    module::{Module, ModuleVisitor, Param, ParamGroup},
    optim::GradientsParams,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use super::{Backbone, BetNet, DiffusionNet, MlpNet, Tape, UnetNet};
use crate::seed::Seed;

/// How a backbone is trained where nothing else is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// Learning rate.
    pub lr: f64,
    /// Rows in a batch.
    pub batch: usize,
    /// The rest of what moves the weights.
    pub optimiser: Optimiser,
}

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019) and the course of its learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Optimiser {
    /// Decay of the running means of gradients and of their squares, each in [0, 1).
    pub betas: [f64; 2],
    /// Share of the weights that decay taken off a step, times the learning rate; 0 for none.
    pub weight_decay: f64,
    /// Steps over which the learning rate rises from 0; 0 for none.
    pub warm_up: u64,
    /// Whether the learning rate falls to 0 at the last step along a half cosine. It then matters how many steps are asked for.
    pub cosine: bool,
    /// Norm of all gradients together above which they are shortened to it; 0 for no limit.
    pub clip: f64,
}

impl Optimiser {
    /// Adam with PyTorch's defaults.
    pub const ADAM: Optimiser =
        Optimiser { betas: [0.9, 0.999], weight_decay: 0.0, warm_up: 0, cosine: false, clip: 0.0 };
}

impl Default for Optimiser {
    fn default() -> Self {
        Self::ADAM
    }
}

/// Rows to propose for: of each, `window` observations, and `places` demonstrated actions
/// ([`Span::places`](super::Span::places)).
#[derive(Debug)]
pub struct Batch<'a> {
    /// The observations, standardised: `[batch * window, n_obs]`, those of a row together, oldest first.
    pub observations: Tensor<2>,
    /// The demonstrated actions: `[batch, places, n_act]`.
    pub actions: &'a [f32],
    /// Which places were demonstrated: `[batch, places]`. The others lie beyond the end of an episode, whose last action
    /// (and observation) stands there; they count nothing.
    pub real: &'a [bool],
}

/// What a network in training proposes for a batch.
#[derive(Debug)]
pub struct Proposed {
    /// Proposals, before they are held: `[batch * places, n_act]`.
    pub proposal: Tensor<2>,
    /// What the squared errors of the held proposals count, `[batch * places, n_act]`; 1 each where there are none.
    pub weights: Option<Tensor<2>>,
    /// A loss of the network's own, which is added to the mean of those.
    pub own: Option<Tensor<1>>,
    /// The way from the proposals back to the weights, where the network goes it itself rather than leave it to autodiff.
    pub tape: Option<Tape>,
}

/// A backbone as it is trained.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a run has one, and it lies in no array")]
pub enum Net {
    /// A multi-layer perceptron.
    Mlp(MlpNet),
    /// Denoising diffusion.
    Diffusion(DiffusionNet),
    /// A behaviour transformer.
    Bet(BetNet),
    /// Denoising diffusion over a chunk, by a U-Net.
    Unet(UnetNet),
}

impl Net {
    /// The network with the numbers of `backbone`, on a device; `None` for nothing. Its parameters are numbered in an order
    /// of their own, so that an optimiser's state finds them again after a restart.
    pub fn new(backbone: &Backbone, device: &Device) -> Option<Self> {
        match backbone {
            Backbone::Nothing => None,
            Backbone::Mlp(mlp) => Some(Net::Mlp(MlpNet::new(mlp, device))),
            Backbone::Diffusion(diffusion) => Some(Net::Diffusion(DiffusionNet::new(diffusion, device))),
            Backbone::Bet(bet) => Some(Net::Bet(BetNet::new(bet, device))),
            Backbone::Unet(unet) => Some(Net::Unet(UnetNet::new(unet, device))),
        }
    }

    /// The numbers as they are now.
    pub fn numbers(&self) -> Backbone {
        match self {
            Net::Mlp(net) => Backbone::Mlp(net.numbers()),
            Net::Diffusion(net) => Backbone::Diffusion(net.numbers()),
            Net::Bet(net) => Backbone::Bet(net.numbers()),
            Net::Unet(net) => Backbone::Unet(net.numbers()),
        }
    }

    /// Proposals for a batch, to be trained towards its actions. `seed` decides whatever is random in them.
    pub fn propose(&self, batch: Batch, seed: Seed) -> Proposed {
        match self {
            Net::Mlp(net) => {
                let proposal = net.forward(batch.observations);
                Proposed { proposal, weights: None, own: None, tape: None }
            }
            Net::Diffusion(net) => {
                let Batch { observations, actions, .. } = batch;
                let draws = net.draw(observations.dims()[0], actions.len(), seed);
                net.propose(observations, actions, &draws)
            }
            Net::Bet(net) => net.propose(batch.observations, batch.actions, batch.real, seed),
            Net::Unet(net) => {
                let draws = net.draw(batch.actions.len(), seed);
                net.propose(batch, &draws)
            }
        }
    }

    /// The gradients of a loss. `tape`: what the proposals it was taken of came with.
    pub fn gradients(&self, loss: &Tensor<1>, tape: Option<Tape>) -> GradientsParams {
        match tape {
            None => GradientsParams::from_grads(loss.backward(), self),
            Some(tape) => tape.back(&loss.backward()),
        }
    }

    /// The parameters that weight decay is for: the weights of layers, not their biases; of a U-Net all of them, as in the
    /// field.
    pub fn decaying(&self) -> ParamGroup {
        if let Net::Unet(net) = self {
            return ParamGroup::from_ids(vec![net.id()]);
        }
        let mut weights = Weights(Vec::new());
        self.visit(&mut weights);
        ParamGroup::from_ids(weights.0)
    }
}

/// Collects the parameters of two or more dimensions.
struct Weights(Vec<burn::module::ParamId>);

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if D > 1 {
            self.0.push(param.id);
        }
    }
}
