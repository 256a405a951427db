//! Acting, and what goes through files.

use super::*;
use crate::backbone::{Describe, Episode, Net, RetrievalCounts};

/// A network whose last layer is not zero, with larger weights, so that many predictions are clamped.
pub(super) fn network(n_obs: usize, hidden: &[usize], n_act: usize) -> RetrievalMlp {
    let layers = Layers::random(&[&[2 * n_obs + n_act], hidden, &[n_act]].concat(), Seed(5));
    let larger = layers.iter().map(|(w, b)| (w.iter().map(|w| 1.6 * w).collect(), b.to_vec())).collect();
    let layers = Layers::new(layers.widths().to_vec(), larger).unwrap();
    RetrievalMlp::new(RetrievalSettings::default(), layers).unwrap()
}

/// States, `[n, n_obs]`, and actions in [-1, 1], `[n, n_act]`.
pub(super) fn steps(n: usize, [n_obs, n_act]: [usize; 2], seed: u64) -> [Vec<f32>; 2] {
    let mut rng = Seed(seed).rng();
    [
        (0..n * n_obs).map(|_| rng.normal() as f32).collect(),
        (0..n * n_act).map(|_| rng.between(-1.0, 1.0) as f32).collect(),
    ]
}

/// `p_j(x)` as it is written, in f64.
pub(super) fn prediction(network: &RetrievalMlp, x: &[f32], state: &[f32], action: &[f32]) -> Vec<f64> {
    let exact = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
    let (x, s, a) = (exact(x), exact(state), exact(action));
    let differences = x.iter().zip(&s).map(|(x, s)| x - s).collect();
    let values = network.layers().exact([x.clone(), differences, a.clone()].concat());
    a.iter().zip(values).map(|(a, f)| a + f).collect()
}

/// Predicts in an episode, from memories in the given order.
fn act(
    episode: &mut Episode,
    network: &RetrievalMlp,
    x: &[f32],
    [states, actions]: &[Vec<f32>; 2],
) -> Vec<f32> {
    let codes = network.encode_memories(states, actions);
    episode.observe(network, x);
    episode.set_neighbors(codes.chunks(network.code_width()).zip(actions.chunks(network.n_act())));
    episode.predict(network, &|_, g| g);
    episode.network_output().to_vec()
}

pub(super) fn act_once(network: &RetrievalMlp, x: &[f32], memories: &[Vec<f32>; 2]) -> Vec<f32> {
    act(&mut Episode::new(Seed(0)), network, x, memories)
}

#[test]
fn acting_is_the_definition() {
    let mut clamped = [0; 2];
    for (n_obs, hidden, n_act) in
        [(6, &[33, 20][..], 3), (45, &[256, 256], 24), (1, &[5], 1), (4, &[8, 9, 10], 2), (3, &[], 2)]
    {
        let network = network(n_obs, hidden, n_act);
        for k in [1, 2, 7, 10, 50] {
            let memories @ [states, actions] = &steps(k, [n_obs, n_act], k as u64);
            let [x, _] = steps(1, [n_obs, n_act], 99);
            let mut expected = vec![0.0; n_act];
            for (state, action) in states.chunks(n_obs).zip(actions.chunks(n_act)) {
                for (mean, p) in expected.iter_mut().zip(prediction(&network, &x, state, action)) {
                    *mean += p.clamp(-1.0, 1.0) / k as f64;
                    clamped[usize::from(p.abs() > 1.0)] += 1;
                }
            }
            for (found, expected) in act_once(&network, &x, memories).iter().zip(expected) {
                let what = format!("{n_obs}, {hidden:?}, {n_act}, {k} memories");
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{what}: {found} {expected}");
            }
        }
    }
    assert!(clamped.iter().all(|&n| n > 100), "predictions that are clamped and that are not: {clamped:?}");
}

#[test]
fn before_training_a_memorys_action_is_predicted() {
    let settings = RetrievalSettings::default();
    let network = RetrievalMlp::random(5, &[16, 12], 3, settings, Seed(1));
    let memories = steps(4, [5, 3], 2);
    let [x, _] = steps(1, [5, 3], 3);
    for j in 0..4 {
        let one = [memories[0][j * 5..][..5].to_vec(), memories[1][j * 3..][..3].to_vec()];
        assert_eq!(act_once(&network, &x, &one), one[1]);
    }
    let layers: Vec<_> = network.layers().iter().collect();
    assert!(layers[2].0.iter().chain(layers[2].1).all(|v| *v == 0.0));
    assert!(layers[..2].iter().all(|(weight, bias)| weight.iter().chain(*bias).all(|v| *v != 0.0)));
}

#[test]
fn the_code_of_a_memory_does_not_depend_on_the_others() {
    let network = network(7, &[70, 8], 2);
    let [states, actions] = steps(23, [7, 2], 4);
    let all = network.encode_memories(&states, &actions);
    assert_eq!(all.len(), 23 * network.code_width());
    let one_by_one: Vec<f32> =
        states.chunks(7).zip(actions.chunks(2)).flat_map(|(s, a)| network.encode_memories(s, a)).collect();
    assert!(all == one_by_one);
    assert!(network.encode_memories(&[], &[]).is_empty());
}

