//! Training of the behavior transformer: against PyTorch, and what it can learn.

use serde::Deserialize;

use super::tests::{
    close, codebook_of, drawn, few_transitions, near, pairs, some_codebook, some_data, through_envelope,
    trained,
};
use super::{training_set::MiniBatch, *};
use crate::envelope::Activation;
use crate::{
    backbone::{Architecture, Arrays, Backbone, Bet, BetNet, BetSettings, BucketSelection, TrainableNet},
    data::{ActionRange, Parts},
    optimizer::OptimizerSettings,
    seed::Seed,
};

/// What python/tests/torch_bet.py printed.
#[derive(Deserialize)]
struct Torch {
    states: Vec<f32>,
    actions: Vec<f32>,
    ends: Vec<usize>,
    memories: Vec<usize>,
    lambda: f32,
    lr: f64,
    decay: f64,
    clip: f64,
    bet: BetSettings,
    windows: Vec<usize>,
    start: Arrays,
    proposal: Vec<f32>,
    gradients: Arrays,
    losses: Vec<f32>,
    norms: Vec<f64>,
    end: Arrays,
}

#[test]
fn outputs_gradients_and_a_training_trajectory_are_those_of_pytorch() {
    let torch: Torch = serde_json::from_str(include_str!("torch_bet.json")).unwrap();
    let parts = Parts {
        n_obs: 3,
        n_act: 2,
        states: torch.states.clone(),
        actions: torch.actions.clone(),
        rewards: None,
        ends: torch.ends.clone(),
    };
    let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    let settings = TrainSettings {
        backbone: Architecture::from(torch.bet),
        activation: Activation::Clamp,
        lambda: Lambda::Value(torch.lambda),
        distances: Distances::Paper,
        steps: torch.losses.len() as u64,
        batch: 7, // every window once a step
        lr: torch.lr,
        optimizer: OptimizerSettings {
            weight_decay: torch.decay,
            clip: torch.clip,
            ..BetSettings::OPTIMIZER_DEFAULTS.optimizer
        },
        validation_fraction: 0.0,
        ..TrainSettings::paper()
    };
    let mut run = Run::new(&data, codebook_of(&data, &torch.memories), settings).unwrap();
    let start = Architecture::from(torch.bet).load_tensors(&torch.start).unwrap();
    run.start_from(&start);
    let bet = start.downcast::<Bet>().expect("a behavior transformer");
    let (net, parameters) = BetNet::new(bet);
    let which: Vec<usize> = (0..7).collect();
    let (mut rows, count) = (MiniBatch::default(), run.training_set.count(&which));
    run.training_set.gather(&run.codebook, &which, Seed(0), &mut rows);
    let wanted: Vec<f32> =
        torch.windows.iter().flat_map(|&i| &torch.actions[2 * i..2 * i + 2]).copied().collect();
    assert_eq!(rows.targets, wanted, "the same windows");
    let (loss_fn, mut outputs, mut gradient) = (run.loss(count), Vec::new(), vec![0.0; parameters.len()]);
    let mut record = |found: &[f32], weights: Option<&[f32]>, output_grad: &mut [f32]| {
        outputs.extend_from_slice(found);
        loss_fn.loss_and_grad(&rows, found, weights, output_grad)
    };
    net.loss_and_grad(
        &parameters,
        &rows.batch(count),
        Seed(0),
        &mut record,
        &mut gradient,
        &mut Default::default(),
    );
    close(&outputs, &torch.proposal, 2e-5, "network output");
    let gradients = net.with_parameters(&gradient).save_tensors();
    for (name, (_, expected)) in &torch.gradients {
        // The offsets' errors count a thousandfold, and gradients are as large.
        close(
            &gradients[name].1.iter().map(|g| g / 10.0).collect::<Vec<_>>(),
            &expected.iter().map(|g| g / 10.0).collect::<Vec<_>>(),
            5e-5,
            name,
        );
    }
    assert_eq!(gradients.len(), torch.gradients.len() + 1, "all but the centers");
    let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    assert!((norm - torch.norms[0]).abs() < 1e-4 * norm, "{norm}: PyTorch has {}", torch.norms[0]);

    let losses: Vec<f32> = std::iter::from_fn(|| run.step()).map(|s| s.loss).collect();
    close(&losses, &torch.losses, 1e-4, "loss at step");
    assert!(losses[0] > 10.0 * losses[losses.len() - 1], "it learned something");
    let end = run.policy().backbone().unwrap().save_tensors();
    // A key's bias adds the same to all scores of a query and changes nothing: its gradient is rounding alone, of which Adam
    // makes steps.
    for (name, (_, expected)) in torch.end.iter().filter(|(name, _)| !name.ends_with("key.bias")) {
        close(&end[name].1, expected, 5e-4, name);
    }
    assert_eq!(end["centers"], torch.start["centers"], "centers are not trained");
}

