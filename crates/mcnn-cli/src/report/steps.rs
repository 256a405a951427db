//! Episodes step by step: every action, explained by `Policy::explain`.

use mcnn::{
    Result,
    act::Decision,
    data::Demonstrations,
    policy::{Buckets, Explanation, NearbyMemory, Policy},
};
use rayon::prelude::*;
use serde::Serialize;

use super::{pca::Plane, short};

/// Limit of the JSON of all steps together, in bytes, so that the page stays below 5 MB.
pub const BUDGET: usize = 3_600_000;

/// Limit of the steps of an episode.
const MAX_STEPS: usize = 1000;

/// One episode.
#[derive(Serialize)]
pub struct Episode {
    /// True of an episode run in closed loop, false of a demonstration.
    pub visited: bool,
    /// Its number in the data, or its index among the episodes run.
    pub number: u32,
    /// The seed of an episode run in closed loop.
    pub seed: Option<u64>,
    #[serde(rename = "return")]
    pub ret: Option<f64>,
    pub success: Option<bool>,
    /// Number of its steps. `steps` has only the first of them where the page would be too large.
    pub length: usize,
    pub steps: Vec<Moment>,
    /// Coordinates of each step's state on the map.
    pub path: Vec<[f32; 2]>,
}

/// One step.
#[derive(Serialize)]
pub struct Moment {
    #[serde(flatten)]
    pub why: Why,
    /// The demonstrated action, or the action taken in closed loop. `[n_act]`.
    pub taken: Vec<f32>,
    /// Distance to the nearest memory from another episode, as for a new episode. Only of the memories' own data.
    pub elsewhere: Option<f32>,
    /// The decision behind the action taken in closed loop.
    pub acted: Option<Acted>,
    /// Of a demonstration, the errors of the policy's action and of the memory action (1-NN), of actions scaled to [-1, 1]: root mean
    /// squares over the action dimensions. Of the memories' own data, memories of the same episode are left out.
    pub errors: Option<[f32; 2]>,
}

/// An [`Explanation`] as short JSON.
#[derive(Serialize)]
pub struct Why {
    pub memory: NearbyMemory,
    pub runner_up: Option<NearbyMemory>,
    pub weight: f32,
    pub radius: f32,
    pub quantile: Option<f32>,
    pub samples: Option<usize>,
    pub buckets: Option<Buckets>,
    /// By action dimension: memory action, box center, the network's action, action, spread, low, high.
    pub dimensions: Vec<[Option<f32>; 7]>,
    /// By executed step and action dimension: memory action, action, low, high.
    pub chunk: Option<Vec<Vec<[Option<f32>; 4]>>>,
    pub contributions: Vec<f32>,
}

/// A [`Decision`] in closed loop.
#[derive(Serialize)]
pub struct Acted {
    pub distance: Option<f32>,
    pub weight: Option<f32>,
    pub radius: Option<f32>,
    pub memory: Option<usize>,
    pub quantile: Option<f32>,
}

impl From<&Decision> for Acted {
    fn from(d: &Decision) -> Self {
        let Decision { distance, weight, radius, memory, quantile, .. } = *d;
        Self { distance, weight, radius, memory, quantile }
    }
}

impl From<Explanation> for Why {
    fn from(x: Explanation) -> Self {
        let row = |d: &mcnn::policy::Dimension| {
            let [memory_action, center, action] = [d.memory_action, d.center, d.action].map(Some);
            [memory_action, center, d.network_action, action, d.std, Some(d.low), Some(d.high)]
        };
        let ahead = |d: &mcnn::policy::ChunkDimension| [d.memory_action, Some(d.action), d.low, d.high];
        let chunk = x.chunk.map(|c| c.steps.iter().map(|step| step.iter().map(ahead).collect()).collect());
        Self {
            memory: x.memory,
            runner_up: x.runner_up,
            weight: x.weight,
            radius: x.radius,
            quantile: x.quantile,
            samples: x.samples,
            buckets: x.buckets,
            dimensions: x.dimensions.iter().map(row).collect(),
            chunk,
            contributions: x.contributions,
        }
    }
}

