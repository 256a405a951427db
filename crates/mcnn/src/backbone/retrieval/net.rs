//! The retrieval-conditioned network in training: each row is a pair of a demonstrated step and a memory.

use std::ops::Range;

use super::{RetrievalMlp, RetrievalSettings};
use crate::{
    backbone::{
        Batch, LossFn, Network, TrainableNet, Workspace,
        layer_stack::{HiddenActivation, LayerStack, StackWorkspace},
    },
    seed::Seed,
};

/// The network in training.
#[derive(Debug, Clone)]
pub struct RetrievalNet {
    settings: RetrievalSettings,
    stack: LayerStack,
    widths: [usize; 2], // n_obs, n_act
}

impl RetrievalNet {
    /// The network of a backbone, and its parameters.
    pub fn new(network: &RetrievalMlp) -> (Self, Vec<f32>) {
        let mut parameters = Vec::new();
        let stack = LayerStack::new(network.layers(), HiddenActivation::Relu, &mut parameters);
        (Self { settings: network.settings, stack, widths: [network.n_obs(), network.n_act()] }, parameters)
    }

    /// The backbone of given parameters.
    pub fn with_parameters(&self, parameters: &[f32]) -> RetrievalMlp {
        RetrievalMlp::new(self.settings, self.stack.layers(parameters)).expect("a network's own layers fit")
    }
}

impl TrainableNet for RetrievalNet {
    fn loss_and_grad(
        &self,
        parameters: &[f32],
        batch: &Batch,
        _: Seed,
        loss_fn: LossFn,
        grad: &mut [f32],
        workspace: &mut Workspace,
    ) -> f64 {
        let (rows, [n_obs, n_act]) = (batch.mask.len(), self.widths);
        assert_eq!(
            [batch.observations.len(), batch.neighbors.len()],
            [rows * n_obs, rows * (n_obs + n_act)],
            "an observation and a memory for each row"
        );
        let workspace: &mut StackWorkspace = workspace.buffers();
        workspace.values.resize_with(1, Vec::new);
        let input = &mut workspace.values[0];
        input.clear();
        let memories = || batch.neighbors.chunks_exact(n_obs + n_act).map(|memory| memory.split_at(n_obs));
        for (x, (state, action)) in batch.observations.chunks_exact(n_obs).zip(memories()) {
            input.extend_from_slice(x);
            input.extend(x.iter().zip(state).map(|(x, s)| x - s));
            input.extend_from_slice(action);
        }
        self.stack.forward(parameters, workspace);
        let output = workspace.values.last_mut().expect("an output");
        for (output, (_, action)) in output.chunks_exact_mut(n_act).zip(memories()) {
            output.iter_mut().zip(action).for_each(|(difference, a)| *difference += a);
        }
        workspace.delta.resize(output.len(), 0.0);
        let loss = loss_fn(output, None, &mut workspace.delta);
        self.stack.backward(parameters, workspace, grad);
        loss
    }

    fn decaying(&self) -> Vec<Range<usize>> {
        self.stack.weights()
    }

    fn to_network(&self, parameters: &[f32]) -> Network {
        self.with_parameters(parameters).into()
    }
}
