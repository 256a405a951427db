//! The error on validation episodes, by distance to memory.

use std::ops::Range;

use serde::Serialize;

use crate::{
    data::Demonstrations,
    envelope::Envelope,
    policy::{ActingSettings, Policy},
    seed::Seed,
};

/// Mean squared errors on validation states, of actions in [-1, 1]. The memories of a state's own episode do not exist for it, because memories learned on
/// all the data would make the error too small; nor do its steps in the average of a smoothed memory. Of a piece of a recording the
/// margins do not count ([`Demonstrations::interior`]). A stochastic policy samples one action per state; its seed depends on the
/// state's index only. If the execution horizon is above 1, all actions executed from the state count, up to the end of its
/// episode.
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
    /// Mean squared error of the network alone. `None` for a policy without one, and after training through the envelope: then the
    /// network alone is a policy that nobody trained.
    pub network: Option<f64>,
}

/// One validation state: distance, memory weight, squared errors of the policy and of the memory action, and of the network alone. Each
/// error is a mean over dimensions.
struct Row(f32, f32, [f64; 2], Option<f64>);

impl Validation {
    /// Measures each policy on the data beside it, and takes all their states together. `acts_alone`: whether the networks were
    /// trained to act without memories.
    pub(super) fn measure(parts: &[(Policy, &Demonstrations)], acts_alone: bool, seed: Seed) -> Self {
        let mut rows: Vec<Row> =
            parts.iter().flat_map(|(policy, data)| measure(policy, data, acts_alone, seed)).collect();
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

/// The errors of a policy on every state.
fn measure(policy: &Policy, data: &Demonstrations, acts_alone: bool, seed: Seed) -> Vec<Row> {
    let horizons = policy.horizons();
    let episodes: Vec<usize> =
        (0..data.n_episodes()).flat_map(|k| std::iter::repeat_n(k, data.episode(k).len())).collect();
    let with_lambda = |lambda: f32| {
        let acting = policy.acting_settings();
        let envelope = Envelope { lambda, ..acting.envelope };
        let acting = ActingSettings { envelope, ..acting };
        policy.clone().with_acting_settings(acting).expect("any lambda fits a policy with a network")
    };
    let network = (acts_alone && policy.backbone().is_some()).then(|| with_lambda(f32::INFINITY));
    // 1-NN also where the policy is VINN.
    let memory = with_lambda(0.0);
    let memory = ActingSettings { neighbors: 1, ..memory.acting_settings() };
    let memory = policy.clone().with_acting_settings(memory).expect("one neighbor fits any policy");
    let rows = policy.codebook().map_states(data, |i, _| {
        if !data.interior(episodes[i]).contains(&i) {
            return None;
        }
        let number = data.number(episodes[i]);
        let Range { start, end } = data.episode(episodes[i]);
        let last = end.min(i + horizons.execution);
        // The mean squared error of the actions executed from the state, and how the first was constrained.
        let error = |policy: &Policy| {
            let mut session = policy.session_with_seed(seed.nth(i as u64)).leaving_out(number);
            for j in start.max((i + 1).saturating_sub(horizons.observation))..i {
                session.observe(&data.state(j)).expect("demonstrated states are finite");
            }
            let mut action = vec![0.0; data.n_act()];
            let mut act = |j: usize| {
                let constrained =
                    session.act_scaled(&data.state(j), &mut action).expect("demonstrated states are finite");
                let wanted = data.action(j);
                let squares = action.iter().zip(wanted.iter()).map(|(f, a)| f64::from(f - a).powi(2));
                (constrained, squares.sum::<f64>())
            };
            let (first, error) = act(i);
            let rest: f64 = (i + 1..last).map(|j| act(j).1).sum();
            (first, (error + rest) / ((last - i) * data.n_act()) as f64)
        };
        let (first, loss) = error(policy);
        let network = network.as_ref().map(|network| error(network).1);
        Some(Row(first.retrieval.distance, first.region.weight, [loss, error(&memory).1], network))
    });
    rows.into_iter().flatten().collect()
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
