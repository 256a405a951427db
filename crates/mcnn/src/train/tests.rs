use serde::Deserialize;

use super::{learner::outside_slope, loss::ConstrainedLoss, training_set::BatchSampler, *};
use crate::{
    backbone::Mlp,
    data::{ActionRange, Parts, Scale},
    envelope::Activation,
    memory::{Amount, CodebookParts, LearnSettings, SelectionMethod, learn},
    optimizer::StepArrays,
    seed::Seed,
};

/// What is learned, and how, as PyTorch's side wrote it.
#[derive(Deserialize)]
pub(super) struct Problem {
    pub states: Vec<f32>,
    pub actions: Vec<f32>,
    pub memories: Vec<usize>,
    pub lambda: f32,
    pub lr: f64,
    pub hidden: Vec<usize>,
}

impl Problem {
    /// Two episodes of six steps.
    pub fn data(&self) -> Demonstrations {
        let parts = Parts {
            n_obs: 3,
            n_act: 2,
            states: self.states.clone(),
            actions: self.actions.clone(),
            rewards: None,
            ends: vec![6, 12],
        };
        Demonstrations::new(parts, ActionRange::Refuse).unwrap()
    }
}

/// What python/tests/torch_trajectory.py printed.
#[derive(Deserialize)]
struct Torch {
    #[serde(flatten)]
    problem: Problem,
    runs: Vec<TorchRun>,
}

#[derive(Deserialize)]
struct TorchRun {
    activation: Activation,
    start: Vec<(Vec<f32>, Vec<f32>)>,
    losses: Vec<f32>,
    end: Vec<(Vec<f32>, Vec<f32>)>,
    probes: Vec<Vec<f32>>,
    actions: Vec<Vec<f32>>,
}

impl Run {
    /// Starts again from a given network, without the state of the optimizer and without an EMA.
    pub(super) fn start_from(&mut self, backbone: &Network) {
        let samples = Samples::All(self.training_set.n);
        let learner = Learner::new(backbone, &self.settings, samples, self.settings.seed);
        self.learners = vec![Learner { ema: None, ..learner }];
    }

    /// Takes one optimizer step against a given gradient; returns the parameters after it.
    pub(super) fn apply_gradient(&mut self, gradient: &mut [f32]) -> &[f32] {
        let Learner { net, adam, .. } = &mut self.learners[0];
        let TrainSettings { optimizer, lr, steps, .. } = &self.settings;
        let lr = optimizer.learning_rate(*lr, *steps, self.step);
        let arrays =
            StepArrays { parameters: vec![net.parameters_mut()], gradients: vec![vec![gradient]], ema: None };
        adam.step(optimizer, lr, self.step, arrays);
        self.step += 1;
        net.parameters()
    }

    /// What the learners have in common in the next step.
    pub(super) fn shared(&self) -> Shared<'_> {
        let Self { training_set, codebook, settings, buffers, step, .. } = self;
        Shared { training_set, codebook, settings, buffers, step: *step }
    }

    /// The loss of the next step.
    pub(super) fn loss(&self, count: usize) -> ConstrainedLoss {
        self.shared().loss(count)
    }

    /// The loss on some samples and its gradient, with what is random in the step to come.
    pub(super) fn loss_and_gradient(&self, which: &[usize]) -> (f64, Vec<f32>) {
        let (learner, mut gradients) = (&self.learners[0], Vec::new());
        let loss = learner.gradients(&self.shared(), which, &mut gradients);
        let of = |k: usize| gradients.iter().map(|gradient| gradient[k]).sum();
        (loss, (0..learner.net.parameters().len()).map(of).collect())
    }
}

/// Standardization without a floor, as the references in PyTorch have it.
fn plain_scale(data: &Demonstrations) -> Scale {
    let n = data.n_steps() as f64;
    let all = data.states();
    let column = |k: usize| all.iter().skip(k).step_by(data.n_obs()).map(|x| f64::from(*x));
    let (mut means, mut stds) = (Vec::new(), Vec::new());
    for k in 0..data.n_obs() {
        let mean = column(k).sum::<f64>() / n;
        means.push(mean as f32);
        stds.push((column(k).map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt() as f32);
    }
    Scale { mean: means, std: stds, angles: Vec::new() }
}

pub(super) fn codebook_of(data: &Demonstrations, rows: &[usize]) -> Codebook {
    Codebook::new(CodebookParts {
        data: data.fingerprint(),
        n_states: data.n_steps(),
        ..CodebookParts::new(
            plain_scale(data),
            rows.iter().flat_map(|&i| data.state(i).to_vec()).collect(),
            rows.iter().flat_map(|&i| data.action(i).to_vec()).collect(),
            rows.iter().map(|&i| data.step(i)).collect(),
        )
    })
    .unwrap()
}

pub(super) fn close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{what} {i}: {a}, PyTorch has {b}");
    }
}

