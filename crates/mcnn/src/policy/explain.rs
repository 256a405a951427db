//! Why a policy acts as it does in a state.

use serde::Serialize;

use super::{Backbone, Policy};
use crate::{backbone::Chosen, data::Step, error::Result};

/// A memory near the state explained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct NearbyMemory {
    /// The memory's number in the codebook.
    pub memory: usize,
    /// The demonstrated step it comes from.
    pub source: Step,
    /// Euclidean distance in standardized units.
    pub distance: f32,
}

/// One dimension of the action.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Dimension {
    /// a', the memory's action.
    pub memory_action: f32,
    /// c, the center of the box.
    pub center: f32,
    /// g, what the network proposed; absent where nothing proposes.
    pub network_output: Option<f32>,
    /// f, the action; where it is drawn, the first one of seed 0.
    pub action: f32,
    /// Standard deviation of the action over the samples; absent where nothing is drawn.
    pub std: Option<f32>,
    /// The lowest action possible here, whatever is proposed.
    pub low: f32,
    /// The highest action possible here, whatever is proposed.
    pub high: f32,
}

/// A bucket of actions, as a behavior transformer sorts them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bucket {
    /// Its number.
    pub bucket: usize,
    /// How likely it is here.
    pub probability: f32,
    /// Its center: `[n_act]`.
    pub center: Vec<f32>,
}

/// The bucket that a proposal is of, and others it could have been of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Buckets {
    /// The one chosen; where it is drawn, the first draw of seed 0.
    pub chosen: Bucket,
    /// The likeliest ones, at most [`LIKELIEST`], the likeliest first.
    pub likeliest: Vec<Bucket>,
    /// How many there are.
    pub of: usize,
}

/// One dimension of an action of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ChunkDimension {
    /// What followed the memory by as many steps.
    pub memory_action: f32,
    /// The action; where it is drawn, the first one of seed 0.
    pub action: f32,
    /// The lowest action possible here, whatever is proposed.
    pub low: f32,
    /// The highest action possible here, whatever is proposed.
    pub high: f32,
}

/// What a policy that acts ahead goes on to do from a state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chunk {
    /// Actions proposed at once.
    pub horizon: usize,
    /// Those that are executed before it is asked again, by dimension, the explained one first.
    pub steps: Vec<Vec<ChunkDimension>>,
}

/// Everything that made an action.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The nearest memory.
    pub memory: NearbyMemory,
    /// The second nearest, where there is one.
    pub runner_up: Option<NearbyMemory>,
    /// w, the weight of the memory.
    pub weight: f32,
    /// r, the half-width of the box.
    pub radius: f32,
    /// The share of calibrated states that are nearer to their memories; absent where nothing is calibrated.
    pub quantile: Option<f32>,
    /// Training steps averaged into a memory's action.
    pub smooth_neighbors: usize,
    /// Memories averaged into the memory action.
    pub neighbors: usize,
    /// Actions drawn for the spread; absent where nothing is drawn.
    pub samples: Option<usize>,
    /// Of a behavior transformer, the bucket that the proposal is of.
    pub buckets: Option<Buckets>,
    /// The action by dimension.
    pub dimensions: Vec<Dimension>,
    /// The chunk that the action begins; absent where the policy proposes one action at a time.
    pub chunk: Option<Chunk>,
    /// How much each state dimension adds to the squared distance: `[n_obs]`.
    pub contributions: Vec<f32>,
}

/// How many actions are drawn to tell their spread.
pub const SAMPLES: usize = 16;

/// How many buckets are listed.
pub const LIKELIEST: usize = 5;

impl Policy {
    /// Explains the action for the last of some observations (`[1 or more, n_obs]`, the data's own units): those of an
    /// episode up to the one explained, of which a policy that looks back sees as many as it does when acting. A policy that
    /// acts ahead is asked anew for it.
    ///
    /// # Errors
    /// If an observation has numbers that are NaN or infinite.
    ///
    /// # Panics
    /// If there is no observation, or the width is wrong.
    pub fn explain(&self, observations: &[f32]) -> Result<Explanation> {
        let n_obs = self.codebook.n_obs();
        assert!(!observations.is_empty(), "an explanation of no observation");
        let skipped =
            (observations.len() / n_obs).saturating_sub(self.backbone.horizons().observation) * n_obs;
        let mut session = self.session();
        for observation in observations[skipped..].chunks(n_obs) {
            session.observe(observation)?;
        }
        let n_act = self.codebook.n_act();
        let held = session.propose();
        let action = session.queue[..n_act].to_vec();
        let (_, runner_up) = self.codebook.retrieve_two(&session.state);
        let nearby = |r: crate::memory::Retrieval| NearbyMemory {
            memory: r.memory,
            source: self.codebook.source(r.memory),
            distance: r.distance,
        };
        let outputs = session.episode.proposal().to_vec();
        let buckets = session.episode.chosen().map(|chosen| self.buckets(chosen));
        let memory_action = session.memory_action.clone();
        let chunk = (self.backbone.horizons().prediction > 1).then(|| {
            let ahead = |(&action, &memory_action): (&f32, &f32)| {
                let [low, high] = held.region.bounds(memory_action);
                ChunkDimension { memory_action, action, low, high }
            };
            let all: Vec<ChunkDimension> = session.queue.iter().zip(&memory_action).map(ahead).collect();
            Chunk {
                horizon: self.backbone.horizons().prediction,
                steps: all.chunks(n_act).map(<[_]>::to_vec).collect(),
            }
        });
        let mut samples = vec![action.clone()];
        if self.backbone.draws() {
            for _ in 1..SAMPLES {
                session.propose();
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
                let [low, high] = held.region.bounds(memory_action);
                let center = held.region.center(memory_action);
                let network_output = outputs.get(k).copied();
                let std = self.backbone.draws().then(|| deviation(k));
                Dimension { memory_action, center, network_output, action: action[k], std, low, high }
            })
            .collect();
        Ok(Explanation {
            memory: nearby(held.retrieval),
            runner_up: runner_up.map(nearby),
            weight: held.region.weight,
            radius: held.region.radius,
            quantile: self
                .calibration
                .as_ref()
                .map(|calibration| calibration.quantile(held.retrieval.distance) as f32),
            smooth_neighbors: self.codebook.parts().smooth_neighbors,
            neighbors: self.neighbors,
            samples: self.backbone.draws().then_some(SAMPLES),
            buckets,
            dimensions,
            chunk,
            contributions: self.codebook.contributions(&session.state, held.retrieval.memory),
        })
    }

    fn buckets(&self, Chosen { bucket, chances }: Chosen) -> Buckets {
        let centers = match &self.backbone {
            Backbone::Bet(bet) => bet.centers(),
            _ => &[],
        };
        let n_act = self.codebook.n_act();
        let of = |k: usize| Bucket {
            bucket: k,
            probability: chances[k],
            center: centers[k * n_act..][..n_act].to_vec(),
        };
        let mut order: Vec<usize> = (0..chances.len()).collect();
        order.sort_by(|&a, &b| chances[b].total_cmp(&chances[a]));
        let likeliest = order.into_iter().take(LIKELIEST).map(of).collect();
        Buckets { chosen: of(bucket), likeliest, of: chances.len() }
    }
}
