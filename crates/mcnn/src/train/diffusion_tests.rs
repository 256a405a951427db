//! Training of the diffusion backbone: against PyTorch, and what it can learn.

use serde::Deserialize;

use super::tests::{
    Problem, close, codebook_of, drawn, few_transitions, near, pairs, some_codebook, some_data,
    through_envelope, trained,
};
use super::{training_set::MiniBatch, *};
use crate::backbone::{
    Architecture, Diffusion, DiffusionNet, DiffusionSettings, Layers, NoiseSample, PredictionType, Sampler,
};
use crate::envelope::Activation;

/// Layers as PyTorch's side writes them: weights `[in, out]` row by row, and biases.
type Written = Vec<(Vec<f32>, Vec<f32>)>;

/// What python/tests/torch_diffusion.py printed.
#[derive(Deserialize)]
struct Torch {
    #[serde(flatten)]
    problem: Problem,
    steps: Vec<Vec<usize>>,
    noise: Vec<Vec<f32>>,
    start: Start,
    runs: Vec<TorchRun>,
}

#[derive(Deserialize)]
struct Start {
    time: Written,
    body: Written,
}

#[derive(Deserialize)]
struct TorchRun {
    activation: Activation,
    prediction: PredictionType,
    output: Vec<f32>,
    gradients: Written,
    time_gradients: Vec<Vec<f32>>,
    losses: Vec<f32>,
    end: Written,
}

#[test]
fn outputs_gradients_and_a_training_trajectory_are_those_of_pytorch() {
    let torch: Torch = serde_json::from_str(include_str!("torch_diffusion.json")).unwrap();
    let problem = &torch.problem;
    let data = problem.data();
    let body_widths = [&[2 + 16 + 3], problem.hidden.as_slice(), &[2]].concat();
    let draws: Vec<NoiseSample> = torch
        .steps
        .iter()
        .zip(&torch.noise)
        .map(|(steps, noise)| NoiseSample { steps: steps.clone(), noise: noise.clone() })
        .collect();
    for expected in &torch.runs {
        let diffusion = DiffusionSettings { prediction: expected.prediction, ema: 0.0, ..Default::default() };
        let settings = TrainSettings {
            backbone: Architecture::from(diffusion),
            hidden: problem.hidden.clone(),
            activation: expected.activation,
            lambda: Lambda::Value(problem.lambda),
            distances: Distances::Paper,
            batch: 12,
            lr: problem.lr,
            validation_fraction: 0.0,
            ..TrainSettings::paper()
        };
        let mut run = Run::new(&data, codebook_of(&data, &problem.memories), settings).unwrap();
        let layers =
            |widths: &[usize], written: &Written| Layers::new(widths.to_vec(), written.clone()).unwrap();
        let (time, body) =
            (layers(&[16, 32, 16], &torch.start.time), layers(&body_widths, &torch.start.body));
        let start = Diffusion::new(diffusion, time, body).unwrap();
        run.start_from(&start.clone().into());
        let (net, mut parameters) = DiffusionNet::new(&start);
        let which: Vec<usize> = (0..12).collect();
        let mut rows = MiniBatch::default();
        run.training_set.gather(&run.codebook, &which, Seed(0), &mut rows);

        let (mut losses, mut gradient) = (Vec::new(), vec![0.0; parameters.len()]);
        for k in 0..expected.losses.len() {
            let (loss_fn, mut output) = (run.loss(12), Vec::new());
            let mut record = |outputs: &[f32], weights: Option<&[f32]>, output_grad: &mut [f32]| {
                output.extend_from_slice(outputs);
                loss_fn.loss_and_grad(&rows, outputs, weights, output_grad)
            };
            let draws = &draws[k % draws.len()];
            let loss = net.loss_and_grad_of(
                &parameters,
                &rows.batch(12),
                draws,
                &mut record,
                &mut gradient,
                &mut Default::default(),
            );
            if k == 0 && expected.prediction == PredictionType::Sample {
                close(&output, &expected.output, 2e-5, "output");
            }
            if k == 0 {
                let found = net.with_parameters(&gradient);
                let [time, body] = found.layers();
                for ((weight, bias), expected) in body.iter().zip(&expected.gradients) {
                    close(weight, &expected.0, 2e-5, "gradient of a weight");
                    close(bias, &expected.1, 2e-5, "gradient of a bias");
                }
                for ((_, bias), expected) in time.iter().zip(&expected.time_gradients) {
                    close(bias, expected, 2e-5, "gradient of a bias of the time");
                }
            }
            parameters.copy_from_slice(run.apply_gradient(&mut gradient));
            losses.push(loss as f32);
        }
        close(&losses, &expected.losses, 1e-4, "loss at step");
        for ((weight, bias), expected) in
            net.with_parameters(&parameters).layers()[1].iter().zip(&expected.end)
        {
            close(weight, &expected.0, 1e-3, "weight");
            close(bias, &expected.1, 1e-3, "bias");
        }
    }
}