#[test]
fn the_head_and_a_training_trajectory_are_those_of_pytorch() {
    let Torch { problem, runs } = serde_json::from_str(include_str!("torch_values.json")).unwrap();
    let data = problem.data();
    for expected in runs {
        let settings = TrainSettings {
            hidden: problem.hidden.clone(),
            activation: expected.activation,
            lambda: Lambda::Value(problem.lambda),
            distances: Distances::Paper,
            steps: expected.losses.len() as u64,
            batch: 12, // every row once a step
            lr: problem.lr,
            validation_fraction: 0.0,
            ..TrainSettings::paper()
        };
        let mut run = Run::new(&data, codebook_of(&data, &problem.memories), settings).unwrap();
        let start = Mlp::from_layers(vec![3, 5, 4, 2], expected.start).unwrap();
        run.start_from(&start.into());
        let losses: Vec<f32> = std::iter::from_fn(|| run.step()).map(|s| s.loss).collect();
        close(&losses, &expected.losses, 2e-5, "loss at step");
        assert!(losses[0] > 2.0 * losses[losses.len() - 1], "it learned something");
        let policy = run.policy();
        let mlp = policy.backbone().unwrap().downcast::<Mlp>().expect("a network");
        for ((weight, bias), expected) in mlp.layers().zip(&expected.end) {
            close(weight, &expected.0, 2e-4, "weight");
            close(bias, &expected.1, 2e-4, "bias");
        }
        let mut session = policy.session();
        for (probe, expected) in expected.probes.iter().zip(&expected.actions) {
            let mut action = [0.0; 2];
            session.act(probe, &mut action).unwrap();
            close(&action, expected, 2e-4, "action");
        }
    }
}

/// Settings of training through the envelope, with the memories of other episodes.
pub(super) fn through_envelope() -> TrainSettings {
    TrainSettings { distances: Distances::Loo, ..TrainSettings::paper() }
}

pub(super) fn some_data() -> Demonstrations {
    let mut rng = Seed(11).rng();
    let n = 90;
    let states: Vec<f32> = (0..n * 3).map(|_| rng.normal() as f32).collect();
    let actions = states.chunks(3).flat_map(|s| [s[0].sin(), (s[1] * s[2]).tanh()]).collect();
    let parts = Parts { n_obs: 3, n_act: 2, states, actions, rewards: None, ends: vec![30, 60, 90] };
    Demonstrations::new(parts, ActionRange::Refuse).unwrap()
}

/// Sixty-four transitions without rhyme or reason, in two episodes: to be learned by heart.
pub(super) fn few_transitions() -> Demonstrations {
    let mut rng = Seed(4).rng();
    let states: Vec<f32> = (0..64 * 3).map(|_| rng.normal() as f32).collect();
    let actions: Vec<f32> = (0..64 * 2).map(|_| rng.between(-0.9, 0.9) as f32).collect();
    let parts = Parts { n_obs: 3, n_act: 2, states, actions, rewards: None, ends: vec![32, 64] };
    Demonstrations::new(parts, ActionRange::Refuse).unwrap()
}

pub(super) fn some_codebook(data: &Demonstrations) -> Codebook {
    learn(
        data,
        &LearnSettings {
            amount: Amount::Count(20),
            selection: SelectionMethod::Random,
            ..Default::default()
        },
    )
    .unwrap()
    .codebook
}

/// States of one number, each with an action of one number, in two episodes.
pub(super) fn pairs(states: Vec<f32>, actions: Vec<f32>) -> Demonstrations {
    let n = states.len();
    let parts = Parts { n_obs: 1, n_act: 1, states, actions, rewards: None, ends: vec![n / 2, n] };
    Demonstrations::new(parts, ActionRange::Refuse).unwrap()
}

