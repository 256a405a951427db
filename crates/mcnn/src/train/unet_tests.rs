//! Training of the U-Net: against PyTorch, and what it can learn.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::tests::{
    close, codebook_of, few_transitions, some_codebook, some_data, through_envelope, trained,
};
use super::{training_set::MiniBatch, *};
use crate::envelope::Activation;
use crate::{
    backbone::{
        Architecture, Arrays, Backbone, NoiseSample, PredictionType, Sampler, Unet, UnetNet, UnetSettings,
    },
    data::{ActionRange, Parts},
    optimizer::OptimizerSettings,
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
    prediction: PredictionType,
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
            prediction: expected.prediction,
            ema: 0.0,
            ..Default::default()
        };
        let optimizer = OptimizerSettings {
            betas: torch.betas,
            weight_decay: torch.weight_decay,
            warm_up: torch.warm_up,
            cosine: true,
            clip: 0.0,
        };
        let settings = TrainSettings {
            backbone: Architecture::from(unet),
            hidden: torch.widths.clone(),
            activation: expected.activation,
            lambda: Lambda::Value(torch.lambda),
            distances: Distances::Paper,
            batch: 12,
            steps: expected.losses.len() as u64,
            lr: torch.lr,
            optimizer,
            validation_fraction: 0.0,
            ..TrainSettings::paper()
        };
        let mut run = Run::new(&data, codebook_of(&data, &torch.memories), settings).unwrap();
        let start = Architecture::from(unet).load_tensors(&torch.start).unwrap();
        let start = start.downcast::<Unet>().expect("a U-Net");
        run.start_from(&start.clone().into());
        let mut rows = MiniBatch::default();
        run.training_set.gather(&run.codebook, &(0..12).collect::<Vec<_>>(), Seed(0), &mut rows);
        let count = run.training_set.count(&(0..12).collect::<Vec<_>>());
        let (net, mut parameters) = UnetNet::new(start);
        let (mut losses, mut gradient) = (Vec::new(), vec![0.0; parameters.len()]);
        for k in 0..expected.losses.len() {
            let draws = NoiseSample {
                steps: torch.steps[k % torch.steps.len()].clone(),
                noise: torch.noise[k % torch.noise.len()].clone(),
            };
            let (loss_fn, mut output) = (run.loss(count), Vec::new());
            let mut record = |outputs: &[f32], weights: Option<&[f32]>, output_grad: &mut [f32]| {
                output.extend_from_slice(outputs);
                loss_fn.loss_and_grad(&rows, outputs, weights, output_grad)
            };
            let batch = rows.batch(count);
            let loss = net.loss_and_grad_of(
                &parameters,
                &batch,
                &draws,
                &mut record,
                &mut gradient,
                &mut Default::default(),
            );
            if k == 0 && expected.prediction == PredictionType::Sample {
                close(&output, &expected.output, 2e-5, "output");
            }
            if k == 0 {
                let found = start.to_arrays(&gradient);
                assert_eq!(found.len(), expected.gradients.len());
                let largest = expected.gradients.values().flatten().fold(0.0_f32, |m, g| m.max(g.abs()));
                for (name, expected) in &expected.gradients {
                    close(&found[name].1, expected, 1e-5 * largest.max(1.0), name);
                }
            }
            parameters.copy_from_slice(run.apply_gradient(&mut gradient));
            losses.push(loss as f32);
        }
        close(&losses, &expected.losses, 1e-3, "loss at step");
        let end = net.with_parameters(&parameters).save_tensors();
        for (name, expected) in &expected.end {
            close(&end[name].1, expected, 2e-3, name);
        }
    }
}

fn with(unet: UnetSettings, lambda: Lambda) -> TrainSettings {
    TrainSettings {
        backbone: Architecture::from(unet),
        hidden: vec![16, 32],
        lambda,
        batch: 32,
        lr: 1e-3,
        optimizer: OptimizerSettings { betas: [0.95, 0.999], ..OptimizerSettings::ADAM },
        validation_fraction: 0.0,
        ..through_envelope()
    }
}

/// Fewer diffusion steps than the default, for speed.
fn quick() -> UnetSettings {
    UnetSettings { horizon: 8, executed: 4, steps: 20, sample_steps: 5, ema: 0.99, ..Default::default() }
}