fn with(diffusion: DiffusionSettings, lambda: Lambda) -> TrainSettings {
    TrainSettings {
        backbone: Architecture::from(diffusion),
        hidden: vec![64, 64],
        lambda,
        batch: 64,
        lr: 1e-3,
        validation_fraction: 0.0,
        ..through_envelope()
    }
}

#[test]
fn training_overfits_a_few_transitions() {
    let data = few_transitions();
    for lambda in [f32::INFINITY, 2.0] {
        let settings = TrainSettings {
            steps: 4000,
            hidden: vec![128; 3],
            batch: 128,
            distances: Distances::Paper,
            ..with(Default::default(), Lambda::Value(lambda))
        };
        let run = trained(&data, &[3, 40], settings);
        let policy = run.policy();
        let mut session = policy.session();
        let mut square = 0.0;
        for i in 0..64 {
            let mut action = [0.0; 2];
            let held = session.act(&data.state(i), &mut action).unwrap();
            let memory_action = policy.codebook().action(held.retrieval.memory);
            for k in 0..2 {
                // The nearest that the box allows.
                let [low, high] = held.region.bounds(memory_action[k]);
                square += (action[k] - data.action(i)[k].clamp(low, high)).powi(2) / 128.0;
            }
        }
        // Guessing the mean is at 0.27; between seeds it moves from 0.0001 to 0.007.
        assert!(square < 1e-2, "lambda {lambda}: {square}");
    }
}

#[test]
fn diffusion_keeps_two_modes_where_a_perceptron_averages() {
    let actions: Vec<f32> = (0..64).map(|i| if i % 2 == 0 { 0.8 } else { -0.8 }).collect();
    let data = pairs(vec![0.0; 64], actions);
    let plain = Lambda::Value(f32::INFINITY);
    // A network that predicts the clean action perfectly leaves 17 % of five steps' draws further than 0.4 from both, and
    // of twenty steps' draws none further than 0.2 (simulated in NumPy with the true mean of the action given x_t).
    for (steps, prediction, sampler, activation, within, least) in [
        (5, PredictionType::Sample, Sampler::Ddpm, Activation::Tanh, 0.4, 750),
        (5, PredictionType::Sample, Sampler::Ddim, Activation::Clamp, 0.4, 750),
        (20, PredictionType::Sample, Sampler::Ddpm, Activation::Clamp, 0.25, 900),
        (20, PredictionType::Epsilon, Sampler::Ddim, Activation::Clamp, 0.25, 900),
    ] {
        let diffusion = DiffusionSettings { steps, prediction, sampler, ..Default::default() };
        let settings = TrainSettings {
            steps: 4000,
            activation,
            hidden: vec![64; 3],
            lr: 3e-3,
            ..with(diffusion, plain)
        };
        let actions = drawn(&trained(&data, &[0], settings).policy());
        let (high, low) = (near(&actions, 0.8, within), near(&actions, -0.8, within));
        assert!((300..=700).contains(&high) && (300..=700).contains(&low), "{diffusion:?}: {high}, {low}");
        assert!(high + low >= least, "{diffusion:?}: {high}, {low}, the rest in between");
    }
    let settings = TrainSettings { backbone: Architecture::default(), ..with(Default::default(), plain) };
    let run = trained(&data, &[0], TrainSettings { steps: 1000, ..settings });
    assert!(drawn(&run.policy()).iter().all(|a| a.abs() < 0.1), "the mean of the two");
}

