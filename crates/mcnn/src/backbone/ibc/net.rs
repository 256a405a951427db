//! Implicit behavior cloning in training.

use std::ops::Range;

use kernels::{Matrix, Product};

use super::{EnergySampler, Ibc, IbcSettings, langevin};
use crate::{
    backbone::{
        Batch, LossFn, Network, TrainableNet, Workspace, exponential,
        layer_stack::{HiddenActivation, LayerStack, StackWorkspace},
    },
    seed::Seed,
};

/// The size of the gradient of the energy with respect to a dimension of the action above which it is penalized.
const MARGIN: f32 = 1.0;

/// The network in training.
#[derive(Debug, Clone)]
pub struct IbcNet {
    settings: IbcSettings,
    stack: LayerStack,
    widths: [usize; 2], // n_obs, n_act
}

/// Buffers of a training step.
#[derive(Debug, Default)]
pub struct IbcWorkspace {
    stack: StackWorkspace,
    pub(super) negatives: Vec<f32>, // [rows, negatives, n_act]
    gradients: Vec<f32>,            // of the energies with respect to actions
    tangents: Vec<Vec<f32>>,        // of the penalty: of the input of each layer
    product: Product,
}

impl IbcNet {
    /// The network of a backbone, and its parameters.
    pub fn new(ibc: &Ibc) -> (Self, Vec<f32>) {
        let mut parameters = Vec::new();
        let stack = LayerStack::new(ibc.layers(), HiddenActivation::Relu, &mut parameters);
        (Self { settings: ibc.settings, stack, widths: [ibc.n_obs(), ibc.n_act()] }, parameters)
    }

    /// The backbone of given parameters.
    pub fn with_parameters(&self, parameters: &[f32]) -> Ibc {
        Ibc::new(self.settings, self.stack.layers(parameters), self.widths[1])
            .expect("a network's own layers")
    }

    /// Draws the counterexamples of a batch, `[rows, negatives, n_act]`, into the workspace.
    fn draw(&self, parameters: &[f32], batch: &Batch, seed: Seed, workspace: &mut IbcWorkspace) {
        let n = batch.mask.len() * self.settings.negatives * self.widths[1];
        langevin::uniform(&mut workspace.negatives, n, &mut seed.fork("uniform").rng());
        if self.settings.sampler == EnergySampler::Langevin {
            self.by_langevin(parameters, batch.observations, seed.fork("langevin"), workspace);
        }
    }

    /// Moves the workspace's counterexamples by Langevin dynamics.
    pub(super) fn by_langevin(
        &self,
        parameters: &[f32],
        observations: &[f32],
        seed: Seed,
        workspace: &mut IbcWorkspace,
    ) {
        let mut rng = seed.rng();
        for step in langevin::step_sizes(self.settings.iterations) {
            self.negative_gradients(parameters, observations, workspace);
            let IbcWorkspace { negatives, gradients, .. } = &mut *workspace;
            langevin::step(negatives, gradients, step, self.settings.noise, &mut rng);
        }
    }

    /// Computes the energies of the workspace's counterexamples, and their gradients with respect to the actions.
    fn negative_gradients(&self, parameters: &[f32], observations: &[f32], workspace: &mut IbcWorkspace) {
        let IbcWorkspace { stack, negatives, gradients, product, .. } = workspace;
        let ([n_obs, n_act], each) = (self.widths, self.settings.negatives);
        let rows = observations.chunks_exact(n_obs).flat_map(|x| std::iter::repeat_n(x, each));
        self.rate(parameters, rows.zip(negatives.chunks_exact(n_act)), stack);
        self.action_gradients(parameters, stack, gradients, product);
    }

