//! Multi-layer perceptron with ReLU: `h = relu(x W + b)` for every hidden layer, `g = h W + b` at the end.
//!
//! It stands here twice: [`Mlp`] acts, one observation at a time; [`MlpNet`] is trained, a batch at a time. Tests hold both to
//! the definition in a library of tensors and its automatic gradients.

use std::ops::Range;

use super::{
    Batch, Layers, LossFn,
    chain::{Bend, Chain, ChainRoom},
    product::add_product,
};
use crate::seed::Seed;

/// The numbers of a multi-layer perceptron, for acting: observation, hidden layers, action.
#[derive(Debug, Clone, PartialEq)]
pub struct Mlp(pub(super) Layers);

impl Mlp {
    /// A perceptron of random weights, as [`Layers::random`] draws them. `widths`: observation, hidden layers, action.
    ///
    /// # Panics
    /// If there are fewer than two widths or one of them is 0.
    pub fn random(widths: &[usize], seed: Seed) -> Self {
        Self(Layers::random(widths, seed))
    }

    /// A perceptron of given numbers: weights `[widths[k], widths[k + 1]]` and biases `[widths[k + 1]]` by layer.
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

    /// The proposal for one observation, written to `buffers.1` of which a slice is returned. `buffers` are scratch
    /// space that grows once.
    ///
    /// # Panics
    /// If the observation has another width.
    pub fn propose<'a>(&self, observation: &[f32], buffers: &'a mut (Vec<f32>, Vec<f32>)) -> &'a [f32] {
        assert_eq!(observation.len(), self.widths()[0], "an observation of another width than the network");
        let (input, output) = (&mut buffers.0, &mut buffers.1);
        output.clear();
        output.extend_from_slice(observation);
        for (k, (weight, bias)) in self.layers().enumerate() {
            std::mem::swap(input, output);
            output.clear();
            output.extend_from_slice(bias);
            add_product(input, input.len(), weight, output);
            if k + 2 < self.widths().len() {
                output.iter_mut().for_each(|o| *o = o.max(0.0));
            }
        }
        output
    }
}

/// The perceptron as it is trained.
#[derive(Debug, Clone)]
pub struct MlpNet(Chain);

impl MlpNet {
    /// The network of a perceptron, and its numbers.
    pub fn new(mlp: &Mlp) -> (Self, Vec<f32>) {
        let mut numbers = Vec::new();
        let chain = Chain::new(&mlp.0, Bend::Relu, &mut numbers);
        (Self(chain), numbers)
    }

    /// The perceptron of given numbers.
    pub fn numbers(&self, numbers: &[f32]) -> Mlp {
        Mlp(self.0.layers(numbers))
    }

    /// As [`Net::train`](super::Net::train) has it.
    pub fn train(
        &self,
        numbers: &[f32],
        batch: &Batch,
        hold: LossFn,
        gradient: &mut [f32],
        room: &mut ChainRoom,
    ) -> f64 {
        room.values.resize_with(1, Vec::new);
        room.values[0].clear();
        room.values[0].extend_from_slice(batch.observations);
        self.0.forward(numbers, room);
        let proposals = room.values.last().expect("an output");
        room.delta.resize(proposals.len(), 0.0);
        let loss = hold(proposals, None, &mut room.delta);
        self.0.back(numbers, room, gradient);
        loss
    }

    /// As [`Net::decaying`](super::Net::decaying) has it.
    pub fn decaying(&self) -> Vec<Range<usize>> {
        self.0.weights()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{
        Backbone,
        oracle::{MlpCase, Oracle, inputs},
    };

    #[test]
    fn acting_is_the_definition() {
        let oracle = Oracle::mlp();
        for case in oracle.cases::<MlpCase>() {
            let Backbone::Mlp(mlp) = case.network() else { panic!("a perceptron") };
            let [n_obs, n_act] = mlp.0.ends();
            let observations = inputs::normal(&format!("{}/observations", case.name), case.rows * n_obs);
            let (mut buffers, outputs) = (Default::default(), oracle.array(&case.name, "outputs"));
            for (observation, expected) in observations.chunks(n_obs).zip(outputs.chunks(n_act)) {
                for (a, b) in mlp.propose(observation, &mut buffers).iter().zip(expected) {
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
        assert_eq!(mlp.propose(&[1.0, 2.0], &mut Default::default()), [6.25]);
    }
}
