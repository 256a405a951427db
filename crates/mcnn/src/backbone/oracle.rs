//! The networks by their definitions, as a library of tensors has them, with its automatic gradients: what the written-out
//! training steps are held to.

use burn::{
    module::{Param, ParamId},
    nn::Linear,
    tensor::{
        Device, Tensor, TensorData,
        activation::{relu, softplus},
    },
};

use super::{Batch, Diffusion, Layers, Mlp, Net, NoiseSample, Room, denoise::sinusoids, diffusion::TIME};
use crate::seed::Seed;

/// Numbers as a tensor of rows.
pub fn rows(numbers: &[f32], width: usize) -> Tensor<2> {
    let shape = [numbers.len() / width, width];
    Tensor::from_data(TensorData::new(numbers.to_vec(), shape), &Device::flex().autodiff())
}

/// The numbers of a tensor.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().unwrap()
}

/// A chain of layers.
pub struct Linears(pub Vec<Linear>);

impl Linears {
    pub fn new(layers: &Layers) -> Self {
        let device = Device::flex().autodiff();
        let param = |values: &[f32]| TensorData::new(values.to_vec(), [values.len()]);
        let linear = |((weight, bias), shape): ((&[f32], &[f32]), &[usize])| {
            let weight = TensorData::new(weight.to_vec(), [shape[0], shape[1]]);
            let (weight, bias) = (
                Tensor::from_data(weight, &device).require_grad(),
                Tensor::from_data(param(bias), &device).require_grad(),
            );
            Linear {
                weight: Param::initialized(ParamId::new(), weight),
                bias: Some(Param::initialized(ParamId::new(), bias)),
            }
        };
        Self(layers.iter().zip(layers.widths().windows(2)).map(linear).collect())
    }

    pub fn forward(&self, x: Tensor<2>, bend: impl Fn(Tensor<2>) -> Tensor<2>) -> Tensor<2> {
        let (last, hidden) = self.0.split_last().unwrap();
        last.forward(hidden.iter().fold(x, |x, layer| bend(layer.forward(x))))
    }

    /// Gradients in the order of a [`Chain`](super::chain::Chain)'s numbers.
    pub fn gradients(&self, gradients: &burn::tensor::Gradients) -> Vec<f32> {
        let of = |layer: &Linear| {
            let weight = values(layer.weight.val().grad(gradients).unwrap());
            let bias = values(layer.bias.as_ref().unwrap().val().grad(gradients).unwrap());
            [weight, bias].concat()
        };
        self.0.iter().flat_map(of).collect()
    }
}

/// Mish by its definition.
fn mish(x: Tensor<2>) -> Tensor<2> {
    x.clone() * softplus(x, 1.0).tanh()
}

/// The output of a perceptron.
pub fn mlp(layers: &Linears, observations: Tensor<2>) -> Tensor<2> {
    layers.forward(observations, relu)
}

/// The output of a diffusion network, of its time's layers and its others, for noisy actions (`[batch, n_act]`), a diffusion
/// step each (counted from 0), and observations (`[batch, n_obs]`).
pub fn diffusion(
    [time, body]: [&Linears; 2],
    noisy: Tensor<2>,
    steps: &[usize],
    observations: Tensor<2>,
) -> Tensor<2> {
    let mut waves = vec![0.0; steps.len() * TIME[0]];
    waves.chunks_exact_mut(TIME[0]).zip(steps).for_each(|(waves, t)| sinusoids(*t, waves));
    let times = time.forward(rows(&waves, TIME[0]), mish);
    body.forward(Tensor::cat(vec![noisy, times, observations], 1), mish)
}

fn normal(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = Seed(seed).rng();
    (0..n).map(|_| rng.normal() as f32).collect()
}

fn close(found: &[f32], expected: &[f32], what: &str) {
    let largest = expected.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    assert_eq!(found.len(), expected.len(), "{what}");
    for (k, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 1e-5 * largest, "{what} {k}: {a}, by the definition {b}");
    }
}

