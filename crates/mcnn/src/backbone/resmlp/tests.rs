use std::collections::BTreeMap;

use serde::Deserialize;

use super::{net::ResMlpWorkspace, *};
use crate::{
    backbone::{
        Batch, Episode, Net, NoiseSample, PredictionType, Sampler, Schedule, chunk_reference::denoised,
    },
    optimizer::{Adam, Moments, OptimizerSettings, StepArrays},
};

const OBS: usize = 5;
const ACT: usize = 3;

fn small() -> ResMlpSettings {
    ResMlpSettings { horizon: 4, executed: 3, ema: 0.0, ..Default::default() }
}

fn normal(seed: u64, n: usize) -> Vec<f32> {
    let mut rng = Seed(seed).rng();
    (0..n).map(|_| rng.normal() as f32).collect()
}

/// Windows of observations and chunks of actions.
struct Rows {
    observations: Vec<f32>,
    actions: Vec<f32>,
    target_steps: usize,
}

impl Rows {
    fn batch<'a>(&'a self, mask: &'a [bool]) -> Batch<'a> {
        Batch {
            observations: &self.observations,
            neighbors: &[],
            actions: &self.actions,
            mask,
            count: mask.len(),
        }
    }

    /// The mean squared error as it counts in a batch of `count` steps, its gradient, and the outputs.
    fn train(
        &self,
        net: &ResMlpNet,
        parameters: &[f32],
        sample: &NoiseSample,
        count: usize,
    ) -> (f64, Vec<f32>, Vec<f32>) {
        let steps = sample.steps.len() * self.target_steps;
        let share = steps as f32 / (count * self.actions.len()) as f32;
        let (mut found, mut grad) = (Vec::new(), vec![f32::NAN; parameters.len()]);
        let mut squares = |outputs: &[f32], weights: Option<&[f32]>, grad: &mut [f32]| {
            assert!(weights.is_none());
            found.extend_from_slice(outputs);
            let errors = outputs.iter().zip(&self.actions).map(|(p, a)| p - a);
            grad.iter_mut().zip(errors.clone()).for_each(|(g, e)| *g = 2.0 * share * e);
            errors.map(|e| f64::from(share * e * e)).sum()
        };
        let (mask, mut workspace) = (vec![true; steps], ResMlpWorkspace::default());
        let batch = self.batch(&mask);
        let loss = net.loss_and_grad_of(parameters, &batch, sample, &mut squares, &mut grad, &mut workspace);
        (loss, grad, found)
    }
}

/// What python/tests/torch_resmlp.py printed.
#[derive(Deserialize)]
struct Torch {
    widths: [usize; 2],
    window: usize,
    horizon: usize,
    lr: f64,
    weight_decay: f64,
    start: Arrays,
    output: Vec<f32>,
    gradients: BTreeMap<String, Vec<f32>>,
    losses: Vec<f64>,
    end: BTreeMap<String, Vec<f32>>,
    observations: Vec<f32>,
    actions: Vec<f32>,
    steps: Vec<Vec<usize>>,
    noise: Vec<Vec<f32>>,
}

#[test]
fn outputs_gradients_and_a_training_trajectory_are_those_of_pytorch() {
    let torch: Torch = serde_json::from_str(include_str!("torch_resmlp.json")).unwrap();
    let settings = ResMlpSettings { window: torch.window, horizon: torch.horizon, executed: 1, ..small() };
    let network = ResMlp::load(settings, &torch.start).unwrap();
    assert_eq!(network.widths(), torch.widths);
    let (net, mut parameters) = ResMlpNet::new(&network);
    let rows = Rows { observations: torch.observations, actions: torch.actions, target_steps: torch.horizon };
    let optimizer = OptimizerSettings { weight_decay: torch.weight_decay, ..OptimizerSettings::ADAM };
    let mut adam = Adam::new(&[parameters.len()], &net.decaying(), Moments::zeros(parameters.len()));
    let close = |what: &str, found: &[f32], expected: &[f32], error: f32| {
        assert_eq!(found.len(), expected.len(), "{what}");
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < error, "{what}: {a}, PyTorch has {b}");
        }
    };
    for (k, expected) in torch.losses.iter().enumerate() {
        let draw = k % torch.steps.len();
        let sample = NoiseSample { steps: torch.steps[draw].clone(), noise: torch.noise[draw].clone() };
        let steps = sample.steps.len() * torch.horizon;
        let (loss, mut grad, outputs) = rows.train(&net, &parameters, &sample, steps);
        assert!((loss - expected).abs() < 2e-5, "step {k}: {loss}, PyTorch has {expected}");
        if k == 0 {
            close("output", &outputs, &torch.output, 1e-5);
            for (name, (_, found)) in network.to_arrays(&grad) {
                close(&name, &found, &torch.gradients[&name], 1e-6);
            }
        }
        let arrays =
            StepArrays { parameters: vec![&mut parameters], gradients: vec![vec![&mut grad]], ema: None };
        adam.step(&optimizer, torch.lr, k as u64, arrays);
    }
    assert!(torch.losses[0] > 2.0 * torch.losses[torch.losses.len() - 1], "it learned something");
    for (name, (_, found)) in network.to_arrays(&parameters) {
        close(&name, &found, &torch.end[&name], 2e-4);
    }
}

