//! A training step of the behavior transformer against automatic differentiation.

use std::ops::Range;

use super::BetSettings;
use crate::{
    backbone::{
        Batch, Net, Workspace,
        oracle::{BetCase, Oracle, compare, inputs, largest},
    },
    seed::Seed,
};

/// A network and a batch.
struct Case {
    shape: BetCase,
    net: Net,
    observations: Vec<f32>,
    actions: Vec<f32>,
    real: Vec<bool>,
}

/// What a training step gives.
struct Step {
    loss: f64,
    outputs: Vec<f32>, // [rows * window, n_act]
    gradient: Vec<f32>,
}

impl Case {
    fn new(shape: BetCase) -> Self {
        Self {
            net: Net::new(&*shape.network(shape.settings())),
            observations: shape.observations(),
            actions: shape.actions(),
            real: inputs::real(shape.rows * shape.window),
            shape,
        }
    }

    /// A training step on some of the rows. Beside the focal loss: the squared differences of the outputs to 0.7 times the
    /// actions, as much as each counts.
    fn train(&self, rows: Range<usize>, workspace: &mut Workspace) -> Step {
        let BetCase { n_obs, n_act, window, .. } = self.shape;
        let steps = rows.start * window..rows.end * window;
        let own = steps.start * n_act..steps.end * n_act;
        let batch = Batch {
            observations: &self.observations[steps.start * n_obs..steps.end * n_obs],
            neighbors: &[],
            actions: &self.actions[own.clone()],
            mask: &self.real[steps],
            count: self.real.iter().filter(|real| **real).count(),
        };
        let (mut gradient, mut found) = (vec![f32::NAN; self.net.parameters().len()], Vec::new());
        let share = 1.0 / (batch.count * n_act) as f32;
        let mut squares = |outputs: &[f32], weights: Option<&[f32]>, grad: &mut [f32]| {
            found = outputs.to_vec();
            let (weights, mut loss) = (weights.unwrap(), 0.0);
            for (k, i) in own.clone().enumerate() {
                let weight = if self.real[i / n_act] { weights[k] * share } else { 0.0 };
                let error = outputs[k] - 0.7 * self.actions[i];
                grad[k] = 2.0 * weight * error;
                loss += f64::from(weight * error * error);
            }
            loss
        };
        let loss = self.net.loss_and_grad(&batch, Seed(5), &mut squares, &mut gradient, workspace);
        Step { loss, outputs: found, gradient }
    }
}

/// Twenty-four rows of a small network without dropout.
fn small() -> BetCase {
    let case = Oracle::bet().cases().into_iter().find(|case: &BetCase| case.name == "small");
    BetCase { rows: 24, ..case.unwrap() }
}

#[test]
fn loss_outputs_and_gradients_are_those_of_automatic_differentiation() {
    let (oracle, mut workspace) = (Oracle::bet(), Workspace::default());
    let cases = oracle.cases::<BetCase>();
    assert!(cases.iter().any(|case| case.dropout > 0.0) && cases.iter().any(|case| case.gamma == 0.0));
    for shape in cases {
        let (what, rows) = (shape.name.clone(), shape.rows);
        let case = Case::new(shape);
        let step = case.train(0..rows, &mut workspace);
        let expected = f64::from(oracle.array(&what, "loss")[0]);
        assert!((step.loss - expected).abs() < 1e-5 * expected, "{what}: {} {expected}", step.loss);
        let expected = oracle.array(&what, "outputs");
        compare(&step.outputs, expected, 1e-5 * largest(expected), &what);
        oracle.compare_gradient(&what, &case.net, &step.gradient, 1e-4, 1e-3);
    }
}

#[test]
fn losses_and_gradients_of_micro_batches_add_up_to_those_of_the_batch() {
    let (case, mut workspace) = (Case::new(small()), Workspace::default());
    let whole = case.train(0..24, &mut workspace);
    let parts = [0..9, 9..24].map(|rows| case.train(rows, &mut workspace));
    assert!((whole.loss - parts[0].loss - parts[1].loss).abs() < 1e-6 * whole.loss);
    let sums: Vec<f32> = parts[0].gradient.iter().zip(&parts[1].gradient).map(|(a, b)| a + b).collect();
    let arrays = |gradient: &[f32]| case.net.network_of(gradient).save_tensors();
    let (sums, expected) = (arrays(&sums), arrays(&whole.gradient));
    let trained = || expected.iter().filter(|(name, _)| *name != "centers");
    let most = trained().map(|(_, (_, values))| largest(values)).fold(0.0, f32::max);
    for (name, (_, values)) in trained() {
        compare(&sums[name].1, values, 1e-5 * largest(values).max(1e-3 * most), name);
    }
}

#[test]
fn an_observation_changes_the_outputs_for_itself_and_what_follows_in_its_window() {
    let mut case = Case::new(BetCase { rows: 2, ..small() });
    let BetCase { window, n_obs, n_act, .. } = case.shape;
    let mut workspace = Workspace::default();
    let before = case.train(0..2, &mut workspace).outputs;
    for changed in 0..2 * window {
        case.observations[changed * n_obs + 1] += 1.0;
        let after = case.train(0..2, &mut workspace).outputs;
        case.observations = case.shape.observations();
        for (step, (before, after)) in before.chunks(n_act).zip(after.chunks(n_act)).enumerate() {
            let reached = step >= changed && step / window == changed / window;
            assert_eq!(before != after, reached, "{changed} was changed: step {step}");
        }
    }
}

#[test]
fn a_network_comes_back_from_its_parameters_and_weight_decay_is_for_the_weights_of_layers() {
    let shape = small();
    let backbone = shape.network(BetSettings { layers: 2, ..shape.settings() });
    let net = Net::new(&*backbone);
    assert_eq!(net.network(), backbone);
    let sorted = |values: Vec<&[f32]>| {
        let mut values = values.concat();
        values.sort_by(f32::total_cmp);
        values
    };
    let decaying = net.decaying().into_iter().map(|place| &net.parameters()[place]).collect();
    let arrays = backbone.save_tensors();
    let weights = arrays.iter().filter(|(name, _)| name.ends_with(".weight"));
    assert_eq!(sorted(decaying), sorted(weights.map(|(_, (_, values))| &values[..]).collect()));
}