fn with(bet: BetSettings, lambda: Lambda) -> TrainSettings {
    TrainSettings {
        backbone: Architecture::from(bet),
        lambda,
        batch: 64,
        lr: 3e-3,
        optimizer: BetSettings::OPTIMIZER_DEFAULTS.optimizer,
        validation_fraction: 0.0,
        ..through_envelope()
    }
}

fn small() -> BetSettings {
    BetSettings { layers: 2, heads: 2, width: 16, window: 4, buckets: 8, ..Default::default() }
}

#[test]
fn training_overfits_a_few_transitions() {
    let data = few_transitions();
    for lambda in [f32::INFINITY, 2.0] {
        let bet =
            BetSettings { width: 32, dropout: 0.0, bucket_selection: BucketSelection::Argmax, ..small() };
        let settings =
            TrainSettings { steps: 1500, distances: Distances::Paper, ..with(bet, Lambda::Value(lambda)) };
        let policy = trained(&data, &[3, 40], settings).policy();
        let mut square = 0.0;
        for episode in 0..2 {
            let mut session = policy.session();
            for i in data.episode(episode) {
                let mut action = [0.0; 2];
                let held = session.act(&data.state(i), &mut action).unwrap();
                let memory_action = policy.codebook().action(held.retrieval.memory);
                for k in 0..2 {
                    // The nearest that the box allows.
                    let [low, high] = held.region.bounds(memory_action[k]);
                    square += (action[k] - data.action(i)[k].clamp(low, high)).powi(2) / 128.0;
                }
            }
        }
        assert!(square < 1e-3, "lambda {lambda}: {square}");
    }
}

#[test]
fn two_modes_are_kept_where_a_perceptron_averages() {
    let actions: Vec<f32> = (0..64).map(|i| if i % 2 == 0 { 0.8 } else { -0.8 }).collect();
    let data = pairs(vec![0.0; 64], actions);
    let bet = BetSettings { window: 1, buckets: 2, ..small() };
    let settings = TrainSettings { steps: 400, ..with(bet, Lambda::Value(f32::INFINITY)) };
    let actions = drawn(&trained(&data, &[0], settings.clone()).policy());
    let (high, low) = (near(&actions, 0.8, 0.05), near(&actions, -0.8, 0.05));
    assert!((400..=600).contains(&high) && high + low == 1000, "{high}, {low}");
    // The likeliest bucket is one of them, always the same.
    let bet = BetSettings { bucket_selection: BucketSelection::Argmax, ..bet };
    let actions = drawn(
        &trained(&data, &[0], TrainSettings { backbone: Architecture::from(bet), ..settings }).policy(),
    );
    assert!(near(&actions, 0.8, 0.05) == 1000 || near(&actions, -0.8, 0.05) == 1000);
}

#[test]
fn what_came_before_tells_states_apart_that_look_alike() {
    // One state throughout, but the first of an episode; the action repeats what that first one said.
    let (mut states, mut actions) = (Vec::new(), Vec::new());
    for episode in 0..20 {
        let side = if episode % 2 == 0 { 1.0 } else { -1.0 };
        states.extend([side, 0.0, 0.0]);
        actions.extend([0.5 * side; 3]);
    }
    let ends = (1..=20).map(|k| 3 * k).collect();
    let parts = Parts { n_obs: 1, n_act: 1, states, actions, rewards: None, ends };
    let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    let worst = |window: usize| {
        let bet = BetSettings {
            window,
            buckets: 2,
            dropout: 0.0,
            bucket_selection: BucketSelection::Argmax,
            ..small()
        };
        let settings = TrainSettings { steps: 300, ..with(bet, Lambda::Value(f32::INFINITY)) };
        let policy = trained(&data, &[0], settings).policy();
        let mut worst = 0.0_f32;
        for episode in 0..2 {
            let mut session = policy.session();
            for i in data.episode(episode) {
                let mut action = [0.0];
                session.act(&data.state(i), &mut action).unwrap();
                worst = worst.max((action[0] - data.action(i)[0]).abs());
            }
        }
        worst
    };
    assert!(worst(3) < 0.1, "{}", worst(3));
    assert!(worst(1) > 0.4, "without a window it cannot be known: {}", worst(1));
}