#[test]
fn acting_is_the_network_of_training_denoised_by_the_definition() {
    for (prediction, sampler, schedule) in [
        (PredictionType::Sample, Sampler::Ddim, Schedule::Cosine),
        (PredictionType::Sample, Sampler::Ddpm, Schedule::Vp),
        (PredictionType::Epsilon, Sampler::Ddim, Schedule::Linear),
        (PredictionType::Epsilon, Sampler::Ddpm, Schedule::Vp),
    ] {
        for (steps, sample_steps, hidden) in [(1, 1, &[7][..]), (20, 20, &[16; 3]), (100, 7, &[33; 2])] {
            let settings = ResMlpSettings { prediction, sampler, schedule, steps, sample_steps, ..small() };
            let network = ResMlp::random(OBS, hidden, ACT, settings, Seed(3));
            let (net, parameters) = ResMlpNet::new(&network);
            assert_eq!(net.with_parameters(&parameters), network);
            let constrain = |k: usize, g: f32| 0.01 * k as f32 + 0.6 * g.clamp(-1.0, 1.0);
            let window = normal(7, 2 * OBS);
            let mut episode = Episode::new(Seed(4));
            window.chunks(OBS).for_each(|observation| episode.observe(&network, observation));
            episode.predict(&network, &constrain);
            let mut workspace = ResMlpWorkspace::default();
            let expected =
                denoised(&settings.denoising(), prediction, ACT, Seed(4), &constrain, |noisy, t| {
                    net.forward_of(&parameters, noisy, &[t], &window, &mut workspace)
                });
            assert_eq!(episode.network_output().len(), expected.len());
            for (a, b) in episode.network_output().iter().zip(expected) {
                // Epsilon prediction divides by sqrt(alpha_bar), which is 1/12 at the least.
                assert!((a - b).abs() < 3e-4 * b.abs().max(1.0), "{settings:?}: {a} {b}");
            }
        }
    }
}

#[test]
fn a_window_that_is_not_full_repeats_its_oldest_observation() {
    let network = ResMlp::random(OBS, &[8; 2], ACT, small(), Seed(1));
    let (a, b) = (normal(1, OBS), normal(2, OBS));
    let chunk = |observations: &[&Vec<f32>]| {
        let mut episode = Episode::new(Seed(5));
        observations.iter().for_each(|observation| episode.observe(&network, observation));
        episode.predict(&network, &|_, g| g.clamp(-1.0, 1.0));
        episode.network_output().to_vec()
    };
    assert_eq!(chunk(&[&a]), chunk(&[&a, &a]));
    assert_eq!(chunk(&[&b, &a, &a]), chunk(&[&a]), "older than the window");
    assert_ne!(chunk(&[&b, &a]), chunk(&[&a]));
}