#[test]
fn a_resumed_run_ends_on_the_same_numbers_and_mean_as_an_unbroken_one() {
    let data = some_data();
    let settings = |steps| TrainSettings {
        steps,
        validation_fraction: 0.3,
        hidden: vec![8, 7],
        batch: 16,
        ..with(Default::default(), Lambda::Auto)
    };
    let run = |steps| {
        let mut run = Run::new(&data, some_codebook(&data), settings(steps)).unwrap();
        while run.step().is_some() {}
        run
    };
    let (unbroken, broken) = (run(40), run(17));
    let checkpoint = broken.checkpoint().unwrap();
    assert_ne!(
        Some(&checkpoint.members[0].network),
        checkpoint.members[0].ema.as_ref(),
        "the mean is not the weights"
    );
    assert_eq!(broken.policy().backbone(), checkpoint.members[0].ema.as_ref(), "and it is what acts");
    let mut resumed = Run::resume(&data, some_codebook(&data), settings(40), checkpoint.clone()).unwrap();
    while resumed.step().is_some() {}
    assert_eq!(resumed.policy().backbone(), unbroken.policy().backbone());
    let network = |run: &Run| run.checkpoint().unwrap().members.swap_remove(0).network;
    assert!(network(&resumed) == network(&unbroken));
    assert_eq!(resumed.validation(), unbroken.validation());
    let mut lost = checkpoint;
    lost.members[0].ema = None;
    let refused = Run::resume(&data, some_codebook(&data), settings(40), lost).err().unwrap().to_string();
    assert!(refused.contains("not whole"), "{refused}");
}

#[test]
fn the_running_mean_is_that_of_its_definition() {
    let data = some_data();
    let diffusion = DiffusionSettings { ema: 0.9, ..Default::default() };
    let settings = TrainSettings { steps: 30, hidden: vec![4], ..with(diffusion, Lambda::Auto) };
    let mut run = Run::new(&data, some_codebook(&data), settings).unwrap();
    let bias = |backbone: &Network| backbone.save_tensors()["0.bias"].1[0];
    let mut mean = f64::from(bias(run.policy().backbone().unwrap()));
    for step in 1..=30 {
        run.step().unwrap();
        let kept = (f64::from(step) / (f64::from(step) + 9.0)).min(0.9);
        mean = kept * mean + (1.0 - kept) * f64::from(bias(&run.checkpoint().unwrap().members[0].network));
        assert!((mean - f64::from(bias(run.policy().backbone().unwrap()))).abs() < 1e-6, "step {step}");
    }
}

#[test]
fn every_step_draws_noise_of_its_own() {
    let data = some_data();
    let mut run = Run::new(&data, some_codebook(&data), with(Default::default(), Lambda::Auto)).unwrap();
    let first = run.loss_and_gradient(&[0, 1, 2]).0;
    assert_eq!(first, run.loss_and_gradient(&[0, 1, 2]).0);
    run.step = 1; // the same rows, weights and slope
    assert_ne!(first, run.loss_and_gradient(&[0, 1, 2]).0);
}

#[test]
fn without_memories_it_makes_no_difference_which_they_are_and_with_them_it_does() {
    let data = some_data();
    let trained = |rows: &[usize], lambda| {
        let settings = TrainSettings { steps: 20, ..with(Default::default(), Lambda::Value(lambda)) };
        trained(&data, rows, settings).policy().backbone().cloned()
    };
    assert_eq!(trained(&[0, 5], f32::INFINITY), trained(&[7, 50, 80], f32::INFINITY));
    assert_ne!(trained(&[0, 5], 0.5), trained(&[7, 50, 80], 0.5));
}

#[test]
fn training_gives_the_same_numbers_on_any_number_of_threads() {
    let data = some_data();
    let trained = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let settings = TrainSettings {
                hidden: vec![256; 3],
                batch: 256,
                steps: 8,
                ..with(Default::default(), Lambda::Auto)
            };
            let mut run = Run::new(&data, some_codebook(&data), settings).unwrap();
            while run.step().is_some() {}
            run.policy().backbone().cloned()
        })
    };
    assert_eq!(trained(1), trained(3));
}