pub(super) fn trained(data: &Demonstrations, rows: &[usize], settings: TrainSettings) -> Run {
    let mut run = Run::new(data, codebook_of(data, rows), settings).unwrap();
    while run.step().is_some() {}
    run
}

/// Actions at the one state, over many episodes.
pub(super) fn drawn(policy: &Policy) -> Vec<f32> {
    let act = |k: u64| {
        let mut action = [0.0];
        policy.session_with_seed(Seed(k)).act(&[0.0], &mut action).unwrap();
        action[0]
    };
    (0..1000).map(act).collect()
}

/// How many of them are within a distance of a mode.
pub(super) fn near(actions: &[f32], mode: f32, within: f32) -> usize {
    actions.iter().filter(|a| (*a - mode).abs() < within).count()
}

pub(super) fn small(lambda: Lambda) -> TrainSettings {
    TrainSettings {
        hidden: vec![8, 7],
        lambda,
        batch: 16,
        lr: 1e-2,
        validation_fraction: 0.0,
        steps: 40,
        ..through_envelope()
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let data = some_data();
    for activation in [Activation::Tanh, Activation::Clamp] {
        let run =
            Run::new(&data, some_codebook(&data), TrainSettings { activation, ..small(Lambda::Value(0.8)) })
                .unwrap();
        let which: Vec<usize> = (0..90).collect();
        let (mut run, mut checked) = (run, 0);
        let gradient = run.loss_and_gradient(&which).1;
        for k in (0..gradient.len()).step_by(3) {
            let mut moved = |by: f32| {
                run.learners[0].net.parameters_mut()[k] += by;
                let loss = run.loss_and_gradient(&which).0;
                run.learners[0].net.parameters_mut()[k] -= by;
                loss
            };
            let h = 1e-3;
            let difference = (moved(h) - moved(-h)) / (2.0 * f64::from(h));
            // f32 losses of about 0.3 carry 3e-8 of rounding, which the division makes 3e-5; kinks crossed add some.
            assert!((f64::from(gradient[k]) - difference).abs() < 5e-4, "{k}: {} {difference}", gradient[k]);
            checked += 1;
        }
        assert!(checked > 35);
    }
}

#[test]
fn a_resumed_run_ends_on_the_same_numbers_as_an_unbroken_one() {
    let data = some_data();
    let settings = TrainSettings { validation_fraction: 0.3, ..small(Lambda::Auto) };
    let mut unbroken = Run::new(&data, some_codebook(&data), settings.clone()).unwrap();
    while unbroken.step().is_some() {}

    let mut broken =
        Run::new(&data, some_codebook(&data), TrainSettings { steps: 17, ..settings.clone() }).unwrap();
    while broken.step().is_some() {}
    let checkpoint = broken.checkpoint().unwrap();
    let mut resumed = Run::resume(&data, some_codebook(&data), settings.clone(), checkpoint.clone()).unwrap();
    while resumed.step().is_some() {}
    assert_eq!(resumed.policy().backbone(), unbroken.policy().backbone());
    assert_eq!(resumed.policy().training_record(), unbroken.policy().training_record());
    assert_ne!(resumed.policy().backbone(), broken.policy().backbone());

    let refused = |data: &Demonstrations, settings: TrainSettings| {
        Run::resume(data, some_codebook(data), settings, checkpoint.clone())
            .err()
            .expect("refused")
            .to_string()
    };
    assert!(refused(&data, TrainSettings { lr: 0.5, ..settings.clone() }).contains("another lr"));
    assert!(refused(&data, TrainSettings { steps: 16, ..settings.clone() }).contains("already further"));
    assert!(refused(&data.select(&[0, 1]), settings).contains("other data"));
}

#[test]
fn the_limits_of_lambda_train_nothing_and_everything() {
    let data = some_data();
    let mut copying = Run::new(&data, some_codebook(&data), small(Lambda::Value(0.0))).unwrap();
    assert!(copying.done() && copying.step().is_none() && copying.checkpoint().is_none());
    assert_eq!(copying.policy().name(), "1-NN");
    assert_eq!(copying.zero_gradient_share(), 1.0);

    // With lambda infinite no row is idle and the memories make no difference to the network.
    let infinite = small(Lambda::Value(f32::INFINITY));
    let trained = |rows: &[usize]| {
        let mut run = Run::new(&data, codebook_of(&data, rows), infinite.clone()).unwrap();
        assert_eq!(run.zero_gradient_share(), 0.0);
        while run.step().is_some() {}
        run.policy().backbone().cloned()
    };
    assert_eq!(trained(&[0, 5]), trained(&[7, 50, 80]));
}

#[test]
fn auto_gives_the_stated_weight_at_the_median_distance_to_another_episode() {
    let data = some_data();
    let book = some_codebook(&data);
    let run = Run::new(&data, book.clone(), small(Lambda::Auto)).unwrap();
    let mut distances: Vec<f32> =
        book.retrieve_leave_one_episode_out(&data).into_iter().map(|r| r.unwrap().distance).collect();
    distances.sort_by(f32::total_cmp);
    let nearer = distances.iter().filter(|&&d| run.envelope().region(d).weight > Lambda::AUTO_WEIGHT).count();
    assert!(nearer.abs_diff(45) <= 1, "{nearer} of 90 states are nearer than the median");
}

#[test]
fn paper_and_leave_one_out_distances_differ_and_the_paper_has_idle_rows() {
    let data = some_data();
    let with = |distances| {
        Run::new(&data, some_codebook(&data), TrainSettings { distances, ..small(Lambda::Value(1.0)) })
            .unwrap()
    };
    assert_eq!(with(Distances::Paper).zero_gradient_share(), 20.0 / 90.0);
    assert_eq!(with(Distances::Loo).zero_gradient_share(), 0.0);
}

#[test]
fn every_epoch_sees_every_row_once_and_batches_run_on() {
    let mut sampler = BatchSampler::new(Samples::All(10), Seed(3));
    let stream: Vec<usize> = (0..5).flat_map(|step| sampler.batch(step, 4)).collect();
    for epoch in stream.chunks(10) {
        let mut rows = epoch.to_vec();
        rows.sort();
        assert_eq!(rows, (0..10).collect::<Vec<_>>());
    }
    assert_ne!(stream[..10], stream[10..]);
    assert_eq!(
        BatchSampler::new(Samples::All(10), Seed(3)).batch(3, 4),
        stream[12..16],
        "a position needs no history"
    );
}

#[test]
fn the_clamps_slope_is_annealed_in_ten_stages() {
    assert_eq!(
        (outside_slope(0), outside_slope(9), outside_slope(100), outside_slope(1_000_000)),
        (0.99, 0.99, 0.0, 0.0)
    );
    assert!((outside_slope(55) - 0.495).abs() < 1e-6);
}

#[test]
fn held_out_errors_are_those_of_the_parts() {
    let data = some_data();
    let mut run = Run::new(
        &data,
        some_codebook(&data),
        TrainSettings { validation_fraction: 0.3, ..small(Lambda::Value(1.0)) },
    )
    .unwrap();
    assert!(Run::new(&data, some_codebook(&data), small(Lambda::Value(1.0))).unwrap().validation().is_none());
    let before = run.validation().unwrap();
    while run.step().is_some() {}
    let after = run.validation().unwrap();
    assert_eq!(after.states, 30);
    assert!(
        after.by_distance[0].distance[0] > 0.0,
        "a held-out state that is a memory is not held by itself"
    );
    assert!(after.loss < before.loss, "{} to {}", before.loss, after.loss);
    assert_eq!(after.by_distance.iter().map(|b| b.states).sum::<usize>(), 30);
    let mean = after.by_distance.iter().map(|b| b.loss * b.states as f64).sum::<f64>() / 30.0;
    assert!((mean - after.loss).abs() < 1e-12);
    for pair in after.by_distance.windows(2) {
        assert!(pair[0].distance[1] <= pair[1].distance[0] && pair[0].weight >= pair[1].weight);
    }
    for (b, a) in before.by_distance.iter().zip(&after.by_distance) {
        assert_eq!(b.copying, a.copying, "copying does not depend on training");
    }
}

#[test]
fn training_gives_the_same_numbers_on_any_number_of_threads() {
    let data = some_data();
    let trained = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let settings =
                TrainSettings { hidden: vec![256, 256], batch: 256, steps: 12, ..small(Lambda::Auto) };
            let mut run = Run::new(&data, some_codebook(&data), settings).unwrap();
            while run.step().is_some() {}
            run.policy().backbone().cloned()
        })
    };
    assert_eq!(trained(1), trained(3));
}