#[test]
fn micro_batches_add_up() {
    let network = ResMlp::random(OBS, &[24; 2], ACT, small(), Seed(1));
    let (net, parameters) = ResMlpNet::new(&network);
    let (rows, chunk, window) = (30, 4 * ACT, 2 * OBS);
    let (observations, actions) = (normal(1, rows * window), normal(2, rows * chunk));
    let mask = vec![true; rows * 4];
    let all = Rows { observations: observations.clone(), actions: actions.clone(), target_steps: 4 };
    let sample = net.sample_noise(&all.batch(&mask), Seed(3));
    assert_eq!((sample.steps.len(), sample.noise.len()), (rows, rows * chunk));
    let (loss, grad, _) = all.train(&net, &parameters, &sample, mask.len());
    let [first, second] = [0..11, 11..rows].map(|part| {
        let of = |values: &[f32], width: usize| values[part.start * width..part.end * width].to_vec();
        let rows =
            Rows { observations: of(&observations, window), actions: of(&actions, chunk), target_steps: 4 };
        let sample =
            NoiseSample { steps: sample.steps[part.clone()].to_vec(), noise: of(&sample.noise, chunk) };
        rows.train(&net, &parameters, &sample, mask.len())
    });
    assert!((first.0 + second.0 - loss).abs() < 1e-6);
    let largest = grad.iter().fold(0.0_f32, |largest, d| largest.max(d.abs()));
    for ((a, b), expected) in first.1.iter().zip(&second.1).zip(&grad) {
        assert!((a + b - expected).abs() < 1e-5 * largest);
    }
}

#[test]
fn a_network_is_loaded_as_it_was_saved_and_other_arrays_are_refused() {
    let network = ResMlp::random(OBS, &[6; 3], ACT, small(), Seed(2));
    let arrays = network.save_tensors();
    assert_eq!(ResMlp::load(small(), &arrays).unwrap(), network);
    assert_eq!(Net::new(&network).network().save_tensors(), arrays);
    let refused = |change: &dyn Fn(&mut Arrays), place: &str| {
        let mut other = arrays.clone();
        change(&mut other);
        let message = ResMlp::load(small(), &other).unwrap_err().to_string();
        assert!(message.contains(place), "{message}");
    };
    refused(&|a| drop(a.remove("input.weight")), "input.weight");
    refused(&|a| drop(a.remove("block.1.norm.shift")), "block.1.norm.shift");
    refused(&|a| drop(a.remove("block.1.first.weight")), "no such array");
    refused(&|a| drop(a.insert("extra".into(), (vec![1], vec![0.0]))), "extra");
    refused(&|a| drop(a.insert("output.bias".into(), (vec![2], vec![0.0; 2]))), "output.bias");
    let other = ResMlpSettings { window: 3, ..small() };
    assert!(ResMlp::load(other, &arrays).unwrap_err().to_string().contains("input.weight"));
}

#[test]
fn widths_that_differ_and_settings_out_of_range_are_refused() {
    let invalid = |settings: ResMlpSettings, hidden: &[usize]| settings.validate(hidden).unwrap_err().option;
    assert_eq!(invalid(small(), &[8, 16]), "--hidden");
    assert_eq!(invalid(small(), &[]), "--hidden");
    assert_eq!(invalid(small(), &[0; 3]), "--hidden");
    assert_eq!(invalid(ResMlpSettings { executed: 5, ..small() }, &[8]), "--execute");
    assert_eq!(invalid(ResMlpSettings { horizon: 0, ..small() }, &[8]), "--horizon");
    assert_eq!(invalid(ResMlpSettings { sample_steps: 101, ..small() }, &[8]), "--sample-steps");
    assert!(small().validate(&[1; 32]).is_ok());
}

#[test]
fn initialization_is_pytorchs() {
    let network = ResMlp::random(20, &[512; 3], 2, ResMlpSettings::default(), Seed(0));
    // Counted by PyTorch, of the network in python/tests/torch_resmlp.py with these sizes.
    assert_eq!(network.parameters.len(), 1_649_184);
    let arrays = network.save_tensors();
    let largest = |name: &str| arrays[name].1.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
    for (name, inputs) in [("input.weight", 104), ("block.2.second.weight", 512), ("output.bias", 512)] {
        let bound = 1.0 / (inputs as f32).sqrt();
        assert!((0.98 * bound..=bound).contains(&largest(name)), "{name}: {} {bound}", largest(name));
    }
    assert_eq!(arrays["block.0.norm.scale"].1, vec![1.0; 512]);
}
