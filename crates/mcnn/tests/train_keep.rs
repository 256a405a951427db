//! The network with the lowest validation loss: which one it is, that it acts, and that a resumed run has the same.

use mcnn::{
    backbone::Network,
    data::{ActionRange, Demonstrations, Parts},
    file,
    memory::{Amount, Codebook, LearnSettings, SelectionMethod, learn},
    policy::Policy,
    seed::Seed,
    train::{Bagging, Keep, Lambda, Run, TrainSettings},
};

const STEPS: u64 = 120;
/// Steps between two validations.
const EVERY: u64 = 10;

fn data() -> (Demonstrations, Codebook) {
    let mut rng = Seed(3).rng();
    let states: Vec<f32> = (0..10 * 15 * 3).map(|_| rng.normal() as f32).collect();
    // Nothing in the states says what the actions are: fitting them makes the validation loss rise.
    let actions = (0..10 * 15).map(|_| rng.between(-1.0, 1.0) as f32).collect();
    let ends = (1..=10).map(|k| 15 * k).collect();
    let parts = Parts { n_obs: 3, n_act: 1, states, actions, rewards: None, ends };
    let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    let settings = LearnSettings {
        amount: Amount::Fraction(1.0),
        selection: SelectionMethod::All,
        ..LearnSettings::default()
    };
    let codebook = learn(&data, &settings).unwrap().codebook;
    (data, codebook)
}

fn settings(keep: Keep, bagging: Bagging) -> TrainSettings {
    TrainSettings {
        hidden: vec![8],
        members: 2,
        bagging,
        validation_fraction: if bagging == Bagging::Folds { 0.0 } else { 0.2 },
        lambda: Lambda::Value(f32::INFINITY),
        // So large that the loss goes up and down.
        lr: 0.05,
        batch: 8,
        steps: STEPS,
        keep,
        ..TrainSettings::default()
    }
}

/// Trains to the end, and validates as `mcnn train` does. Stops after `until` steps.
fn train(run: &mut Run, until: u64, mut each: impl FnMut(u64, f64, &Run)) {
    while run.steps_taken() < until && run.step().is_some() {
        if run.steps_taken().is_multiple_of(EVERY) {
            let loss = run.validate().unwrap().loss;
            each(run.steps_taken(), loss, run);
        }
    }
}

fn members(policy: &Policy) -> Vec<Network> {
    policy.members().to_vec()
}

#[test]
fn the_policy_is_that_of_the_step_with_the_lowest_validation_loss() {
    let (data, codebook) = data();
    for bagging in [Bagging::None, Bagging::Folds] {
        // Without --keep best: every loss, and the networks of every step.
        let mut last = Run::new(&data, codebook.clone(), settings(Keep::Last, bagging)).unwrap();
        let mut seen = Vec::new();
        train(&mut last, STEPS, |step, loss, run| seen.push((step, loss, members(&run.policy()))));
        let (step, loss, networks) = seen.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert!((EVERY..STEPS).contains(step), "neither the first nor the last: {step}");
        let mut best = Run::new(&data, codebook.clone(), settings(Keep::Best, bagging)).unwrap();
        train(&mut best, STEPS, |_, _, _| ());
        assert_eq!((best.lowest().unwrap().step, best.lowest().unwrap().loss), (*step, *loss));
        assert!(members(&best.policy()) == *networks, "{bagging:?}");
        assert!(members(&last.policy()) != *networks);
        assert_eq!(best.policy().training_record().steps, *step);
        assert_eq!(best.validation().unwrap().loss, *loss, "the validation of the policy");
        let lowest = last.lowest().unwrap();
        assert_eq!((lowest.step, lowest.loss, lowest.networks.len()), (*step, *loss, 0));
    }
}

#[test]
fn a_resumed_run_keeps_the_same_network() {
    let (data, codebook) = data();
    let settings = settings(Keep::Best, Bagging::None);
    let mut whole = Run::new(&data, codebook.clone(), settings.clone()).unwrap();
    train(&mut whole, STEPS, |_, _, _| ());
    let whole_bytes = file::policy_to_bytes(&whole.policy());
    let step = whole.lowest().unwrap().step;
    for cut in [EVERY - 3, step - 1, step, step + 1, step + EVERY, STEPS] {
        let mut first = Run::new(&data, codebook.clone(), settings.clone()).unwrap();
        train(&mut first, cut, |_, _, _| ());
        let bytes = file::checkpoint_to_bytes(&first.checkpoint().unwrap());
        let checkpoint = file::checkpoint_from_bytes(&bytes).unwrap();
        assert_eq!(file::checkpoint_to_bytes(&checkpoint), bytes);
        let mut second = Run::resume(&data, codebook.clone(), settings.clone(), checkpoint).unwrap();
        train(&mut second, STEPS, |_, _, _| ());
        assert!(file::policy_to_bytes(&second.policy()) == whole_bytes, "cut at {cut}, best at {step}");
    }
}

#[test]
fn without_validation_episodes_there_is_no_best_network() {
    let (data, codebook) = data();
    let none = TrainSettings { validation_fraction: 0.0, ..settings(Keep::Best, Bagging::None) };
    let error = Run::new(&data, codebook, none).err().unwrap().to_string();
    assert!(error.contains("--keep best") && error.contains("--validation-fraction"), "{error}");
}

#[test]
fn a_checkpoint_without_its_best_network_is_refused() {
    let (data, codebook) = data();
    let settings = settings(Keep::Best, Bagging::None);
    let mut run = Run::new(&data, codebook, settings).unwrap();
    train(&mut run, 2 * EVERY, |_, _, _| ());
    let mut checkpoint = run.checkpoint().unwrap();
    checkpoint.lowest.as_mut().unwrap().networks.clear();
    let error = file::checkpoint_from_bytes(&file::checkpoint_to_bytes(&checkpoint)).unwrap_err().to_string();
    assert!(error.contains("networks are missing"), "{error}");
}
