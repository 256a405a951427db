//! `mcnn test`: its errors, recomputed from the arrays of the data and of the policy's file alone.

use crate::common::Bench;
use mcnn::{
    data::{ActionRange, Demonstrations, Parts, write_npz},
    file,
};
use serde_json::Value;

/// Demonstrations of one dimension of state and action, in episodes of 10 steps.
fn made(bench: &Bench, name: &str, episodes: usize, shift: f32) -> Demonstrations {
    let n = 10 * episodes;
    // Irregular, so that no two memories are as near to a state.
    let state = |i: usize| ((i * i) as f64 * 0.618_033_988_75).fract() as f32 * 2.0 - 1.0 + shift;
    let states: Vec<f32> = (0..n).map(state).collect();
    let actions =
        states.iter().enumerate().map(|(i, s)| (3.0 * s).sin() * 0.8 + (i % 3) as f32 * 0.05).collect();
    let ends = (1..=episodes).map(|k| 10 * k).collect();
    let parts = Parts { n_obs: 1, n_act: 1, states, actions, rewards: None, ends };
    let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    write_npz(&bench.path(name), &data).unwrap();
    data
}

/// Naive errors of 1-NN, VINN with `k` memories, the mean action and the state on the episodes of a policy's data that `wanted`
/// accepts by number; the memories of the own episode count only if `own`. Overall, then by episode.
fn naive(
    bench: &Bench,
    policy: &str,
    data: &Demonstrations,
    k: usize,
    wanted: impl Fn(u32) -> bool,
    own: bool,
) -> (Vec<f64>, Vec<Vec<f64>>) {
    let (policy, _) = file::read_policy(&bench.path(policy)).unwrap();
    let codebook = policy.codebook();
    let parts = codebook.parts();
    let (mean, std) = (f64::from(parts.scale.mean[0]), f64::from(parts.scale.std[0]));
    let standardized = |x: f32| (f64::from(x) - mean) / std;
    let memories: Vec<(u32, f64, f64)> = (0..codebook.len())
        .map(|m| (parts.sources[m].episode, standardized(codebook.state(m)[0]), f64::from(parts.actions[m])))
        .collect();
    let mean_action = memories.iter().map(|m| m.2).sum::<f64>() / memories.len() as f64;
    let mut by_episode = Vec::new();
    for e in (0..data.n_episodes()).filter(|&e| wanted(data.number(e))) {
        let mut sums = vec![0.0; 4];
        for i in data.episode(e) {
            let (s, a) = (standardized(data.state(i)[0]), f64::from(data.action(i)[0]));
            let mut near: Vec<(f64, f64)> = memories
                .iter()
                .filter(|m| own || m.0 != data.number(e))
                .map(|m| ((m.1 - s).abs(), m.2))
                .collect();
            near.sort_by(|a, b| a.0.total_cmp(&b.0));
            near.truncate(k);
            let total: f64 = near.iter().map(|n| (-n.0).exp()).sum();
            let vinn: f64 = near.iter().map(|n| (-n.0).exp() / total * n.1).sum();
            for (sum, acted) in
                sums.iter_mut().zip([near[0].1, vinn, mean_action, f64::from(data.state(i)[0])])
            {
                *sum += (acted - a) * (acted - a);
            }
        }
        by_episode.push(sums.into_iter().map(|s| s / 10.0).collect::<Vec<f64>>());
    }
    let all = (0..4).map(|c| by_episode.iter().map(|e| e[c]).sum::<f64>() / by_episode.len() as f64);
    (all.collect(), by_episode)
}

const KEYS: [&str; 4] = ["nearest", "vinn", "mean_action", "state"];

fn near(found: &Value, expected: &[f64], what: &str) {
    for (key, expected) in KEYS.iter().zip(expected) {
        let found = found[*key].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-5 * (1.0 + expected), "{what}, {key}: {found}, {expected}");
    }
}

