//! Acting, and what goes through files.

use super::*;
use crate::{
    backbone::{BackboneKind, Episode, LossFn, Net, Workspace},
    optimizer::{Adam, Moments, OptimizerSettings, StepArrays},
    seed::Seed,
};
use energy::EnergyBuffers;

fn network(n_obs: usize, hidden: &[usize], n_act: usize, settings: IbcSettings) -> Ibc {
    let network = settings.random(n_obs, hidden, n_act, &[], Seed(5));
    network.downcast::<Ibc>().expect("such a network").clone()
}

/// `E(x, a)` as it is written, in f64.
fn energy(network: &Ibc, x: &[f32], a: &[f64]) -> f64 {
    let input = x.iter().map(|v| f64::from(*v)).chain(a.iter().copied()).collect();
    network.layers().exact(input)[0]
}

fn act(network: &Ibc, x: &[f32], seed: u64) -> Vec<f32> {
    let mut episode = Episode::new(Seed(seed));
    episode.observe(network, x);
    episode.predict(network, &|_, g| g);
    episode.network_output().to_vec()
}

#[test]
fn energies_and_their_gradients_are_those_of_the_definition() {
    for (n_obs, hidden, n_act) in [(6, &[33, 20][..], 3), (45, &[64, 64], 24), (1, &[5], 1), (3, &[], 2)] {
        let network = network(n_obs, hidden, n_act, IbcSettings::default());
        let mut rng = Seed(1).rng();
        let x: Vec<f32> = (0..n_obs).map(|_| rng.normal() as f32).collect();
        let actions: Vec<f32> = (0..7 * n_act).map(|_| rng.between(-1.0, 1.0) as f32).collect();
        let (mut buffers, mut gradients) = (EnergyBuffers::default(), Vec::new());
        network.energy.observe(&x, &mut buffers);
        network.energy.rate(&actions, &mut buffers);
        network.energy.gradients(&mut gradients, &mut buffers);
        for ((a, found), gradient) in
            actions.chunks(n_act).zip(buffers.energies()).zip(gradients.chunks(n_act))
        {
            let a: Vec<f64> = a.iter().map(|v| f64::from(*v)).collect();
            assert!((f64::from(*found) - energy(&network, &x, &a)).abs() < 1e-5);
            for (k, found) in gradient.iter().enumerate() {
                let moved = |by: f64| {
                    let mut a = a.clone();
                    a[k] += by;
                    energy(&network, &x, &a)
                };
                // So small that no unit changes whether it is active.
                let expected = (moved(1e-7) - moved(-1e-7)) / 2e-7;
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{k}: {found} {expected}");
            }
        }
    }
}

#[test]
fn more_search_finds_lower_energies_and_actions_stay_in_range() {
    let x = [0.3, -1.0, 0.5];
    for sampler in ["uniform", "langevin"] {
        let mean = |options: &[(&str, &str)]| {
            let given = [&[("energy-sampler", sampler)], options].concat();
            let settings = BackboneKind::named("ibc").unwrap().with_options(&given).unwrap();
            let network = settings.random(3, &[32, 32], 4, &[], Seed(5));
            let network = network.downcast::<Ibc>().expect("such a network");
            let found = (0..20).map(|seed| {
                let action = act(network, &x, seed);
                assert!(action.len() == 4 && action.iter().all(|a| (-1.0..=1.0).contains(a)), "{action:?}");
                energy(network, &x, &action.iter().map(|a| f64::from(*a)).collect::<Vec<_>>())
            });
            found.sum::<f64>() / 20.0
        };
        let [one, many] = [mean(&[("candidates", "1"), ("energy-iterations", "1")]), mean(&[])];
        assert!(many < one - 0.05, "{sampler}: {many}, {one} without a search");
    }
    let one = network(3, &[8], 2, IbcSettings { candidates: 4, iterations: 1, ..IbcSettings::default() });
    assert_eq!(act(&one, &x, 3), act(&one, &x, 3));
    assert_ne!(act(&one, &x, 3), act(&one, &x, 4));
}

