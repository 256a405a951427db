//! Training of the MLP and of the diffusion network against the stored values.

use super::{DiffusionCase, MlpCase, Oracle, compare, inputs, largest};
use crate::{
    backbone::{Batch, DiffusionNet, Net, NoiseSample},
    seed::Seed,
};

/// A loss whose gradient with respect to the network's outputs is `grad`; the outputs are appended to `found`.
fn record<'a>(
    found: &'a mut Vec<f32>,
    grad: &'a [f32],
) -> impl FnMut(&[f32], Option<&[f32]>, &mut [f32]) -> f64 + 'a {
    |outputs, _, to| {
        found.extend_from_slice(outputs);
        to.copy_from_slice(grad);
        0.0
    }
}

fn compare_outputs(found: &[f32], expected: &[f32], what: &str) {
    compare(found, expected, 1e-5 * largest(expected), what);
}

#[test]
fn outputs_and_gradients_of_a_perceptron_are_those_of_automatic_differentiation() {
    let oracle = Oracle::mlp();
    for case in oracle.cases::<MlpCase>() {
        let input =
            |array: &str, width: usize| inputs::normal(&format!("{}/{array}", case.name), case.rows * width);
        let (observations, grad) =
            (input("observations", case.widths[0]), input("grad", case.widths[case.widths.len() - 1]));
        let net = Net::new(&*case.network());
        let real = vec![true; case.rows];
        let batch = Batch {
            observations: &observations,
            neighbors: &[],
            actions: &grad,
            mask: &real,
            count: case.rows,
        };
        let (mut outputs, mut gradient) = (Vec::new(), vec![f32::NAN; net.parameters().len()]);
        let mut loss = record(&mut outputs, &grad);
        net.loss_and_grad(&batch, Seed(0), &mut loss, &mut gradient, &mut Default::default());
        drop(loss);
        compare_outputs(&outputs, oracle.array(&case.name, "outputs"), &case.name);
        oracle.compare_gradient(&case.name, &net, &gradient, 1e-5, 1.0);
    }
}

#[test]
fn outputs_and_gradients_of_a_diffusion_network_are_those_of_automatic_differentiation() {
    let oracle = Oracle::diffusion();
    for case in oracle.cases::<DiffusionCase>() {
        let network = case.network();
        let (net, parameters) = DiffusionNet::new(&network);
        let (observations, actions) =
            (case.input("observations", case.n_obs), case.input("actions", case.n_act));
        let grad = case.input("grad", case.n_act);
        let noise = NoiseSample { steps: case.diffusion_steps(), noise: case.input("noise", case.n_act) };
        let real = vec![true; case.rows];
        let batch = Batch {
            observations: &observations,
            neighbors: &[],
            actions: &actions,
            mask: &real,
            count: case.rows,
        };
        let (mut clean, mut gradient) = (Vec::new(), vec![f32::NAN; parameters.len()]);
        let mut loss = record(&mut clean, &grad);
        net.loss_and_grad_of(&parameters, &batch, &noise, &mut loss, &mut gradient, &mut Default::default());
        drop(loss);
        let whole = Net::new(&network);
        compare_outputs(&clean, oracle.array(&case.name, "clean"), &case.name);
        oracle.compare_gradient(&case.name, &whole, &gradient, 1e-5, 1.0);

        // A step of `Net` is this one with the noise of its seed.
        let noise = NoiseSample::new(case.rows, case.n_act, case.steps, &mut Seed(9).rng());
        assert_eq!(net.sample_noise(&batch, Seed(9)), noise);
        let [mut drawn, mut given] = [Vec::new(), Vec::new()];
        let mut gradients = [gradient.clone(), gradient];
        let [of_drawn, of_given] = &mut gradients;
        let mut loss = record(&mut drawn, &grad);
        whole.loss_and_grad(&batch, Seed(9), &mut loss, of_drawn, &mut Default::default());
        drop(loss);
        let mut loss = record(&mut given, &grad);
        net.loss_and_grad_of(&parameters, &batch, &noise, &mut loss, of_given, &mut Default::default());
        drop(loss);
        assert!(drawn == given && gradients[0] == gradients[1], "{}", case.name);
    }
}
