//! Training: against the definition, and against PyTorch.

use serde::Deserialize;

use super::{
    RetrievalMlp, RetrievalSettings,
    tests::{act_once, network, prediction, steps},
};
use crate::{
    backbone::{Batch, Layers, Net, Workspace},
    optimizer::{Adam, Moments, OptimizerSettings, StepArrays},
    seed::Seed,
};

/// Pairs to train on.
struct Pairs {
    observations: Vec<f32>,
    neighbors: Vec<f32>,
    actions: Vec<f32>,
}

impl Pairs {
    fn random(rows: usize, widths @ [n_obs, n_act]: [usize; 2]) -> Self {
        let [observations, actions] = steps(rows, widths, 21);
        let [states, memory_actions] = steps(rows, widths, 22);
        let pair = |(s, a): (&[f32], &[f32])| [s, a].concat();
        let neighbors = states.chunks(n_obs).zip(memory_actions.chunks(n_act)).flat_map(pair).collect();
        Self { observations, neighbors, actions }
    }

    /// The mean squared error of the rows' outputs as it counts in the whole batch, its gradient, and the outputs.
    fn train(
        &self,
        net: &Net,
        rows: std::ops::Range<usize>,
        [n_obs, n_act]: [usize; 2],
    ) -> (f64, Vec<f32>, Vec<f32>) {
        let of = |values: &'_ [f32], width: usize| values[rows.start * width..rows.end * width].to_vec();
        let [observations, neighbors, actions] =
            [of(&self.observations, n_obs), of(&self.neighbors, n_obs + n_act), of(&self.actions, n_act)];
        let batch = Batch {
            observations: &observations,
            neighbors: &neighbors,
            actions: &actions,
            mask: &vec![true; rows.len()],
            count: self.actions.len() / n_act,
        };
        let share = 1.0 / self.actions.len() as f32;
        let (mut found, mut gradient) = (Vec::new(), vec![f32::NAN; net.parameters().len()]);
        let mut squares = |outputs: &[f32], weights: Option<&[f32]>, grad: &mut [f32]| {
            assert!(weights.is_none());
            found.extend_from_slice(outputs);
            let errors = outputs.iter().zip(&actions).map(|(p, a)| p - a);
            grad.iter_mut().zip(errors.clone()).for_each(|(g, e)| *g = 2.0 * share * e);
            errors.map(|e| f64::from(share * e * e)).sum()
        };
        let loss = net.loss_and_grad(&batch, Seed(0), &mut squares, &mut gradient, &mut Workspace::default());
        (loss, gradient, found)
    }
}

#[test]
fn outputs_loss_and_gradient_are_those_of_the_definition() {
    let widths @ [n_obs, n_act] = [5, 3];
    for hidden in [&[17, 9][..], &[]] {
        let network = network(n_obs, hidden, n_act);
        let (net, pairs) = (Net::new(&network), Pairs::random(12, widths));
        let (loss, gradient, outputs) = pairs.train(&net, 0..12, widths);
        let definition = |network: &RetrievalMlp| {
            let memories = pairs.neighbors.chunks(n_obs + n_act).map(|memory| memory.split_at(n_obs));
            let rows = pairs.observations.chunks(n_obs).zip(memories);
            let outputs: Vec<f64> = rows.flat_map(|(x, (s, a))| prediction(network, x, s, a)).collect();
            let errors = outputs.iter().zip(&pairs.actions).map(|(p, a)| (p - f64::from(*a)).powi(2));
            (errors.sum::<f64>() / pairs.actions.len() as f64, outputs)
        };
        let (expected, expected_outputs) = definition(&network);
        assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
        assert!(expected_outputs.iter().any(|p| p.abs() > 1.0), "outputs outside [-1, 1] are not clamped");
        for (found, expected) in outputs.iter().zip(expected_outputs) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
        }
        let largest = gradient.iter().fold(0.0_f32, |largest, d| largest.max(d.abs()));
        // Steps so small that for these pairs no sum crosses the kink of its ReLU.
        let (start, by) = (net.parameters().to_vec(), 1.0 / 65_536.0);
        for (k, found) in gradient.iter().enumerate() {
            let moved = |by: f32| {
                let mut parameters = start.clone();
                parameters[k] += by;
                let loss = definition(net.network_of(&parameters).downcast().expect("this network")).0;
                (loss, f64::from(parameters[k]))
            };
            let (high, low) = (moved(by), moved(-by));
            let expected = (high.0 - low.0) / (high.1 - low.1);
            let error = (f64::from(*found) - expected).abs();
            assert!(error < 1e-3 * f64::from(largest), "parameter {k}: {found} {expected}");
        }
    }
}

