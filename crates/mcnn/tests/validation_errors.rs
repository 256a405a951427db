//! The validation errors of 1-NN, VINN and the network, recomputed by loops over the data, the memories and the weights.

use mcnn::{
    data::{ActionRange, Demonstrations, Parts},
    memory::{Amount, Codebook, LearnSettings, SelectionMethod, learn},
    policy::Policy,
    seed::Seed,
    train::{Lambda, Run, TrainSettings},
};

const OBS: usize = 3;
const ACT: usize = 2;

fn data() -> (Demonstrations, Codebook) {
    let mut rng = Seed(8).rng();
    let (episodes, steps) = (8, 12);
    let states: Vec<f32> = (0..episodes * steps * OBS).map(|_| rng.normal() as f32).collect();
    let actions = states
        .chunks(OBS)
        .flat_map(|s| [s[0] * s[1], s[2]].map(|x| (x.sin() + 0.2 * rng.normal() as f32).clamp(-1.0, 1.0)))
        .collect();
    let ends = (1..=episodes).map(|k| steps * k).collect();
    let parts = Parts { n_obs: OBS, n_act: ACT, states, actions, rewards: None, ends };
    let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    let settings = LearnSettings {
        amount: Amount::Fraction(1.0),
        selection: SelectionMethod::All,
        ..LearnSettings::default()
    };
    let codebook = learn(&data, &settings).unwrap().codebook;
    (data, codebook)
}

fn settings(lambda: f32, neighbors: usize) -> TrainSettings {
    TrainSettings {
        hidden: vec![6, 5],
        members: 1,
        lambda: Lambda::Value(lambda),
        neighbors,
        steps: 30,
        batch: 16,
        validation_fraction: 0.3,
        ..TrainSettings::default()
    }
}

/// A state standardized as the memories are.
fn standardized(codebook: &Codebook, state: &[f32]) -> Vec<f64> {
    let scale = &codebook.parts().scale;
    let one = |(k, x): (usize, &f32)| (f64::from(*x) - f64::from(scale.mean[k])) / f64::from(scale.std[k]);
    state.iter().enumerate().map(one).collect()
}

/// The mean squared error over the validation states of what `act` does in a standardized state of an episode.
fn error(policy: &Policy, data: &Demonstrations, act: impl Fn(u32, &[f64]) -> Vec<f64>) -> f64 {
    let validation = &policy.training_record().validation_episodes;
    let (mut sum, mut count) = (0.0, 0);
    for e in (0..data.n_episodes()).filter(|e| validation.contains(&(*e as u32))) {
        for i in data.episode(e) {
            let action = act(e as u32, &standardized(policy.codebook(), &data.state(i)));
            for (a, b) in action.iter().zip(data.action(i).iter()) {
                sum += (a - f64::from(*b)).powi(2);
                count += 1;
            }
        }
    }
    sum / f64::from(count)
}

/// The mean action of the `k` memories of other episodes that are nearest to a state, weighted by exp(-distance).
fn neighbors(codebook: &Codebook, k: usize, episode: u32, state: &[f64]) -> Vec<f64> {
    let mut all: Vec<(f64, usize)> = (0..codebook.len())
        .filter(|&m| codebook.source(m).episode != episode)
        .map(|m| {
            let memory = standardized(codebook, codebook.state(m));
            let squares = memory.iter().zip(state).map(|(a, b)| (a - b).powi(2));
            (squares.sum::<f64>().sqrt(), m)
        })
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = all[..k].iter().map(|(d, _)| (-d).exp()).sum();
    (0..ACT)
        .map(|j| all[..k].iter().map(|(d, m)| (-d).exp() / total * f64::from(codebook.action(*m)[j])).sum())
        .collect()
}

/// clamp(g) of a perceptron: relu(x W + b) for every hidden layer, then x W + b.
fn network(policy: &Policy, state: &[f64]) -> Vec<f64> {
    let tensors = policy.backbone().unwrap().save_tensors();
    let mut x = state.to_vec();
    for layer in 0..3 {
        let (shape, weight) = &tensors[&format!("{layer}.weight")];
        let (_, bias) = &tensors[&format!("{layer}.bias")];
        let sum = |j: usize| {
            let products = x.iter().enumerate().map(|(i, v)| v * f64::from(weight[i * shape[1] + j]));
            f64::from(bias[j]) + products.sum::<f64>()
        };
        x = (0..shape[1]).map(sum).map(|v| if layer < 2 { v.max(0.0) } else { v.clamp(-1.0, 1.0) }).collect();
    }
    x
}

fn near(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() < 1e-5 * expected, "{what}: {found}, {expected}");
}

/// A column of the table by distance, over all states.
fn column(run: &Run, of: impl Fn(&mcnn::train::Bin) -> f64) -> f64 {
    let validation = run.validation().unwrap();
    validation.by_distance.iter().map(|b| b.states as f64 * of(b)).sum::<f64>() / validation.states as f64
}

#[test]
fn nearest_neighbors_have_the_errors_that_loops_over_the_memories_give() {
    let (data, codebook) = data();
    let naive = |k: usize, policy: &Policy| {
        error(policy, &data, |episode, state| neighbors(&codebook, k, episode, state))
    };
    for k in [1, 4, 10] {
        let run = Run::new(&data, codebook.clone(), settings(0.0, k)).unwrap();
        let (policy, validation) = (run.policy(), run.validation().unwrap());
        near(validation.loss, naive(k, &policy), &format!("the policy, k = {k}"));
        // The column of 1-NN has 1-NN also beside VINN.
        near(column(&run, |b| b.copying), naive(1, &policy), &format!("1-NN beside k = {k}"));
        assert_eq!(validation.by_distance[0].network, None);
    }
}

#[test]
fn the_network_has_the_error_that_its_weights_give() {
    let (data, codebook) = data();
    for lambda in [0.7, f32::INFINITY] {
        let mut run = Run::new(&data, codebook.clone(), settings(lambda, 1)).unwrap();
        while run.step().is_some() {}
        let policy = run.policy();
        let naive = error(&policy, &data, |_, state| network(&policy, state));
        near(column(&run, |b| b.network.unwrap()), naive, "the network");
        near(
            column(&run, |b| b.copying),
            error(&policy, &data, |episode, state| neighbors(&codebook, 1, episode, state)),
            "1-NN",
        );
        if lambda == f32::INFINITY {
            near(run.validation().unwrap().loss, naive, "behavior cloning");
        } else {
            // Projected: the network's action clipped to the box of half the width 1 - exp(-lambda d) around the memory's.
            let policy_error = error(&policy, &data, |episode, state| {
                let memory = neighbors(&codebook, 1, episode, state);
                let distance = nearest_distance(&codebook, episode, state);
                let weight = (-f64::from(lambda) * distance).exp();
                let radius = 1.0 - weight;
                network(&policy, state)
                    .iter()
                    .zip(memory)
                    .map(|(s, a)| s.clamp(weight * a - radius, weight * a + radius))
                    .collect()
            });
            near(run.validation().unwrap().loss, policy_error, "the policy");
        }
    }
}

fn nearest_distance(codebook: &Codebook, episode: u32, state: &[f64]) -> f64 {
    (0..codebook.len())
        .filter(|&m| codebook.source(m).episode != episode)
        .map(|m| {
            let memory = standardized(codebook, codebook.state(m));
            memory.iter().zip(state).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
        })
        .fold(f64::INFINITY, f64::min)
}
