//! Training: against PyTorch, and against the definition.

use serde::Deserialize;

use super::{EnergySampler, Ibc, IbcNet, IbcSettings, net::IbcWorkspace};
use crate::{
    backbone::{Batch, Layers, TrainableNet as _},
    optimizer::{Adam, Moments, OptimizerSettings, StepArrays},
    seed::Seed,
};

/// What python/tests/torch_ibc.py printed.
#[derive(Deserialize)]
struct Torch {
    widths: [usize; 2],
    hidden: Vec<usize>,
    n_negatives: usize,
    lr: f64,
    states: Vec<f32>,
    actions: Vec<f32>,
    negatives: Vec<f32>, // [steps, rows, n_negatives, n_act]
    plain: Trajectory,
    penalized: Trajectory,
    chain_steps: usize,
    chain: Vec<f32>, // [rows, n_negatives, n_act]
}

#[derive(Deserialize)]
struct Trajectory {
    start: Vec<(Vec<f32>, Vec<f32>)>,
    losses: Vec<f64>,
    end: Vec<(Vec<f32>, Vec<f32>)>,
}

impl Torch {
    fn read() -> Self {
        serde_json::from_str(include_str!("torch_ibc.json")).unwrap()
    }

    fn network(&self, layers: &[(Vec<f32>, Vec<f32>)], settings: IbcSettings) -> Ibc {
        let [n_obs, n_act] = self.widths;
        let widths = [&[n_obs + n_act], &self.hidden[..], &[1]].concat();
        Ibc::new(settings, Layers::new(widths, layers.to_vec()).unwrap(), n_act).unwrap()
    }

    fn batch<'a>(&'a self, mask: &'a [bool]) -> Batch<'a> {
        Batch { observations: &self.states, neighbors: &[], actions: &self.actions, mask, count: mask.len() }
    }

    fn rows(&self) -> usize {
        self.states.len() / self.widths[0]
    }
}

#[test]
fn training_trajectories_without_and_with_the_penalty_are_those_of_pytorch() {
    let torch = Torch::read();
    let mask = vec![true; torch.rows()];
    for (trajectory, sampler) in
        [(&torch.plain, EnergySampler::Uniform), (&torch.penalized, EnergySampler::Langevin)]
    {
        let settings = IbcSettings { sampler, negatives: torch.n_negatives, ..IbcSettings::default() };
        let (net, mut parameters) = IbcNet::new(&torch.network(&trajectory.start, settings));
        let mut adam = Adam::new(&[parameters.len()], &net.decaying(), Moments::zeros(parameters.len()));
        let mut workspace = IbcWorkspace::default();
        let of_step = torch.negatives.len() / trajectory.losses.len();
        for (step, expected) in trajectory.losses.iter().enumerate() {
            workspace.negatives.clear();
            workspace.negatives.extend_from_slice(&torch.negatives[step * of_step..][..of_step]);
            let mut grad = vec![f32::NAN; parameters.len()];
            let loss = net.loss_and_grad_of(&parameters, &torch.batch(&mask), &mut grad, &mut workspace);
            assert!(
                (loss - expected).abs() < 1e-4 * expected.max(1.0),
                "{sampler:?}, step {step}: {loss}, PyTorch has {expected}"
            );
            let arrays =
                StepArrays { parameters: vec![&mut parameters], gradients: vec![vec![&mut grad]], ema: None };
            adam.step(&OptimizerSettings::ADAM, torch.lr, step as u64, arrays);
        }
        let end = net.with_parameters(&parameters);
        let n_layers = trajectory.end.len();
        for (k, ((weight, bias), expected)) in end.layers().iter().zip(&trajectory.end).enumerate() {
            // A constant that is added to all energies has no gradient, so the last bias follows from rounding.
            let bias = if k + 1 < n_layers { bias } else { &[] };
            let found = weight.iter().chain(bias);
            for (a, b) in found.zip(expected.0.iter().chain(&expected.1)) {
                assert!((a - b).abs() < 1e-3, "{sampler:?}: {a}, PyTorch has {b}");
            }
        }
    }
}

#[test]
fn langevin_dynamics_without_noise_are_those_of_pytorch() {
    let torch = Torch::read();
    let settings = IbcSettings {
        sampler: EnergySampler::Langevin,
        negatives: torch.n_negatives,
        iterations: torch.chain_steps,
        noise: 1e-30,
        ..IbcSettings::default()
    };
    let (net, parameters) = IbcNet::new(&torch.network(&torch.penalized.end, settings));
    let mut workspace = IbcWorkspace::default();
    let from = &torch.negatives[..torch.chain.len()];
    workspace.negatives.extend_from_slice(from);
    net.by_langevin(&parameters, &torch.states, Seed(0), &mut workspace);
    let moved = torch.chain.iter().zip(from).filter(|(a, b)| (*a - *b).abs() > 0.05).count();
    assert!(moved > torch.chain.len() / 4, "a chain that goes somewhere: {moved}");
    for (a, b) in workspace.negatives.iter().zip(&torch.chain) {
        assert!((a - b).abs() < 1e-4, "{a}, PyTorch has {b}");
    }
}

#[test]
fn micro_batches_add_up() {
    let torch = Torch::read();
    let ([n_obs, n_act], rows) = (torch.widths, torch.rows());
    let each = torch.n_negatives;
    for sampler in [EnergySampler::Uniform, EnergySampler::Langevin] {
        let settings = IbcSettings { sampler, negatives: each, ..IbcSettings::default() };
        let (net, parameters) = IbcNet::new(&torch.network(&torch.penalized.start, settings));
        let of = |range: std::ops::Range<usize>| {
            let mask = vec![true; range.len()];
            let batch = Batch {
                observations: &torch.states[range.start * n_obs..range.end * n_obs],
                actions: &torch.actions[range.start * n_act..range.end * n_act],
                count: rows,
                ..torch.batch(&mask)
            };
            let mut workspace = IbcWorkspace::default();
            workspace.negatives =
                torch.negatives[range.start * each * n_act..range.end * each * n_act].to_vec();
            let mut grad = vec![f32::NAN; parameters.len()];
            (net.loss_and_grad_of(&parameters, &batch, &mut grad, &mut workspace), grad)
        };
        let (whole, first, second) = (of(0..rows), of(0..5), of(5..rows));
        assert!((whole.0 - first.0 - second.0).abs() < 1e-5);
        let largest = whole.1.iter().fold(0.0_f32, |largest, g| largest.max(g.abs()));
        for ((a, b), expected) in first.1.iter().zip(&second.1).zip(&whole.1) {
            assert!((a + b - expected).abs() < 1e-5 * largest);
        }
    }
}