/// The origin of an episode's states.
#[derive(Clone, Copy)]
pub enum Origin<'a> {
    /// The demonstrations from which the memories were selected.
    OwnData,
    /// Other demonstrations.
    OtherData,
    /// Visited in closed loop, with the decision of each step.
    Run(&'a [Decision]),
}

/// Adds the first steps of the k-th episode of `data` to an episode: as many as fit into `bytes`, and at least one. Gives the bytes
/// used.
///
/// # Errors
/// As [`Policy::explain`].
pub fn fill(
    episode: &mut Episode,
    policy: &Policy,
    plane: &Plane,
    data: &Demonstrations,
    k: usize,
    origin: Origin,
    bytes: usize,
) -> Result<usize> {
    let range = data.episode(k);
    let steps: Vec<usize> = range.clone().take(MAX_STEPS).collect();
    let codebook = policy.codebook();
    let mut scaled = codebook.scaled_buffer();
    let mut used = 0;
    let errors = match origin {
        Origin::Run(_) => Vec::new(),
        Origin::OwnData | Origin::OtherData => {
            errors(policy, data, &steps, matches!(origin, Origin::OwnData).then(|| data.number(k)))?
        }
    };
    // In groups, because explaining steps that do not fit would be slow where actions are sampled.
    for some in steps.chunks(32) {
        let moments: Vec<Result<Moment>> = some
            .par_iter()
            .map(|&i| {
                let why = policy.explain(&data.states_of(range.start..i + 1))?.into();
                let acted = match origin {
                    Origin::Run(decisions) => decisions.get(i - range.start).map(Acted::from),
                    _ => None,
                };
                let elsewhere = matches!(origin, Origin::OwnData).then(|| {
                    let mut scaled = codebook.scaled_buffer();
                    codebook.scale(&data.state(i), &mut scaled);
                    codebook.retrieve_from_other_episode(&scaled, data.number(k)).map(|r| r.distance)
                });
                Ok(Moment {
                    why,
                    taken: data.action_in_data_units(i),
                    elsewhere: elsewhere.flatten(),
                    acted,
                    errors: errors.get(i - range.start).copied(),
                })
            })
            .collect();
        for (moment, &i) in moments.into_iter().zip(some) {
            let moment = moment?;
            used += serde_json::to_vec(&moment).expect("a step is plain values").len() + 24; // with its coordinates
            if used > bytes && !episode.steps.is_empty() {
                return Ok(used);
            }
            codebook.scale(&data.state(i), &mut scaled);
            episode.path.push(plane.project(scaled.values()).map(short));
            episode.steps.push(moment);
        }
    }
    Ok(used)
}

/// The errors of the policy's action and of the memory action at the steps of an episode, acted along it. `leave_out`: the
/// episode whose memories do not count.
fn errors(
    policy: &Policy,
    data: &Demonstrations,
    steps: &[usize],
    leave_out: Option<u32>,
) -> Result<Vec<[f32; 2]>> {
    let nearest = policy.memories_alone(1)?;
    let mut sessions = [policy, &nearest].map(|policy| match leave_out {
        Some(episode) => policy.session().leaving_out(episode),
        None => policy.session(),
    });
    let mut action = vec![0.0; data.n_act()];
    let mut all = Vec::with_capacity(steps.len());
    for &i in steps {
        let mut both = [0.0; 2];
        for (session, error) in sessions.iter_mut().zip(&mut both) {
            session.act_scaled(&data.state(i), &mut action)?;
            let wanted = data.action(i);
            let squares = action.iter().zip(wanted.iter()).map(|(f, a)| (f - a).powi(2));
            *error = short((squares.sum::<f32>() / data.n_act() as f32).sqrt());
        }
        all.push(both);
    }
    Ok(all)
}