#[test]
fn errors_are_those_recomputed_from_the_arrays() {
    let bench = Bench::new();
    let own = made(&bench, "own.npz", 12, 0.0);
    let other = made(&bench, "other.npz", 3, 0.013);
    bench.ok("train own.npz -o p.safetensors --hidden 8 --steps 40 --members 1 --validation-fraction 0.25");
    // New data: every memory counts.
    let value = bench.json("test p.safetensors other.npz --vinn-k 4");
    let (all, by_episode) = naive(&bench, "p.safetensors", &other, 4, |_| true, true);
    assert_eq!((value["episodes_are"].as_str(), value["k"].as_u64()), (Some("all"), Some(4)));
    near(&value["error"], &all, "other");
    for (found, expected) in value["by_episode"].as_array().unwrap().iter().zip(&by_episode) {
        near(&found["error"], expected, "an episode");
    }
    near(&value["by_dimension"][0]["error"], &all, "the only dimension");
    // Bins of equal sizes have the mean of all.
    let bins = value["by_distance"].as_array().unwrap();
    let states: u64 = bins.iter().map(|b| b["states"].as_u64().unwrap()).sum();
    let weighted = |key: &str| -> f64 {
        bins.iter().map(|b| b["states"].as_f64().unwrap() * b["error"][key].as_f64().unwrap()).sum()
    };
    assert_eq!((bins.len(), states), (4, 30));
    assert!((weighted("policy") / 30.0 - value["error"]["policy"].as_f64().unwrap()).abs() < 1e-9);
    // The data of the memories: the validation episodes, without their own memories.
    let value = bench.json("test p.safetensors own.npz");
    let (policy, _) = file::read_policy(&bench.path("p.safetensors")).unwrap();
    let validation = policy.training_record().validation_episodes.clone();
    assert_eq!((validation.len(), value["episodes_are"].as_str()), (3, Some("validation")));
    let (all, _) = naive(&bench, "p.safetensors", &own, 10, |n| validation.contains(&n), false);
    near(&value["error"], &all, "own");
    // A part of that file under another name is not that file, but its states are memories.
    let part = own.select(&[0, 5]);
    write_npz(&bench.path("part.npz"), &part).unwrap();
    let value = bench.json("test p.safetensors part.npz");
    assert_eq!((value["episodes_are"].as_str(), value["known_states"].as_u64()), (Some("all"), Some(20)));
    assert!(bench.ok("test p.safetensors part.npz").contains("knows these recordings"));
    // lambda changes the policy and nothing else: without memories it is the network, with nothing else the nearest.
    let alone = bench.json("test p.safetensors other.npz --vinn-k 4 --lambda inf");
    assert_eq!(alone["error"]["policy"], alone["error"]["network"]);
    let copied = bench.json("test p.safetensors other.npz --vinn-k 4 --lambda 0");
    assert_eq!(copied["error"]["policy"], copied["error"]["nearest"]);
    assert_eq!(alone["error"]["network"], copied["error"]["network"]);
}

#[test]
fn the_text_says_first_what_a_reader_wants_to_know() {
    let bench = Bench::with_policy();
    bench.ok("make drive --episodes 2 --seed 77 -o new.npz");
    let text = bench.ok("test p.safetensors new.npz");
    let first: Vec<&str> = text.lines().take(2).collect();
    assert!(first[0].starts_with("new.npz: 2 episodes,"), "{text}");
    assert!(first[1].contains("% of that of the mean action"), "{text}");
    for part in ["policy", "1-NN", "VINN (k = 10)", "mean action", "by distance", "dimension", "by episode"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("state as action"), "10 dimensions of state, 2 of action: {text}");
    let text = bench.ok("test p.safetensors drive.npz");
    assert!(text.contains("was TRAINED") || text.contains("validation episodes"), "{text}");
    assert!(bench.refused("test p.safetensors new.npz --vinn-k 0").contains("--vinn-k"));
}
