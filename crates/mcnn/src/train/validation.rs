//! The error on validation episodes, by distance to memory.

use std::ops::Range;

use serde::Serialize;

use crate::{
    backbone::{Constrain, Episode},
    data::Demonstrations,
    memory::Retrieval,
    policy::Policy,
    seed::Seed,
};

/// Mean squared errors on validation states. Each state is constrained by the nearest memory of another episode, because memories
/// of its own episode, learned on all the data, would make the error too small. A stochastic policy samples one action per
/// state; its seed depends on the state's index only. If the execution horizon is above 1, all actions executed from the
/// state count, up to the end of its episode.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Validation {
    /// States.
    pub states: usize,
    /// Mean squared error of the policy's action, over states and dimensions.
    pub loss: f64,
    /// Four bins with equal numbers of states, from near to far.
    pub by_distance: Vec<Bin>,
}

/// The states within a range of distances.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bin {
    /// Smallest and largest distance in the bin, in standardized units.
    pub distance: [f32; 2],
    /// States in it.
    pub states: usize,
    /// Mean memory weight.
    pub weight: f64,
    /// Mean squared error of the policy's action.
    pub loss: f64,
    /// Mean squared error of the memory action (1-NN).
    pub copying: f64,
    /// Mean squared error of the network alone. `None` for a policy without one.
    pub network: Option<f64>,
}

/// One validation state: distance, memory weight, squared errors of the policy and of the memory action, and of the network alone. Each
/// error is a mean over dimensions.
struct Row(f32, f32, [f64; 2], Option<f64>);

impl Validation {
    pub(super) fn measure(policy: &Policy, data: &Demonstrations, seed: Seed) -> Self {
        let codebook = policy.codebook();
        let horizons = policy.horizons();
        let episodes: Vec<usize> =
            (0..data.n_episodes()).flat_map(|k| std::iter::repeat_n(k, data.episode(k).len())).collect();
        let mut rows = codebook.map_states(data, |i, state| {
            let number = data.number(episodes[i]);
            let Retrieval { memory, distance } = codebook
                .retrieve_from_other_episode(state, number)
                .unwrap_or_else(|| codebook.retrieve(state));
            let (region, activation) = (policy.envelope().region(distance), policy.envelope().activation);
            let Range { start, end } = data.episode(episodes[i]);
            let wanted = &data.actions()[i * data.n_act()..end.min(i + horizons.execution) * data.n_act()];
            let memory_action: Vec<f32> = (0..horizons.prediction)
                .flat_map(|ahead| codebook.action_after(memory, ahead))
                .copied()
                .collect();
            // The constrained actions, for a rule that constrains predictions.
            let act = |constrain: Constrain| {
                let mut episode = Episode::new(seed.nth(i as u64));
                let mut scaled = codebook.scaled_buffer();
                for j in start.max((i + 1).saturating_sub(horizons.observation))..=i {
                    codebook.scale(data.state(j), &mut scaled);
                    if let Some(backbone) = policy.backbone() {
                        episode.observe(&**backbone, scaled.values());
                    }
                }
                if let Some(backbone) = policy.backbone() {
                    episode.predict(&**backbone, constrain);
                }
                let output = episode.network_output();
                (0..wanted.len())
                    .map(|k| constrain(k, output.get(k).copied().unwrap_or(0.0)))
                    .collect::<Vec<f32>>()
            };
            let error = |f: &dyn Fn(usize) -> f32| {
                let squares = wanted.iter().enumerate().map(|(k, a)| f64::from(f(k) - a).powi(2));
                squares.sum::<f64>() / wanted.len() as f64
            };
            let constrained = act(&|k, g| region.constrain(memory_action[k], activation.apply(g)));
            let network = policy.backbone().map(|_| {
                let alone = act(&|_, g| activation.apply(g));
                error(&|k| alone[k])
            });
            Row(distance, region.weight, [error(&|k| constrained[k]), error(&|k| memory_action[k])], network)
        });
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let n = rows.len();
        let bins = 4.min(n);
        Self {
            states: n,
            loss: mean(rows.iter().map(|r| r.2[0])),
            by_distance: (0..bins).map(|b| Bin::of(&rows[b * n / bins..(b + 1) * n / bins])).collect(),
        }
    }
}

impl Bin {
    fn of(rows: &[Row]) -> Self {
        Bin {
            distance: [rows[0].0, rows[rows.len() - 1].0],
            states: rows.len(),
            weight: mean(rows.iter().map(|r| f64::from(r.1))),
            loss: mean(rows.iter().map(|r| r.2[0])),
            copying: mean(rows.iter().map(|r| r.2[1])),
            network: rows[0].3.map(|_| mean(rows.iter().filter_map(|r| r.3))),
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (n, sum) = values.fold((0, 0.0), |(n, sum), v| (n + 1, sum + v));
    sum / f64::from(n)
}
