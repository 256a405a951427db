//! Multi-layer perceptron with ReLU: `h = relu(x W + b)` for every hidden layer, `g = h W + b` at the end.
//!
//! It stands here twice. [`MlpNet`] is the definition that is trained (Burn, autodiff, any device); [`Mlp`] holds the
//! same numbers for acting one observation at a time, without a tensor library. A test holds them to each other.

use burn::{
    module::{Module, Param, ParamId},
    nn::Linear,
    tensor::{Device, Tensor, TensorData, activation::relu},
};

use crate::seed::Seed;

/// The numbers of a multi-layer perceptron, for acting.
#[derive(Debug, Clone, PartialEq)]
pub struct Mlp {
    widths: Vec<usize>,     // [n_layers + 1]: observation, hidden layers, action
    weights: Vec<Vec<f32>>, // [n_layers][widths[k], widths[k + 1]], row by row
    biases: Vec<Vec<f32>>,  // [n_layers][widths[k + 1]]
}

impl Mlp {
    /// Random weights: every weight and bias of a layer uniform within 1/sqrt(inputs of the layer), as PyTorch's
    /// `nn.Linear` starts. `widths`: observation, hidden layers, action.
    ///
    /// # Panics
    /// If there are fewer than two widths or one of them is 0.
    pub fn random(widths: &[usize], seed: Seed) -> Self {
        assert!(widths.len() >= 2 && !widths.contains(&0), "widths {widths:?}");
        let mut rng = seed.rng();
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for pair in widths.windows(2) {
            let bound = 1.0 / (pair[0] as f64).sqrt();
            let mut draw = |n: usize| (0..n).map(|_| rng.between(-bound, bound) as f32).collect::<Vec<_>>();
            weights.push(draw(pair[0] * pair[1]));
            biases.push(draw(pair[1]));
        }
        Self { widths: widths.to_vec(), weights, biases }
    }

    /// A perceptron of given numbers: weights `[widths[k], widths[k + 1]]` and biases `[widths[k + 1]]` by layer.
    /// `None` if their sizes are not those.
    pub fn from_layers(widths: Vec<usize>, layers: Vec<(Vec<f32>, Vec<f32>)>) -> Option<Self> {
        let fits = widths.len() == layers.len() + 1
            && !layers.is_empty()
            && widths.windows(2).zip(&layers).all(|(w, (weight, bias))| {
                w[0].checked_mul(w[1]) == Some(weight.len()) && w[1] == bias.len() && w[0] > 0 && w[1] > 0
            });
        let (weights, biases) = layers.into_iter().unzip();
        fits.then_some(Self { widths, weights, biases })
    }

    /// Widths from observation to action.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// The layers: weights `[in, out]` row by row, and biases.
    pub fn layers(&self) -> impl Iterator<Item = (&[f32], &[f32])> {
        self.weights.iter().map(Vec::as_slice).zip(self.biases.iter().map(Vec::as_slice))
    }

    /// The proposal for one observation, written to `buffers.1` of which a slice is returned. `buffers` are scratch
    /// space that grows once.
    ///
    /// # Panics
    /// If the observation has another width.
    pub fn propose<'a>(&self, observation: &[f32], buffers: &'a mut (Vec<f32>, Vec<f32>)) -> &'a [f32] {
        assert_eq!(observation.len(), self.widths[0], "an observation of another width than the network");
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
            if k + 2 < self.widths.len() {
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
    /// The network with the numbers of `mlp`, on a device. Parameters are numbered in order, so that an optimiser's
    /// state finds them again after a restart.
    pub fn new(mlp: &Mlp, device: &Device) -> Self {
        let layers = mlp
            .layers()
            .enumerate()
            .map(|(k, (weight, bias))| {
                let id = |which| ParamId::from(2 * k as u64 + which);
                let shape = [mlp.widths[k], mlp.widths[k + 1]];
                Linear {
                    weight: Param::initialized(
                        id(1),
                        Tensor::from_data(TensorData::new(weight.to_vec(), shape), device).require_grad(),
                    ),
                    bias: Some(Param::initialized(
                        id(2),
                        Tensor::from_data(TensorData::new(bias.to_vec(), [shape[1]]), device).require_grad(),
                    )),
                }
            })
            .collect();
        Self { layers }
    }

    /// Proposals for a batch: `[batch, n_obs]` to `[batch, n_act]`.
    pub fn forward(&self, observations: Tensor<2>) -> Tensor<2> {
        let (last, hidden) = self.layers.split_last().expect("at least one layer");
        last.forward(hidden.iter().fold(observations, |x, layer| relu(layer.forward(x))))
    }

    /// The numbers as they are now.
    pub fn numbers(&self) -> Mlp {
        let read = |data: TensorData| data.try_into_vec::<f32>().expect("f32 parameters");
        let mut widths = vec![];
        let layers = self
            .layers
            .iter()
            .map(|layer| {
                let [inputs, outputs] = layer.weight.val().dims();
                if widths.is_empty() {
                    widths.push(inputs);
                }
                widths.push(outputs);
                let bias = layer.bias.as_ref().expect("every layer has a bias");
                (read(layer.weight.val().into_data()), read(bias.val().into_data()))
            })
            .collect();
        Mlp::from_layers(widths, layers).expect("a network's own layers fit")
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn the_start_stays_within_its_bounds_and_fills_them() {
        let mlp = Mlp::random(&[16, 400, 1], Seed(1));
        let largest = mlp.weights[0].iter().fold(0.0_f32, |m, w| m.max(w.abs()));
        assert!((0.24..=0.25).contains(&largest), "{largest}");
        assert!(Mlp::from_layers(vec![2, 3], vec![(vec![0.0; 5], vec![0.0; 3])]).is_none());
    }
}
