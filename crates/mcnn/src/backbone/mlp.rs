//! Multi-layer perceptron with ReLU: `h = relu(x W + b)` for every hidden layer, `g = h W + b` at the end.
//!
//! It stands here twice. [`MlpNet`] is the definition that is trained (Burn, autodiff, any device); [`Mlp`] holds the
//! same numbers for acting one observation at a time, without a tensor library. A test holds them to each other.

use burn::{
    module::Module,
    nn::Linear,
    tensor::{Device, Tensor, activation::relu},
};

use super::Layers;
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
            // Row by row of the weights: every output adds its products in the order of the inputs, whatever the
            // vector width, so that all machines agree.
            for (x, row) in input.iter().zip(weight.chunks_exact(output.len())) {
                if *x != 0.0 {
                    output.iter_mut().zip(row).for_each(|(o, w)| *o += x * w);
                }
            }
            if k + 2 < self.widths().len() {
                output.iter_mut().for_each(|o| *o = o.max(0.0));
            }
        }
        output
    }
}

/// The perceptron as it is trained.
#[derive(Module, Debug)]
pub struct MlpNet {
    layers: Vec<Linear>,
}

impl MlpNet {
    /// The network with the numbers of `mlp`, on a device.
    pub fn new(mlp: &Mlp, device: &Device) -> Self {
        Self { layers: mlp.0.to_burn(1, device) }
    }

    /// Proposals for a batch: `[batch, n_obs]` to `[batch, n_act]`.
    pub fn forward(&self, observations: Tensor<2>) -> Tensor<2> {
        let (last, hidden) = self.layers.split_last().expect("at least one layer");
        last.forward(hidden.iter().fold(observations, |x, layer| relu(layer.forward(x))))
    }

    /// The numbers as they are now.
    pub fn numbers(&self) -> Mlp {
        Mlp(Layers::of_burn(&self.layers))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    #[test]
    fn acting_and_training_networks_agree() {
        let mlp = Mlp::random(&[7, 33, 20, 3], Seed(5));
        let device = Device::flex().autodiff();
        let net = MlpNet::new(&mlp, &device);
        assert_eq!(net.numbers(), mlp);
        let mut rng = Seed(6).rng();
        let x: Vec<f32> = (0..5 * 7).map(|_| rng.normal() as f32).collect();
        let batch = net.forward(Tensor::from_data(TensorData::new(x.clone(), [5, 7]), &device));
        let batch = batch.into_data().try_into_vec::<f32>().unwrap();
        let mut buffers = Default::default();
        for (x, expected) in x.chunks(7).zip(batch.chunks(3)) {
            for (a, b) in mlp.propose(x, &mut buffers).iter().zip(expected) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
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
