//! Explanations: how a policy computes an action.

use serde::Serialize;

use super::Policy;
use crate::{backbone::BucketChoice, data::Step, error::Result};

/// A memory near the explained state.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct NearbyMemory {
    /// The memory's number in the codebook.
    pub memory: usize,
    /// The demonstrated step of the memory.
    pub source: Step,
    /// The distance in standardized units.
    pub distance: f32,
}

/// One dimension of the explained action.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Dimension {
    /// a', the memory's action.
    pub memory_action: f32,
    /// c, the box center.
    pub center: f32,
    /// g, the network output; absent without a network.
    pub network_output: Option<f32>,
    /// f, the action; of a stochastic policy the first sample with seed 0.
    pub action: f32,
    /// The standard deviation of the action over the samples; absent for a deterministic policy.
    pub std: Option<f32>,
    /// The lower bound of the permissible region.
    pub low: f32,
    /// The upper bound of the permissible region.
    pub high: f32,
}

/// An action bucket of a behavior transformer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bucket {
    /// Its number.
    pub bucket: usize,
    /// Its probability.
    pub probability: f32,
    /// Its center: `[n_act]`.
    pub center: Vec<f32>,
}

/// The selected bucket of a behavior transformer, and the most probable ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Buckets {
    /// The selected bucket; if sampled, the first sample with seed 0.
    pub chosen: Bucket,
    /// The most probable buckets, at most [`LIKELIEST`], in descending order.
    pub likeliest: Vec<Bucket>,
    /// The number of buckets.
    pub of: usize,
}

/// One dimension of an action of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ChunkDimension {
    /// The memory's future action at this step of the chunk.
    pub memory_action: f32,
    /// The action; of a stochastic policy the first sample with seed 0.
    pub action: f32,
    /// The lower bound of the permissible region.
    pub low: f32,
    /// The upper bound of the permissible region.
    pub high: f32,
}

/// The chunk of actions that a policy predicts for the explained state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chunk {
    /// The prediction horizon.
    pub horizon: usize,
    /// The actions within the execution horizon, by dimension; the explained action is the first.
    pub steps: Vec<Vec<ChunkDimension>>,
}

/// Everything that determines an action.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The nearest memory.
    pub memory: NearbyMemory,
    /// The second nearest memory, if there is one.
    pub runner_up: Option<NearbyMemory>,
    /// w, the memory weight.
    pub weight: f32,
    /// r, the radius: half the width of the box.
    pub radius: f32,
    /// The share of calibration states that are nearer to their memories; absent without a calibration.
    pub quantile: Option<f32>,
    /// Training steps averaged into a memory's action.
    pub smooth_neighbors: usize,
    /// Memories averaged into the memory action.
    pub neighbors: usize,
    /// The samples behind the standard deviations; absent for a deterministic policy.
    pub samples: Option<usize>,
    /// The buckets of a behavior transformer; absent for other backbones.
    pub buckets: Option<Buckets>,
    /// The action by dimension.
    pub dimensions: Vec<Dimension>,
    /// The chunk that starts with the action; absent for a prediction horizon of 1.
    pub chunk: Option<Chunk>,
    /// The contribution of each dimension of the state to the squared distance: `[n_obs]`.
    pub contributions: Vec<f32>,
}

/// The samples of a stochastic policy behind a standard deviation.
pub const SAMPLES: usize = 16;

/// The maximum number of buckets listed.
pub const LIKELIEST: usize = 5;

impl Policy {
    /// Explains the action for the last of consecutive observations of an episode (`[1 or more, n_obs]`, in the data's units). The
    /// earlier ones are the observation history of the policy. The action is the first of a newly predicted chunk.
    ///
    /// # Errors
    /// If an observation has values that are NaN or infinite.
    ///
    /// # Panics
    /// If there is no observation, or one has the wrong length.
    pub fn explain(&self, observations: &[f32]) -> Result<Explanation> {
        let n_obs = self.codebook.n_obs();
        assert!(!observations.is_empty(), "no observation to explain");
        let skipped = (observations.len() / n_obs).saturating_sub(self.horizons().observation) * n_obs;
        let mut session = self.session();
        for observation in observations[skipped..].chunks(n_obs) {
            session.observe(observation)?;
        }
        let n_act = self.codebook.n_act();
        let constrained = session.predict();
        let action = session.queue[..n_act].to_vec();
        let (_, runner_up) = self.codebook.retrieve_two(&session.state);
        let nearby = |r: crate::memory::Retrieval| NearbyMemory {
            memory: r.memory,
            source: self.codebook.source(r.memory),
            distance: r.distance,
        };
        let outputs = session.episode.network_output().to_vec();
        let choice = self.backbone.as_deref().and_then(|backbone| session.episode.bucket_choice(backbone));
        let buckets = choice.map(|choice| self.buckets(choice));
        let memory_action = session.memory_action.clone();
        let chunk = (self.horizons().prediction > 1).then(|| {
            let ahead = |(&action, &memory_action): (&f32, &f32)| {
                let [low, high] = constrained.region.bounds(memory_action);
                ChunkDimension { memory_action, action, low, high }
            };
            let all: Vec<ChunkDimension> = session.queue.iter().zip(&memory_action).map(ahead).collect();
            Chunk {
                horizon: self.horizons().prediction,
                steps: all.chunks(n_act).map(<[_]>::to_vec).collect(),
            }
        });
        let mut samples = vec![action.clone()];
        if self.is_stochastic() {
            for _ in 1..SAMPLES {
                session.predict();
                samples.push(session.queue[..n_act].to_vec());
            }
        }
        let deviation = |k: usize| {
            let mean = samples.iter().map(|s| s[k]).sum::<f32>() / samples.len() as f32;
            (samples.iter().map(|s| (s[k] - mean).powi(2)).sum::<f32>() / samples.len() as f32).sqrt()
        };
        let dimensions = (0..action.len())
            .map(|k| {
                let memory_action = memory_action[k];
                let [low, high] = constrained.region.bounds(memory_action);
                let center = constrained.region.center(memory_action);
                let network_output = outputs.get(k).copied();
                let std = self.is_stochastic().then(|| deviation(k));
                Dimension { memory_action, center, network_output, action: action[k], std, low, high }
            })
            .collect();
        Ok(Explanation {
            memory: nearby(constrained.retrieval),
            runner_up: runner_up.map(nearby),
            weight: constrained.region.weight,
            radius: constrained.region.radius,
            quantile: self
                .calibration
                .as_ref()
                .map(|calibration| calibration.quantile(constrained.retrieval.distance) as f32),
            smooth_neighbors: self.codebook.parts().smooth_neighbors,
            neighbors: self.neighbors,
            samples: self.is_stochastic().then_some(SAMPLES),
            buckets,
            dimensions,
            chunk,
            contributions: self.codebook.contributions(&session.state, constrained.retrieval.memory),
        })
    }

    fn buckets(&self, BucketChoice { bucket, probabilities, centers }: BucketChoice) -> Buckets {
        let n_act = self.codebook.n_act();
        let of = |k: usize| Bucket {
            bucket: k,
            probability: probabilities[k],
            center: centers[k * n_act..][..n_act].to_vec(),
        };
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        let likeliest = order.into_iter().take(LIKELIEST).map(of).collect();
        Buckets { chosen: of(bucket), likeliest, of: probabilities.len() }
    }
}
