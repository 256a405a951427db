//! Backbones as they are trained: what a batch is, and how a network goes from it to the slopes of a loss by its numbers.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::chain::ChainRoom;
use super::{
    Backbone, BetNet, DiffusionNet, MlpNet, UnetNet, bet::BetRoom, diffusion::DiffusionRoom, unet::UnetRoom,
};
use crate::seed::Seed;

/// How a backbone is trained where nothing else is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimizerDefaults {
    /// Learning rate.
    pub lr: f64,
    /// Rows in a batch.
    pub batch: usize,
    /// The rest of what moves the weights.
    pub optimizer: Optimizer,
}

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019) and the course of its learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Optimizer {
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

impl Optimizer {
    /// Adam with PyTorch's defaults.
    pub const ADAM: Optimizer =
        Optimizer { betas: [0.9, 0.999], weight_decay: 0.0, warm_up: 0, cosine: false, clip: 0.0 };
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::ADAM
    }
}

/// Rows to propose for: a batch, or a part of one. Of each row, `window` observations, and `places` demonstrated actions
/// ([`Horizons::places`](super::Horizons::places)).
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The observations, standardized: `[rows * window, n_obs]`, those of a row together, oldest first.
    pub observations: &'a [f32],
    /// The demonstrated actions: `[rows, places, n_act]`.
    pub actions: &'a [f32],
    /// Which places were demonstrated: `[rows, places]`. The others lie beyond the end of an episode, whose last action
    /// (and observation) stands there; they count nothing.
    pub real: &'a [bool],
    /// How many places were demonstrated in the whole batch that these rows are a part of: losses are means over them.
    pub count: usize,
}

/// What becomes of proposals. It is told some, `[rows * places, n_act]`, and what their squared errors count (the same shape;
/// 1 each where there are none); it writes the slopes of the loss by the proposals, and answers with the loss.
pub type LossFn<'a> = &'a mut dyn FnMut(&[f32], Option<&[f32]>, &mut [f32]) -> f64;

/// A backbone as it is trained: its numbers in one array, and what they make.
#[derive(Debug, Clone)]
pub struct Net {
    kind: Kind,
    numbers: Vec<f32>,
}

#[derive(Debug, Clone)]
enum Kind {
    Mlp(MlpNet),
    Diffusion(DiffusionNet),
    Bet(BetNet),
    Unet(UnetNet),
}

/// Room for what a step computes on the way, used again by the next.
#[derive(Debug, Default)]
pub struct Room {
    chain: ChainRoom,
    diffusion: DiffusionRoom,
    bet: BetRoom,
    unet: UnetRoom,
}

impl Net {
    /// The network of a backbone; `None` for nothing.
    pub fn new(backbone: &Backbone) -> Option<Self> {
        let (kind, numbers) = match backbone {
            Backbone::Nothing => return None,
            Backbone::Mlp(mlp) => {
                let (net, numbers) = MlpNet::new(mlp);
                (Kind::Mlp(net), numbers)
            }
            Backbone::Diffusion(diffusion) => {
                let (net, numbers) = DiffusionNet::new(diffusion);
                (Kind::Diffusion(net), numbers)
            }
            Backbone::Bet(bet) => {
                let (net, numbers) = BetNet::new(bet);
                (Kind::Bet(net), numbers)
            }
            Backbone::Unet(unet) => {
                let (net, numbers) = UnetNet::new(unet);
                (Kind::Unet(net), numbers)
            }
        };
        Some(Self { kind, numbers })
    }

    /// The backbone as it is now.
    pub fn backbone(&self) -> Backbone {
        self.with(&self.numbers)
    }

    /// The backbone that it would be with other numbers.
    ///
    /// # Panics
    /// If they are not as many.
    pub fn with(&self, numbers: &[f32]) -> Backbone {
        assert_eq!(numbers.len(), self.numbers.len(), "a network's numbers");
        match &self.kind {
            Kind::Mlp(net) => Backbone::Mlp(net.numbers(numbers)),
            Kind::Diffusion(net) => Backbone::Diffusion(net.numbers(numbers)),
            Kind::Bet(net) => Backbone::Bet(net.numbers(numbers)),
            Kind::Unet(net) => Backbone::Unet(net.numbers(numbers)),
        }
    }

    /// The numbers that are trained.
    pub fn numbers(&self) -> &[f32] {
        &self.numbers
    }

    /// The numbers that are trained, to be changed.
    pub fn numbers_mut(&mut self) -> &mut [f32] {
        &mut self.numbers
    }

    /// Proposals for a batch, held, and the way back: sets the gradient of the loss by the numbers, and answers with the loss,
    /// the network's own included. `seed` decides whatever is random.
    ///
    /// # Panics
    /// If the gradient has another length than the numbers.
    pub fn train(
        &self,
        batch: &Batch,
        seed: Seed,
        hold: LossFn,
        gradient: &mut [f32],
        room: &mut Room,
    ) -> f64 {
        assert_eq!(gradient.len(), self.numbers.len(), "a gradient for every number");
        let numbers = &self.numbers[..];
        match &self.kind {
            Kind::Mlp(net) => net.train(numbers, batch, hold, gradient, &mut room.chain),
            Kind::Diffusion(net) => {
                let draws = net.draw(batch, seed);
                net.train(numbers, batch, &draws, hold, gradient, &mut room.diffusion)
            }
            Kind::Bet(net) => net.train(numbers, batch, seed, hold, gradient, &mut room.bet),
            Kind::Unet(net) => {
                let draws = net.draw(batch, seed);
                net.train(numbers, batch, &draws, hold, gradient, &mut room.unet)
            }
        }
    }

    /// Where the numbers lie that weight decay is for: the weights of layers, not their biases; of a U-Net all of them, as in
    /// the field. In order.
    pub fn decaying(&self) -> Vec<Range<usize>> {
        let mut places = match &self.kind {
            Kind::Mlp(net) => net.decaying(),
            Kind::Diffusion(net) => net.decaying(),
            Kind::Bet(net) => net.decaying(),
            Kind::Unet(_) => std::iter::once(0..self.numbers.len()).collect(),
        };
        places.sort_by_key(|place| place.start);
        places
    }
}
