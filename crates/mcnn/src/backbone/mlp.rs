//! Multi-layer perceptron with ReLU: `h = relu(x W + b)` for every hidden layer, `g = h W + b` at the end.
//!
//! [`Mlp`] acts, one observation at a time; [`MlpNet`] is trained, a batch at a time.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{
    ActingState, Arrays, Backbone, BackboneSettings, Batch, Constrain, Describe, Layers, LossFn, Network,
    TrainableNet, Workspace,
    layer_stack::{HiddenActivation, LayerStack, StackWorkspace},
    layers::clear_and_reserve,
    product::{add_product, add_product_of_active},
};
use crate::{error::Result, seed::Seed};

/// Settings of a multi-layer perceptron: none, besides the widths of its hidden layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MlpSettings;

impl Describe for MlpSettings {
    const NAME: &'static str = "mlp";
    const TITLE: &'static str = "MLP";
    const METHODS: [&'static str; 2] = ["MCNN", "BC"];
}

impl BackboneSettings for MlpSettings {
    fn default_hidden(&self) -> Vec<usize> {
        vec![256; 2]
    }

    fn members(&self) -> usize {
        5
    }

    fn epochs(&self) -> Option<u64> {
        Some(200)
    }

    fn random(&self, n_obs: usize, hidden: &[usize], n_act: usize, _: &[f32], seed: Seed) -> Network {
        Mlp::random(&[&[n_obs], hidden, &[n_act]].concat(), seed).into()
    }

    fn load_tensors(&self, tensors: &Arrays) -> Result<Network> {
        Ok(Mlp(Layers::load_tensors("", tensors)?).into())
    }
}

/// A multi-layer perceptron (MLP) for acting: observation, hidden layers, action.
#[derive(Debug, Clone, PartialEq)]
pub struct Mlp(pub(super) Layers);

impl Mlp {
    /// An MLP of random weights, as [`Layers::random`] draws them. `widths`: observation, hidden layers, action.
    ///
    /// # Panics
    /// If there are fewer than two widths or one of them is 0.
    pub fn random(widths: &[usize], seed: Seed) -> Self {
        Self(Layers::random(widths, seed))
    }

    /// An MLP of given weights `[widths[k], widths[k + 1]]` and biases `[widths[k + 1]]` by layer.
    /// `None` if their sizes are not those.
    pub fn from_layers(widths: Vec<usize>, layers: Vec<(Vec<f32>, Vec<f32>)>) -> Option<Self> {
        Layers::new(widths, layers).map(Self)
    }

    /// Widths from observation to action.
    pub fn widths(&self) -> &[usize] {
        self.0.widths()
    }

    /// The layers: weights `[in, out]` row by row, and biases.
    pub fn layers(&self) -> impl Iterator<Item = (&[f32], &[f32])> {
        self.0.iter()
    }

    /// The output for one observation.
    fn forward(&self, observation: &[f32], buffers: &mut Buffers, output: &mut Vec<f32>) {
        let Buffers { input, active } = buffers;
        assert_eq!(observation.len(), self.widths()[0], "an observation of another width than the network");
        clear_and_reserve(self.0.max_width(), [&mut *input, &mut *output]); // the layers swap them
        output.extend_from_slice(observation);
        for (k, (weight, bias)) in self.layers().enumerate() {
            std::mem::swap(input, output);
            output.clear();
            output.extend_from_slice(bias);
            if k == 0 {
                add_product(input, input.len(), weight, output);
            } else {
                add_product_of_active(input, weight, output, active);
            }
            if k + 2 < self.widths().len() {
                output.iter_mut().for_each(|o| *o = o.max(0.0));
            }
        }
    }
}

/// Buffers of acting.
#[derive(Debug, Default)]
struct Buffers {
    input: Vec<f32>,  // of a layer
    active: Vec<u32>, // the inputs that are not zero
}

impl Backbone for Mlp {
    fn settings(&self) -> &dyn BackboneSettings {
        &MlpSettings
    }

    fn widths(&self) -> [usize; 2] {
        self.0.ends()
    }

    fn predict(&self, observations: &[f32], _: Constrain, state: &mut ActingState) {
        self.forward(observations, state.workspace.buffers(), &mut state.output);
    }

    fn save_tensors(&self) -> Arrays {
        let mut tensors = Arrays::new();
        self.0.save_tensors("", &mut tensors);
        tensors
    }

    fn to_trainable(&self) -> (Box<dyn TrainableNet>, Vec<f32>) {
        let (net, parameters) = MlpNet::new(self);
        (Box::new(net), parameters)
    }
}

/// The MLP in training.
#[derive(Debug, Clone)]
pub struct MlpNet(LayerStack);

impl MlpNet {
    /// The network of an MLP, and its parameters.
    pub fn new(mlp: &Mlp) -> (Self, Vec<f32>) {
        let mut parameters = Vec::new();
        let stack = LayerStack::new(&mlp.0, HiddenActivation::Relu, &mut parameters);
        (Self(stack), parameters)
    }

    /// The MLP of given parameters.
    pub fn with_parameters(&self, parameters: &[f32]) -> Mlp {
        Mlp(self.0.layers(parameters))
    }
}

impl TrainableNet for MlpNet {
    fn loss_and_grad(
        &self,
        parameters: &[f32],
        batch: &Batch,
        _: Seed,
        loss_fn: LossFn,
        grad: &mut [f32],
        workspace: &mut Workspace,
    ) -> f64 {
        let workspace: &mut StackWorkspace = workspace.buffers();
        workspace.values.resize_with(1, Vec::new);
        workspace.values[0].clear();
        workspace.values[0].extend_from_slice(batch.observations);
        self.0.forward(parameters, workspace);
        let output = workspace.values.last().expect("an output");
        workspace.delta.resize(output.len(), 0.0);
        let loss = loss_fn(output, None, &mut workspace.delta);
        self.0.backward(parameters, workspace, grad);
        loss
    }

    fn decaying(&self) -> Vec<Range<usize>> {
        self.0.weights()
    }

    fn to_network(&self, parameters: &[f32]) -> Network {
        self.with_parameters(parameters).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::oracle::{MlpCase, Oracle, inputs};

    fn output(mlp: &Mlp, observation: &[f32]) -> Vec<f32> {
        let mut output = Vec::new();
        mlp.forward(observation, &mut Buffers::default(), &mut output);
        output
    }

    #[test]
    fn acting_is_the_definition() {
        let oracle = Oracle::mlp();
        for case in oracle.cases::<MlpCase>() {
            let network = case.network();
            let mlp = network.downcast::<Mlp>().expect("an MLP");
            let [n_obs, n_act] = mlp.0.ends();
            let observations = inputs::normal(&format!("{}/observations", case.name), case.rows * n_obs);
            let outputs = oracle.array(&case.name, "outputs");
            for (observation, expected) in observations.chunks(n_obs).zip(outputs.chunks(n_act)) {
                for (a, b) in output(mlp, observation).iter().zip(expected) {
                    assert!((a - b).abs() < 1e-5, "{}: {a} {b}", case.name);
                }
            }
        }
    }

    #[test]
    fn a_perceptron_computes_its_definition() {
        // One hidden unit that is on, one that is off: g = 2 * relu(1*1 + 2*0.5 + 1) + 3 * relu(-9) + 0.25.
        let layers = vec![(vec![1.0, -1.0, 0.5, -1.0], vec![1.0, -6.0]), (vec![2.0, 3.0], vec![0.25])];
        let mlp = Mlp::from_layers(vec![2, 2, 1], layers).unwrap();
        assert_eq!(output(&mlp, &[1.0, 2.0]), [6.25]);
    }
}