#[test]
fn training_overfits_a_few_transitions() {
    let data = few_transitions();
    for lambda in [f32::INFINITY, 2.0] {
        let settings = TrainSettings {
            steps: 1500,
            batch: 64,
            lr: 3e-3,
            distances: Distances::Paper,
            ..with(quick(), Lambda::Value(lambda))
        };
        let run = trained(&data, &[3, 40], settings);
        let policy = run.policy();
        let mut worst = 0.0_f32;
        let mut square = 0.0;
        for i in 0..64 {
            let (start, end) = if i < 32 { (0, 32) } else { (32, 64) };
            let mut session = policy.session();
            if i > start {
                session.observe(&data.state(i - 1)).unwrap();
            }
            // All of what is executed, as far as the episode goes; the observations between count nothing.
            for ahead in 0..4.min(end - i) {
                let mut action = [0.0; 2];
                let held = session.act(&data.state(i), &mut action).unwrap();
                let memory_action = policy.codebook().action_after(held.retrieval.memory, ahead);
                for k in 0..2 {
                    // The nearest that the box allows.
                    let [low, high] = held.region.bounds(memory_action[k]);
                    let error = action[k] - data.action(i + ahead)[k].clamp(low, high);
                    (worst, square) = (worst.max(error.abs()), square + error.powi(2) / 512.0);
                }
            }
        }
        assert!(square < 3e-3, "lambda {lambda}: {square}, at the worst {worst}");
    }
}

/// Chunks drawn at the one state, over many episodes.
fn drawn(policy: &Policy) -> Vec<[f32; 4]> {
    let act = |k: u64| {
        let mut session = policy.session_with_seed(Seed(k));
        std::array::from_fn(|_| {
            let mut action = [0.0];
            session.act(&[0.0], &mut action).unwrap();
            action[0]
        })
    };
    (0..400).map(act).collect()
}

#[test]
fn a_chunk_keeps_to_one_of_two_modes() {
    // Sixteen episodes in the one state, half of them at 0.8 throughout and half at -0.8.
    let actions: Vec<f32> = (0..16 * 8).map(|i| if i / 8 % 2 == 0 { 0.8 } else { -0.8 }).collect();
    let ends = (1..=16).map(|k| 8 * k).collect();
    let parts = Parts { n_obs: 1, n_act: 1, states: vec![0.0; 16 * 8], actions, rewards: None, ends };
    let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    // Noise is the slower to learn: where little of the action is left, a prediction of it that is far out counts as the edge.
    for (prediction, sampler, steps, sample_steps, training) in [
        (PredictionType::Sample, Sampler::Ddim, 100, 10, 400),
        (PredictionType::Sample, Sampler::Ddpm, 20, 20, 400),
        (PredictionType::Epsilon, Sampler::Ddim, 20, 20, 1500),
    ] {
        let unet = UnetSettings { prediction, sampler, steps, sample_steps, ..quick() };
        let settings =
            TrainSettings { steps: training, lr: 3e-3, ..with(unet, Lambda::Value(f32::INFINITY)) };
        let chunks = drawn(&trained(&data, &[0], settings).policy());
        let near = |mode: f32| chunks.iter().filter(|c| c.iter().all(|a| (a - mode).abs() < 0.25)).count();
        let (high, low) = (near(0.8), near(-0.8));
        assert!((100..=300).contains(&high) && (100..=300).contains(&low), "{unet:?}: {high}, {low}");
        assert!(high + low >= 360, "{unet:?}: {high}, {low}, the rest in between or of both");
    }
}

