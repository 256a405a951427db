//! Episodes step by step: what held each action, as the library explains it.

use mcnn::{
    Result,
    act::Decision,
    data::Demonstrations,
    policy::{Buckets, Explanation, NearbyMemory, Policy},
};
use rayon::prelude::*;
use serde::Serialize;

use super::{pca::Plane, short};

/// The most bytes of JSON that all steps together take, so that the page stays below 5 MB.
pub const BUDGET: usize = 3_600_000;

/// The most steps of an episode.
const MOST: usize = 1000;

/// One episode.
#[derive(Serialize)]
pub struct Episode {
    /// Run in closed loop, or else of the data.
    pub visited: bool,
    /// Its number in the data, or its place among those run.
    pub number: u32,
    /// Of one that was run.
    pub seed: Option<u64>,
    #[serde(rename = "return")]
    pub ret: Option<f64>,
    pub success: Option<bool>,
    /// Steps it has; `steps` has the first of them.
    pub length: usize,
    pub steps: Vec<Moment>,
    /// Where each step's state lies on the map.
    pub path: Vec<[f32; 2]>,
}

/// One step.
#[derive(Serialize)]
pub struct Moment {
    #[serde(flatten)]
    pub why: Why,
    /// The action demonstrated, or taken in closed loop.
    pub taken: Vec<f32>,
    /// Of the memories' own data: the distance to the nearest memory of another episode, as a new episode would see it.
    pub elsewhere: Option<f32>,
    /// What held the action taken in closed loop.
    pub acted: Option<Acted>,
}

/// An [`Explanation`] in fewer letters.
#[derive(Serialize)]
pub struct Why {
    pub memory: NearbyMemory,
    pub runner_up: Option<NearbyMemory>,
    pub weight: f32,
    pub radius: f32,
    pub quantile: Option<f32>,
    pub samples: Option<usize>,
    pub buckets: Option<Buckets>,
    /// By dimension of the action: memory_action, center, proposal, action, spread, low, high.
    pub dimensions: Vec<[Option<f32>; 7]>,
    /// By executed step and dimension: memory_action, action, low, high.
    pub chunk: Option<Vec<Vec<[f32; 4]>>>,
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
            [memory_action, center, d.network_output, action, d.std, Some(d.low), Some(d.high)]
        };
        let ahead = |d: &mcnn::policy::ChunkDimension| [d.memory_action, d.action, d.low, d.high];
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

/// What an episode's states are.
#[derive(Clone, Copy)]
pub enum Of<'a> {
    /// Of the data the memories were learned from.
    OwnData,
    /// Of other data.
    OtherData,
    /// Visited in closed loop, with what held each action.
    Run(&'a [Decision]),
}

/// Fills an episode with its first steps, the k-th of `data`, up to a number of bytes (but one step at least); answers with
/// the bytes.
///
/// # Errors
/// As [`Policy::explain`].
pub fn fill(
    episode: &mut Episode,
    policy: &Policy,
    plane: &Plane,
    data: &Demonstrations,
    k: usize,
    of: Of,
    bytes: usize,
) -> Result<usize> {
    let (range, n_obs) = (data.episode(k), data.n_obs());
    let steps: Vec<usize> = range.clone().take(MOST).collect();
    let codebook = policy.codebook();
    let mut scaled = codebook.scaled_buffer();
    let mut used = 0;
    // A handful at a time: explaining what is not kept afterwards would be slow where actions are drawn.
    for some in steps.chunks(32) {
        let moments: Vec<Moment> = some
            .par_iter()
            .map(|&i| {
                let why = policy.explain(&data.states()[range.start * n_obs..(i + 1) * n_obs])?.into();
                let acted = match of {
                    Of::Run(decisions) => decisions.get(i - range.start).map(Acted::from),
                    _ => None,
                };
                let elsewhere = matches!(of, Of::OwnData).then(|| {
                    let mut scaled = codebook.scaled_buffer();
                    codebook.scale(data.state(i), &mut scaled);
                    codebook.retrieve_from_other_episode(&scaled, data.number(k)).map(|r| r.distance)
                });
                Ok(Moment { why, taken: data.action(i).to_vec(), elsewhere: elsewhere.flatten(), acted })
            })
            .collect::<Result<_>>()?;
        for (moment, &i) in moments.into_iter().zip(some) {
            used += serde_json::to_vec(&moment).expect("a step is plain values").len() + 24; // with its place
            if used > bytes && !episode.steps.is_empty() {
                return Ok(used);
            }
            codebook.scale(data.state(i), &mut scaled);
            episode.path.push(plane.place(scaled.values()).map(short));
            episode.steps.push(moment);
        }
    }
    Ok(used)
}
