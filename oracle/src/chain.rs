//! Chains of linear layers: the perceptron and the diffusion network.

use burn::{
    nn::Linear,
    tensor::{
        Tensor,
        activation::{relu, softplus},
    },
};
use serde::Serialize;

use crate::{
    inputs,
    tensors::{Parameters, Values, rows, stored, tensor, values},
};

#[derive(Serialize)]
struct MlpCase {
    name: &'static str,
    widths: &'static [usize],
    rows: usize,
}

#[derive(Serialize)]
struct DiffusionCase {
    name: &'static str,
    hidden: &'static [usize],
    rows: usize,
    steps: usize,
    prediction: &'static str,
    n_obs: usize,
    n_act: usize,
}

/// Widths of the layers that the diffusion step's embedding passes through.
const TIME: [usize; 3] = [16, 32, 16];

fn layers(parameters: &mut Parameters, prefix: &str, widths: &[usize]) -> Vec<Linear> {
    let layer =
        |(index, ends): (usize, &[usize])| parameters.linear(&format!("{prefix}{index}"), ends[0], ends[1]);
    widths.windows(2).enumerate().map(layer).collect()
}

fn forward(layers: &[Linear], x: Tensor<2>, activation: impl Fn(Tensor<2>) -> Tensor<2>) -> Tensor<2> {
    let (last, hidden) = layers.split_last().expect("a layer");
    last.forward(hidden.iter().fold(x, |x, layer| activation(layer.forward(x))))
}

fn mish(x: Tensor<2>) -> Tensor<2> {
    x.clone() * softplus(x, 1.0).tanh()
}

/// The perceptron's outputs, and the gradient of (outputs * grad).sum() for given `grad`.
pub fn mlp() -> Values {
    let mut found = Values::default();
    for case in [
        MlpCase { name: "small", widths: &[7, 33, 20, 3], rows: 5 },
        MlpCase { name: "default", widths: &[45, 256, 256, 24], rows: 128 },
        MlpCase { name: "linear", widths: &[2, 1], rows: 1 },
        MlpCase { name: "odd", widths: &[3, 70, 2], rows: 13 },
    ] {
        let (name, [n_obs, .., n_act]) = (case.name, case.widths) else { panic!("two widths or more") };
        let mut parameters = Parameters::new(name);
        let layers = layers(&mut parameters, "", case.widths);
        let input =
            |array: &str, width| rows(&inputs::normal(&format!("{name}/{array}"), case.rows * width), width);
        let outputs = forward(&layers, input("observations", *n_obs), relu);
        let gradients = (outputs.clone() * input("grad", *n_act)).sum().backward();
        found.array(name, "outputs", &stored(values(outputs)));
        found.array(name, "gradient", &parameters.gradient(&gradients));
        found.case(&case);
    }
    found
}

/// sqrt(abar) and sqrt(1 - abar) after each of `steps` steps of the variance-preserving schedule.
fn levels(steps: usize) -> Vec<[f64; 2]> {
    let (count, mut abar) = (steps as f64, 1.0);
    let level = |step: usize| {
        abar *= (-0.1 / count - 0.5 * 9.9 * (2 * step - 1) as f64 / (count * count)).exp();
        [abar.sqrt(), (1.0 - abar).sqrt()]
    };
    (1..=steps).map(level).collect()
}

/// Sines and cosines of a diffusion step, frequencies from 1 to 1/10000.
fn embedding(step: usize) -> Vec<f64> {
    let half = TIME[0] / 2;
    let angle = |k: usize| step as f64 * 10_000_f64.powf(-(k as f64) / (half - 1) as f64);
    (0..half).map(|k| angle(k).sin()).chain((0..half).map(|k| angle(k).cos())).collect()
}

/// The diffusion network's outputs, the clean actions that they say, and the gradient of (clean * grad).sum().
pub fn diffusion() -> Values {
    let mut found = Values::default();
    let shape = |name, hidden, rows, steps, prediction| DiffusionCase {
        name,
        hidden,
        rows,
        steps,
        prediction,
        n_obs: 6,
        n_act: 3,
    };
    for case in [
        shape("sample", &[33, 20], 5, 5, "sample"),
        shape("epsilon", &[64, 64, 64], 40, 3, "epsilon"),
        shape("steps", &[16], 3, 50, "sample"),
    ] {
        let DiffusionCase { name, n_obs, n_act, .. } = case;
        let mut parameters = Parameters::new(name);
        let time = layers(&mut parameters, "time.", &TIME);
        let widths = [&[n_act + TIME[2] + n_obs], case.hidden, &[n_act]].concat();
        let body = layers(&mut parameters, "", &widths);
        let input =
            |array: &str, width| rows(&inputs::normal(&format!("{name}/{array}"), case.rows * width), width);
        let steps = inputs::integers(&format!("{name}/steps"), case.rows, case.steps);
        let levels = levels(case.steps);
        let share = |which: usize| tensor(steps.iter().map(|step| levels[*step][which]), [case.rows, 1]);
        let noisy = input("actions", n_act) * share(0) + input("noise", n_act) * share(1);
        let times = tensor(steps.iter().flat_map(|step| embedding(*step)), [case.rows, TIME[0]]);
        let times = forward(&time, times, mish);
        let all = Tensor::cat(vec![noisy.clone(), times, input("observations", n_obs)], 1);
        let outputs = forward(&body, all, mish);
        let clean = match case.prediction {
            "sample" => outputs.clone(),
            _ => (noisy - outputs.clone() * share(1)) / share(0),
        };
        let gradients = (clean.clone() * input("grad", n_act)).sum().backward();
        found.array(name, "outputs", &stored(values(outputs)));
        found.array(name, "clean", &stored(values(clean)));
        found.array(name, "gradient", &parameters.gradient(&gradients));
        found.case(&case);
    }
    found
}