#[test]
fn a_resumed_run_ends_on_the_same_numbers_and_mean_as_an_unbroken_one() {
    let data = some_data();
    let settings = |steps| TrainSettings {
        steps,
        validation_fraction: 0.3,
        hidden: vec![8],
        batch: 8,
        optimizer: OptimizerSettings { warm_up: 5, ..UnetSettings::OPTIMIZER_DEFAULTS.optimizer },
        ..with(UnetSettings { horizon: 2, executed: 2, ..quick() }, Lambda::Auto)
    };
    let run = |taken| {
        let mut run = Run::new(&data, some_codebook(&data), settings(20)).unwrap();
        (0..taken).for_each(|_| assert!(run.step().is_some()));
        run
    };
    let (unbroken, broken) = (run(20), run(9));
    let checkpoint = broken.checkpoint().unwrap();
    assert_ne!(
        Some(&checkpoint.members[0].network),
        checkpoint.members[0].ema.as_ref(),
        "the mean is not the weights"
    );
    let mut resumed = Run::resume(&data, some_codebook(&data), settings(20), checkpoint.clone()).unwrap();
    while resumed.step().is_some() {}
    assert_eq!(resumed.policy().backbone(), unbroken.policy().backbone());
    let network = |run: &Run| run.checkpoint().unwrap().members.swap_remove(0).network;
    assert!(network(&resumed) == network(&unbroken));
    assert_eq!(resumed.validation(), unbroken.validation());
    // The learning rate falls towards the last step, so that another number of steps is another run.
    let refused = Run::resume(&data, some_codebook(&data), settings(30), checkpoint).err().unwrap();
    assert!(refused.to_string().contains("another steps"), "{refused}");
}

#[test]
fn the_running_mean_is_that_of_its_formula() {
    let data = some_data();
    let unet = UnetSettings { horizon: 2, executed: 2, ema: 0.7, ..quick() };
    let settings = TrainSettings { steps: 12, hidden: vec![8], ..with(unet, Lambda::Auto) };
    let mut run = Run::new(&data, some_codebook(&data), settings).unwrap();
    let bias = |backbone: &Network| f64::from(backbone.save_tensors()["end.1.bias"].1[0]);
    let mut mean = bias(run.policy().backbone().unwrap());
    for step in 1..=12 {
        run.step().unwrap();
        let kept = if step <= 2 { 0.0 } else { (1.0 - f64::from(step - 1).powf(-0.75)).min(0.7) };
        mean = kept * mean + (1.0 - kept) * bias(&run.checkpoint().unwrap().members[0].network);
        assert!((mean - bias(run.policy().backbone().unwrap())).abs() < 1e-6, "step {step}");
    }
}

#[test]
fn what_lies_beyond_an_episodes_end_counts_nothing() {
    // Episodes of 3 and 9 steps under a horizon of 8: the last action stands beyond the end, and whatever the network
    // proposes there, the loss is the same.
    let mut rng = Seed(6).rng();
    let states: Vec<f32> = (0..12).map(|_| rng.normal() as f32).collect();
    let actions: Vec<f32> = (0..12).map(|_| rng.between(-1.0, 1.0) as f32).collect();
    let parts = Parts { n_obs: 1, n_act: 1, states, actions, rewards: None, ends: vec![3, 12] };
    let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    let run = Run::new(&data, codebook_of(&data, &[0, 5]), with(quick(), Lambda::Value(0.5))).unwrap();
    assert_eq!(run.short_episodes(), [1, 2]);
    let mut rows = MiniBatch::default();
    run.training_set.gather(&run.codebook, &[1, 4], Seed(0), &mut rows);
    let real: Vec<f32> = rows.mask.iter().map(|real| f32::from(u8::from(*real))).collect();
    assert_eq!(real[..8], [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(real[8..], [1.0; 8]);
    assert_eq!(rows.targets[..8], [&[data.action(1)[0]][..], &[data.action(2)[0]; 7]].concat());
    let loss_fn = run.loss(run.training_set.count(&[1, 4]));
    let loss = |beyond: f32| {
        let of = |real: &bool| if *real { 0.3 } else { beyond };
        let outputs: Vec<f32> = rows.mask.iter().map(of).collect();
        let mut output_grad = vec![f32::NAN; 16];
        let loss = loss_fn.loss_and_grad(&rows, &outputs, None, &mut output_grad);
        (loss, output_grad)
    };
    assert_eq!(loss(0.0), loss(0.9));
}

#[test]
fn training_gives_the_same_numbers_on_any_number_of_threads() {
    let data = some_data();
    let trained = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let unet = UnetSettings { horizon: 8, executed: 4, ..Default::default() };
            let settings =
                TrainSettings { hidden: vec![32, 64], batch: 256, steps: 4, ..with(unet, Lambda::Auto) };
            let mut run = Run::new(&data, some_codebook(&data), settings).unwrap();
            while run.step().is_some() {}
            run.policy().backbone().cloned()
        })
    };
    assert_eq!(trained(1), trained(3));
}