/// Trains on pairs of an observation and one of two actions far apart, and counts where it acts: near the lower, near the
/// upper, elsewhere.
fn modes(sampler: &str) -> [usize; 3] {
    let kind = BackboneKind::named("ibc").unwrap();
    let settings = kind.with_options(&[("energy-sampler", sampler), ("negatives", "16")]).unwrap();
    let start = settings.random(1, &[32, 32], 1, &[], Seed(1));
    let mut net = Net::new(&*start);
    let mut rng = Seed(2).rng();
    let observations: Vec<f32> = (0..64).map(|_| rng.normal() as f32).collect();
    let actions: Vec<f32> = (0..64).map(|i| if i % 2 == 0 { -0.6 } else { 0.6 }).collect();
    let mask = [true; 64];
    let batch = crate::backbone::Batch {
        observations: &observations,
        neighbors: &[],
        actions: &actions,
        mask: &mask,
        count: 64,
    };
    let n = net.parameters().len();
    let mut adam = Adam::new(&[n], &net.decaying(), Moments::zeros(n));
    let (mut grad, mut workspace) = (vec![0.0; n], Workspace::default());
    let unused: LossFn = &mut |_, _, _| unreachable!("there is no output to compare");
    for step in 0..300 {
        net.loss_and_grad(&batch, Seed(step), unused, &mut grad, &mut workspace);
        let arrays = StepArrays {
            parameters: vec![net.parameters_mut()],
            gradients: vec![vec![&mut grad]],
            ema: None,
        };
        adam.step(&OptimizerSettings::ADAM, 3e-3, step, arrays);
    }
    let trained = net.network();
    let trained = trained.downcast::<Ibc>().expect("such a network");
    let mut found = [0; 3];
    for seed in 0..100 {
        let [a] = act(trained, &[(seed as f32) / 50.0 - 1.0], seed)[..] else { panic!("one dimension") };
        let mode = if (a + 0.6).abs() < 0.2 {
            0
        } else if (a - 0.6).abs() < 0.2 {
            1
        } else {
            2
        };
        found[mode] += 1;
    }
    found
}

#[test]
fn one_of_two_modes_is_chosen_not_their_mean() {
    for sampler in ["uniform", "langevin"] {
        let [low, high, elsewhere] = modes(sampler);
        assert!(elsewhere <= 5 && low >= 3 && high >= 3, "{sampler}: {low}, {high}, {elsewhere} elsewhere");
    }
}

#[test]
fn a_network_is_loaded_as_it_was_saved_and_wrong_widths_are_refused() {
    let network = network(3, &[8], 2, IbcSettings::default());
    let mut tensors = network.save_tensors();
    let loaded = network.settings.load_tensors(&tensors).unwrap();
    assert_eq!(loaded.downcast::<Ibc>(), Some(&network));
    for n_act in [0.0, 5.0, 1.5, f32::NAN] {
        tensors.insert(N_ACT.into(), (vec![1], vec![n_act]));
        assert!(network.settings.load_tensors(&tensors).is_err(), "{n_act}");
    }
    tensors.remove(N_ACT);
    let missing = network.settings.load_tensors(&tensors).unwrap_err().to_string();
    assert!(missing.contains("without the width of its actions"), "{missing}");
    let options = |given: &[(&str, &str)]| {
        let settings = BackboneKind::named("ibc").unwrap().with_options(given).unwrap();
        settings.validate(&[]).map_err(|e| e.option)
    };
    assert_eq!(options(&[("negatives", "0")]), Err("--negatives"));
    assert_eq!(options(&[("candidates", "70000")]), Err("--candidates"));
    assert_eq!(options(&[("energy-iterations", "0")]), Err("--energy-iterations"));
    assert_eq!(options(&[("energy-noise", "0")]), Err("--energy-noise"));
    assert_eq!(options(&[("energy-sampler", "langevin")]), Ok(()));
    let kind = BackboneKind::named("ibc").unwrap();
    let from_file =
        kind.settings_from_json(serde_json::json!({ "sampler": "langevin", "negatives": 3 })).unwrap();
    let from_options = kind.with_options(&[("energy-sampler", "langevin"), ("negatives", "3")]).unwrap();
    assert_eq!(from_file, from_options);
    assert!(
        kind.settings_from_json(serde_json::json!({ "candidate": 3 })).is_err(),
        "a key that does not exist"
    );
}
