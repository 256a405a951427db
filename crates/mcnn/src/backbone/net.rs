//! Backbones in training: what a batch is, and how a network gets from it to a loss and a gradient.

use std::{fmt, ops::Range};

use super::{Backbone, Network, Workspace};
use crate::seed::Seed;

/// A batch or a micro-batch. Each row is a window of observations and the demonstrated actions of its target steps
/// ([`Horizons::target_steps`](super::Horizons::target_steps)).
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The observations, standardized: `[rows * window, n_obs]`, those of a row together, oldest first.
    pub observations: &'a [f32],
    /// The memory that each row is paired with, its standardized state and its action: `[rows, n_obs + n_act]`. Empty for a
    /// backbone that does not see memories ([`retrieval`](super::BackboneSettings::retrieval)).
    pub neighbors: &'a [f32],
    /// The demonstrated actions: `[rows, target_steps, n_act]`.
    pub actions: &'a [f32],
    /// Which target steps count in a loss: `[rows, target_steps]`. Steps beyond the end of an episode repeat its last action (and
    /// observation); they count only if [`counts_padding`](super::Horizons::counts_padding).
    pub mask: &'a [bool],
    /// Target steps that count, of the whole batch that these rows belong to: losses are means over them.
    pub count: usize,
}

/// The loss of network outputs. Its arguments are the outputs `[rows * target_steps, n_act]`, the weights of their squared
/// errors (the same shape; `None` for 1 each), and the gradient of the loss with respect to the outputs, which it writes. It
/// returns the loss.
pub type LossFn<'a> = &'a mut dyn FnMut(&[f32], Option<&[f32]>, &mut [f32]) -> f64;

/// A network in training. Its parameters are one flat array, which its caller owns.
pub trait TrainableNet: fmt::Debug + Send + Sync {
    /// The loss of a micro-batch, the network's own included, and its gradient: `grad`, as long as `parameters`, is
    /// overwritten. `seed`: of the random choices.
    ///
    /// # Panics
    /// If the batch, the parameters or the gradient do not fit the network.
    fn loss_and_grad(
        &self,
        parameters: &[f32],
        batch: &Batch,
        seed: Seed,
        loss_fn: LossFn,
        grad: &mut [f32],
        workspace: &mut Workspace,
    ) -> f64;

    /// The ranges of parameters that weight decay applies to, in any order.
    fn decaying(&self) -> Vec<Range<usize>> {
        Vec::new()
    }

    /// The network of given parameters, for acting.
    fn to_network(&self, parameters: &[f32]) -> Network;
}

/// A network in training together with its parameters.
#[derive(Debug)]
pub struct Net {
    net: Box<dyn TrainableNet>,
    parameters: Vec<f32>,
}

impl Net {
    /// The network of a backbone.
    pub fn new(backbone: &dyn Backbone) -> Self {
        let (net, parameters) = backbone.to_trainable();
        Self { net, parameters }
    }

    /// The network as it is now, for acting.
    pub fn network(&self) -> Network {
        self.network_of(&self.parameters)
    }

    /// The network of other parameters, for acting.
    ///
    /// # Panics
    /// If their number is another.
    pub fn network_of(&self, parameters: &[f32]) -> Network {
        assert_eq!(parameters.len(), self.parameters.len(), "the number of parameters");
        self.net.to_network(parameters)
    }

    /// The parameters.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// The parameters, to be changed.
    pub fn parameters_mut(&mut self) -> &mut [f32] {
        &mut self.parameters
    }

    /// See [`TrainableNet::loss_and_grad`].
    ///
    /// # Panics
    /// If the batch or the gradient does not fit the network.
    pub fn loss_and_grad(
        &self,
        batch: &Batch,
        seed: Seed,
        loss_fn: LossFn,
        grad: &mut [f32],
        workspace: &mut Workspace,
    ) -> f64 {
        assert_eq!(grad.len(), self.parameters.len(), "a gradient for every parameter");
        self.net.loss_and_grad(&self.parameters, batch, seed, loss_fn, grad, workspace)
    }

    /// The ranges of parameters that weight decay applies to, in order.
    pub fn decaying(&self) -> Vec<Range<usize>> {
        let mut ranges = self.net.decaying();
        ranges.sort_by_key(|range| range.start);
        ranges
    }
}