#[test]
fn the_order_of_the_memories_changes_rounding_alone() {
    let network = network(6, &[40, 30], 3);
    let [x, _] = steps(1, [6, 3], 5);
    let memories @ [states, actions] = &steps(10, [6, 3], 6);
    let expected = act_once(&network, &x, memories);
    for seed in 0..20 {
        let order = Seed(seed).rng().permutation(10);
        let permuted = |values: &[f32], width: usize| {
            order.iter().flat_map(|j| &values[j * width..][..width]).copied().collect::<Vec<_>>()
        };
        let found = act_once(&network, &x, &[permuted(states, 6), permuted(actions, 3)]);
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {expected:?}");
    }
}

#[test]
fn buffers_grow_once_and_earlier_memories_leave_no_trace() {
    let network = network(4, &[16, 16], 2);
    let mut episode = Episode::new(Seed(1));
    let at = |seed: u64, k: usize| (steps(1, [4, 2], seed)[0].clone(), steps(k, [4, 2], 100 + seed));
    let (x, memories) = at(0, 10);
    let first = act(&mut episode, &network, &x, &memories);
    let places = |e: &Episode| {
        let Buffers { observation, input, values } = e.state.workspace.existing().unwrap();
        let Neighbors { codes, actions } = &e.state.neighbors;
        let all = [observation, input, values, codes, actions, &e.state.output];
        let mut all = all.map(|v| (v.as_ptr(), v.capacity()));
        all.sort(); // two buffers change places
        all
    };
    let before = places(&episode);
    for seed in 1..20 {
        let (x, memories) = at(seed, 1 + seed as usize % 10);
        let found = act(&mut episode, &network, &x, &memories);
        assert_eq!(found, act_once(&network, &x, &memories));
    }
    assert_eq!(act(&mut episode, &network, &x, &memories), first);
    assert_eq!(places(&episode), before);
}

/// The message that a prediction from these neighbors panics with.
fn refusal(network: &RetrievalMlp, x: &[f32], codes: &[f32], actions: &[f32]) -> String {
    let mut episode = Episode::new(Seed(0));
    episode.observe(network, x);
    episode.set_neighbors(std::iter::once((codes, actions)));
    let predict = std::panic::AssertUnwindSafe(|| episode.predict(network, &|_, g| g));
    let message = std::panic::catch_unwind(predict).unwrap_err();
    match message.downcast::<String>() {
        Ok(message) => *message,
        Err(message) => message.downcast::<&str>().expect("a message").to_string(),
    }
}

#[test]
fn a_prediction_without_memories_or_with_those_of_another_network_is_refused() {
    let network = network(4, &[16, 16], 2);
    assert!(refusal(&network, &[0.0; 4], &[], &[]).contains("needs memories"));
    assert!(refusal(&network, &[0.0; 4], &[0.0; 15], &[0.0; 2]).contains("other widths"));
    assert!(refusal(&network, &[0.0; 3], &[0.0; 16], &[0.0; 2]).contains("an observation of another width"));
}

#[test]
fn a_network_comes_back_from_its_arrays_and_those_of_another_are_refused() {
    let settings = RetrievalSettings { retrieved: 3, pairs: 7 };
    let network = RetrievalMlp::random(4, &[8, 6], 3, settings, Seed(2));
    let arrays = network.save_tensors();
    assert_eq!(arrays["0.weight"].0, [11, 8]);
    let loaded = settings.load_tensors(&arrays).unwrap();
    assert_eq!(loaded.downcast::<RetrievalMlp>(), Some(&network));
    assert_eq!((loaded.widths(), Net::new(&*loaded).network()), ([4, 3], loaded));
    for inputs in [2, 3, 4, 6] {
        let other = Layers::random(&[inputs, 8, 3], Seed(0));
        let refused = RetrievalMlp::new(settings, other).unwrap_err().to_string();
        assert!(refused.contains("0.weight") && refused.contains("2 n_obs + 3"), "{refused}");
    }
    for (invalid, option) in [
        (RetrievalSettings { retrieved: 0, ..settings }, "--retrieved"),
        (RetrievalSettings { pairs: 1001, ..settings }, "--pairs"),
    ] {
        assert!(
            RetrievalMlp::new(invalid, network.layers().clone()).unwrap_err().to_string().contains(option)
        );
    }
    let given = crate::backbone::BackboneKind::named(RetrievalSettings::NAME).unwrap();
    let given = given.with_options(&[("retrieved", "3"), ("pairs", "7")]).unwrap();
    assert_eq!(given.retrieval(), Some(RetrievalCounts { act: 3, train: 7 }));
    assert!(!given.saturates() && given == settings.into());
}