#[test]
fn micro_batches_add_up_and_threads_change_nothing() {
    let widths = [9, 4];
    let (net, pairs) = (Net::new(&network(9, &[64, 48], 4)), Pairs::random(30, widths));
    let (loss, gradient, _) = pairs.train(&net, 0..30, widths);
    let micro = || [0..11, 11..30].map(|rows| pairs.train(&net, rows, widths));
    let [first, second] = micro();
    assert!((first.0 + second.0 - loss).abs() < 1e-6);
    let largest = gradient.iter().fold(0.0_f32, |largest, d| largest.max(d.abs()));
    for ((a, b), expected) in first.1.iter().zip(&second.1).zip(&gradient) {
        assert!((a + b - expected).abs() < 1e-5 * largest);
    }
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert!(micro() == [first.clone(), second.clone()]));
        }
    });
}

/// What python/tests/torch_retrieval.py printed.
#[derive(Deserialize)]
struct Torch {
    widths: [usize; 2],
    states: Vec<f32>,
    actions: Vec<f32>,
    pairs: Vec<[usize; 2]>, // step, memory: both of them rows of the states
    lr: f64,
    hidden: Vec<usize>,
    start: Vec<(Vec<f32>, Vec<f32>)>,
    losses: Vec<f64>,
    end: Vec<(Vec<f32>, Vec<f32>)>,
    probes: Vec<Vec<f32>>,
    neighbors: Vec<Vec<usize>>,
    predictions: Vec<Vec<f32>>,
}

#[test]
fn a_training_trajectory_and_the_predictions_after_it_are_those_of_pytorch() {
    let torch: Torch = serde_json::from_str(include_str!("torch_retrieval.json")).unwrap();
    let widths @ [n_obs, n_act] = torch.widths;
    let layer_widths = [&[2 * n_obs + n_act], &torch.hidden[..], &[n_act]].concat();
    let layers = Layers::new(layer_widths, torch.start).unwrap();
    let mut net = Net::new(&RetrievalMlp::new(RetrievalSettings::default(), layers).unwrap());
    let state = |i: usize| &torch.states[i * n_obs..][..n_obs];
    let action = |i: usize| &torch.actions[i * n_act..][..n_act];
    let pairs = Pairs {
        observations: torch.pairs.iter().flat_map(|[i, _]| state(*i)).copied().collect(),
        neighbors: torch.pairs.iter().flat_map(|[_, j]| [state(*j), action(*j)].concat()).collect(),
        actions: torch.pairs.iter().flat_map(|[i, _]| action(*i)).copied().collect(),
    };
    let parameters = net.parameters().len();
    let mut adam = Adam::new(&[parameters], &net.decaying(), Moments::zeros(parameters));
    for (step, expected) in torch.losses.iter().enumerate() {
        let (loss, mut gradient, _) = pairs.train(&net, 0..torch.pairs.len(), widths);
        assert!((loss - expected).abs() < 2e-5, "step {step}: {loss}, PyTorch has {expected}");
        let arrays = StepArrays {
            parameters: vec![net.parameters_mut()],
            gradients: vec![vec![&mut gradient]],
            ema: None,
        };
        adam.step(&OptimizerSettings::ADAM, torch.lr, step as u64, arrays);
    }
    assert!(torch.losses[0] > 2.0 * torch.losses[torch.losses.len() - 1], "it learned something");
    let close = |found: &[f32], expected: &[f32]| {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 2e-4, "{a}, PyTorch has {b}");
        }
    };
    let trained = net.network();
    let trained: &RetrievalMlp = trained.downcast().expect("this network");
    for ((weight, bias), expected) in trained.layers().iter().zip(&torch.end) {
        close(weight, &expected.0);
        close(bias, &expected.1);
    }
    for ((x, neighbors), expected) in torch.probes.iter().zip(&torch.neighbors).zip(&torch.predictions) {
        let memories = [
            neighbors.iter().flat_map(|j| state(*j)).copied().collect(),
            neighbors.iter().flat_map(|j| action(*j)).copied().collect(),
        ];
        close(&act_once(trained, x, &memories), expected);
    }
}