    /// The forward pass of pairs of an observation and an action. The energies are the last of the workspace's values.
    fn rate<'a>(
        &self,
        parameters: &[f32],
        pairs: impl Iterator<Item = (&'a [f32], &'a [f32])>,
        stack: &mut StackWorkspace,
    ) {
        stack.values.resize_with(1, Vec::new);
        let input = &mut stack.values[0];
        input.clear();
        pairs.for_each(|(x, a)| {
            input.extend_from_slice(x);
            input.extend_from_slice(a);
        });
        self.stack.forward(parameters, stack);
    }

    /// The gradients of the energies of the last forward pass with respect to the actions: `[rows, n_act]`.
    fn action_gradients(
        &self,
        parameters: &[f32],
        stack: &mut StackWorkspace,
        gradients: &mut Vec<f32>,
        product: &mut Product,
    ) {
        let [n_obs, n_act] = self.widths;
        stack.delta.clear();
        stack.delta.resize(stack.values.last().map_or(0, Vec::len), 1.0);
        (1..self.stack.n_layers()).rev().for_each(|k| self.stack.step_back(k, parameters, stack));
        let first = &parameters[self.stack.weight(0)];
        let width = first.len() / (n_obs + n_act);
        let rows = stack.delta.len() / width;
        gradients.resize(rows * n_act, 0.0);
        let of_actions = Matrix::new(&first[n_obs * width..], [n_act, width]);
        product.set(Matrix::new(&stack.delta, [rows, width]), of_actions.transposed(), gradients);
    }

    /// See [`TrainableNet::loss_and_grad`], with the counterexamples that the workspace has.
    pub(super) fn loss_and_grad_of(
        &self,
        parameters: &[f32],
        batch: &Batch,
        grad: &mut [f32],
        workspace: &mut IbcWorkspace,
    ) -> f64 {
        let [n_obs, n_act] = self.widths;
        let each = self.settings.negatives;
        let IbcWorkspace { stack, negatives, .. } = workspace;
        let steps = batch.observations.chunks_exact(n_obs).zip(batch.actions.chunks_exact(n_act));
        let pairs = steps.zip(negatives.chunks_exact(each * n_act)).flat_map(|((x, a), negatives)| {
            std::iter::once(a).chain(negatives.chunks_exact(n_act)).map(move |a| (x, a))
        });
        self.rate(parameters, pairs, stack);
        let energies = stack.values.last().expect("energies");
        stack.delta.resize(energies.len(), 0.0);
        let share = 1.0 / batch.count as f32;
        let rows = energies.chunks_exact(each + 1).zip(stack.delta.chunks_exact_mut(each + 1));
        let loss: f64 = rows.map(|(energies, delta)| info_nce(energies, share, delta)).sum();
        self.stack.backward(parameters, stack, grad);
        match self.settings.sampler {
            EnergySampler::Uniform => loss,
            EnergySampler::Langevin => loss + self.penalty(parameters, batch, grad, workspace),
        }
    }

    /// The gradient penalty on the counterexamples, the mean of max(0, max |dE/da| - M)^2 over them; its gradient is added to
    /// `grad`.
    ///
    /// Layer by layer the gradient dE/da is linear in the weights, apart from which units are active. So with v the gradient of
    /// the penalty with respect to dE/da, the gradient with respect to a layer's weights is the product of two passes: of v
    /// forward through the active units, and of dE/dE = 1 backward.
    fn penalty(
        &self,
        parameters: &[f32],
        batch: &Batch,
        grad: &mut [f32],
        workspace: &mut IbcWorkspace,
    ) -> f64 {
        self.negative_gradients(parameters, batch.observations, workspace);
        let share = 1.0 / (batch.count * self.settings.negatives) as f32;
        let loss = self.hinge(share, workspace);
        self.forward_tangents(parameters, workspace);
        self.add_penalty_gradient(parameters, grad, workspace);
        loss
    }

    /// The penalty, multiplied by `share`, of the gradients that the workspace has. Writes v, as wide as the input of the network.
    fn hinge(&self, share: f32, workspace: &mut IbcWorkspace) -> f64 {
        let IbcWorkspace { gradients, tangents, .. } = workspace;
        let [n_obs, n_act] = self.widths;
        tangents.resize_with(self.stack.n_layers(), Vec::new);
        let v = &mut tangents[0];
        v.clear();
        v.resize(gradients.len() / n_act * (n_obs + n_act), 0.0);
        let mut loss = 0.0;
        for (gradient, v) in gradients.chunks_exact(n_act).zip(v.chunks_exact_mut(n_obs + n_act)) {
            let largest = (0..n_act)
                .max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs()))
                .expect("an action has dimensions");
            let excess = (gradient[largest].abs() - MARGIN).max(0.0);
            loss += f64::from(share * excess * excess);
            v[n_obs + largest] = 2.0 * share * excess * gradient[largest].signum();
        }
        loss
    }

    /// Takes v forward through the units that are active, to the input of every layer.
    fn forward_tangents(&self, parameters: &[f32], workspace: &mut IbcWorkspace) {
        let IbcWorkspace { stack, tangents, product, .. } = workspace;
        for k in 0..self.stack.n_layers() - 1 {
            let ([inputs, outputs], weight) = (self.stack.ends(k), &parameters[self.stack.weight(k)]);
            let (done, rest) = tangents.split_at_mut(k + 1);
            let (left, active) = (&done[k], &stack.values[k + 1]);
            rest[0].resize(active.len(), 0.0);
            let left = Matrix::new(left, [left.len() / inputs, inputs]);
            product.set(left, Matrix::new(weight, [inputs, outputs]), &mut rest[0]);
            rest[0].iter_mut().zip(active).for_each(|(t, v)| *t = if *v > 0.0 { *t } else { 0.0 });
        }
    }

    /// Adds the gradient with respect to the weights: the tangent of each layer's input times the gradient of its output.
    fn add_penalty_gradient(&self, parameters: &[f32], grad: &mut [f32], workspace: &mut IbcWorkspace) {
        let IbcWorkspace { stack, gradients, tangents, product, .. } = workspace;
        stack.delta.clear();
        stack.delta.resize(gradients.len() / self.widths[1], 1.0);
        for k in (0..self.stack.n_layers()).rev() {
            let [inputs, outputs] = self.stack.ends(k);
            let rows = stack.delta.len() / outputs;
            let tangent = Matrix::new(&tangents[k], [rows, inputs]);
            let delta = Matrix::new(&stack.delta, [rows, outputs]);
            product.add(tangent.transposed(), delta, &mut grad[self.stack.weight(k)]);
            if k > 0 {
                self.stack.step_back(k, parameters, stack);
            }
        }
    }
}