/// A network trained on a batch: its proposals, and its gradient for given slopes of the loss by them.
fn trained(net: &Net, batch: &Batch, slopes: &[f32], seed: Seed) -> [Vec<f32>; 2] {
    let (mut proposals, mut gradient) = (Vec::new(), vec![f32::NAN; net.numbers().len()]);
    let mut hold = |found: &[f32], _: Option<&[f32]>, to: &mut [f32]| {
        proposals.extend_from_slice(found);
        to.copy_from_slice(slopes);
        0.0
    };
    net.train(batch, seed, &mut hold, &mut gradient, &mut Room::default());
    [proposals, gradient]
}

#[test]
fn a_perceptrons_proposals_and_gradients_are_those_of_the_definition() {
    for (widths, n) in
        [(vec![7, 33, 20, 3], 5), (vec![45, 256, 256, 24], 128), (vec![2, 1], 1), (vec![3, 70, 2], 13)]
    {
        let mlp_ = Mlp::random(&widths, Seed(5));
        let net = Net::new(&super::Backbone::Mlp(mlp_.clone())).unwrap();
        let (observations, n_act) = (normal(n * widths[0], 1), widths[widths.len() - 1]);
        let slopes = normal(n * n_act, 2);
        let real = vec![true; n];
        let batch = Batch { observations: &observations, actions: &slopes, real: &real, count: n };
        let [proposals, gradient] = trained(&net, &batch, &slopes, Seed(0));
        let layers = Linears::new(&mlp_.0);
        let expected = mlp(&layers, rows(&observations, widths[0]));
        close(&proposals, &values(expected.clone()), "proposal");
        let gradients = (expected * rows(&slopes, n_act)).sum().backward();
        close(&gradient, &layers.gradients(&gradients), "gradient");
    }
}

#[test]
fn a_diffusion_networks_output_and_gradients_are_those_of_the_definition() {
    use super::{DiffusionSettings, PredictionType};
    for (hidden, n, steps, prediction) in [
        (vec![33, 20], 5, 5, PredictionType::Sample),
        (vec![64; 3], 40, 3, PredictionType::Epsilon),
        (vec![16], 3, 50, PredictionType::Sample),
    ] {
        let settings = DiffusionSettings { steps, prediction, ..Default::default() };
        let network = Diffusion::random(6, &hidden, 3, settings, Seed(3));
        let net = Net::new(&super::Backbone::Diffusion(network.clone())).unwrap();
        let (observations, actions, slopes) = (normal(n * 6, 1), normal(n * 3, 2), normal(n * 3, 3));
        let real = vec![true; n];
        let batch = Batch { observations: &observations, actions: &actions, real: &real, count: n };
        let [proposals, gradient] = trained(&net, &batch, &slopes, Seed(9));

        let draws = NoiseSample::new(n, 3, steps, &mut Seed(9).rng());
        let levels = settings.schedule.levels(steps, settings.sampler);
        let by_row = |of: &dyn Fn(&super::Level) -> f32| -> Vec<f32> {
            draws.steps.iter().flat_map(|&t| [of(&levels[t]); 3]).collect()
        };
        let (keep, add) = (rows(&by_row(&|l| l.action), 3), rows(&by_row(&|l| l.noise), 3));
        let noisy = keep.clone() * rows(&actions, 3) + add.clone() * rows(&draws.noise, 3);
        let [time, body] = network.layers().map(Linears::new);
        let output = diffusion([&time, &body], noisy.clone(), &draws.steps, rows(&observations, 6));
        let clean = if prediction == PredictionType::Sample { output } else { (noisy - output * add) / keep };
        close(&proposals, &values(clean.clone()), "proposal");
        let gradients = (clean * rows(&slopes, 3)).sum().backward();
        close(&gradient, &[body.gradients(&gradients), time.gradients(&gradients)].concat(), "gradient");
    }
}
