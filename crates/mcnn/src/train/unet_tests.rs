//! Training of the U-Net: against PyTorch, and what it can learn.

use std::collections::BTreeMap;

use burn::{module::ParamId, optim::GradientsParams};
use serde::Deserialize;

use super::tests::{close, codebook_of, some_codebook, some_data};
use super::*;
use crate::{
    backbone::{Architecture, Arrays, Draws, Optimiser, Predict, Sampler, Unet, UnetNet, UnetSettings},
    data::{ActionRange, Parts},
    seed::Seed,
};

/// What python/tests/torch_unet.py printed.
#[derive(Deserialize)]
struct Torch {
    states: Vec<f32>,
    actions: Vec<f32>,
    ends: Vec<usize>,
    memories: Vec<usize>,
    lambda: f32,
    lr: f64,
    widths: Vec<usize>,
    horizon: usize,
    window: usize,
    kernel: usize,
    groups: usize,
    warm_up: u64,
    weight_decay: f64,
    betas: [f64; 2],
    steps: Vec<Vec<usize>>,
    noise: Vec<Vec<f32>>,
    start: Arrays,
    runs: Vec<TorchRun>,
}

#[derive(Deserialize)]
struct TorchRun {
    activation: Activation,
    predict: Predict,
    output: Vec<f32>,
    gradients: BTreeMap<String, Vec<f32>>,
    losses: Vec<f32>,
    end: BTreeMap<String, Vec<f32>>,
}

#[test]
fn outputs_gradients_and_a_training_trajectory_are_those_of_pytorch() {
    let torch: Torch = serde_json::from_str(include_str!("torch_unet.json")).unwrap();
    let parts = Parts {
        n_obs: 2,
        n_act: 2,
        states: torch.states.clone(),
        actions: torch.actions.clone(),
        rewards: None,
        ends: torch.ends.clone(),
    };
    let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    for expected in &torch.runs {
        let unet = UnetSettings {
            horizon: torch.horizon,
            window: torch.window,
            kernel: torch.kernel,
            groups: torch.groups,
            predict: expected.predict,
            ema: 0.0,
            ..Default::default()
        };
        let optimiser = Optimiser {
            betas: torch.betas,
            weight_decay: torch.weight_decay,
            warm_up: torch.warm_up,
            cosine: true,
            clip: 0.0,
        };
        let settings = TrainSettings {
            backbone: Architecture::Unet(unet),
            hidden: torch.widths.clone(),
            activation: expected.activation,
            lambda: Lambda::Value(torch.lambda),
            distances: Distances::Paper,
            batch: 12,
            steps: expected.losses.len() as u64,
            lr: torch.lr,
            optimiser,
            check_on: 0.0,
            ..TrainSettings::default()
        };
        let mut run = Run::new(&data, codebook_of(&data, &torch.memories), settings).unwrap();
        let start = Backbone::from_arrays(Architecture::Unet(unet), &torch.start).unwrap();
        let Backbone::Unet(start) = start else { panic!("a U-Net") };
        let rows = run.rows.gather(&run.codebook, &(0..12).collect::<Vec<_>>());
        let mut net = Net::Unet(UnetNet::new(&start, &run.device));
        let mut losses = Vec::new();
        for k in 0..expected.losses.len() {
            let draws = Draws {
                steps: torch.steps[k % torch.steps.len()].clone(),
                noise: torch.noise[k % torch.noise.len()].clone(),
            };
            let Net::Unet(now) = &net else { panic!("a U-Net") };
            let proposed = now.propose(run.batch(&rows), &draws);
            if k == 0 && expected.predict == Predict::Action {
                let output = proposed.proposal.clone().into_data().try_into_vec::<f32>().unwrap();
                close(&output, &expected.output, 2e-5, "output");
            }
            let (loss, tape) = run.held_loss(proposed, &rows);
            if k == 0 {
                let (loss, tape) = run.held_loss(now.propose(run.batch(&rows), &draws), &rows);
                let found = gradient(&net.gradients(&loss, tape), &start);
                assert_eq!(found.len(), expected.gradients.len());
                let largest = expected.gradients.values().flatten().fold(0.0_f32, |m, g| m.max(g.abs()));
                for (name, expected) in &expected.gradients {
                    close(&found[name].1, expected, 1e-5 * largest.max(1.0), name);
                }
            }
            net = run.descend(net, &loss, tape);
            losses.push(loss.into_scalar::<f32>());
        }
        close(&losses, &expected.losses, 1e-3, "loss at step");
        let end = net.numbers().arrays();
        for (name, expected) in &expected.end {
            close(&end[name].1, expected, 2e-3, name);
        }
    }
}

/// The gradients of a U-Net by the names of its arrays.
fn gradient(gradients: &GradientsParams, unet: &Unet) -> Arrays {
    let numbers = gradients.get::<1>(ParamId::from(1)).unwrap();
    unet.named(&numbers.into_data().try_into_vec::<f32>().unwrap())
}