/// The loss of a row: of the energies of the demonstrated action, which is the first, and of its counterexamples. Writes its
/// gradient. Both are multiplied by `share`.
fn info_nce(energies: &[f32], share: f32, delta: &mut [f32]) -> f64 {
    let lowest = energies.iter().copied().fold(f32::INFINITY, f32::min);
    let mut sum = 0.0;
    for (delta, energy) in delta.iter_mut().zip(energies) {
        *delta = exponential((lowest - energy).max(-87.0));
        sum += *delta;
    }
    delta.iter_mut().for_each(|p| *p *= -share / sum);
    delta[0] += share;
    f64::from(share) * (f64::from(energies[0] - lowest) + f64::from(sum).ln())
}

impl TrainableNet for IbcNet {
    /// The loss is the network's own: there is no output to compare with the demonstrated action.
    fn loss_and_grad(
        &self,
        parameters: &[f32],
        batch: &Batch,
        seed: Seed,
        _: LossFn,
        grad: &mut [f32],
        workspace: &mut Workspace,
    ) -> f64 {
        let workspace: &mut IbcWorkspace = workspace.buffers();
        self.draw(parameters, batch, seed, workspace);
        self.loss_and_grad_of(parameters, batch, grad, workspace)
    }

    fn decaying(&self) -> Vec<Range<usize>> {
        self.stack.weights()
    }

    fn to_network(&self, parameters: &[f32]) -> Network {
        self.with_parameters(parameters).into()
    }
}