#[test]
fn a_session_acts_on_the_last_observations_of_its_own_episode() {
    let data = some_data();
    let run = trained(
        &data,
        &[0, 5, 40],
        TrainSettings {
            steps: 20,
            ..with(BetSettings { bucket_selection: BucketSelection::Argmax, ..small() }, Lambda::Auto)
        },
    );
    let policy = run.policy();
    let mut expected = crate::backbone::Episode::new(Seed(0));
    for episode in 0..3 {
        let (mut session, steps) = (policy.session(), data.episode(episode));
        for i in steps.clone() {
            let mut action = [0.0; 2];
            session.act(&data.state(i), &mut action).unwrap();
            let shown = policy.explain(&data.states()[steps.start * 3..(i + 1) * 3]).unwrap();
            assert_eq!(shown.dimensions.iter().map(|d| d.action).collect::<Vec<_>>(), action);
            // By the network alone, shown the window and nothing else.
            let first = steps.start.max((i + 1).saturating_sub(4));
            expected = crate::backbone::Episode::new(Seed(0));
            for j in first..=i {
                let mut scaled = policy.codebook().scaled_buffer();
                policy.codebook().scale(&data.state(j), &mut scaled);
                expected.observe(&**policy.backbone().unwrap(), scaled.values());
            }
            expected.predict(&**policy.backbone().unwrap(), &|_, g| g);
            let outputs: Vec<f32> = shown.dimensions.iter().map(|d| d.network_output.unwrap()).collect();
            assert_eq!(outputs, expected.network_output());
        }
    }
    assert_eq!(expected.network_output().len(), 2);
}

#[test]
fn a_resumed_run_ends_on_the_same_numbers_as_an_unbroken_one() {
    let data = some_data();
    let settings =
        |steps| TrainSettings { steps, validation_fraction: 0.3, batch: 16, ..with(small(), Lambda::Auto) };
    let run = |steps| {
        let mut run = Run::new(&data, some_codebook(&data), settings(steps)).unwrap();
        while run.step().is_some() {}
        run
    };
    let (unbroken, broken) = (run(30), run(13));
    let checkpoint = broken.checkpoint().unwrap();
    let mut resumed = Run::resume(&data, some_codebook(&data), settings(30), checkpoint.clone()).unwrap();
    while resumed.step().is_some() {}
    assert!(resumed.policy().backbone() == unbroken.policy().backbone());
    assert!(resumed.policy().backbone() != broken.policy().backbone());
    assert_eq!(resumed.validation(), unbroken.validation());
    let other = TrainSettings {
        backbone: Architecture::from(BetSettings { dropout: 0.2, ..small() }),
        ..settings(30)
    };
    let refused = Run::resume(&data, some_codebook(&data), other, checkpoint).err().unwrap().to_string();
    assert!(refused.contains("another backbone"), "{refused}");
}

#[test]
fn every_step_drops_numbers_of_its_own() {
    let data = some_data();
    let loss = |dropout: f64, step: u64| {
        let settings = with(BetSettings { dropout, ..small() }, Lambda::Value(f32::INFINITY));
        let mut run = Run::new(&data, some_codebook(&data), settings).unwrap();
        run.step = step; // of one slope of the clamp
        run.loss_and_gradient(&[0, 1, 2]).0
    };
    assert_eq!(loss(0.1, 0), loss(0.1, 0));
    assert_ne!(loss(0.1, 0), loss(0.1, 1));
    assert_eq!(loss(0.0, 0), loss(0.0, 1));
}

#[test]
fn more_buckets_than_distinct_actions_are_refused() {
    let data = pairs((0..8).map(|i| i as f32).collect(), [0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.1, 0.2].to_vec());
    let new = |buckets| {
        let settings = with(BetSettings { buckets, ..small() }, Lambda::Value(1.0));
        Run::new(&data, codebook_of(&data, &[0]), settings).map(|_| ())
    };
    let message = new(4).unwrap_err().to_string();
    for part in ["fewer distinct actions", "--buckets", "at most 3", "found: 4", "ask for fewer"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(new(3).is_ok());
    // Copying sorts nothing.
    let copying = with(BetSettings { buckets: 4, ..small() }, Lambda::Value(0.0));
    assert!(Run::new(&data, codebook_of(&data, &[0]), copying).is_ok());
}

#[test]
fn without_memories_it_makes_no_difference_which_they_are_and_with_them_it_does() {
    let data = some_data();
    let trained = |rows: &[usize], lambda| {
        let settings = TrainSettings { steps: 10, ..with(small(), Lambda::Value(lambda)) };
        trained(&data, rows, settings).policy()
    };
    let (baseline, constrained) = (trained(&[0, 5], f32::INFINITY), trained(&[0, 5], 0.5));
    assert_eq!(baseline.backbone(), trained(&[7, 50, 80], f32::INFINITY).backbone());
    assert_ne!(constrained.backbone(), trained(&[7, 50, 80], 0.5).backbone());
    assert_eq!((baseline.name().as_str(), &constrained.name()[..15]), ("BeT-BC, clamp", "MCNN-BeT, clamp"));
}

#[test]
fn training_gives_the_same_numbers_on_any_number_of_threads() {
    let data = some_data();
    let trained = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let bet = BetSettings { buckets: 32, ..Default::default() };
            let settings = TrainSettings { steps: 3, ..with(bet, Lambda::Auto) };
            let mut run = Run::new(&data, some_codebook(&data), settings).unwrap();
            while run.step().is_some() {}
            run.policy().backbone().cloned()
        })
    };
    assert!(trained(1) == trained(3));
}
